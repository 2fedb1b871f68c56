"""Documents of scikit-learn's estimators: they say what the estimator says, and what they cannot say is refused by name."""

import json

import numpy as np
import pytest
from evaluation import raw_scores
from sklearn.datasets import make_classification, make_regression
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from loopwright import trees

X, Y = make_regression(200, 6, noise=5, random_state=1)
XC, C = make_classification(200, 6, n_informative=4, n_classes=3, random_state=1)

REGRESSORS = [
    DecisionTreeRegressor(max_depth=6, random_state=1),
    ExtraTreeRegressor(max_depth=6, random_state=1),
    RandomForestRegressor(7, random_state=1),
    ExtraTreesRegressor(7, random_state=1),
    GradientBoostingRegressor(n_estimators=9, random_state=1),
    GradientBoostingRegressor(n_estimators=9, loss="huber", init="zero", random_state=1),
    HistGradientBoostingRegressor(max_iter=9),
]
CLASSIFIERS = [
    DecisionTreeClassifier(max_depth=6, random_state=1),
    ExtraTreeClassifier(max_depth=6, random_state=1),
    RandomForestClassifier(7, random_state=1),
    ExtraTreesClassifier(7, random_state=1),
    GradientBoostingClassifier(n_estimators=5, random_state=1),
    HistGradientBoostingClassifier(max_iter=5),
]


def found(document, rows):
    return np.array([raw_scores(document, row) for row in rows])


def through_json(document):
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
def test_regressors_say_the_same(model):
    document = through_json(trees.convert(model.fit(X, Y)))
    assert np.array_equal(found(document, X)[:, 0], model.predict(X))
    assert document["classes"] is None


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_classifiers_say_the_same(model):
    document = through_json(trees.convert(model.fit(XC, C)))
    theirs = model.decision_function(XC) if "GradientBoosting" in type(model).__name__ else model.predict_proba(XC)
    assert np.array_equal(found(document, XC), theirs)
    assert document["classes"] == [0, 1, 2]


def test_several_targets():
    targets = np.column_stack([Y, -Y])
    model = RandomForestRegressor(3, random_state=1).fit(X, targets)
    document = through_json(trees.convert(model))
    assert (document["scores"], document["divide_by"]) == (2, 3)
    assert np.array_equal(found(document, X), model.predict(X))


def test_categories_may_be_any_numbers():
    rng = np.random.default_rng(1)
    rows = np.column_stack([X[:, 0], rng.choice([-3.0, 0.0, 0.5, 1e6, np.nan], len(X))])
    target = np.where(rows[:, 1] == 0.5, 9.0, rows[:, 0])
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features=[1]).fit(rows, target)
    document = through_json(trees.convert(model))
    assert any(tree["categories"] for tree in document["trees"])
    asked = np.vstack([rows, np.column_stack([X[:6, 0], [0.25, -3.0, -0.0, np.nan, 7.0, 1e6]])])
    assert np.array_equal(found(document, asked)[:, 0], model.predict(asked))


def test_a_file_holds_the_document(tmp_path):
    model = RandomForestClassifier(3, random_state=1).fit(XC, np.array(["ä", "b", "c"])[C])
    path = tmp_path / "model.trees.json"
    trees.save(model, path, feature_names=list("uvwxyz"))
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == trees.convert(model, list("uvwxyz"))
    assert written["feature_names"] == list("uvwxyz")
    assert written["classes"] == ["b", "c", "ä"]


def test_floats_that_are_not_finite_are_words(tmp_path):
    rows = X.copy()
    rows[Y > 0, 2] = np.nan
    model = HistGradientBoostingRegressor(max_iter=3).fit(rows, Y)
    trees.save(model, tmp_path / "model.trees.json")
    text = (tmp_path / "model.trees.json").read_text()
    assert '"Infinity"' in text
    assert "NaN" not in text


