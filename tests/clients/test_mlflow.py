"""Tracking, artifacts and registry through the mlflow client as published."""

import math

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.models import infer_signature

from refusal import refused


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(11)
    rows = pd.DataFrame({"distance": rng.exponential(3, 400), "hour": rng.integers(0, 24, 400)})
    return rows.assign(price=3 + 2.5 * rows.distance + rng.normal(0, 0.5, 400))


@pytest.fixture(scope="module")
def booster(table):
    data = lgb.Dataset(table[["distance", "hour"]], table.price)
    return lgb.train({"objective": "regression_l1", "verbosity": -1, "num_leaves": 8}, data, 10)


@pytest.fixture
def registered(tracking, experiment, unique, booster, table):
    """A logged model with a signature and an example, registered as version 1."""
    name, inputs = unique("model"), table[["distance", "hour"]]
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(
            booster,
            name="model",
            signature=infer_signature(inputs, booster.predict(inputs)),
            input_example=inputs.head(3),
            registered_model_name=name,
            pip_requirements=["lightgbm"],
        )
    return name, logged


def names(runs):
    return [run.info.run_name for run in runs]


# Runs


def test_params_metrics_and_tags_come_back(tracking, experiment):
    with mlflow.start_run(run_name="first", description="a note", tags={"team": "pricing"}) as run:
        mlflow.log_param("depth", 7)
        mlflow.log_params({"loss": "l1", "empty": "", "text": "ä, 日本 'quoted' \"twice\""})
        mlflow.log_metric("mae", 1.5)
        mlflow.log_metrics({"rmse": 2.25, "tiny": 5e-324, "huge": 1.7e308, "negative": -0.1}, step=3)
        mlflow.set_tag("stage", "dev")
        mlflow.set_tags({"a/b": "1", "stage": "test"})
        mlflow.delete_tag("team")
    found = tracking.get_run(run.info.run_id)
    assert found.info.run_name == "first"
    assert found.info.status == "FINISHED"
    assert found.info.end_time >= found.info.start_time
    assert found.data.params == {"depth": "7", "loss": "l1", "empty": "", "text": "ä, 日本 'quoted' \"twice\""}
    assert found.data.metrics == {"mae": 1.5, "rmse": 2.25, "tiny": 5e-324, "huge": 1.7e308, "negative": -0.1}
    own_tags = {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")}
    assert own_tags == {"a/b": "1", "stage": "test"}
    assert found.data.tags["mlflow.note.content"] == "a note"


def test_metric_history_keeps_every_point_in_order(tracking, experiment):
    values = [1 / (step + 1) for step in range(60)]
    with mlflow.start_run() as run:
        for step, value in enumerate(values[:5]):
            mlflow.log_metric("loss", value, step=step)
        points = [Metric("loss", value, 1_700_000_000_000 + step, step) for step, value in enumerate(values)][5:]
        tracking.log_batch(run.info.run_id, metrics=points)
    history = tracking.get_metric_history(run.info.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == list(enumerate(values))
    assert tracking.get_run(run.info.run_id).data.metrics["loss"] == values[-1]
    assert tracking.get_metric_history(run.info.run_id, "never logged") == []


LATEST = [
    # points as (step, timestamp, value), and the one that counts as latest
    ("highest step", [(2, 10, 0.2), (5, 10, 0.5), (3, 99, 0.3)], 0.5),
    ("then newest time", [(1, 10, 0.1), (1, 30, 0.3), (1, 20, 0.9)], 0.3),
    ("then largest value", [(1, 10, 0.7), (1, 10, 0.9), (1, 10, 0.8)], 0.9),
    ("negative steps", [(-3, 10, 0.3), (-1, 10, 0.1)], 0.1),
]


@pytest.mark.parametrize(("points", "latest"), [case[1:] for case in LATEST], ids=[case[0] for case in LATEST])
def test_latest_metric(tracking, experiment, points, latest):
    with mlflow.start_run() as run:
        metrics = [Metric("m", value, timestamp, step) for step, timestamp, value in points]
        tracking.log_batch(run.info.run_id, metrics=metrics)
    assert tracking.get_run(run.info.run_id).data.metrics["m"] == latest


def test_nan_metric_survives(tracking, experiment):
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", math.nan, step=1)
        mlflow.log_metric("up", math.inf)
    found = tracking.get_run(run.info.run_id)
    assert math.isnan(found.data.metrics["loss"])
    assert found.data.metrics["up"] >= 1.7976931348623157e308
    history = {point.step: point.value for point in tracking.get_metric_history(run.info.run_id, "loss")}
    assert history[0] == 0.5
    assert math.isnan(history[1])


def test_one_batch_of_everything(tracking, experiment):
    run = tracking.create_run(experiment.experiment_id)
    tracking.log_batch(
        run.info.run_id,
        metrics=[Metric(f"m{i}", i / 7, 1_700_000_000_000, 0) for i in range(800)],
        params=[Param(f"p{i}", str(i)) for i in range(100)],
        tags=[RunTag(f"t{i}", str(i)) for i in range(100)],
    )
    found = tracking.get_run(run.info.run_id)
    assert (len(found.data.metrics), len(found.data.params)) == (800, 100)
    assert found.data.metrics["m799"] == 799 / 7
    assert found.data.tags["t99"] == "99"


def test_a_param_cannot_change(tracking, experiment):
    with mlflow.start_run() as run:
        mlflow.log_param("depth", 7)
        mlflow.log_param("depth", 7)
    message = refused("INVALID_PARAMETER_VALUE", tracking.log_param, run.info.run_id, "depth", 8)
    assert "depth" in message
    assert tracking.get_run(run.info.run_id).data.params == {"depth": "7"}


ABSENT_RUN = "0123456789abcdef0123456789abcdef"
ABSENT = [
    ("run", lambda client: client.get_run(ABSENT_RUN)),
    ("run of a metric", lambda client: client.log_metric(ABSENT_RUN, "m", 1.0)),
    ("run of a tag", lambda client: client.set_tag(ABSENT_RUN, "t", "1")),
    ("run to delete", lambda client: client.delete_run(ABSENT_RUN)),
    ("experiment", lambda client: client.get_experiment("987654321")),
    ("experiment of a run", lambda client: client.create_run("987654321")),
    ("registered model", lambda client: client.get_registered_model("absent")),
    ("model version", lambda client: client.get_model_version("absent", "1")),
]


@pytest.mark.parametrize("call", [case[1] for case in ABSENT], ids=[case[0] for case in ABSENT])
def test_what_does_not_exist_says_so(tracking, call):
    refused("RESOURCE_DOES_NOT_EXIST", call, tracking)


def test_nested_runs_are_found_by_their_parent(tracking, experiment):
    with mlflow.start_run(run_name="parent") as parent:
        for name in ("one", "two"):
            with mlflow.start_run(run_name=name, nested=True):
                mlflow.log_metric("m", 1)
    children = tracking.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", order_by=["run_name ASC"]
    )
    assert names(children) == ["one", "two"]
    assert mlflow.get_parent_run(children[0].info.run_id).info.run_id == parent.info.run_id


def test_a_failing_block_ends_the_run_as_failed(tracking, experiment):
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        _ = 1 / 0
    assert tracking.get_run(run.info.run_id).info.status == "FAILED"


def test_delete_and_restore_run(tracking, experiment):
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
    ids, run_id = [experiment.experiment_id], run.info.run_id
    tracking.delete_run(run_id)
    assert tracking.get_run(run_id).info.lifecycle_stage == "deleted"
    assert tracking.search_runs(ids) == []
    assert len(tracking.search_runs(ids, run_view_type=ViewType.DELETED_ONLY)) == 1
    refused("INVALID_PARAMETER_VALUE", tracking.log_param, run_id, "q", 2)
    tracking.restore_run(run_id)
    assert tracking.get_run(run_id).info.lifecycle_stage == "active"
    assert len(tracking.search_runs(ids)) == 1


def test_dataset_input(tracking, experiment, table):
    dataset = mlflow.data.from_pandas(table, source="prices.csv", targets="price", name="prices")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
    [logged] = tracking.get_run(run.info.run_id).inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("prices", dataset.digest)
    assert {tag.key: tag.value for tag in logged.tags} == {"mlflow.data.context": "training"}
    found = tracking.search_runs([experiment.experiment_id], "dataset.name = 'prices'")
    assert [each.info.run_id for each in found] == [run.info.run_id]


# Search


@pytest.fixture(scope="module")
def searched(tracking):
    """Runs r0..r4: metric x = 0..4 (none in r4), y alternates, team is a tag of the even ones."""
    experiment_id = tracking.create_experiment(f"searched-{id(tracking)}")
    for number in range(5):
        run = tracking.create_run(experiment_id, run_name=f"r{number}", start_time=1_700_000_000_000 + number)
        if number < 4:
            tracking.log_metric(run.info.run_id, "x", number)
        tracking.log_param(run.info.run_id, "y", "z" if number % 2 == 0 else "w")
        if number % 2 == 0:
            tracking.set_tag(run.info.run_id, "team name", f"T{number}")
        tracking.set_terminated(run.info.run_id, "FAILED" if number == 3 else "FINISHED")
    return experiment_id


SEARCHES = [
    # filter, order, run names
    ("", ["start_time ASC"], ["r0", "r1", "r2", "r3", "r4"]),
    ("", [], ["r4", "r3", "r2", "r1", "r0"]),
    ("metrics.x < 3 and params.y = 'z'", ["metrics.x DESC"], ["r2", "r0"]),
    ("metrics.x < 3 AND params.y = 'z'", ["metrics.x ASC"], ["r0", "r2"]),
    ("metrics.x >= 1.5", ["metrics.x ASC"], ["r2", "r3"]),
    ("metrics.x != 1", ["metrics.x ASC"], ["r0", "r2", "r3"]),
    ("metrics.x <= 1e0 and metrics.x > -1", ["metrics.x"], ["r0", "r1"]),
    ("params.y != 'z'", ["run_name ASC"], ["r1", "r3"]),
    ("tags.`team name` = 'T2'", [], ["r2"]),
    ('tags."team name" LIKE "T%"', ["run_name DESC"], ["r4", "r2", "r0"]),
    ("tags.`team name` ILIKE 't%'", ["run_name ASC"], ["r0", "r2", "r4"]),
    ("tags.`team name` IS NULL", ["run_name ASC"], ["r1", "r3"]),
    ("attributes.status = 'FAILED'", [], ["r3"]),
    ("run_name = 'r1'", [], ["r1"]),
    ("attributes.start_time > 1700000000002", ["start_time ASC"], ["r3", "r4"]),
    ("params.y = 'absent'", [], []),
    # a run without the metric comes last in both directions
    ("", ["metrics.x ASC"], ["r0", "r1", "r2", "r3", "r4"]),
    ("", ["metrics.x DESC"], ["r3", "r2", "r1", "r0", "r4"]),
    ("", ["params.y ASC", "metrics.x DESC"], ["r3", "r1", "r2", "r0", "r4"]),
]


@pytest.mark.parametrize(("where", "order", "expected"), SEARCHES)
def test_search_runs(tracking, searched, where, order, expected):
    assert names(tracking.search_runs([searched], where, order_by=order)) == expected


@pytest.mark.parametrize(
    "where",
    ["metrics.x < 'a'", "metrics.x ~ 1", "params.y = 1", "nonsense", "metrics.x < 1 or", "metric x < 1"],
)
def test_a_bad_filter_is_refused(tracking, searched, where):
    refused("INVALID_PARAMETER_VALUE", tracking.search_runs, [searched], where)


def test_search_pages_join_up(tracking, searched):
    found, token = [], None
    for _ in range(4):
        page = tracking.search_runs([searched], order_by=["start_time ASC"], max_results=2, page_token=token)
        assert len(page) <= 2
        found, token = found + names(page), page.token
        if not token:
            break
    assert found == ["r0", "r1", "r2", "r3", "r4"]


# Experiments


def test_experiment_life(tracking, unique):
    name = unique("life")
    experiment_id = tracking.create_experiment(name, tags={"owner": "me"})
    assert tracking.get_experiment_by_name(name).experiment_id == experiment_id
    assert tracking.get_experiment(experiment_id).tags["owner"] == "me"
    assert "already exists" in refused("RESOURCE_ALREADY_EXISTS", tracking.create_experiment, name)
    tracking.set_experiment_tag(experiment_id, "owner", "you")
    tracking.rename_experiment(experiment_id, f"{name}-2")
    found = tracking.search_experiments(filter_string=f"name = '{name}-2' and tags.owner = 'you'")
    assert [each.experiment_id for each in found] == [experiment_id]
    tracking.delete_experiment(experiment_id)
    assert tracking.get_experiment(experiment_id).lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", tracking.create_run, experiment_id)
    tracking.restore_experiment(experiment_id)
    assert tracking.get_experiment(experiment_id).lifecycle_stage == "active"


# Artifacts


def test_artifacts_come_back_byte_for_byte(tracking, experiment, tmp_path):
    blob = np.random.default_rng(5).bytes(3_000_000)
    source = tmp_path / "weights with space.bin"
    source.write_bytes(blob)
    (tmp_path / "empty.txt").touch()
    with mlflow.start_run() as run:
        mlflow.log_artifact(source, "deep/er")
        mlflow.log_artifact(tmp_path / "empty.txt")
        mlflow.log_dict({"a": [1, 2.5, None], "ü": "x"}, "config/settings.json")
        mlflow.log_text("one\ntwo\n", "notes.txt")
    run_id = run.info.run_id
    # mlflow's own server leaves the size of an empty file out
    listed = {item.path: (item.is_dir, item.file_size or 0) for item in tracking.list_artifacts(run_id)}
    assert listed == {"config": (True, 0), "deep": (True, 0), "empty.txt": (False, 0), "notes.txt": (False, 8)}
    [nested] = tracking.list_artifacts(run_id, "deep/er")
    assert (nested.path, nested.file_size) == ("deep/er/weights with space.bin", len(blob))
    folder = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="", dst_path=tmp_path / "back")
    assert (tmp_path / "back/deep/er/weights with space.bin").read_bytes() == blob, folder
    assert (tmp_path / "back/notes.txt").read_text() == "one\ntwo\n"
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/config/settings.json") == {"a": [1, 2.5, None], "ü": "x"}


