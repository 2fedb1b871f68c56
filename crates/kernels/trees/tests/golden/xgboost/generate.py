# /// script
# requires-python = ">=3.12"
# dependencies = ["xgboost-cpu==3.4.1", "numpy==2.4.6", "scipy==1.17.1"]
# ///
"""Trains one small XGBoost model per trait of its format and records what XGBoost itself answers.

Writes NAME.json and NAME.ubj (the model) and NAME.rows.json (rows, margins, predictions) beside this file. Run: uv run generate.py
An older format: uv run --with xgboost-cpu==2.1.4 generate.py --prefix v2_ --only binary,softprob,dart,categorical,poisson
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xgboost as xgb

HERE = Path(__file__).parent
COMMON = {"max_depth": 4, "eta": 0.3, "nthread": 1, "seed": 7, "tree_method": "hist", "verbosity": 0}


@dataclass
class Case:
    name: str
    x: np.ndarray
    y: np.ndarray
    params: dict
    rounds: int = 6
    types: list[str] | None = None
    extra: dict = field(default_factory=dict)


def data(rng, n):
    x = rng.standard_normal((n, 5)).astype(np.float32)
    x[:, 2] = rng.integers(-3, 8, n)
    x[:, 3] = np.exp(2 * x[:, 3])
    x[rng.random((n, 5)) < 0.1] = np.nan
    return x


def cases():
    rng = np.random.default_rng(20261123)
    n = 900
    x = data(rng, n)
    z = np.nan_to_num(x, nan=-1.5)
    signal = z[:, 0] + 0.8 * np.abs(z[:, 1]) + 0.3 * z[:, 2] * (z[:, 0] > 0) + 0.4 * np.log1p(np.abs(z[:, 3]))
    y = (signal + 0.2 * rng.standard_normal(n)).astype(np.float32)
    positive = np.exp(y / 4)
    label = (y > np.median(y)).astype(int)
    classes = np.digitize(y, np.quantile(y, [0.33, 0.66]))
    yield Case("regression", x, y, {"objective": "reg:squarederror"})
    yield Case("base_score", x, y, {"objective": "reg:squarederror", "base_score": 0.37})
    yield Case("absolute_error", x, y, {"objective": "reg:absoluteerror"})
    yield Case("pseudo_huber", x, y, {"objective": "reg:pseudohubererror"})
    yield Case("squared_log_error", x, positive, {"objective": "reg:squaredlogerror"})
    yield Case("reg_logistic", x, label, {"objective": "reg:logistic"})
    yield Case("binary", x, label, {"objective": "binary:logistic"})
    yield Case("binary_base_score", x, label, {"objective": "binary:logistic", "base_score": 0.2})
    yield Case("logitraw", x, label, {"objective": "binary:logitraw"})
    yield Case("hinge", x, label, {"objective": "binary:hinge"})
    yield Case("poisson", x, np.round(positive), {"objective": "count:poisson"})
    yield Case("gamma", x, positive, {"objective": "reg:gamma"})
    yield Case("tweedie", x, positive, {"objective": "reg:tweedie", "tweedie_variance_power": 1.3})
    yield Case("softmax", x, classes, {"objective": "multi:softmax", "num_class": 3})
    yield Case("softprob", x, classes, {"objective": "multi:softprob", "num_class": 3})
    yield Case("aft", x, positive, {"objective": "survival:aft"}, extra={"bounds": True})
    yield Case("cox", x, np.where(label == 1, positive, -positive), {"objective": "survival:cox"})
    yield Case("ranking", x, label, {"objective": "rank:ndcg"}, extra={"group": [30] * 30})
    yield Case("quantiles", x, y, {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]})
    yield Case("dart", x, label, {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4}, rounds=12)
    dart = {"objective": "multi:softprob", "num_class": 3, "booster": "dart", "rate_drop": 0.4}
    yield Case("dart_softprob", x, classes, dart, rounds=8)
    yield Case("forest", x, y, {"objective": "reg:squarederror", "num_parallel_tree": 4, "subsample": 0.6}, rounds=3)
    targets = np.column_stack([y, signal, -y]).astype(np.float32)
    yield Case("targets", x, targets, {"objective": "reg:squarederror"})
    yield Case("vector_leaves", x, targets, {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"})
    yield Case("constant", x, np.full(n, 2.5, np.float32), {"objective": "reg:squarederror"}, rounds=2)
    yield Case("deep", x, y, {"objective": "reg:squarederror", "max_depth": 0, "max_leaves": 60, "grow_policy": "lossguide"}, rounds=3)
    c = x.copy()
    levels = rng.standard_normal(40)
    c[:, 2] = rng.integers(0, 40, n)
    c[:, 4] = rng.integers(0, 3, n)
    c[rng.random(n) < 0.1, 2] = np.nan
    grouped = (np.nan_to_num(c[:, 0]) + 2 * levels[np.nan_to_num(c[:, 2]).astype(int)] + c[:, 4]).astype(np.float32)
    types = ["q", "q", "c", "q", "c"]
    yield Case("categorical", c, grouped, {"objective": "reg:squarederror", "max_cat_to_onehot": 4}, types=types)
    yield Case("onehot", c, grouped, {"objective": "reg:squarederror", "max_cat_to_onehot": 64}, types=types)
    yield Case("linear", np.nan_to_num(x), y, {"objective": "reg:squarederror", "booster": "gblinear", "max_depth": None})


def matrix(case, x, y=None):
    made = xgb.DMatrix(x, label=None, feature_types=case.types, missing=np.nan, enable_categorical=case.types is not None)
    if y is None:
        return made
    if case.extra.get("bounds"):
        made.set_float_info("label_lower_bound", y)
        made.set_float_info("label_upper_bound", np.where(np.arange(len(y)) % 5 == 0, np.inf, y))
    else:
        made.set_label(y)
    if group := case.extra.get("group"):
        made.set_group(group)
    return made


def probes(case, rng):
    """Rows of the data, and rows of thresholds, their neighbours, odd values and nothing."""
    rows = [*case.x[:60]]
    booster = json.loads(case.raw)["learner"]["gradient_booster"]
    trees = booster.get("gbtree", booster).get("model", {}).get("trees", [])
    cuts = [(i, np.float32(c)) for t in trees for i, c, l in zip(t["split_indices"], t["split_conditions"], t["left_children"]) if l >= 0]
    for index, cut in cuts[:40]:
        for value in (cut, np.nextafter(cut, np.float32(np.inf)), np.nextafter(cut, np.float32(-np.inf))):
            row = case.x[rng.integers(len(case.x))].copy()
            if case.types is None or case.types[index] == "q":
                row[index] = value
            rows.append(row)
    odd = [0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.nan]
    for value in odd:
        row = np.full(case.x.shape[1], value, np.float32)
        if case.types:
            row[[k == "c" for k in case.types]] = np.nan
        rows.append(row)
    if case.types:
        for level in (0, 1, 31, 32, 39, 2, np.nan):
            row = case.x[rng.integers(len(case.x))].copy()
            row[2] = level
            rows.append(row)
    return np.array(rows, np.float32)


def plain(value):
    value = np.asarray(value)
    if value.ndim:
        return [plain(one) for one in value]
    return None if np.isnan(value) else float(value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    rng = np.random.default_rng(5)
    for case in cases():
        if args.only and case.name not in args.only.split(","):
            continue
        params = {key: value for key, value in (COMMON | case.params).items() if value is not None}
        booster = xgb.train(params, matrix(case, case.x, case.y), case.rounds)
        name = args.prefix + case.name
        booster.save_model(HERE / f"{name}.json")
        booster.save_model(HERE / f"{name}.ubj")
        case.raw = booster.save_raw("json")
        rows = probes(case, rng)
        asked = matrix(case, rows)
        answer = {
            "xgboost": xgb.__version__,
            "rows": plain(rows),
            "margin": plain(booster.predict(asked, output_margin=True)),
            "prediction": plain(booster.predict(asked)),
        }
        (HERE / f"{name}.rows.json").write_text(json.dumps(answer) + "\n")
        print(name, rows.shape)


if __name__ == "__main__":
    main()
