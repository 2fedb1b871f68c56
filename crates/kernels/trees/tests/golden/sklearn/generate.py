# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["scikit-learn==1.9.1", "numpy==2.4.6", "scipy==1.17.1"]
# ///
"""Trains a small scikit-learn estimator per trait of the format and records what scikit-learn itself answers.

Writes NAME.trees.json, with the package in clients/python, and NAME.rows.json (rows, raw scores, predictions) beside this file, or
in another folder. Run: uv run generate.py [--into FOLDER]
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn
from sklearn import ensemble, tree
from sklearn.dummy import DummyClassifier, DummyRegressor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[5] / "clients/python/src"))

from loopwright import trees

ROWS = 56
SMALL = {"n_estimators": 6, "max_depth": 4, "random_state": 7}
BOOSTED = {"n_estimators": 5, "max_depth": 3, "random_state": 7}
BINNED = {"max_iter": 4, "max_depth": 4, "min_samples_leaf": 5, "random_state": 7}


@dataclass
class Case:
    name: str
    model: object
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None
    # Of what may stand in a row besides numbers: NaN, infinities.
    odd: tuple = ()
    categories: tuple = ()
    names: list | None = None


def data(rng, n):
    x = rng.standard_normal((n, 5))
    x[:, 2] = rng.integers(-3, 8, n)
    x[:, 3] = np.exp(2 * x[:, 3])
    return x


def cases():
    rng = np.random.default_rng(20261123)
    n = 240
    x = data(rng, n)
    y = x[:, 0] + 0.8 * np.abs(x[:, 1]) + 0.3 * x[:, 2] * (x[:, 0] > 0) + 0.4 * np.log1p(x[:, 3]) + 0.2 * rng.standard_normal(n)
    holes = np.where(rng.random((n, 5)) < 0.12, np.nan, x)
    positive = np.exp(y / 4)
    counts = np.round(positive)
    label = np.where(y > np.median(y), "yes", "no")
    classes = np.digitize(y, np.quantile(y, [0.4, 0.75])) * 10
    weights = rng.integers(0, 4, n) * 0.7
    nan, both = (np.nan,), (np.nan, np.inf, -np.inf)

    yield Case("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=7), x, y, odd=nan, names=["a", "b", "c", "d", "ü"])
    yield Case("tree_classes", tree.DecisionTreeClassifier(max_depth=4, random_state=7), holes, classes, odd=nan)
    yield Case("tree_random", tree.ExtraTreeRegressor(max_depth=5, random_state=7), holes, y, odd=nan)
    yield Case("tree_random_binary", tree.ExtraTreeClassifier(max_depth=5, random_state=7), holes, label, odd=nan)
    yield Case("tree_constant", tree.DecisionTreeRegressor(), x, np.full(n, 2.5), odd=nan)
    yield Case("tree_deep", tree.DecisionTreeRegressor(random_state=7), x, y, odd=nan)
    yield Case("tree_pruned", tree.DecisionTreeRegressor(ccp_alpha=0.02, random_state=7), x, y, odd=nan)
    yield Case("tree_poisson", tree.DecisionTreeRegressor(criterion="poisson", max_leaf_nodes=9, random_state=7), holes, counts, odd=nan)

    yield Case("forest", ensemble.RandomForestRegressor(**SMALL), x, y, odd=nan)
    yield Case("forest_missing", ensemble.RandomForestRegressor(**SMALL), holes, y, weights, odd=nan)
    yield Case("forest_absolute_error", ensemble.RandomForestRegressor(criterion="absolute_error", **SMALL), x, y, weights)
    yield Case("forest_binary", ensemble.RandomForestClassifier(class_weight="balanced", **SMALL), holes, label, odd=nan)
    yield Case("forest_classes", ensemble.RandomForestClassifier(**SMALL), holes, classes, weights, odd=nan)
    targets = np.column_stack([y, np.sin(y), -x[:, 1]])
    yield Case("forest_targets", ensemble.RandomForestRegressor(**SMALL | {"n_estimators": 3}), holes, targets, odd=nan)
    deep = {"n_estimators": 2, "max_depth": None, "random_state": 7}
    yield Case("forest_deep", ensemble.RandomForestClassifier(**deep), x, classes, odd=nan)
    yield Case("extra", ensemble.ExtraTreesRegressor(bootstrap=True, max_samples=0.6, **SMALL), holes, y, odd=nan)
    yield Case("extra_classes", ensemble.ExtraTreesClassifier(**SMALL), holes, classes, weights, odd=nan)

    boosted = ensemble.GradientBoostingRegressor
    yield Case("boosting", boosted(**BOOSTED), x, y, weights)
    for loss in ("absolute_error", "huber", "quantile"):
        yield Case(f"boosting_{loss}", boosted(loss=loss, subsample=0.7, **BOOSTED), x, y)
    yield Case("boosting_zero", boosted(init="zero", learning_rate=1, **BOOSTED), x, y)
    yield Case("boosting_dummy", boosted(init=DummyRegressor(strategy="constant", constant=0.3), **BOOSTED), x, y)
    boosted = ensemble.GradientBoostingClassifier
    yield Case("boosting_binary", boosted(**BOOSTED), x, label, weights + 0.1)
    yield Case("boosting_exponential", boosted(loss="exponential", **BOOSTED), x, label)
    yield Case("boosting_classes", boosted(**BOOSTED | {"n_estimators": 3}), x, classes)
    yield Case("boosting_zero_classes", boosted(init="zero", **BOOSTED | {"n_estimators": 3}), x, classes)
    frequent = DummyClassifier(strategy="most_frequent")
    yield Case("boosting_dummy_classes", boosted(init=frequent, **BOOSTED | {"n_estimators": 3}), x, classes)

    binned = ensemble.HistGradientBoostingRegressor
    yield Case("histogram", binned(**BINNED), holes, y, weights, odd=both)
    yield Case("histogram_no_missing", binned(**BINNED), x, y, odd=both)
    yield Case("histogram_absolute_error", binned(loss="absolute_error", **BINNED), holes, y, odd=both)
    yield Case("histogram_quantile", binned(loss="quantile", quantile=0.8, **BINNED), holes, y, odd=both)
    yield Case("histogram_poisson", binned(loss="poisson", **BINNED), holes, counts, odd=both)
    yield Case("histogram_gamma", binned(loss="gamma", **BINNED), holes, positive, odd=both)
    infinite = x.copy()
    infinite[rng.random((n, 5)) < 0.1] = np.inf
    infinite[rng.random((n, 5)) < 0.1] = -np.inf
    infinite[y > np.quantile(y, 0.7), 4] = np.nan
    yield Case("histogram_infinite", binned(**BINNED), infinite, y, odd=both)

    c = holes.copy()
    effect = rng.standard_normal(40)
    codes = rng.integers(0, 40, n)
    c[:, 1] = np.where(rng.random(n) < 0.1, np.nan, codes)
    # Any numbers: negative ones, fractions, zero.
    c[:, 3] = np.array([-7.0, -0.5, 0.0, 0.1, 3.0, 1e9])[rng.integers(0, 6, n)]
    # What is missing lies lowest, so that it goes left somewhere.
    effects = np.where(np.isnan(c[:, 1]), -4, 2 * effect[codes])
    grouped = np.nan_to_num(c[:, 0]) + effects + np.where(c[:, 3] < 0.1, 1.5, 0)
    listed = {"categorical_features": [1, 3], **BINNED}
    levels = (1.0, 7.0, 39.0, 40.0, 1.5, -1.0, 256.0, 257.0, -7.0, -0.5, 0.1, 0.2, 3.0, 1e9, 0.0, -0.0)
    yield Case("histogram_categories", binned(**listed), c, grouped, odd=both, categories=levels)
    one_column = binned(**listed | {"categorical_features": [3], "max_iter": 3})
    yield Case("histogram_categories_no_missing", one_column, np.nan_to_num(c), grouped, odd=both, categories=levels)
    binned = ensemble.HistGradientBoostingClassifier
    yield Case("histogram_binary", binned(**BINNED), holes, label, odd=both)
    yield Case("histogram_classes", binned(**BINNED | {"max_iter": 3}), holes, classes, weights, odd=both)
    parts = np.digitize(grouped, np.quantile(grouped, [0.4, 0.75]))
    yield Case("histogram_categories_classes", binned(**listed | {"max_iter": 2}), c, parts, odd=both, categories=levels)


def probes(case, document, rng):
    """Rows of thresholds, their neighbours, odd values, categories, and rows of the data."""
    is_category = np.zeros(case.x.shape[1], dtype=bool)
    if case.categories:
        is_category[case.model.categorical_features] = True

    def row():
        return case.x[rng.integers(len(case.x))].copy()

    rows = []
    cuts = [
        (feature, cut)
        for one in document["trees"]
        for feature, cut, left in zip(one["feature"], one["threshold"], one["left"])
        if left >= 0 and not is_category[feature] and not isinstance(cut, str)
    ]
    for place in rng.permutation(len(cuts))[:5]:
        feature, cut = cuts[place]
        single = np.float32(cut)
        # In 64 bits beside the threshold, in 32 bits perhaps on it; and beside it in 32 bits.
        near = [cut, np.nextafter(cut, np.inf), np.nextafter(cut, -np.inf)]
        near += [np.nextafter(single, np.float32(side)) for side in (np.inf, -np.inf)]
        for value in near:
            rows.append(row())
            rows[-1][feature] = value
    for value in (0.0, -0.0, 1e-45, 1e37, -1e37, *case.odd):
        rows.append(np.full(case.x.shape[1], value))
        rows[-1][is_category] = np.nan if np.isinf(value) else value
    for value in case.odd:
        rows.append(row())
        rows[-1][np.flatnonzero(~is_category)[rng.integers(0, np.sum(~is_category), 2)]] = value
    for value in case.categories:
        rows.append(row())
        rows[-1][is_category] = value
    rows += [row() for _ in range(ROWS - len(rows))]
    assert len(rows) == ROWS, (case.name, len(rows))
    return np.array(rows)


def answers(model, rows):
    """Raw scores and predictions, in the shapes of the format."""
    name = type(model).__name__
    if hasattr(model, "classes_"):
        shares = model.predict_proba(rows)
        if "GradientBoosting" not in name:
            return shares, shares
        return model.decision_function(rows), shares if shares.shape[1] > 2 else shares[:, 1]
    predictions = model.predict(rows)
    return model._raw_predict(rows).ravel() if name.startswith("Hist") else predictions, predictions


def plain(value):
    value = np.asarray(value, dtype=np.float64)
    if value.ndim:
        return [plain(one) for one in value]
    if np.isnan(value):
        return None
    return float(value) if np.isfinite(value) else str(float(value))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=HERE)
    folder = parser.parse_args().into
    rng = np.random.default_rng(5)
    for case in cases():
        case.model.fit(case.x, case.y, case.weights)
        document = trees.convert(case.model, case.names)
        rows = probes(case, document, rng)
        raw, predictions = answers(case.model, rows)
        answer = {
            "scikit_learn": sklearn.__version__,
            "rows": plain(rows),
            "raw": plain(raw),
            "prediction": plain(predictions),
        }
        trees.save(case.model, folder / f"{case.name}.trees.json", case.names)
        (folder / f"{case.name}.rows.json").write_text(json.dumps(answer) + "\n")
        print(case.name, rows.shape, np.shape(raw))


if __name__ == "__main__":
    main()
