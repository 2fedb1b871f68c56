"""Searches through the mlflow client: runs, experiments, logged models, registered models and versions."""

import mlflow
import pandas as pd
import pytest
from mlflow.entities import LoggedModelStatus, Metric, ViewType

from refusal import refused

START = 1_700_000_000_000


def paged(search, **kwargs):
    """All items of a search, read page by page; every page but the last is full."""
    found, token = [], None
    while True:
        page = search(page_token=token, **kwargs)
        found += page
        token = page.token
        assert len(page) <= kwargs["max_results"]
        if not token:
            return found
        assert len(page) == kwargs["max_results"]


# Runs


@pytest.fixture(scope="module")
def searched(tracking):
    """Runs r00..r11: metric x is the number but in r11, which has none; each falls from 100 + number to it. Param z is
    the number modulo 3; r00..r03 read data set `prices`, r04 and r05 `trips`."""
    experiment_id = tracking.create_experiment(f"searches-{id(tracking)}")
    data = {name: mlflow.data.from_pandas(pd.DataFrame({"a": [len(name)]}), name=name) for name in ("prices", "trips")}
    mlflow.set_experiment(experiment_id=experiment_id)
    for number in range(12):
        run_id = tracking.create_run(experiment_id, run_name=f"r{number:02}", start_time=START + number).info.run_id
        if number < 11:
            points = [Metric("x", value, START, step) for step, value in enumerate((100 + number, number))]
            tracking.log_batch(run_id, metrics=points)
        tracking.log_param(run_id, "z", str(number % 3))
        if number < 6:
            with mlflow.start_run(run_id=run_id):
                mlflow.log_input(data["prices" if number < 4 else "trips"], context="train" if number % 2 else "eval")
        tracking.set_terminated(run_id)
    return experiment_id


def numbers(runs):
    return [int(run.info.run_name[1:]) for run in runs]


BRACKETS = [
    # what mlflow's own server does not know
    ("metrics.x < 2 OR metrics.x > 8", [0, 1, 9, 10]),
    ("metrics.x < 2 or metrics.x > 8 and params.z = '0'", [0, 1, 9]),
    ("(metrics.x < 2 or metrics.x > 8) and params.z = '0'", [0, 9]),
    ("NOT metrics.x < 9", [9, 10, 11]),
    ("not (params.z = '0' or params.z = '1')", [2, 5, 8, 11]),
    ("max(metrics.x) >= 109", [9, 10]),
    ("min(metrics.x) < 2", [0, 1]),
    ("max(metrics.x) < 50", []),
    ("last(metrics.x) = 4", [4]),
]


@pytest.mark.parametrize(("where", "expected"), BRACKETS)
def test_or_not_brackets_and_aggregates(tracking, searched, where, expected):
    assert numbers(tracking.search_runs([searched], where, order_by=["start_time ASC"])) == expected


@pytest.mark.parametrize(
    "where",
    ["(metrics.x < 1", "metrics.x < 1)", "not", "metrics.x < 1 or or metrics.x > 2", "sum(metrics.x) < 1"],
)
def test_a_bad_tree_is_refused(tracking, searched, where):
    refused("INVALID_PARAMETER_VALUE", tracking.search_runs, [searched], where)


DATASETS = [
    ("dataset.name = 'prices'", [0, 1, 2, 3]),
    ("dataset.name LIKE 'tri%'", [4, 5]),
    ("dataset.name ILIKE 'PRI%' and dataset.context = 'train'", [1, 3]),
    ("dataset.name IN ('trips', 'absent')", [4, 5]),
    ("dataset.context = 'eval' and metrics.x > 1", [2, 4]),
    ("dataset.name = 'prices' and params.z = '0'", [0, 3]),
    ("dataset.digest = 'absent'", []),
]


@pytest.mark.parametrize(("where", "expected"), DATASETS)
def test_data_set_filters(tracking, searched, where, expected):
    assert numbers(tracking.search_runs([searched], where, order_by=["start_time ASC"])) == expected


