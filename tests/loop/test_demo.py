"""The loop turns, and a kill -9 anywhere changes nothing of what it comes to."""

import json
import os
import subprocess

import pytest

from conftest import Demo, story


@pytest.fixture(scope="module")
def told(binary, example, tmp_path_factory):
    """The report of a demo that nobody disturbed."""
    data_dir = tmp_path_factory.mktemp("undisturbed")
    data_dir.rmdir()
    code, out, err = Demo(binary, example, data_dir).run()
    assert code == 0, err[-3000:]
    return json.loads(out), data_dir


def month(report, name):
    return next(month for month in report["months"] if month["month"] == name)


def test_the_loop_mends_the_model(told):
    report, _ = told
    ended = [(attempt["cause"], attempt["phase"]) for attempt in report["attempts"]]
    assert ended[0] == ("first", "promoted")
    assert ("alarm", "promoted") in ended
    assert month(report, "2019-02")["static_mae"] > 2.5, "the surcharge breaks the model that is never rebuilt"
    assert month(report, "2019-03")["loop_mae"] < 0.7 * month(report, "2019-03")["static_mae"]
    assert report["summary"]["mended"] is True


def test_nothing_is_promoted_before_the_shock_and_the_first_candidate_after_it_is_refused(told):
    report, _ = told
    february = 1_548_979_200_000
    rebuilds = [attempt for attempt in report["attempts"] if attempt["cause"] != "first"]
    assert not [a for a in rebuilds if a["phase"] == "promoted" and a["ended"] < february]
    first_after = next(attempt for attempt in rebuilds if attempt["opened"] >= february)
    assert first_after["phase"] == "refused", first_after["verdict"]


def test_every_request_is_in_the_table_once(told, example):
    import pyarrow.parquet as pq

    report, _ = told
    trips = pq.read_table(example / "data" / "trips.parquet", columns=["pickup_datetime"])
    times = [time for time in trips["pickup_datetime"].to_pylist() if "2018-07" <= time.strftime("%Y-%m") <= "2019-03"]
    assert sum(month["predictions"] for month in report["months"]) == len(times)


def test_why_this_version_serves_has_an_answer(told):
    report, _ = told
    why = report["why"]
    for key in ("cause", "data", "training_digest", "code", "environment", "gate", "rollout"):
        assert why[key], key
    assert why["approval"]["by"] and why["approval"]["reason"]


def test_the_audit_log_holds(told, binary):
    _, data_dir = told
    checked = subprocess.run([binary, "audit", "verify", "--data-dir", data_dir], capture_output=True, text=True)
    assert checked.returncode == 0 and "the chain holds" in checked.stdout, checked.stderr


def test_killed_four_times_it_tells_the_same_story(told, binary, example, tmp_path):
    report, _ = told
    demo = Demo(binary, example, tmp_path / "killed")
    # In a stage, in training, in the replay, in a rollout.
    moments = ["prepare: data/trips.parquet", "tree 40/", "replaying 2018-11", "answers 10 %"]
    killed = [demo.kill_when(seen, resume=index > 0) for index, seen in enumerate(moments)]
    assert all(killed), killed
    code, out, err = demo.run(resume=True)
    assert code == 0, err[-3000:]
    assert story(json.loads(out)) == story(report)


def test_on_postgresql_it_tells_the_same_story(told, binary, example, tmp_path):
    report, _ = told
    server = os.environ.get("LOOPWRIGHT_TEST_POSTGRES")
    assert server, "LOOPWRIGHT_TEST_POSTGRES names the test cluster"
    name = f"demo_{os.getpid()}"
    subprocess.run(["psql", server, "-qc", f"CREATE DATABASE {name}"], check=True)
    database = f"{server.rsplit('/', 1)[0]}/{name}"
    demo = Demo(binary, example, tmp_path / "postgres", database)
    assert demo.kill_when("replaying 2018-09")
    code, out, err = demo.run(resume=True)
    assert code == 0, err[-3000:]
    assert story(json.loads(out)) == story(report)
