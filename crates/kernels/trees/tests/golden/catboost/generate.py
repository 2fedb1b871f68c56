# /// script
# requires-python = ">=3.11"
# dependencies = ["catboost==1.2.10", "numpy==2.4.6"]
# ///
"""Trains one small CatBoost model per trait of its formats and records what CatBoost itself answers.

Writes NAME.json and NAME.cbm (the model) and NAME.rows.json (rows, raw scores, predictions) beside this file; of models that are to
be refused only the files. Run: uv run generate.py
Older formats: uv run --no-project --python 3.8 --with catboost==0.26.1 --with "numpy<1.24" --with "pandas<2" python generate.py
--prefix v0_26_ --only rmse,lossguide,multiclass_absent
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import catboost as cb
import numpy as np

HERE = Path(__file__).parent
COMMON = {
    "iterations": 5,
    "depth": 4,
    "learning_rate": 0.3,
    "random_seed": 7,
    "thread_count": 1,
    "border_count": 16,
    "allow_writing_files": False,
    "verbose": 0,
}


@dataclass
class Case:
    name: str
    kind: type
    x: object
    y: np.ndarray
    params: dict
    fit: dict = field(default_factory=dict)
    names: list[str] | None = None
    change: object = None
    """What is done to the trained model."""
    whole: tuple = ()
    """Columns whose rows hold whole numbers only."""
    refused: tuple = ()
    """Forms that are written of a model that is to be refused."""


def columns(rng, n):
    x = rng.standard_normal((n, 5))
    x[:, 2] = rng.integers(-3, 8, n)
    x[:, 3] = np.exp(2 * x[:, 3])
    return np.round(x, 2)


def rescaled(scale, bias):
    def change(model):
        model.set_scale_and_bias(scale, bias)
        return model

    return change


def cases():
    rng = np.random.default_rng(20261124)
    n = 500
    full = columns(rng, n)
    x = full.copy()
    x[rng.random((n, 5)) < 0.1] = np.nan
    z = np.nan_to_num(x, nan=-1.5)
    signal = z[:, 0] + 0.8 * np.abs(z[:, 1]) + 0.3 * z[:, 2] * (z[:, 0] > 0) + 0.4 * np.log1p(np.abs(z[:, 3]))
    y = signal + 0.2 * rng.standard_normal(n)
    positive = np.exp(y / 4)
    label = (y > np.median(y)).astype(int)
    classes = np.digitize(y, np.quantile(y, [0.33, 0.66]))
    regressor, classifier = cb.CatBoostRegressor, cb.CatBoostClassifier

    yield Case("rmse", regressor, x, y, {})
    yield Case("weights", regressor, x, y, {}, {"sample_weight": rng.random(n) * 3})
    yield Case("mae", regressor, x, y, {"loss_function": "MAE"})
    yield Case("quantile", regressor, x, y, {"loss_function": "Quantile:alpha=0.9"})
    yield Case("huber", regressor, x, y, {"loss_function": "Huber:delta=0.5"})
    yield Case("poisson", regressor, x, np.round(positive), {"loss_function": "Poisson"})
    yield Case("tweedie", regressor, x, positive, {"loss_function": "Tweedie:variance_power=1.3"})
    yield Case("uncertainty", regressor, x, y, {"loss_function": "RMSEWithUncertainty", "depth": 3})
    targets = np.column_stack([y, signal, -y])
    yield Case("multi_rmse", regressor, x, targets, {"loss_function": "MultiRMSE", "depth": 3})
    quantiles = {"loss_function": "MultiQuantile:alpha=0.1,0.5,0.9", "depth": 3}
    yield Case("multi_quantile", regressor, x, y, quantiles)
    bounds = np.column_stack([positive, np.where(label == 1, -1, positive)])
    yield Case("survival_aft", regressor, x, bounds, {"loss_function": "SurvivalAft"})

    yield Case("logloss", classifier, x, label, {})
    yield Case("cross_entropy", classifier, x, label * 0.8 + 0.1, {"loss_function": "CrossEntropy"})
    yield Case("multiclass", classifier, x, classes, {"loss_function": "MultiClass", "depth": 3})
    names = {"loss_function": "MultiClass", "depth": 3, "class_names": [2, 0, 1]}
    yield Case("multiclass_names", classifier, x, classes, names)
    absent = {"loss_function": "MultiClass", "depth": 3, "classes_count": 6}
    yield Case("multiclass_absent", classifier, x, np.array([0, 2, 5])[classes], absent)
    yield Case("multiclass_ova", classifier, x, classes, {"loss_function": "MultiClassOneVsAll", "depth": 3})
    several = np.column_stack([label, classes == 1, classes == 2, z[:, 0] > 0]).astype(int)
    yield Case("multilabel", classifier, x, several, {"loss_function": "MultiLogloss", "depth": 3})

    group = {"group_id": np.repeat(np.arange(20), n // 20)}
    yield Case("yetirank", cb.CatBoostRanker, x, classes, {"loss_function": "YetiRank"}, group)
    yield Case("query_rmse", cb.CatBoostRanker, x, classes, {"loss_function": "QueryRMSE"}, group)

    yield Case("lossguide", regressor, x, y, {"grow_policy": "Lossguide", "max_leaves": 12, "depth": 6})
    yield Case("depthwise", regressor, x, y, {"grow_policy": "Depthwise"})
    asymmetric = {"grow_policy": "Lossguide", "loss_function": "MultiClass", "max_leaves": 8, "iterations": 4}
    yield Case("lossguide_multiclass", classifier, x, classes, asymmetric)
    yield Case("nan_max", regressor, x, y, {"nan_mode": "Max"})
    yield Case("nan_max_depthwise", regressor, x, y, {"nan_mode": "Max", "grow_policy": "Depthwise", "depth": 3})
    yield Case("nan_forbidden", regressor, full, y, {"nan_mode": "Forbidden"})
    yield Case("no_nan_max", regressor, full, y, {"nan_mode": "Max"})
    constant = {"allow_const_label": True, "bootstrap_type": "No", "iterations": 2}
    yield Case("constant", regressor, x, np.full(n, 2.5), constant)
    yield Case("constant_lossguide", regressor, x, np.full(n, 2.5), dict(constant, grow_policy="Lossguide"))
    yield Case("scale_and_bias", regressor, x, y, {}, change=rescaled(0.25, -3.7))
    yield Case("scale_odd", regressor, x, y, {"iterations": 10}, change=rescaled(0.3, 11.1))
    yield Case("scale_and_biases", regressor, x, targets, {"loss_function": "MultiRMSE", "depth": 2}, change=rescaled(-2.0, [0.0, 1.5, -0.1]))
    yield Case("names", regressor, x, y, {}, names=["age", "name with space", "größe", "d", "e"])
    yield Case("ignored", regressor, x, y, {"ignored_features": [1, 4]})
    yield Case("dropped", regressor, x, y, {"ignored_features": [1, 4]}, change=lambda m: (m.drop_unused_features(), m)[1])
    yield Case("stump", regressor, x, y, {"depth": 1, "iterations": 10})
    yield Case("deep", regressor, x, y, {"depth": 10, "iterations": 1})
    other = cb.CatBoostRegressor(**dict(COMMON, random_seed=8, iterations=3)).fit(x, y)
    yield Case("sum", regressor, x, y, {"iterations": 4}, change=lambda m: cb.sum_models([m, other], weights=[0.3, 0.7]))
    c = [[*map(float, row[:2]), int(row[2]), float(row[3]), int(row[4] > 0)] for row in full]
    unused = {"cat_features": [2, 4], "ignored_features": [2, 4]}
    yield Case("unused_categories", regressor, c, y, unused, whole=(2, 4))

    both = ("json", "cbm")
    hot = {"cat_features": [2, 4], "one_hot_max_size": 20}
    yield Case("onehot", regressor, c, 3 * full[:, 2] + y, hot, refused=both)
    yield Case("onehot_lossguide", regressor, c, 3 * full[:, 2] + y, dict(hot, grow_policy="Lossguide", iterations=2), refused=both)
    ctr = {"cat_features": [2], "one_hot_max_size": 2, "max_ctr_complexity": 1, "iterations": 3}
    yield Case("ctr", regressor, c, 3 * full[:, 2] + y, ctr, refused=both)
    words = np.array(["up", "down", "left", "right"])
    t = [[float(row[0]), " ".join(words[rng.integers(0, 4, 2)])] for row in full]
    said = np.array([2.0 * ("up" in row[1]) for row in t])
    yield Case("text", classifier, t, (said > 1).astype(int), {"text_features": [1], "iterations": 2}, refused=("cbm",))
    v = [[float(row[0]), list(map(float, row[1:4]))] for row in full]
    yield Case("embedding", classifier, v, label, {"embedding_features": [1], "iterations": 2}, refused=("cbm",))


def save(model, path, form):
    model.save_model(path, format=form)
    if form == "json":
        # The indentation is half of the file.
        path.write_text("".join(line.strip() for line in path.read_text().splitlines()) + "\n")


def probes(case, model, rng):
    """Rows of the data, of borders and their neighbours, of odd values and of nothing."""
    x = np.array(case.x, float)
    rows = [*x[:12]]
    features = json.loads(Path(HERE / f"{case.name}.json").read_text())["features_info"]["float_features"]
    borders = [(f["flat_feature_index"], np.float32(b)) for f in features for b in f["borders"] or []]
    rng.shuffle(borders)
    for place, border in borders[:6]:
        place, up = int(place), np.nextafter(np.float32(border), np.float32(np.inf))
        middle = (float(border) + float(up)) / 2
        # The middle rounds to the even one of both; just beside it to the nearer.
        for value in (border, up, middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)):
            row = x[rng.integers(len(x))].copy()
            row[place] = value
            rows.append(row)
    for value in (-0.0, 1e-46, 1e39, -1e300, np.inf, -np.inf, np.nan):
        rows.append(np.full(x.shape[1], value))
        rows.append(np.where(rng.random(x.shape[1]) < 0.5, value, x[rng.integers(len(x))]))
    return rows


def asked(case, rows):
    """Rows as CatBoost takes them: columns of categories are whole."""
    if not case.whole:
        return np.array(rows)
    return [[int(np.nan_to_num(v, posinf=1, neginf=1) % 5) if i in case.whole else v for i, v in enumerate(row)] for row in rows]


def plain(value):
    value = np.asarray(value, float)
    if value.ndim:
        return [plain(one) for one in value]
    if np.isnan(value):
        return None
    return float(value) if np.isfinite(value) else ("inf" if value > 0 else "-inf")


def answers(case, model, rows):
    raw = cb.CatBoost.predict(model, rows, prediction_type="RawFormulaVal")
    if case.kind is not cb.CatBoostClassifier:
        return raw, model.predict(rows)
    probabilities = model.predict_proba(rows)
    return raw, probabilities if np.ndim(raw) > 1 else probabilities[:, 1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    rng = np.random.default_rng(5)
    for case in cases():
        if args.only and case.name not in args.only.split(","):
            continue
        case.name = args.prefix + case.name
        model = case.kind(**dict(COMMON, **case.params))
        if case.names:
            model.fit(cb.Pool(case.x, case.y, feature_names=case.names))
        else:
            model.fit(case.x, case.y, **case.fit)
        model = case.change(model) if case.change else model
        for form in case.refused or ("json", "cbm"):
            save(model, HERE / f"{case.name}.{form}", form)
        if case.refused:
            print(case.name, "refused")
            continue
        rows = probes(case, model, rng)
        raw, prediction = answers(case, model, asked(case, rows))
        for form in ("json", "cbm"):
            again = type(model)()
            again.load_model(HERE / f"{case.name}.{form}", format=form)
            read = cb.CatBoost.predict(again, asked(case, rows), prediction_type="RawFormulaVal")
            # CatBoost's own reader of JSON rounds some of the numbers that it wrote to a neighbour.
            same = np.array_equal(raw, read) if form == "cbm" else np.allclose(raw, read, 1e-14, 1e-14)
            assert same, (case.name, form)
        answer = {
            "catboost": cb.__version__,
            "rows": plain(rows),
            "raw": plain(raw),
            "prediction": plain(prediction),
        }
        (HERE / f"{case.name}.rows.json").write_text(json.dumps(answer) + "\n")
        print(case.name, len(rows), np.shape(raw))


if __name__ == "__main__":
    main()