ORDERS = [
    ([], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
    (["metrics.x ASC"], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    # without the metric comes last in both directions
    (["metrics.x DESC"], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 11]),
    (["params.z DESC", "metrics.x ASC"], [2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]),
    # equals come newest first
    (["params.z"], [9, 6, 3, 0, 10, 7, 4, 1, 11, 8, 5, 2]),
    (["attributes.run_name DESC"], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
]


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize(("order", "expected"), ORDERS)
def test_pages_keep_the_order(tracking, searched, order, expected, size):
    found = paged(tracking.search_runs, experiment_ids=[searched], order_by=order, max_results=size)
    assert numbers(found) == expected


def test_pages_keep_the_filter(tracking, searched):
    found = paged(
        tracking.search_runs,
        experiment_ids=[searched],
        filter_string="metrics.x > 2 and params.z != '1'",
        order_by=["metrics.x DESC"],
        max_results=2,
    )
    assert numbers(found) == [9, 8, 6, 5, 3]


def test_a_made_up_page_token_is_refused(tracking, searched):
    refused("INVALID_PARAMETER_VALUE", tracking.search_runs, [searched], page_token="no such token")


def test_several_experiments_are_searched_at_once(tracking, searched, experiment):
    with mlflow.start_run(run_name="r99"):
        mlflow.log_metric("x", 3.5)
    both = [searched, experiment.experiment_id]
    found = tracking.search_runs(both, "metrics.x > 2 and metrics.x < 5", order_by=["metrics.x"])
    assert numbers(found) == [3, 99, 4]


def test_runs_as_a_data_frame(tracking, searched):
    frame = mlflow.search_runs([searched], "metrics.x <= 1", order_by=["metrics.x ASC"])
    assert frame["metrics.x"].tolist() == [0.0, 1.0]
    assert frame["params.z"].tolist() == ["0", "1"]


# Experiments


@pytest.fixture(scope="module")
def experiments(tracking):
    """Experiments a, b, c below a prefix; b is deleted; a and c have tags."""
    prefix = f"searching-{id(tracking)}"
    ids = {}
    for letter in "abc":
        tags = {} if letter == "b" else {"team": f"T{letter}"}
        ids[letter] = tracking.create_experiment(f"{prefix}/{letter}", tags=tags)
    tracking.delete_experiment(ids["b"])
    return prefix


def letters(found):
    return [each.name.rsplit("/", 1)[1] for each in found]


EXPERIMENTS = [
    ("", ViewType.ACTIVE_ONLY, ["name ASC"], ["a", "c"]),
    ("", ViewType.DELETED_ONLY, ["name ASC"], ["b"]),
    ("", ViewType.ALL, ["name DESC"], ["c", "b", "a"]),
    ("", ViewType.ALL, ["creation_time ASC", "name ASC"], ["a", "b", "c"]),
    ("tags.team = 'Ta'", ViewType.ACTIVE_ONLY, None, ["a"]),
    ("tags.team ILIKE 't%'", ViewType.ACTIVE_ONLY, ["name"], ["a", "c"]),
    ("tags.team != 'Ta'", ViewType.ACTIVE_ONLY, None, ["c"]),
    ("name LIKE '%/c'", ViewType.ACTIVE_ONLY, None, ["c"]),
]


@pytest.mark.parametrize(("where", "view", "order", "expected"), EXPERIMENTS)
def test_search_experiments(tracking, experiments, where, view, order, expected):
    below = f"name LIKE '{experiments}/%'"
    found = tracking.search_experiments(view, filter_string=f"{below} and {where}" if where else below, order_by=order)
    assert letters(found) == expected


def test_experiments_in_pages(tracking, experiments):
    found = paged(
        tracking.search_experiments,
        view_type=ViewType.ALL,
        filter_string=f"name LIKE '{experiments}/%'",
        order_by=["name DESC"],
        max_results=2,
    )
    assert letters(found) == ["c", "b", "a"]


# Logged models


@pytest.fixture(scope="module")
def models(tracking):
    """Models m0..m4 with metric mae: on `prices` the number, on `trips` ten minus the number; m4 has none."""
    mlflow.set_experiment(f"models-{id(tracking)}")
    frame = pd.DataFrame({"a": [1]})
    data = {name: mlflow.data.from_pandas(frame, name=name) for name in ("prices", "trips")}
    with mlflow.start_run() as run:
        for number in range(5):
            model = mlflow.initialize_logged_model(
                f"m{number}", tags={"parity": str(number % 2)}, params={"depth": str(number)}, model_type="tree"
            )
            if number < 4:
                mlflow.log_metric("mae", number, model_id=model.model_id, dataset=data["prices"])
                mlflow.log_metric("mae", 10 - number, model_id=model.model_id, dataset=data["trips"])
            status = LoggedModelStatus.FAILED if number == 3 else LoggedModelStatus.READY
            mlflow.finalize_logged_model(model.model_id, status)
    return run.info.experiment_id, {name: dataset.digest for name, dataset in data.items()}


MODELS = [
    ("name = 'm2'", None, ["m2"]),
    ("tags.parity = '1'", None, ["m1", "m3"]),
    ("params.depth IN ('0', '4')", None, ["m0", "m4"]),
    ("metrics.mae > 1", "prices", ["m2", "m3"]),
    ("metrics.mae > 7", "trips", ["m0", "m1", "m2"]),
    ("metrics.mae > 7", "prices", []),
    # on any data set
    ("metrics.mae > 7", None, ["m0", "m1", "m2"]),
    ("metrics.mae <= 1 and tags.parity = '0'", "prices", ["m0"]),
    ("metrics.mae < 100", "absent", []),
]


@pytest.mark.parametrize(("where", "dataset", "expected"), MODELS)
def test_search_logged_models(tracking, models, where, dataset, expected):
    experiment_id, digests = models
    # mlflow's own server finds nothing when the digest is left out
    datasets = dataset and [{"dataset_name": dataset, "dataset_digest": digests.get(dataset, "absent")}]
    order = [{"field_name": "name", "ascending": True}]
    found = tracking.search_logged_models([experiment_id], where, datasets, order_by=order)
    assert [model.name for model in found] == expected


@pytest.mark.parametrize(
    ("dataset", "ascending", "expected"),
    [
        ("prices", True, ["m0", "m1", "m2", "m3", "m4"]),
        ("prices", False, ["m3", "m2", "m1", "m0", "m4"]),
        ("trips", True, ["m3", "m2", "m1", "m0", "m4"]),
    ],
)
def test_logged_models_by_metric_of_a_data_set(tracking, models, dataset, ascending, expected):
    order = [{"field_name": "metrics.mae", "ascending": ascending, "dataset_name": dataset}]
    found = paged(tracking.search_logged_models, experiment_ids=[models[0]], order_by=order, max_results=2)
    assert [model.name for model in found] == expected


# Registry


@pytest.fixture(scope="module")
def registry(tracking):
    """Registered models a, b, c below a prefix; a has versions 1 to 5, whose runs alternate."""
    prefix = f"searching-{id(tracking)}."
    for letter in "abc":
        tracking.create_registered_model(prefix + letter, tags={"letter": letter, "all": "yes"})
    for number in range(1, 6):
        source = f"mlflow-artifacts:/{prefix}{number}"
        tracking.create_model_version(prefix + "a", source, tags={"number": str(number)})
    return prefix


REGISTERED = [
    ("", ["name ASC"], "abc"),
    ("", ["name DESC"], "cba"),
    (" and tags.letter = 'b'", None, "b"),
    (" and tags.letter != 'b' and tags.`all` = 'yes'", ["name"], "ac"),
    # model a changed last, when it got its versions
    ("", ["last_updated_timestamp DESC"], "acb"),
]


@pytest.mark.parametrize(("where", "order", "expected"), REGISTERED)
def test_search_registered_models(tracking, registry, where, order, expected):
    for size in (1, 2, 100):
        found = paged(
            tracking.search_registered_models,
            filter_string=f"name LIKE '{registry}%'{where}",
            order_by=order,
            max_results=size,
        )
        assert "".join(model.name[-1] for model in found) == expected


VERSIONS = [
    ("", ["version_number ASC"], [1, 2, 3, 4, 5]),
    ("", ["version_number DESC"], [5, 4, 3, 2, 1]),
    (" and tags.number = '3'", None, [3]),
    (" and version_number > 3", ["version_number ASC"], [4, 5]),
    (" and source_path LIKE '%2'", None, [2]),
]


@pytest.mark.parametrize(("where", "order", "expected"), VERSIONS)
def test_search_model_versions(tracking, registry, where, order, expected):
    for size in (1, 2, 100):
        found = paged(
            tracking.search_model_versions,
            filter_string=f"name = '{registry}a'{where}",
            order_by=order,
            max_results=size,
        )
        assert [int(version.version) for version in found] == expected
