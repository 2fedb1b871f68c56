"""Pages of runs: the windowed table, filters, charts, comparison, files. Runs are logged over MLflow's REST protocol."""

import math
import time

import pytest
import requests
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

RUNS = 230
STEPS = 300
SPIKE_AT, SPIKE = 137, 99.0
WIDTHS = [1280, 400]
SCHEMES = ["light", "dark"]
NAMES = ["workspace", "plots", "compare", "overview", "metrics", "artifacts", "environment", "logs"]
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def logged(empty_url):
    """An experiment with more runs than a window holds, and one run with a history, files and a nested run."""

    def post(path, body):
        answer = requests.post(f"{empty_url}/api/2.0/mlflow{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    experiment = post("/experiments/create", {"name": "pages"})["experiment_id"]
    runs = []
    for index in range(RUNS):
        body = {"experiment_id": experiment, "run_name": f"run {index:03}", "start_time": 1_700_000_000_000 + index}
        run = post("/runs/create", body)["run"]["info"]["run_id"]
        metrics = [{"key": "mae", "value": 100.0 - index, "timestamp": 1, "step": 0}]
        params = [{"key": "model", "value": ["gbm", "mlp"][index % 2]}, {"key": "depth", "value": str(index % 7)}]
        post("/runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
        runs.append(run)
    first = runs[-1]
    points = [(step, SPIKE if step == SPIKE_AT else math.exp(-step / 90)) for step in range(STEPS)]
    metrics = [{"key": "loss", "value": y, "timestamp": 1_700_000_000_000 + x * 1000, "step": x} for x, y in points]
    post("/runs/log-batch", {"run_id": first, "metrics": metrics})
    post("/runs/set-tag", {"run_id": runs[0], "key": "mlflow.parentRunId", "value": first})
    files = {"page.html": "<script>window.bad = 1</script>", "data/t.csv": 'a,b\n1,"x, y"\n', "train.log": "epoch 1"}
    for path, text in files.items():
        address = f"{empty_url}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{first}/artifacts/{path}"
        assert requests.put(address, data=text.encode(), timeout=10).ok
    return {"experiment": experiment, "runs": runs, "first": first, "post": post}


@pytest.fixture
def workspace(browser, empty_url, logged, until):
    browser.get(f"{empty_url}/experiments/{logged['experiment']}")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".window.windowed"), "the table's script runs")
    return browser.find_element(By.CSS_SELECTOR, ".window")


def names(browser):
    script = "return [...document.querySelectorAll('tbody.rows tr[data-id]')].map(row => row.dataset.name)"
    return browser.execute_script(script)


def rows(url, logged, **asked):
    answer = requests.get(f"{url}/experiments/{logged['experiment']}/rows", params=asked, timeout=10)
    return answer.status_code, answer.json()


def test_the_list_finds_an_experiment_by_a_part_of_its_name(browser, empty_url, logged):
    browser.get(f"{empty_url}/experiments?search=AGE")
    links = [link.text for link in browser.find_elements(By.CSS_SELECTOR, "tbody th a")]
    assert links == ["pages"]


def test_old_links_lead_to_the_experiment(browser, empty_url, logged):
    browser.get(f"{empty_url}/experiments?experiment={logged['experiment']}")
    assert browser.current_url == f"{empty_url}/experiments/{logged['experiment']}"


def test_the_first_window_is_there_without_scripts(empty_url, logged):
    page = requests.get(f"{empty_url}/experiments/{logged['experiment']}", timeout=10).text
    assert f"run {RUNS - 1:03}" in page
    assert "run 000" not in page


