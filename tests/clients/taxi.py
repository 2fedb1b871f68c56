"""The taxi price model that the serving tests use, with the features of examples/taxi."""

from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import requests
from mlflow.models import infer_signature

TRIPS = Path(__file__).parents[2] / "examples/taxi/data/trips.parquet"
FEATURES = {
    "trip_distance": "FP64",
    "hour": "INT64",
    "weekday": "INT64",
    "passenger_count": "FP64",
    "vendor_id": "FP64",
    "rate_code_id": "FP64",
    "pickup_zone": "INT64",
    "dropoff_zone": "INT64",
}
NUMPY_TYPE = {"FP64": np.float64, "INT64": np.int64}
OPTIONAL = ["passenger_count", "vendor_id", "rate_code_id"]
CATEGORICAL = ["vendor_id", "rate_code_id", "pickup_zone", "dropoff_zone"]
REQUIREMENTS = ["lightgbm", "numpy", "pandas"]
TRAINED_ON = slice(0, 60_000)


@dataclass
class Deployed:
    name: str
    booster: lgb.Booster

    def expected(self, rows):
        return self.booster.predict(rows[list(FEATURES)].to_numpy("float64"))


def load():
    raw = pq.read_table(TRIPS).to_pandas()
    pickup = raw["pickup_datetime"]
    cents = {name: raw[name].astype("float64").round(2) for name in ("total_amount", "tip_amount", "tolls_amount")}
    columns = {
        "trip_distance": raw["trip_distance"].astype("float64").round(2),
        "hour": pickup.dt.hour,
        "weekday": pickup.dt.day_of_week,
        "passenger_count": raw["passenger_count"],
        "vendor_id": raw["vendor_id"],
        "rate_code_id": raw["rate_code_id"],
        "pickup_zone": raw["pickup_location_id"],
        "dropoff_zone": raw["dropoff_location_id"],
    }
    rows = pd.DataFrame({name: columns[name].astype(NUMPY_TYPE[kind]) for name, kind in FEATURES.items()})
    rows["price"] = (cents["total_amount"] - cents["tip_amount"] - cents["tolls_amount"]).round(2)
    return rows


def train(trips, trees=100, **params):
    rows = trips.iloc[TRAINED_ON]
    data = lgb.Dataset(
        rows[list(FEATURES)].to_numpy("float64"),
        rows["price"].to_numpy(),
        feature_name=list(FEATURES),
        categorical_feature=CATEGORICAL,
        params={"linear_tree": params.get("linear_tree", False)},
    )
    fixed = {"objective": "regression_l1", "num_leaves": 31, "seed": 7, "num_threads": 2, "verbosity": -1}
    return lgb.train({**fixed, **params}, data, trees)


def signature(trips):
    sample = trips[list(FEATURES)].head(5).copy()
    sample.loc[sample.index[0], OPTIONAL] = np.nan
    return infer_signature(sample, np.zeros(len(sample)))


def log(booster, trips, name):
    return mlflow.lightgbm.log_model(
        booster,
        name="model",
        registered_model_name=name,
        signature=signature(trips),
        input_example=trips[list(FEATURES)].head(3),
        pip_requirements=REQUIREMENTS,
    )


def deploy(url, name, version="1"):
    body = {"model": name, "version": version, "reason": "client tests"}
    return requests.post(f"{url}/api/v1/endpoints/{name}/deploy", json=body, timeout=60)
