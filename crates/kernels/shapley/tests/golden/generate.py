# /// script
# requires-python = ">=3.12"
# dependencies = ["xgboost-cpu==3.4.1", "lightgbm==4.7.0", "numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1"]
# ///
"""Records what XGBoost and LightGBM themselves answer for the models of kernel-trees: path-dependent values of the first rows.

Writes xgboost-NAME.json and lightgbm-NAME.json beside this file, and xgboost-interactions-NAME.json with XGBoost's matrices of the first rows
of some of them. Run: uv run generate.py
"""

import json
from pathlib import Path

import lightgbm
import numpy as np
import xgboost

HERE = Path(__file__).parent
MODELS = HERE.parents[2] / "trees" / "tests" / "golden"
ROWS = 60
XGBOOST = ["regression", "binary", "binary_base_score", "softprob", "categorical", "onehot", "deep", "forest", "poisson", "targets"]
INTERACTIONS = ["regression", "softprob", "categorical"]
ROWS_OF_INTERACTIONS = 20
LIGHTGBM = ["binary", "multiclass", "regression_l1_categorical", "regression_no_missing", "regression_zero_as_missing", "poisson"]


def rows_of(path):
    rows = json.loads(path.read_text())["rows"][:ROWS]
    return np.array([[np.nan if value is None else float(value) for value in row] for row in rows])


def write(name, rows, values, called="values"):
    rows = [[None if np.isnan(value) else str(value) if np.isinf(value) else value for value in row] for row in rows.tolist()]
    (HERE / f"{name}.json").write_text(json.dumps({"rows": rows, called: np.asarray(values, float).reshape(len(rows), -1).tolist()}) + "\n")


for name in XGBOOST:
    booster = xgboost.Booster(model_file=MODELS / "xgboost" / f"{name}.json")
    rows = rows_of(MODELS / "xgboost" / f"{name}.rows.json")
    data = xgboost.DMatrix(rows.astype(np.float32), feature_types=booster.feature_types, missing=np.nan, enable_categorical=True)
    write(f"xgboost-{name}", rows, booster.predict(data, pred_contribs=True))
    if name in INTERACTIONS:
        first = range(ROWS_OF_INTERACTIONS)
        write(f"xgboost-interactions-{name}", rows[first], booster.predict(data.slice(first), pred_interactions=True), "interactions")

for name in LIGHTGBM:
    booster = lightgbm.Booster(model_file=MODELS / f"{name}.txt")
    rows = rows_of(MODELS / f"{name}.json")
    write(f"lightgbm-{name}", rows, booster.predict(rows, pred_contrib=True))
