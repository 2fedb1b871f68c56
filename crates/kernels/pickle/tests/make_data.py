"""Writes tests/data: small files, benign and hostile. Nothing here is ever loaded.

    python make_data.py        (numpy, scikit-learn and joblib at hand)
"""

import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
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


def old(value):
    return b"X" + struct.pack("<I", len(value)) + value


def whole(value):
    return b"J" + struct.pack("<i", value)


def dtype(code, copy=True, size=-1, flags=None, names=b"N", fields=b"N"):
    """numpy.dtype(code[, False, True]), and its state where there are flags."""
    body = b"cnumpy\ndtype\n(" + old(code) + (b"\x89\x88" if copy else b"") + b"tR"
    if flags is None:
        return body
    return body + b"(" + whole(3) + old(b"|") + b"N" + names + fields + whole(size) + whole(1) + whole(flags) + b"tb"


def structure(field, offset, fields=b"}"):
    """A dtype of eight bytes with one field."""
    fields += old(b"a") + field + whole(offset) + b"\x86s"
    return dtype(b"V8", size=8, flags=0, names=old(b"a") + b"\x85", fields=fields)


def wrapper(kind, aligned, more=b""):
    """joblib's description of an array of one element."""
    body = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + old(b"subclass") + b"cnumpy\nndarray\n"
    body += old(b"shape") + whole(1) + b"\x85" + old(b"order") + old(b"C") + old(b"dtype") + kind
    body += old(b"allow_mmap") + b"\x89"
    if aligned:
        body += old(b"numpy_array_alignment_bytes") + whole(16)
    return body + more + b"ub"


def pointers(kind):
    """An array of one element, given as eight bytes."""
    body = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + whole(0) + b"\x85C\x01btR("
    return b"\x80\x03" + body + whole(1) + whole(1) + b"\x85" + kind + b"\x89C\x08" + b"A" * 8 + b"tb."


def desyncs():
    """The bytes of an array that joblib and a scanner could take to be of different lengths."""
    evil = b"cos\ngetcwd\n)R."
    raw = b"N.NX" + struct.pack("<I", len(evil))
    padding = b"\x01\xff"

    def hidden(length):
        return b"X" + struct.pack("<I", length - 5 + len(evil)) + b"a" * (length - 5) + evil

    flagged = wrapper(dtype(b"f8", False, flags=1), False) + raw + evil
    sized = wrapper(dtype(b"S1", size=40, flags=0), True) + padding + b"z" + hidden(39)
    key = wrapper(dtype(b"f8", False), True, b"S'dt\\x79pe'\n" + dtype(b"S40", False))
    escaped = key + padding + b"z" * 8 + hidden(32)
    denied = wrapper(dtype(b"O8", flags=0), False) + raw + evil
    return [b"\x80\x03" + body + b"00N." for body in (flagged, sized, escaped, denied)]


def two_ends():
    with_bad = bytearray(zipped({"data.pkl": b"BAD"}))
    with_bad[-2:] = b"\xff\0"
    return zipped({"data.pkl": b"GOOD"}) + bytes(with_bad)


def zip64(gap=b""):
    """A zip with the long records; `gap` between the record and its locator."""
    body = zipped({"a.txt": b"text"})
    end = len(body) - 22
    count, size, offset = struct.unpack("<HII", body[end + 10 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    return body[:end] + record + gap + locator + body[end:]


def overlapping(count, length):
    """A zip whose members are all the same stored bytes."""
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 0, 0, length, length, 5, 0) + b"a.txt"
    body = local + b"-" * length
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, length, length, 5, 0, 0, 0, 0, 0, 0)
    entries = (entry + b"a.txt") * count
    return body + entries + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), len(body), 0)


