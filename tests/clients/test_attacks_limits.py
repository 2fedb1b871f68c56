"""The published attacks, continued: what a server is made to reach, run, read, hold and tell."""

import contextlib
import gzip
import http.client
import json
import pickle
import random
import re
import select
import socket
import threading
import time

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from conftest import served
from refusal import refused
from test_attacks import (
    ARTIFACTS,
    JSON,
    ROUTES,
    V2,
    answer_of,
    basic,
    bearer,
    call,
    client,
    model,
    outside,
    run,
    server,
)

__all__ = ["client", "model", "outside", "run", "server"]

MIB = 1 << 20
CHUNKED = "HTTP/1.1\r\nContent-Type: application/json\r\nx-mlflow-experiment-id: 0\r\nTransfer-Encoding: chunked"

STALLED = {"43 half a head": b"GET / HTTP/1.1\r\nHost: 127", "43 no byte at all": b""}
for line in (f"PUT {ARTIFACTS}/0/half", f"POST {V2}/experiments/create", "POST /v1/traces", "POST /invocations",
             "POST /v2/models/none/infer", "POST /api/v1/runs/purge"):  # fmt: skip
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nx"
    STALLED[f"43 half a body: {line}"] = head.encode()
STALL_S = 35


@pytest.fixture(scope="module", autouse=True)
def stalled(server):
    """Connections that begin a request and then say nothing more; looked at again at the end."""
    with contextlib.ExitStack() as open_ones:
        opened = {case: open_ones.enter_context(server.connect()) for case in STALLED}
        for case, connection in opened.items():
            connection.sendall(STALLED[case])
        yield time.monotonic(), opened


@pytest.fixture
def internal():
    """The address of a port of this machine that the server must not be sent to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            listener.accept()


# Requests that the server makes: 29 redirects, 30, 31


def test_29_a_webhook_follows_no_redirect(tmp_path, internal, unique):
    with socket.create_server(("127.0.0.1", 0)) as first, served(tmp_path, "--webhook-host", "127.0.0.1") as address:
        own = MlflowClient(address, address)
        hook = own.create_webhook(
            unique("hook"), f"http://127.0.0.1:{first.getsockname()[1]}/", ["registered_model.created"]
        )

        def redirect():
            connection, _ = first.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(
                    f"HTTP/1.1 307 Go\r\nLocation: http://{internal}/\r\nContent-Length: 0\r\n\r\n".encode()
                )

        thread = threading.Thread(target=redirect, daemon=True)
        thread.start()
        assert not own.test_webhook(hook.webhook_id).success
        thread.join(10)
        assert not thread.is_alive(), "the webhook was not sent at all"


INTERNAL = ["http://{}/x", "https://{}/x", "mlflow-artifacts://{}/x", "ftp://{}/x", "s3://{}/x", "hdfs://{}/x"]


@pytest.mark.parametrize("source", INTERNAL, ids=[f"30 #23500 {each}" for each in INTERNAL])
def test_a_source_is_never_called_by_the_server(server, client, run, internal, unique, source):
    name, source = unique("internal"), source.format(internal)
    client.create_registered_model(name)
    made = server.post("model-versions/create", {"name": name, "source": source, "run_id": run.info.run_id})
    if made.status == 200:
        assert server.ask("GET", f"/models/{name}/1").status == 200
        client.get_model_version_download_uri(name, "1")
        deployed = server.ask("POST", f"/api/v1/endpoints/{name}/deploy", {"model": name, "version": 1, "reason": "r"})
        assert 400 <= deployed.status < 500, deployed.text
    dataset = {"name": "d", "digest": "1", "source_type": "http", "source": json.dumps({"url": source})}
    server.post("runs/log-inputs", {"run_id": run.info.run_id, "datasets": [{"dataset": dataset}]})
    server.ask("GET", f"/runs/{run.info.run_id}")


PROXIES = [
    "/ajax-api/2.0/mlflow/gateway-proxy?gateway_path={}",
    "/api/2.0/mlflow/gateway-proxy?gateway_path=../../{}",
    "/gateway/{}/invocations",
    "/proxy?url={}",
    "/get-artifact?uri={}&run_id=x&path=y",
    "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
    "{}",
]


@pytest.mark.parametrize("path", PROXIES, ids=[f"31 CVE-2025-52967 {each}" for each in PROXIES])
def test_nothing_is_fetched_for_a_caller(server, internal, path):
    url = f"http://{internal}/x"
    for method in ("GET", "POST"):
        body = {"gateway_path": url, "target_uri": url, "url": url, "json_data": {}}
        answer = server.ask(method, path.format(url), body)
        assert answer.status >= 400, answer.text
    assert server.ask("CONNECT", internal).status >= 400


# Code in data: 33


class System:
    """Runs a shell command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


