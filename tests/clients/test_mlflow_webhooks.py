"""Webhooks through the mlflow client: what a receiver on this machine gets, and how it is signed."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookStatus

from conftest import served
from refusal import refused

SECRET = "a secret, gehütet"
DELIVERY_DEADLINE_S = 20
QUIET_S = 1


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((self.path, self.headers, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("webhooks"), "--webhook-host", "127.0.0.1") as address:
        yield MlflowClient(address, address)


@pytest.fixture
def receiver():
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.received, server.answers = Queue(), []
        server.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def webhook(client, receiver, unique):
    """Makes a webhook that points at the receiver and is deleted after the test."""
    made = []

    def make(*events, **more):
        made.append(client.create_webhook(unique("hook"), receiver.url, list(events), **more))
        return made[-1]

    yield make
    for each in made:
        client.delete_webhook(each.webhook_id)


def delivery(receiver):
    path, headers, body = receiver.received.get(timeout=DELIVERY_DEADLINE_S)
    assert path == "/hook"
    return headers, json.loads(body), body


def signature(secret, headers, body):
    told = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), told, hashlib.sha256).digest()).decode()


def test_a_new_version_is_told_and_signed(client, receiver, webhook, unique):
    name = unique("model")
    webhook("registered_model.created", "model_version.created", secret=SECRET)
    client.create_registered_model(name, tags={"team": "pricing"}, description="ü")
    headers, told, body = delivery(receiver)
    assert (told["entity"], told["action"]) == ("registered_model", "created")
    assert told["data"] == {"name": name, "tags": {"team": "pricing"}, "description": "ü"}
    assert headers["X-MLflow-Signature"] == signature(SECRET, headers, body)
    assert headers["X-MLflow-Signature"] != signature("another", headers, body)
    assert abs(int(headers["X-MLflow-Timestamp"]) - time.time()) < 60
    client.create_model_version(name, "mlflow-artifacts:/0/model", tags={"a": "b"})
    second, told, body = delivery(receiver)
    assert (told["entity"], told["action"]) == ("model_version", "created")
    assert (told["data"]["name"], told["data"]["version"], told["data"]["tags"]) == (name, "1", {"a": "b"})
    assert second["X-MLflow-Signature"] == signature(SECRET, second, body)
    assert second["X-MLflow-Delivery-Id"] != headers["X-MLflow-Delivery-Id"]


def test_only_what_was_asked_for_is_told(client, receiver, webhook, unique):
    name = unique("model")
    webhook("model_version_alias.created")
    client.create_registered_model(name)
    client.create_model_version(name, "mlflow-artifacts:/0/model")
    client.set_registered_model_alias(name, "best", "1")
    headers, told, _ = delivery(receiver)
    assert told["entity"] == "model_version_alias"
    assert told["data"] == {"name": name, "alias": "best", "version": "1"}
    assert "X-MLflow-Signature" not in headers
    with pytest.raises(Empty):
        receiver.received.get(timeout=QUIET_S)


def test_a_disabled_webhook_is_silent(client, receiver, webhook, unique):
    made = webhook("registered_model.created")
    client.update_webhook(made.webhook_id, status=WebhookStatus.DISABLED)
    client.create_registered_model(unique("unheard"))
    with pytest.raises(Empty):
        receiver.received.get(timeout=QUIET_S)
    client.update_webhook(made.webhook_id, status=WebhookStatus.ACTIVE)
    name = unique("heard")
    client.create_registered_model(name)
    assert delivery(receiver)[1]["data"]["name"] == name


def test_what_failed_is_told_again_under_the_same_id(client, receiver, webhook, unique):
    webhook("registered_model.created", secret=SECRET)
    receiver.answers.append(503)
    client.create_registered_model(unique("model"))
    first, told, _ = delivery(receiver)
    again, repeated, body = delivery(receiver)
    assert first["X-MLflow-Delivery-Id"] == again["X-MLflow-Delivery-Id"]
    assert told == repeated
    assert again["X-MLflow-Signature"] == signature(SECRET, again, body)


def test_trials(client, receiver, webhook):
    made = webhook("model_version.created", secret=SECRET)
    result = client.test_webhook(made.webhook_id)
    assert (result.success, result.response_status) == (True, 200)
    headers, told, body = delivery(receiver)
    assert (told["entity"], told["data"]["name"]) == ("model_version", "example_model")
    assert headers["X-MLflow-Signature"] == signature(SECRET, headers, body)
    receiver.answers.append(418)
    result = client.test_webhook(made.webhook_id)
    assert (result.success, result.response_status) == (False, 418)


def test_webhook_life(client, receiver, webhook, unique):
    made = webhook("model_version.created", description="first", secret=SECRET)
    assert made.secret is None
    found = client.get_webhook(made.webhook_id)
    assert (found.name, found.url, found.description, found.secret) == (made.name, receiver.url, "first", None)
    assert (found.status, found.events) == (WebhookStatus.ACTIVE, [WebhookEvent.from_str("model_version.created")])
    name = unique("renamed")
    client.update_webhook(made.webhook_id, name=name, events=["prompt.created"], description="second")
    found = client.get_webhook(made.webhook_id)
    assert (found.name, found.description, found.url) == (name, "second", receiver.url)
    assert found.events == [WebhookEvent.from_str("prompt.created")]
    made = {made.webhook_id, webhook("prompt.created").webhook_id}
    first = client.list_webhooks(max_results=1)
    rest = client.list_webhooks(max_results=1, page_token=first.token)
    assert {each.webhook_id for each in [*first, *rest]} == made
    assert not rest.token


@pytest.mark.parametrize("target", ["http://10.0.0.1/hook", "http://169.254.169.254/", "ftp://127.0.0.1/", "nowhere"])
def test_targets_that_are_not_public_are_refused(client, target):
    refused("INVALID_PARAMETER_VALUE", client.create_webhook, "hook", target, ["model_version.created"])


def test_an_absent_webhook_says_so(client):
    for call in (client.get_webhook, client.delete_webhook, client.test_webhook):
        refused("RESOURCE_DOES_NOT_EXIST", call, "absent")
