"""Tree ensembles of scikit-learn as a file that the server reads: `docs/reference/trees-format.md`."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from loopwright.trees import boosting, forests, histograms
from loopwright.trees.document import UnsupportedModel, check_fitted, named

__all__ = ["SUFFIX", "UnsupportedModel", "convert", "save"]

SUFFIX = ".trees.json"

# By name, so that nothing is imported; a subclass may predict otherwise and is not taken for its parent.
CONVERTERS = {
    "DecisionTreeClassifier": forests.tree,
    "DecisionTreeRegressor": forests.tree,
    "ExtraTreeClassifier": forests.tree,
    "ExtraTreeRegressor": forests.tree,
    "ExtraTreesClassifier": forests.forest,
    "ExtraTreesRegressor": forests.forest,
    "GradientBoostingClassifier": boosting.boosting,
    "GradientBoostingRegressor": boosting.boosting,
    "HistGradientBoostingClassifier": histograms.boosting,
    "HistGradientBoostingRegressor": histograms.boosting,
    "RandomForestClassifier": forests.forest,
    "RandomForestRegressor": forests.forest,
}


def convert(model: Any, feature_names: list[str] | None = None) -> dict[str, Any]:
    """The document of a fitted estimator. Raises `UnsupportedModel` with the name of what cannot be written.

    `feature_names` are those the model was trained with unless they are given.
    """
    kind = type(model)
    converter = CONVERTERS.get(kind.__name__) if kind.__module__.startswith("sklearn.") else None
    if converter is None:
        raise UnsupportedModel(f"{kind.__name__} is not supported; supported: {', '.join(CONVERTERS)}")
    check_fitted(model)
    return named(converter(model), model, feature_names)


def save(model: Any, path: str | PathLike[str], feature_names: list[str] | None = None) -> None:
    """Writes what `convert` gives. The file's name ends with `.trees.json`, by which a server knows the format."""
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"the name of the file is {path.name!r}, expected one that ends with {SUFFIX!r}")
    document = convert(model, feature_names)
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