def test_a_later_upload_replaces_the_artifact(tracking, experiment):
    with mlflow.start_run() as run:
        mlflow.log_text("first, and longer", "note.txt")
        mlflow.log_text("second", "note.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt") == "second"


# Models and the registry


def test_lightgbm_autolog(tracking, experiment, table):
    mlflow.lightgbm.autolog(log_models=False, silent=True)
    try:
        with mlflow.start_run() as run:
            data = lgb.Dataset(table[["distance", "hour"]], table.price)
            params = {"objective": "regression_l1", "num_leaves": 6, "verbosity": -1, "metric": "l1"}
            lgb.train(params, data, 8, valid_sets=[data], valid_names=["train"])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    found = tracking.get_run(run.info.run_id)
    assert found.data.params["num_leaves"] == "6"
    history = tracking.get_metric_history(run.info.run_id, "train-l1")
    assert sorted(point.step for point in history) == list(range(8))
    assert found.inputs.dataset_inputs


def test_logged_model_loads_back_and_predicts_the_same(tracking, registered, booster, table):
    name, logged = registered
    inputs = table[["distance", "hour"]]
    for uri in (f"models:/{name}/1", logged.model_uri):
        model = mlflow.pyfunc.load_model(uri)
        assert model.metadata.signature.inputs.input_names() == ["distance", "hour"]
        assert np.array_equal(model.predict(inputs), booster.predict(inputs))
    native = mlflow.lightgbm.load_model(f"models:/{name}/1")
    assert native.model_to_string() == lgb.Booster(model_str=booster.model_to_string()).model_to_string()


