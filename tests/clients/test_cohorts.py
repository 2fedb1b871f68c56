"""Whole models, cohorts and slices: pandas, scikit-learn and scipy calculate the same from the framework's own attributions."""

import json
import os
import subprocess

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import xgboost
from mlflow.models import infer_signature
from scipy import stats
from sklearn import metrics

import taxi

INPUTS = ["age", "income", "months", "accounts"]
ROWS = 1_200
THRESHOLD = 0.4


@pytest.fixture(scope="module")
def frame():
    """Inputs, two columns that the model does not take, a label of 0 and 1, and an amount."""
    random = np.random.default_rng(17)
    frame = pd.DataFrame(random.standard_normal((ROWS, 4)), columns=INPUTS)
    frame["accounts"] = random.integers(0, 9, ROWS).astype("float64")
    frame["sex"] = random.choice(["F", "M"], ROWS, p=[0.4, 0.6])
    frame["town"] = random.choice(["Ulm", "Bonn", "Kiel", "Rome"], ROWS, p=[0.5, 0.3, 0.19, 0.01])
    lift = np.where(frame["sex"] == "M", 1.0, 0.0)
    frame["age"] += lift
    chance = 1 / (1 + np.exp(-(frame["age"] + 0.3 * (frame["accounts"] - 4))))
    frame["bought"] = (random.random(ROWS) < chance).astype("float64")
    frame["amount"] = frame["income"] * 3 + frame["age"] + random.standard_normal(ROWS)
    frame.loc[::9, "months"] = np.nan
    frame.loc[::50, "sex"] = None
    return frame


@pytest.fixture(scope="module")
def classifier(frame):
    data = xgboost.DMatrix(frame[INPUTS], frame["bought"])
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 2, "eta": 0.2}, data, 30)


@pytest.fixture(scope="module")
def regressor(frame):
    data = lightgbm.Dataset(frame[INPUTS], frame["amount"])
    return lightgbm.train({"verbose": -1, "min_data_in_leaf": 10, "num_threads": 2}, data, 30)


@pytest.fixture
def deployed(url, tracking, experiment, unique, frame):
    """Deploys a model; puts rows as its reference when there are any."""

    def deploy(flavour, model, rows=None, label=None):
        name = unique("cohorts")
        with mlflow.start_run():
            signature = infer_signature(frame[INPUTS], np.zeros(len(frame)))
            flavour.log_model(model, name="model", registered_model_name=name, signature=signature, pip_requirements=["numpy"])
        answer = taxi.deploy(url, name)
        assert answer.status_code in (200, 201), answer.text
        if rows is not None:
            answer = requests.put(
                f"{url}/api/v1/endpoints/{name}/reference",
                params={"label": label} if label else {},
                data=rows.to_csv(index=False),
                headers={"Content-Type": "text/csv"},
                timeout=60,
            )
            assert answer.status_code in (200, 201), answer.text
        return name

    return deploy


@pytest.fixture
def ask(url):
    def post(name, what, **body):
        return requests.post(f"{url}/api/v1/endpoints/{name}/explain/{what}", json=body, timeout=60)

    return post


@pytest.fixture
def bought(deployed, classifier, frame):
    return deployed(mlflow.xgboost, classifier, frame.drop(columns="amount"), "bought")


def test_a_cohort_differs_as_its_attributions_do(ask, bought, classifier, frame):
    answer = ask(bought, "cohorts", one={"conditions": [{"column": "sex", "is": "M"}, {"column": "age", "at_least": 0}]})
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    contributions = classifier.predict(xgboost.DMatrix(frame[INPUTS]), pred_contribs=True).astype("float64")
    own = ((frame["sex"] == "M") & (frame["age"] >= 0)).to_numpy()
    one, two = contributions[own], contributions[~own]
    assert (answer["one"]["rows"], answer["two"]["rows"]) == (own.sum(), (~own).sum())
    assert answer["one"]["name"] == "sex is M and age is at least 0" and answer["two"]["name"] == "everyone else"
    expected = stats.ttest_ind(one, two, equal_var=False)
    interval = expected.confidence_interval(0.95)
    gaps = {gap["feature"]: gap for gap in answer["features"]}
    for place, feature in enumerate(INPUTS):
        gap = gaps[feature]
        assert gap["difference"]["value"] == pytest.approx(one[:, place].mean() - two[:, place].mean(), abs=1e-5)
        assert gap["difference"]["low"] == pytest.approx(interval.low[place], abs=1e-5)
        assert gap["difference"]["high"] == pytest.approx(interval.high[place], abs=1e-5)
        assert gap["mean_absolute_one"] == pytest.approx(np.abs(one[:, place]).mean(), abs=1e-5)
    sizes = [abs(gap["difference"]["value"]) for gap in answer["features"]]
    assert sizes == sorted(sizes, reverse=True) and answer["features"][0]["feature"] == "age"
    summed = sum(gap["difference"]["value"] for gap in answer["features"])
    # Additive within what 32-bit floats hold.
    assert summed == pytest.approx(answer["one"]["mean_score"] - answer["two"]["mean_score"], abs=1e-5)
    relevance = [[np.abs(side[:, place]).mean() for place in range(4)] for side in (two, one)]
    assert answer["ndcg"] == pytest.approx(metrics.ndcg_score([relevance[0]], [relevance[1]]), abs=1e-4)
    predictions = classifier.predict(xgboost.DMatrix(frame[INPUTS])).astype("float64")
    assert answer["one"]["mean_prediction"] == pytest.approx(predictions[own].mean(), abs=1e-6)
    assert answer["one"]["mean_label"] == pytest.approx(frame["bought"][own].mean(), abs=1e-9)
    assert answer["one"]["mean_error"] == pytest.approx((predictions - frame["bought"])[own].mean(), abs=1e-6)