@pytest.mark.parametrize(
    ("asked", "total", "first"),
    [
        ({}, RUNS, f"run {RUNS - 1:03}"),
        ({"filter": "params.model = 'gbm'"}, RUNS // 2, f"run {RUNS - 2:03}"),
        ({"filter": "metrics.mae > 98 OR run_name = 'run 100'", "order": "metrics.mae ASC"}, 3, "run 100"),
        ({"filter": "NOT (params.model = 'gbm')", "order": "run_name ASC", "offset": 1}, RUNS // 2, "run 003"),
        ({"view": "deleted"}, 0, None),
    ],
)
def test_a_window_is_the_part_of_the_search_that_was_asked_for(empty_url, logged, asked, total, first):
    status, answer = rows(empty_url, logged, limit=5, **asked)
    assert status == 200
    assert answer["total"] == total
    assert (answer["rows"][0]["name"] if answer["rows"] else None) == first
    assert len(answer["rows"]) <= 5


@pytest.mark.parametrize("asked", [{"filter": "metrics.mae >"}, {"columns": "wheels.x"}, {"limit": 501}, {"view": "x"}])
def test_a_wrong_window_says_what_is_wrong(empty_url, logged, asked):
    status, answer = rows(empty_url, logged, **asked)
    assert status == 400
    assert answer["detail"]


def test_columns_show_what_they_name(empty_url, logged):
    columns = "metrics.mae,max(metrics.loss),params.depth"
    _, answer = rows(empty_url, logged, columns=columns, limit=1)
    assert answer["rows"][0]["values"] == [f"{101 - RUNS}", "99", str((RUNS - 1) % 7)]


def test_scrolling_fetches_the_rows_that_are_looked_at(browser, workspace, until):
    assert 0 < len(names(browser)) < 100
    browser.execute_script("arguments[0].scrollTop = arguments[0].scrollHeight", workspace)
    until(lambda: "run 000" in names(browser), "the last run is shown")
    assert browser.execute_script(OVERFLOW) <= 0


def test_the_keyboard_walks_selects_hides_and_compares(browser, workspace, until):
    workspace.send_keys(Keys.ARROW_DOWN, Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    until(lambda: browser.find_element(By.CSS_SELECTOR, "[data-selected]").text.startswith("2 of"), "two are selected")
    workspace.send_keys("h")
    workspace.send_keys("p")
    until(lambda: "hide=" in browser.current_url and "pin=" in browser.current_url, "the URL keeps them")
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody.pinned tr")) == 1
    browser.find_element(By.CSS_SELECTOR, "[data-compare]").click()
    until(lambda: "/runs/compare" in browser.current_url, "the comparison opens")
    assert "2 runs" in browser.find_element(By.TAG_NAME, "h1").text


ACTIVE = "return document.querySelector('tbody tr.active')?.dataset.name"


def test_the_keyboard_stays_on_its_run_when_news_come(browser, workspace, logged, until):
    workspace.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    until(lambda: browser.execute_script(ACTIVE), "a row is active")
    before = browser.execute_script(ACTIVE)
    late = {"experiment_id": logged["experiment"], "run_name": "late", "start_time": 1_900_000_000_000}
    run = logged["post"]("/runs/create", late)["run"]["info"]["run_id"]
    browser.execute_script("document.body.dispatchEvent(new Event('live'))")
    until(lambda: names(browser)[0] == "late", "the new run is on top")
    assert browser.execute_script(ACTIVE) == before
    logged["post"]("/runs/delete", {"run_id": run})


def test_the_keyboard_reaches_what_is_pinned(browser, workspace, until):
    workspace.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, "p")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "tbody.pinned tr"), "the second run is pinned")
    pinned = browser.find_element(By.CSS_SELECTOR, "tbody.pinned tr")
    workspace.send_keys(Keys.HOME)
    until(lambda: "active" in pinned.get_attribute("class"), "the pinned row is active")
    assert workspace.get_attribute("aria-activedescendant") == pinned.get_attribute("id")
    workspace.send_keys("p")
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, "tbody.pinned tr"), "it is pinned no more")


def test_a_ticked_box_keeps_the_focus(browser, workspace, until):
    boxes = lambda: browser.find_elements(By.CSS_SELECTOR, "tbody.rows [data-select]")  # noqa: E731
    boxes()[3].click()
    until(lambda: boxes()[3].is_selected(), "it is ticked")
    assert browser.execute_script("return document.activeElement") == boxes()[3]


def test_a_wrong_filter_is_explained_under_the_box(browser, workspace, until):
    box = browser.find_element(By.ID, "filter")
    box.send_keys("metrics.mae >>> 3", Keys.ESCAPE, Keys.ENTER)
    until(lambda: "filter=" in browser.current_url, "the filter is sent")
    assert "filter" in browser.find_element(By.ID, "filter-error").text
    assert browser.find_element(By.ID, "filter").get_property("value") == "metrics.mae >>> 3"


def test_the_filter_offers_keys_and_operators(browser, workspace, until):
    box = browser.find_element(By.ID, "filter")
    # At once, for the choices may change between one and the next.
    texts = "return [...document.querySelectorAll('#filter-choices li')].map(item => item.innerText)"
    offered = lambda: browser.execute_script(texts)  # noqa: E731
    box.send_keys("params.de")
    until(lambda: offered() == ["params.depth"], "the key is offered")
    box.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    until(lambda: "LIKE" in offered(), "operators are offered")
    box.send_keys("= '3'", Keys.ESCAPE, Keys.ENTER)
    until(lambda: "filter=" in browser.current_url, "the filter is sent")
    assert all(index % 7 == 3 for index in (int(name[4:]) for name in names(browser)))


