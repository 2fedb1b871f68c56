import os
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

import example

TAXI = Path(__file__).parents[2] / "examples" / "taxi"
START_DEADLINE_S = 120
STOP_DEADLINE_S = 15
WAIT_S = 60
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1280,1000",
]


@contextmanager
def running(folder, *command):
    """The binary with these arguments; the value is the address that it prints."""
    binary = os.environ.get("LOOPWRIGHT_BIN")
    if not binary:
        pytest.exit("set LOOPWRIGHT_BIN to the loopwright binary", returncode=3)
    command = [str(Path(binary).resolve()), *command, "--data-dir", str(folder / "data"), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, said = Queue(), []
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()

    def address():
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                said.append(lines.get(timeout=0.2))
            except Empty:
                continue
            if found := ADDRESS.search(said[-1]):
                return found[0]
        pytest.exit("loopwright printed no address: " + "".join(said), returncode=3)

    try:
        yield address()
        if process.poll() is not None:
            said.extend(lines.queue)
            pytest.fail(f"loopwright ended with {process.returncode}: " + "".join(said)[-5000:])
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    """A demo that waits for a person at its pages."""
    folder = tmp_path_factory.mktemp("loopwright")
    project = example.make(TAXI, folder / "project")
    with running(folder, "demo", "--example", str(project), "--approve", "page", "--keep") as address:
        yield address


@pytest.fixture(scope="session")
def empty_url(tmp_path_factory):
    """A server on which nothing has happened yet."""
    with running(tmp_path_factory.mktemp("empty"), "up", "--print-url") as address:
        yield address


def eventually(look, what):
    """The first true answer of `look`."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


@pytest.fixture(scope="session")
def api(url):
    def get(path):
        answer = requests.get(f"{url}/api/v1{path}", timeout=10)
        return answer.json() if answer.ok else {}

    return get


@pytest.fixture(scope="session")
def waiting(api):
    """Waits until this version needs a decision."""

    def wait(version):
        def look():
            status = api("/projects/taxi/loop")
            asked = status.get("waits_for") == "approval" and status["attempt"]["version"] == version
            return asked and status

        return eventually(look, f"version {version} waits for approval")

    return wait


@contextmanager
def chromium(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def colleague(tmp_path_factory):
    """The browser of a second person."""
    with chromium(tmp_path_factory.mktemp("colleague")) as driver:
        yield driver


@pytest.fixture
def until(browser):
    """Waits for something of the page that is open."""
    return lambda look, what: WebDriverWait(browser, WAIT_S, poll_frequency=0.05).until(lambda _: look(), what)