MLMODEL = """flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
model_uuid: 0
"""


def test_33_cve_2024_37052_a_pickled_model_is_data(server, client, run, tmp_path, unique):
    sprung, folder, name = tmp_path / "sprung", tmp_path / "model", unique("sklearn")
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "model.pkl").write_bytes(pickle.dumps(System(f"touch {sprung}")))
    (folder / "python_env.yaml").write_text(f"python: 3.12\nbuild_dependencies: ['x; touch {sprung}']\n")
    (folder / "requirements.txt").write_text(f"x @ file:///$(touch {sprung})\n")
    client.log_artifacts(run.info.run_id, folder, "model")
    client.create_registered_model(name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")
    for path in (f"/models/{name}/1", f"/runs/{run.info.run_id}?tab=artifacts&path=model/model.pkl", "/endpoints"):
        assert server.ask("GET", path).status == 200
    answer = server.ask("POST", f"/api/v1/endpoints/{name}/deploy", {"model": name, "version": 1, "reason": "attack"})
    assert 400 <= answer.status < 500 and answer.status not in (404, 405), answer.text
    for path in (f"/v2/models/{name}/infer", f"/endpoints/{name}/invocations", "/invocations"):
        assert 400 <= server.ask("POST", path, {"inputs": [[1.0]]}).status < 500
    time.sleep(0.3)
    assert not sprung.exists()
    assert server.children() == []
    pickle.loads((folder / "model.pkl").read_bytes())
    assert sprung.exists(), "the trap does not work"


# Bodies that are no requests: 41, 44

BATCH = {
    "run_id": "x",
    "metrics": [{"key": "m", "value": 1.5, "timestamp": 1, "step": 1}],
    "params": [{"key": "p", "value": "v"}],
    "tags": [{"key": "t", "value": "v"}],
}
BODIES = {
    f"{V2}/runs/log-batch": BATCH,
    f"{V2}/experiments/create": {"name": "n", "tags": [{"key": "k", "value": "v"}]},
    f"{V2}/runs/create": {"experiment_id": "0", "start_time": 1, "tags": [{"key": "k", "value": "v"}]},
    f"{V2}/runs/search": {"experiment_ids": ["0"], "filter": "", "max_results": 1, "order_by": ["metrics.m"]},
    f"{V2}/runs/log-inputs": {
        "run_id": "x",
        "datasets": [{"dataset": {"name": "n", "digest": "d", "source_type": "s", "source": "s"}}],
    },
    f"{V2}/registered-models/create": {"name": "cut", "tags": [{"key": "k", "value": "v"}]},
    f"{V2}/model-versions/create": {"name": "cut", "source": "s3://b/x"},
    f"{V2}/webhooks": {"name": "n", "url": "http://1.1.1.1", "events": [{"entity": "PROMPT", "action": "CREATED"}]},
    "/graphql": {"query": "{ __typename }", "variables": {}},
    "/api/v1/projects": {"directory": "/nowhere"},
    "/api/v1/endpoints/x/deploy": {"model": "x", "version": 1, "reason": "r"},
    "/v2/models/x/infer": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]},
    "/endpoints/x/invocations": {"dataframe_split": {"columns": ["a"], "data": [[1]]}},
}


@pytest.mark.parametrize("path", BODIES, ids=[f"41 truncated {path}" for path in BODIES])
def test_a_body_that_breaks_off_is_refused(server, path):
    whole = json.dumps(BODIES[path]).encode()
    for end in range(1, len(whole)):
        assert server.ask("POST", path, whole[:end], JSON).status in (400, 404, 422), whole[:end]


WRONG = [1, 1.5, True, "x", [], {}, [1], ["x"], [None], [[]], {"x": 1}]
FITS = {
    # place: values of WRONG that are right there, or that upstream's reader takes too
    ("run_id",): ["x"],
    ("metrics",): [[]],
    ("params",): [[]],
    ("tags",): [[]],
    ("metrics", 0): [],
    ("params", 0): [],
    ("tags", 0): [],
    ("metrics", 0, "key"): ["x"],
    ("metrics", 0, "value"): [1, 1.5, True],
    ("metrics", 0, "timestamp"): [1, 1.5],
    ("metrics", 0, "step"): [1, 1.5],
    ("params", 0, "key"): ["x"],
    ("params", 0, "value"): ["x"],
    ("tags", 0, "key"): ["x"],
    ("tags", 0, "value"): ["x"],
}


