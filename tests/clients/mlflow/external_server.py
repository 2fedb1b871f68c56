"""A pytest plugin that points the integration tests of a checkout of mlflow at a loopwright of their own.

Nothing of mlflow is copied: the tests come from the checkout, the client from the installed package. `run.py` sets

  MLFLOW_CHECKOUT           the checkout, with `tests/`
  LOOPWRIGHT_BIN            the binary; one is started for each test that asks for a server, and ended after it
  LOOPWRIGHT_TEST_POSTGRES  optional address of a PostgreSQL cluster: each server gets a database of its own
  LOOPWRIGHT_OUTCOMES       file that gets one line per test: `OUTCOME NODEID`
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import mlflow
import pytest
import requests

CHECKOUT = os.environ["MLFLOW_CHECKOUT"]
BINARY = os.environ["LOOPWRIGHT_BIN"]
POSTGRES = os.environ.get("LOOPWRIGHT_TEST_POSTGRES", "").rstrip("/")
# The webhook tests name the first and listen on the others.
WEBHOOK_HOSTS = ["example.com", "localhost", "127.0.0.1"]
START_DEADLINE_S = 30
STOP_DEADLINE_S = 10

# After the import above, so that mlflow is the installed one.
sys.path.insert(0, CHECKOUT)
outcomes = {}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def psql(statement):
    subprocess.run(["psql", f"{POSTGRES}/postgres", "-qc", statement], check=True)


@contextlib.contextmanager
def fresh_database():
    """The address of an empty database, or None for SQLite in the data directory."""
    if not POSTGRES:
        yield None
        return
    name = f"upstream_{uuid.uuid4().hex}"
    psql(f"create database {name}")
    try:
        yield f"{POSTGRES}/{name}"
    finally:
        psql(f"drop database {name} with (force)")


def wait_for_health(process, url, log):
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not come up:\n{log.read_text(errors='replace')[-5_000:]}")


@contextlib.contextmanager
def loopwright(environment=None):
    """The URL of a new, empty server."""
    with tempfile.TemporaryDirectory(prefix="loopwright-") as work, fresh_database() as database:
        port, log = free_port(), Path(work, "stderr.log")
        command = [BINARY, "up", "--data-dir", f"{work}/data", "--listen", f"127.0.0.1:{port}"]
        for host in WEBHOOK_HOSTS:
            command += ["--webhook-host", host]
        if database:
            command += ["--database", database]
        extra = {key: str(value) for key, value in (environment or {}).items()}
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command, cwd=work, env={**os.environ, **extra}, stdout=subprocess.DEVNULL, stderr=stderr
            )
        try:
            wait_for_health(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class LoopwrightThread:
    """Stands in for upstream's `ServerThread`, which runs an application within the test's process."""

    def __init__(self, app=None, port=None):
        self.server = loopwright()

    def __enter__(self):
        url = self.server.__enter__()
        # Upstream's application shares its store with the fluent calls and the command line of the test's process.
        self.before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        mlflow.set_tracking_uri(url)
        return url

    def __exit__(self, *raised):
        mlflow.set_tracking_uri(self.before)
        return self.server.__exit__(*raised)


def init_server(backend_uri, root_artifact_uri, extra_env=None, app=None, server_type="fastapi"):
    """Stands in for upstream's `_init_server`, which starts a process. Stores and roots are the server's own."""
    if app and "auth" in app:
        pytest.skip("mlflow's basic-auth application is not served")
    mlflow.set_tracking_uri(None)
    return loopwright(extra_env)


def pytest_configure(config):
    from mlflow.server import handlers

    # Fixtures open a store in the test's own process for the application that is not started.
    handlers.initialize_backend_stores = lambda *args, **kwargs: None
    import tests.tracking.integration_test_utils as utilities

    utilities._init_server = init_server
    utilities.ServerThread = LoopwrightThread


def pytest_runtest_logreport(report):
    if report.when == "setup" and report.failed:
        outcomes[report.nodeid] = "error"
    elif report.failed or (report.nodeid not in outcomes and (report.when == "call" or report.skipped)):
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session):
    if path := os.environ.get("LOOPWRIGHT_OUTCOMES"):
        lines = [f"{outcomes[nodeid]} {nodeid}\n" for nodeid in sorted(outcomes)]
        Path(path).write_text("".join(lines))
