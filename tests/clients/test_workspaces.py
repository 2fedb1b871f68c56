"""Workspaces through the mlflow client as published: two teams with the same names, and nothing of one in the other."""

import contextlib

import mlflow
import pytest
import requests
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from conftest import served
from refusal import refused

if not hasattr(mlflow, "set_workspace"):
    pytest.skip("this client knows no workspaces", allow_module_level=True)

NOT_THERE = "RESOURCE_DOES_NOT_EXIST"


@contextlib.contextmanager
def within(workspace):
    mlflow.set_workspace(workspace)
    try:
        yield
    finally:
        mlflow.set_workspace(None)


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def fill(client, workspace):
    """An experiment `shared` with a run, a file and a model `churn` with the alias `best`."""
    with within(workspace):
        experiment = client.create_experiment("shared", tags={"of": workspace})
        with mlflow.start_run(experiment_id=experiment, run_name=workspace) as run:
            mlflow.log_metric("mae", 1.5)
            mlflow.log_param("team", workspace)
            mlflow.log_text(f"of {workspace}", "notes/readme.txt")
            logged = mlflow.pyfunc.log_model(
                name="model", python_model=Echo(), registered_model_name="churn", pip_requirements=[]
            )
        client.set_registered_model_alias("churn", "best", "1")
        client.update_registered_model("churn", f"of {workspace}")
    return experiment, run.info.run_id, logged


@pytest.fixture(scope="module")
def teams(tracking):
    """Two workspaces that hold the same names."""
    for name in ("team-a", "team-b"):
        tracking.create_workspace(name, description=f"of {name}")
    return {name: fill(tracking, name) for name in ("team-a", "team-b")}


def test_workspaces_are_made_listed_and_described(tracking, teams):
    names = [workspace.name for workspace in tracking.list_workspaces()]
    assert {"default", "team-a", "team-b"} <= set(names) and names == sorted(names)
    assert tracking.get_workspace("team-a").description == "of team-a"
    changed = tracking.update_workspace("team-a", description="the first", default_artifact_root="s3://bucket/a")
    assert (changed.description, changed.default_artifact_root) == ("the first", "s3://bucket/a")
    assert tracking.update_workspace("team-a", default_artifact_root="").default_artifact_root is None
    assert tracking.get_workspace("team-a").description == "the first"
    refused("RESOURCE_ALREADY_EXISTS", tracking.create_workspace, "team-a")
    refused(NOT_THERE, tracking.get_workspace, "nobodys")
    refused("INVALID_PARAMETER_VALUE", tracking.update_workspace, "team-a", default_artifact_root="file:///etc")


def test_each_team_finds_its_own_under_the_same_names(tracking, teams):
    for name, (experiment, run_id, _) in teams.items():
        with within(name):
            assert tracking.get_experiment_by_name("shared").experiment_id == experiment
            assert [found.name for found in tracking.search_experiments()] == ["shared"]
            assert [run.info.run_id for run in tracking.search_runs([experiment])] == [run_id]
            assert tracking.get_run(run_id).data.params == {"team": name}
            assert [file.path for file in tracking.list_artifacts(run_id, "notes")] == ["notes/readme.txt"]
            assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/readme.txt") == f"of {name}"
            assert [model.name for model in tracking.search_registered_models()] == ["churn"]
            found = tracking.search_registered_models("name LIKE 'ch%'", order_by=["name ASC"])
            assert [model.description for model in found] == [f"of {name}"]
            versions = tracking.search_model_versions("name = 'churn'")
            assert [(version.name, version.run_id) for version in versions] == [("churn", run_id)]
            version = tracking.get_model_version_by_alias("churn", "best")
            assert (version.name, str(version.version)) == ("churn", "1")


def test_a_model_is_loaded_by_its_alias(teams):
    for name in teams:
        with within(name):
            loaded = mlflow.pyfunc.load_model("models:/churn@best")
            assert loaded.predict(["x"]) == ["x"]


