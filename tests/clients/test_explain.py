"""Explanations of what is served, and of files: the frameworks' own attributions are the reference."""

import json
import os
import subprocess
from pathlib import Path

import catboost
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pyarrow.feather
import pytest
import requests
import xgboost
from mlflow.models import infer_signature

import taxi

COLUMNS = ["age", "income", "months employed", "open_accounts"]
ROWS = 300
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(5)
    frame = pd.DataFrame(random.standard_normal((ROWS, len(COLUMNS))), columns=COLUMNS)
    frame["open_accounts"] = random.integers(0, 9, ROWS).astype("float64")
    frame.loc[::7, "months employed"] = np.nan
    return frame


@pytest.fixture(scope="module")
def target(frame):
    return (frame["age"] * 2 + np.nan_to_num(frame["months employed"]) * (frame["open_accounts"] > 3)).to_numpy()


def instances(frame):
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def xgboost_booster(frame, target):
    data = xgboost.DMatrix(frame.to_numpy(), target)
    return xgboost.train({"max_depth": 4, "nthread": 2}, data, 40)


def lightgbm_booster(frame, target):
    return lightgbm.train({"verbose": -1, "min_data_in_leaf": 5, "num_threads": 2}, lightgbm.Dataset(frame, target), 40)


@pytest.fixture
def deployed(url, tracking, experiment, unique, frame):
    def deploy(flavour, model):
        name = unique("explained")
        with mlflow.start_run():
            signature = infer_signature(frame, np.zeros(len(frame)))
            flavour.log_model(model, name="model", registered_model_name=name, signature=signature, pip_requirements=["numpy"])
        answer = taxi.deploy(url, name)
        assert answer.status_code in (200, 201), answer.text
        return name

    return deploy


def explain(url, name, **body):
    return requests.post(f"{url}/api/v1/endpoints/{name}/explain", json=body, timeout=60)


def values_of(answer, output=0):
    found = answer["explanations"][output]
    base = np.full((len(found["values"]), 1), found["base_value"])
    return np.hstack([np.array(found["values"]), base])


@pytest.mark.parametrize("count", [1, ROWS], ids=["one row", "many rows"])
def test_values_are_those_of_xgboost(url, deployed, frame, target, count):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    answer = explain(url, name, instances=instances(frame[:count]))
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    data = xgboost.DMatrix(frame[:count].to_numpy())
    np.testing.assert_allclose(values_of(answer), booster.predict(data, pred_contribs=True), atol=1e-5)
    np.testing.assert_allclose(answer["predictions"], booster.predict(data), rtol=3e-7)
    assert answer["method"] == "path_dependent"
    assert answer["explanations"][0]["feature_names"] == COLUMNS


def test_values_are_those_of_lightgbm(url, deployed, frame, target):
    booster = lightgbm_booster(frame, target)
    name = deployed(mlflow.lightgbm, booster)
    answer = explain(url, name, instances=instances(frame)).json()
    np.testing.assert_allclose(values_of(answer), booster.predict(frame, pred_contrib=True), atol=1e-9)


def test_a_catboost_regressor_is_served_and_explained(url, deployed, frame, target):
    model = catboost.CatBoostRegressor(iterations=30, depth=4, thread_count=2, allow_writing_files=False, verbose=False)
    model.fit(frame, target)
    name = deployed(mlflow.catboost, model)
    answer = explain(url, name, instances=instances(frame)).json()
    np.testing.assert_allclose(answer["predictions"], model.predict(frame), rtol=1e-12)
    theirs = model.get_feature_importance(catboost.Pool(frame), type="ShapValues")
    np.testing.assert_allclose(values_of(answer), theirs, atol=1e-6)


def test_against_a_background_values_sum_to_the_gap_from_its_mean(url, deployed, frame, target):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    answer = explain(url, name, instances=instances(frame[:20]), background=instances(frame[100:150])).json()
    assert answer["method"] == "interventional"
    mean = booster.predict(xgboost.DMatrix(frame[100:150].to_numpy())).mean()
    assert answer["explanations"][0]["base_value"] == pytest.approx(mean, abs=1e-5)
    np.testing.assert_allclose(values_of(answer).sum(1), answer["predictions"], atol=1e-4)


def test_reasons_are_the_strongest_factors_of_one_direction(url, deployed, frame, target):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    body = {"instances": instances(frame[:50]), "reasons": {"direction": "down", "most": 2}}
    answer = explain(url, name, **body).json()
    for row, reasons in enumerate(answer["reasons"]):
        values = answer["explanations"][0]["values"][row]
        lowering = sorted((value, column) for value, column in zip(values, COLUMNS) if value < 0)[:2]
        assert [reason["feature"] for reason in reasons] == [column for _, column in lowering]
        assert [reason["contribution"] for reason in reasons] == [value for value, _ in lowering]
    refused = explain(url, name, instances=instances(frame[:1]), reasons={"most": 5})
    assert refused.status_code == 400 and "reasons.most is 5, expected 1 to 4" in refused.text


def test_what_is_wrong_is_named(url, deployed, frame, target):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    cases = [
        ({"instances": [[1, 2, 3]]}, "row 0 holds 3 values, the model takes 4"),
        ({"instances": [{"age": 1}]}, 'input \\"income\\" is missing'),
        ({"instances": [[1, 2, 3, "many"]]}, 'input \\"open_accounts\\" is \\"many\\"'),
        ({"instances": [[1, 2, 3, 4]], "version": "7"}, "does not serve version 7"),
        ({"instances": [[1, 2, 3, 4]], "background": []}, "the background has no rows"),
        ({"rows": []}, "rows"),
    ]
    for body, message in cases:
        answer = explain(url, name, **body)
        assert answer.status_code in (400, 404, 422, 501) and message in answer.text, answer.text
    assert explain(url, "nobody", instances=[]).status_code == 404


