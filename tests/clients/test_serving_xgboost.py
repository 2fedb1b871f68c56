"""XGBoost models as `mlflow.xgboost` logs them. The reference is XGBoost's own prediction in this process."""

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import xgboost
from mlflow.models import infer_signature

import taxi

ROWS = 400
COLUMNS = ["trip distance", "hour", "fare[0]"]


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(11)
    frame = pd.DataFrame(random.standard_normal((ROWS, 3)), columns=COLUMNS)
    frame["hour"] = random.integers(0, 24, ROWS).astype("float64")
    frame.loc[::9, "trip distance"] = np.nan
    target = np.nan_to_num(frame["trip distance"]) * 2 + np.sin(frame["hour"] / 4)
    return frame, target.to_numpy()


def booster(objective, **params):
    def train(frame, target):
        label = {"multi:softprob": np.digitize(target, [-0.5, 0.5]), "binary:logistic": target > 0}.get(objective, target)
        data = xgboost.DMatrix(frame.to_numpy(), label)
        return xgboost.train({"objective": objective, "max_depth": 5, "nthread": 2} | params, data, 30)

    return train


MODELS = {
    "regression": booster("reg:squarederror"),
    "binary": booster("binary:logistic"),
    "softprob": booster("multi:softprob", num_class=3),
    "dart": booster("reg:squarederror", booster="dart", rate_drop=0.2),
    "regressor": lambda frame, target: xgboost.XGBRegressor(n_estimators=20, max_depth=4).fit(frame.to_numpy(), target),
}


@pytest.fixture
def registered(tracking, experiment, unique, table):
    def register(model, **options):
        name, frame = unique("xgboost"), table[0]
        answer = np.zeros(len(frame))
        with mlflow.start_run():
            mlflow.xgboost.log_model(
                model,
                name="model",
                registered_model_name=name,
                signature=infer_signature(frame, answer),
                pip_requirements=["xgboost-cpu"],
                **options,
            )
        return name

    return register


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize("train", MODELS.values(), ids=MODELS)
def test_predictions_equal_those_of_xgboost(url, registered, table, train, form):
    frame, target = table
    model = train(frame, target)
    name = registered(model, model_format=form)
    answer = taxi.deploy(url, name)
    assert answer.status_code in (200, 201), answer.text
    rows = frame.astype(object).where(frame.notna(), None)
    body = {"dataframe_split": {"columns": COLUMNS, "data": rows.to_numpy().tolist()}}
    answer = requests.post(f"{url}/endpoints/{name}/invocations", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    expected = model.predict(frame.to_numpy() if hasattr(model, "fit") else xgboost.DMatrix(frame.to_numpy()))
    np.testing.assert_allclose(np.array(answer.json()["predictions"]), expected, rtol=3e-7, atol=0)


def test_a_classifier_is_refused_with_the_way_out(url, registered, table):
    frame, target = table
    name = registered(xgboost.XGBClassifier(n_estimators=3).fit(frame.to_numpy(), target > 0))
    answer = taxi.deploy(url, name)
    assert answer.status_code == 400, answer.text
    assert "get_booster" in answer.text


def test_a_linear_booster_is_refused_by_name(url, registered, table):
    frame, target = table
    data = xgboost.DMatrix(frame.fillna(0).to_numpy(), target)
    name = registered(xgboost.train({"booster": "gblinear"}, data, 3))
    answer = taxi.deploy(url, name)
    assert answer.status_code == 400, answer.text
    assert "gblinear" in answer.text
