"""Runs mlflow's own integration tests against loopwright and compares the outcomes with `exceptions.txt`.

    LOOPWRIGHT_BIN=target/release/loopwright python tests/clients/mlflow/run.py CHECKOUT [--outcomes FILE] [TEST ...]

TEST is a file of the checkout or a node id; without any, all of SUITE runs. Exit code 1: a test failed that is not
excepted, an excepted one passed or, when all of SUITE ran, an exception names a test that is not there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXCEPTIONS = HERE / "exceptions.txt"
SUITE = [
    "tests/tracking/test_rest_tracking.py",
    "tests/tracking/test_model_registry.py",
    "tests/tracking/test_client_webhooks.py",
    "tests/store/model_registry/test_rest_store_webhooks.py",
    "tests/tracing/test_otel_logging.py",
]
TEST_DEADLINE_S = 120
# pytest's codes: all passed, and some failed
RAN = (0, 1)
FAILED = ("failed", "error")


def exceptions():
    """Reason by node id."""
    lines = [line for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("\t") for line in lines)


def run(checkout, tests, report):
    environment = {
        **os.environ,
        "MLFLOW_CHECKOUT": str(checkout),
        "LOOPWRIGHT_BIN": str(Path(os.environ["LOOPWRIGHT_BIN"]).resolve()),
        "LOOPWRIGHT_OUTCOMES": str(report),
        "PYTHONPATH": str(HERE),
    }
    # -P: the checkout's own mlflow must not stand before the installed one
    command = [sys.executable, "-P", "-m", "pytest", "-p", "external_server", "-p", "no:cacheprovider"]
    command += ["-q", "--tb=short"]
    command += ["--rootdir", str(checkout), "-c", str(checkout / "pyproject.toml")]
    command += ["--timeout", str(TEST_DEADLINE_S), *tests]
    code = subprocess.run(command, cwd=checkout, env=environment).returncode
    if code not in RAN:
        sys.exit(f"pytest ended with {code}")
    lines = report.read_text().splitlines()
    return {nodeid: outcome for outcome, nodeid in (line.split(" ", 1) for line in lines)}


def complaints(outcomes, excepted, everything_ran):
    for nodeid, outcome in outcomes.items():
        if outcome in FAILED and nodeid not in excepted:
            yield f"{outcome}, and not excepted: {nodeid}"
        if outcome == "passed" and nodeid in excepted:
            yield f"passed, but excepted ({excepted[nodeid]}): {nodeid}"
    if everything_ran:
        yield from (f"excepted, but never ran: {nodeid}" for nodeid in sorted(excepted.keys() - outcomes.keys()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--outcomes", type=Path, help="keep one line per test: OUTCOME NODEID")
    parser.add_argument("tests", nargs="*")
    given = parser.parse_args()
    if not os.environ.get("LOOPWRIGHT_BIN"):
        parser.error("set LOOPWRIGHT_BIN to the loopwright binary")
    with tempfile.TemporaryDirectory() as work:
        report = given.outcomes.resolve() if given.outcomes else Path(work, "outcomes.txt")
        outcomes = run(given.checkout.resolve(), given.tests or SUITE, report)
    counts = {name: list(outcomes.values()).count(name) for name in sorted(set(outcomes.values()))}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    found = list(complaints(outcomes, exceptions(), everything_ran=not given.tests))
    print("\n".join(found))
    sys.exit(bool(found) or not outcomes)


if __name__ == "__main__":
    main()
