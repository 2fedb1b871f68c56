"""Predictions over the Open Inference Protocol (tritonclient, plain JSON) and MLflow's scoring protocol.

The reference is LightGBM's own `booster.predict` in this process.
"""

import json
import math

import mlflow
import numpy as np
import pytest
import requests
import tritonclient.http as triton

from taxi import FEATURES, NUMPY_TYPE, OPTIONAL

BATCH = 5_000
SAMPLE = 300
RELATIVE = 1e-9


@pytest.fixture(scope="module")
def client(url):
    with triton.InferenceServerClient(url.removeprefix("http://"), network_timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def sample(trips):
    """Rows from all three years, every tenth of them with its optional columns empty."""
    rows = trips.iloc[:: len(trips) // SAMPLE].head(SAMPLE).reset_index(drop=True)
    rows.loc[::10, OPTIONAL] = np.nan
    return rows


def tensors(rows, binary=True):
    inputs = []
    for name, datatype in FEATURES.items():
        values = rows[name].to_numpy(NUMPY_TYPE[datatype]).reshape(-1, 1)
        tensor = triton.InferInput(name, list(values.shape), datatype)
        inputs.append(tensor.set_data_from_numpy(values, binary_data=binary))
    return inputs


def plain(value):
    """A JSON value: null for missing, a whole number for an integer column."""
    return None if isinstance(value, float) and math.isnan(value) else value


def column(rows, name):
    return [plain(value) for value in rows[name].astype(NUMPY_TYPE[FEATURES[name]]).tolist()]


def oip_body(rows):
    return {
        "id": "request-1",
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [len(rows), 1], "data": column(rows, name)}
            for name, datatype in FEATURES.items()
        ],
    }


def as_columns(rows):
    return {name: column(rows, name) for name in FEATURES}


def as_records(rows):
    columns = as_columns(rows)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def as_split(rows, order=None):
    columns, order = as_columns(rows), order or list(FEATURES)
    return {"columns": order, "data": [list(values) for values in zip(*(columns[name] for name in order), strict=True)]}


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, "float64"), expected, rtol=RELATIVE, atol=0)


# What is served


def test_server_and_model_are_up(client, deployed):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(deployed.name)
    assert client.is_model_ready(deployed.name, "1")
    assert not client.is_model_ready("absent")
    assert not client.is_model_ready(deployed.name, "999")


def test_server_metadata(client, deployed):
    found = client.get_server_metadata()
    assert found["name"] == "loopwright"
    assert found["version"]
    assert "binary_tensor_data" in found["extensions"]


def test_model_metadata_follows_the_signature(client, deployed):
    found = client.get_model_metadata(deployed.name)
    assert found["name"] == deployed.name
    assert found["versions"] == ["1"]
    assert found["platform"]
    inputs = [(each["name"], each["datatype"], each["shape"]) for each in found["inputs"]]
    assert inputs == [(name, datatype, [-1, 1]) for name, datatype in FEATURES.items()]
    outputs = [(each["name"], each["datatype"], each["shape"]) for each in found["outputs"]]
    assert outputs == [("prediction", "FP64", [-1])]


def test_the_registered_model_still_predicts_the_same_in_python(tracking, deployed, sample):
    model = mlflow.pyfunc.load_model(f"models:/{deployed.name}/1")
    assert np.array_equal(model.predict(sample[list(FEATURES)]), deployed.expected(sample))


# Predictions


def test_every_trip_in_binary_batches(client, deployed, trips):
    assert len(trips) == 360_000
    found = []
    for start in range(0, len(trips), BATCH):
        rows = trips.iloc[start : start + BATCH]
        answer = client.infer(deployed.name, tensors(rows))
        batch = answer.as_numpy("prediction")
        assert batch.shape == (len(rows),)
        assert batch.dtype == np.float64
        found.append(batch)
    close(np.concatenate(found), deployed.expected(trips))


def requested(**options):
    return [triton.InferRequestedOutput("prediction", **options)]


