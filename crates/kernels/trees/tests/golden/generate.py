# /// script
# requires-python = ">=3.11"
# dependencies = ["lightgbm==4.7.0", "numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1"]
# ///
"""Trains one small LightGBM model per trait of the text format and records what LightGBM itself answers.

Writes NAME.txt (the model) and NAME.json (rows, raw score, prediction) beside this file. Run: uv run generate.py
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import lightgbm as lgb
import numpy as np

HERE = Path(__file__).parent
COMMON = {
    "num_leaves": 12,
    "learning_rate": 0.2,
    "min_data_in_leaf": 5,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
    "verbosity": -1,
}
# Around LightGBM's zero threshold, which is the 32-bit float 1e-35 widened to 64 bits.
NEAR_ZERO = [0.0, -0.0, 1e-36, -1e-36, 1e-35, -1e-35, float(np.float32(1e-35)), 2e-35, -2e-35]
NOT_FINITE = [np.nan, np.inf, -np.inf]
LEVELS = [0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 99, 100, 127, 128, 1e6, 2**31 - 1, 2**31, 3e9]
ODD_LEVELS = [-1, -3, -0.5, 3.7, np.nan, np.inf, -np.inf]


@dataclass
class Case:
    name: str
    x: np.ndarray
    y: np.ndarray
    params: dict
    rounds: int = 6
    categorical: list[int] = field(default_factory=list)
    group: list[int] | None = None


def columns(*cols):
    return np.column_stack([np.asarray(c, float) for c in cols])


def with_gaps(rng, values, share, gap=np.nan):
    return np.where(rng.random(len(values)) < share, gap, values)


def numeric(rng, n):
    """Four numeric columns: gaps, many zeros, small integers, a wide positive range with gaps."""
    return columns(
        with_gaps(rng, rng.standard_normal(n), 0.15),
        with_gaps(rng, rng.standard_normal(n), 0.4, 0.0),
        rng.integers(-3, 8, n),
        with_gaps(rng, np.exp(2 * rng.standard_normal(n)), 0.1),
    )


def signal(x):
    z = np.nan_to_num(x, nan=-1.5)
    return z[:, 0] + 0.8 * np.abs(z[:, 1]) + 0.3 * z[:, 2] * (z[:, 0] > 0) + 0.5 * np.log1p(np.abs(z[:, 3]))


def cases():
    rng = np.random.default_rng(20261123)
    n = 1200

    def noise(scale=0.2):
        return scale * rng.standard_normal(n)

    cat40, cat100, cat5 = rng.integers(0, 40, n), rng.integers(0, 100, n), rng.integers(0, 5, n)
    level40, level100, level5 = rng.standard_normal(40), rng.standard_normal(100), rng.standard_normal(5)
    x0, x1 = with_gaps(rng, rng.standard_normal(n), 0.1), rng.standard_normal(n)
    mixed = columns(x0, x1, with_gaps(rng, cat40, 0.05), cat100, rng.integers(0, 24, n), with_gaps(rng, cat5, 0.1))
    y = np.nan_to_num(x0, nan=2.0) + 2 * level40[cat40] + 2 * level100[cat100] + level5[cat5] + noise()
    groups = {"min_data_per_group": 5, "cat_smooth": 1.0, "max_cat_threshold": 48, "max_cat_to_onehot": 4}
    yield Case("regression_l1_categorical", mixed, y, {"objective": "regression_l1", **groups}, 10, [2, 3, 5])
    full = mixed.copy()
    full[:, [2, 3, 5]] = columns(cat40, cat100, cat5)
    yield Case("regression_categorical_no_missing", full, y, {"objective": "regression", **groups}, 4, [2, 3, 5])

    x = numeric(rng, n)
    y = signal(x) + noise()
    yield Case("regression_zero_as_missing", x, y, {"objective": "regression", "zero_as_missing": True})
    yield Case("regression_no_missing", x, y, {"objective": "regression", "use_missing": False})
    yield Case("regression_sqrt", x, 3 * y, {"objective": "regression", "reg_sqrt": True}, 4)
    yield Case("binary", x, (y > np.median(y)).astype(float), {"objective": "binary"})
    yield Case("binary_sigmoid", x, (y > np.median(y)).astype(float), {"objective": "binary", "sigmoid": 0.7}, 3)
    classes = np.digitize(y, np.quantile(y, [0.3, 0.7])).astype(float)
    yield Case("multiclass", x, classes, {"objective": "multiclass", "num_class": 3}, 4)
    yield Case("multiclassova", x, classes, {"objective": "multiclassova", "num_class": 3, "sigmoid": 0.8}, 2)
    counts = rng.poisson(np.exp(np.clip(y / 3, -3, 3))).astype(float)
    yield Case("poisson", x, counts, {"objective": "poisson"})
    shares = 1 / (1 + np.exp(-y))
    yield Case("cross_entropy_lambda", x, shares, {"objective": "cross_entropy_lambda"}, 3)
    rf = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.8}
    yield Case("rf", x, y, {"objective": "regression", **rf}, 7)
    yield Case("rf_binary", x, (y > 1).astype(float), {"objective": "binary", **rf}, 5)
    yield Case("dart", x, y, {"objective": "regression", "boosting": "dart", "drop_rate": 0.5, "skip_drop": 0.0}, 8)
    yield Case("constant", x, np.full(n, 3.25), {"objective": "regression"}, 3)
    yield Case("linear_tree", np.nan_to_num(x), y, {"objective": "regression", "linear_tree": True}, 3)
    yield Case("lambdarank", x, classes, {"objective": "lambdarank"}, 4, group=[20] * (n // 20))

    def squared_error(scores, data):
        return scores - data.get_label(), np.ones_like(scores)

    yield Case("custom_objective", x, y, {"objective": squared_error}, 4)


def splits(model_text):
    """(feature, threshold) of every numeric split, in file order."""
    for block in model_text.split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n\n")[0].splitlines()[1:])
        if not lines.get("split_feature"):
            continue
        table = zip(lines["split_feature"].split(), lines["threshold"].split(), lines["decision_type"].split())
        for feature, threshold, decision in table:
            if not int(decision) & 1:
                yield int(feature), float(threshold)


def probe_rows(case, model_text):
    rng = np.random.default_rng(len(case.name))
    pick = case.x[rng.integers(0, len(case.x), 500)]
    base = iter(pick)
    rows = [next(base) for _ in range(14)]

    def put(column, value):
        row = next(base).copy()
        row[column] = value
        rows.append(row)

    for column in range(case.x.shape[1]):
        if column in case.categorical:
            values = LEVELS + ODD_LEVELS
        else:
            values = NEAR_ZERO + NOT_FINITE
        for value in values if column != 4 else NOT_FINITE:
            put(column, value)
    seen = list(dict.fromkeys(splits(model_text)))
    chosen = [seen[i] for i in sorted(rng.permutation(len(seen))[:5])]
    for column, threshold in chosen:
        for value in (threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)):
            put(column, value)
    rows.append(np.full(case.x.shape[1], np.nan))
    rows.append(np.zeros(case.x.shape[1]))
    return np.array(rows)


def plain(value):
    """JSON for a number or a row of numbers: NaN is null, an infinity is the string "inf" or "-inf"."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else str(value)


def write(case):
    data = lgb.Dataset(
        case.x,
        case.y,
        group=case.group,
        categorical_feature=case.categorical or "auto",
        params={"linear_tree": case.params.get("linear_tree", False)},
    )
    trained = lgb.train({**COMMON, **case.params}, data, case.rounds)
    text = trained.model_to_string()
    model = lgb.Booster(model_str=text)
    rows = probe_rows(case, text)
    raw, prediction = model.predict(rows, raw_score=True), model.predict(rows)
    assert np.array_equal(raw, trained.predict(rows, raw_score=True)), case.name
    (HERE / f"{case.name}.txt").write_text(text)
    body = {
        "rows": plain(rows.tolist()),
        "raw": plain(raw.tolist()),
        "prediction": plain(prediction.tolist()),
    }
    lines = ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(v) for v in values) + "\n]" for key, values in body.items()
    )
    (HERE / f"{case.name}.json").write_text("{\n" + lines + "\n}\n")
    print(f"{case.name}: {len(text)} bytes, {model.num_trees()} trees, {len(rows)} rows")


if __name__ == "__main__":
    for case in cases():
        write(case)
