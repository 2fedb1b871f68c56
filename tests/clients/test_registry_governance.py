"""Gates, signatures and bills of materials, checked by the public verifiers over what the mlflow client downloads."""

import contextlib
import json
import os
import pickle
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import lightgbm
import mlflow
import model_signing
import numpy as np
import pandas as pd
import pytest
import requests
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from mlflow.models import infer_signature
from sklearn.linear_model import Ridge

from conftest import served, tracked_at

APPROVER = {"reason": "the errors fell"}
FRAME = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 7})
TRUTH = FRAME["a"] * 2 + FRAME["b"]


class Hostile:
    def __reduce__(self):
        return __import__("os").system, ("true",)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("governance")


@pytest.fixture(scope="module")
def url(work):
    """A server of its own: the approver's token is written into its database."""
    with served(work) as address:
        yield address


@pytest.fixture(scope="module")
def tracking(url):
    with tracked_at(url) as client:
        yield client


@pytest.fixture(scope="module")
def approver(url, work):
    binary = str(Path(os.environ["LOOPWRIGHT_BIN"]).resolve())
    command = [binary, "token", "create", "--name", "omar", "--role", "approver", "--data-dir", str(work / "data")]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def call(url):
    def send(method, path, body=None, status=200, **options):
        answer = requests.request(method, f"{url}/api/v1{path}", json=body, timeout=60, **options)
        assert answer.status_code == status, answer.text
        return answer

    return send


@pytest.fixture
def ridge(tracking, unique, call):
    """A model with a gate, and its first version: logged, registered and evaluated."""
    name = unique("ridge")
    mlflow.set_experiment(name)
    with mlflow.start_run():
        model = Ridge().fit(FRAME, TRUTH)
        mlflow.log_metric("mae", 0.5)
        mlflow.log_input(mlflow.data.from_pandas(FRAME, name="rides"), context="training")
        logged = mlflow.sklearn.log_model(
            model, name="model", registered_model_name=name, signature=infer_signature(FRAME, TRUTH),
            input_example=None, serialization_format="cloudpickle",
        )
    assert str(logged.registered_model_version) == "1"
    policy = {
        "metrics": [{"key": "mae", "at_most": 1.0}],
        "evidence": ["signature", "environment", "lineage", "card", "scan", "signed"],
        "quorum": 1, "approval_days": 90,
    }
    call("PUT", f"/models/{name}/gates", policy)
    call("PUT", f"/models/{name}/card", {"intended_use": "tests", "limits": "few rows", "owner": "nobody"})
    return name


def gate(call, name, version=1):
    return call("POST", f"/models/{name}/versions/{version}/gate", {}).json()


def checks(found):
    return {check["name"]: check for check in found["gate"]["evidence"]["checks"]}


def test_an_estimator_passes_the_gate_and_its_signature_verifies(tracking, ridge, call, tmp_path, approver):
    found = gate(call, ridge)
    assert found["version"]["state"] == "awaiting_approval", checks(found)
    tags = tracking.get_model_version(ridge, "1").tags
    assert tags["loopwright.state"] == "awaiting_approval"
    call("POST", f"/models/{ridge}/versions/1/approve", APPROVER, headers=approver)
    assert tracking.get_model_version(ridge, "1").tags["loopwright.approval"] == "approved"

    folder = mlflow.artifacts.download_artifacts(f"models:/{ridge}/1", dst_path=str(tmp_path / "model"))
    signature, key = tmp_path / "model.sig", tmp_path / "key.pub"
    signature.write_bytes(call("GET", f"/models/{ridge}/versions/1/signature").content)
    key.write_bytes(call("GET", "/signing-key").content)

    def verify():
        model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key).verify(folder, signature)

    verify()
    call("POST", f"/models/{ridge}/versions/1/verify", {})
    mlmodel = tmp_path / "model" / "MLmodel"
    whole = mlmodel.read_bytes()
    mlmodel.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="MLmodel"):
        verify()
    mlmodel.write_bytes(whole)
    verify()
    (tmp_path / "model" / "extra.py").write_text("1")
    with pytest.raises(ValueError, match=re.escape("extra.py")):
        verify()


