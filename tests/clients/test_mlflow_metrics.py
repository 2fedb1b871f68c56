"""Points of metrics: large batches, long histories, values that are no numbers."""

import math

import mlflow
import pytest
import requests
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from refusal import refused

START = 1_700_000_000_000
LONG = 60_000
PAGE = 25_000


def ask(url, path, **params):
    answer = requests.get(f"{url}/ajax-api/2.0/mlflow/{path}", params=params, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def long_run(tracking):
    """A run whose metric `loss` has one point per step, from 0 to LONG - 1, of the value of its step halved."""
    run_id = tracking.create_run(tracking.create_experiment(f"long-{id(tracking)}")).info.run_id
    for first in range(0, LONG, 1_000):
        points = [Metric("loss", step / 2, START + step, step) for step in range(first, first + 1_000)]
        tracking.log_batch(run_id, metrics=points)
    return run_id


def test_a_batch_of_a_thousand_points_and_not_one_more(tracking, experiment):
    run_id = tracking.create_run(experiment.experiment_id).info.run_id
    tracking.log_batch(run_id, metrics=[Metric("m", step, START, step) for step in range(1_000)])
    assert [point.value for point in tracking.get_metric_history(run_id, "m")] == list(range(1_000))
    body = [{"key": "n", "value": step, "timestamp": START, "step": step} for step in range(1_001)]
    url = f"{mlflow.get_tracking_uri()}/api/2.0/mlflow/runs/log-batch"
    answer = requests.post(url, json={"run_id": run_id, "metrics": body}, timeout=30)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert tracking.get_metric_history(run_id, "n") == []


def test_a_long_history_comes_whole(tracking, long_run):
    history = tracking.get_metric_history(long_run, "loss")
    assert [(point.step, point.timestamp, point.value) for point in history] == [
        (step, START + step, step / 2) for step in range(LONG)
    ]
    assert tracking.get_run(long_run).data.metrics == {"loss": (LONG - 1) / 2}


def test_a_long_history_in_pages(url, tracking, long_run):
    sizes, steps, token = [], [], None
    while token != "":
        more = {"page_token": token} if token else {}
        page = ask(url, "metrics/get-history", run_id=long_run, metric_key="loss", max_results=PAGE, **more)
        sizes.append(len(page["metrics"]))
        steps += [int(point["step"]) for point in page["metrics"]]
        token = page.get("next_page_token", "")
    assert sizes == [PAGE, PAGE, LONG - 2 * PAGE]
    assert steps == list(range(LONG))


def test_history_of_many_runs(url, tracking, experiment):
    runs = [tracking.create_run(experiment.experiment_id).info.run_id for _ in range(3)]
    for number, run_id in enumerate(runs[:2]):
        tracking.log_batch(run_id, metrics=[Metric("m", 10 * number + step, START, step) for step in range(4)])
    found = ask(url, "metrics/get-history-bulk", run_id=runs, metric_key="m")["metrics"]
    values = {run_id: [point["value"] for point in found if point["run_id"] == run_id] for run_id in runs}
    assert list(values.values()) == [[0, 1, 2, 3], [10, 11, 12, 13], []]
    few = ask(url, "metrics/get-history-bulk", run_id=runs, metric_key="m", max_results=6)["metrics"]
    assert len(few) == 6


def test_history_of_a_range_is_thinned_out(url, tracking, long_run):
    def thinned(**params):
        found = ask(url, "metrics/get-history-bulk-interval", run_ids=[long_run], metric_key="loss", **params)
        points = found["metrics"]
        assert all(point["value"] == int(point["step"]) / 2 and point["run_id"] == long_run for point in points)
        return [int(point["step"]) for point in points]

    steps = thinned(max_results=100)
    assert (steps[0], steps[-1]) == (0, LONG - 1)
    assert 100 <= len(steps) <= 102
    assert steps == sorted(set(steps))
    gaps = {later - earlier for earlier, later in zip(steps, steps[1:])}
    assert max(gaps) <= 2 * LONG / 100
    within = thinned(max_results=10, start_step=1_000, end_step=2_000)
    assert {1_000, 2_000} <= set(within)
    assert all(1_000 <= step <= 2_000 for step in within)
    assert thinned(max_results=100, start_step=7, end_step=11) == [7, 8, 9, 10, 11]


BARE = [("NaN", math.isnan), ("Infinity", lambda value: value >= 1.7976931348623157e308)]
BARE += [("-Infinity", lambda value: value <= -1.7976931348623157e308)]


@pytest.mark.parametrize(("literal", "holds"), BARE, ids=[case[0] for case in BARE])
@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "quoted"])
def test_a_value_that_json_does_not_know(url, tracking, experiment, literal, holds, quote):
    run_id = tracking.create_run(experiment.experiment_id).info.run_id
    point = '{"key": "NaN Infinity", "value": %s, "timestamp": %d, "step": 3}' % (quote + literal + quote, START)
    body = '{"run_id": "%s", "metrics": [%s]}' % (run_id, point)
    kind = {"Content-Type": "application/json"}
    answer = requests.post(f"{url}/api/2.0/mlflow/runs/log-batch", data=body, headers=kind, timeout=30)
    assert answer.ok, answer.text
    assert holds(tracking.get_run(run_id).data.metrics["NaN Infinity"])
    [found] = tracking.get_metric_history(run_id, "NaN Infinity")
    assert found.step == 3
    assert holds(found.value)


