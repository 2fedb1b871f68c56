"""The parts that documents of all estimators have."""

from __future__ import annotations

import math
from typing import Any

FORMAT = "loopwright-trees"
VERSION = 1
# The first release for which the tests of this package pass.
OLDEST = (1, 6)


class UnsupportedModel(ValueError):
    """What the format cannot say, or what this package does not know."""


def check_fitted(model: Any) -> None:
    import sklearn
    from sklearn.utils.validation import check_is_fitted

    release = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UnsupportedModel(f"scikit-learn {sklearn.__version__} is not supported, {oldest} or later is")
    check_is_fitted(model)


def document(
    model: Any,
    *,
    input: str,
    scores: int,
    base: list[float],
    divide_by: int | None,
    link: str,
    trees: list[dict[str, Any]],
) -> dict[str, Any]:
    import sklearn

    classes = getattr(model, "classes_", None)
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": f"scikit-learn {sklearn.__version__} {type(model).__name__}",
        "features": int(model.n_features_in_),
        "feature_names": None,
        "classes": None if classes is None else [label(one) for one in classes.tolist()],
        "input": input,
        "scores": scores,
        "base": finite(model, "base scores", base),
        "divide_by": divide_by,
        "link": link,
        "trees": trees,
    }


def named(document: dict[str, Any], model: Any, feature_names: list[str] | None) -> dict[str, Any]:
    names = getattr(model, "feature_names_in_", None) if feature_names is None else feature_names
    if names is None:
        return document
    names = [str(name) for name in names]
    if len(names) != document["features"]:
        raise ValueError(f"feature_names holds {len(names)} names, the model has {document['features']} features")
    return document | {"feature_names": names}


def label(one: Any) -> Any:
    return one if isinstance(one, (str, bool, int, float)) else str(one)


def finite(model: Any, what: str, numbers: Any) -> list[float]:
    numbers = [float(number) for number in numbers]
    if not all(map(math.isfinite, numbers)):
        raise UnsupportedModel(f"{type(model).__name__}: its {what} are not finite")
    return numbers


def words(numbers: Any) -> list[float | str]:
    """64-bit floats; JSON has no word for some of them."""
    return [number if math.isfinite(number) else word(number) for number in numbers.tolist()]


def word(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def covers(numbers: Any) -> list[float] | None:
    """Nothing where weights were negative: no share of the training rows is one of those."""
    import numpy as np

    return numbers.tolist() if np.all(np.isfinite(numbers) & (numbers >= 0)) else None
