"""Autologging of scikit-learn; lightgbm's is in `test_mlflow.py`."""

import mlflow
import numpy as np
import pytest
from sklearn.linear_model import Ridge


@pytest.fixture
def autologging():
    mlflow.sklearn.autolog(silent=True, log_model_signatures=True)
    yield
    mlflow.sklearn.autolog(disable=True)


def test_sklearn_autolog(tracking, experiment, autologging):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(80, 2))
    with mlflow.start_run() as run:
        model = Ridge(alpha=0.5).fit(inputs, inputs @ [2.0, -1.0] + 3)
    found = tracking.get_run(run.info.run_id)
    assert found.data.params["alpha"] == "0.5"
    assert found.data.metrics["training_r2_score"] > 0.99
    assert found.data.tags["estimator_name"] == "Ridge"
    [logged] = tracking.search_logged_models([experiment.experiment_id])
    assert (logged.source_run_id, logged.status) == (run.info.run_id, "READY")
    assert np.array_equal(mlflow.pyfunc.load_model(logged.model_uri).predict(inputs), model.predict(inputs))
