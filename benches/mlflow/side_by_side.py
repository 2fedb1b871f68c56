"""Loopwright and MLflow's own server under the same loads, in turn; prints both and the ratio. See README.md."""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
API = "/api/2.0/mlflow"
POST = 'wrk.method="POST"; wrk.headers["Content-Type"]="application/json"\n'
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def process_tree(pid):
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid):
    total = 0
    for one in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mb(pid):
    total = 0
    for one in process_tree(pid):
        with contextlib.suppress(OSError):
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())[1])
    return total / 1024


class Server:
    """One server on an empty directory."""

    def __init__(self, name, command, args):
        self.name, self.args, self.port = name, args, free_port()
        self.is_ours = name == "loopwright"
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        started = time.monotonic()
        command = [part.format(port=self.port, dir=self.folder) for part in command]
        self.process = subprocess.Popen(
            command, cwd=self.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            with contextlib.suppress(OSError):
                if self.call("GET", "/health", raw=True) == b"OK":
                    break
            if self.process.poll() is not None or time.monotonic() - started > 180:
                sys.exit(f"{name} did not come up")
            time.sleep(0.002)
        self.start_s = time.monotonic() - started
        self.settle()
        self.idle_mb = resident_mb(self.process.pid)

    def settle(self):
        """Until the server has finished starting: its CPU is quiet for two seconds after first requests."""
        for _ in range(20):
            self.call("POST", f"{API}/experiments/search", {"max_results": 1})
        for _ in range(60):
            before = cpu_seconds(self.process.pid)
            time.sleep(2)
            if cpu_seconds(self.process.pid) - before < 0.1:
                return

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, path, body=None, raw=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {data[:300]}")
        return data if raw else json.loads(data or b"{}")

    def wrk(self, lua, connections, path="/", per=1):
        """Operations a second and CPU per operation; `per` operations a request."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(lua)
            script.flush()
            before = cpu_seconds(self.process.pid)
            command = ["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{self.args.secs}s"]
            command += ["--timeout", "60s", "--latency", "-s", script.name, f"http://127.0.0.1:{self.port}{path}"]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            spent = cpu_seconds(self.process.pid) - before
        requests = int(re.search(r"(\d+) requests in", text)[1])
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        if bad:
            raise RuntimeError(f"{self.name}: {bad[1]} of {requests} answers are errors")
        quantile = lambda q: re.search(rf"^\s+{q}%\s+(\S+)", text, re.M)[1]
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]) * per
        return {"rate": rate, "p50": quantile(50), "p99": quantile(99), "cpu_us": spent / max(1, requests * per) * 1e6}

    def experiment(self, name):
        return self.call("POST", f"{API}/experiments/create", {"name": name})["experiment_id"]

    def run(self, experiment):
        body = {"experiment_id": experiment, "start_time": 1_700_000_000_000}
        return self.call("POST", f"{API}/runs/create", body)["run"]["info"]["run_id"]


def get_run(server, connections=16):
    run = server.run(server.experiment("get"))
    return server.wrk("", connections, f"{API}/runs/get?run_id={run}")


def log_metric(server, connections):
    experiment = server.experiment(f"metric{connections}")
    ids = ",".join(f"'{server.run(experiment)}'" for _ in range(connections))
    lua = POST + (
        f"local n=0; local ids={{{ids}}}\nfunction request() n=n+1; return wrk.format(nil,'{API}/runs/log-metric',nil,"
        "'{\"run_id\":\"'..ids[n%#ids+1]..'\",\"key\":\"loss\",\"value\":'..(n*0.001)..',\"timestamp\":'"
        "..(1700000000000+n)..',\"step\":'..n..'}') end"
    )
    return server.wrk(lua, connections)


def log_batch(server, connections):
    experiment = server.experiment(f"batch{connections}")
    ids = ",".join(f"'{server.run(experiment)}'" for _ in range(connections))
    # Bodies are made before the clock starts: LuaJIT would be the bottleneck.
    lua = POST + f"local n=0; local ids={{{ids}}}; local bodies={{}}\n" + """
function init(args)
  for b=1,64 do local t={}
    for k=0,9 do for s=0,99 do t[#t+1]='{"key":"k'..k..'","value":'..((s*37+b)%1000*0.0005)..',"timestamp":'..(1700000000000+b*100000+s)..',"step":'..(b*100+s)..'}' end end
    bodies[b]='"metrics":['..table.concat(t,',')..']}' end end
""" + f"function request() n=n+1; return wrk.format(nil,'{API}/runs/log-batch',nil,'{{\"run_id\":\"'..ids[n%#ids+1]..'\",'..bodies[n%64+1]) end"
    return server.wrk(lua, connections, per=1000)


def create_run(server, connections):
    experiment = server.experiment(f"create{connections}")
    lua = POST + (
        f"local n=0\nfunction request() n=n+1; return wrk.format(nil,'{API}/runs/create',nil,"
        f"'{{\"experiment_id\":\"{experiment}\",\"start_time\":'..(1700000000000+n)..',\"run_name\":\"r'..n..'\","
        "\"tags\":[{\"key\":\"a\",\"value\":\"b\"},{\"key\":\"mlflow.user\",\"value\":\"u\"}]}') end"
    )
    return server.wrk(lua, connections)


def seed(server, runs):
    """An experiment of `runs` runs with 5 metrics, 5 params and 3 tags each, over REST."""
    experiment = server.experiment("seeded")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)

    def post(path, body):
        connection.request("POST", f"{API}{path}", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    for n in range(runs):
        tags = [{"key": f"t{k}", "value": f"v{(n + k) % 7}"} for k in range(3)]
        body = {"experiment_id": experiment, "start_time": 1_700_000_000_000 + n, "tags": tags}
        run = post("/runs/create", body)["run"]["info"]["run_id"]
        noise = (n * 7919 % runs) / runs
        values = {"acc": noise, "loss": 1 - noise + (n % 13) * 0.01, "f1": noise / 2, "lr": 0.1, "mae": n % 97}
        metrics = [{"key": k, "value": v, "timestamp": 1_700_000_000_000, "step": 1} for k, v in values.items()]
        params = {"opt": ["adam", "sgd", "lion"][n % 3], "depth": n % 9, "seed": n, "batch": 32, "fold": n % 5}
        params = [{"key": k, "value": str(v)} for k, v in params.items()]
        post("/runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
    return experiment


def search(server, experiment):
    body = {
        "experiment_ids": [experiment],
        "filter": "metrics.acc > 0.5 and params.opt = 'adam'",
        "order_by": ["metrics.loss ASC"],
        "max_results": 100,
    }
    if len(server.call("POST", f"{API}/runs/search", body).get("runs", [])) != 100:
        raise RuntimeError(f"{server.name}: the search finds too little")
    return server.wrk(POST + f"wrk.body=[[{json.dumps(body)}]]", 1, f"{API}/runs/search")


def deep_page(server, experiment, runs):
    """The same page size, nine tenths of the way down."""
    body = {"experiment_ids": [experiment], "order_by": ["metrics.loss ASC"], "max_results": 1000}
    for _ in range(runs * 9 // 10 // 1000):
        body["page_token"] = server.call("POST", f"{API}/runs/search", body)["next_page_token"]
    body["max_results"] = 100
    return server.wrk(POST + f"wrk.body=[[{json.dumps(body)}]]", 1, f"{API}/runs/search")


def log_history(server, points):
    run = server.run(server.experiment("history"))
    for start in range(0, points, 1000):
        metrics = [
            {"key": "m", "value": (n * 7919 % 10007) / 10007, "timestamp": 1_700_000_000_000 + n, "step": n}
            for n in range(start, min(points, start + 1000))
        ]
        server.call("POST", f"{API}/runs/log-batch", {"run_id": run, "metrics": metrics})
    return run


def read_history(server, run, points):
    before, started, found, token = cpu_seconds(server.process.pid), time.monotonic(), 0, ""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    while True:
        path = f"{API}/metrics/get-history?run_id={run}&metric_key=m&max_results=25000&page_token={token}"
        connection.request("GET", path)
        page = connection.getresponse().read()
        # Counted, not parsed: Python's reading is not what is measured.
        found += page.count(b'"step"')
        token = re.search(rb'"next_page_token":\s*"([^"]+)"', page[-300:])
        if not token:
            break
        token = token[1].decode()
    if found != points:
        raise RuntimeError(f"{server.name}: {found} points of {points}")
    spent = time.monotonic() - started
    cpu = (cpu_seconds(server.process.pid) - before) / points * 1e6
    return {"rate": points / spent, "p50": "-", "p99": "-", "cpu_us": cpu}


def chart(server, run):
    path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results=320"
    return server.wrk("", 1, path)


def artifact(server, megabytes):
    experiment = server.experiment("artifact")
    run = server.run(experiment)
    block = os.urandom(1 << 20)
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/big.bin"
    results = []
    for method in ("PUT", "GET"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        before, started = cpu_seconds(server.process.pid), time.monotonic()
        if method == "PUT":
            headers = {"Content-Length": str(megabytes << 20), "Content-Type": "application/octet-stream"}
            connection.request("PUT", path, (block for _ in range(megabytes)), headers)
            connection.getresponse().read()
        else:
            connection.request("GET", path)
            answer, size, buffer = connection.getresponse(), 0, bytearray(1 << 20)
            while got := answer.readinto(buffer):
                size += got
            if size != megabytes << 20:
                raise RuntimeError(f"{server.name}: {size} bytes came back")
        spent = time.monotonic() - started
        cpu = (cpu_seconds(server.process.pid) - before) / megabytes * 1e6
        results.append({"rate": megabytes / spent, "p50": "-", "p99": "-", "cpu_us": cpu})
    return results


def stored_bytes(server):
    return sum(f.stat().st_size for f in server.folder.rglob("*") if f.is_file() and ".sqlite" in f.name or f.name.endswith(".db"))


def measure(server, runs, points):
    """Every load's figures; of a peer, those that it serves."""
    args, rows = server.args, {}

    def take(load, work):
        try:
            rows[load] = work()
        except (RuntimeError, KeyError, IndexError, OSError, subprocess.CalledProcessError) as error:
            if server.is_ours:
                raise
            print(f"{server.name} does not serve {load!r}: {str(error)[:200]}", file=sys.stderr)

    take("runs/get, 16 connections", lambda: get_run(server))
    take("log-metric, 1 connection", lambda: log_metric(server, 1))
    take("log-metric, 16 connections", lambda: log_metric(server, 16))
    take("log-batch of 1,000, 4 connections (metrics)", lambda: log_batch(server, 4))
    take("runs/create, 16 connections", lambda: create_run(server, 16))
    experiment = seed(server, runs)
    take(f"search of {runs} runs, filter and order", lambda: search(server, experiment))
    if runs >= 2000:
        take(f"page at nine tenths of {runs} runs", lambda: deep_page(server, experiment, runs))
    run = log_history(server, points)
    take(f"history of {points} points, pages of 25,000 (points)", lambda: read_history(server, run, points))
    take(f"320-point chart of {points} points", lambda: chart(server, run))
    ways = []
    take(f"artifact of {args.megabytes} MB up (MB)", lambda: ways.extend(artifact(server, args.megabytes)) or ways[0])
    take(f"artifact of {args.megabytes} MB down (MB)", lambda: ways[1])
    return rows


def print_table(own, peer_name, peer):
    cells = lambda r: f"{r['rate']:,.0f} | {r['p50']} | {r['p99']} | {r['cpu_us']:,.1f}" if r else "- | - | - | -"
    title = "| load | loopwright /s | p50 | p99 | CPU µs |"
    print(title + (f" {peer_name} /s | p50 | p99 | CPU µs | rate × | CPU × |" if peer else ""))
    print("|" + "---|" * (11 if peer else 5))
    for load, row in own.items():
        line = f"| {load} | {cells(row)} |"
        if peer:
            theirs = peer.get(load)
            ratios = f"{row['rate'] / theirs['rate']:,.1f} | {theirs['cpu_us'] / max(row['cpu_us'], 0.01):,.1f}" if theirs else "- | -"
            line += f" {cells(theirs)} | {ratios} |"
        print(line)
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", default="target/release/loopwright")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--fasttrackml", action="store_true", help="beside FastTrackML 0.6.0 too, as published on PyPI")
    parser.add_argument("--database", help="ours on an empty PostgreSQL database instead of SQLite")
    parser.add_argument("--secs", type=int, default=4)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--durability", default="process")
    args = parser.parse_args()
    ours = [str(Path(args.ours).resolve()), "up", "--data-dir", "{dir}/data", "--listen", "127.0.0.1:{port}"]
    ours += ["--durability", args.durability] + (["--database", args.database] if args.database else [])
    mlflow = ["uv", "run", "--frozen", "--project", str(ROOT / "tests/clients"), "mlflow", "server", "--workers", "1"]
    mlflow += ["--port", "{port}", "--backend-store-uri", "sqlite:///{dir}/mlflow.db", "--artifacts-destination", "{dir}/files"]
    fasttrackml = ["uvx", "--from", "fasttrackml==0.6.0", "fml", "server", "--listen-address", "127.0.0.1:{port}"]
    fasttrackml += ["--database-uri", "sqlite://{dir}/fasttrackml.db", "--default-artifact-root", "{dir}/files"]
    peers = {} if args.only_ours else {"mlflow": mlflow}
    if args.fasttrackml:
        peers["fasttrackml"] = fasttrackml
    results = {}
    for name, command in {"loopwright": ours, **peers}.items():
        server = Server(name, command, args)
        try:
            results[name] = measure(server, args.runs, args.points)
        finally:
            server.stop()
        print(f"{name}: start to first answer {server.start_s * 1000:.0f} ms, idle memory {server.idle_mb:.0f} MB")
    print()
    for name in peers or [None]:
        print_table(results["loopwright"], name, results.get(name))


if __name__ == "__main__":
    main()