def figures(slice_):
    return {figure["measure"]: figure for figure in slice_["figures"]}


def test_slices_have_the_rates_of_scikit_learn(ask, bought, classifier, frame):
    answer = ask(bought, "fairness", by=["town"], threshold=THRESHOLD)
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    predictions = classifier.predict(xgboost.DMatrix(frame[INPUTS])).astype("float64")
    selected = predictions >= THRESHOLD
    assert answer["kind"] == "classification" and answer["reference"] == "town: Ulm"
    rates = {}
    for found in answer["slices"]:
        town = found["levels"][0]["level"]
        own = (frame["town"] == town).to_numpy()
        labels, chosen, figure = frame["bought"][own], selected[own], figures(found)
        assert found["rows"] == own.sum() and found["is_small"] == (town == "Rome")
        expected = {
            "selection_rate": chosen.mean(),
            "true_positive_rate": metrics.recall_score(labels, chosen),
            "false_positive_rate": chosen[labels == 0].mean(),
            "precision": metrics.precision_score(labels, chosen),
            "accuracy": metrics.accuracy_score(labels, chosen),
            "base_rate": labels.mean(),
            "calibration_gap": (predictions[own] - labels).mean(),
            "brier_score": metrics.brier_score_loss(labels, predictions[own]),
        }
        for name, value in expected.items():
            assert figure[name]["estimate"]["value"] == pytest.approx(value, abs=1e-6), (town, name)
        wilson = stats.binomtest(int(chosen.sum()), len(chosen)).proportion_ci(method="wilson")
        assert figure["selection_rate"]["estimate"]["low"] == pytest.approx(wilson.low, abs=1e-9)
        assert figure["selection_rate"]["estimate"]["high"] == pytest.approx(wilson.high, abs=1e-9)
        if town != "Rome":
            rates[town] = expected
    summaries = {summary["name"]: summary["value"] for summary in answer["summaries"]}
    spread = lambda name: max(own[name] for own in rates.values()) - min(own[name] for own in rates.values())
    assert summaries["demographic_parity_difference"] == pytest.approx(spread("selection_rate"), abs=1e-6)
    assert summaries["equal_opportunity_difference"] == pytest.approx(spread("true_positive_rate"), abs=1e-6)
    odds = max(spread("true_positive_rate"), spread("false_positive_rate"))
    assert summaries["equalized_odds_difference"] == pytest.approx(odds, abs=1e-6)
    assert summaries["predictive_parity_difference"] == pytest.approx(spread("precision"), abs=1e-6)
    assert answer["small_slices"] == 1 and answer["small_rows"] == (frame["town"] == "Rome").sum()