def test_groups_open_to_their_runs(browser, empty_url, logged, until):
    browser.get(f"{empty_url}/experiments/{logged['experiment']}?group=params.model&columns=metrics.mae")
    lines = [row.text.split() for row in browser.find_elements(By.CSS_SELECTOR, "section.card:not(.runs) tbody tr")]
    assert [line[:2] for line in lines] == [["gbm", str(RUNS // 2)], ["mlp", str(RUNS // 2)]]
    browser.find_element(By.LINK_TEXT, "mlp").click()
    until(lambda: "filter=" in browser.current_url, "the group's runs are listed")
    assert f"{RUNS // 2} runs match" in browser.find_element(By.CSS_SELECTOR, "p.lead").text


def test_a_chart_keeps_the_spike_at_any_width(empty_url, logged):
    asked = {"runs": logged["first"], "key": "loss", "width": 16}
    [line] = requests.get(f"{empty_url}/api/v1/runs/series", params=asked, timeout=10).json()["runs"]
    assert max(line["max"]) == SPIKE
    assert len(line["x"]) <= 16
    asked |= {"from": 10, "to": 20, "width": 800}
    [line] = requests.get(f"{empty_url}/api/v1/runs/series", params=asked, timeout=10).json()["runs"]
    assert line["x"] == list(range(9, 22))


def test_charts_are_drawn_zoomed_and_survive_news(browser, empty_url, logged, until):
    browser.get(f"{empty_url}/runs/{logged['first']}?tab=metrics")
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".chart-card canvas")) == 2, "both charts are drawn")
    surface = browser.find_element(By.CSS_SELECTOR, ".u-over")
    drag = ActionChains(browser).move_to_element_with_offset(surface, -40, 0).click_and_hold()
    drag.move_by_offset(90, 0).release().perform()
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".chart-card.zoomed"), "it is zoomed")
    browser.execute_script("document.activeElement.blur()")
    logged["post"]("/runs/set-tag", {"run_id": logged["first"], "key": "seen", "value": "yes"})
    browser.execute_script("document.body.dispatchEvent(new Event('live'))")
    time.sleep(0.5)
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".chart-card canvas")) == 2, "the charts are still there")
    assert browser.find_elements(By.CSS_SELECTOR, ".chart-card.zoomed")


def test_a_chart_is_zoomed_without_a_pointer(browser, empty_url, logged, until):
    browser.get(f"{empty_url}/runs/{logged['first']}?tab=metrics&search=loss")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".chart-card canvas"), "the chart is drawn")
    plot = browser.find_element(By.CSS_SELECTOR, ".chart-card .plot")
    plot.send_keys("+")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".chart-card.zoomed"), "it is zoomed")
    plot.send_keys(Keys.ESCAPE)
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, ".chart-card.zoomed"), "it shows all again")


def test_a_comparison_shows_differences_from_the_baseline(browser, empty_url, logged):
    two = logged["runs"][:2]
    browser.get(f"{empty_url}/runs/compare?runs={','.join(two)}&baseline={two[1]}")
    found = browser.find_elements(By.CSS_SELECTOR, "tbody tr:has(th)")
    lines = {row.find_element(By.TAG_NAME, "th").text: row for row in found}
    assert "+1 (+1.0 %)" in lines["mae"].text
    assert {"model", "depth"} <= set(lines)
    [best] = lines["mae"].find_elements(By.CSS_SELECTOR, "td.best")
    assert best.text.startswith("99")


def test_values_that_differ_late_are_written_in_full(empty_url, logged):
    runs = []
    for value in (0.500001, 0.500002):
        body = {"experiment_id": logged["experiment"], "run_name": "close", "start_time": 1}
        runs.append(logged["post"]("/runs/create", body)["run"]["info"]["run_id"])
        logged["post"]("/runs/log-metric", {"run_id": runs[-1], "key": "close", "value": value, "timestamp": 1})
    page = requests.get(f"{empty_url}/runs/compare?runs={','.join(runs)}&x=time", timeout=10).text
    assert "0.500001" in page
    assert "0.500002" in page
    assert page.count("x=time") >= 4
    for run in runs:
        logged["post"]("/runs/delete", {"run_id": run})
    plots = f"{empty_url}/experiments/{logged['experiment']}/plots"
    asked = {"view": "deleted", "x": "attributes.run_name", "y": "metrics.close"}
    assert requests.get(plots, params=asked, timeout=10).text.count("<circle") == 2


