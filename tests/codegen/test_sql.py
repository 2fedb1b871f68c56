"""Generated statements against the library that trained the model."""

import os
import shutil
import sqlite3

import numpy as np
import pytest

import models
from scorers import VECTORS, assert_within, generate
from toolchains import run, succeed

POSTGRES = os.environ.get("LOOPWRIGHT_TEST_POSTGRES")


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def sqlite(folder, model):
    """Runs the statement over all rows with the command line's SQLite, which has exp."""
    if not shutil.which("sqlite3"):
        pytest.skip("sql of SQLite: there is no sqlite3")
    database = folder / "rows.db"
    with sqlite3.connect(database) as connection:
        columns = ", ".join(f"{quoted(name)} REAL" for name in model.names)
        connection.execute(f"CREATE TABLE scorer_input (key INTEGER, {columns})")
        rows = [[key, *(None if np.isnan(value) else value for value in row)] for key, row in enumerate(model.rows.tolist())]
        marks = ", ".join("?" * (len(model.names) + 1))
        connection.executemany(f"INSERT INTO scorer_input VALUES ({marks})", rows)
    connection.close()
    (folder / "run.sql").write_text("CREATE TABLE found AS\n" + (folder / "scorer.sql").read_text())
    succeed(["sqlite3", "-bail", str(database), ".read run.sql"], folder)
    connection = sqlite3.connect(database)
    found = connection.execute("SELECT * FROM found ORDER BY key").fetchall()
    connection.close()
    return found


def postgresql(folder, model):
    if not POSTGRES or not shutil.which("psql"):
        pytest.skip("sql of PostgreSQL: there is no psql, or LOOPWRIGHT_TEST_POSTGRES is not set")
    rows = [",".join([str(key), *("" if np.isnan(value) else repr(value) for value in row)]) for key, row in enumerate(model.rows.tolist())]
    (folder / "keyed.csv").write_text("\n".join(rows) + "\n")
    columns = ", ".join(f"{quoted(name)} DOUBLE PRECISION" for name in model.names)
    select = (folder / "scorer.sql").read_text()
    (folder / "run.sql").write_text(
        f"CREATE TEMPORARY TABLE scorer_input (key INTEGER, {columns});\n"
        "\\copy scorer_input FROM 'keyed.csv' WITH (FORMAT csv)\n"
        f"CREATE TEMPORARY TABLE found AS\n{select}\n"
        "\\copy (SELECT * FROM found ORDER BY key) TO 'found.csv' WITH (FORMAT csv)\n"
    )
    succeed(["psql", POSTGRES, "-q", "-v", "ON_ERROR_STOP=1", "-f", "run.sql"], folder)
    lines = (folder / "found.csv").read_text().splitlines()
    return [[None if part == "" else float(part) for part in line.split(",")] for line in lines]


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}


@pytest.mark.parametrize("dialect", DATABASES)
def test_a_statement_says_what_the_library_says(loopwright, model, dialect, tmp_path):
    generate(loopwright, model, "sql", tmp_path, "--dialect", dialect)
    found = DATABASES[dialect](tmp_path, model)
    assert len(found) == len(model.rows)
    problem = 1 + len(model.names)
    assert all(row[problem] is None for row in found)
    numbers = np.array([row[problem + 1 :] for row in found], dtype=np.float64)
    scores, predictions = np.split(numbers, [model.scores.shape[1]], axis=1)
    if model.is_single:
        # Sums of 64 bits instead of 32: trees and leaves of these models are few and small.
        assert_within(scores, model.scores, 0.0, 2e-5)
        assert_within(predictions, model.predictions, 0.0, 2e-5)
    else:
        assert np.array_equal(scores, model.scores), np.argwhere(scores != model.scores)[:1]
        assert_within(predictions, model.predictions, 0.0, model.relative)


@pytest.mark.parametrize("dialect", DATABASES)
@pytest.mark.parametrize("function", [models.xgboost_classes, models.lightgbm_linear], ids=lambda function: function.__name__)
def test_a_generated_script_passes_and_can_fail(loopwright, trained, function, dialect, tmp_path):
    if dialect == "sqlite":
        if not shutil.which("sqlite3"):
            pytest.skip("sql of SQLite: there is no sqlite3")
        command = ["sqlite3", "-bail", ":memory:", ".read scorer_test.sql"]
    else:
        if not POSTGRES or not shutil.which("psql"):
            pytest.skip("sql of PostgreSQL: there is no psql, or LOOPWRIGHT_TEST_POSTGRES is not set")
        command = ["psql", POSTGRES, "-v", "ON_ERROR_STOP=1", "-f", "scorer_test.sql"]
    generate(loopwright, trained(function), "sql", tmp_path, "--dialect", dialect)
    succeed(command, tmp_path)
    script = tmp_path / "scorer_test.sql"
    text = script.read_text()
    before, after = text.split(f"({VECTORS - 1}, 'score', 0, ", 1)
    script.write_text(f"{before}({VECTORS - 1}, 'score', 0, 12.5 + {after}")
    done = run(command, tmp_path)
    assert done.returncode != 0 and "every number is the model" in done.stderr, done.stderr
    assert any(f"{VECTORS - 1}" in line and "score 0" in line for line in done.stdout.splitlines()), done.stdout


def test_a_row_that_breaks_a_rule_says_so(loopwright, trained, tmp_path):
    if not shutil.which("sqlite3"):
        pytest.skip("sql of SQLite: there is no sqlite3")
    model = trained(models.xgboost_binary)
    generate(loopwright, model, "sql", tmp_path)
    columns = ", ".join(quoted(name) for name in model.names)
    rows = "(1, 1, 1, 1, 1), ('far', 1, 1, 1, 1), (1, 9e999, 1, 1, 1), (NULL, 1, 1, 1, 1)"
    statement = (tmp_path / "scorer.sql").read_text().strip().rstrip(";")
    (tmp_path / "run.sql").write_text(
        f"CREATE TABLE scorer_input ({columns});\nINSERT INTO scorer_input VALUES {rows};\n"
        f"SELECT coalesce(problem, 'none'), score IS NULL, prediction IS NULL FROM (\n{statement}\n);\n"
    )
    done = succeed(["sqlite3", "-bail", ":memory:", ".read run.sql"], tmp_path)
    assert done.stdout.splitlines() == [
        "none|0|0",
        'input "trip distance" is a text, expected a number or NULL|1|1',
        'input "class" is Inf, expected a number that is finite in 32 bits|1|1',
        "none|0|0",
    ]


def test_a_model_too_large_for_a_statement_is_refused(loopwright, trained, tmp_path):
    model = trained(models.xgboost_binary)
    done = loopwright("generate", model.path, "--target", "c", "--dialect", "sqlite", "--output", tmp_path)
    assert done.returncode == 1 and "--dialect is given, expected only with --target sql" in done.stderr
    import xgboost as xgb

    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 2))
    booster = xgb.train({"max_depth": 1, "nthread": 1}, xgb.DMatrix(x, x[:, 0]), 801)
    booster.save_model(tmp_path / "large.json")
    done = loopwright("generate", tmp_path / "large.json", "--target", "sql", "--output", tmp_path / "sql")
    assert done.returncode == 1 and "801 trees of one score, at most 800" in done.stderr, done.stderr
    assert not (tmp_path / "sql").exists()
