# /// script
# requires-python = "==3.11.*"
# dependencies = [
#     "onnx==1.23.2", "skl2onnx==1.20.0", "onnxmltools==1.16.0", "onnxruntime==1.23.2", "scikit-learn==1.9.1",
#     "xgboost-cpu==3.2.0", "lightgbm==4.7.0", "numpy==2.4.6", "pandas==2.3.3",
# ]
# ///
"""Golden models for the ONNX reader: `uv run generate.py`.

`NAME.onnx` is a model; `NAME.rows.json` holds its `rows`, the `raw` scores (of the same model with post_transform NONE) and the
`prediction`, both by onnxruntime with one thread and one row at a time. NaN is null, an infinity the string "inf" or "-inf".
"""

import json
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxruntime as ort
import xgboost
from onnx import TensorProto, helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeRegressor

HERE = Path(__file__).parent
FEATURES = 5
RNG = np.random.default_rng(7)
X = np.round(RNG.normal(size=(400, FEATURES)), 2).astype(np.float32)
TARGET = (X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) + 0.1 * RNG.normal(size=400)).astype(np.float32)
TWO = (TARGET > 0).astype(int)
THREE = np.digitize(TARGET, [-0.5, 0.5])
GAPS = X.copy()
GAPS[RNG.random(X.shape) < 0.2] = np.nan
TREES = ("TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble")


def by_skl2onnx(model, x, y, kind=FloatTensorType, **options):
    model.fit(x, y)
    made = to_onnx(
        model, initial_types=[("X", kind([None, FEATURES]))], target_opset={"": 15, "ai.onnx.ml": 3}, **options
    )
    for output in made.graph.output:
        # The operator answers 32-bit floats, whatever skl2onnx declares.
        if output.type.tensor_type.elem_type == TensorProto.DOUBLE:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    return made


def by_onnxmltools(convert, model, x, y, **options):
    model.fit(x, y)
    return convert(model, initial_types=[("X", ToolsFloat([None, FEATURES]))], **options)


def graph(node, version, kind=TensorProto.FLOAT, features=FEATURES):
    inputs = [helper.make_tensor_value_info("X", kind, ["N", features])]
    if node.op_type == "TreeEnsembleClassifier":
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", None]),
        ]
    else:
        kind = kind if node.op_type == "TreeEnsemble" else TensorProto.FLOAT
        outputs = [helper.make_tensor_value_info("Y", kind, ["N", None])]
    made = helper.make_graph([node], "trees", inputs, outputs)
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("ai.onnx.ml", version), helper.make_opsetid("", 21)], ir_version=10
    )


def tensor(kind, values):
    return helper.make_tensor("t", kind, [len(values)], values)


def modes():
    """Every comparison, each with and without a way for what is missing; two targets, averaged."""
    splits = [("BRANCH_LEQ", 0.5), ("BRANCH_LT", 0.5), ("BRANCH_GTE", 0.25), ("BRANCH_GT", 0.25), ("BRANCH_EQ", 0.5)]
    splits += [("BRANCH_NEQ", 0.5), ("BRANCH_LT", 0.0), ("BRANCH_GTE", -np.inf), ("BRANCH_LT", -np.inf), ("BRANCH_GT", np.nan)]
    splits += [("BRANCH_LEQ", np.nan), ("BRANCH_EQ", np.nan), ("BRANCH_NEQ", np.nan), ("BRANCH_EQ", -0.0), ("BRANCH_LEQ", np.inf)]
    columns = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    tracks, weights = [], []
    for tree, (mode, value) in enumerate(splits + splits):
        rows = [(7, tree % FEATURES, value, mode, 3, 1), (1, 0, 0.0, "LEAF", 0, 0), (3, 0, 0.0, "LEAF", 0, 0)]
        for place, row in enumerate(rows):
            for key, cell in zip(columns, (tree, *row)):
                columns[key].append(cell)
            tracks.append(int(place == 0 and tree >= len(splits)))
            if place:
                weights += [(tree, row[0], target, 0.1 * (tree + 1) * (1 if place == 1 else -1) + target) for target in (0, 1)]
    made = {f"nodes_{key}": cells for key, cells in columns.items()}
    names = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
    made |= {name: list(cells) for name, cells in zip(names, zip(*weights))}
    return graph(
        helper.make_node(
            "TreeEnsembleRegressor", ["X"], ["Y"], name="modes", domain="ai.onnx.ml", n_targets=2, aggregate_function="AVERAGE",
            base_values=[0.3, -0.7], post_transform="NONE", nodes_missing_value_tracks_true=tracks, **made,
        ),
        3,
    )


def members(kind):
    """TreeEnsemble of version 5: sets of members, EQ and LT, the root of the second tree not the first node."""
    return graph(
        helper.make_node(
            "TreeEnsemble", ["X"], ["Y"], name="members", domain="ai.onnx.ml", n_targets=2, aggregate_function=1, post_transform=2,
            tree_roots=[0, 4],
            nodes_modes=tensor(TensorProto.UINT8, [6, 4, 1, 6, 0]),
            nodes_splits=tensor(kind, [0.0, 1.0, 0.1, 0.0, -0.25]),
            membership_values=tensor(kind, [3.0, 0.5, 1.0, np.nan, -2.0, 2.0, np.nan]),
            nodes_featureids=[0, 1, 2, 0, 3],
            nodes_missing_value_tracks_true=[1, 0, 1, 0, 0],
            nodes_truenodeids=[1, 0, 2, 4, 3],
            nodes_trueleafs=[0, 1, 1, 1, 0],
            nodes_falsenodeids=[2, 1, 3, 5, 5],
            nodes_falseleafs=[0, 1, 1, 1, 1],
            leaf_targetids=[0, 1, 0, 1, 0, 1],
            leaf_weights=tensor(kind, [0.1, 0.2, -0.3, 0.7, 1.1, -1.3]),
        ),
        5, kind,
    )


