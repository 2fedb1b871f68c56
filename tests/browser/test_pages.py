"""Every page at two widths, light and dark."""

import base64
import os
from pathlib import Path

import pytest
import requests
from selenium.webdriver.common.by import By

PAGES = {
    "home": "/",
    "loop": "/projects/taxi",
    "monitor": "/projects/taxi/monitor",
    "models": "/models",
    "version": "/models/taxi-price/1",
    "version-to-decide": "/models/taxi-price/3",
    "endpoints": "/endpoints",
    "endpoint": "/endpoints/taxi-price",
    "explain": "/endpoints/taxi-price/explain",
    "explain-model": "/endpoints/taxi-price/explain/model",
    "explain-cohorts": "/endpoints/taxi-price/explain/cohorts?column=trip_distance&test=at_least&value=5",
    "explain-drift": "/endpoints/taxi-price/explain/drift",
    "explain-fairness": "/endpoints/taxi-price/explain/fairness?by=hour&by=vendor_id",
    "runs": "/experiments",
    "run": "/runs/{run}",
    "audit": "/audit",
}
EMPTY_PAGES = ["/", "/models", "/endpoints", "/experiments", "/audit"]
WIDTHS = [1280, 400]
SCHEMES = ["light", "dark"]
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
RESOURCES = "return performance.getEntriesByType('resource').map(entry => entry.name)"


@pytest.fixture(scope="module")
def places(api, waiting):
    """Once the third version waits there is something to see on every page."""
    waiting(3)
    run = api("/models/taxi-price/versions/1")["version"]["run_id"]
    return {name: path.format(run=run) for name, path in PAGES.items()}


def screenshot(browser, name):
    folder = os.environ.get("LOOPWRIGHT_SCREENSHOTS")
    if folder:
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture
def look(browser):
    """Opens an address as a screen of this width and scheme shows it, and finds nothing wrong."""

    def open_and_check(origin, path, name, width, scheme):
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get_log("browser")
        browser.get(origin + path)
        screenshot(browser, f"{name}-{width}-{scheme}")
        assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert [name for name in browser.execute_script(RESOURCES) if not name.startswith(f"{origin}/")] == []
        assert browser.execute_script(OVERFLOW) <= 0
        assert browser.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")

    yield open_and_check
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("name", PAGES)
def test_a_page_answers(url, places, name):
    assert requests.get(url + places[name], timeout=10).status_code == 200


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_right(look, url, places, name, width, scheme):
    look(url, places[name], name, width, scheme)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", EMPTY_PAGES)
def test_an_empty_server_looks_right(look, empty_url, path, width):
    assert requests.get(empty_url + path, timeout=10).status_code == 200
    look(empty_url, path, f"empty{path.replace('/', '-').rstrip('-')}", width, "light")
