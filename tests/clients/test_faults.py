"""SIGKILL under sixteen writers; `faults.py` runs the same for as long as one likes."""

import os
from pathlib import Path

import pytest

import faults

ROUNDS = 4
SEED = 20261123


def binary():
    return str(Path(os.environ["LOOPWRIGHT_BIN"]).resolve())


def test_nothing_acknowledged_is_lost_on_sqlite(tmp_path):
    wrong, calls = faults.torture(binary(), tmp_path, ROUNDS, SEED)
    assert not wrong
    assert calls > 100


def test_nothing_acknowledged_is_lost_on_postgresql(tmp_path):
    cluster = os.environ.get("LOOPWRIGHT_TEST_POSTGRES")
    if not cluster:
        assert "CI" not in os.environ, "in CI this runs on PostgreSQL too"
        pytest.skip("LOOPWRIGHT_TEST_POSTGRES is not set")
    with faults.database(cluster) as address:
        wrong, calls = faults.torture(binary(), tmp_path, ROUNDS, SEED, ["--database", address])
    assert not wrong
    assert calls > 100
