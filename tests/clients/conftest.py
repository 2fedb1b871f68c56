import contextlib
import os
import re
import subprocess
import threading
import time
import uuid
from pathlib import Path
from queue import Empty, Queue

# A refusal must fail the test at once instead of being tried again for minutes. Read by mlflow on import.
os.environ.update(
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    MLFLOW_HTTP_REQUEST_TIMEOUT="30",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    GIT_PYTHON_REFRESH="quiet",
)

import mlflow
import pytest
import requests

import taxi

START_DEADLINE_S = 60
STOP_DEADLINE_S = 15
LISTENING = re.compile(r"loopwright listening on (http://127\.0\.0\.1:\d+)\s*")


def wait_for_url(process, lines):
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            found = LISTENING.fullmatch(lines.get(timeout=0.2))
        except Empty:
            continue
        if found:
            return found[1]
    pytest.exit("loopwright printed no address", returncode=3)


def wait_for_health(process, url):
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    pytest.exit("GET /health never answered 200", returncode=3)


@contextlib.contextmanager
def tracked_at(url):
    """The fluent interface speaks to another server for a while."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    try:
        yield mlflow.MlflowClient()
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


@contextlib.contextmanager
def served(work, *options):
    """The URL of a new server with its data in `work`; its log is printed when it dies."""
    binary = os.environ.get("LOOPWRIGHT_BIN")
    if not binary:
        pytest.exit("set LOOPWRIGHT_BIN to the loopwright binary", returncode=3)
    log = work / "stderr.log"
    command = [str(Path(binary).resolve()), "up", "--data-dir", str(work / "data")]
    command += ["--listen", "127.0.0.1:0", "--print-url", *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=stderr, text=True)
    lines = Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    try:
        address = wait_for_url(process, lines)
        wait_for_health(process, address)
        yield address
        assert process.poll() is None, f"the server ended with {process.returncode} during the tests"
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode not in (0, -15):
            print(log.read_text(errors="replace")[-20_000:])


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    with served(tmp_path_factory.mktemp("loopwright")) as address:
        yield address


@pytest.fixture(scope="session")
def tracking(url):
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    return mlflow.MlflowClient()


@pytest.fixture
def unique():
    """Makes a name that no other test uses."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def experiment(tracking, unique):
    return mlflow.set_experiment(unique("experiment"))


@pytest.fixture(scope="session")
def trips():
    return taxi.load()


@pytest.fixture(scope="session")
def deployed(url, tracking, trips):
    """The taxi model: trained here, logged and registered over mlflow, serving under its own name."""
    name = f"taxi-price-{uuid.uuid4().hex[:8]}"
    booster = taxi.train(trips)
    mlflow.set_experiment(name)
    with mlflow.start_run():
        logged = taxi.log(booster, trips, name)
    assert str(logged.registered_model_version) == "1"
    answer = taxi.deploy(url, name)
    assert answer.status_code in (200, 201), answer.text
    return taxi.Deployed(name, booster)
