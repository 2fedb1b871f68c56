"""Files in parts, as the unmodified client sends them through the artifact proxy."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from conftest import LISTENING, served, tracked_at, wait_for_health

CHUNK = 5 * 1024 * 1024
SIZE = 25 * 1024 * 1024 + 7


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("multipart")


@pytest.fixture(scope="module")
def url(work):
    """A server of its own: what is left in its folders is looked at."""
    with served(work) as address:
        yield address


@pytest.fixture(scope="module")
def tracking(url):
    with tracked_at(url) as client:
        yield client


@pytest.fixture
def in_parts(monkeypatch):
    """The numbers of the parts that the client sends."""
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(CHUNK))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(CHUNK))
    sent, send = [], HttpArtifactRepository._upload_part

    def counted(credential, **options):
        sent.append(credential.part_number)
        return send(credential=credential, **options)

    monkeypatch.setattr(HttpArtifactRepository, "_upload_part", staticmethod(counted))
    return sent


@pytest.fixture
def large(tmp_path):
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(SIZE))
    return file


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def left_over(work):
    """Uploads that are open, and the folders of their parts."""
    address = f"file:{work / 'data' / 'loopwright.sqlite'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute("SELECT id FROM artifact_uploads WHERE joined IS NULL").fetchall()
        rows += database.execute("SELECT upload_id FROM artifact_upload_parts").fetchall()
    folder = work / "data" / "blobs" / "uploads"
    return [row[0] for row in rows] + ([path.name for path in folder.iterdir()] if folder.exists() else [])


def test_the_server_says_that_it_takes_parts(url):
    assert requests.get(f"{url}/api/3.0/mlflow/server-info", timeout=30).json()["multipart_uploads_enabled"] is True


def test_a_large_file_comes_back_as_it_was_sent(tracking, unique, in_parts, large, work, tmp_path):
    mlflow.set_experiment(unique("parts"))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(large), "deep/folder")
    assert sorted(in_parts) == [1, 2, 3, 4, 5, 6]
    [entry] = tracking.list_artifacts(run.info.run_id, "deep/folder")
    assert (entry.path, entry.file_size) == ("deep/folder/large.bin", SIZE)
    got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=entry.path, dst_path=str(tmp_path / "got"))
    assert sha256(got) == sha256(large)
    assert left_over(work) == []


def test_a_folder_of_large_and_small_files_is_logged(tracking, unique, in_parts, large, tmp_path):
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "small.txt").write_text("small")
    large.rename(folder / "inner" / "large.bin")
    mlflow.set_experiment(unique("parts"))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "model")
    assert len(in_parts) == 6
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model", dst_path=str(tmp_path / "got")))
    assert (got / "small.txt").read_text() == "small"
    assert sha256(got / "inner" / "large.bin") == sha256(folder / "inner" / "large.bin")


def test_an_upload_that_fails_is_aborted_and_leaves_nothing(tracking, unique, in_parts, large, work, monkeypatch):
    send = HttpArtifactRepository._upload_part

    def broken(credential, **options):
        if credential.part_number == 4:
            raise OSError("the cable was pulled")
        return send(credential=credential, **options)

    monkeypatch.setattr(HttpArtifactRepository, "_upload_part", staticmethod(broken))
    mlflow.set_experiment(unique("parts"))
    with mlflow.start_run() as run:
        with pytest.raises(MlflowException, match="at least one part"):
            mlflow.log_artifact(str(large), "model")
    assert tracking.list_artifacts(run.info.run_id, "model") == []
    assert left_over(work) == []


def begun(url, folder, parts, name="a.bin"):
    address = f"{url}/api/2.0/mlflow-artifacts/mpu/create/{folder}"
    answer = requests.post(address, json={"path": f"/tmp/{name}", "num_parts": parts}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(url, credential, data):
    """To the server as it is reached now: after a restart it has another port."""
    parts = urlsplit(credential["url"])
    return requests.put(f"{url}{parts.path}?{parts.query}", data=data, headers=credential["headers"], timeout=30)


def completed(url, folder, upload, etags, name="a.bin"):
    named = [{"part_number": number, "etag": etag, "url": "u"} for number, etag in enumerate(etags, 1)]
    body = {"path": f"/tmp/{name}", "upload_id": upload["upload_id"], "parts": named}
    return requests.post(f"{url}/api/2.0/mlflow-artifacts/mpu/complete/{folder}", json=body, timeout=60)


def test_a_wrong_etag_or_a_part_that_is_missing_is_refused(url, unique):
    folder = f"0/{unique('run')}/artifacts"
    upload = begun(url, folder, 2)
    first = put(url, upload["credentials"][0], b"one")
    assert first.headers["ETag"] == f'"{hashlib.sha256(b"one").hexdigest()}"'
    missing = completed(url, folder, upload, [first.headers["ETag"], '"x"'])
    assert (missing.status_code, missing.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), missing.text
    assert "did not come" in missing.json()["message"]
    second = put(url, upload["credentials"][1], b"two")
    wrong = completed(url, folder, upload, [second.headers["ETag"], first.headers["ETag"]])
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), wrong.text
    assert completed(url, folder, upload, [first.headers["ETag"], second.headers["ETag"]]).status_code == 200
    again = completed(url, folder, upload, [first.headers["ETag"], second.headers["ETag"]])
    assert (again.status_code, again.json()) == (200, {}), again.text
    file = requests.get(f"{url}/api/2.0/mlflow-artifacts/artifacts/{folder}/a.bin", timeout=30)
    assert file.content == b"onetwo"


def test_the_address_of_a_part_is_its_only_credential(url, unique):
    folder = f"0/{unique('run')}/artifacts"
    upload = begun(url, folder, 2)
    first, second = (credential["url"] for credential in upload["credentials"])
    swapped = f"{first.split('?')[0]}?{second.split('?')[1]}"
    for address in [swapped, first.split("?")[0]]:
        answer = requests.put(address, data=b"x", timeout=30)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), answer.text
    strange = {"Authorization": "Bearer nonsense"}
    assert requests.put(first, data=b"x", headers=strange, timeout=30).status_code == 200
    create = f"{url}/api/2.0/mlflow-artifacts/mpu/create/{folder}"
    assert requests.post(create, json={"path": "a", "num_parts": 1}, headers=strange, timeout=30).status_code == 401


def test_parts_survive_a_restart_and_a_kill(tmp_path):
    folder = "0/run/artifacts"
    with served(tmp_path) as url:
        upload = begun(url, folder, 2)
        first = put(url, upload["credentials"][0], b"one").headers["ETag"]
    # Killed with a part half sent: what was acknowledged stays, the half does not.
    command = [str(Path(os.environ["LOOPWRIGHT_BIN"]).resolve()), "up", "--data-dir", str(tmp_path / "data")]
    command += ["--listen", "127.0.0.1:0", "--print-url"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = next(found[1] for line in process.stdout if (found := LISTENING.fullmatch(line)))
    wait_for_health(process, address)

    def cut_off():
        yield b"tw"
        process.send_signal(signal.SIGKILL)
        process.wait()
        yield b"o"

    with contextlib.suppress(requests.RequestException):
        put(address, upload["credentials"][1], cut_off())
    assert process.wait() == -signal.SIGKILL
    with served(tmp_path) as url:
        refused = completed(url, folder, upload, [first, f'"{hashlib.sha256(b"tw").hexdigest()}"'])
        assert refused.status_code == 400 and "did not come" in refused.json()["message"], refused.text
        second = put(url, upload["credentials"][1], b"two").headers["ETag"]
        assert completed(url, folder, upload, [first, second]).status_code == 200
        file = requests.get(f"{url}/api/2.0/mlflow-artifacts/artifacts/{folder}/a.bin", timeout=30)
        assert file.content == b"onetwo"
    assert left_over(tmp_path) == []