def test_slices_are_tested_and_the_tests_adjusted(ask, bought, classifier, frame):
    answer = ask(bought, "fairness", by=["sex"], threshold=THRESHOLD, reference="sex: M", least=10).json()
    selected = classifier.predict(xgboost.DMatrix(frame[INPUTS])) >= THRESHOLD
    groups = {"F": frame["sex"] == "F", "missing": frame["sex"].isna(), "M": frame["sex"] == "M"}
    hits = {name: (int(selected[own].sum()), int(own.sum())) for name, own in groups.items()}
    men = hits["M"]
    expected = {}
    for name in ["F", "missing"]:
        table = [[hits[name][0], hits[name][1] - hits[name][0]], [men[0], men[1] - men[0]]]
        expected[name] = stats.chi2_contingency(table, correction=False).pvalue
    adjusted = dict(zip(expected, stats.false_discovery_control(list(expected.values()))))
    found = {slice_["levels"][0]["level"]: figures(slice_)["selection_rate"] for slice_ in answer["slices"]}
    assert set(found) == {"F", "M", "missing"} and found["M"]["p_value"] is None
    for name in expected:
        assert found[name]["p_value"] == pytest.approx(expected[name], abs=1e-9)
        assert found[name]["p_adjusted"] == pytest.approx(adjusted[name], abs=1e-9)
        ratio = stats.contingency.relative_risk(*hits[name], *men)
        interval = ratio.confidence_interval(0.95)
        assert found[name]["ratio"]["value"] == pytest.approx(ratio.relative_risk, abs=1e-9)
        assert found[name]["ratio"]["low"] == pytest.approx(interval.low, abs=1e-9)
    women = next(slice_ for slice_ in answer["slices"] if slice_["name"] == "sex: F")
    assert women["why"][0]["feature"] == "age", "only there do they differ"


def test_numbers_are_cut_at_quartiles_and_crossed(ask, deployed, regressor, frame):
    name = deployed(mlflow.lightgbm, regressor, frame.drop(columns="bought"), "amount")
    answer = ask(name, "fairness", by=["income"]).json()
    assert answer["kind"] == "regression"
    cut = np.searchsorted(frame["income"].quantile([0.25, 0.5, 0.75]), frame["income"], side="right")
    predictions = regressor.predict(frame[INPUTS])
    errors = (predictions - frame["amount"]).to_numpy()
    for place, found in enumerate(answer["slices"]):
        own, figure = errors[cut == place], figures(found)
        assert found["rows"] == len(own)
        assert figure["mean_error"]["estimate"]["value"] == pytest.approx(own.mean(), abs=1e-6)
        assert figure["mean_absolute_error"]["estimate"]["value"] == pytest.approx(np.abs(own).mean(), abs=1e-6)
        rmse = np.sqrt(np.mean(own**2))
        assert figure["root_mean_squared_error"]["estimate"]["value"] == pytest.approx(rmse, abs=1e-6)
        low = stats.ttest_1samp(own, 0).confidence_interval(0.95).low
        assert figure["mean_error"]["estimate"]["low"] == pytest.approx(low, abs=1e-6)
    crossed = ask(name, "fairness", by=["sex", "age"], edges={"age": [0, 1]}).json()
    assert len(crossed["slices"]) == 9
    one = next(found for found in crossed["slices"] if found["name"] == "sex: F, age: 0 to below 1")
    assert one["rows"] == ((frame["sex"] == "F") & frame["age"].between(0, 1, inclusive="left")).sum()


def test_the_model_is_what_its_rows_say(ask, bought, classifier, frame):
    answer = ask(bought, "model", effects=["age"])
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    contributions = classifier.predict(xgboost.DMatrix(frame[INPUTS]), pred_contribs=True).astype("float64")
    predictions = classifier.predict(xgboost.DMatrix(frame[INPUTS])).astype("float64")
    assert (answer["rows"], answer["of"], answer["method"]) == (ROWS, ROWS, "path_dependent")
    importance = {own["feature"]: own["mean_absolute"] for own in answer["importance"]}
    for place, feature in enumerate(INPUTS):
        assert importance[feature] == pytest.approx(np.abs(contributions[:, place]).mean(), abs=1e-5)
    assert answer["importance"][0]["feature"] == "age"
    assert answer["permutation"]["metric"] == "log loss"
    assert answer["permutation"]["score"] == pytest.approx(metrics.log_loss(frame["bought"], predictions), abs=1e-5)
    permuted = {own["feature"]: own for own in answer["permutation"]["features"]}
    assert permuted["age"]["low"] > 0 and permuted["age"]["mean"] > permuted["income"]["mean"]
    [effect] = answer["effects"]
    for place in [0, 7, 19]:
        moved = frame[INPUTS].assign(age=effect["partial"]["values"][place])
        outputs = classifier.predict(xgboost.DMatrix(moved)).astype("float64")
        assert effect["partial"]["mean"][place] == pytest.approx(outputs.mean(), abs=1e-5)
        assert effect["partial"]["quantile_10"][place] == pytest.approx(np.quantile(outputs, 0.1), abs=1e-5)
        assert effect["partial"]["median"][place] == pytest.approx(np.quantile(outputs, 0.5), abs=1e-5)
    assert effect["local"]["effects"][-1] > effect["local"]["effects"][0]
    assert sum(effect["local"]["counts"]) == ROWS


