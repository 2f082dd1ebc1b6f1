"""Two trees of arrays compared: what a model has, and what weights bring."""

from collections.abc import Mapping
from typing import Any


def mismatches(model: Mapping[str, Any], weights: Mapping[str, Any]) -> list[str]:
    """One line per path that only one of two flat trees has, or that differs in shape; none if they fit.

    Args:
      model, weights: "/"-joined path -> anything with a shape.
    """
    both = sorted(model.keys() & weights.keys())
    return [
        *(f"- {path} is missing in the weights" for path in sorted(model.keys() - weights.keys())),
        *(f"+ {path} of the weights has no place in the model" for path in sorted(weights.keys() - model.keys())),
        *(
            f"! {path} is {weights[path].shape}, the model has {model[path].shape}"
            for path in both
            if weights[path].shape != model[path].shape
        ),
    ]
