# /// script
# requires-python = ">=3.12"
# dependencies = ["xgboost-cpu==3.4.1", "shap==0.54.1", "numpy==2.4.6", "scipy==1.17.1"]
# ///
"""Path-dependent Shapley values beside XGBoost's own, one thread against one thread.

    uv run benches/shapley/side_by_side.py [--depths 6,8] [--rows 2000] [--trees 500] [--rounds 3] [--interactions]

Trains a binary model of 40 features with 2 % missing values, explains the same rows with both in turn, and prints rows a second of one
thread (the median of the rounds), their ratio, and the largest difference; then microseconds of a row alone. All times are without reading the model.
With --interactions: the matrices of XGBoost's pred_interactions instead, of many rows only.

A second table is of values against a background of 100 rows, beside shap's own, and against 10,000 rows.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import shap
import xgboost

FEATURES = 40
ROOT = Path(__file__).parents[2]


def program(name):
    command = ["cargo", "build", "--release", "--package", "kernel-shapley", "--example", name, "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line).get("executable") for line in lines]
    return next(path for path in built if path and path.endswith(f"/{name}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="6,8")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interactions", action="store_true")
    args = parser.parse_args()
    ours = program("interactions" if args.interactions else "explain")
    asked = {"pred_interactions": True} if args.interactions else {"pred_contribs": True}
    random = np.random.default_rng(1)
    x = random.standard_normal((60_000, FEATURES)).astype(np.float32)
    x[random.random(x.shape) < 0.02] = np.nan
    z = np.nan_to_num(x)
    y = z[:, 0] + z[:, 1] * z[:, 2] + np.sin(3 * z[:, 3]) + (z[:, 4] > 0.5) * z[:, 5] + 0.3 * z[:, 6:].sum(1) / 6
    y = (y + random.standard_normal(len(y)) > 0).astype(int)
    columns = ["depth", "xgboost 3.4.1 rows/s", "loopwright rows/s", "ratio", "largest difference"]
    if not args.interactions:
        columns += ["a row alone, xgboost µs", "loopwright µs", "ratio"]
    columns.append("model read ms")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))
    boosters = {}
    for depth in map(int, args.depths.split(",")):
        params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "nthread": 2, "tree_method": "hist"}
        booster = xgboost.train(params, xgboost.DMatrix(x, y), args.trees)
        boosters[depth] = booster
        rows = x[: args.rows]
        with tempfile.TemporaryDirectory() as folder:
            model, given, answer = (Path(folder) / name for name in ("model.json", "rows", "values"))
            booster.save_model(model)
            booster.set_param({"nthread": 1})
            rows.astype("<f8").tofile(given)
            rates = {"theirs": [], "ours": []}
            for _ in range(args.rounds):
                data = xgboost.DMatrix(rows, nthread=1)
                started = time.perf_counter()
                theirs = booster.predict(data, **asked)
                rates["theirs"].append(len(rows) / (time.perf_counter() - started))
                printed = subprocess.run([ours, model, given, answer], check=True, capture_output=True, text=True).stdout.split()
                rates["ours"].append(len(rows) / float(printed[3]))
            alone = []
            for place in range(0 if args.interactions else 300):
                row = xgboost.DMatrix(rows[place : place + 1], nthread=1)
                started = time.perf_counter()
                booster.predict(row, pred_contribs=True)
                alone.append((time.perf_counter() - started) * 1e6)
            found = np.fromfile(answer, "<f8").reshape(theirs.shape)
        gap = np.abs(found - theirs).max()
        theirs, mine = (statistics.median(rates[who]) for who in ("theirs", "ours"))
        cells = [f"{depth}", f"{theirs:,.0f}", f"{mine:,.0f}", f"{mine / theirs:.1f}", f"{gap:.1e}"]
        if alone:
            own, other = float(printed[4]), statistics.median(alone)
            cells += [f"{other:,.0f}", f"{own:,.0f}", f"{other / own:.1f}"]
        cells.append(f"{float(printed[1]) * 1e3:.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)
    if args.interactions:
        return
    print("\n| depth | shap 0.54.1 rows/s, 100 rows of background | loopwright rows/s (tables, s) | ratio | with 10,000 rows | largest difference |")
    print("|" + "---|" * 6)
    for depth, booster in boosters.items():
        shaps, found, gap = against(ours, booster, x, args.rows, args.rounds)
        (small, made), (large, made_large) = found[100], found[10_000]
        rates = f"{small:,.0f} ({made:.2f}) | {small / shaps:.0f} | {large:,.0f} ({made_large:.2f})"
        print(f"| {depth} | {shaps:.1f} | {rates} | {gap:.1e} |", flush=True)


def against(ours, booster, x, rows, rounds):
    """Values against backgrounds; shap's on few rows, for it takes tens of milliseconds for each."""
    few = x[:100]
    explainer = shap.TreeExplainer(booster, data=x[1_000:1_100], feature_perturbation="interventional")
    started = time.process_time()
    theirs = explainer.shap_values(few, check_additivity=False)
    shaps = len(few) / (time.process_time() - started)
    with tempfile.TemporaryDirectory() as folder:
        model, given, answer, background = (Path(folder) / name for name in ("model.json", "rows", "values", "background"))
        booster.save_model(model)
        x[:rows].astype("<f8").tofile(given)
        found = {}
        for count in (100, 10_000):
            x[1_000 : 1_000 + count].astype("<f8").tofile(background)
            runs = []
            for _ in range(rounds):
                command = [ours, model, given, answer, background]
                runs.append([float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()])
            found[count] = (rows / statistics.median(run[3] for run in runs), statistics.median(run[2] for run in runs))
            if count == 100:
                values = np.fromfile(answer, "<f8").reshape(rows, -1)[: len(few), :-1]
    gap = np.abs(values - theirs).max()
    return shaps, found, gap


if __name__ == "__main__":
    main()