def test_names_come_from_the_columns():
    model = DecisionTreeRegressor(max_depth=2).fit(X, Y)
    assert trees.convert(model)["feature_names"] is None
    # What training on a data frame leaves.
    model.feature_names_in_ = np.array(list("abcdef"), dtype=object)
    assert trees.convert(model)["feature_names"] == list("abcdef")
    assert trees.convert(model, list("uvwxyz"))["feature_names"] == list("uvwxyz")
    with pytest.raises(ValueError, match="feature_names holds 2 names, the model has 6 features"):
        trees.convert(model, ["a", "b"])


class OwnForest(RandomForestRegressor):
    pass


REFUSED = [
    (BaggingRegressor(n_estimators=2).fit(X, Y), "BaggingRegressor is not supported; supported: DecisionTreeClassifier"),
    (AdaBoostRegressor(n_estimators=2).fit(X, Y), "AdaBoostRegressor is not supported"),
    (IsolationForest(n_estimators=2).fit(X), "IsolationForest is not supported"),
    (LinearRegression().fit(X, Y), "LinearRegression is not supported"),
    (make_pipeline(StandardScaler(), DecisionTreeRegressor()).fit(X, Y), "Pipeline is not supported"),
    (OwnForest(2).fit(X, Y), "OwnForest is not supported"),
    ("a model", "str is not supported"),
    (RandomForestClassifier(2).fit(XC, np.column_stack([C, C])), "RandomForestClassifier with 2 outputs"),
    (DecisionTreeClassifier().fit(XC, np.column_stack([C, C])), "DecisionTreeClassifier with 2 outputs"),
    (
        GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, Y),
        "GradientBoostingRegressor with the initial estimator LinearRegression is not supported",
    ),
    (
        GradientBoostingClassifier(n_estimators=2, init=DummyClassifier(strategy="uniform")).fit(XC, C),
        "GradientBoostingClassifier with a DummyClassifier of the strategy 'uniform' is not supported",
    ),
]


@pytest.mark.parametrize(("model", "message"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_is_not_supported_is_refused_by_name(model, message):
    with pytest.raises(trees.UnsupportedModel, match=message):
        trees.convert(model)


def test_categories_that_are_no_numbers_are_refused_by_name():
    rows = np.array([["a", 1], ["b", 2]] * 30, dtype=object)
    model = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(rows, np.arange(60.0))
    message = "HistGradientBoostingRegressor with categories that are not numbers .* column 0 are object"
    with pytest.raises(trees.UnsupportedModel, match=message):
        trees.convert(model)


def test_a_loss_of_ones_own_is_refused_by_name():
    from sklearn._loss.loss import HalfSquaredError

    model = HistGradientBoostingRegressor(max_iter=2, loss=HalfSquaredError()).fit(X, Y)
    with pytest.raises(trees.UnsupportedModel, match="HistGradientBoostingRegressor with the loss .*HalfSquaredError"):
        trees.convert(model)


def test_what_is_not_fitted_is_refused_by_name():
    with pytest.raises(NotFittedError, match="RandomForestRegressor"):
        trees.convert(RandomForestRegressor())


def test_leaves_that_are_not_finite_are_refused():
    model = DecisionTreeRegressor(max_depth=1).fit(X, Y)
    model.tree_.value[1] = np.inf
    with pytest.raises(trees.UnsupportedModel, match="DecisionTreeRegressor: its leaves are not finite"):
        trees.convert(model)


def test_negative_weights_leave_no_cover():
    model = DecisionTreeRegressor(random_state=1).fit(X, Y, -np.ones(len(Y)))
    assert trees.convert(model)["trees"][0]["cover"] is None


def test_the_suffix_tells_the_format(tmp_path):
    with pytest.raises(ValueError, match="'model.json', expected one that ends with '.trees.json'"):
        trees.save(REGRESSORS[0].fit(X, Y), tmp_path / "model.json")
    assert list(tmp_path.iterdir()) == []
