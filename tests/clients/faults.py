"""Kills a loopwright with SIGKILL while sixteen clients write, starts it again, and looks for what it had acknowledged.

    python tests/clients/faults.py --rounds 100 --seed 7                        # SQLite
    python tests/clients/faults.py --rounds 100 --seed 7 --postgres URL         # a database on a cluster, made and dropped

Every round goes on with the data of the rounds before. A call that was not acknowledged may have its effect or not, but never in part,
and on PostgreSQL also later: a backend ends the commit that it was told after the server is gone. The seed fixes what is written and how long a
round lasts; where the signal meets the server depends on the machine. Only the standard library, so that the load is the server's.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
WRITERS = 16
START_DEADLINE_S = 60
BATCH = 20


class Refused(Exception):
    """The server answered, and not with 200."""


class Connection:
    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method, path, body=None, kind="application/json"):
        data = json.dumps(body).encode() if kind == "application/json" and body is not None else body
        self.http.request(method, path, data, {"Content-Type": kind} if data is not None else {})
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Refused(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def json(self, method, path, body=None):
        return json.loads(self.call(method, path, body))


class Server:
    def __init__(self, binary, work, options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [binary, "up", "--data-dir", str(work / "data"), "--listen", f"127.0.0.1:{self.port}", *options]
        self.log = (work / "stderr.log").open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, cwd=work)
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                Connection(self.port).call("GET", "/health")
                return
            except (OSError, http.client.HTTPException, Refused):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError((work / "stderr.log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Writer:
    """One client: what it wrote, what of that was acknowledged, and the one call that may have been cut off."""

    def __init__(self, number, seed):
        self.dice = random.Random(f"{seed}/{number}")
        self.number = number
        self.runs = {}
        self.cut = None
        self.calls = 0
        self.refused = []

    def write(self, port, experiment, stop):
        """Until the server goes away."""
        connection = Connection(port)
        self.cut = None
        try:
            while not stop.is_set():
                self.one_call(connection, experiment)
                self.calls += 1
                self.cut = None
        except Refused as error:
            self.refused.append(str(error))
        except (OSError, http.client.HTTPException):
            pass

    def one_call(self, connection, experiment):
        kind = self.dice.choices(["create", "batch", "upload", "tag"], [2, 6, 1, 2])[0]
        if kind == "create" or not self.runs:
            name = f"w{self.number}-{len(self.runs)}-{self.dice.random()}"
            body = {"experiment_id": experiment, "run_name": name, "tags": [{"key": "name", "value": name}]}
            self.cut = ("create", name)
            run = connection.json("POST", f"{API}/runs/create", body)["run"]["info"]["run_id"]
            self.runs[run] = {"name": name, "batches": 0, "tag": None, "files": {}, "cut": []}
            return
        run = self.dice.choice(list(self.runs))
        known = self.runs[run]
        if kind == "batch":
            number = known["batches"]
            self.cut = ("batch", run, number)
            connection.call("POST", f"{API}/runs/log-batch", batch(run, number))
            known["batches"] += 1
        elif kind == "tag":
            value = str(self.dice.random())
            self.cut = ("tag", run, value)
            connection.call("POST", f"{API}/runs/set-tag", {"run_id": run, "key": "last", "value": value})
            known["tag"] = value
        else:
            path = f"f{self.dice.randrange(3)}.bin"
            data = self.dice.randbytes(self.dice.randrange(1, 300_000))
            digest = hashlib.sha256(data).hexdigest()
            self.cut = ("upload", run, path, digest)
            where = f"{FILES}/{experiment}/{run}/artifacts/{path}"
            connection.call("PUT", where, data, "application/octet-stream")
            known["files"][path] = digest

    def check(self, connection, experiment):
        """What was acknowledged and is not there, or is there in part."""
        wrong = []
        for run, known in self.runs.items():
            wrong += self.check_run(connection, experiment, run, known)
        return wrong

    def check_run(self, connection, experiment, run, known):
        wrong = []
        data = connection.json("GET", f"{API}/runs/get?run_id={run}")["run"]["data"]
        tags = {tag["key"]: tag["value"] for tag in data.get("tags", [])}
        if tags.get("name") != known["name"]:
            wrong.append(f"{run}: the run's own tag is {tags.get('name')!r}")
        if self.cut and self.cut[1] == run:
            known["cut"].append(self.cut)
        if ("tag", run, tags.get("last")) in known["cut"]:
            known["tag"] = tags.get("last")
        if tags.get("last") != known["tag"]:
            wrong.append(f"{run}: tag {tags.get('last')!r}, acknowledged {known['tag']!r}")
        points = connection.json("GET", f"{API}/metrics/get-history?run_id={run}&metric_key=m").get("metrics", [])
        params = {param["key"]: param["value"] for param in data.get("params", [])}
        numbers = sorted(int(key[1:]) for key in params)
        expected = list(range(known["batches"]))
        if numbers == [*expected, known["batches"]] and ("batch", run, known["batches"]) in known["cut"]:
            known["batches"] += 1
            expected = numbers
        if numbers != expected:
            wrong.append(f"{run}: params of batches {numbers[-3:]}, acknowledged {known['batches']}")
        found = sorted((point["step"], point["value"]) for point in points)
        if found != [(step, float(step)) for step in range(len(expected) * BATCH)]:
            wrong.append(f"{run}: {len(found)} points, {len(expected)} batches of {BATCH}")
        for path in {*known["files"], *(cut[2] for cut in known["cut"] if cut[0] == "upload")}:
            wrong += self.check_file(connection, experiment, run, known, path)
        return wrong

    def check_file(self, connection, experiment, run, known, path):
        where = f"{FILES}/{experiment}/{run}/artifacts/{path}"
        try:
            found = hashlib.sha256(connection.call("GET", where)).hexdigest()
        except Refused:
            found = None
        if ("upload", run, path, found) in known["cut"]:
            known["files"][path] = found
        if found != known["files"].get(path):
            return [f"{run}/{path}: bytes {found}, acknowledged {known['files'].get(path)}"]
        return []


def batch(run, number):
    steps = range(number * BATCH, (number + 1) * BATCH)
    metrics = [{"key": "m", "value": step, "timestamp": 1_700_000_000_000 + step, "step": step} for step in steps]
    return {"run_id": run, "metrics": metrics, "params": [{"key": f"p{number}", "value": "x" * 50}]}


def torture(binary, work, rounds, seed, options=(), say=lambda text: None):
    """Everything wrong that was found, and how many calls had been acknowledged."""
    dice = random.Random(seed)
    writers = [Writer(number, seed) for number in range(WRITERS)]
    server = Server(binary, work, options)
    connection = Connection(server.port)
    experiment = connection.json("POST", f"{API}/experiments/create", {"name": "torture"})["experiment_id"]
    wrong = []
    try:
        for number in range(rounds):
            stop = threading.Event()
            work_of = lambda writer: writer.write(server.port, experiment, stop)  # noqa: E731
            threads = [threading.Thread(target=work_of, args=(writer,)) for writer in writers]
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0.05, 0.8))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            server = Server(binary, work, options)
            connection = Connection(server.port)
            for writer in writers:
                wrong += writer.refused + writer.check(connection, experiment)
            known = sum(len(writer.runs) for writer in writers)
            calls = sum(writer.calls for writer in writers)
            say(f"round {number + 1}: {known} runs, {calls} acknowledged calls, {len(wrong)} faults")
            if wrong:
                break
            if known > 400:
                # Looking at all of them would take longer than the writing: the oldest were looked at often enough.
                for writer in writers:
                    writer.runs = dict(list(writer.runs.items())[-8:])
        cut_off = [path for path in work.glob("data/blobs/**/*") if path.is_file() and "staging" in path.parts]
        if cut_off:
            wrong.append(f"{len(cut_off)} cut-off uploads were left behind")
    finally:
        server.kill()
    return wrong, sum(writer.calls for writer in writers)


@contextlib.contextmanager
def database(cluster):
    """The address of an empty database on a cluster."""
    name = f"torture_{uuid.uuid4().hex}"
    parts = urllib.parse.urlsplit(cluster)
    psql = ["psql", parts._replace(path="/postgres").geturl(), "-qc"]
    subprocess.run([*psql, f"create database {name}"], check=True)
    try:
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        subprocess.run([*psql, f"drop database {name} with (force)"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("LOOPWRIGHT_BIN", "target/release/loopwright"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", metavar="URL")
    args = parser.parse_args()
    binary = str(Path(args.binary).resolve())
    with tempfile.TemporaryDirectory(prefix="loopwright-torture-") as folder, contextlib.ExitStack() as stack:
        options = ["--database", stack.enter_context(database(args.postgres))] if args.postgres else []
        say = lambda text: print(text, flush=True)  # noqa: E731
        wrong, calls = torture(binary, Path(folder), args.rounds, args.seed, options, say)
    for line in wrong:
        print(line)
    print(f"{args.rounds} rounds, seed {args.seed}: {calls} acknowledged calls, {len(wrong)} faults")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
