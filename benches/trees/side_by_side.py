# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "xgboost-cpu==3.4.1", "lightgbm==4.7.0", "catboost==1.2.10", "scikit-learn==1.9.1", "onnxruntime==1.32.0", "onnxmltools==1.16.0",
#   "skl2onnx==1.20.0", "treelite==4.8.1", "tl2cgen==1.0.0", "numpy==2.4.6", "scipy==1.17.1", "loopwright",
# ]
#
# [tool.uv.sources]
# loopwright = { path = "../../clients/python" }
# ///
"""Scores of tree ensembles beside the frameworks' own, onnxruntime's and tl2cgen's, one thread against one thread.

    uv run benches/trees/side_by_side.py [--depth 8] [--rows 100000] [--trees 500] [--rounds 3] [--only xgboost,lightgbm,catboost,scikit-learn]

Trains binary models of 50 features with 2 % missing values and scores the same rows with all, in turn: one row at a time (512 rows in rotation, median) and
all at once (the fastest round). A row alone goes through each engine's Python interface, ours through none; LightGBM's C call for one row is timed from Python
without its pandas and numpy checks (`LGBM_BoosterPredictForMatSingleRowFast`). tl2cgen is compiled by gcc -O3. Raw scores must be equal to the
framework's, to the bit; ours are timed with the processor's best vectors, with AVX2 and with none.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import catboost
import lightgbm
import loopwright.trees
import numpy as np
import onnxruntime
import tl2cgen
import treelite
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier

FEATURES = 50
ROOT = Path(__file__).parents[2]


def programs():
    """Those that predict and pack."""
    command = ["cargo", "build", "--release", "--package", "kernel-trees", "--examples", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [path for path in (json.loads(line).get("executable") for line in lines) if path]
    return [next(path for path in built if path.endswith(name)) for name in ("/predict", "/pack")]


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
    return statistics.median(alone) * 1e6, min(together, default=None)


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


def light_row(light):
    """LightGBM's own call for one row after the other, which keeps what it has set up."""
    from lightgbm.basic import _LIB, _safe_call

    config = ctypes.c_void_p()
    kind, raw, last = 0, 1, -1
    _safe_call(
        _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            light._handle, ctypes.c_int(raw), ctypes.c_int(0), ctypes.c_int(last), ctypes.c_int(kind),
            ctypes.c_int32(FEATURES), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(config),
        )
    )
    length, answer = ctypes.c_int64(), (ctypes.c_double * 1)()
    call, length_at = _LIB.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length)

    def score(row):
        call(config, ctypes.c_void_p(row.ctypes.data), length_at, answer)

    return score


def compiled(model, folder, threads=1):
    """The model as C code."""
    library = folder / "compiled.so"
    tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 8}, nthread=2)
    predictor = tl2cgen.Predictor(library, nthread=threads)
    return lambda rows: predictor.predict(tl2cgen.DMatrix(rows), pred_margin=True)


