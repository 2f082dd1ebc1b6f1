"""Listen to Look: what is in a long video, from the few moments worth looking at.

model = l2l.load("runs/sample/skim")
result = model.classify("film.mp4")  # -> l2l.Result

load makes a Model of a finished run or an exported file. A Model answers with a Result: the best classes, and a list of
Moment, where it looked and how much each place counted. In place of a file it takes Arrays, frames and sound in memory.
A video that cannot be used raises MediaError.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l.inference.model import Model, load
    from l2l.inference.result import Moment, Result
    from l2l.media.arrays import Arrays
    from l2l.media.scan import MediaError

    __version__: str

__all__ = ("Arrays", "MediaError", "Model", "Moment", "Result", "__version__", "load")

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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
