"""Small models of every framework with what their own library answers for 10,000 rows."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "clients/python/src"))

ROWS = 10_000
DOUBLE = 2.0**-52
SINGLE = 2.0**-23

# Names that are no identifiers, or are the same as such; "class" is a word of most languages.
NAMES = ["trip distance", "class", "2nd", "Größe", "trip_distance"]


@dataclass
class Trained:
    path: Path
    names: list[str]
    rows: np.ndarray
    # Of each of the rows, what the library says.
    scores: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray | None
    # What `kernel-trees` and a platform's exp may differ by together, in parts of a prediction.
    relative: float
    # Whether sums are rounded to 32 bits.
    is_single: bool


def columns(numbers):
    numbers = np.asarray(numbers, dtype=np.float64)
    return numbers.reshape(len(numbers), -1)


def data(seed, count, single):
    """Numbers, whole ones, categories; missing values, zeros and what LightGBM takes for them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 5))
    x[:, 1] = rng.integers(-3, 8, count)
    x[:, 2] = rng.integers(0, 40, count)
    x[:, 3] = np.exp(2 * x[:, 3])
    x[rng.random((count, 5)) < 0.08] = np.nan
    zeros = rng.random((count, 5)) < 0.06
    x[zeros] = rng.choice([0.0, -0.0, 1e-36, -1e-36], zeros.sum())
    # A category is a whole number, or missing.
    x[:, 2] = np.where(np.isnan(x[:, 2]), np.nan, np.round(x[:, 2]))
    return x.astype(np.float32).astype(np.float64) if single else x


def targets(x, classes):
    rng = np.random.default_rng(1)
    z = np.nan_to_num(x, nan=-1.5)
    signal = z[:, 0] + 0.8 * np.abs(z[:, 1] - 2) + 0.9 * (z[:, 2] % 3) + 0.4 * np.log1p(np.abs(z[:, 3])) + 0.5 * z[:, 4]
    signal += 0.3 * rng.standard_normal(len(x))
    return np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes)) if classes else signal


def rows_like(x):
    """Rows of which some hold a number that training saw, as thresholds may be."""
    rows = data(99, ROWS, single=False)
    rng = np.random.default_rng(5)
    known = rng.random(rows.shape) < 0.2
    rows[known] = x[rng.integers(0, len(x), rows.shape), np.arange(5)][known]
    return rows


def xgboost_classes(folder):
    """Three classes, categories, missing values."""
    import xgboost as xgb

    x = data(1, 1500, single=True)
    x[:, 2] = np.where(np.isnan(x[:, 2]), np.nan, np.abs(x[:, 2]))
    rows = rows_like(x)
    types = ["q", "q", "c", "q", "q"]
    matrix = lambda x, y=None: xgb.DMatrix(x, y, feature_names=NAMES, feature_types=types, enable_categorical=True, nthread=1)
    params = {"objective": "multi:softprob", "num_class": 3, "max_depth": 4, "eta": 0.4, "nthread": 1, "max_cat_to_onehot": 2}
    booster = xgb.train(params, matrix(x, targets(x, 3)), 8)
    path = folder / "model.ubj"
    booster.save_model(path)
    margins = booster.predict(matrix(rows), output_margin=True)
    found = columns(booster.predict(matrix(rows)))
    return Trained(path, NAMES, rows, columns(margins), found, found, 6 * SINGLE, True)


def xgboost_binary(folder):
    import xgboost as xgb

    x = data(2, 1500, single=True)
    rows = rows_like(x)
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 5, "nthread": 1}, xgb.DMatrix(x, targets(x, 2)), 70)
    path = folder / "model.json"
    booster.save_model(path)
    margins = booster.predict(xgb.DMatrix(rows), output_margin=True)
    found = booster.predict(xgb.DMatrix(rows))
    both = np.stack([np.float32(1) - found, found], axis=1)
    return Trained(path, NAMES, rows, columns(margins), columns(found), columns(both), 6 * SINGLE, True)


def lightgbm(folder, rounds=8, classes=0, **params):
    import lightgbm as lgb

    x = data(3, 1500, single=False)
    x[:, 2] = np.abs(x[:, 2])
    rows = rows_like(x)
    # Its file parts names by blanks.
    names = [name.replace(" ", "-") for name in NAMES]
    categories = params.pop("categories", [])
    linear = {"linear_tree": params.get("linear_tree", False)}
    train = lgb.Dataset(x, targets(x, classes), feature_name=names, categorical_feature=categories, params=linear)
    params = {"num_leaves": 15, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "deterministic": True, **params}
    booster = lgb.train(params, train, rounds)
    path = folder / "model.txt"
    booster.save_model(path)
    raw = booster.predict(rows, raw_score=True, num_threads=1)
    found = columns(booster.predict(rows, num_threads=1))
    several = found if classes > 2 else np.hstack([1 - found, found]) if classes else None
    return Trained(path, names, rows, columns(raw), found, several, 12 * DOUBLE, False)


def lightgbm_categories(folder):
    return lightgbm(folder, classes=3, objective="multiclass", num_class=3, categories=[2], min_data_per_group=5, cat_smooth=1.0)


def lightgbm_zeros(folder):
    return lightgbm(folder, classes=2, objective="binary", zero_as_missing=True)


def lightgbm_none(folder):
    return lightgbm(folder, objective="regression", use_missing=False)


def lightgbm_linear(folder):
    return lightgbm(folder, objective="regression", linear_tree=True, linear_lambda=0.01)


def catboost_classes(folder):
    from catboost import CatBoostClassifier, Pool

    x = data(4, 1500, single=True)
    rows = rows_like(x)
    model = CatBoostClassifier(iterations=12, depth=4, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False, loss_function="MultiClass")
    model.fit(Pool(x, targets(x, 3), feature_names=NAMES))
    path = folder / "model.cbm"
    model.save_model(str(path))
    raw = model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)
    found = columns(model.predict(rows, prediction_type="Probability", thread_count=1))
    return Trained(path, NAMES, rows, columns(raw), found, found, 12 * DOUBLE, False)


def scikit_learn_forest(folder):
    from sklearn.ensemble import RandomForestClassifier

    from loopwright import trees

    x = data(5, 1200, single=False)
    rows = rows_like(x)
    model = RandomForestClassifier(8, max_depth=6, random_state=1, n_jobs=1).fit(x, np.array(["no", "may be", "yes"])[targets(x, 3)])
    path = folder / "model.trees.json"
    trees.save(model, path)
    found = columns(model.predict_proba(rows))
    return Trained(path, NAMES, rows, found, found, found, 0.0, False)


def scikit_learn_histogram(folder):
    from sklearn.ensemble import HistGradientBoostingClassifier

    from loopwright import trees

    x = data(6, 1500, single=False)
    x[:, 2] = np.abs(x[:, 2])
    rows = rows_like(x)
    model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=15, categorical_features=[2], random_state=1).fit(x, targets(x, 2))
    path = folder / "model.trees.json"
    trees.save(model, path)
    raw = columns(model._raw_predict(rows))
    found = columns(model.predict_proba(rows))
    return Trained(path, NAMES, rows, raw, found[:, 1:], found, 12 * DOUBLE, False)


ALL = [
    xgboost_classes,
    xgboost_binary,
    lightgbm_categories,
    lightgbm_zeros,
    lightgbm_none,
    lightgbm_linear,
    catboost_classes,
    scikit_learn_forest,
    scikit_learn_histogram,
]