def test_counterfactuals_are_what_the_model_says_and_allowed(url, deployed, frame, target):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    row, data = instances(frame[1:2])[0], instances(frame[100:200])
    before = float(booster.predict(xgboost.DMatrix(np.array([row], float)))[0])
    body = {
        "instance": row,
        "data": data,
        "target": {"at_least": before + 2},
        "actions": {"age": {"direction": "up"}, "open_accounts": {"least": 0, "most": 8, "step": 1}},
    }
    answer = requests.post(f"{url}/api/v1/endpoints/{name}/counterfactuals", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    assert answer["prediction"] == pytest.approx(before, rel=1e-6)
    assert answer["counterfactuals"] and answer["end"] in ("complete", "budget_spent")
    for found in answer["counterfactuals"]:
        changed = np.array([found["row"]], float)
        assert booster.predict(xgboost.DMatrix(changed))[0] == pytest.approx(found["prediction"], rel=1e-6)
        assert found["prediction"] >= before + 2
        assert {change["feature"] for change in found["changes"]} <= {"age", "open_accounts"}
        assert found["row"][1:3] == row[1:3], "nobody may change these"
        assert found["row"][0] >= row[0] and 0 <= found["row"][3] <= 8
        assert 0 <= found["distance_from_data"] <= 1
    met = requests.post(
        f"{url}/api/v1/endpoints/{name}/counterfactuals", json=body | {"target": {"at_most": before + 1}}, timeout=60
    ).json()
    assert met["end"] == "already_met" and met["counterfactuals"] == []
    for change, message in [
        ({"actions": {"height": {}}}, 'actions names \\"height\\"'),
        ({"actions": {"age": {"direction": "sideways"}}}, "the action of"),
        ({"target": {}}, "target holds at_least"),
        ({"data": []}, "the data has no rows"),
        ({"output": 1}, "output is 1, the model answers 1"),
    ]:
        refused = requests.post(f"{url}/api/v1/endpoints/{name}/counterfactuals", json=body | change, timeout=60)
        assert refused.status_code == 400 and message in refused.text, refused.text


def test_kserves_own_client_asks(url, deployed, frame, target):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    command = ["uv", "run", "--frozen", "--project", ROOT / "tests/kserve", "python", ROOT / "tests/kserve/explain.py"]
    rows = json.dumps(instances(frame[:5]))
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run([*command, url, name, rows], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    expected = booster.predict(xgboost.DMatrix(frame[:5].to_numpy()), pred_contribs=True)
    np.testing.assert_allclose(values_of(json.loads(done.stdout)), expected, atol=1e-5)


def test_files_are_explained_without_a_server(tmp_path, frame, target):
    booster = xgboost.train({"max_depth": 4, "nthread": 2}, xgboost.DMatrix(frame, target), 40)
    booster.save_model(tmp_path / "model.ubj")
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.assign(note='a, "b"').to_csv(tmp_path / "rows.csv", index=False)
    expected = booster.predict(xgboost.DMatrix(frame), pred_contribs=True)

    def run(*arguments):
        command = [os.environ["LOOPWRIGHT_BIN"], "explain", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)

    for rows in ["rows.parquet", "rows.csv"]:
        answer = json.loads(run("model.ubj", rows, "--format", "json").stdout)
        np.testing.assert_allclose(values_of(answer), expected, atol=1e-5)
    assert run(".", "rows.csv", "--format", "arrow", "--output", "values.arrow").returncode == 0
    table = pyarrow.feather.read_table(tmp_path / "values.arrow").to_pandas()
    assert list(table.columns) == [*COLUMNS, "base", "score", "prediction"]
    np.testing.assert_allclose(table[[*COLUMNS, "base"]].to_numpy(), expected, atol=1e-5)
    page = run("model.ubj", "rows.csv", "--format", "html", "--row", "3").stdout
    assert page.startswith("<!doctype html>") and "Row 3" in page and page.count("<svg") >= 6
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    text = run("model.ubj", "rows.csv", "--background", "rows.parquet").stdout
    assert text.splitlines()[2].split()[0] == COLUMNS[np.abs(expected[:, :-1]).mean(0).argmax()]
    frame.assign(truth=target).to_parquet(tmp_path / "labelled.parquet")
    text = run("model.ubj", "labelled.parquet", "--label", "truth", "--metric", "rmse").stdout
    rmse = np.sqrt(np.mean((booster.predict(xgboost.DMatrix(frame)) - target) ** 2))
    line = next(line for line in text.splitlines() if "squared error is" in line)
    assert float(line.split(" is ")[1].split()[0]) == pytest.approx(rmse, rel=1e-3)
    page = run("model.ubj", "labelled.parquet", "--label", "truth", "--format", "html").stdout
    assert "Permutation importance" in page and "Local effect of" in page and "Prediction by" in page
    for arguments, message in [
        (("rows.csv", "rows.csv"), "not a model file of trees"),
        (("model.ubj", "rows.csv", "--row", "300"), "row 300 is not there"),
        (("model.ubj", "nothing.csv"), "nothing.csv"),
    ]:
        refused = run(*arguments)
        assert refused.returncode == 1 and message in refused.stderr and refused.stdout == ""
