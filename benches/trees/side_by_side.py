# /// script
# requires-python = ">=3.12"
# dependencies = ["xgboost-cpu==3.4.1", "lightgbm==4.7.0", "onnxruntime==1.32.0", "onnxmltools==1.16.0", "skl2onnx==1.20.0", "numpy==2.4.6", "scipy==1.17.1"]
# ///
"""Scores of tree ensembles beside the frameworks' own and onnxruntime's, one thread against one thread.

    uv run benches/trees/side_by_side.py [--depth 8] [--rows 100000] [--trees 500] [--rounds 3]

Trains binary models of 50 features with 2 % missing values, with XGBoost by levels and with LightGBM by leaves, and scores the same rows with all, in turn: one
row at a time (512 rows in rotation, median) and all at once (the fastest round). Raw scores must be equal to the framework's, to the bit.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import lightgbm
import numpy as np
import onnxruntime
import xgboost

FEATURES = 50
ROOT = Path(__file__).parents[2]


def program():
    command = ["cargo", "build", "--release", "--package", "kernel-trees", "--example", "predict", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line).get("executable") for line in lines]
    return next(path for path in built if path and path.endswith("/predict"))


def timed(score, rows, rounds):
    """Microseconds of a row alone, seconds of all rows."""
    alone = []
    for place in range(5 * 512):
        row = rows[place % 512 : place % 512 + 1]
        started = time.perf_counter()
        score(row)
        alone.append(time.perf_counter() - started)
    together = []
    for _ in range(rounds):
        started = time.perf_counter()
        score(rows)
        together.append(time.perf_counter() - started)
    return statistics.median(alone) * 1e6, min(together)


def onnx_session(model, framework):
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [("x", FloatTensorType([None, FEATURES]))]
    if framework == "xgboost":
        converted = onnxmltools.convert_xgboost(model, initial_types=inputs, target_opset=15)
    else:
        converted = onnxmltools.convert_lightgbm(model, initial_types=inputs, target_opset=15, zipmap=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(converted.SerializeToString(), options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ours = program()
    random = np.random.default_rng(1)
    x = random.standard_normal((args.rows, FEATURES)).astype(np.float32)
    x[random.random(x.shape) < 0.02] = np.nan
    z = np.nan_to_num(x)
    y = z[:, 0] + z[:, 1] * z[:, 2] + np.sin(3 * z[:, 3]) + (z[:, 4] > 0.5) * z[:, 5] + 0.3 * z[:, 6:].sum(1) / 6
    y = (y + random.standard_normal(len(y)) > 0).astype(int)
    params = {"objective": "binary:logistic", "max_depth": args.depth, "eta": 0.1, "nthread": 2, "tree_method": "hist"}
    booster = xgboost.train(params, xgboost.DMatrix(x, y), args.trees)
    booster.set_param({"nthread": 1})
    params = {"objective": "binary", "num_leaves": 63, "verbose": -1, "num_threads": 2}
    light = lightgbm.train(params, lightgbm.Dataset(x, y), args.trees)
    print("| model | engine | one row, µs | times ours | all rows, s | times ours |")
    print("|" + "---|" * 6)
    with tempfile.TemporaryDirectory() as folder:
        model, text, given, answer = (Path(folder) / name for name in ("model.json", "model.txt", "rows", "scores"))
        booster.save_model(model)
        light.save_model(text)
        x.astype("<f8").tofile(given)
        for framework, path, expected, engines in [
            (
                "xgboost",
                model,
                booster.predict(xgboost.DMatrix(x), output_margin=True),
                {
                    "xgboost 3.4.1": lambda rows: booster.inplace_predict(rows, predict_type="margin"),
                    "onnxruntime 1.32": lambda rows, session=onnx_session(booster, "xgboost"): session.run(None, {"x": rows}),
                },
            ),
            (
                "lightgbm",
                text,
                light.predict(x, raw_score=True),
                {
                    "lightgbm 4.7": lambda rows: light.predict(rows, raw_score=True, num_threads=1),
                    "onnxruntime 1.32": lambda rows, session=onnx_session(light, "lightgbm"): session.run(None, {"x": rows}),
                },
            ),
        ]:
            printed = subprocess.run([ours, path, given, answer, framework], check=True, capture_output=True, text=True).stdout.split()
            found = np.fromfile(answer, "<f8")
            assert (found == expected.astype("<f8")).all(), "the scores are equal"
            read, laid_out, together, alone = (float(number) for number in printed[1:5])
            name = f"{framework}, read {read * 1e3:.0f} ms, laid out {laid_out * 1e3:.0f} ms"
            print(f"| {name} | loopwright | {alone:.1f} | 1 | {together:.3f} | 1 |", flush=True)
            for engine, score in engines.items():
                one, every = timed(score, x, args.rounds)
                print(f"| {framework} | {engine} | {one:.1f} | {one / alone:.1f} | {every:.3f} | {every / together:.1f} |", flush=True)


if __name__ == "__main__":
    main()
