"""A small user repository, and the binary turning its loop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

TAXI = Path(__file__).parents[2] / "examples" / "taxi"
LAST_MONTH = "2019-03"


@pytest.fixture(scope="session")
def binary():
    path = os.environ.get("LOOPWRIGHT_BIN")
    assert path, "LOOPWRIGHT_BIN names the binary under test"
    return path


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """examples/taxi, cut after the first surcharge: one shock, a refusal and a rebuild in half a minute."""
    folder = tmp_path_factory.mktemp("example") / "taxi"
    shutil.copytree(TAXI, folder, ignore=shutil.ignore_patterns("build", ".venv", "__pycache__"))
    trips = folder / "data" / "trips.parquet"
    table = pq.read_table(trips)
    month = pc.strftime(table["pickup_datetime"], format="%Y-%m")
    pq.write_table(table.filter(pc.less_equal(month, LAST_MONTH)), trips)
    return folder


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Demo:
    """`loopwright demo` in a data directory, to be run, killed and run again."""

    def __init__(self, binary, example, data_dir, database=None):
        self.port = free_port()
        self.command = [binary, "demo", "--example", str(example), "--data-dir", str(data_dir), "--approve", "auto",
                        "--json", "--listen", f"127.0.0.1:{self.port}"]
        if database:
            self.command += ["--database", database]

    def start(self, resume=False):
        command = self.command + (["--resume"] if resume else [])
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, resume=False, timeout=240):
        process = self.start(resume)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"the demo did not end within {timeout} s:\n{process.communicate()[1][-3000:]}")
        return process.returncode, out, err

    def kill_when(self, seen, resume=False, timeout=120):
        """Runs until a line of its progress holds `seen`, then kill -9. False when it ended before."""
        process = self.start(resume)
        deadline = time.monotonic() + timeout
        for line in process.stderr:
            if seen in line:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return True
            assert time.monotonic() < deadline, f"{seen!r} was not seen within {timeout} s"
        process.wait()
        return False


def story(report):
    """What must be the same however often the demo was killed: the table, and what became of every attempt."""
    months = [{key: month[key] for key in ("month", "predictions", "labelled", "excluded", "loop_mae", "static_mae",
                                           "loop_cost", "static_cost", "answered_by")} for month in report["months"]]
    attempts = [{key: attempt[key] for key in ("number", "cause", "phase", "opened", "ended", "version", "reason",
                                               "verdict", "holdout_mae")} for attempt in report["attempts"]]
    return json.dumps([months, attempts], indent=1)
