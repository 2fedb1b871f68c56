import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import models
import scorers
import toolchains


@pytest.fixture(scope="session")
def loopwright():
    """Runs the binary."""
    binary = os.environ.get("LOOPWRIGHT_BIN")
    if not binary:
        pytest.exit("set LOOPWRIGHT_BIN to the loopwright binary", returncode=3)
    binary = str(Path(binary).resolve())

    def run(*arguments):
        command = [binary, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A model by its function, trained once."""
    kept = {}

    def get(function):
        if function not in kept:
            kept[function] = function(tmp_path_factory.mktemp(function.__name__))
        return kept[function]

    return get


@pytest.fixture(scope="session", params=models.ALL, ids=lambda function: function.__name__)
def model(request, trained):
    return trained(request.param)


@pytest.fixture(scope="session")
def scored(loopwright, tmp_path_factory):
    """What the scorer of a model says of its rows; two languages are compiled at a time."""
    pool = ThreadPoolExecutor(2)
    kept = {}

    def get(model, toolchain):
        if model.path not in kept:
            here = [other for other in toolchains.ALL if other.missing() is None]
            folders = {other.target: tmp_path_factory.mktemp(other.target) for other in here}
            kept[model.path] = {
                other.target: pool.submit(scorers.score, loopwright, model, other, folders[other.target]) for other in here
            }
        return kept[model.path][toolchain.target].result()

    yield get
    pool.shutdown(cancel_futures=True)
