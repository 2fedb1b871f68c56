"""Explanations of what is served, and of files: the frameworks' own attributions are the reference."""

import io
import itertools
import json
import math
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
import sklearn.metrics
import tritonclient.http
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


def put_reference(url, name, body, kind="text/csv", **query):
    address = f"{url}/api/v1/endpoints/{name}/reference"
    return requests.put(address, params=query, data=body, headers={"Content-Type": kind}, timeout=60)


def gower(data, row):
    """Distances as the README of the group says them: a missing value is a value."""
    scale = np.nanmax(data, 0) - np.nanmin(data, 0)
    difference = np.abs(data - row)
    parts = np.where(difference < scale, difference / scale, 1.0)
    parts[(data == row) | (np.isnan(data) & np.isnan(row))] = 0
    return parts.mean(1)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_nearest_rows_and_distance_are_those_of_the_reference(url, deployed, frame, target, form):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    rows = instances(frame[:5]) + [[100, 100, 100, 100]]
    refused = explain(url, name, instances=rows, nearest=3)
    assert refused.status_code == 409 and "nearest needs reference data" in refused.text
    assert requests.get(f"{url}/api/v1/endpoints/{name}/reference", timeout=10).status_code == 404

    kept, truth = frame[100:], np.where(np.arange(200) % 9 == 0, np.nan, target[100:])
    table = kept.assign(truth=truth, town=[f"town {row % 3}" for row in range(200)])
    if form == "csv":
        put = put_reference(url, name, table.to_csv(index=False), label="truth")
    else:
        buffer = io.BytesIO()
        table.to_parquet(buffer)
        put = put_reference(url, name, buffer.getvalue(), "application/vnd.apache.parquet", label="truth")
    assert put.status_code == 200, put.text
    summary = requests.get(f"{url}/api/v1/endpoints/{name}/reference", timeout=10).json()
    assert summary == put.json()
    assert (summary["count"], summary["columns"], summary["label"]) == (200, COLUMNS, "truth")
    assert summary["others"] == ["town"] and summary["source"]["kind"] == "put" and summary["version"] == "1"

    data = kept.to_numpy()
    answer = explain(url, name, instances=rows, nearest=3).json()
    own = np.array([np.delete(gower(data, row), place).min() for place, row in enumerate(data)])
    for row, near, distance in zip(np.array(rows, float), answer["nearest"], answer["distance"], strict=True):
        expected = gower(data, row)
        order = np.argsort(expected, kind="stable")[:3]
        np.testing.assert_allclose([found["distance"] for found in near], expected[order], atol=1e-12)
        for found in near:
            assert found["distance"] == pytest.approx(expected[found["row"]], abs=1e-12)
            np.testing.assert_array_equal(np.array(found["values"], float), data[found["row"]])
            if np.isnan(truth[found["row"]]):
                assert "label" not in found
            else:
                assert found["label"] == truth[found["row"]]
        nearest = near[0]["distance"]
        assert distance["nearest"] == nearest
        share = (np.mean(own < nearest - 1e-12) + np.mean(own <= nearest + 1e-12)) / 2
        assert distance["outlyingness"] == pytest.approx(share, abs=1e-9)
        assert distance["is_far"] == (share > 0.99)
    assert answer["distance"][-1]["is_far"], "nobody is like this"
    itself = explain(url, name, instances=instances(kept[7:8]), nearest=1).json()
    assert itself["nearest"][0][0]["distance"] == 0 and itself["distance"][0]["outlyingness"] == 0

    assert requests.delete(f"{url}/api/v1/endpoints/{name}/reference", timeout=10).status_code == 200
    assert explain(url, name, instances=rows, nearest=3).status_code == 409


