"""Experiments whose files go to a folder of their own, or to a store that this server does not read."""

import mlflow
import pytest
import requests

import taxi
from refusal import refused

BUCKET = "s3://bucket/path"


def register(url, name, source, **fields):
    """Over plain HTTP: the client turns what a source names into an address first."""
    body = {"name": name, "source": source, **fields}
    answer = requests.post(f"{url}/api/2.0/mlflow/model-versions/create", json=body, timeout=30)
    assert answer.ok, answer.text
    return answer.json()["model_version"]["version"]


@pytest.fixture
def elsewhere(tracking, unique):
    """A run of an experiment in a bucket."""
    experiment = tracking.create_experiment(unique("bucket"), artifact_location=BUCKET)
    return tracking.create_run(experiment)


def test_files_go_to_the_folder_that_was_named(tracking, unique, tmp_path):
    folder = unique("shared-folder")
    name = unique("own")
    experiment = tracking.create_experiment(name, artifact_location=f"mlflow-artifacts:/{folder}")
    for found in (tracking.get_experiment(experiment), tracking.get_experiment_by_name(name)):
        assert found.artifact_location == f"mlflow-artifacts:/{folder}"
    file = tmp_path / "a.txt"
    file.write_text("kept")
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(file), "notes")
    root = f"mlflow-artifacts:/{folder}/{run.info.run_id}/artifacts"
    assert run.info.artifact_uri == root
    assert [each.path for each in tracking.list_artifacts(run.info.run_id)] == ["notes"]
    assert [each.path for each in tracking.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]
    by_run = {"run_id": run.info.run_id, "artifact_path": "notes/a.txt"}
    for options in (by_run, {"artifact_uri": f"{root}/notes/a.txt"}):
        with open(mlflow.artifacts.download_artifacts(**options)) as loaded:
            assert loaded.read() == "kept"
    [found] = tracking.search_runs([experiment], f"attributes.artifact_uri = '{root}'")
    assert found.info.run_id == run.info.run_id


def test_a_model_in_a_folder_of_its_own_is_served(url, tracking, unique, trips):
    name = unique("own")
    mlflow.set_experiment(
        experiment_id=tracking.create_experiment(name, artifact_location=f"mlflow-artifacts:/{unique('models')}")
    )
    with mlflow.start_run():
        taxi.log(taxi.train(trips, trees=3), trips, name)
    answer = taxi.deploy(url, name)
    assert answer.status_code in (200, 201), answer.text


def test_runs_and_models_in_another_store_have_its_address(url, tracking, elsewhere):
    info = elsewhere.info
    assert tracking.get_experiment(info.experiment_id).artifact_location == BUCKET
    assert info.artifact_uri == tracking.get_run(info.run_id).info.artifact_uri == f"{BUCKET}/{info.run_id}/artifacts"
    model = tracking.create_logged_model(info.experiment_id, name="line", source_run_id=info.run_id)
    assert model.artifact_location == f"{BUCKET}/models/{model.model_id}/artifacts"
    answer = requests.get(f"{url}/api/2.0/mlflow/artifacts/list", params={"run_id": info.run_id}, timeout=30)
    assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert info.artifact_uri in answer.json()["message"]
    for tab in ("artifacts", "logs", "environment"):
        page = requests.get(f"{url}/runs/{info.run_id}", params={"tab": tab}, timeout=30)
        assert page.ok and "which this server does not read" in page.text, (tab, page.text)


def test_a_version_in_another_store_is_registered_and_not_served(url, tracking, unique, elsewhere):
    info, name = elsewhere.info, unique("away")
    model = tracking.create_logged_model(info.experiment_id, name="line", source_run_id=info.run_id)
    tracking.create_registered_model(name)
    first = tracking.create_model_version(name, f"{info.artifact_uri}/model", info.run_id).version
    versions = [
        str(first),
        register(url, name, f"runs:/{info.run_id}/model", run_id=info.run_id),
        register(url, name, f"models:/{model.model_id}", model_id=model.model_id),
    ]
    assert versions == ["1", "2", "3"]
    for version in versions:
        answer = taxi.deploy(url, name, version)
        assert answer.status_code == 400 and "registry/source" in answer.text, answer.text
        assert BUCKET in answer.text, answer.text


@pytest.mark.parametrize(
    "location",
    ["/etc/x", "folder", "file:///etc/x", "s3://bucket/../x", "s3://ada:hidden@bucket/x", "mlflow-artifacts:/0/x"],
)
def test_a_location_that_is_not_kept_is_refused(tracking, unique, location):
    message = refused("INVALID_PARAMETER_VALUE", tracking.create_experiment, unique("x"), artifact_location=location)
    assert "artifact_location" in message and "hidden" not in message
