"""Gradient boosting over exact splits.

Source: scikit-learn 1.9.1, `ensemble/_gb.py` (`_raw_predict_init`, `_raw_predict`), `ensemble/_gradient_boosting.pyx`
(`_predict_regression_tree_inplace_fast_dense`), `_loss/link.py`.
"""

from __future__ import annotations

from typing import Any

from loopwright.trees.document import UnsupportedModel, document
from loopwright.trees.forests import columns

IDENTITY_LOSSES = ("absolute_error", "huber", "quantile", "squared_error")
# Strategies of a DummyClassifier whose answers are the same for every row and every call.
CONSTANT_STRATEGIES = ("constant", "most_frequent", "prior")


def boosting(model: Any) -> dict[str, Any]:
    stages, scores = model.estimators_.shape
    rate = float(model.learning_rate)
    trees = []
    for stage in range(stages):
        for score in range(scores):
            tree = model.estimators_[stage, score].tree_
            # Rounded once, then added, as theirs is.
            trees.append(columns(model, tree, rate * tree.value.reshape(-1, 1), score))
    return document(
        model,
        input="float32",
        scores=scores,
        base=base(model),
        divide_by=None,
        link=link(model, scores),
        trees=trees,
    )


def base(model: Any) -> list[float]:
    """What the initial estimator says of every row, as raw scores."""
    import numpy as np

    kind, init = type(model).__name__, model.init_
    is_ours = isinstance(init, str) or type(init).__module__ == "sklearn.dummy"
    if not is_ours:
        raise UnsupportedModel(f"{kind} with the initial estimator {type(init).__name__} is not supported")
    if type(init).__name__ == "DummyClassifier" and init.strategy not in CONSTANT_STRATEGIES:
        raise UnsupportedModel(f"{kind} with a DummyClassifier of the strategy {init.strategy!r} is not supported")
    row = np.zeros((1, model.n_features_in_), dtype=np.float32)
    return model._raw_predict_init(row)[0].tolist()


def link(model: Any, scores: int) -> str:
    if model.loss in IDENTITY_LOSSES:
        return "identity"
    if model.loss == "log_loss":
        return "logistic" if scores == 1 else "softmax"
    if model.loss == "exponential":
        return "logistic2"
    raise UnsupportedModel(f"{type(model).__name__} with the loss {model.loss!r} is not supported")