def test_what_is_wrong_with_a_reference_is_named(url, deployed, frame, target):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    csv = frame.assign(truth=target).to_csv(index=False)
    for body, kind, query, message in [
        (csv, "application/json", {}, 'Content-Type is \\"application/json\\", expected text/csv'),
        (csv, "application/vnd.apache.parquet", {}, "does not begin as a Parquet file"),
        (csv, "text/csv", {"label": "lie"}, 'label is \\"lie\\", no column of numbers'),
        (csv, "text/csv", {"version": "7"}, "does not serve version 7"),
        (csv, "text/csv", {"lable": "truth"}, "lable"),
        (csv.replace("income", "wage"), "text/csv", {}, 'input \\"income\\" is missing'),
        ("\n".join(csv.split("\n")[:2]), "text/csv", {}, "has 1 rows, at least 2"),
    ]:
        refused = put_reference(url, name, body, kind, **query)
        assert refused.status_code in (400, 404) and message in refused.text, refused.text
    assert put_reference(url, "nobody", csv).status_code == 404
    assert put_reference(url, name, csv, label="truth").status_code == 200
    for body, message in [
        ({"nearest": 0}, "nearest is 0, expected 1 to 20"),
        ({"nearest": 1, "instances": [[1, 2, 3, 4]] * 257}, "asked for 257 rows, at most 256"),
    ]:
        refused = explain(url, name, **({"instances": [[1, 2, 3, 4]]} | body))
        assert refused.status_code == 400 and message in refused.text, refused.text


SETTINGS = {
    "catalogue": [
        {"feature": "age", "code": "R01", "texts": {"en": "Age: {value}", "de": "Alter: {value}"}},
        {
            "feature": "months employed",
            "missing": True,
            "code": "R02",
            "texts": {"en": "No employment is known", "de": "Keine Anstellung bekannt"},
        },
        {"feature": "months employed", "code": "R03", "texts": {"en": "{feature}", "de": "{feature}"}},
        {"feature": "open_accounts", "code": "R03", "texts": {"en": "Open accounts ({value})"}},
    ],
    "labels": {"months employed": {"en": "Months in work", "de": "Monate in Arbeit"}},
    "default_language": "en",
    "actions": {"age": {"direction": "up"}, "open_accounts": {"least": 0, "most": 8, "step": 1}, "gone": {}},
    "positive": "down",
}


def put_settings(url, name, settings):
    return requests.put(f"{url}/api/v1/endpoints/{name}/explain/settings", json=settings, timeout=10)


def test_reasons_carry_codes_and_words_of_a_version(url, deployed, frame, target):
    name = deployed(mlflow.lightgbm, lightgbm_booster(frame, target))
    rows = instances(frame[:60])
    address = f"{url}/api/v1/endpoints/{name}/explain/settings"
    assert requests.get(address, timeout=10).status_code == 404
    assert "wording" not in explain(url, name, instances=rows, reasons={}).json()
    refused = explain(url, name, instances=rows, reasons={"language": "de"})
    assert refused.status_code == 404 and "has no explanation settings" in refused.text

    put = put_settings(url, name, SETTINGS)
    assert put.status_code == 200 and put.json()["version"] == 1, put.text
    answer = explain(url, name, instances=rows, reasons={"language": "de-AT"}).json()
    assert answer["wording"] == {"version": 1, "language": "de"}
    code = {"age": "R01", "open_accounts": "R03"}
    merged = 0
    for row, values, reasons in zip(rows, answer["explanations"][0]["values"], answer["reasons"], strict=True):
        pushes = {}
        for column, own in zip(COLUMNS, values, strict=True):
            if own < 0:
                months = "R02" if row[2] is None else "R03"
                key = months if column == "months employed" else code.get(column, column)
                pushes.setdefault(key, []).append((own, column))
        expected = sorted(pushes.items(), key=lambda push: sum(own for own, _ in push[1]))
        assert [reason.get("code", reason["feature"]) for reason in reasons] == [key for key, _ in expected]
        total = sum(own for own in values if own < 0)
        for reason, (key, factors) in zip(reasons, expected, strict=True):
            assert reason["contribution"] == pytest.approx(sum(own for own, _ in factors), abs=1e-12)
            assert reason["share"] == pytest.approx(reason["contribution"] / total)
            assert [factor["feature"] for factor in reason["factors"]] == [column for _, column in sorted(factors)]
            merged += len(factors) > 1
            words = {
                "age": "Alter: ",
                "months employed": "Keine Anstellung bekannt" if row[2] is None else "Monate in Arbeit",
                "open_accounts": f"Open accounts ({row[3]:.0f})",
                "income": "income",
            }
            assert reason["text"].startswith(words[reason["feature"]])
            assert ("code" in reason) == (reason["feature"] != "income")
    assert merged, "two features with one code"

    changed = SETTINGS | {"catalogue": [], "positive": "up"}
    assert put_settings(url, name, changed).json()["version"] == 2
    assert requests.get(address, timeout=10).json()["settings"]["catalogue"] == []
    assert requests.get(address, params={"version": 1}, timeout=10).json()["settings"]["positive"] == "down"
    repeated = explain(url, name, instances=rows, reasons={"language": "de-AT", "wording": 1}).json()
    assert (repeated["reasons"], repeated["wording"]) == (answer["reasons"], answer["wording"])
    newest = explain(url, name, instances=rows, reasons={}).json()
    assert newest["wording"] == {"version": 2, "language": "en"}
    assert all(reason["contribution"] > 0 and "code" not in reason for row in newest["reasons"] for reason in row)

    for body, message in [
        ({"wording": 3}, "of version 3"),
        ({"language": "d"}, 'the language \\"d\\"'),
    ]:
        refused = explain(url, name, instances=rows, reasons=body)
        assert refused.status_code in (400, 404) and message in refused.text, refused.text
    for change, message in [
        ({"catalogue": [SETTINGS["catalogue"][0] | {"code": "R 1"}]}, "catalogue[0].code"),
        ({"catalogue": [SETTINGS["catalogue"][3]], "default_language": "fr"}, "has no text in"),
        ({"speed": 1}, "speed"),
    ]:
        refused = put_settings(url, name, SETTINGS | change)
        assert refused.status_code in (400, 422) and message in refused.text, refused.text
    assert put_settings(url, "nobody", SETTINGS).status_code == 404


