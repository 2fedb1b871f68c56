"""The server's explanations as shap's own, which its plots take."""

import numpy as np
import pytest

import loopwright

shap = pytest.importorskip("shap")

ONE = {
    "output": 0,
    "values": [[0.5, -0.25, 0.0], [1.0, 0.0, 2.0]],
    "base_value": 0.1,
    "data": [[1.0, None, 3.0], [4.0, 5.0, 6.0]],
    "feature_names": ["age", "visits", "amount"],
}


def answer(*explanations):
    return {"model_name": "churn", "explanations": list(explanations)}


def test_one_output_is_two_dimensional():
    found = loopwright.explanation(answer(ONE))
    assert isinstance(found, shap.Explanation)
    assert found.shape == (2, 3)
    assert np.array_equal(found.values, ONE["values"])
    assert np.array_equal(found.base_values, [0.1, 0.1])
    assert np.array_equal(found.data, [[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]], equal_nan=True)
    assert list(found.feature_names) == ONE["feature_names"]


def test_several_outputs_are_the_last_axis():
    other = ONE | {"output": 1, "values": (-np.array(ONE["values"])).tolist(), "base_value": 0.9}
    found = loopwright.explanation(answer(ONE, other))
    assert found.shape == (2, 3, 2)
    assert np.array_equal(found.base_values, [[0.1, 0.9], [0.1, 0.9]])
    assert np.array_equal(found[:, :, 1].values, other["values"])
    assert np.array_equal(found[:, :, 1].base_values, [0.9, 0.9])


def test_a_row_and_its_sum():
    row = loopwright.explanation(answer(ONE))[1]
    assert row.values.sum() + row.base_values == pytest.approx(3.1)
    assert list(row.feature_names) == ONE["feature_names"]


def test_features_without_names():
    assert loopwright.explanation(answer(ONE | {"feature_names": None})).shape == (2, 3)


def test_an_answer_without_explanations_is_refused():
    with pytest.raises(ValueError, match="holds no explanations"):
        loopwright.explanation(answer())