def test_what_is_wrong_is_named(ask, deployed, bought, classifier):
    bare = deployed(mlflow.xgboost, classifier)
    one = {"conditions": [{"column": "age", "below": 0}]}
    for what, body in [("model", {}), ("cohorts", {"one": one}), ("fairness", {"by": ["age"]})]:
        answer = ask(bare, what, **body)
        assert answer.status_code == 409 and "needs reference data" in answer.text, answer.text
    for what, body, message in [
        ("model", {"effects": ["height"]}, 'effects names \\"height\\"'),
        ("model", {"output": 1}, "output is 1, the model has 1"),
        ("model", {"metric": "best"}, "metric"),
        ("cohorts", {"one": {"conditions": [{"column": "sex", "below": 3}]}}, 'the condition on \\"sex\\" compares numbers'),
        ("cohorts", {"one": {"conditions": [{"column": "height", "is": 3}]}}, 'no column \\"height\\"'),
        ("cohorts", {"one": one, "two": one}, "a row may be in one of them only"),
        ("fairness", {"by": ["age"], "edges": {"age": [1, 0]}}, "expected finite numbers that ascend"),
        ("fairness", {"by": ["town"], "reference": "town: Rome"}, "fewer than the 30"),
        ("fairness", {"by": []}, "by is empty"),
    ]:
        answer = ask(bought, what, **body)
        assert answer.status_code in (400, 422) and message in answer.text, answer.text


def test_pages_show_what_was_asked_or_how_to_put_rows(url, deployed, bought, classifier):
    def page(name, path):
        answer = requests.get(f"{url}/endpoints/{name}/explain/{path}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.text

    bare = deployed(mlflow.xgboost, classifier)
    for path in ["model", "cohorts", "fairness"]:
        text = page(bare, path)
        assert "There are no reference rows" in text and "curl -sT rows.csv" in text and "<svg class=\"chart" not in text
    assert page(bought, "model").count("<svg class=\"chart explanation\"") >= 8
    text = page(bought, "cohorts?column=sex&test=is&value=M&column2=sex&test2=is&value2=F")
    assert "higher scores among sex is M" in text and text.count("<svg class=\"chart explanation\"") == 2
    text = page(bought, "fairness?by=town&by=sex&threshold=0.4")
    assert "Demographic parity ratio" in text and "no verdict either way" in text and "Hollow dots" in text
    for path, message in [
        ("cohorts?column=sex&test=below&value=many", "expected a number"),
        ("fairness?by=height", "no column"),
        ("fairness?by=town&threshold=high", "expected a number"),
        ("model?output=3", "output is 3"),
    ]:
        text = page(bought, path)
        assert 'role="alert"' in text and message in text


def test_files_are_sliced_without_a_server(tmp_path, classifier, frame):
    classifier.save_model(tmp_path / "model.ubj")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    predictions = classifier.predict(xgboost.DMatrix(frame[INPUTS])).astype("float64")

    def run(*arguments):
        command = [os.environ["LOOPWRIGHT_BIN"], "explain", "model.ubj", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)

    asked = ("--label", "bought", "--by", "town,sex", "--threshold", str(THRESHOLD), "--cohort", "sex=M")
    for rows in ["rows.csv", "rows.parquet"]:
        done = run(rows, *asked, "--format", "json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        one = next(own for own in answer["fairness"]["slices"] if own["name"] == "town: Ulm, sex: F")
        own = (frame["town"] == "Ulm") & (frame["sex"] == "F")
        rate = (predictions[own] >= THRESHOLD).mean()
        assert figures(one)["selection_rate"]["estimate"]["value"] == pytest.approx(rate, abs=1e-6)
        assert answer["cohorts"]["one"]["rows"] == (frame["sex"] == "M").sum()
    text = run("rows.csv", *asked).stdout
    assert "sex is M" in text and "against everyone else" in text and "Demographic parity difference: " in text
    page = run("rows.csv", *asked, "--format", "html").stdout
    assert "What moves their scores apart" in page and "Slice by slice" in page and "https://" not in page
    for arguments, message in [
        (("rows.csv", "--by", "height"), "no column \"height\""),
        (("rows.csv", "--cohort", "sex"), "expected COLUMN=VALUE"),
        (("rows.csv", "--by", "sex", "--format", "arrow"), "have no place in --format arrow"),
    ]:
        refused = run(*arguments)
        assert refused.returncode == 1 and message in refused.stderr and refused.stdout == ""