def models():
    zip_off = {"zipmap": False}
    forest = RandomForestRegressor(n_estimators=6, max_depth=5, random_state=1)
    yield "forest", by_skl2onnx(forest, X, TARGET)
    forest = RandomForestClassifier(n_estimators=5, max_depth=4, random_state=1)
    yield "forest_binary", by_skl2onnx(forest, X, TWO)
    forest = RandomForestClassifier(n_estimators=5, max_depth=4, random_state=1)
    yield "forest_classes", by_skl2onnx(forest, X, THREE, options=zip_off)
    boosting = GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=1)
    yield "boosting_binary", by_skl2onnx(boosting, X, TWO, options=zip_off)
    tree = DecisionTreeRegressor(max_depth=5, random_state=1)
    yield "tree_double", by_skl2onnx(tree, X.astype(np.float64) + 1e-9, TARGET, DoubleTensorType)
    common = {"n_estimators": 8, "max_depth": 4, "random_state": 1, "n_jobs": 1}
    yield "xgboost", by_onnxmltools(convert_xgboost, xgboost.XGBRegressor(**common), GAPS, TARGET)
    yield "xgboost_binary", by_onnxmltools(convert_xgboost, xgboost.XGBClassifier(**common), GAPS, TWO)
    yield "xgboost_softprob", by_onnxmltools(convert_xgboost, xgboost.XGBClassifier(**common), GAPS, THREE)
    common = {"n_estimators": 8, "num_leaves": 12, "random_state": 1, "n_jobs": 1, "verbose": -1}
    yield "lightgbm", by_onnxmltools(convert_lightgbm, lightgbm.LGBMRegressor(**common), GAPS, TARGET)
    yield "lightgbm_binary", by_onnxmltools(convert_lightgbm, lightgbm.LGBMClassifier(**common), GAPS, TWO)
    yield "modes", modes()
    yield "members", members(TensorProto.DOUBLE)


def trees_of(model):
    return next(node for node in model.graph.node if node.op_type in TREES)


def attributes(node):
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def probes(model, rng):
    node = attributes(trees_of(model))
    is_double = model.graph.input[0].type.tensor_type.elem_type == TensorProto.DOUBLE
    kind = np.float64 if is_double else np.float32
    values = node.get("nodes_values") or node.get("nodes_values_as_tensor") or node.get("nodes_splits")
    values = values if isinstance(values, (list, tuple)) else onnx.numpy_helper.to_array(values)
    rows = [GAPS[index].astype(kind) for index in range(12)] + [X[index].astype(kind) for index in range(12)]
    branch = [place for place, mode in enumerate(node["nodes_modes"]) if mode != b"LEAF"] if isinstance(node["nodes_modes"], list) else range(len(values))
    for place in list(branch)[:16]:
        cut = kind(values[place])
        for value in (cut, np.nextafter(cut, kind(np.inf)), np.nextafter(cut, kind(-np.inf))):
            row = X[rng.integers(len(X))].astype(kind)
            row[node["nodes_featureids"][place]] = value
            rows.append(row)
    for value in (0.0, -0.0, 1e-45, 3e38, np.nan, np.inf, -np.inf, 0.5, 1.0, 2.0, 3.0, -2.0, 0.1, 0.25):
        rows.append(np.full(FEATURES, value, kind))
    return np.array(rows, kind)


def answers(model, rows):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[-1].name
    found = []
    for row in rows:
        answer = session.run([name], {"X": row[None]})[0]
        found.append(list(answer[0].values()) if isinstance(answer, list) else np.asarray(answer)[0].reshape(-1).tolist())
    return found


def raw(model, rows):
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for attribute in trees_of(plain).attribute:
        if attribute.name == "post_transform":
            attribute.i = 0
            attribute.s = b"NONE" if attribute.type == onnx.AttributeProto.STRING else b""
            if attribute.type == onnx.AttributeProto.INT:
                attribute.ClearField("s")
            else:
                attribute.ClearField("i")
    return answers(plain, rows)


def plain(values):
    if isinstance(values, (list, np.ndarray)):
        return [plain(value) for value in values]
    value = float(values)
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else ("inf" if value > 0 else "-inf")


def main():
    rng = np.random.default_rng(5)
    for name, model in models():
        (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
        rows = probes(model, rng)
        answer = {"onnxruntime": ort.__version__, "rows": plain(rows), "raw": plain(raw(model, rows)),
                  "prediction": plain(answers(model, rows))}
        (HERE / f"{name}.rows.json").write_text(json.dumps(answer) + "\n")
        node = attributes(trees_of(model))
        print(name, [n.op_type for n in model.graph.node], rows.shape, len(answer["prediction"][0]),
              {k: v for k, v in node.items() if not isinstance(v, (list, onnx.TensorProto)) or len(v if isinstance(v, list) else []) < 4 and isinstance(v, list)})


if __name__ == "__main__":
    main()
