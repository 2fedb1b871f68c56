"""The published attacks on MLflow and its neighbours, by number of the list and anchor, against the running binary."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from mlflow import MlflowClient

from conftest import served, wait_for_health
from refusal import refused

MOST_RSS_MB = 300
ANSWER_DEADLINE_S = 30
V2 = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
JSON = {"Content-Type": "application/json"}
EVIL = "http://evil.example"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.bytes = response.read()
        self.text = self.bytes.decode(errors="replace")
        # 501 says which feature of mlflow's is not served; every other 5xx is a fault of the server's.
        assert self.status < 500 or self.status == 501, (self.status, self.text)

    def json(self):
        return json.loads(self.bytes)

    def refused(self, *statuses):
        """A 4xx in mlflow's own shape; its message."""
        assert self.status in (statuses or range(400, 500)), (self.status, self.text)
        body = self.json()
        assert body["error_code"] and body["message"], body
        return body["message"]


def answer_of(connection):
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response)


class Target:
    """A server under attack. What is sent reaches it byte by byte as written."""

    def __init__(self, url, data, log):
        self.url, self.data, self.log = url, data, log
        self.netloc = urlsplit(url).netloc

    def connect(self):
        address = urlsplit(self.url)
        return socket.create_connection((address.hostname, address.port), timeout=ANSWER_DEADLINE_S)

    def ask(self, method, target, body=b"", headers=None):
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), JSON | (headers or {})
        lines = {"Host": self.netloc, "Connection": "close", "Content-Length": str(len(body))} | (headers or {})
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        with self.connect() as connection:
            # A server that has said no need not read the rest.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(head.encode("utf-8", "surrogateescape") + b"\r\n" + body)
            return answer_of(connection)

    def post(self, path, body, headers=None):
        return self.ask("POST", f"{V2}/{path}", body, headers)

    def database(self):
        return contextlib.closing(sqlite3.connect(self.data / "loopwright.sqlite", timeout=20, isolation_level=None))

    def pid(self):
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.data).encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                    return int(folder.name)
        raise AssertionError("the server is gone")

    def rss_mb(self):
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def children(self):
        return [
            child
            for task in Path(f"/proc/{self.pid()}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]

    def token(self, name, role):
        command = [os.environ["LOOPWRIGHT_BIN"], "token", "create", "--data-dir", str(self.data)]
        made = subprocess.run([*command, "--name", name, "--role", role], capture_output=True, text=True, check=True)
        return made.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the module, with a folder for temporary files of its own; it must come out well."""
    work = tmp_path_factory.mktemp("attacks")
    temporary = work / "temporary"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with served(work) as url:
            patch.undo()
            target = Target(url, work / "data", work / "stderr.log")
            target.temporary = temporary
            yield target
            assert target.ask("GET", "/health").text == "OK"
            assert target.rss_mb() < MOST_RSS_MB
            log = target.log.read_text(errors="replace")
            assert "panicked" not in log and "internal error" not in log, log[-4_000:]


@pytest.fixture(scope="module")
def client(server):
    return MlflowClient(server.url, server.url)


@pytest.fixture
def run(client, unique):
    return client.create_run(client.create_experiment(unique("attack")))


@pytest.fixture
def model(client, run, unique):
    name = unique("model")
    client.create_registered_model(name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return name


# Who asks: 1-5, 7, 9, 10, 12

# The route of each kind that a caller may find, and the permission it takes.
ROUTES = [
    ("GET", f"{V2}/experiments/get?experiment_id=0", "read"),
    ("POST", f"{V2}/experiments/search", "read"),
    ("POST", f"{V2}/experiments/create", "track"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/delete", "track"),
    ("POST", f"{V2}/runs/create", "track"),
    ("POST", f"{V2}/runs/search", "read"),
    ("POST", f"{V2}/runs/log-batch", "track"),
    ("GET", f"{V2}/runs/get?run_id=x", "read"),
    ("GET", f"{V2}/metrics/get-history?run_id=x&metric_key=m", "read"),
    ("GET", f"{V2}/artifacts/list?run_id=x", "read"),
    ("GET", f"{ARTIFACTS}/0/x", "read"),
    ("PUT", f"{ARTIFACTS}/x/y", "track"),
    ("DELETE", f"{ARTIFACTS}/0/x", "track"),
    ("GET", "/get-artifact?run_id=x&path=y", "read"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=x&path=y", "track"),
    ("POST", f"{V2}/logged-models/search", "read"),
    ("POST", f"{V2}/registered-models/create", "track"),
    ("DELETE", f"{V2}/registered-models/delete", "track"),
    ("GET", f"{V2}/registered-models/search", "read"),
    ("POST", f"{V2}/registered-models/alias", "track"),
    ("POST", f"{V2}/model-versions/create", "track"),
    ("GET", f"{V2}/model-versions/search", "read"),
    ("POST", "/graphql", "read"),
    ("POST", "/v1/traces", "track"),
    ("POST", f"{V2}/webhooks", "administer"),
    ("GET", f"{V2}/webhooks", "read"),
    ("DELETE", f"{V2}/webhooks/x", "administer"),
    ("GET", "/api/3.0/mlflow/workspaces", "read"),
    ("POST", "/api/3.0/mlflow/workspaces", "administer"),
    ("PATCH", "/api/3.0/mlflow/workspaces/x1", "administer"),
    ("DELETE", "/api/3.0/mlflow/workspaces/x1", "administer"),
    ("GET", "/api/v1/webhooks", "read"),
    ("POST", "/api/v1/runs/purge", "administer"),
    ("POST", "/api/v1/projects", "build"),
    ("POST", "/api/v1/projects/x/build", "build"),
    ("POST", "/api/v1/projects/x/loop/clock", "build"),
    ("POST", "/api/v1/models/x/versions/1/approve", "approve"),
    ("POST", "/api/v1/models/x/versions/1/reject", "approve"),
    ("POST", "/models/x/1/decide", "approve"),
    ("POST", "/api/v1/endpoints/x/deploy", "deploy"),
    ("POST", "/api/v1/endpoints/x/labels", "predict"),
    ("POST", "/v2/models/x/infer", "predict"),
    ("POST", "/endpoints/x/invocations", "predict"),
    ("GET", "/", "read"),
    ("GET", "/experiments", "read"),
    ("GET", "/runs/x", "read"),
    ("POST", "/runs/x/note", "track"),
    ("GET", "/models", "read"),
    ("GET", "/audit", "read"),
    ("GET", "/metrics", "read"),
]
ROUTE_IDS = [f"{method} {path.split('?')[0]}" for method, path, _ in ROUTES]
GRANTED = {
    "business": {"read"},
    "ai_engineer": {"read", "track", "predict", "build"},
    "operator": {"read", "predict", "build", "deploy"},
    "approver": {"read", "approve"},
    "job": {"read", "track"},
    "application": {"predict"},
}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def call(server, method, path, headers):
    return server.ask(method, path, {} if method in ("POST", "DELETE") else b"", headers)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A server that listens everywhere and is asked from an address that is not loopback. It logs all it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host = probe.getsockname()[0]
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    work = tmp_path_factory.mktemp("outside")
    command = [os.environ["LOOPWRIGHT_BIN"], "up", "--data-dir", str(work / "data"), "--verbose"]
    with (work / "stderr.log").open("wb") as log:
        process = subprocess.Popen([*command, "--listen", f"0.0.0.0:{port}", "--host", host], stderr=log)
    try:
        wait_for_health(process, f"http://{host}:{port}")
        yield Target(f"http://{host}:{port}", work / "data", work / "stderr.log")
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(("method", "path", "_"), ROUTES, ids=[f"1,3-4 #23500 {each}" for each in ROUTE_IDS])
def test_nothing_is_open_without_a_token(outside, method, path, _):
    answer = call(outside, method, path, {})
    assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True), answer.text


def test_only_health_and_the_protocol_are_open(outside):
    """The outside server does answer: what is refused above is refused for want of a token."""
    assert outside.ask("GET", "/health").status == 200
    token = outside.token("inside", "owner")
    assert outside.post("experiments/search", {"max_results": 1}, bearer(token)).status == 200
    assert outside.post("experiments/search", {"max_results": 1}, basic("anybody", token)).status == 200


DEFAULTS = [("admin", "password1234"), ("admin", "password"), ("admin", "admin"), ("loopwright", "loopwright")]
DEFAULTS += [("admin", ""), ("", ""), ("root", "root"), ("owner", "owner")]


@pytest.mark.parametrize(("user", "password"), DEFAULTS, ids=[f"2 default-password {u}:{p}" for u, p in DEFAULTS])
def test_there_is_no_default_password(outside, user, password):
    for headers in (basic(user, password), bearer(password)):
        outside.post("experiments/search", {"max_results": 1}, headers).refused(401)


SUBMISSIONS = [
    ("3 CVE-2023-48022", "/api/jobs/"),
    ("3 CVE-2026-0545", "/ajax-api/3.0/jobs/"),
    ("3 CVE-2026-0545", "/ajax-api/3.0/jobs/search"),
    ("3 own builds", "/api/v1/projects/x/build"),
    ("5 GHSA-4qq5-mxxx-m6gg", f"{V2}/users/create"),
    ("5 GHSA-4qq5-mxxx-m6gg", "/ajax-api/2.0/mlflow/users/create"),
    ("5 CVE-2025-1473", "/api/2.0/mlflow/users/create-ui"),
    ("5 sign-up page", "/signup"),
]


@pytest.mark.parametrize("path", [path for _, path in SUBMISSIONS], ids=[" ".join(each) for each in SUBMISSIONS])
def test_no_job_and_no_account_without_credentials(outside, path):
    body = {"username": "eve", "password": "eve-eve-eve-eve", "entrypoint": "id", "command": "id"}
    for method in ("GET", "POST"):
        assert outside.ask(method, path, body).status in (401, 404, 405)


def test_7_guessing_finds_nothing_and_hinders_nobody(outside):
    token = outside.token("guessed", "job")
    for number in range(40):
        guess = hashlib.sha256(str(number).encode()).hexdigest()
        outside.post("experiments/search", {"max_results": 1}, bearer(f"lwt_{guess}")).refused(401)
        # Nearly right is as wrong as anything.
        outside.post("experiments/search", {"max_results": 1}, bearer(token[:-1] + "!")).refused(401)
        assert outside.post("experiments/search", {"max_results": 1}, bearer(token)).status == 200


@pytest.fixture(scope="module")
def role_tokens(server):
    return {role: server.token(f"a {role}", role) for role in GRANTED}


@pytest.mark.parametrize("role", GRANTED, ids=[f"9 CVE-2024-4263 {role}" for role in GRANTED])
def test_a_role_reaches_what_it_is_for_and_no_more(server, role_tokens, role):
    wrong = {}
    for method, path, permission in ROUTES:
        answer = call(server, method, path, bearer(role_tokens[role]))
        if (answer.status == 403) == (permission in GRANTED[role]) or answer.status == 401:
            wrong[method, path] = (answer.status, answer.text[:200])
    assert not wrong


MALFORMED = ["", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Digest x", "x" * 6_000]
MALFORMED += ["Bearer \udcff\udcfe", "Bearer lwt_", "Bearer ' OR 1=1 --"]


@pytest.mark.parametrize("value", MALFORMED, ids=[f"10 header {ascii(each)[:30]}" for each in MALFORMED])
def test_a_wrong_credential_is_worse_than_none(server, value):
    """Also from this machine, where no credential at all is the owner."""
    server.post("experiments/search", {"max_results": 1}, {"Authorization": value}).refused(401)


@pytest.mark.parametrize("end", ["10 expired", "10 removed"])
def test_a_token_that_ended_opens_nothing(server, end):
    token = server.token(end, "owner")
    assert server.post("experiments/search", {"max_results": 1}, bearer(token)).status == 200
    sql = "DELETE FROM auth_tokens" if end == "10 removed" else "UPDATE auth_tokens SET expires_ms = 1"
    with server.database() as database:
        changed = database.execute(f"{sql} WHERE token_hash = ?", [hashlib.sha256(token.encode()).digest()])
        assert changed.rowcount == 1
    for method, path, _ in ROUTES:
        assert call(server, method, path, bearer(token)).status == 401, path


def test_12_no_answer_tells_a_known_user_from_an_unknown_one(outside):
    token = outside.token("known", "owner")

    def said(user, password):
        answer = outside.post("experiments/search", {}, basic(user, password))
        return answer.status, answer.text, [name for name in answer.headers if name != "Date"]

    assert said("known", "wrong") == said("unknown", "wrong") == said("known", "") == said("known", token[:-1])


# Browsers: 13-17

SIMPLE = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", ""]
TO_FORGE = [
    f"{V2}/experiments/create",
    "/ajax-api/2.0/mlflow/registered-models/create",
    "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=x&path=y",
    f"{V2}/webhooks",
    "/api/v1/projects",
    "/api/v1/endpoints/x/deploy",
    "/api/v1/models/x/versions/1/approve",
    "/models/x/1/decide",
    "/runs/x/note",
    "/graphql",
    "/v1/traces",
    "/v2/models/x/infer",
]


ORIGINS = [EVIL, "null", "", "http://127.0.0.1", "http://localhost.evil.example", "http://\udce9vil.example"]


@pytest.mark.parametrize("origin", ORIGINS, ids=[f"13 CVE-2025-1473 {ascii(each)}" for each in ORIGINS])
def test_another_sites_form_changes_nothing(server, origin):
    wrong = {}
    for path in TO_FORGE:
        for kind in SIMPLE:
            typed = {"Content-Type": kind} if kind else {}
            answer = server.ask("POST", path, b'{"name": "forged", "=": "x"}', typed | {"Origin": origin})
            if answer.status != 403:
                wrong[path, kind] = (answer.status, answer.text[:200])
    assert not wrong


@pytest.mark.parametrize("kind", SIMPLE[:3], ids=[f"13 CVE-2024-24593 {kind}" for kind in SIMPLE[:3]])
def test_a_form_is_no_json(server, kind):
    """An old browser names no origin, but cannot send JSON from a form."""
    for path in (f"{V2}/experiments/create", f"{V2}/webhooks", "/graphql", "/api/v1/projects"):
        answer = server.ask("POST", path, b'{"name": "forged"}', {"Content-Type": kind})
        assert answer.status in (400, 415), (path, answer.text)


def test_13_the_forged_calls_left_nothing(server, client):
    assert client.get_experiment_by_name("forged") is None
    assert not client.search_registered_models("name = 'forged'")
    assert server.ask("GET", "/api/v1/projects").json() == []


HOSTS = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "127.0.0.1 evil"]
HOSTS += [
    "[::1].evil.example",
    "localhost:80.evil.example",
    "localhost:80@evil.example",
    "0.0.0.0",
    "\udcff",
    "2130706433",
]


@pytest.mark.parametrize("host", HOSTS, ids=[f"14 rebinding {ascii(host)}" for host in HOSTS])
def test_a_rebound_name_is_not_answered(server, host):
    for method, path, _ in ROUTES[:3] + ROUTES[-5:]:
        answer = server.ask(method, path, b"", {"Host": host})
        assert answer.status in (400, 403), (path, answer.text[:200])


HEADS = {
    "14 no host": "GET / HTTP/1.1\r\n",
    "14 no host, HTTP 1.0": "GET / HTTP/1.0\r\n",
    "14 two hosts": "GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n",
    "14 a host in the target": "GET http://evil.example/ HTTP/1.1\r\nHost: {own}\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_request_for_no_host_or_another_is_not_answered(server, head):
    with server.connect() as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".format(own=server.netloc).encode())
        answer = answer_of(connection)
    assert answer.status in (400, 403), answer.text[:200]


MARKUP = "<script>alert(1)</script>"


@pytest.mark.parametrize("path", ["/", "/experiments/", "/runs/", f"{V2}/", f"{ARTIFACTS}/", "/v2/models/", "/models/"])
def test_15_cve_2023_6568_nothing_sent_comes_back_as_markup(server, path):
    for method in ("GET", "POST"):
        answer = server.ask(method, path + quote(MARKUP), MARKUP.encode(), {"Content-Type": f"text/html{MARKUP}"})
        assert answer.status >= 400
        assert not answer.headers.get("Content-Type", "").startswith("text/html") or MARKUP not in answer.text


ACTIVE = {
    "16 CVE-2024-27132 page.html": MARKUP,
    "16 CVE-2024-24594 drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg">{MARKUP}</svg>',
    "16 notebook.ipynb": json.dumps({"cells": [{"cell_type": "markdown", "source": [MARKUP]}], "nbformat": 4}),
    "16 notes.md": MARKUP,
    "16 page.xhtml": MARKUP,
    "16 no-extension": MARKUP,
}


@pytest.mark.parametrize("case", ACTIVE)
def test_what_a_client_logged_never_runs_in_the_browser(server, client, run, case):
    name = case.split()[-1]
    client.log_text(run.info.run_id, ACTIVE[case], name)
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    of_run = f"run_id={run.info.run_id}&run_uuid={run.info.run_id}&path={name}"
    routes = [f"{ARTIFACTS}/{folder}/{name}", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{folder}/{name}"]
    routes += [f"/get-artifact?{of_run}", f"/ajax-api/2.0/mlflow/get-artifact?{of_run}"]
    routes += [f"/runs/{run.info.run_id}/file?path={name}", f"/runs/{run.info.run_id}/image?path={name}"]
    for route in routes:
        answer = server.ask("GET", route)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", route
        if "/image?" in route and name != "drawing.svg":
            assert answer.status == 400
            continue
        assert (answer.status, answer.text) == (200, ACTIVE[case]), route
        if "/image?" in route:
            policy = answer.headers["Content-Security-Policy"]
            assert "sandbox" in policy and "default-src 'none'" in policy and "allow-" not in policy
        else:
            assert answer.headers["Content-Type"] == "application/octet-stream", route
            assert answer.headers["Content-Disposition"].startswith("attachment"), route
    page = server.ask("GET", f"/runs/{run.info.run_id}?tab=artifacts&path={name}")
    assert page.status == 200 and MARKUP not in page.text


def test_16_cve_2024_27132_names_with_markup_are_shown_as_text(server, client, unique):
    mark = unique('"><img src=x onerror=alert(1)>') + "'{{7*7}}" + MARKUP
    experiment = client.create_experiment(mark)
    client.set_experiment_tag(experiment, "mlflow.note.content", mark)
    run = client.create_run(
        experiment, run_name=mark, tags={"mark": mark, "mlflow.note.content": mark, "mlflow.user": mark}
    )
    run_id = run.info.run_id
    client.log_param(run_id, "mark", mark)
    client.log_metric(run_id, "mark", 1)
    client.log_text(run_id, mark, "<b>name.html")
    client.log_text(run_id, f"{mark},b\n{mark},2", "table.csv")
    dataset = {"name": mark, "digest": "d", "source_type": mark, "source": mark, "schema": mark, "profile": mark}
    logged = server.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]})
    assert logged.status == 200, logged.text
    client.create_registered_model("marked", description=mark, tags={"mark": mark})
    client.create_model_version("marked", run.info.artifact_uri, run_id, description=mark, tags={"mark": mark})
    tabs = [
        "",
        "?tab=metrics",
        "?tab=artifacts",
        "?tab=artifacts&path=table.csv",
        "?tab=artifacts&path=%3Cb%3Ename.html",
    ]
    pages = [f"/runs/{run_id}{tab}" for tab in tabs] + ["/", "/models", "/models/marked/1", "/audit", "/experiments"]
    pages += [f"/experiments/{experiment}", f"/experiments/{experiment}/plots", f"/runs/compare?runs={run_id},{run_id}"]
    pages += [f"/experiments/{experiment}?filter={quote(mark)}", f"/runs/{run_id}?tab={quote(mark)}"]
    shown = 0
    for page in pages:
        answer = server.ask("GET", page)
        assert not re.search(r"<img src=x|<script>alert|<b>name|'49", answer.text), (page, answer.status)
        shown += "onerror" in answer.text
    assert shown >= 4, "the mark is not on the pages at all"


@pytest.mark.parametrize("path", ["/", "/experiments", "/models", "/models/{model}/1", "/audit", "/endpoints"])
def test_17_clickjacking_no_page_is_shown_in_a_frame(server, model, path):
    answer = server.ask("GET", path.format(model=model))
    assert answer.status == 200
    policy = answer.headers.get("Content-Security-Policy", "")
    assert answer.headers.get("X-Frame-Options") == "DENY" or "frame-ancestors 'none'" in policy


# Paths: 18-28

HOSTILE = {
    "18 CVE-2023-30172": ["../x", "a/../../x", "..", "a/..", "./x", "a/./x"],
    "19 CVE-2023-1176": ["/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "file:/etc/passwd"],
    "20 CVE-2023-2780": ["..\\..\\x", "a\\..\\x", "..%5c..%5cx", "C:\\x\\y", "\\\\host\\share"],
    "21 CVE-2024-1560": ["%252e%252e/x", "%252e%252e%252fx", "..%252f..%252fx", "%25252e%25252e%25252fx", "%2e%2e%2fx"],
    "21 CVE-2024-1560 upper case": ["%252E%252E/x", "%252E%252E%252Fx", "a%255C..%255Cx"],
    "22 CVE-2024-1593": [";/../x", "a;/../x", "..;/..;/x", "%3b/%2e%2e/x"],
    "27 NUL and newline": ["a%00b", "a%0ab", "a%0d%0aX-Evil:%201", "%00"],
    "27 4 KB": ["x" * 4_096, "/".join(["x" * 60] * 70)],
}
HOSTILE_CASES = [(case, path) for case, paths in HOSTILE.items() for path in paths]


@pytest.fixture(scope="module")
def canary(client):
    """A run with one file, which no hostile path may change."""
    made = client.create_run(client.create_experiment("canary"))
    client.log_text(made.info.run_id, "alive", "folder/canary.txt")
    return made


def quoted(path):
    """As a query takes it; what is percent-encoded already stays."""
    return quote(path, safe="/%:;")


@pytest.mark.parametrize(("case", "path"), HOSTILE_CASES, ids=[f"{case} {path[:24]}" for case, path in HOSTILE_CASES])
def test_a_hostile_path_reaches_no_file(server, client, canary, case, path):
    run_id = canary.info.run_id
    for prefix in ("/api", "/ajax-api"):
        for method in ("PUT", "GET", "DELETE"):
            answer = server.ask(
                method, f"{prefix}/2.0/mlflow-artifacts/artifacts/{path}", b"x" if method == "PUT" else b""
            )
            answer.refused(400, 404)
            assert answer.status == 400 or method != "PUT"
    of_run = f"run_id={run_id}&run_uuid={run_id}&path={quoted(path)}"
    routes = [f"/get-artifact?{of_run}", f"/ajax-api/2.0/mlflow/get-artifact?{of_run}"]
    for route in routes:
        server.ask("GET", route).refused(400, 404)
    server.ask("POST", f"/ajax-api/2.0/mlflow/upload-artifact?{of_run}", b"x").refused(400)
    for route in (f"{V2}/artifacts/list?{of_run}", f"{ARTIFACTS}?path={quoted(path)}"):
        answer = server.ask("GET", route)
        # A folder that is not there may be an empty one, as upstream; never one of this machine.
        assert answer.status == 400 or not answer.json().get("files"), answer.text
    for page in ("file", "image", ""):
        assert server.ask("GET", f"/runs/{run_id}/{page}?tab=artifacts&{of_run}".replace("/?", "?")).status in (
            200,
            400,
            404,
        )
    assert client.list_artifacts(run_id, "folder")[0].path == "folder/canary.txt"


ABSOLUTE_LISTINGS = ["/", "/etc", "/etc/", "//", "../..", "a/../../..", "..%2f..", "%5c", "file:///etc"]


@pytest.mark.parametrize(
    "path", ABSOLUTE_LISTINGS, ids=[f"18-19 CVE-2023-1176 list {each}" for each in ABSOLUTE_LISTINGS]
)
def test_no_folder_of_the_machine_is_listed(server, canary, path):
    for route in (f"{ARTIFACTS}?path={path}", f"{V2}/artifacts/list?run_id={canary.info.run_id}&path={path}"):
        answer = server.ask("GET", route)
        assert answer.status < 500 and "passwd" not in answer.text and "hostname" not in answer.text


SOURCES = {
    "18 CVE-2023-30172": ["mlflow-artifacts:/../../etc", "s3://bucket/a/../../x", "../../etc/passwd"],
    "19 CVE-2023-1176": ["/etc/passwd", "//etc/passwd", "etc/passwd", "~/.ssh"],
    "20 CVE-2023-6831": ["C:\\Windows\\win.ini", "\\\\host\\share", "mlflow-artifacts:/a\\..\\..\\x", "..\\x"],
    "21 CVE-2024-1560": ["http://host/models/%252e%252e/x", "mlflow-artifacts:/a/%2e%2e/%2e%2e/x", "s3://b/..%25252fx"],
    "22 CVE-2024-1593": ["mlflow-artifacts:/a;/../../x", "http://host/;/..;/../x"],
    "23 CVE-2023-6909": ["http://host/x?/../../../etc", "dbfs:/a%3f/../../../x", "mlflow-artifacts:/a#/../../x"],
    "24 CVE-2023-1177": ["file:///etc", "FILE:///etc", "file:/etc/passwd", "file://localhost/etc", "file:etc", "file:"],
    "24 CVE-2026-2614": ["file://./etc", "file:////etc", "file:///", "FiLe:/etc", "file://127.0.0.1/etc"],
    "27 NUL": ["mlflow-artifacts:/a\0b", "mlflow-artifacts:/a%00b", "x" * 4_097],
    "30 #23500 local": ["", " ", "models:/", "models:/a/b/1", "models:/a@champion"],
    "23 look-alike": [" file:///etc", "\tfile:///etc", "file\u2024:///etc", "\uff46\uff49\uff4c\uff45:///etc"],
}
SOURCE_CASES = [(case, source) for case, sources in SOURCES.items() for source in sources]


@pytest.mark.parametrize(("case", "source"), SOURCE_CASES, ids=[f"{c} {ascii(s)[:36]}" for c, s in SOURCE_CASES])
def test_a_versions_source_never_points_into_the_machine(server, client, model, case, source):
    for prefix in ("/api", "/ajax-api"):
        body = {"name": model, "source": source}
        server.ask("POST", f"{prefix}/2.0/mlflow/model-versions/create", body).refused(400, 404)
    assert len(client.search_model_versions(f"name = '{model}'")) == 1


LOCATIONS = [
    "file:///{planted}",
    "file://{planted}",
    "FILE://{planted}",
    "file:{planted}",
    "file://localhost{planted}",
    "{planted}",
]
LOCATIONS += ["mlflow-artifacts:/../../x", "mlflow-artifacts:/a?/../../x", "s3://bucket/x#y", "FiLe:{planted}"]
ODD = [
    "mlflow-artifacts:/%2e%2e/x",
    "..\\..\\x",
    "\\\\host\\share",
    " file://{planted}",
    "~/x",
    "C:\\x",
    "mlflow-artifacts:/a\0b",
]
LOCATIONS += [*ODD, "x" * 5_000]


@pytest.mark.parametrize(
    "location", LOCATIONS, ids=[f"25 3.17.2-planted-file {ascii(each)[:36]}" for each in LOCATIONS]
)
def test_an_experiment_sends_no_file_into_the_machine(server, client, tmp_path, unique, location):
    body = {"name": unique("x"), "artifact_location": location.format(planted=tmp_path)}
    server.post("experiments/create", body).refused(400)
    assert client.get_experiment_by_name(body["name"]) is None


def test_26_cve_2024_1560_deleting_stays_in_its_folder(server, client, run, canary):
    client.log_text(run.info.run_id, "x", "gone/a.txt")
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    other = canary.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    for path in ("", "/", ".", "..", "%2e", f"{folder}/../../{other}", f"{folder}/%2e%2e/%2e%2e/%2e%2e/{other}"):
        assert server.ask("DELETE", f"{ARTIFACTS}/{path}").status in (400, 404, 405)
    assert server.ask("DELETE", f"{ARTIFACTS}/{folder}/gone").status in (200, 204)
    assert client.list_artifacts(run.info.run_id) == []
    assert client.list_artifacts(canary.info.run_id, "folder")[0].file_size == 5
    assert (server.data / "loopwright.sqlite").exists()


POISON = ["%2e%2e", "%2E%2E", "%252e%252e", "%25252e", "..;", "a#b", "file:", "%00", "%5C", "a%5Cb", "..", "."]


@pytest.mark.parametrize("name", POISON, ids=[f"21-23,27 CVE-2024-1560 {each}" for each in POISON])
def test_no_upload_makes_a_run_unreadable_for_the_client(server, client, run, tmp_path, name):
    """The client refuses a whole list for one bad name in it, so such a name must not be taken."""
    client.log_text(run.info.run_id, "x", "good.txt")
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    server.ask("PUT", f"{ARTIFACTS}/{folder}/{quote(name, safe='')}/x.txt", b"x")
    assert "good.txt" in [each.path for each in client.list_artifacts(run.info.run_id)]
    client.download_artifacts(run.info.run_id, "", str(tmp_path))
    assert (tmp_path / "good.txt").exists()


LOOK_ALIKES = "\u2025/x \uff0e\uff0e/x a\u2215b a\uff0fb cafe\u0301 caf\u00e9 A a a. CON \u202etxt".split()


def test_27_look_alike_names_are_names_of_their_own(server, client, run):
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    for name in LOOK_ALIKES:
        assert server.ask("PUT", f"{ARTIFACTS}/{folder}/{quote(name)}", name.encode()).status == 200, ascii(name)
    for name in LOOK_ALIKES:
        assert server.ask("GET", f"{ARTIFACTS}/{folder}/{quote(name)}").bytes == name.encode(), ascii(name)
    listed = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert listed == {name.split("/")[0] for name in LOOK_ALIKES}


def test_28_cve_2022_0736_no_file_on_disk_has_a_name_that_a_user_chose(server, client, run, unique):
    name = unique("chosen")
    client.log_text(run.info.run_id, "x", f"{name}/{name}.txt")
    # Half an upload, left open.
    folder = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    with server.connect() as connection:
        head = (
            f"PUT {ARTIFACTS}/{folder}/half-{name} HTTP/1.1\r\nHost: {server.netloc}\r\nContent-Length: 2000000\r\n\r\n"
        )
        connection.sendall(head.encode() + b"x" * 1_000_000)
        time.sleep(0.3)
        names = [path.name for path in server.data.rglob("*")]
    assert not any(name in each for each in names), names
    assert list(server.temporary.rglob("*")) == []
    assert "half" not in server.ask("GET", f"{V2}/artifacts/list?run_id={run.info.run_id}").text


# Where a webhook may point: 29

NETWORK = {
    "loopback": "127.0.0.1 127.1.2.3:8080 localhost localhost. [::1]",
    "link-local": "169.254.169.254/latest/meta-data [fe80::1] [fd00:ec2::254]",
    "RFC1918": "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1",
    "shared, unspecified, reserved": "100.64.0.1 0.0.0.0 0 [::] 255.255.255.255 224.0.0.1",
    "v4-mapped v6": "[::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::127.0.0.1]",
    "NAT64 and 6to4": "[64:ff9b::7f00:1] [64:ff9b:1::a00:1] [2002:7f00:1::]",
    "octal, hex, decimal": "0177.0.0.1 0x7f.1 2130706433 127.1 0xa9fea9fe",
    "unicode digits": "\u2460\u2461\u2466.0.0.1 \uff11\uff12\uff17.0.0.1 127\u30020\u30020\u30021",
    "userinfo": "example.com@127.0.0.1 a:b@example.com 127.0.0.1\\@example.com",
    "none": "[::1 example.com:99999 % a%20b",
}
TARGET_CASES = [(kind, f"http://{host}/") for kind, hosts in NETWORK.items() for host in hosts.split()]
OTHERS = "file:///etc/passwd ftp://example.com/ gopher://example.com/ javascript:alert(1) //127.0.0.1/ http:127.0.0.1 http://"
TARGET_CASES += [("scheme", url) for url in [*OTHERS.split(), "", " ", "x" * 501, f"http://example.com/{'x' * 500}"]]


@pytest.mark.parametrize(
    ("_", "url"), TARGET_CASES, ids=[f"29 SSRF {kind} {ascii(url)[:40]}" for kind, url in TARGET_CASES]
)
def test_a_webhook_reaches_no_address_of_this_network(client, _, url):
    refused("INVALID_PARAMETER_VALUE", client.create_webhook, "hook", url, ["model_version.created"])


def test_29_a_webhook_is_not_moved_to_such_an_address(server, client):
    made = server.post(
        "webhooks", {"name": "public", "url": "http://1.1.1.1/", "events": [{"entity": "PROMPT", "action": "CREATED"}]}
    )
    hook = made.json()["webhook"]["webhook_id"]
    for _, url in TARGET_CASES:
        if not url:
            # Says nothing, to the client as to the protocol.
            continue
        refused("INVALID_PARAMETER_VALUE", client.update_webhook, hook, url=url)
    assert client.get_webhook(hook).url == "http://1.1.1.1/"
    client.delete_webhook(hook)