def test_counterfactuals_use_settings_and_reference(url, deployed, frame, target):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    row = instances(frame[1:2])[0]
    before = float(booster.predict(xgboost.DMatrix(np.array([row], float)))[0])

    def search(**body):
        body = {"instance": row, "target": {"at_least": before + 2}} | body
        return requests.post(f"{url}/api/v1/endpoints/{name}/counterfactuals", json=body, timeout=60)

    missing = search(data=instances(frame[100:200]))
    assert missing.status_code == 400 and "actions is missing" in missing.text
    assert put_settings(url, name, SETTINGS).status_code == 200
    missing = search()
    assert missing.status_code == 409 and "a search without data needs reference data" in missing.text
    assert put_reference(url, name, frame[100:].to_csv(index=False)).status_code == 200
    found = search()
    assert found.status_code == 200, found.text
    assert found.json()["counterfactuals"]
    actions = {key: action for key, action in SETTINGS["actions"].items() if key in COLUMNS}
    assert search(actions=actions, data=instances(frame[100:])).json() == found.json()


LEAVES = {
    "xgboost": lambda booster, rows: booster.predict(xgboost.DMatrix(rows), pred_leaf=True),
    "lightgbm": lambda booster, rows: booster.predict(rows, pred_leaf=True),
}


def leaf_value(booster, tree, leaf):
    if isinstance(booster, lightgbm.Booster):
        return booster.get_leaf_output(tree, leaf)
    nodes = booster.trees_to_dataframe()
    return nodes[(nodes["Tree"] == tree) & (nodes["Node"] == leaf)]["Gain"].item()


@pytest.mark.parametrize("kind", LEAVES)
def test_within_the_box_no_leaf_changes_and_beyond_a_bound_one_does(url, deployed, frame, target, kind):
    train = {"xgboost": xgboost_booster, "lightgbm": lightgbm_booster}[kind]
    booster = train(frame, target)
    name = deployed(getattr(mlflow, kind), booster)
    rows = frame[:16]
    answer = explain(url, name, instances=instances(rows), path=True, trees=[0, 3])
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    random = np.random.default_rng(3)
    leaves = lambda *rows: LEAVES[kind](booster, np.array(rows))
    steps = 0
    for row, [room], ways in zip(rows.to_numpy(), answer["path"], answer["trees"], strict=True):
        [before] = leaves(row)
        inside, beyond = np.tile(row, (20, 1)), []
        for bounds in room["box"]:
            place = COLUMNS.index(bounds["feature"])
            if bounds["value"] is None:
                continue
            gone = row.copy()
            gone[place] = np.nan
            assert bounds["value"] == row[place] and not bounds["is_category"]
            assert bounds["missing_changes"] == bool((leaves(gone) != before).any())
            high = row[place] + 10 if bounds["up_to"] is None else bounds["up_to"]
            low = row[place] - 10 if bounds["above"] is None else bounds["above"]
            drawn = high - (high - low) * random.random(20)
            inside[:, place] = np.where(drawn > low, np.minimum(drawn, high), high)
            ends = [] if bounds["above"] is None else [bounds["above"]]
            ends += [] if bounds["up_to"] is None else [np.nextafter(bounds["up_to"], np.inf)]
            for value in ends:
                stepped = row.copy()
                stepped[place] = value
                beyond.append(stepped)
        assert (leaves(*inside) == before).all()
        assert (leaves(*beyond) != before).any(1).all()
        steps += len(beyond)
        for way, tree in zip(ways, [0, 3], strict=True):
            assert way["tree"] == tree
            assert way["leaf"] == pytest.approx(leaf_value(booster, tree, int(before[tree])), rel=1e-5)
            for condition in way["conditions"]:
                value = row[COLUMNS.index(condition["feature"])]
                if np.isnan(value):
                    assert condition["rule"] == "is missing" and condition["value"] is None
                    continue
                seen = np.float32(value) if kind == "xgboost" else value
                assert condition["above"] is None or seen > condition["above"]
                assert condition["up_to"] is None or seen <= condition["up_to"]
                assert condition["rule"].startswith(("> ", "<= "))
    assert steps > 50
    for body, message in [
        ({"path": True, "instances": instances(frame[:17])}, "asked for 17 rows, at most 16"),
        ({"trees": [40]}, "trees names 40, the model has 40 trees"),
        ({"trees": [0] * 17}, "trees names 17, at most 16"),
    ]:
        refused = explain(url, name, **({"instances": instances(frame[:1])} | body))
        assert refused.status_code == 400 and message in refused.text, refused.text