def name_of(place):
    return ".".join(map(str, place))


@pytest.mark.parametrize("place", FITS, ids=[f"41 wrong type {name_of(place)}" for place in FITS])
def test_a_field_of_a_batch_takes_its_own_type_only(server, run, place):
    taken = []
    for value in WRONG:
        body = json.loads(json.dumps(BATCH | {"run_id": run.info.run_id}))
        holder = body
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = value
        answer = server.post("runs/log-batch", body)
        if answer.status == 200 and not any(
            value is fit or (type(value) is type(fit) and value == fit) for fit in FITS[place]
        ):
            taken.append(value)
        elif answer.status != 200:
            answer.refused(400, 404)
    assert taken == []


# Bytes in the place of the first text of each body, with its quotes.
UNREADABLE = {
    "41 bad UTF-8": b'"\xff\xfe"',
    "41 overlong UTF-8": b'"\xc0\xae\xc0\xae/"',
    "41 UTF-8 of a surrogate": b'"\xed\xa0\x80"',
    "41 half a surrogate": b'"\\ud800"',
    "41 bare word": b"name",
    "41 huge number": b"1e999999",
    "41 NUL byte": b'"\0"',
}
# Bytes in the place of a body.
NO_BODIES = {
    "41 UTF-16": '{"name": "x"}'.encode("utf-16"),
    "41 two values": b'{"name": "a"} {"name": "b"}',
    "41 an array": b'[{"name": "a"}]',
    "41 a list of texts": b'["listed"]',
    "41 a text": b'"name"',
    "41 null": b"null",
    "41 NUL bytes": b"\0" * 100,
}


def is_refusal(path, answer):
    """GraphQL says no with 200."""
    graphql = (
        path.endswith("/graphql") and answer.status == 200 and answer.json()["errors"] and not answer.json()["data"]
    )
    return graphql or answer.status in (400, 404, 413, 422)


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_text_that_is_none_is_refused(server, text):
    for path, body in BODIES.items():
        broken = re.sub(rb'(: |\[)"[^"]*"', lambda found: found[1] + text, json.dumps(body).encode(), count=1)
        assert text in broken
        answer = server.ask("POST", path, broken, JSON)
        assert is_refusal(path, answer), (path, answer.text[:200])


@pytest.mark.parametrize("body", NO_BODIES.values(), ids=NO_BODIES)
def test_bytes_that_are_no_object_are_refused(server, body):
    wrong = {}
    for path in BODIES:
        answer = server.ask("POST", path, body, JSON)
        if not is_refusal(path, answer):
            wrong[path] = (answer.status, answer.text[:100])
    assert not wrong


def test_41_a_name_with_a_nul_is_refused_or_kept(server, client):
    for name in ("a\0b", "\0"):
        answer = server.post("experiments/create", {"name": name})
        if answer.status == 200:
            assert client.get_experiment(answer.json()["experiment_id"]).name == name
        else:
            answer.refused(400)


OTLP = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
ZIPPED = gzip.compress(b"\x0a\x00" * 500)
NESTED = b""
for _ in range(2_000):
    NESTED = b"\x32" + (lambda n: bytes([n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14]))(len(NESTED)) + NESTED
SPANS = {
    "41 no bytes": (b"", {}),
    "41 noise": (random.Random(1).randbytes(2_000), {}),
    "41 a length beyond the end": (b"\x0a\xff\xff\xff\xff\x0f", {}),
    "41 a length of 2^64": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {}),
    "41 messages 2,000 deep": (NESTED, {}),
    "41 gzip that is none": (b"not gzip at all", {"Content-Encoding": "gzip"}),
    "41 gzip cut off": (ZIPPED[:-9], {"Content-Encoding": "gzip"}),
    "41 gzip with a wrong sum": (ZIPPED[:-6] + b"\0\0\0\0\0\0", {"Content-Encoding": "gzip"}),
    "41 gzip bomb of 512 MiB": (gzip.compress(b"\0" * MIB) * 512, {"Content-Encoding": "gzip"}),
    "41 deflate that is none": (b"xxxx", {"Content-Encoding": "deflate"}),
    "41 unknown packing": (b"xxxx", {"Content-Encoding": "br"}),
    "41 JSON cut off": (b'{"resourceSpans": [', {"Content-Type": "application/json"}),
    "41 JSON of wrong types": (b'{"resourceSpans": [{"scopeSpans": 7}]}', {"Content-Type": "application/json"}),
}


