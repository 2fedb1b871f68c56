"""What an insert, a search, a history and a chart cost as the data grows, and what a point takes on disk.

    python3 benches/mlflow/growth.py --runs 4000 --metrics 50 --points 200 --steps 4

Logs RUNS runs of METRICS metrics with POINTS points each (the default is 40 million points) in STEPS parts of equal size, with four
clients that repeat the values of 32 runs, and measures after each part: points a second and milliseconds a batch of 1,000 while that part was logged; a search with metric
filter and order over all runs, the history of one series, the 320-point chart of it; the server's memory; bytes of the database a point,
after the background fold has ended.
"""

import argparse
import http.client
import json
import math
import random
import struct
import threading
import time
from pathlib import Path

from side_by_side import API, Server, resident_mb


def post(connection, path, body):
    connection.request("POST", f"{API}{path}", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {data[:300]}")
    return json.loads(data)


# Stands for the run in the bodies that are made before the clock runs.
RUN = "0" * 32
TEMPLATES = 32


def bodies(dice, args):
    """The batches of one run: METRICS values a step with one time, as `log_metrics` sends them."""
    level = [dice.uniform(0.5, 2) for _ in range(args.metrics)]
    batch, made = [], []
    for step in range(args.points):
        at = 1_700_000_000_000 + step * 1_000 + dice.randrange(50)
        for metric in range(args.metrics):
            # A curve that falls, with noise in all its last digits.
            value = level[metric] * math.exp(-step / 70) + dice.gauss(0, 0.01)
            if args.values == "float32":
                value = struct.unpack("f", struct.pack("f", value))[0]
            batch.append({"key": f"m{metric}", "value": value, "timestamp": at, "step": step})
            if len(batch) == 1_000:
                made.append(json.dumps({"run_id": RUN, "metrics": batch}).encode())
                batch = []
    if batch:
        made.append(json.dumps({"run_id": RUN, "metrics": batch}).encode())
    return made


def log_runs(server, experiment, numbers, templates, took):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    for number in numbers:
        body = {"experiment_id": experiment, "start_time": 1_700_000_000_000 + number}
        run = post(connection, "/runs/create", json.dumps(body))["run"]["info"]["run_id"].encode()
        for body in templates[number % len(templates)]:
            body = body.replace(RUN.encode(), run)
            started = time.perf_counter()
            post(connection, "/runs/log-batch", body)
            took.append(time.perf_counter() - started)
        body = {"run_id": run.decode(), "status": "FINISHED", "end_time": 1_800_000_000_000}
        post(connection, "/runs/update", json.dumps(body))


def median_ms(work, times=20):
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[times // 2] * 1e3


def database_bytes(server):
    return sum(file.stat().st_size for file in server.folder.rglob("*.sqlite*") if file.is_file())


def settled_bytes(server):
    """When two looks, three seconds apart, see the same."""
    before = -1
    while (now := database_bytes(server)) != before:
        before = now
        time.sleep(3)
    return now


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="target/release/loopwright")
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--metrics", type=int, default=50)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--values", choices=["float32", "float64"], default="float32")
    args = parser.parse_args()
    templates = [bodies(random.Random(number), args) for number in range(TEMPLATES)]
    command = [str(Path(args.ours).resolve()), "up", "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}"]
    server = Server("loopwright", command, args)
    try:
        empty, experiment = database_bytes(server), server.experiment("growth")
        print("| points | runs | points/s | batch of 1,000, median | search | history | chart | memory | bytes a point |")
        print("|" + "---|" * 9)
        part = args.runs // args.steps
        for step in range(args.steps):
            numbers, took, started = range(step * part, (step + 1) * part), [], time.monotonic()
            threads = [
                threading.Thread(target=log_runs, args=(server, experiment, numbers[k::4], templates, took)) for k in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = part * args.metrics * args.points / (time.monotonic() - started)
            points = (step + 1) * part * args.metrics * args.points
            size = settled_bytes(server) - empty
            query = {"experiment_ids": [experiment], "filter": "metrics.m1 < 0.1", "order_by": ["metrics.m2 ASC"], "max_results": 100}
            found = server.call("POST", f"{API}/runs/search", query)["runs"]
            run = found[0]["info"]["run_id"]
            search = median_ms(lambda: server.call("POST", f"{API}/runs/search", query, raw=True))
            history = median_ms(lambda: server.call("GET", f"{API}/metrics/get-history?run_id={run}&metric_key=m1", raw=True))
            path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m1&max_results=320"
            chart = median_ms(lambda: server.call("GET", path, raw=True))
            took.sort()
            print(
                f"| {points:,} | {(step + 1) * part:,} | {rate:,.0f} | {took[len(took) // 2] * 1e3:.2f} ms | {search:.2f} ms "
                f"| {history:.2f} ms | {chart:.2f} ms | {resident_mb(server.process.pid):.0f} MB | {size / points:.2f} |",
                flush=True,
            )
    finally:
        server.stop()


if __name__ == "__main__":
    main()