def test_the_page_says_it_in_words(url, deployed, frame, target):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    address = f"{url}/endpoints/{name}/explain"
    bare = requests.get(address, timeout=10).text
    assert "How far each value may move" in bare and "How near it is" not in bare and "at_least" not in bare
    assert put_settings(url, name, SETTINGS).status_code == 200
    assert put_reference(url, name, frame.assign(truth=target).to_csv(index=False), label="truth").status_code == 200
    row = {f"x.{column}": value for column, value in zip(COLUMNS, instances(frame[1:2])[0], strict=True)}
    page = requests.get(address, params=row | {"lang": "de", "at_least": "3"}, timeout=30)
    assert page.status_code == 200, page.text
    for text in ["Alter: ", "R01", "version 1 of the settings, in de", "How near it is", "Row 1<", "Truth"]:
        assert text in page.text, text
    assert "What would have to change" in page.text and ("→" in page.text or "as wanted already" in page.text)
    wrong = requests.get(address, params=row | {"at_most": "little"}, timeout=30).text
    assert "is no number to wish for" in wrong


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
    settings = SETTINGS | {"positive": "up"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    worded = ("model.ubj", "rows.csv", "--settings", "settings.json", "--language", "de")
    answer = json.loads(run(*worded, "--format", "json").stdout)
    assert answer["wording"] == {"language": "de"} and len(answer["reasons"]) == ROWS
    row = next(row for row, reasons in enumerate(answer["reasons"]) if reasons and reasons[0].get("code") == "R01")
    said = answer["reasons"][row][0]["text"]
    assert said.startswith("Alter: ")
    assert f"reason R01 {said} (+" in run(*worded, "--row", str(row)).stdout
    page = run(*worded, "--row", str(row), "--format", "html").stdout
    assert f"Reasons of row {row}" in page and f"<code>R01</code> {said}" in page
    (tmp_path / "wrong.json").write_text('{"default_language": "e"}')
    for arguments, message in [
        (("model.ubj", "rows.csv", "--settings", "wrong.json"), "wrong.json: default_language names the language"),
        (("rows.csv", "rows.csv"), "not a model file of trees"),
        (("model.ubj", "rows.csv", "--row", "300"), "row 300 is not there"),
        (("model.ubj", "nothing.csv"), "nothing.csv"),
    ]:
        refused = run(*arguments)
        assert refused.returncode == 1 and message in refused.stderr and refused.stdout == ""


def test_explanations_are_stored_with_predictions(url, deployed, frame, target):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    endpoint = f"{url}/api/v1/endpoints/{name}"
    nothing = requests.get(f"{endpoint}/explanations/drift", timeout=10)
    assert nothing.status_code == 404 and "no explanations are stored" in nothing.text
    put = requests.put(f"{endpoint}/explain/settings", json={"default_language": "en", "store": True}, timeout=10)
    assert put.status_code == 200, put.text

    def predict(rows, day, first):
        for number, row in enumerate(rows):
            inputs = [
                {"name": column, "shape": [1, 1], "datatype": "FP64", "data": [None if np.isnan(value) else value]}
                for column, value in zip(COLUMNS, row, strict=True)
            ]
            body = {"id": f"row-{first + number}", "inputs": inputs, "parameters": {"event_time": f"2026-03-{day:02}T12:00:00Z"}}
            answer = requests.post(f"{url}/v2/models/{name}/infer", json=body, timeout=10)
            assert answer.status_code == 200, answer.text

    # On the second day the second column is always the same, and what it was is left to the others.
    second = frame[120:240].copy()
    second.iloc[:, 1] = float(np.nanmedian(frame.iloc[:, 1]))
    predict(frame[:120].to_numpy(), 1, 0)
    predict(second.to_numpy(), 2, 120)
    assert requests.post(f"{endpoint}/flush", timeout=30).status_code == 200

    expected = explain(url, name, instances=instances(frame[:120])).json()["explanations"][0]
    for number in (0, 7, 119):
        found = requests.get(f"{endpoint}/explanations", params={"id": f"row-{number}"}, timeout=10).json()
        assert found["next"] is None
        [stored] = found["explanations"]
        assert stored["id"] == f"row-{number}" and (stored["version"], stored["at"]) == ("1", 1772366400000)
        [output] = stored["outputs"]
        assert [output["values"][column] for column in COLUMNS] == pytest.approx(expected["values"][number], abs=1e-6)
        assert output["score"] == pytest.approx(expected["scores"][number], abs=1e-6)
        assert output["base_value"] == pytest.approx(expected["base_value"], abs=1e-5)
        row = frame.iloc[number]
        assert [stored["data"][column] for column in COLUMNS] == [None if np.isnan(value) else value for value in row]

    day = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T23:59:59Z", "limit": 1000}
    pages, before = [], None
    while True:
        page = requests.get(f"{endpoint}/explanations", params={**day, **({"before": before} if before else {})}, timeout=10).json()
        pages += page["explanations"]
        before = page["next"]
        if before is None:
            break
    assert sorted(stored["id"] for stored in pages) == sorted(f"row-{number}" for number in range(120, 240))
    refused = requests.get(f"{endpoint}/explanations", params={"limit": 0}, timeout=10)
    assert refused.status_code == 400 and "limit is 0, expected 1 to 1000" in refused.text

    drift = requests.get(f"{endpoint}/explanations/drift", timeout=10).json()
    assert drift["baseline"] == {"source": "first_day", "rows": 120}
    first, last = drift["days"]
    assert (first["rows"], last["rows"]) == (120, 120) and first["ndcg"] == 1 and not first["has_drifted"]
    sizes = [
        np.abs(np.array(explain(url, name, instances=instances(rows)).json()["explanations"][0]["values"])).mean(axis=0)
        for rows in (frame[:120], second)
    ]
    assert last["ndcg"] == pytest.approx(sklearn.metrics.ndcg_score([sizes[0]], [sizes[1]]), abs=1e-6)
    assert [own["feature"] for own in last["features"]] == COLUMNS
    assert [own["share"] for own in last["features"]] == pytest.approx(sizes[1] / sizes[1].sum(), abs=1e-6)
    assert [own["baseline_share"] for own in last["features"]] == pytest.approx(sizes[0] / sizes[0].sum(), abs=1e-6)
    assert last["features"][1]["share"] < last["features"][1]["baseline_share"]

    assert put_reference(url, name, frame.to_csv(index=False)).status_code == 200
    drift = requests.get(f"{endpoint}/explanations/drift", timeout=10).json()
    assert drift["baseline"] == {"source": "reference", "rows": len(frame)}
    page = requests.get(f"{url}/endpoints/{name}/explain/drift", timeout=10)
    assert page.status_code == 200 and "Ranking of the features" in page.text and "Share on 2026-03-02" in page.text


def test_sampled_values_are_those_of_all_coalitions(url, deployed, frame, target):
    """Linear leaves have no values by trees; the definition over all sets of columns is the reference."""
    data = lightgbm.Dataset(frame, (target > np.median(target)).astype(int), params={"verbose": -1})
    booster = lightgbm.train({"objective": "binary", "linear_tree": True, "num_leaves": 8, "verbose": -1, "seed": 1}, data, 10)
    name = deployed(mlflow.lightgbm, booster)
    background = frame.dropna()[:12]
    row = frame.dropna()[20:21]
    asked = {"instances": instances(row), "background": instances(background)}
    refused = explain(url, name, **asked)
    assert refused.status_code == 501 and "linear" in refused.text
    answer = explain(url, name, **asked, method="sampled")
    assert answer.status_code == 200, answer.text
    [found] = answer.json()["explanations"]

    def worth(columns):
        mixed = background.to_numpy().copy()
        mixed[:, columns] = row.to_numpy()[0, columns]
        return booster.predict(mixed).mean()

    width = len(COLUMNS)
    expected = np.zeros(width)
    for column in range(width):
        others = [other for other in range(width) if other != column]
        for size in range(width):
            weight = math.factorial(size) * math.factorial(width - size - 1) / math.factorial(width)
            for chosen in itertools.combinations(others, size):
                expected[column] += weight * (worth([*chosen, column]) - worth(list(chosen)))
    assert found["values"][0] == pytest.approx(expected, abs=1e-9)
    assert found["base_value"] == pytest.approx(booster.predict(background).mean(), abs=1e-12)
    assert found["scores"][0] == pytest.approx(booster.predict(row.to_numpy())[0], abs=1e-12)
    assert found["sampling"] == {"margins": [[0.0] * width], "is_exact": [True], "rows_scored": found["sampling"]["rows_scored"]}
    for body, message in [
        ({"method": "sampled"}, "needs reference data"),
        ({"method": "interventional"}, "interventional values need a background"),
        ({"method": "path_dependent", "background": instances(background)}, "path_dependent values have no background"),
        ({"budget_rows": 5}, "budget_rows is for sampled values"),
        ({"method": "sampled", "background": instances(background), "budget_rows": 0}, "budget_rows is 0"),
        ({"method": "sampled", "background": instances(background), "budget_rows": 5}, "a budget of 5 rows is too small"),
    ]:
        refused = explain(url, name, instances=instances(row), **body)
        assert refused.status_code in (400, 409) and message in refused.text, refused.text


@pytest.mark.parametrize("binary", [False, True])
def test_an_answer_is_explained_when_asked(url, deployed, frame, target, binary):
    booster = xgboost_booster(frame, target)
    name = deployed(mlflow.xgboost, booster)
    client = tritonclient.http.InferenceServerClient(url.removeprefix("http://"))
    # JSON as this client writes it has no missing values.
    rows = frame.dropna()[:40] if not binary else frame[:40]
    inputs = []
    for column in COLUMNS:
        given = tritonclient.http.InferInput(column, [len(rows), 1], "FP64")
        given.set_data_from_numpy(rows[[column]].to_numpy(dtype=np.float64), binary_data=binary)
        inputs.append(given)
    outputs = [tritonclient.http.InferRequestedOutput("prediction", binary_data=binary)]
    answer = client.infer(name, inputs, outputs=outputs, parameters={"explain": True})
    contributions = booster.predict(xgboost.DMatrix(rows.to_numpy()), pred_contribs=True)
    found = answer.as_numpy("explanation")
    assert found.shape == (len(rows), 1, len(COLUMNS)) and answer.as_numpy("explanation_base").shape == (len(rows), 1)
    np.testing.assert_allclose(found[:, 0], contributions[:, :-1], atol=1e-5)
    np.testing.assert_allclose(answer.as_numpy("explanation_base")[:, 0], contributions[:, -1], atol=1e-5)
    np.testing.assert_array_equal(answer.as_numpy("prediction"), booster.predict(xgboost.DMatrix(rows.to_numpy())).astype(float))
    plain = client.infer(name, inputs, outputs=outputs)
    assert plain.as_numpy("explanation") is None


def test_values_come_as_arrow(url, deployed, frame, target):
    name = deployed(mlflow.xgboost, xgboost_booster(frame, target))
    body = {"instances": instances(frame[:20])}
    expected = explain(url, name, **body).json()
    answer = requests.post(
        f"{url}/api/v1/endpoints/{name}/explain", json=body, headers={"Accept": "application/vnd.apache.arrow.file"}, timeout=60
    )
    assert answer.headers["Content-Type"] == "application/vnd.apache.arrow.file"
    table = pyarrow.feather.read_table(io.BytesIO(answer.content))
    assert table.column_names == [*COLUMNS, "base", "score", "prediction"]
    found = table.select(COLUMNS).to_pandas().to_numpy()
    np.testing.assert_array_equal(found, np.array(expected["explanations"][0]["values"]))
    assert table["prediction"].to_pylist() == expected["predictions"]