CALLS = {
    "binary both ways": lambda rows: {"inputs": tensors(rows), "outputs": requested(binary_data=True)},
    "binary in, JSON out": lambda rows: {"inputs": tensors(rows), "outputs": requested(binary_data=False)},
    "version named": lambda rows: {"inputs": tensors(rows), "model_version": "1"},
    "inputs in another order": lambda rows: {"inputs": tensors(rows)[::-1]},
    "gzip request": lambda rows: {"inputs": tensors(rows), "request_compression_algorithm": "gzip"},
    "deflate request": lambda rows: {"inputs": tensors(rows), "request_compression_algorithm": "deflate"},
    "gzip answer": lambda rows: {"inputs": tensors(rows), "response_compression_algorithm": "gzip"},
    "request id": lambda rows: {"inputs": tensors(rows), "request_id": "abc-1"},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_triton_client(client, deployed, sample, call):
    arguments = call(sample)
    answer = client.infer(deployed.name, **arguments)
    close(answer.as_numpy("prediction"), deployed.expected(sample))
    envelope = answer.get_response()
    assert envelope["model_name"] == deployed.name
    assert envelope["model_version"] == "1"
    if "request_id" in arguments:
        assert envelope["id"] == arguments["request_id"]


def test_triton_client_with_json_tensors(client, deployed, sample):
    known = sample.dropna()  # tritonclient itself would write the literal NaN
    answer = client.infer(deployed.name, tensors(known, binary=False), outputs=requested(binary_data=False))
    close(answer.as_numpy("prediction"), deployed.expected(known))


def test_triton_client_many_at_once(url, deployed, sample):
    with triton.InferenceServerClient(url.removeprefix("http://"), concurrency=8) as client:
        parts = [sample.iloc[start : start + 10] for start in range(0, len(sample), 10)]
        pending = [client.async_infer(deployed.name, tensors(part)) for part in parts]
        for part, waiting in zip(parts, pending, strict=True):
            close(waiting.get_result(timeout=60).as_numpy("prediction"), deployed.expected(part))


def infer(url, name, body, **options):
    return requests.post(f"{url}/v2/models/{name}/infer", timeout=60, **({"json": body} | options))


def test_json_with_null_for_missing(url, deployed, sample):
    answer = infer(url, deployed.name, oip_body(sample))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == (deployed.name, "1", "request-1")
    [output] = body["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("prediction", "FP64", [len(sample)])
    close(output["data"], deployed.expected(sample))


def test_json_row_by_row_equals_the_batch(url, deployed, sample):
    rows = sample.head(25)
    answers = [infer(url, deployed.name, oip_body(rows.iloc[[i]])).json() for i in range(len(rows))]
    close([each["outputs"][0]["data"][0] for each in answers], deployed.expected(rows))


def test_nested_data_is_accepted(url, deployed, sample):
    body = oip_body(sample.head(4))
    for tensor in body["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    close(infer(url, deployed.name, body).json()["outputs"][0]["data"], deployed.expected(sample.head(4)))


SCORING = {
    "dataframe_split": lambda rows: {"dataframe_split": as_split(rows)},
    "dataframe_split, columns reversed": lambda rows: {"dataframe_split": as_split(rows, list(FEATURES)[::-1])},
    "dataframe_records": lambda rows: {"dataframe_records": as_records(rows)},
    "inputs by column": lambda rows: {"inputs": as_columns(rows)},
}


def invoke(url, name, body, **options):
    return requests.post(f"{url}/endpoints/{name}/invocations", timeout=60, **({"json": body} | options))


@pytest.mark.parametrize("body", SCORING.values(), ids=SCORING)
def test_mlflow_scoring(url, deployed, sample, body):
    answer = invoke(url, deployed.name, body(sample))
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["predictions"]
    close(answer.json()["predictions"], deployed.expected(sample))


# Refusals


def edit(name, **changes):
    """A change to one input of a request."""

    def apply(body):
        next(each for each in body["inputs"] if each["name"] == name).update(changes)
        return body

    return apply


def without(name):
    return lambda body: body | {"inputs": [each for each in body["inputs"] if each["name"] != name]}


def with_extra(name):
    extra = {"name": name, "datatype": "FP64", "shape": [2, 1], "data": [1.0, 2.0]}
    return lambda body: body | {"inputs": [*body["inputs"], extra]}


BAD_INPUT = {
    # what is wrong: (the change, what the message names)
    "missing input": (without("trip_distance"), "trip_distance"),
    "extra input": (with_extra("tip_amount"), "tip_amount"),
    "input given twice": (with_extra("trip_distance"), "trip_distance"),
    "text for a number": (edit("trip_distance", datatype="BYTES", data=["1", "2"]), "trip_distance"),
    "text as FP64": (edit("trip_distance", data=["1", "x"]), "trip_distance"),
    "unknown datatype": (edit("hour", datatype="INT128"), "hour"),
    "fraction for an integer": (edit("hour", data=[1, 2.5]), "hour"),
    "null in a required number": (edit("trip_distance", data=[1.0, None]), "trip_distance"),
    "null in a required integer": (edit("pickup_zone", data=[None, 132]), "pickup_zone"),
    "fewer values than the shape": (edit("hour", data=[1]), "hour"),
    "more values than the shape": (edit("hour", data=[1, 2, 3]), "hour"),
    "two columns": (edit("hour", shape=[1, 2]), "hour"),
    "no row dimension": (edit("hour", shape=[]), "hour"),
    "negative shape": (edit("hour", shape=[-2, 1]), "hour"),
    "another number of rows": (edit("hour", shape=[3, 1], data=[1, 2, 3]), "hour"),
    "shape beyond any memory": (edit("hour", shape=[2**62, 4]), "hour"),
    "no inputs": (lambda body: body | {"inputs": []}, "trip_distance"),
    "inputs not a list": (lambda body: body | {"inputs": {"hour": [1]}}, ""),
    "no inputs field": (lambda body: {"id": "1"}, ""),
    "unknown output": (lambda body: body | {"outputs": [{"name": "probability"}]}, "probability"),
}


def assert_v2_error(answer, status, named=""):
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert named in answer.json()["error"], answer.json()


@pytest.mark.parametrize(("change", "named"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_refused_by_name(url, deployed, sample, change, named):
    body = change(oip_body(sample.dropna().head(2)))
    assert_v2_error(infer(url, deployed.name, body), 400, named)


NOT_JSON = {
    "NaN literal": lambda text: text.replace("1.75", "NaN"),
    "Infinity literal": lambda text: text.replace("1.75", "Infinity"),
    "cut off": lambda text: text[:-5],
    "empty": lambda text: "",
    "a list": lambda text: f"[{text}]",
    "depth": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("change", NOT_JSON.values(), ids=NOT_JSON)
def test_bad_json_is_refused(url, deployed, sample, change):
    body = edit("trip_distance", data=[1.75, 1.75])(oip_body(sample.dropna().head(2)))
    options = {"json": None, "headers": {"Content-Type": "application/json"}}
    answer = infer(url, deployed.name, None, data=change(json.dumps(body)), **options)
    assert_v2_error(answer, 400)


def binary_request(header_length, sizes):
    """One row in binary form, with a declared header length and tensor sizes that may be wrong."""
    header = {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [1, 1], "parameters": {"binary_data_size": size}}
            for (name, datatype), size in zip(FEATURES.items(), sizes, strict=True)
        ]
    }
    text = json.dumps(header).encode()
    length = str(len(text) if header_length is None else header_length)
    return {"data": text + bytes(8 * len(FEATURES)), "headers": {"Inference-Header-Content-Length": length}}


BAD_BINARY = {
    "size too small": binary_request(None, [4] + [8] * 7),
    "size too large": binary_request(None, [16] + [8] * 7),
    "negative size": binary_request(None, [-8] + [8] * 7),
    "more than the body holds": binary_request(None, [8] * 7 + [2**40]),
    "header longer than the body": binary_request(10**9, [8] * 8),
    "header length not a number": binary_request("ten", [8] * 8),
    "header cut in the middle": binary_request(20, [8] * 8),
}


@pytest.mark.parametrize("options", BAD_BINARY.values(), ids=BAD_BINARY)
def test_bad_binary_is_refused(url, deployed, options):
    assert_v2_error(infer(url, deployed.name, None, json=None, **options), 400)


def test_the_binary_request_is_good_when_nothing_is_wrong(url, deployed):
    answer = infer(url, deployed.name, None, json=None, **binary_request(None, [8] * 8))
    assert answer.status_code == 200, answer.text


def test_unknown_model_and_version(url, client, deployed, sample):
    body = oip_body(sample.dropna().head(2))
    assert_v2_error(infer(url, "absent", body), 404, "absent")
    assert_v2_error(infer(url, f"{deployed.name}/versions/999", body), 404, "999")
    assert_v2_error(requests.get(f"{url}/v2/models/absent", timeout=60), 404, "absent")
    with pytest.raises(triton.InferenceServerException) as raised:
        client.infer("absent", tensors(sample))
    assert "absent" in str(raised.value)


def drop_column(name):
    return lambda rows: {"dataframe_records": [{k: v for k, v in row.items() if k != name} for row in as_records(rows)]}


def set_column(name, value):
    return lambda rows: {"dataframe_records": [row | {name: value} for row in as_records(rows)]}


def ragged(rows):
    split = as_split(rows)
    split["data"][0] = split["data"][0][:-1]
    return {"dataframe_split": split}


BAD_SCORING = {
    "missing column": (drop_column("trip_distance"), "trip_distance"),
    "text for a number": (set_column("trip_distance", "far"), "trip_distance"),
    "null in a required column": (set_column("trip_distance", None), "trip_distance"),
    "fraction for an integer": (set_column("hour", 3.5), "hour"),
    "a row that is too short": (ragged, ""),
    "two forms at once": (lambda rows: SCORING["dataframe_split"](rows) | SCORING["dataframe_records"](rows), ""),
    "no known form": (lambda rows: {"rows": as_records(rows)}, ""),
    "records not a list": (lambda rows: {"dataframe_records": 5}, ""),
}


@pytest.mark.parametrize(("body", "named"), BAD_SCORING.values(), ids=BAD_SCORING)
def test_bad_scoring_is_refused(url, deployed, sample, body, named):
    answer = invoke(url, deployed.name, body(sample.dropna().head(2)))
    assert answer.status_code == 400, answer.text
    assert {"error_code", "message"} <= set(answer.json())
    assert named in answer.json()["message"], answer.json()


ROW = {"trip_distance": 1.75, "hour": 9, "weekday": 2, "passenger_count": 1.0}
ROW |= {"vendor_id": 2.0, "rate_code_id": 1.0, "pickup_zone": 132, "dropoff_zone": 236}


def raw(content_type, text):
    return {"data": text, "headers": {"Content-Type": content_type}}


def records(**changes):
    return raw("application/json", json.dumps({"dataframe_records": [ROW | changes]}))


OTHER_REFUSALS = {
    "unknown endpoint": ("absent", records(), 404),
    "NaN literal": (None, records(passenger_count=math.nan), 400),
    "Infinity literal": (None, records(trip_distance=math.inf), 400),
    "cut off": (None, raw("application/json", '{"dataframe_records": [{'), 400),
    "unknown content type": (None, raw("application/x-tar", "x"), 415),
}


@pytest.mark.parametrize(("name", "options", "status"), OTHER_REFUSALS.values(), ids=OTHER_REFUSALS)
def test_other_scoring_refusals(url, deployed, name, options, status):
    answer = invoke(url, name or deployed.name, None, json=None, **options)
    assert answer.status_code == status, answer.text
    assert {"error_code", "message"} <= set(answer.json())


def test_the_scoring_request_is_good_when_nothing_is_wrong(url, deployed):
    answer = invoke(url, deployed.name, None, json=None, **records(passenger_count=None))
    assert answer.status_code == 200, answer.text


def test_an_answer_after_all_refusals(client, deployed, sample):
    close(client.infer(deployed.name, tensors(sample)).as_numpy("prediction"), deployed.expected(sample))