def test_values_that_are_no_numbers_keep_their_places(tracking, experiment):
    values = [1.0, math.nan, math.inf, -math.inf, 0.1, -0.0, 5e-324]
    with mlflow.start_run() as run:
        tracking.log_batch(run.info.run_id, metrics=[Metric("m", v, START, i) for i, v in enumerate(values)])
        mlflow.log_metric("last", math.nan, step=1)
        mlflow.log_metric("last", 2.0, step=0)
    found = [point.value for point in tracking.get_metric_history(run.info.run_id, "m")]
    largest = 1.7976931348623157e308
    assert [found[0], found[4], found[6]] == [1.0, 0.1, 5e-324]
    assert math.isnan(found[1])
    assert (found[2] >= largest, found[3] <= -largest, found[5]) == (True, True, 0.0)
    assert math.isnan(tracking.get_run(run.info.run_id).data.metrics["last"])


def test_the_same_point_twice_is_one(tracking, experiment):
    run_id = tracking.create_run(experiment.experiment_id).info.run_id
    point, other = Metric("m", 1.5, START, 1), Metric("m", 2.5, START, 1)
    tracking.log_batch(run_id, metrics=[point, point, other])
    tracking.log_batch(run_id, metrics=[other, point])
    tracking.log_metric(run_id, "m", 1.5, timestamp=START, step=1)
    assert sorted(found.value for found in tracking.get_metric_history(run_id, "m")) == [1.5, 2.5]


def test_points_outlive_deletion_and_rename(tracking, experiment):
    run_id = tracking.create_run(experiment.experiment_id, run_name="before").info.run_id
    tracking.log_batch(run_id, metrics=[Metric("m", step, START, step) for step in range(10)])
    tracking.delete_run(run_id)
    refused("INVALID_PARAMETER_VALUE", tracking.log_metric, run_id, "m", 10.0, START, 10)
    tracking.restore_run(run_id)
    tracking.update_run(run_id, name="after", status="KILLED")
    tracking.log_metric(run_id, "m", 10.0, START, 10)
    found = tracking.get_run(run_id)
    assert (found.info.run_name, found.info.status, found.data.tags["mlflow.runName"]) == ("after", "KILLED", "after")
    assert [point.value for point in tracking.get_metric_history(run_id, "m")] == list(range(11))


def test_points_outlive_the_deletion_of_their_experiment(tracking, unique):
    experiment_id = tracking.create_experiment(unique("gone"))
    run_id = tracking.create_run(experiment_id).info.run_id
    tracking.log_metric(run_id, "m", 0.25, START, 4)
    tracking.delete_experiment(experiment_id)
    assert tracking.get_run(run_id).info.lifecycle_stage == "deleted"
    tracking.restore_experiment(experiment_id)
    assert tracking.get_run(run_id).info.lifecycle_stage == "active"
    [point] = tracking.get_metric_history(run_id, "m")
    assert (point.value, point.timestamp, point.step) == (0.25, START, 4)


def test_logging_in_the_background_loses_nothing(url, tracking, experiment):
    client = MlflowClient(url)
    run_id = client.create_run(experiment.experiment_id).info.run_id
    waiting = [client.log_metric(run_id, "m", step, START, step, synchronous=False) for step in range(200)]
    for operation in waiting:
        operation.wait()
    assert [point.value for point in client.get_metric_history(run_id, "m")] == list(range(200))