def test_one_run_that_cannot_be_changed_keeps_no_other_from_it(empty_url, logged):
    bulk = f"{empty_url}/experiments/{logged['experiment']}/bulk"
    fields = {"action": "tag", "key": "bulk", "value": "yes", "runs": f"{'0' * 32},{logged['runs'][7]}"}
    answer = requests.post(bulk, data=fields, timeout=10)
    assert answer.status_code == 404
    assert "1 of 2 runs were changed, 1 were not" in answer.text
    assert rows(empty_url, logged, filter="tags.bulk = 'yes'")[1]["total"] == 1


def test_the_largest_numbers_are_drawn(empty_url, logged):
    body = {"experiment_id": logged["experiment"], "run_name": "wide", "start_time": 2}
    run = logged["post"]("/runs/create", body)["run"]["info"]["run_id"]
    points = [{"key": "wide", "value": y, "timestamp": x, "step": x} for x, y in enumerate((1.7e308, -1.7e308))]
    logged["post"]("/runs/log-batch", {"run_id": run, "metrics": points})
    picture = requests.get(f"{empty_url}/api/v1/runs/chart.svg", params={"runs": run, "key": "wide"}, timeout=10)
    logged["post"]("/runs/delete", {"run_id": run})
    assert picture.status_code == 200
    assert "NaN" not in picture.text
    assert "inf" not in picture.text


def test_plots_draw_a_point_and_a_line_a_run(browser, empty_url, logged, until):
    asked = "columns=params.depth,params.model,metrics.mae&x=params.depth&y=metrics.mae"
    browser.get(f"{empty_url}/experiments/{logged['experiment']}/plots?{asked}")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.scatter circle")) == RUNS
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg.parallel polyline")) == RUNS, "a line a run")


def test_files_are_shown_and_never_run(browser, empty_url, logged):
    page = f"{empty_url}/runs/{logged['first']}?tab=artifacts"
    browser.get(f"{page}&path=page.html")
    assert "window.bad" in browser.find_element(By.CSS_SELECTOR, "pre.preview").text
    assert browser.execute_script("return window.bad") is None
    browser.get(f"{page}&path=data/t.csv")
    assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "div.preview td")] == ["1", "x, y"]
    answer = requests.get(f"{empty_url}/runs/{logged['first']}/image", params={"path": "page.html"}, timeout=10)
    assert answer.status_code == 400


def test_an_export_holds_every_matching_run(empty_url, logged):
    asked = {"filter": "params.model = 'mlp'", "columns": "metrics.mae,params.depth"}
    address = f"{empty_url}/experiments/{logged['experiment']}/export.csv"
    lines = requests.get(address, params=asked, timeout=30).text.splitlines()
    assert lines[0].endswith("metrics.mae,params.depth")
    assert len(lines) == RUNS // 2 + 1
    parquet = requests.get(address.replace(".csv", ".parquet"), params=asked, timeout=30)
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"


def test_a_person_renames_notes_deletes_and_restores(empty_url, logged):
    run = logged["runs"][5]
    for path, fields in {"name": {"name": "renamed"}, "note": {"note": "<b>looked at</b>"}}.items():
        assert requests.post(f"{empty_url}/runs/{run}/{path}", data=fields, timeout=10).status_code == 200
    page = requests.get(f"{empty_url}/runs/{run}", timeout=10).text
    assert "renamed" in page
    assert "<b>looked" not in page
    bulk = f"{empty_url}/experiments/{logged['experiment']}/bulk"
    before = rows(empty_url, logged, view="deleted")[1]["total"]
    for action, deleted in [("delete", before + 1), ("restore", before)]:
        assert requests.post(bulk, data={"action": action, "runs": run}, timeout=10).status_code == 200
        assert rows(empty_url, logged, view="deleted")[1]["total"] == deleted


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_pages_of_runs_look_right(browser, empty_url, logged, name, width, scheme):
    places = {
        "workspace": f"/experiments/{logged['experiment']}",
        "plots": f"/experiments/{logged['experiment']}/plots",
        "compare": f"/runs/compare?runs={','.join(logged['runs'][:6])}",
    }
    path = places.get(name, f"/runs/{logged['first']}?tab={name}")
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        browser.get_log("browser")
        browser.get(empty_url + path)
        time.sleep(0.3)
        assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert browser.execute_script(OVERFLOW) <= 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
