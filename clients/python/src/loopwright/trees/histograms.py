"""Gradient boosting over histograms.

Source: scikit-learn 1.9.1, `ensemble/_hist_gradient_boosting/gradient_boosting.py` (`_preprocess_X`, `_raw_predict`),
`_predictor.pyx` (`_predict_one_from_raw_data`), `preprocessing/_encoders.py` (`OrdinalEncoder.transform`), `_loss/link.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loopwright.trees.document import UnsupportedModel, covers, document, finite, words

LINKS = {
    "absolute_error": "identity",
    "gamma": "exp",
    "poisson": "exp",
    "quantile": "identity",
    "squared_error": "identity",
}


@dataclass
class Layout:
    """How the columns of a row stand before the trees, which see categories first, numbered by their order."""

    # By the trees' number of a column: its place in a row.
    order: Any
    # By the trees' number of a categorical column: its known categories, ascending.
    categories: list[list[float]]


def boosting(model: Any) -> dict[str, Any]:
    import numpy as np

    baseline = model._baseline_prediction
    if baseline.dtype != np.float64:
        raise UnsupportedModel(f"{type(model).__name__} with raw scores of {baseline.dtype} is not supported")
    scores = int(model.n_trees_per_iteration_)
    layout = layout_of(model)
    return document(
        model,
        input="float64",
        scores=scores,
        base=baseline.ravel().tolist(),
        divide_by=None,
        link=link(model, scores),
        trees=[
            columns(model, predictor, layout, score)
            for iteration in model._predictors
            for score, predictor in enumerate(iteration)
        ],
    )


def link(model: Any, scores: int) -> str:
    if model.loss == "log_loss":
        return "logistic" if scores == 1 else "softmax"
    if not isinstance(model.loss, str) or model.loss not in LINKS:
        raise UnsupportedModel(f"{type(model).__name__} with the loss {model.loss!r} is not supported")
    return LINKS[model.loss]


def layout_of(model: Any) -> Layout:
    import numpy as np

    if model.is_categorical_ is None:
        return Layout(order=np.arange(model.n_features_in_), categories=[])
    is_categorical = np.asarray(model.is_categorical_, dtype=bool)
    order = np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])
    encoder = model._preprocessor.named_transformers_["encoder"]
    found = zip(order, encoder.categories_)
    return Layout(order=order, categories=[known(model, column, categories) for column, categories in found])


def known(model: Any, column: int, categories: Any) -> list[float]:
    import numpy as np

    kind = type(model).__name__
    if categories.dtype.kind not in "iuf":
        what = f"those of column {column} are {categories.dtype}"
        raise UnsupportedModel(f"{kind} with categories that are not numbers is not supported: {what}")
    # What is missing comes last and has no number.
    numbers = [one for one in categories.tolist() if not np.isnan(one)]
    if any(float(one) != one for one in numbers):
        raise UnsupportedModel(f"{kind}: a category of column {column} is no 64-bit float")
    return [float(one) for one in numbers]


def columns(model: Any, predictor: Any, layout: Layout, score: int) -> dict[str, Any]:
    import numpy as np

    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    is_list = ~is_leaf & nodes["is_categorical"].astype(bool)
    missing_left = ~is_leaf & nodes["missing_go_to_left"].astype(bool)
    categories = [
        {"node": int(node), "values": listed(predictor, nodes[node], layout, bool(missing_left[node]))}
        for node in np.flatnonzero(is_list)
    ]
    return {
        "score": score,
        "left": np.where(is_leaf, -1, nodes["left"].astype(np.int64)).tolist(),
        "right": np.where(is_leaf, -1, nodes["right"].astype(np.int64)).tolist(),
        "feature": np.where(is_leaf, 0, layout.order[np.where(is_leaf, 0, nodes["feature_idx"])]).tolist(),
        "threshold": words(np.where(is_leaf | is_list, 0.0, nodes["num_threshold"])),
        "missing_left": missing_left.tolist(),
        "categories": categories or None,
        "value": finite(model, "leaves", nodes["value"][is_leaf]),
        "cover": covers(nodes["count"]),
    }


def listed(predictor: Any, node: Any, layout: Layout, missing_left: bool) -> list[float]:
    """The categories that part from what is missing or unknown."""
    bits = predictor.raw_left_cat_bitsets[node["bitset_idx"]].tolist()
    categories = layout.categories[node["feature_idx"]]
    goes_left = [bits[code // 32] >> code % 32 & 1 == 1 for code in range(len(categories))]
    return [category for category, left in zip(categories, goes_left) if left != missing_left]