def test_a_hostile_pickle_is_named_and_refused(tracking, unique, call, tmp_path):
    name = unique("hostile")
    mlflow.set_experiment(name)
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Hostile()))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "model")
    tracking.create_registered_model(name)
    tracking.create_model_version(name, f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
    call("PUT", f"/models/{name}/gates", {"evidence": ["scan"]})
    found = gate(call, name)
    assert found["version"]["state"] == "refused"
    said = checks(found)["scan"]["evidence"]
    assert "model.pkl" in said and "posix.system" in said
    [scan] = call("GET", f"/models/{name}/versions/1/scans").json()
    assert scan["verdict"] == "unknown"


def kept_verdicts(work, name):
    """Verdicts on files of this name, with their findings."""
    address = f"file:{work / 'data' / 'loopwright.sqlite'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        query = "SELECT verdict, findings FROM file_scans WHERE name = ?"
        return database.execute(query, (name.lower(),)).fetchall()


def scanned_soon(work, name):
    rows, deadline = [], time.monotonic() + 30
    while not rows and time.monotonic() < deadline:
        rows = kept_verdicts(work, name)
        time.sleep(0.05)
    return rows


def test_an_upload_is_scanned_before_anybody_asks(url, tracking, unique, work, tmp_path):
    file = tmp_path / f"{unique('early')}.PKL"
    file.write_bytes(pickle.dumps(Hostile()))
    mlflow.set_experiment(unique("uploads"))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "model")
    [(verdict, findings)] = scanned_soon(work, file.name)
    assert verdict == "unknown" and "system" in findings
    asked = {"tab": "artifacts", "path": f"model/{file.name}"}
    page = requests.get(f"{url}/runs/{run.info.run_id}", params=asked, timeout=30)
    assert page.ok and "Pickle scan" in page.text and "unknown" in page.text


def test_a_large_upload_waits_for_its_gate(tracking, unique, call, work, tmp_path):
    name = unique("large")
    large, small = tmp_path / f"{name}.bin", tmp_path / f"{name}.pkl"
    with large.open("wb") as file:
        pickle.dump(Hostile(), file)
        file.truncate(64 << 20)
    small.write_bytes(pickle.dumps(Hostile()))
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(large), "model")
        mlflow.log_artifact(str(small), "model")
    # Uploads are scanned in their order.
    assert len(scanned_soon(work, small.name)) == 1
    assert kept_verdicts(work, large.name) == []
    tracking.create_registered_model(name)
    tracking.create_model_version(name, f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
    call("PUT", f"/models/{name}/gates", {"evidence": ["scan"]})
    found = gate(call, name)
    assert found["version"]["state"] == "refused" and large.name in checks(found)["scan"]["evidence"]


def test_a_booster_in_its_text_format_holds_no_pickle(tracking, unique, call):
    name = unique("booster")
    mlflow.set_experiment(name)
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(FRAME, TRUTH), num_boost_round=2)
    with mlflow.start_run():
        mlflow.lightgbm.log_model(booster, name="model", registered_model_name=name)
    scans = call("GET", f"/models/{name}/versions/1/scans").json()
    assert {scan["verdict"] for scan in scans} == {"no_pickle"}, scans


def test_a_guarded_champion_moves_by_promotion_only(tracking, ridge):
    with pytest.raises(mlflow.exceptions.MlflowException, match="champion"):
        tracking.set_registered_model_alias(ridge, "champion", "1")
    with pytest.raises(mlflow.exceptions.MlflowException, match="approval"):
        tracking.transition_model_version_stage(ridge, "1", "Production")
    with pytest.raises(mlflow.exceptions.MlflowException, match="loopwright"):
        tracking.set_model_version_tag(ridge, "1", "loopwright.approval", "approved")


def test_the_bill_of_materials_is_valid(ridge, call):
    gate(call, ridge)
    text = call("GET", f"/models/{ridge}/versions/1/bom").text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert call("GET", f"/models/{ridge}/versions/1/bom").text == text
    document = json.loads(text)
    names = {component["name"] for component in document["components"]}
    assert {"scikit-learn", "rides"} <= names


def test_cards_are_complete_and_stand_alone(ridge, call):
    gate(call, ridge)
    card = call("GET", f"/models/{ridge}/versions/1/card").json()
    assert card["people"]["owner"] == "nobody"
    assert card["run"]["metrics"]["mae"] == 0.5
    assert card["gate"]["outcome"] == "awaiting_approval"
    assert [revision["occasion"] for revision in card["revisions"]] == ["gate passed"]
    page = call("GET", f"/models/{ridge}/versions/1/card.html").text
    assert "<h1>" in page and "src=" not in page and "href=" not in page


def test_two_versions_are_compared_on_the_same_rows(tracking, ridge, call):
    source = tracking.get_model_version(ridge, "1").source
    tracking.create_model_version(ridge, source)
    truth = TRUTH.tolist()
    for version, off in [(1, 1.0), (2, 0.5)]:
        rows = {"dataset": "holdout", "kind": "regression", "rows": list(range(40)), "truth": truth,
                "prediction": [value + off for value in truth]}
        kept = call("POST", f"/models/{ridge}/versions/{version}/evaluations", rows).json()
        assert kept["metrics"]["mae"] == pytest.approx(off)
    query = f"/models/{ridge}/compare?a=2&b=1&dataset=holdout&loss=absolute_error"
    paired = call("GET", query).json()
    assert paired["mean_difference"] == pytest.approx(-0.5)
    assert (paired["wins"], paired["ties"], paired["losses"]) == (40, 0, 0)
    rows["truth"] = [truth[0] + 1, *truth[1:]]
    call("POST", f"/models/{ridge}/versions/2/evaluations", rows)
    refused = call("GET", query, status=400)
    assert '\\"0\\"' in refused.text
