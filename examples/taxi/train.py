"""Train the taxi price model and log it with MLflow.

Where to log is up to the usual MLflow variables: MLFLOW_TRACKING_URI,
MLFLOW_EXPERIMENT_NAME, and MLFLOW_RUN_ID to continue a run that exists.
"""

import argparse
import sys
import time
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import lightgbm as lgb
import mlflow
import mlflow.data
import mlflow.lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow.entities import Metric
from mlflow.models import infer_signature

TARGET = "price"
TIME = "pickup_time"
FEATURES = [
    "trip_distance",
    "hour",
    "weekday",
    "passenger_count",
    "vendor_id",
    "rate_code_id",
    "pickup_zone",
    "dropoff_zone",
]
CATEGORICAL = ["vendor_id", "rate_code_id", "pickup_zone", "dropoff_zone"]
NULLABLE = ["passenger_count", "vendor_id", "rate_code_id"]
LEAST_ROWS = 500
REPORT_EVERY = 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, default=Path("build/training.parquet"))
    parser.add_argument("--model-name", default="taxi-price", help="name in the model registry")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--trees", type=int, default=200, help="at most this many")
    parser.add_argument("--leaves", type=int, default=63)
    parser.add_argument("--min-leaf", type=int, default=20, help="least rows in a leaf")
    parser.add_argument("--patience", type=int, default=20, help="trees without a gain before stopping")
    parser.add_argument("--validation-share", type=float, default=0.1, help="newest rows held back")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="more only pays on an idle machine")
    args = parser.parse_args()
    if not 0 < args.validation_share < 0.5:
        parser.error("--validation-share must lie between 0 and 0.5")
    return args


def load(path):
    """The table in time order, or a SystemExit that says what is wrong with it."""
    if not path.is_file():
        sys.exit(f"train.py: there is no training table at {path}")
    wanted = [TIME, *FEATURES, TARGET]
    there = pq.read_schema(path).names
    missing = [name for name in wanted if name not in there]
    if missing:
        sys.exit(f"train.py: {path} has no column {', '.join(missing)} (it has {', '.join(there)})")
    rows = pq.read_table(path, columns=wanted).to_pandas()
    if rows[TARGET].isna().any():
        sys.exit(f"train.py: {int(rows[TARGET].isna().sum())} rows of {path} have no {TARGET}")
    if len(rows) < LEAST_ROWS:
        sys.exit(f"train.py: {path} has {len(rows)} rows, at least {LEAST_ROWS} are needed")
    for name in NULLABLE:
        rows[name] = rows[name].astype("float64")
    return rows.sort_values(TIME, kind="stable", ignore_index=True)


def fit(args, fitted, tail, after_each_tree):
    """Boost on the older rows until the newest ones stop getting better."""
    params = {
        "objective": "regression_l1",
        "metric": "l1",
        "learning_rate": args.learning_rate,
        "num_leaves": args.leaves,
        "min_data_in_leaf": args.min_leaf,
        "num_threads": args.threads,
        "seed": args.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }

    def data(rows, reference=None):
        return lgb.Dataset(
            rows[FEATURES].to_numpy("float64"),
            rows[TARGET].to_numpy(),
            feature_name=FEATURES,
            categorical_feature=CATEGORICAL,
            reference=reference,
        )

    first = data(fitted)
    return lgb.train(
        params,
        first,
        num_boost_round=args.trees,
        valid_sets=[first, data(tail, first)],
        valid_names=["train", "validation"],
        callbacks=[
            after_each_tree,
            lgb.early_stopping(args.patience, first_metric_only=True, verbose=False),
        ],
    )


class Progress:
    """Prints a line and sends a batch of metrics every few trees."""

    order = 5

    def __init__(self, run_id, trees):
        self.client = mlflow.MlflowClient()
        self.run_id, self.trees = run_id, trees
        self.grown, self.waiting = 0, []

    def __call__(self, env):
        self.grown = tree = env.iteration + 1
        now = int(time.time() * 1000)
        maes = {f"{result[0]}_mae": result[2] for result in env.evaluation_result_list}
        self.waiting += [Metric(name, value, now, tree) for name, value in maes.items()]
        if tree % REPORT_EVERY == 0 or tree == self.trees:
            shown = " ".join(f"{name}={value:.4f}" for name, value in maes.items())
            print(f"tree {tree}/{self.trees} {shown}", flush=True)
            self.send()

    def send(self):
        if self.waiting:
            self.client.log_batch(self.run_id, metrics=self.waiting)
            self.waiting = []


@contextmanager
def without_advice():
    """Two hints that do not apply: the integer columns are never null, and the source is a plain file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*integer column")
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
        yield


def signature_of(model, rows):
    """Inferred from data in which every nullable column has a null, so that it is not required."""
    sample = rows[FEATURES].head(5).copy()
    sample.loc[sample.index[0], NULLABLE] = np.nan
    with without_advice():
        return infer_signature(sample, model.predict(sample))


def main():
    args = arguments()
    begun = time.perf_counter()
    with mlflow.start_run() as run:
        rows = load(args.training)
        cut = len(rows) - max(1, round(len(rows) * args.validation_share))
        fitted, tail = rows.iloc[:cut], rows.iloc[cut:]
        first, last = rows[TIME].iloc[0], rows[TIME].iloc[-1]
        print(f"{len(rows)} rows, {first:%Y-%m-%d} to {last:%Y-%m-%d}, newest {len(tail)} for validation", flush=True)

        mlflow.log_params({**{k: v for k, v in vars(args).items() if k != "training"}, "rows": len(rows)})
        with without_advice():
            dataset = mlflow.data.from_pandas(
                rows, source=str(args.training), targets=TARGET, name=args.training.stem
            )
            mlflow.log_input(dataset, context="training")

        progress = Progress(run.info.run_id, args.trees)
        model = fit(args, fitted, tail, progress)
        progress.send()

        best = model.best_iteration or model.current_iteration()
        truth = tail[TARGET].to_numpy()
        guess = model.predict(tail[FEATURES].to_numpy("float64"), num_iteration=best)
        final = {
            "validation_mae": float(np.abs(guess - truth).mean()),
            "validation_bias": float((guess - truth).mean()),
            "trees_kept": float(best),
            "fit_seconds": time.perf_counter() - begun,
        }
        # The same step as the last tree: the value MLflow then shows as the latest.
        mlflow.log_metrics(final, step=progress.grown)

        logged = mlflow.lightgbm.log_model(
            model,
            name="model",
            registered_model_name=args.model_name,
            signature=signature_of(model, rows),
            input_example=rows[FEATURES].head(3),
            # Named here so that MLflow need not load the model in a second process to find out.
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow-skinny", "lightgbm", "numpy", "pandas")],
        )
        print(
            f"kept {best} trees, validation_mae={final['validation_mae']:.4f}, "
            f"{args.model_name} version {logged.registered_model_version}, "
            f"{time.perf_counter() - begun:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
