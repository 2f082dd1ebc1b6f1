"""Listen to Look: what is in a long video, from the few moments worth looking at.

model = l2l.load("runs/sample/skim")
result = model.classify("film.mp4")  # -> l2l.Result
"""

from typing import Any

_LAZY = {
    "load": "l2l.inference.model",
    "Model": "l2l.inference.model",
    "Result": "l2l.inference.result",
    "Moment": "l2l.inference.result",
    "Arrays": "l2l.media.arrays",
    "MediaError": "l2l.media.scan",
}


def __getattr__(name: str) -> Any:
    """Reached when asked for, so that importing a leaf of the package pulls in nothing."""
    if name == "__version__":
        from l2l.core import distribution

        return distribution.version()
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
