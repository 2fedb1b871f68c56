"""Single trees and forests.

Source: scikit-learn 1.9.1, `tree/_tree.pyx` (`_apply_dense`, `predict`), `tree/_classes.py` (`predict`, `predict_proba`),
`ensemble/_forest.py` (`predict`, `predict_proba`).
"""

from __future__ import annotations

from typing import Any

from loopwright.trees.document import UnsupportedModel, covers, document, finite, words


def tree(model: Any) -> dict[str, Any]:
    return averaged(model, [model], divide_by=None)


def forest(model: Any) -> dict[str, Any]:
    return averaged(model, model.estimators_, divide_by=len(model.estimators_))


def averaged(model: Any, members: list[Any], divide_by: int | None) -> dict[str, Any]:
    is_classifier = hasattr(model, "classes_")
    if is_classifier and model.n_outputs_ > 1:
        raise UnsupportedModel(f"{type(model).__name__} with {model.n_outputs_} outputs is not supported")
    scores = int(model.n_classes_) if is_classifier else int(model.n_outputs_)
    # Of each node: a classifier's shares by class, or a regressor's targets. One of both axes has length 1.
    values = [member.tree_.value.reshape(-1, scores) for member in members]
    return document(
        model,
        input="float32",
        scores=scores,
        base=[0.0] * scores,
        divide_by=divide_by,
        link="identity",
        trees=[columns(model, member.tree_, value, None) for member, value in zip(members, values)],
    )


def columns(model: Any, tree: Any, value: Any, score: int | None) -> dict[str, Any]:
    """A tree of `sklearn.tree`, with the numbers of each of its nodes."""
    import numpy as np

    is_leaf = tree.children_left == -1
    return {
        "score": score,
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "feature": np.where(is_leaf, 0, tree.feature).tolist(),
        "threshold": words(np.where(is_leaf, 0.0, tree.threshold)),
        "missing_left": (~is_leaf & tree.missing_go_to_left.astype(bool)).tolist(),
        "categories": None,
        "value": finite(model, "leaves", value[is_leaf].ravel()),
        "cover": covers(tree.weighted_n_node_samples),
    }