def test_another_teams_things_are_not_there(tracking, teams):
    experiment, run_id, logged = teams["team-a"]
    for workspace in ("team-b", "default"):
        with within(workspace):
            refused(NOT_THERE, tracking.get_experiment, experiment)
            refused(NOT_THERE, tracking.rename_experiment, experiment, "taken")
            refused(NOT_THERE, tracking.delete_experiment, experiment)
            refused(NOT_THERE, tracking.create_run, experiment)
            refused(NOT_THERE, tracking.get_run, run_id)
            refused(NOT_THERE, tracking.log_metric, run_id, "mae", 0.0)
            refused(NOT_THERE, tracking.set_tag, run_id, "k", "v")
            refused(NOT_THERE, tracking.delete_run, run_id)
            refused(NOT_THERE, tracking.get_metric_history, run_id, "mae")
            refused(NOT_THERE, tracking.get_logged_model, logged.model_id)
            assert tracking.search_runs([experiment], run_view_type=ViewType.ALL) == []
            assert mlflow.search_logged_models(experiment_ids=[experiment], output_format="list") == []
            with pytest.raises(MlflowException):
                tracking.list_artifacts(run_id)
    with within("team-a"):
        assert tracking.get_run(run_id).data.metrics == {"mae": 1.5}


def test_another_teams_models_are_not_there(tracking, teams):
    with within("default"):
        assert all("/" not in model.name for model in tracking.search_registered_models())
        for name in ("churn", "team-a/churn"):
            refused(NOT_THERE, tracking.get_registered_model, name)
            refused(NOT_THERE, tracking.get_model_version, name, "1")
            refused(NOT_THERE, tracking.delete_registered_model, name)
        refused("INVALID_PARAMETER_VALUE", tracking.create_registered_model, "team-a/planted")
    with within("team-b"):
        refused(NOT_THERE, tracking.get_registered_model, "team-a/churn")
        tracking.set_registered_model_tag("churn", "seen", "by team-b")
    with within("team-a"):
        assert "seen" not in tracking.get_registered_model("churn").tags


def test_a_version_cannot_be_made_of_another_teams_files(url, tracking, teams):
    experiment, run_id, logged = teams["team-a"]
    with within("team-b"):
        tracking.create_registered_model("stolen")
        sources = [
            f"runs:/{run_id}/notes",
            f"mlflow-artifacts:/{experiment}/{run_id}/artifacts/notes",
            f"models:/{logged.model_id}",
        ]
        for source in sources[:2]:
            tracking.create_model_version("stolen", source)
        refused(NOT_THERE, tracking.create_model_version, "stolen", sources[2])
        tracking.create_model_version("stolen", sources[2], run_id="0" * 32)
    for version in (1, 2, 3):
        for path in ("readme.txt", "MLmodel"):
            answer = requests.get(
                f"{url}/model-versions/get-artifact",
                params={"name": "stolen", "version": version, "path": path},
                headers={"X-MLFLOW-WORKSPACE": "team-b"},
                timeout=30,
            )
            assert answer.status_code == 404 and "team-a" not in answer.text, answer.text


def test_a_gate_does_not_judge_by_another_teams_run(url, tracking, teams):
    _, own_run, _ = teams["team-b"]
    with within("team-b"):
        tracking.create_registered_model("borrowed")
        for run_id in (teams["team-a"][1], own_run):
            tracking.create_model_version("borrowed", f"runs:/{own_run}/notes", run_id=run_id)
    model = f"{url}/api/v1/models/team-b%2Fborrowed"
    policy = {"metrics": [{"key": "mae", "at_most": 2.0}]}
    assert requests.put(f"{model}/gates", json=policy, timeout=30).ok
    for version, state, mae, team in ((1, "refused", None, None), (2, "awaiting_approval", 1.5, "team-b")):
        found = requests.post(f"{model}/versions/{version}/gate", json={}, timeout=30).json()
        facts = found["gate"]["evidence"]["facts"]
        assert (found["version"]["state"], facts["metrics"].get("mae")) == (state, mae), found
        run = requests.get(f"{model}/versions/{version}/card", timeout=30).json()["run"] or {"params": {}}
        assert run["params"].get("team") == team, run