@pytest.mark.parametrize(("body", "headers"), SPANS.values(), ids=SPANS)
def test_spans_that_are_none_are_refused(server, body, headers):
    started = time.monotonic()
    assert server.ask("POST", "/v1/traces", body, OTLP | headers).status in (400, 413, 415, 422)
    assert time.monotonic() - started < 10


def test_41_damaged_spans_are_refused_or_taken(server):
    """A valid request with any one byte changed."""
    span = (
        b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x2a\x04name" + b"\x39" + b"\1" * 8 + b"\x41" + b"\2" * 8
    )
    scope = b"\x12" + bytes([len(span)]) + span
    resource = b"\x12" + bytes([len(scope)]) + scope
    request = b"\x0a" + bytes([len(resource)]) + resource
    taken = server.ask("POST", "/v1/traces", request, OTLP)
    assert taken.status == 200, taken.text
    for at in range(len(request)):
        for byte in (0, 0x7F, 0xFF):
            changed = request[:at] + bytes([byte]) + request[at + 1 :]
            assert server.ask("POST", "/v1/traces", changed, OTLP).status in (200, 400, 422)


DEEP = 100_000
DEEPS = {"44 arrays": b"[" * DEEP, "44 objects": b'{"a":' * DEEP, "44 closed": b"[" * DEEP + b"]" * DEEP}


@pytest.mark.parametrize("deep", DEEPS.values(), ids=DEEPS)
@pytest.mark.parametrize("path", [*BODIES, "/v1/traces"])
def test_deep_json_is_refused(server, path, deep):
    field = re.search(r"\w+", json.dumps(BODIES.get(path, {"resourceSpans": 1})))[0].encode()
    for body in (deep, b'{"' + field + b'": ' + deep + b"}"):
        answer = server.ask("POST", path, body, OTLP | JSON)
        assert is_refusal(path, answer), (path, answer.status, answer.text[:200])
    # A field that nobody knows may be passed over; ask() looks that the server did not fall over it.
    server.ask("POST", path, b'{"unknown": ' + deep + b"}", OTLP | JSON)


def test_44_deep_json_in_a_text_is_shown_as_one(server, client, run):
    """A schema, a tag and a file that a page would read."""
    run_id, deep = run.info.run_id, DEEPS["44 closed"].decode()
    dataset = {"name": "d", "digest": "1", "source_type": "s", "source": deep, "schema": deep, "profile": deep}
    answer = server.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]})
    assert answer.status in (200, 400), answer.text[:200]
    client.set_tag(run_id, "mlflow.log-model.history", deep[:4_000])
    client.set_tag(run_id, "mlflow.loggedArtifacts", deep[:4_000])
    client.log_text(run_id, deep, "deep.json")
    for page in ("", "?tab=artifacts&path=deep.json", "?tab=artifacts"):
        assert server.ask("GET", f"/runs/{run_id}{page}").status == 200
    assert (
        server.ask("POST", f"{V2}/experiments/search-datasets", {"experiment_ids": [run.info.experiment_id]}).status
        == 200
    )


# Too much: 43, 45, 46, 50


def pour(server, head, parts):
    """Sends parts until the server answers or closes; its answer and how many bytes it let through."""
    sent = 0
    with server.connect() as connection:
        connection.sendall(f"{head}\r\nHost: {server.netloc}\r\nConnection: close\r\n\r\n".encode())
        for part in parts:
            if select.select([connection], [], [], 0)[0]:
                break
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(part)
        return answer_of(connection), sent


LARGE = [f"{V2}/runs/set-tag", f"{V2}/experiments/create", f"{V2}/registered-models/create", "/graphql", "/v1/traces"]
LARGE += ["/api/v1/projects", "/ajax-api/2.0/mlflow/runs/log-batch", "/models/x/1/decide"]


@pytest.mark.parametrize("path", LARGE, ids=[f"43 3.17.2-64MB {path}" for path in LARGE])
def test_a_field_of_64_mib_is_refused_quickly(server, path):
    started = time.monotonic()
    parts = [b'{"name": "', *[b"x" * MIB] * 64, b'"}']
    length = sum(map(len, parts))
    answer, sent = pour(
        server, f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}", parts
    )
    assert answer.status == 413 and sent < length, (answer.status, sent)
    assert time.monotonic() - started < 5


ENDLESS = [*LARGE[:6], "/v2/models/x/infer", "/endpoints/x/invocations"]