def old_tar(body):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("data")
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    header = bytearray(raw.getvalue())
    header[257:512] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def reviewed(system):
    """What got past an earlier version of the scanner."""
    flagged, sized, escaped, denied = desyncs()
    changing = structure(dtype(b"i8", flags=0), 0, b"}q\x07")
    changed = b"\x80\x03" + changing + b"h\x07" + old(b"a") + dtype(b"O8", False) + whole(0) + b"\x86s0."
    inner = structure(dtype(b"O8", flags=63), 0)
    outside = structure(dtype(b"i8", flags=0), 1)
    late = b"\x80\x03" + dtype(b"V8") + b"q\x00h\x000(" + whole(3) + old(b"|") + b"NNN" + whole(99) + whole(1) + whole(0) + b"tb."
    octal = pointers(dtype(b"O8", flags=11).replace(whole(11), b"I011\n"))
    generator = b"cnumpy.random._pickle\n__generator_ctor\n"
    config = b'{"layers": [{ "class_name"\n:\t"L\\u0061mbda" }]}'
    compressed = lzma.compress(
        b"cos\ngetcwd\n)R.", format=lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 4096}]
    )
    return {
        "malformed/flagged.joblib": flagged,
        "malformed/sized.joblib": sized,
        "malformed/escaped-key.joblib": escaped,
        "malformed/denied.joblib": denied,
        "malformed/pointers.pkl": pointers(dtype(b"O8", flags=0)),
        "malformed/pointers-no-list.pkl": pointers(dtype(b"O8", flags=1)),
        "malformed/pointers-octal.pkl": octal,
        "malformed/pointers-field.pkl": pointers(inner),
        "malformed/pointers-code.pkl": pointers(dtype(b"O8", flags=0).replace(old(b"O8"), b"S'\\x4f8'\n")),
        "malformed/outside-field.pkl": pointers(outside),
        "malformed/changed-fields.pkl": changed,
        "malformed/late-state.pkl": late,
        "known/array.pkl": pointers(dtype(b"i8", flags=0)),
        "known/structures.pkl": pickle.dumps(
            [np.zeros(2, "i4,f8"), np.array([(1, None)], "f8,O"), np.zeros(2, [("a", "f8", (2, 3)), ("b", "M8[ns]")]),
             np.array(["a", "bcd"]), np.array([b"ab"]), np.zeros(1, "V8"), np.zeros(1, "m8[s]"), np.zeros(3, bool)], 4
        ),
        "known/random.pkl": pickle.dumps([np.random.RandomState(1), np.random.default_rng(1).bit_generator], 4),
        "malformed/escaped.dat": b"S'o\\x73'\nS'getcwd'\n\x93)R.",
        "unknown/underscore.dat": b"cos\ngetcwd\np1_0\n)R.",
        "unknown/zero.dat": b"cos\ngetcwd\np10\0x\n)R.",
        "malformed/two-ends.zip": two_ends(),
        "malformed/gap.zip": zip64(b"-" * 4),
        "no_pickle/long.zip": zip64(),
        "no_pickle/overlapping.zip": overlapping(300, 4_000),
        "unknown/lzma.dat": compressed,
        "unknown/zf.dat": b"ZF" + hex(5).encode().ljust(19) + zlib.compress(b"cos\ngetcwd\n)R."),
        "unknown/old-tar.pt": old_tar(system),
        "malformed/generator.pkl": b"\x80\x03" + generator + b"(" + old(b"x") + b"cbuiltins\nlist\ntR.",
        "malformed/generator-class.pkl": b"\x80\x03" + generator.replace(b"__gen", b"__bit_gen") + b"cbuiltins\nlist\n\x85R.",
        "unknown/lambda-spaced.keras": zipped({"config.json": config}),
        "unknown/lambda-16.keras": zipped({"config.json": config.decode().encode("utf-16")}),
        "unknown/lambda-block.h5": b"-" * 512 + b"\x89HDF\r\n\x1a\n" + config,
        "unknown/Config.JSON": b'{"class_name": "Lambda"}',
        "unknown/lambda-upper.keras": zipped({"CONFIG.json": b'{"class_name": "Lambda"}'}),
        # Python ends a member's name at a NUL.
        "unknown/lambda-nul.keras": zipped({"config.json_x": b'{"class_name": "Lambda"}'}).replace(b"json_x", b"json\0x"),
        "no_pickle/config.json": b'{"class_name": "Dense", "name": "Lambda"}',
        "no_pickle/notes.txt": b"(No such file)\n",
        "no_pickle/locals.txt": b"((local values))\n",
        "no_pickle/pixel.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0),
        "no_pickle/list.json": b"[1, 2, {\"a\": null}]\n",
        "no_pickle/table.csv": b"Nr,a,b\n1,2,3\n",
    }


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
    files |= reviewed(system)
    for name, body in files.items():
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


if __name__ == "__main__":
    main()
