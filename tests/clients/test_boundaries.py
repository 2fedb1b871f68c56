"""What the server must refuse, whoever asks."""

import http.client
import pickle
import select
import shutil
import time
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
import requests
from sklearn.linear_model import LinearRegression

import taxi

SEARCH = "/api/2.0/mlflow/experiments/search"
EVIL = "http://evil.example"


def send(url, method, path, body=None, headers=None):
    """One request whose path and headers reach the server exactly as written."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


# Host and Origin

FOREIGN_HOST = {
    "tracking": ("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", None),
    "tracking, writing": ("POST", "/api/2.0/mlflow/experiments/create", '{"name": "from outside"}'),
    "serving": ("GET", "/v2", None),
    "own API": ("POST", "/api/v1/endpoints/x/deploy", "{}"),
    "page": ("GET", "/", None),
}
HOSTS = ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"]
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("method", "path", "body"), FOREIGN_HOST.values(), ids=FOREIGN_HOST)
def test_a_foreign_host_is_refused(url, method, path, body, host):
    status, _ = send(url, method, path, body, JSON | {"Host": host})
    assert status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_own_host_is_served(url, host):
    status, text = send(url, "POST", SEARCH, '{"max_results": 1}', JSON | {"Host": f"{host}:{urlsplit(url).port}"})
    assert status == 200, text


CROSS_ORIGIN = {
    "tracking": ("POST", "/api/2.0/mlflow/experiments/create"),
    "ajax": ("POST", "/ajax-api/2.0/mlflow/experiments/create"),
    "artifact": ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/from-outside.txt"),
    "inference": ("POST", "/v2/models/absent/infer"),
    "scoring": ("POST", "/endpoints/absent/invocations"),
    "deploy": ("POST", "/api/v1/endpoints/absent/deploy"),
}
ORIGINS = [EVIL, "null", "http://127.0.0.1:1", "http://localhost.evil.example"]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("method", "path"), CROSS_ORIGIN.values(), ids=CROSS_ORIGIN)
def test_a_cross_origin_write_is_refused(url, method, path, origin):
    status, _ = send(url, method, path, '{"name": "from another origin"}', JSON | {"Origin": origin})
    assert status == 403


def test_the_refused_writes_left_nothing(tracking):
    for name in ("from outside", "from another origin"):
        assert tracking.get_experiment_by_name(name) is None


def test_a_same_origin_write_is_served(url):
    status, text = send(url, "POST", SEARCH, '{"max_results": 1}', JSON | {"Origin": url})
    assert status == 200, text


# Paths

TRAVERSALS = [
    "..%2f..%2fescape.txt",
    "%2e%2e/%2e%2e/escape.txt",
    "a/..%2f..%2f..%2fescape.txt",
    "a%2f..%2f..%2f..%2fescape.txt",
    "..%5c..%5cescape.txt",
    "%2fetc%2fescape.txt",
    "a%00b.txt",
]
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize("method", ["PUT", "GET"])
@pytest.mark.parametrize("path", TRAVERSALS)
def test_path_traversal_is_refused(url, method, path):
    status, text = send(url, method, f"{ARTIFACTS}/{path}", b"x" if method == "PUT" else None)
    assert status == 400, text


@pytest.mark.parametrize("path", ["../../etc", "/etc", "a/../../../etc"])
def test_listing_outside_is_refused(url, path):
    answer = requests.get(f"{url}{ARTIFACTS}", params={"path": path}, timeout=30)
    assert answer.status_code == 400, answer.text


UNKNOWN = [
    ("GET", "/nope"),
    ("GET", "/api/2.0/mlflow/nope"),
    ("POST", "/api/2.0/mlflow/runs/nope"),
    ("GET", "/api/v1/nope"),
    ("POST", "/v2/nope"),
    ("GET", "/static/../../etc/passwd"),
    ("GET", "/static/%2e%2e/%2e%2e/etc/passwd"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_an_unknown_route_is_404(url, method, path):
    status, _ = send(url, method, path, "{}" if method == "POST" else None, JSON)
    assert status == 404


# Size

MIB = 1 << 20
CREATE = "/api/2.0/mlflow/experiments/create"


def status_of(connection):
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_json_body_declared_too_large_is_refused_before_it_is_sent(url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.putrequest("POST", CREATE)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(1024 * MIB))
    connection.endheaders(b'{"name": "')
    assert status_of(connection) == 413
    connection.close()


def test_a_json_body_that_grows_too_large_is_refused(url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.putrequest("POST", CREATE)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    for _ in range(256):
        answered, _, _ = select.select([connection.sock], [], [], 0)
        if answered:
            break
        try:
            connection.sock.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            break
    assert status_of(connection) == 413
    connection.close()


# Models that must not be served


def refused(answer):
    """A 4xx that does not merely say that there is no such route."""
    return 400 <= answer.status_code < 500 and answer.status_code not in (404, 405)


def assert_refused(url, name, *words):
    """Deploying it answers 4xx with these words, and there is no endpoint afterwards."""
    answer = taxi.deploy(url, name)
    assert refused(answer), (answer.status_code, answer.text)
    assert all(word in answer.text.lower() for word in words), answer.text
    assert requests.get(f"{url}/v2/models/{name}/ready", timeout=30).status_code != 200


@pytest.fixture(scope="module")
def small(trips):
    """A saved model of three trees, to be spoilt."""
    return taxi.train(trips, trees=3)


@pytest.fixture
def register_folder(tracking, experiment, unique):
    """Registers an MLflow model folder as it is on disk."""

    def register(folder):
        name = unique("spoilt")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(folder, "model")
        tracking.create_registered_model(name)
        source = f"{run.info.artifact_uri}/model"
        assert str(tracking.create_model_version(name, source, run.info.run_id).version) == "1"
        return name

    return register


@pytest.fixture
def model_folder(small, trips, tmp_path):
    folder = tmp_path / "model"
    options = {"signature": taxi.signature(trips), "pip_requirements": taxi.REQUIREMENTS}
    mlflow.lightgbm.save_model(small, folder, **options)
    return folder


def test_the_folder_is_served_when_nothing_is_spoilt(url, model_folder, register_folder):
    answer = taxi.deploy(url, register_folder(model_folder))
    assert answer.status_code in (200, 201), answer.text


def first_line(text, key):
    return next(line for line in text.splitlines() if line.startswith(key))


def replaced(key, change):
    """The model text with its first line of that key changed."""

    def apply(text):
        line = first_line(text, key)
        return text.replace(line, key + change(line.removeprefix(key)), 1)

    return apply


def at_the_root(value):
    return lambda line: " ".join([value, *line.split(" ")[1:]])


SPOILT = {
    # what is wrong: (the change to the model text, words of the message)
    "unknown objective": (replaced("objective=", lambda _: "regression_mystery"), ["objective", "regression_mystery"]),
    "linear tree": (replaced("is_linear=", lambda _: "1"), ["leaf_const"]),
    "cut off": (lambda text: text[: len(text) // 3], []),
    "empty": (lambda text: "", []),
    "a node that is its own child": (replaced("left_child=", at_the_root("0")), []),
    "a child that does not exist": (replaced("left_child=", at_the_root("9999")), []),
    "a leaf that does not exist": (replaced("right_child=", at_the_root("-9999")), []),
    "a feature that does not exist": (replaced("split_feature=", at_the_root("99")), []),
    "a threshold that is text": (replaced("threshold=", at_the_root("x")), []),
    "a billion leaves": (replaced("num_leaves=", lambda _: "1000000000"), []),
    "names that differ from the signature": (lambda text: text.replace("hour", "hours"), ["hour"]),
}


@pytest.mark.parametrize(("change", "words"), SPOILT.values(), ids=SPOILT)
def test_a_spoilt_model_is_refused(url, model_folder, register_folder, change, words):
    path = model_folder / "model.lgb"
    path.write_text(change(path.read_text()))
    assert_refused(url, register_folder(model_folder), *words)


def test_a_linear_tree_model_is_served_and_not_explained(url, experiment, trips, unique):
    name = unique("linear")
    booster = taxi.train(trips.head(5_000).fillna(0), trees=2, objective="regression", linear_tree=True)
    with mlflow.start_run():
        taxi.log(booster, trips, name)
    answer = taxi.deploy(url, name)
    assert answer.status_code in (200, 201), answer.text
    row = dict.fromkeys(taxi.FEATURES, 1)
    answer = requests.post(f"{url}/api/v1/endpoints/{name}/explain", json={"instances": [row]}, timeout=30)
    assert answer.status_code >= 400 and "linear functions" in answer.text, answer.text


def test_a_scikit_learn_model_is_refused(url, experiment, unique):
    x, name = np.arange(20.0).reshape(10, 2), unique("sklearn")
    options = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
    with mlflow.start_run():
        model = LinearRegression().fit(x, x[:, 0])
        mlflow.sklearn.log_model(model, name="model", registered_model_name=name, **options)
    assert_refused(url, name, "lightgbm")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_never_loaded(url, model_folder, register_folder, tmp_path):
    sprung = tmp_path / "sprung"
    shutil.rmtree(model_folder)
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    mlflow.sklearn.save_model(model, model_folder, serialization_format="pickle", pip_requirements=["scikit-learn"])
    (model_folder / "model.pkl").write_bytes(pickle.dumps(Trap(sprung)))
    assert_refused(url, register_folder(model_folder), "lightgbm")
    time.sleep(0.5)
    assert not sprung.exists()


def test_an_unknown_model_cannot_be_deployed(url, unique):
    name = unique("absent")
    answer = taxi.deploy(url, name)
    assert answer.status_code == 404
    assert name in answer.text


def test_a_deploy_without_its_fields_is_refused(url):
    for body in ({}, {"model": "x"}, {"model": 5, "version": "1", "reason": ""}, []):
        answer = requests.post(f"{url}/api/v1/endpoints/x/deploy", json=body, timeout=30)
        assert refused(answer), (body, answer.text)