@pytest.mark.parametrize("path", ENDLESS, ids=[f"43 endless {path}" for path in ENDLESS])
def test_a_body_without_an_end_is_cut(server, path):
    answer, _ = pour(server, f"POST {path} {CHUNKED}", (b"%x\r\n" % MIB + b" " * MIB + b"\r\n" for _ in range(200)))
    assert answer.status in (400, 404, 413), answer.text


def test_43_values_below_the_bodys_limit_are_refused_by_their_own(server, run):
    for path, body in (("runs/set-tag", {"key": "k"}), ("runs/log-parameter", {"key": "k"})):
        server.post(path, body | {"run_id": run.info.run_id, "value": "x" * 20 * MIB}).refused(400)


def test_43_slow_senders_hinder_nobody(server):
    with contextlib.ExitStack() as open_ones:
        heads = [
            b"POST /graphql HTTP/1.1\r\nContent-Length: 9\r\n",
            b"PUT " + ARTIFACTS.encode() + b"/0/slow HTTP/1.1\r\n",
            b"G",
        ]
        for number in range(150):
            connection = open_ones.enter_context(server.connect())
            connection.sendall(heads[number % 3])
        for _ in range(10):
            assert server.ask("GET", "/health").status == 200


CLAUSES = {
    "45 CVE-2025-0453 3,000 clauses": " and ".join(["metrics.m > 1"] * 3_000),
    "45 3,000 alternatives": " or ".join(["params.p = 'x'"] * 3_000),
    "45 100,000 brackets": "(" * 100_000 + "metrics.m > 1" + ")" * 100_000,
    "45 10,000 times NOT": "NOT " * 10_000 + "metrics.m > 1",
    "45 a list of 100,000": "attributes.run_id IN (" + ",".join(["'x'"] * 100_000) + ")",
    "45 1 MB of text": "params.p = '" + "x" * MIB + "'",
    "45 an expression that explodes": "params.p RLIKE '" + "(a{1000}){1000}" + "'",
}
SEARCHES = "runs/search experiments/search logged-models/search registered-models/search model-versions/search".split()


@pytest.mark.parametrize("clause", CLAUSES.values(), ids=CLAUSES)
def test_a_filter_that_is_a_bomb_is_refused(server, clause):
    started = time.monotonic()
    body = {"experiment_ids": ["0"], "filter": clause}
    server.post("runs/search", body).refused(400)
    server.post("experiments/search", {"filter": clause, "max_results": 10}).refused(400)
    server.post("logged-models/search", body).refused(400)
    assert time.monotonic() - started < 5


def test_45_a_pattern_that_goes_back_and_forth_ends(server, client, run):
    client.set_tag(run.info.run_id, "t", "a" * 7_999)
    for pattern in (
        "tags.t LIKE '" + "%a" * 1_000 + "%b'",
        "tags.t RLIKE '(a+)+(a+)+$b'",
        "tags.t ILIKE '" + "_%" * 3_000 + "b'",
    ):
        started = time.monotonic()
        answer = server.post("runs/search", {"experiment_ids": [run.info.experiment_id], "filter": pattern})
        assert answer.status in (200, 400) and "run_id" not in answer.text
        assert time.monotonic() - started < 10, pattern[:40]


@pytest.mark.parametrize("path", SEARCHES, ids=[f"45 a page of 10^9 {path}" for path in SEARCHES])
def test_a_page_of_any_size_is_refused(server, path):
    for size in (10**9, 2**63 - 1, 2**63, -1, 0, 10**30):
        if path.startswith(("registered", "model-v")):
            answer = server.ask("GET", f"{V2}/{path}?max_results={size}")
        else:
            answer = server.post(path, {"experiment_ids": ["0"], "max_results": size})
        answer.refused(400)