def test_a_point_does_not_reach_another_teams_model(tracking, teams):
    _, own_run, _ = teams["team-b"]
    _, _, theirs = teams["team-a"]
    with within("team-b"):
        tracking.log_metric(own_run, "planted", 9.0, model_id=theirs.model_id)
    with within("team-a"):
        found = tracking.get_logged_model(theirs.model_id).metrics or []
        assert all(metric.key != "planted" for metric in found)


def test_a_workspace_that_is_not_there_is_refused(url, tracking, teams):
    with within("nobodys"):
        refused(NOT_THERE, tracking.search_experiments)
        refused(NOT_THERE, tracking.create_experiment, "planted")
    for name, status in (("nobodys", 404), ("Team_A", 400), ("a", 400), ("", 200), ("default", 200)):
        answer = requests.get(
            f"{url}/api/2.0/mlflow/experiments/search",
            params={"max_results": 1},
            headers={"X-MLFLOW-WORKSPACE": name},
            timeout=30,
        )
        assert answer.status_code == status, (name, answer.text)


def test_without_a_workspace_everything_is_as_before(tracking, teams, unique):
    name = unique("plain")
    experiment = tracking.create_experiment(name)
    run = tracking.create_run(experiment)
    with within("default"):
        assert tracking.get_experiment_by_name(name).experiment_id == experiment
        assert tracking.get_run(run.info.run_id).info.experiment_id == experiment
    assert all(found.name != "shared" for found in tracking.search_experiments())


def test_graphql_heeds_the_workspace(url, teams):
    experiment, run_id, _ = teams["team-a"]
    query = "query Q($input: MlflowGetRunInput!) { mlflowGetRun(input: $input) { run { info { runId } } } }"
    body = {"query": query, "variables": {"input": {"runId": run_id}}}

    def asked(workspace):
        headers = {"X-MLFLOW-WORKSPACE": workspace}
        return requests.post(f"{url}/graphql", json=body, headers=headers, timeout=30)

    assert run_id in asked("team-a").text
    assert asked("team-b").json()["data"] is None
    assert asked("nobodys").status_code == 404


def test_pages_name_the_workspace(url, teams):
    experiment, _, _ = teams["team-a"]
    page = requests.get(f"{url}/experiments", timeout=30).text.replace("&#x2f;", "/")
    assert "team-a / shared" in page and "team-b / shared" in page
    assert requests.get(f"{url}/experiments/{experiment}", timeout=30).status_code == 200
    model = requests.get(f"{url}/models/team-a%2Fchurn/1", timeout=30)
    assert model.status_code == 200 and "/models/team-a%2Fchurn/versions/1/" in model.text


def test_only_an_empty_workspace_is_deleted_and_all_outlive_a_restart(tmp_path):
    tracked = mlflow.get_tracking_uri()
    try:
        with served(tmp_path) as url:
            mlflow.set_tracking_uri(url)
            client = mlflow.MlflowClient(url)
            for name in ("team-a", "team-b"):
                client.create_workspace(name)
            with within("team-a"):
                experiment = client.create_experiment("kept")
                client.create_registered_model("kept")
                client.delete_experiment(experiment)
            message = refused("INVALID_PARAMETER_VALUE", client.delete_workspace, "team-a")
            assert "experiment" in message
            for mode in ("CASCADE", "SET_DEFAULT"):
                with pytest.raises(MlflowException):
                    client.delete_workspace("team-a", mode=mode)
            refused("INVALID_PARAMETER_VALUE", client.delete_workspace, "default")
            client.delete_workspace("team-b")
            refused(NOT_THERE, client.get_workspace, "team-b")
            with within("team-b"):
                refused(NOT_THERE, client.create_experiment, "late")
        with served(tmp_path) as url:
            mlflow.set_tracking_uri(url)
            client = mlflow.MlflowClient(url)
            assert [workspace.name for workspace in client.list_workspaces()] == ["default", "team-a"]
            with within("team-a"):
                assert client.get_experiment(experiment).name == "kept"
                assert client.get_registered_model("kept").name == "kept"
            refused(NOT_THERE, client.get_experiment, experiment)
    finally:
        mlflow.set_tracking_uri(tracked)
