"""Searches and pages of an experiment as it grows: 50,000, 100,000 and 1,000,000 runs with five metrics, five params and a tag each.

    python3 benches/mlflow/many_runs.py --ours target/release/loopwright [--sizes 50000,100000,1000000] [--secs 5]

Runs are logged over REST by `wrk` with 16 connections. Then, with one connection: a search with metric and param filter and metric order
(100 rows), the same rows nine tenths of the way down, the first search by a column that nobody has asked for, the runs' page as HTML
and a window of its table; and the first page after a restart, once the server is quiet.
"""

import argparse
import json
import re
import signal
import subprocess
import time
from pathlib import Path

from side_by_side import API, POST, Server, cpu_seconds, resident_mb

SEED = """
local ids, made, n = {}, 0, 0
function request()
  local id = table.remove(ids)
  if not id then
    if made >= LIMIT then return wrk.format("GET", "/health") end
    made = made + 1
    return wrk.format("POST", "API/runs/create", nil,
      '{"experiment_id":"EXPERIMENT","start_time":'..(START+made)..',"tags":[{"key":"team","value":"t'..(made%7)..'"}]}')
  end
  n = n + 1
  local acc = (n * 7919 % 1000003) / 1000003
  local metrics = {acc=acc, loss=1-acc+(n%13)*0.01, f1=acc/2, mae=n%97, auc=(n*104729%1000003)/1000003}
  local parts = {}
  for key, value in pairs(metrics) do
    parts[#parts+1] = '{"key":"'..key..'","value":'..value..',"timestamp":1700000000000,"step":1}'
  end
  local params = {opt=({"adam","sgd","lion"})[n%3+1], depth=n%9, seed=n%1000, batch=32, fold=n%5}
  local values = {}
  for key, value in pairs(params) do values[#values+1] = '{"key":"'..key..'","value":"'..value..'"}' end
  return wrk.format("POST", "API/runs/log-batch", nil,
    '{"run_id":"'..id..'","metrics":['..table.concat(parts, ",")..'],"params":['..table.concat(values, ",")..']}')
end
function response(status, headers, body)
  local id = body:match('"run_id":"(%x+)"')
  if id then ids[#ids+1] = id end
end
"""


def count(server, experiment):
    text = server.call("GET", f"/experiments/{experiment}/rows?limit=1&columns=metrics.acc", raw=True)
    return int(re.search(rb'"total":(\d+)', text)[1])


def seed(server, experiment, start, more):
    """Until so many runs more are there; the two threads of `wrk` make half each."""
    lua = SEED.replace("API", API).replace("EXPERIMENT", experiment).replace("START", str(1_700_000_000_000 + start))
    lua = lua.replace("LIMIT", str(more // 2 + 1))  # `wrk` throws away the first request of a thread
    script = server.folder / "seed.lua"
    script.write_text('wrk.headers["Content-Type"]="application/json"\n' + lua)
    command = ["wrk", "-t2", "-c16", "-d3600s", "-s", str(script), f"http://127.0.0.1:{server.port}/"]
    wrk = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while count(server, experiment) < start + more // 2 * 2:
            time.sleep(1)
        time.sleep(1)
    finally:
        wrk.kill()


def quiet(server):
    for _ in range(300):
        before = cpu_seconds(server.process.pid)
        time.sleep(1)
        if cpu_seconds(server.process.pid) - before < 0.05:
            return


def once(server, method, path, body=None):
    started = time.perf_counter()
    server.call(method, path, body, raw=True)
    return (time.perf_counter() - started) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="target/release/loopwright")
    parser.add_argument("--sizes", default="50000,100000,1000000")
    parser.add_argument("--secs", type=int, default=5)
    args = parser.parse_args()
    command = [str(Path(args.ours).resolve()), "up", "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}"]
    server = Server("loopwright", command, args)
    try:
        experiment, there = server.experiment("many"), 0
        print("| runs | search p50, p99 | at nine tenths p50, p99 | new column, once | page p50, p99 | window p50, p99 | after a restart | memory |")
        print("|" + "---|" * 8)
        for size in map(int, args.sizes.split(",")):
            seed(server, experiment, there, size - there)
            there = size
            quiet(server)
            path = f"{API}/runs/search"
            query = {
                "experiment_ids": [experiment],
                "filter": "metrics.acc > 0.5 and params.opt = 'adam'",
                "order_by": ["metrics.loss ASC"],
                "max_results": 100,
            }
            server.call("POST", path, query, raw=True)
            found = server.wrk(POST + f"wrk.body=[[{json.dumps(query)}]]", 1, path)
            deep = {"experiment_ids": [experiment], "order_by": ["metrics.loss ASC"], "max_results": 10_000}
            for _ in range(size * 9 // 10 // 10_000):
                deep["page_token"] = server.call("POST", path, deep)["next_page_token"]
            deep["max_results"] = 100
            below = server.wrk(POST + f"wrk.body=[[{json.dumps(deep)}]]", 1, path)
            new = once(server, "POST", path, query | {"filter": "metrics.f1 > 0.1"})
            page = server.wrk("", 1, f"/experiments/{experiment}")
            window = server.wrk("", 1, f"/experiments/{experiment}/rows?offset={size // 2}&limit=100&columns=metrics.acc,params.opt")
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            server.process = subprocess.Popen(
                [part.format(port=server.port, dir=server.folder) for part in command],
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(1)
            quiet(server)
            again = once(server, "GET", f"/experiments/{experiment}")
            both = lambda row: f"{row['p50']}, {row['p99']}"  # noqa: E731
            memory = resident_mb(server.process.pid)
            print(
                f"| {size:,} | {both(found)} | {both(below)} | {new:.0f} ms | {both(page)} | {both(window)} | {again:.1f} ms | {memory:.0f} MB |",
                flush=True,
            )
    finally:
        server.stop()


if __name__ == "__main__":
    main()
