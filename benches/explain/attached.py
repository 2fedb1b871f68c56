"""What it costs that an answer says why: one row a request with and without the parameter `explain`, in turn, and with every prediction's explanation stored.

    uv run --frozen --project tests/clients python benches/explain/attached.py --ours target/release/loopwright [--depth 6] [--trees 500] [--secs 5] [--rounds 3]

One XGBoost model of 50 features on an endpoint of a server with an empty SQLite directory; `wrk` sends 512 different rows in rotation over the Open Inference
Protocol as JSON, first over one connection (latency), then over 16 (throughput). The load generator shares the machine's cores, so the CPU time of
the server for each request stands beside the rates.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import requests
import xgboost
from mlflow.models import infer_signature

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mlflow"))
from side_by_side import Server, cpu_seconds  # noqa: E402

FEATURES = 50
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local place = 0
request = function()
  place = place %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[place])
end
"""


def model(args, random):
    columns = [f"x{number}" for number in range(FEATURES)]
    frame = pd.DataFrame(random.standard_normal((20_000, FEATURES)).astype(np.float32), columns=columns)
    x = frame.to_numpy()
    target = (x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3 * x[:, 3]) + random.standard_normal(len(x)) > 0).astype(int)
    params = {"objective": "binary:logistic", "max_depth": args.depth, "eta": 0.1, "nthread": 2, "tree_method": "hist"}
    return xgboost.train(params, xgboost.DMatrix(frame, target), args.trees), frame


def bodies(frame, folder, explained):
    path = folder / f"bodies-{explained}.jsonl"
    with path.open("w") as file:
        for row in frame[:512].to_numpy():
            inputs = [
                {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [float(value)]}
                for name, value in zip(frame.columns, row, strict=True)
            ]
            body = {"inputs": inputs}
            if explained:
                body["parameters"] = {"explain": True}
            file.write(json.dumps(body) + "\n")
    return path


def load(server, url, path, connections, secs, folder):
    script = folder / "load.lua"
    script.write_text(SCRIPT % path)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{secs}s", "--latency", "-s", str(script), url]
    before = cpu_seconds(server.process.pid)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(server.process.pid) - before
    if "Non-2xx" in printed or "Socket errors" in printed:
        sys.exit(printed)
    units = {"us": 1e-3, "ms": 1, "s": 1e3}
    percentile = {
        share: float(value) * units[unit] for share, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", printed)
    }
    count = int(re.search(r"(\d+) requests in", printed)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1])
    return rate, percentile["50"], percentile["99"], spent / count * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    random = np.random.default_rng(1)
    booster, frame = model(args, random)
    server = Server("loopwright", [str(Path(args.ours).resolve()), "up", "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}"], args)
    root = f"http://127.0.0.1:{server.port}"
    mlflow.set_tracking_uri(root)
    with mlflow.start_run():
        signature = infer_signature(frame, booster.predict(xgboost.DMatrix(frame)))
        mlflow.xgboost.log_model(booster, name="model", signature=signature, registered_model_name="bench")
    deployed = requests.post(
        f"{root}/api/v1/endpoints/bench/deploy", json={"model": "bench", "version": "1", "reason": "measured"}, timeout=60
    )
    if not deployed.ok:
        sys.exit(deployed.text)
    url = f"{root}/v2/models/bench/infer"
    print("| one row a request | connections | requests/s | p50, ms | p99, ms | CPU of the server, µs |")
    print("|" + "---|" * 6)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = {explained: bodies(frame, folder, explained) for explained in (False, True)}
        found = {}
        for connections in (1, 16):
            for _ in range(args.rounds):
                for explained, path in paths.items():
                    found.setdefault((connections, explained), []).append(load(server, url, path, connections, args.secs, folder))
        settings = {"default_language": "en", "store": True}
        requests.put(f"{root}/api/v1/endpoints/bench/explain/settings", json=settings, timeout=10).raise_for_status()
        for connections in (1, 16):
            found[connections, "stored"] = [load(server, url, paths[False], connections, args.secs, folder) for _ in range(args.rounds)]
        for (connections, explained), rounds in found.items():
            name = {False: "predicted", True: "explained in the answer", "stored": "explanation stored"}[explained]
            rate, p50, p99, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"| {name} | {connections} | {rate:.0f} | {p50:.3f} | {p99:.3f} | {cpu:.0f} |")
    server.stop()


if __name__ == "__main__":
    main()