def frameworks(names, x, y, args, folder):
    """By name: the file that we read, the framework's raw scores, and what scores rows."""
    if "xgboost" in names:
        params = {"objective": "binary:logistic", "max_depth": args.depth, "eta": 0.1, "nthread": 2, "tree_method": "hist"}
        booster = xgboost.train(params, xgboost.DMatrix(x, y), args.trees)
        booster.set_param({"nthread": 1})
        booster.save_model(folder / "model.json")
        session = onnx_session(booster, "xgboost")
        yield "xgboost", folder / "model.json", booster.predict(xgboost.DMatrix(x), output_margin=True), {
            "xgboost 3.4.1": (lambda rows: booster.inplace_predict(rows, predict_type="margin"), None),
            "onnxruntime 1.32": (lambda rows: session.run(None, {"x": rows}), None),
            "tl2cgen 1.0": (compiled(treelite.frontend.from_xgboost(booster), folder), None),
        }
    if "lightgbm" in names:
        params = {"objective": "binary", "num_leaves": 63, "verbose": -1, "num_threads": 2}
        light = lightgbm.train(params, lightgbm.Dataset(x, y), args.trees)
        light.save_model(folder / "model.txt")
        light_session = onnx_session(light, "lightgbm")
        yield "lightgbm", folder / "model.txt", light.predict(x, raw_score=True), {
            "lightgbm 4.7": (lambda rows: light.predict(rows, raw_score=True, num_threads=1), None),
            "lightgbm 4.7, C": (None, light_row(light)),
            "onnxruntime 1.32": (lambda rows: light_session.run(None, {"x": rows}), None),
        }
    if "catboost" in names:
        cat = catboost.CatBoostClassifier(
            iterations=args.trees, depth=args.depth, learning_rate=0.1, verbose=False, thread_count=2, allow_writing_files=False
        ).fit(x, y)
        cat.save_model(str(folder / "model.cbm"))
        yield "catboost", folder / "model.cbm", cat.predict(x, prediction_type="RawFormulaVal"), {
            "catboost 1.2.10": (lambda rows: cat.predict(rows, prediction_type="RawFormulaVal", thread_count=1), None),
        }
    if "scikit-learn" in names:
        boosting = HistGradientBoostingClassifier(max_iter=args.trees, max_depth=args.depth, early_stopping=False).fit(x, y)
        loopwright.trees.save(boosting, folder / "model.trees.json")
        yield "scikit-learn", folder / "model.trees.json", boosting.decision_function(x), {
            "scikit-learn 1.9.1": (boosting.decision_function, None),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="xgboost,lightgbm,catboost,scikit-learn")
    args = parser.parse_args()
    ours, pack = programs()
    random = np.random.default_rng(1)
    x = random.standard_normal((args.rows, FEATURES)).astype(np.float32)
    x[random.random(x.shape) < 0.02] = np.nan
    z = np.nan_to_num(x)
    y = z[:, 0] + z[:, 1] * z[:, 2] + np.sin(3 * z[:, 3]) + (z[:, 4] > 0.5) * z[:, 5] + 0.3 * z[:, 6:].sum(1) / 6
    y = (y + random.standard_normal(len(y)) > 0).astype(int)
    print("| model | engine | one row, µs | times ours | all rows, s | times ours |")
    print("|" + "---|" * 6)
    with tempfile.TemporaryDirectory() as folder:
        given, answer = (Path(folder) / name for name in ("rows", "scores"))
        x.astype("<f8").tofile(given)
        for framework, path, expected, engines in frameworks(args.only.split(","), x, y, args, Path(folder)):
            name = framework
            for vectors in ["unused", "avx2", "best"]:
                command = [ours, path, given, answer, vectors]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                found = np.fromfile(answer, "<f8")
                assert (found == np.asarray(expected).astype("<f8")).all(), "the scores are equal"
                read, laid_out, together, alone = (float(number) for number in printed[1:5])
                if vectors == "best":
                    packed = path.with_suffix(".lwtrees")
                    subprocess.run([pack, path, packed], check=True)
                    # Few rows: it is the reading that counts, with what the file's pages take to come.
                    few = Path(folder) / "few"
                    x[:512].astype("<f8").tofile(few)
                    again = subprocess.run([ours, packed, few, answer], check=True, capture_output=True, text=True).stdout.split()
                    ready = (float(again[1]) + float(again[2])) * 1e3
                    name = f"{framework}, read {read * 1e3:.0f} ms, laid out {laid_out * 1e3:.0f} ms, ready from lwtrees {ready:.0f} ms"
                print(f"| {name} | loopwright, vectors: {vectors} | {alone:.1f} | | {together:.3f} | |", flush=True)
            for engine, (score, score_row) in engines.items():
                one, _ = timed(score_row or score, x, 0)
                every = timed(score, x, args.rounds)[1] if score else None
                bulk = f"{every:.3f} | {every / together:.1f}" if every else " | "
                print(f"| {framework} | {engine} | {one:.1f} | {one / alone:.1f} | {bulk} |", flush=True)


if __name__ == "__main__":
    main()
