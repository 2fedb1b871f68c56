"""Generated programs, compiled and run, against the library that trained the model."""

import re

import numpy as np
import pytest

import models
import toolchains
from scorers import VECTORS, assert_within, generate
from toolchains import run, succeed

# Two models are enough for the generated tests: sets, sums of 32 bits; linear leaves, sums of 64 bits.
TESTED = [models.xgboost_classes, models.lightgbm_linear]


@pytest.fixture(params=toolchains.ALL, ids=lambda toolchain: toolchain.target)
def toolchain(request):
    missing = request.param.missing()
    if missing:
        pytest.skip(f"{request.param.target}: there is no {missing}")
    return request.param


def test_a_program_says_what_the_library_says(scored, model, toolchain):
    found = scored(model, toolchain)
    expected = [part for part in (model.scores, model.predictions, model.probabilities) if part is not None]
    assert found.shape[1] == sum(part.shape[1] for part in expected)
    ends = np.cumsum([part.shape[1] for part in expected])
    scores, *others = np.split(found, ends[:-1], axis=1)
    assert np.array_equal(scores, model.scores), np.argwhere(scores != model.scores)[:1]
    # 1 - p has the error of p.
    absolute = [0.0, model.relative]
    for own, part, allowed in zip(others, expected[1:], absolute):
        assert_within(own, part, model.relative, allowed)


@pytest.mark.parametrize("function", TESTED, ids=lambda function: function.__name__)
def test_a_generated_test_passes_and_can_fail(loopwright, trained, function, toolchain, tmp_path):
    model = trained(function)
    generate(loopwright, model, toolchain.target, tmp_path)
    succeed(toolchain.compile_test(tmp_path), tmp_path)
    test = tmp_path / toolchain.test
    # The last number of the last row is no longer what the model says.
    text = test.read_text()
    last = list(re.finditer(r"[-\w.+]*\d[-\w.+]*", text[: end_of_predictions(text)]))[-1]
    test.write_text(text[: last.start()] + ("0x1.9p+3" if toolchain.target == "c" else "12.5") + text[last.end() :])
    done = run(toolchain.compile_test(tmp_path), tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"row {VECTORS - 1}: prediction {model.predictions.shape[1] - 1} is " in said, said
    assert "12.5" in said


def end_of_predictions(text):
    """Where the table of predictions, in any case and language, has its last line's end."""
    start = re.search(r"PREDICTION.*[\[{(]\n|vectorPrediction.*\{\n", text).end()
    return start + re.search(r"\n *[\]})]", text[start:]).start()


LOGGED = """\
flavors:
  lightgbm:
    data: model.txt
    model_class: lightgbm.basic.Booster
run_id: 4f2a
signature:
  inputs: '[{"type": "double", "name": "trip-distance", "required": false}, {"type": "long", "name": "class", "required": true},
    {"type": "long", "name": "2nd", "required": false}, {"type": "double", "name": "Größe", "required": false},
    {"type": "double", "name": "trip_distance", "required": false}]'
  outputs: '[{"type": "double", "name": "price"}]'
"""


def test_a_program_refuses_what_the_signature_refuses(loopwright, trained, toolchain, tmp_path):
    trained_model = trained(models.lightgbm_none)
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "model.txt").write_bytes(trained_model.path.read_bytes())
    (folder / "MLmodel").write_text(LOGGED, encoding="utf-8")
    program = tmp_path / "program-files"
    done = loopwright("generate", folder, "--target", toolchain.target, "--output", program, "--name", "scorer")
    assert done.returncode == 0, done.stderr
    refused = [
        ([1.0, np.nan, 1.0, 1.0, 1.0], r'input "class" is missing, expected a number'),
        ([1.0, 2.5, 1.0, 1.0, 1.0], r'input "class" is 2.5, expected a whole number'),
        ([1.0, 2.0, -np.inf, 1.0, 1.0], r'input "2nd" is -(inf|Inf|Infinity), expected a whole number'),
    ]
    command = None
    for row, words in refused:
        np.asarray(row, dtype="<f8").tofile(program / "rows.bin")
        command = command or toolchain.compile_driver(program)
        done = run(command, program)
        assert done.returncode == 3 and re.search(words, done.stderr), done.stderr
    np.asarray([np.nan, 2.0, np.nan, np.nan, np.inf], dtype="<f8").tofile(program / "rows.bin")
    succeed(command, program)
    text = (program / toolchain.scorer).read_text()
    assert "4f2a" in text and '"price"' in text