QUERIES = {
    "45 CVE-2025-0453 800 aliases": "{"
    + " ".join(f'a{n}: mlflowGetExperiment(input: {{experimentId: "0"}}) {{ __typename }}' for n in range(800))
    + "}",
    "45 a query 1,000 deep": "{ a " * 1_000 + "}" * 1_000,
    "45 a query 60 deep": "{ a " * 60 + "}" * 60,
    "45 a circle of fragments": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "45 fragments that double": "{ ...f0 }"
    + "".join(f" fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(30))
    + " fragment f30 on Query { x }",
    "45 a list 60,000 deep": "{ a(b: " + "[" * 30_000 + "]" * 30_000 + ") }",
    "45 1 MB of names": "{" + "a " * 500_000 + "}",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_that_is_a_bomb_is_refused(server, query):
    for path in ("/graphql", "/ajax-api/2.0/mlflow/graphql"):
        started = time.monotonic()
        answer = server.ask("POST", path, {"query": query})
        assert answer.status == 400 or not answer.json()["data"], answer.text[:200]
        assert time.monotonic() - started < 5


def chunked(data, size):
    return (
        b"".join(
            b"%x\r\n%s\r\n" % (len(data[at : at + size]), data[at : at + size]) for at in range(0, len(data), size)
        )
        + b"0\r\n\r\n"
    )


def test_46_cve_2025_23310_3_mb_in_chunks_of_6_bytes(server, client, run):
    data = random.Random(2).randbytes(3_000_000)
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    bodies = {
        f"PUT {ARTIFACTS}/{folder}/chunks.bin": (data, 200),
        f"POST {V2}/runs/set-tag": (b'{"run_id": "x", "value": "' + b"x" * 3_000_000 + b'"}', 400),
        "POST /v2/models/x/infer": (b'{"inputs": [' + b"1," * 1_500_000 + b"1]}", 404),
        "POST /endpoints/x/invocations": (b'{"inputs": [' + b"1," * 1_500_000 + b"1]}", 404),
        "POST /v1/traces": (b"\xff" * 3_000_000, 400),
    }
    for route, (body, status) in bodies.items():
        started = time.monotonic()
        answer, _ = pour(server, f"{route} {CHUNKED}", [chunked(body, 6)])
        assert answer.status in (status, 400), (route, answer.text[:200])
        assert time.monotonic() - started < 20, route
    assert server.ask("GET", f"{ARTIFACTS}/{folder}/chunks.bin").bytes == data


CHUNKS = {
    "46 a size that is none": b"zz\r\nx\r\n0\r\n\r\n",
    "46 a size beyond 64 bits": b"fffffffffffffffff\r\nx",
    "46 a negative size": b"-1\r\nx\r\n0\r\n\r\n",
    "46 a size with an extension of 1 MB": b"1;" + b"x" * MIB + b"\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_are_none_end_the_request(server, body):
    try:
        answer, _ = pour(server, f"POST {V2}/experiments/search {CHUNKED}", [body])
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return
    assert answer.status in (400, 413), answer.text


def test_46_a_request_of_two_lengths_is_refused(server):
    """Two readings of one request are how requests are smuggled."""
    twice, odd = "Content-Length: 2\r\nContent-Length: 3", "Transfer-Encoding: chunked, x"
    for head in (twice, odd, "Content-Length: +2", "Content-Length: 2, 3"):
        answer, _ = pour(server, f"POST {V2}/experiments/search HTTP/1.1\r\n{head}", [b"{}"])
        assert answer.status == 400, (head, answer.text)


def test_50_a_flood_of_metrics_leaves_room_for_others(server, client, unique):
    """Eight connections write as fast as they can while another client reads."""
    quiet = client.create_run(client.create_experiment(unique("quiet"))).info.run_id
    flooded = client.create_run(client.create_experiment(unique("flood"))).info.run_id
    points = [{"key": f"m{n % 10}", "value": n, "timestamp": n, "step": n} for n in range(1_000)]
    body, done, written = json.dumps({"run_id": flooded, "metrics": points}), threading.Event(), []

    def flood():
        connection = http.client.HTTPConnection(server.netloc, timeout=30)
        while not done.is_set():
            connection.request("POST", f"{V2}/runs/log-batch", body, JSON)
            answer = connection.getresponse()
            answer.read()
            written.append(answer.status)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        deadline, reads = time.monotonic() + 3, 0
        while time.monotonic() < deadline or reads < 20:
            assert client.get_run(quiet).info.run_id == quiet
            client.log_metric(quiet, "own", reads)
            reads += 1
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert len(written) > 8 and set(written) <= {200, 429, 503}
    assert client.get_run(quiet).data.metrics["own"] == reads - 1


# MLflow's own limits, in its own words


def test_limits_of_names_and_values(server, client, run):
    run_id = run.info.run_id
    for key in ("k" * 251, "", "../x", "/x", "a//b", "a\0b", "a$b", "a\nb"):
        refused("INVALID_PARAMETER_VALUE", client.log_metric, run_id, key, 1.0)
        refused("INVALID_PARAMETER_VALUE", client.log_param, run_id, key, "v")
        server.post("runs/set-tag", {"run_id": run_id, "key": key, "value": "v"}).refused(400)
    client.log_metric(run_id, "k" * 250, 1.0)
    long = {"log-parameter": 6_001, "set-tag": 8_001}
    for route, length in long.items():
        body = {"run_id": run_id, "key": "long", "value": "\u00fc" * length}
        server.post(f"runs/{route}", body).refused(400)
        assert server.post(f"runs/{route}", body | {"value": "\u00fc" * (length - 1)}).status == 200
    server.post("experiments/create", {"name": "n" * 501}).refused(400)
    server.post("experiments/create", {"name": ""}).refused(400)
    tag = {"experiment_id": run.info.experiment_id, "key": "k", "value": "v" * 20_001}
    server.post("experiments/set-experiment-tag", tag).refused(400)


SIZES = {"metrics": 1_001, "params": 101, "tags": 101}


@pytest.mark.parametrize("kind", SIZES)
def test_limits_of_a_batch(server, run, kind):
    def batch(count):
        items = {
            "metrics": [{"key": "m", "value": 1, "timestamp": n} for n in range(count)],
            "params": [{"key": f"p{n}", "value": "v"} for n in range(count)],
            "tags": [{"key": f"t{n}", "value": "v"} for n in range(count)],
        }
        return {"run_id": run.info.run_id, kind: items[kind]}

    assert str(SIZES[kind] - 1) in server.post("runs/log-batch", batch(SIZES[kind])).refused(400)
    assert server.post("runs/log-batch", batch(SIZES[kind] - 1)).status == 200


def test_limit_of_all_that_is_in_a_batch(server, run):
    body = {"run_id": run.info.run_id, "metrics": [{"key": "m", "value": 1, "timestamp": n} for n in range(901)]}
    body["params"] = [{"key": f"p{n}", "value": "v"} for n in range(100)]
    server.post("runs/log-batch", body).refused(400)
    found = server.ask("GET", f"{V2}/runs/get?run_id={run.info.run_id}").json()["run"]["data"]
    assert not found.get("metrics") and not found.get("params")


@pytest.mark.parametrize("value", ["high", "", None, "0x10", "1,5", [], {}])
def test_a_metric_that_is_no_number_is_refused(server, run, value):
    point = {"key": "m", "value": value, "timestamp": 1}
    server.post("runs/log-metric", point | {"run_id": run.info.run_id}).refused(400)
    server.post("runs/log-batch", {"run_id": run.info.run_id, "metrics": [point]}).refused(400)


def test_numbers_at_the_edge_are_taken_or_refused(server, client, run):
    for field in ("timestamp", "step"):
        for number in (2**63 - 1, -(2**63), 2**63, 2**64, 10**30, -1, 1e300):
            point = {"run_id": run.info.run_id, "key": "edge", "value": 1, "timestamp": 1, "step": 0} | {field: number}
            assert server.post("runs/log-metric", point).status in (200, 400), (field, number)
    client.log_batch(run.info.run_id, [Metric("edge", 1e308, 1, 2)])
    assert client.get_metric_history(run.info.run_id, "edge")
    for page in ("", "?tab=metrics"):
        assert server.ask("GET", f"/runs/{run.info.run_id}{page}").status == 200


# What belongs to the platform, and what is nobody's business: 49, 53, 58


@pytest.fixture
def owned(server, client, model):
    """A model of a project's, with a champion that its loop has made one, and a second version."""
    source = client.get_model_version(model, "1").source
    client.create_model_version(model, source)
    client.set_registered_model_alias(model, "champion", "1")
    with server.database() as database:
        assert database.execute("UPDATE registered_models SET project = 'taxi' WHERE name = ?", [model]).rowcount == 1
        serving = "UPDATE model_versions SET state = 'serving' WHERE model = ? AND version = 1"
        assert database.execute(serving, [model]).rowcount == 1
    return model


BYPASSES = {
    "53 alias API": lambda own, name: own.set_registered_model_alias(name, "champion", "2"),
    "53 alias removed": lambda own, name: own.delete_registered_model_alias(name, "champion"),
    "53 tag of the version": lambda own, name: own.set_model_version_tag(name, "2", "loopwright.state", "approved"),
    "53 tag of the approval": lambda own, name: own.set_model_version_tag(name, "2", "loopwright.approval", "approved"),
    "53 tag removed": lambda own, name: own.delete_model_version_tag(name, "2", "loopwright.state"),
    "53 tag of a new version": lambda own, name: own.create_model_version(
        name, "s3://b/x", tags={"loopwright.state": "approved"}
    ),
    "53 renamed away": lambda own, name: own.rename_registered_model(name, f"{name}-mine"),
    "53 deleted and made again": lambda own, name: own.delete_registered_model(name),
    "53 the champion deleted": lambda own, name: own.delete_model_version(name, "1"),
    "53 tag of the model": lambda own, name: own.set_registered_model_tag(name, "loopwright.project", ""),
}


@pytest.mark.parametrize("bypass", BYPASSES.values(), ids=BYPASSES)
def test_no_client_makes_a_champion(client, owned, bypass):
    with pytest.raises(MlflowException) as raised:
        bypass(client, owned)
    assert raised.value.error_code in ("PERMISSION_DENIED", "INVALID_PARAMETER_VALUE"), raised.value
    assert client.get_registered_model(owned).aliases == {"champion": "1"}
    assert client.get_model_version_by_alias(owned, "champion").version == "1"


def test_53_a_stage_is_no_approval(server, client, owned):
    with contextlib.suppress(Exception):
        client.transition_model_version_stage(owned, "2", "Production", archive_existing_versions=True)
    found = server.ask("GET", f"/api/v1/models/{owned}/versions").json()
    assert {version["version"]: version["state"] for version in found} == {1: "serving", 2: "registered"}
    assert client.get_model_version_by_alias(owned, "champion").version == "1"


INTERNALS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|UNIQUE constraint)\b|sqlite|\.rs\b|/blobs/|panicked|serde|axum|::\w+::"
)


def test_49_errors_tell_nothing_of_the_inside(server):
    told = {}
    for method, path, _ in ROUTES:
        for body in (b"{", b"[]", b'{"name": 5, "run_id": "x", "model": "x", "version": "x"}'):
            answer = server.ask(method, path, b"" if method == "GET" else body, JSON)
            page = answer.headers.get("Content-Type", "").startswith("text/html") and answer.status == 200
            if not page and (INTERNALS.search(answer.text) or str(server.data) in answer.text):
                told[method, path] = answer.text[:300]
    for path in (
        f"{V2}/experiments/get?experiment_id=x",
        f"{V2}/runs/get?run_id='",
        f"{ARTIFACTS}/0/%00",
        "/runs/'",
        "/models/x/y",
    ):
        answer = server.ask("GET", path)
        if INTERNALS.search(answer.text):
            told[path] = answer.text[:300]
    assert not told


def test_58_a_token_is_told_to_nobody(outside):
    token, wrong = outside.token("secret", "owner"), "lwt_" + "5ecre7" * 10
    answers = []
    for headers in (
        bearer(token),
        basic("anybody", token),
        bearer(wrong),
        basic("anybody", wrong),
        {"Authorization": wrong},
    ):
        for method, path, _ in [*ROUTES, ("GET", "/nope", ""), ("POST", f"{V2}/nope", ""), ("PATCH", "/models", "")]:
            answers.append(call(outside, method, path, headers))
    answers.append(outside.ask("GET", "/metrics", headers=bearer(token)))
    answers.append(outside.ask("GET", "/audit", headers=bearer(token)))
    assert {200, 401, 404} <= {answer.status for answer in answers}
    kept = [outside.log.read_bytes(), *[path.read_bytes() for path in outside.data.rglob("*") if path.is_file()]]
    told = [f"{answer.headers}{answer.text}".encode() for answer in answers]
    encoded = basic("anybody", token)["Authorization"].split()[1]
    for secret in (token, token.removeprefix("lwt_"), wrong, encoded):
        assert not any(secret.encode() in each for each in kept + told), secret[:10]


def test_58_the_secret_of_a_webhook_is_told_to_nobody(server, client):
    secret = "a5ecret0fthewebhook"
    hook = client.create_webhook("secretive", "http://1.1.1.1/", ["prompt.created"], secret=secret).webhook_id
    for path in (f"{V2}/webhooks", f"{V2}/webhooks/{hook}", "/api/v1/webhooks", "/audit", "/metrics"):
        assert secret not in server.ask("GET", path).text, path
    for path in [server.log, *server.data.rglob("*")]:
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
    client.delete_webhook(hook)


@pytest.mark.parametrize("case", STALLED)
def test_who_says_nothing_more_is_not_waited_for(stalled, case):
    since, opened = stalled
    connection = opened[case]
    connection.settimeout(max(0.1, STALL_S - (time.monotonic() - since)))
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            said += piece
    if "half a body" in case:
        assert said.startswith(b"HTTP/1.1 408 ") and b"\r\nconnection: close\r\n" in said.lower(), said
