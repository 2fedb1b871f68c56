"""`loopwright import mlflow`: what an unmodified client logged to mlflow's own server, moved here and compared through the client."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest
import requests
from mlflow.entities import Metric, ViewType
from sklearn.linear_model import LinearRegression

from conftest import served, tracked_at

UP_WITHIN_S = 240
IMPORT_WITHIN_S = 300
LONG = 3_000


class Source:
    def __init__(self, url, work):
        self.url, self.db, self.artifacts = url, work / "mlflow.db", work / "artifacts"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(work):
    port, log = free_port(), work / "mlflow.log"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{work / 'mlflow.db'}", "--serve-artifacts"]
    command += ["--artifacts-destination", str(work / "artifacts")]
    with log.open("wb") as out:
        # A group of its own: the server's workers outlive it otherwise.
        process = subprocess.Popen(command, cwd=work, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok:
                    break
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, log.read_text(errors="replace")[-5_000:]
            time.sleep(0.2)
        yield Source(f"http://127.0.0.1:{port}", work)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def log_session(client):
    import pandas

    first = mlflow.set_experiment("first")
    client.set_experiment_tag(first.experiment_id, "team", "pricing")
    with mlflow.start_run(run_name="parent", tags={"stage": "one"}) as parent:
        mlflow.log_params({"depth": 3, "note": "größe", "long": "x" * 6_000})
        for step, value in enumerate([0.5, float("nan"), float("inf"), float("-inf"), -0.1, 0.5]):
            mlflow.log_metric("odd", value, step=step)
        start = 1_700_000_000_000
        points = [Metric("loss", 1 / (n + 1), start + n * 1_000, n) for n in range(LONG)]
        for at in range(0, LONG, 1_000):
            client.log_batch(parent.info.run_id, metrics=points[at : at + 1_000])
        frame = pandas.DataFrame({"a": [1, 2, 3]})
        mlflow.log_input(mlflow.data.from_pandas(frame, name="trips"), context="training")
        mlflow.log_text("at the top", "readme.txt")
        mlflow.log_text("deep", "notes/deep/a b%1.txt")
        mlflow.log_text("", "notes/empty.txt")
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 0.25)
        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
        logged = mlflow.sklearn.log_model(model, name="line")
    client.create_registered_model("line", tags={"owner": "us"}, description="a line")
    for _ in range(2):
        client.create_model_version("line", f"models:/{logged.model_id}", run_id=parent.info.run_id, model_id=logged.model_id)
    # As clients of release 2 registered: the folder itself.
    by_folder = f"{parent.info.artifact_uri}/notes"
    client.create_model_version("line", by_folder, run_id=parent.info.run_id, tags={"how": "folder"})
    client.set_model_version_tag("line", "2", "checked", "yes")
    client.update_model_version("line", "2", description="the second")
    client.set_registered_model_alias("line", "best", "2")
    client.transition_model_version_stage("line", "1", "Staging")
    second = mlflow.set_experiment("second")
    for number in range(6):
        with mlflow.start_run(run_name=f"run {number}"):
            mlflow.log_params({"number": number})
            mlflow.log_metric("score", number / 7, step=number)
            mlflow.log_text("x" * 10_000, f"files/{number}.txt")
    gone = client.create_run(second.experiment_id, run_name="deleted")
    client.log_metric(gone.info.run_id, "score", 1.0)
    client.set_terminated(gone.info.run_id, "FAILED")
    client.delete_run(gone.info.run_id)
    third = client.create_experiment("gone")
    client.set_terminated(client.create_run(third, run_name="in the gone one").info.run_id)
    client.delete_experiment(third)
    mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    return logged.model_id


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        with tracked_at(server.url) as client:
            server.model_id = log_session(client)
        yield server


def files(url, artifact_uri):
    """Path and SHA-256 of every file under a proxied root."""
    root = artifact_uri.removeprefix("mlflow-artifacts:").lstrip("/")
    base, found, waiting = f"{url}/api/2.0/mlflow-artifacts/artifacts", {}, [""]
    while waiting:
        inner = waiting.pop()
        answer = requests.get(base, params={"path": f"{root}/{inner}".rstrip("/")}, timeout=30)
        answer.raise_for_status()
        for entry in answer.json().get("files", []):
            path = f"{inner}/{entry['path']}".lstrip("/")
            if entry.get("is_dir"):
                waiting.append(path)
                continue
            body = requests.get(f"{base}/{quote(f'{root}/{path}')}", timeout=30)
            body.raise_for_status()
            found[path] = hashlib.sha256(body.content).hexdigest()
    return found


def run_facts(client, url, run):
    run = client.get_run(run.info.run_id)
    info = run.info
    histories = {}
    for key in run.data.metrics:
        points = client.get_metric_history(info.run_id, key)
        histories[key] = sorted((point.timestamp, point.step, repr(point.value)) for point in points)
    inputs = [
        (item.dataset.name, item.dataset.digest, item.dataset.source, {tag.key: tag.value for tag in item.tags})
        for item in run.inputs.dataset_inputs
    ]
    return {
        "experiment": info.experiment_id,
        "state": (info.run_name, info.status, info.user_id, info.lifecycle_stage, info.start_time, info.end_time),
        "params": run.data.params,
        "tags": run.data.tags,
        "histories": histories,
        "inputs": inputs,
        "outputs": [(model.model_id, model.step) for model in run.outputs.model_outputs],
        "files": files(url, info.artifact_uri),
    }


def version_facts(version):
    return {
        "source": version.source,
        "run": version.run_id,
        "stage": version.current_stage,
        "description": version.description or "",
        "tags": version.tags,
        "times": (version.creation_timestamp, version.last_updated_timestamp),
    }


def everything(url):
    """All that the client can see of a server."""
    client = mlflow.MlflowClient(tracking_uri=url, registry_uri=url)
    seen = {"experiments": {}, "runs": {}, "logged models": {}, "models": {}, "versions": {}}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        number = experiment.experiment_id
        times = (experiment.creation_time, experiment.last_update_time)
        seen["experiments"][number] = (experiment.name, experiment.lifecycle_stage, times, experiment.tags)
        for run in client.search_runs([number], run_view_type=ViewType.ALL):
            seen["runs"][run.info.run_id] = run_facts(client, url, run)
        for model in client.search_logged_models([number]):
            seen["logged models"][model.model_id] = {
                "state": (model.name, model.source_run_id, str(model.status), model.experiment_id),
                "times": (model.creation_timestamp, model.last_updated_timestamp),
                "params": model.params,
                "tags": model.tags,
                "files": files(url, model.artifact_location),
            }
    prompts = client.search_registered_models("tags.`mlflow.prompt.is_prompt` = 'true'")
    for model in [*client.search_registered_models(), *prompts]:
        aliases = {alias: str(version) for alias, version in model.aliases.items()}
        times = (model.creation_timestamp, model.last_updated_timestamp)
        seen["models"][model.name] = (model.description or "", model.tags, aliases, times)
    prompts = client.search_model_versions("tags.`mlflow.prompt.is_prompt` = 'true'")
    for version in [*client.search_model_versions(), *prompts]:
        seen["versions"][version.name, str(version.version)] = version_facts(version)
    return seen


@pytest.fixture(scope="module")
def there(source):
    seen = everything(source.url)
    assert len(seen["runs"]) == 10 and len(seen["versions"]) == 4 and len(seen["logged models"]) == 1
    return seen


def command(data, address, *options):
    binary = str(Path(os.environ["LOOPWRIGHT_BIN"]).resolve())
    return [binary, "import", "mlflow", "--data-dir", str(data), "--from", str(address), "--json", *options]


def imported(data, address, *options):
    """The report of an import that found no mismatch; complete is one that refused nothing."""
    work = data.parent
    done = subprocess.run(command(data, address, *options), cwd=work, capture_output=True, text=True, timeout=IMPORT_WITHIN_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(done.stdout)
    assert report["mismatches"] == [], report
    assert report["complete"] == (not report["refused"]), report
    return report


def assert_same(there, here):
    for kind in there:
        assert set(here[kind]) == set(there[kind]), kind
        for key, wanted in there[kind].items():
            assert here[kind][key] == wanted, f"{kind} {key}"


def test_a_server_is_moved(source, there, tmp_path):
    data = tmp_path / "data"
    counts = imported(data, source.url)["counts"]
    assert counts["runs"] == {"source": 10, "imported": 10, "skipped": 0, "refused": 0, "mismatches": 0}
    assert counts["metric_points"]["imported"] == LONG + 6 + 1 + 6 + 1
    with served(tmp_path) as url:
        here = everything(url)
        assert_same(there, here)
        with tracked_at(url):
            loaded = mlflow.pyfunc.load_model("models:/line@best")
            assert loaded.predict([[2.0]])[0] == pytest.approx(4.0)
    again = imported(data, source.url, "--verify", "full")["counts"]
    for kind, count in again.items():
        assert count["imported"] == 0 and count["skipped"] == count["source"], (kind, count)
    with served(tmp_path) as url:
        assert_same(here, everything(url))


def test_a_database_is_moved(source, there, tmp_path):
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    # The server is still up: its file is copied as its owner would back it up.
    with contextlib.closing(sqlite3.connect(source.db)) as original, contextlib.closing(sqlite3.connect(copy)) as target:
        original.backup(target)
    before = copy.read_bytes()
    imported(data, f"sqlite:///{copy}", "--artifact-root", str(source.artifacts))
    assert copy.read_bytes() == before
    with served(tmp_path) as url:
        assert_same(there, everything(url))
    again = imported(data, copy, "--artifact-root", str(source.artifacts))["counts"]
    assert all(count["imported"] == 0 for count in again.values()), again


def test_links_out_of_the_root_are_not_followed(source, there, tmp_path):
    data, root = tmp_path / "data", tmp_path / "artifacts"
    shutil.copytree(source.artifacts, root)
    secret = tmp_path / "secret.txt"
    secret.write_text("not yours")
    run, facts = next((run, facts) for run, facts in there["runs"].items() if "readme.txt" in facts["files"])
    (root / facts["experiment"] / run / "artifacts" / "link.txt").symlink_to(secret)
    report = imported(data, source.db, "--artifact-root", str(root))
    assert [refused["what"] for refused in report["refused"]] == ["link.txt"]
    with served(tmp_path) as url:
        assert_same(there, everything(url))


def test_a_killed_import_goes_on(source, there, tmp_path):
    data = tmp_path / "data"
    process = subprocess.Popen(command(data, source.url), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, runs = time.monotonic() + IMPORT_WITHIN_S, 0
    while runs == 0 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
        with contextlib.suppress(sqlite3.OperationalError):
            address = f"file:{data / 'loopwright.sqlite'}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
                runs = database.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the import ended before it was killed"
    imported(data, source.url)
    with served(tmp_path) as url:
        assert_same(there, everything(url))


def test_one_experiment_into_a_used_directory(source, there, tmp_path):
    data = tmp_path / "data"
    with served(tmp_path) as url:
        client = mlflow.MlflowClient(tracking_uri=url, registry_uri=url)
        taken = client.create_experiment("ours")
    assert taken in there["experiments"]
    report = imported(data, source.url, "--experiment", "first")
    (moved,) = report["moved_experiments"]
    assert moved == {"name": "first", "id_there": taken, "id_here": moved["id_here"]} and moved["id_here"] != taken
    with served(tmp_path) as url:
        here = everything(url)
    ours = {run for run, facts in there["runs"].items() if facts["experiment"] == taken}
    assert set(here["runs"]) == ours
    assert {facts["experiment"] for facts in here["runs"].values()} == {moved["id_here"]}
    assert {name for name, _ in here["versions"]} == {"line"}
    folder = here["versions"]["line", "3"]["source"]
    assert folder.startswith(f"mlflow-artifacts:/{moved['id_here']}/") and folder.endswith("/artifacts/notes")


def test_a_file_that_is_here_with_another_size_stays(source, there, tmp_path):
    data = tmp_path / "data"
    imported(data, source.url)
    run, facts = next((run, facts) for run, facts in there["runs"].items() if "readme.txt" in facts["files"])
    path, ours = f"{facts['experiment']}/{run}/artifacts/readme.txt", b"ours, and longer than theirs"
    with served(tmp_path) as url:
        requests.put(f"{url}/api/2.0/mlflow-artifacts/artifacts/{path}", data=ours, timeout=30).raise_for_status()
    again = command(data, source.url)
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=IMPORT_WITHIN_S)
    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    report = json.loads(done.stdout)
    [refused], [differs] = report["refused"], report["mismatches"]
    assert refused["what"] == path and "stays" in refused["reason"]
    assert differs["what"] == path and f"{len(ours)} here" in differs["reason"]
    with served(tmp_path) as url:
        assert requests.get(f"{url}/api/2.0/mlflow-artifacts/artifacts/{path}", timeout=30).content == ours


def test_a_dry_run_writes_nothing(source, tmp_path):
    data = tmp_path / "data"
    report = imported(data, source.url, "--dry-run")
    assert report["dry_run"] and report["counts"]["runs"]["source"] == 10
    assert not data.exists()


def test_what_is_no_source_is_said(tmp_path):
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    for address, message in [
        ("mysql://host/db", "mysql is no source"),
        (empty, "holds no table of MLflow's experiments"),
        (tmp_path / "absent.db", "cannot open database"),
    ]:
        done = subprocess.run(command(tmp_path / "data", address), capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and message in done.stderr, (done.returncode, done.stderr)