def test_model_version_describes_itself(tracking, registered, booster, table):
    name, logged = registered
    version = tracking.get_model_version(name, "1")
    assert (version.name, str(version.version), version.status) == (name, "1", "READY")
    assert version.run_id == logged.run_id
    assert tracking.get_logged_model(logged.model_id).status == "READY"
    second = mlflow.register_model(logged.model_uri, name, tags={"why": "again"})
    assert str(second.version) == "2"
    tracking.update_model_version(name, "2", description="the second")
    tracking.set_model_version_tag(name, "2", "checked", "yes")
    versions = {str(each.version): each for each in tracking.search_model_versions(f"name = '{name}'")}
    assert sorted(versions) == ["1", "2"]
    assert versions["2"].description == "the second"
    assert versions["2"].tags == {"why": "again", "checked": "yes"}
    tracking.delete_model_version(name, "2")
    assert [str(each.version) for each in tracking.search_model_versions(f"name = '{name}'")] == ["1"]


def test_aliases(tracking, registered, booster, table):
    name, logged = registered
    mlflow.register_model(logged.model_uri, name)
    tracking.set_registered_model_alias(name, "champion", "1")
    assert str(tracking.get_model_version_by_alias(name, "champion").version) == "1"
    tracking.set_registered_model_alias(name, "champion", "2")
    assert str(tracking.get_model_version_by_alias(name, "champion").version) == "2"
    assert {k: str(v) for k, v in tracking.get_registered_model(name).aliases.items()} == {"champion": "2"}
    inputs = table[["distance", "hour"]]
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert np.array_equal(loaded.predict(inputs), booster.predict(inputs))
    tracking.delete_registered_model_alias(name, "champion")
    refused("INVALID_PARAMETER_VALUE", tracking.get_model_version_by_alias, name, "champion")


def test_registered_model_life(tracking, unique):
    name = unique("life")
    tracking.create_registered_model(name, tags={"team": "pricing"}, description="prices")
    assert "already exists" in refused("RESOURCE_ALREADY_EXISTS", tracking.create_registered_model, name)
    tracking.update_registered_model(name, description="prices of trips")
    tracking.set_registered_model_tag(name, "tier", "1")
    tracking.delete_registered_model_tag(name, "team")
    [found] = tracking.search_registered_models(f"name = '{name}'")
    assert (found.description, found.tags) == ("prices of trips", {"tier": "1"})
    tracking.rename_registered_model(name, f"{name}-2")
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_registered_model, name)
    tracking.delete_registered_model(f"{name}-2")
    assert tracking.search_registered_models(f"name = '{name}-2'") == []
