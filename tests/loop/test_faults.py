"""Bad input and faults: a clear error that names the value and the rule, and nothing acknowledged is lost."""

import os
import shutil
import socket
import subprocess
import time

import pytest
import requests

from conftest import Demo, free_port


def copy(example, tmp_path):
    folder = tmp_path / "taxi"
    shutil.copytree(example, folder)
    return folder


def edit(file, old, new):
    text = file.read_text()
    assert old in text, old
    file.write_text(text.replace(old, new))


BROKEN_FILES = [
    ("unknown key", "error_ratio: 1.25", "error_ration: 1.25", ["error_ration"]),
    ("wrong type", "min_rows: 2000", "min_rows: many", ["min_rows", "many"]),
    ("rule", "canary_steps: [0.1, 0.5]", "canary_steps: [0.5, 0.1]", ["canary_steps[1]", "0.1"]),
    ("missing parameter", "leaves: 63", "leafs: 63", ["params.leaves"]),
]


@pytest.mark.parametrize("name,old,new,named", BROKEN_FILES, ids=[case[0] for case in BROKEN_FILES])
def test_a_malformed_loop_file_is_told_by_line_key_and_rule(binary, example, tmp_path, name, old, new, named):
    folder = copy(example, tmp_path)
    edit(folder / "loopwright.yaml", old, new)
    line = next(n for n, text in enumerate((folder / "loopwright.yaml").read_text().splitlines(), 1)
                if new in text or (name == "missing parameter" and "python train.py" in text))
    checked = subprocess.run([binary, "validate", folder / "loopwright.yaml"], capture_output=True, text=True)
    assert checked.returncode == 1
    for word in named:
        assert word in checked.stderr, checked.stderr
    if name != "missing parameter":
        assert f"line {line}" in checked.stderr, checked.stderr
    code, _, err = Demo(binary, folder, tmp_path / "data").run()
    assert code == 1 and all(word in err for word in named), err


def test_a_missing_data_file_is_named(binary, example, tmp_path):
    folder = copy(example, tmp_path)
    (folder / "data" / "trips.parquet").unlink()
    code, _, err = Demo(binary, folder, tmp_path / "data").run()
    assert code == 1 and "data/trips.parquet" in err and "prepare" in err, err[-1500:]


def test_a_training_script_that_fails_shows_its_last_lines(binary, example, tmp_path):
    folder = copy(example, tmp_path)
    edit(folder / "train.py", 'if __name__ == "__main__":', 'if __name__ == "__main__":\n    raise SystemExit("no such luck: 42")')
    code, _, err = Demo(binary, folder, tmp_path / "data").run()
    assert code == 1 and "stage train failed" in err and "no such luck: 42" in err, err[-1500:]


def up(binary, data_dir, port):
    process = subprocess.Popen([binary, "up", "--data-dir", data_dir, "--listen", f"127.0.0.1:{port}", "--print-url"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, process.stdout.readline()


def test_a_second_server_on_the_data_directory_and_a_port_in_use(binary, tmp_path):
    first, line = up(binary, tmp_path / "data", free_port())
    try:
        assert line.startswith("loopwright listening on "), line
        second, _ = up(binary, tmp_path / "data", free_port())
        assert second.wait(timeout=20) == 1
        assert "another server uses the data directory" in second.stderr.read()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            third, _ = up(binary, tmp_path / "other", port)
            assert third.wait(timeout=20) == 1
            message = third.stderr.read()
            assert f"127.0.0.1:{port}" in message and "--listen" in message, message
    finally:
        first.terminate()
        first.wait(timeout=20)


def test_a_used_directory_is_not_mixed_with_a_new_demo(binary, example, tmp_path):
    (tmp_path / "data" / "blobs").mkdir(parents=True)
    code, _, err = Demo(binary, example, tmp_path / "data").run()
    assert code == 1 and "--resume" in err


def test_a_full_disk_is_told_and_loses_nothing_acknowledged(binary, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    try:
        process, line = up(binary, disk / "data", free_port())
        url = line.rsplit(" ", 1)[1].strip()
        api = f"{url}/api/2.0/mlflow"
        run = requests.post(f"{api}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
        acknowledged, refusal = [], None
        for number in range(4000):
            tags = [{"key": f"tag-{number}-{part}", "value": "x" * 7000} for part in range(5)]
            answer = requests.post(f"{api}/runs/log-batch", json={"run_id": run, "tags": tags})
            if answer.status_code != 200:
                refusal = answer
                break
            acknowledged.append(number)
        assert refusal is not None and refusal.status_code == 503, refusal and refusal.text
        assert "room" in refusal.json()["message"], refusal.text
        process.kill()
        process.wait()
        (disk / "data" / "loopwright.sqlite-shm").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        process, line = up(binary, disk / "data", free_port())
        url = line.rsplit(" ", 1)[1].strip()
        data = requests.get(f"{url}/api/2.0/mlflow/runs/get", params={"run_id": run}).json()["run"]["data"]
        kept = {tag["key"] for tag in data["tags"]}
        assert all(f"tag-{number}-4" in kept for number in acknowledged)
        process.terminate()
        process.wait(timeout=20)
    finally:
        time.sleep(0.2)
        subprocess.run(["umount", "-l", disk], check=False)
