"""Scorers of models, and numbers compared."""

import numpy as np

from toolchains import succeed

# Rows of generated tests.
VECTORS = 40


def write_rows(path, names, rows):
    lines = [",".join(f'"{name}"' for name in names)]
    lines += [",".join("" if np.isnan(value) else repr(float(value)) for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def generate(loopwright, model, target, folder, *options):
    """Files of a scorer called `scorer`, with a test of some rows."""
    rows = folder / "rows.csv"
    write_rows(rows, model.names, model.rows[:VECTORS])
    place = ["--target", target, "--output", folder, "--rows", rows, "--name", "scorer"]
    done = loopwright("generate", model.path, *place, *options)
    assert done.returncode == 0, done.stderr


def score(loopwright, model, toolchain, folder):
    """What a compiled scorer says of all rows: scores, predictions, probabilities."""
    generate(loopwright, model, toolchain.target, folder)
    np.asarray(model.rows, dtype="<f8").tofile(folder / "rows.bin")
    succeed(toolchain.compile_driver(folder), folder)
    return np.fromfile(folder / "found.bin", dtype="<f8").reshape(len(model.rows), -1)


def assert_within(found, expected, relative, absolute=0.0):
    allowed = relative * np.abs(expected) + absolute
    is_close = (found == expected) | (np.abs(found - expected) <= allowed)
    if not is_close.all():
        row, place = np.argwhere(~is_close)[0]
        raise AssertionError(f"row {row}, number {place}: {found[row, place]!r}, expected {expected[row, place]!r}")
