"""Writes tests/data: small files, benign and hostile. Nothing here is ever loaded.

    python make_data.py        (numpy, scikit-learn and joblib at hand)
"""

import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

DATA = Path(__file__).parent / "data"


class Attack:
    def __reduce__(self):
        return os.system, ("true",)


def text(value):
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def named(module, name):
    return text(module) + text(name) + b"\x93"


def zipped(members, tamper=None):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), body, zipfile.ZIP_DEFLATED)
    body = bytearray(raw.getvalue())
    if tamper:
        tamper(body)
    return bytes(body)


def encrypted(body):
    body[body.index(b"PK\x01\x02") + 8] |= 1
    body[6] |= 1


def other_name(body):
    body[30] ^= 1


def dumped(value, **options):
    raw = io.BytesIO()
    joblib.dump(value, raw, **options)
    return raw.getvalue()


def main():
    rows, truth = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, truth)
    encoder = LabelEncoder().fit(np.array(["a", "b"], dtype=object))
    tree = DecisionTreeRegressor(max_depth=2).fit(rows, truth)
    proto = b"\x80\x04"
    system = pickle.dumps(Attack(), 4)
    arrays = dumped({"a": np.arange(3.0), "o": np.array([1, "x"], dtype=object), "s": np.zeros(2, "i4,f8")})
    padded = bytearray(arrays)
    padded[arrays.index(b"K\x10ub") + 4] = ord("c")
    buffer = io.BytesIO()
    np.save(buffer, np.array([1, None], dtype=object), allow_pickle=True)
    objects = buffer.getvalue()
    plain = io.BytesIO()
    np.savez(plain, a=np.arange(3))
    # joblib starts the array of objects with an empty memo, pickle goes on with the one it has.
    two_memos = proto + text("os") + b"\x94" + text("system") + b"\x9400" + named(
        "joblib.numpy_pickle", "NumpyArrayWrapper"
    )
    two_memos += b")\x81}(" + text("shape") + b"K\x01\x85" + text("dtype") + named("numpy", "dtype") + text("O8")
    two_memos += b"\x85Rub" + text("numpy") + b"\x94" + text("dtype") + b"\x9400"
    two_memos += b"h\x00h\x01\x93" + text("true") + b"\x85R.."
    files = {
        "unknown/two-memos.joblib": two_memos,
        "known/pipeline-2.pkl": pickle.dumps(pipeline, 2),
        "known/pipeline-4.pkl": pickle.dumps(pipeline, 4),
        "known/pipeline-5.pkl": pickle.dumps(pipeline, 5),
        "known/tree.joblib": dumped(tree),
        "known/encoder.joblib": dumped(encoder),
        "known/arrays.joblib": arrays,
        "known/tree-zlib.joblib": dumped(tree, compress=("zlib", 3)),
        "known/tree-gzip.joblib": dumped(tree, compress=("gzip", 3)),
        "known/objects.npy": objects,
        "known/plain.pkl": pickle.dumps({"a": [1, 2.5, None, True, b"x", (1, 2, 3, 4)], 3: {4}}, 0),
        "known/two.pkl": pickle.dumps([1], 2) + pickle.dumps([2], 4),
        "no_pickle/requirements.txt": b"catboost==1.2\nnumpy==2.4.6\nRx==3\n",
        "no_pickle/MLmodel": b"artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\n",
        "no_pickle/empty.txt": b"",
        "no_pickle/plain.npz": plain.getvalue(),
        "no_pickle/table.csv.gz": gzip.compress(b"a,b\n1,2\n", mtime=0),
        "unknown/system.pkl": system,
        "unknown/system-0.txt": b"cos\nsystem\n(S'true'\ntR.",
        "unknown/inst.pkl": b"(S'true'\nios\nsystem\n.",
        "unknown/obj.pkl": b"(cos\nsystem\nS'true'\no.",
        "unknown/pip.pkl": proto + named("pip", "main") + b"]" + text("install") + b"a\x85R.",
        "malformed/resolve.pkl": proto + named("pkgutil", "resolve_name") + text("os:system") + b"\x85R" + text("true")
        + b"\x85R.",
        "unknown/popped.pkl": proto + named("os", "system") + text("true") + b"\x85R0N.",
        "unknown/dotted.pkl": proto + named("sklearn.base", "os.system") + text("true") + b"\x85R.",
        "unknown/ext.pkl": proto + b"\x82\x05" + text("true") + b"\x85R.",
        "unknown/memo.pkl": proto + text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + text("x") + b"\x85R.",
        "unknown/called.pkl": proto + named("sklearn.callback._transport", "Client") + text("x") + b"\x85R.",
        "malformed/init.pkl": proto + named("copyreg", "_reconstructor") + named("sklearn.base", "BaseEstimator")
        + named("sklearn.callback._transport", "Listener") + b"N\x87R.",
        "known/reconstructed.pkl": pickle.dumps(pipeline, 1),
        "unknown/newobj.pkl": proto + named("subprocess", "Popen") + text("x") + b"\x85\x81.",
        "unknown/exec.pkl": proto + named("scipy.stats._continuous_distns", "uniform_gen") + b")\x81}b.",
        "unknown/odd-name.zip": zipped({"notes.md": system}),
        "unknown/nested.bin": zipped({"a.txt": zipped({"b": system})}),
        "unknown/objects.npy": objects[: objects.index(b"\x80\x03" if b"\x80\x03" in objects else b"\x80\x04")] + system,
        "unknown/prefixed.pt": b"x" * 7 + zipped({"data": system}),
        "unknown/compressed.joblib": zlib.compress(system),
        "unknown/lz4.joblib": b"\x04\x22\x4d\x18" + system,
        "unknown/lambda.keras": zipped({"config.json": b'{"class_name": "Lambda"}'}),
        "malformed/truncated.pkl": pickle.dumps(pipeline, 4)[:200],
        "malformed/after-call.txt": b"cos\nsystem\n(S'true'\ntR",
        "malformed/computed.pkl": proto + text("os") + named("builtins", "str") + text("system") + b"\x85R\x93.",
        "malformed/trailing.pkl": pickle.dumps([1], 4) + b"rest",
        "malformed/padding.joblib": bytes(padded),
        "malformed/no-pickle.pkl": b"hello",
        "malformed/flag.pt": zipped({"data.pkl": pickle.dumps([1])}, encrypted),
        "malformed/two-names.pt": zipped({"data.pkl": pickle.dumps([1])}, other_name),
        "malformed/no-directory.pt": zipped({"data.pkl": pickle.dumps([1])})[:60],
        "malformed/protocol.pkl": b"\x80\x09N.",
        "malformed/length.pkl": proto + b"\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
    }
    for name, body in files.items():
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


if __name__ == "__main__":
    main()
