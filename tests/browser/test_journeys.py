"""What a person does, in the order of one story: the tests of this file build on each other."""

import pytest
import requests
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

MODEL = "taxi-price"
APPROVAL = "Checked the error by zone; it may quote prices"
REJECTION = "The weekend prices look wrong"
MOST_TABS = 60


def heading(browser):
    """The text of the h1, also while the page is being replaced."""
    try:
        return browser.find_element(By.TAG_NAME, "h1").text
    except StaleElementReferenceException:
        return ""


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def tab_to(browser, is_it):
    """Moves the focus with Tab alone, as somebody without a mouse does."""
    for _ in range(MOST_TABS):
        press(browser, Keys.TAB)
        if is_it(browser.switch_to.active_element):
            return
    raise AssertionError("Tab never reaches it")


def links_to(path):
    return lambda element: (element.get_dom_attribute("href") or "") == path


def named(name):
    return lambda element: element.get_dom_attribute("name") == name


def decides(decision):
    return lambda element: element.get_dom_attribute("value") == decision


def state(api, version):
    return api(f"/models/{MODEL}/versions/{version}")["version"]["state"]


def audit_rows(browser, url, kind):
    browser.get(f"{url}/audit")
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr")]
    return [row for row in rows if f"registry.{kind}" in row]


def test_an_approval_without_a_reason_is_stopped_by_the_form(browser, url, api, waiting):
    waiting(1)
    page = f"{url}/models/{MODEL}/1"
    browser.get(page)
    browser.find_element(By.CSS_SELECTOR, "button[value=approve]").click()
    reason = browser.find_element(By.NAME, "reason")
    assert reason.get_property("validity")["valueMissing"]
    assert browser.current_url == page
    assert state(api, 1) == "awaiting_approval"


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_approval_without_a_reason_is_refused_by_the_server_too(url, api, reason):
    fields = {"decision": "approve", "reason": reason, "digest": ""}
    answer = requests.post(f"{url}/models/{MODEL}/1/decide", data=fields, timeout=10)
    assert 400 <= answer.status_code < 500
    assert "reason" in answer.text
    assert state(api, 1) == "awaiting_approval"


def test_without_scripts_the_loop_page_is_all_there(browser, url):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{url}/projects/taxi")
        assert "version 1 waits for approval" in heading(browser)
        heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "th")]
        assert {"Month", "Answered by", "Verdict"} <= set(heads)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_first_version_is_approved_with_the_keyboard_only(browser, url, api, until):
    browser.get(url)
    for path in ["/projects/taxi", f"/models/{MODEL}/1"]:
        tab_to(browser, links_to(path))
        press(browser, Keys.ENTER)
        until(lambda path=path: browser.current_url == url + path, f"{path} opens")
    tab_to(browser, named("reason"))
    press(browser, APPROVAL)
    tab_to(browser, decides("approve"))
    press(browser, Keys.ENTER)
    until(lambda: "serving" in heading(browser), "the page says serving")
    page = browser.find_element(By.TAG_NAME, "main").text
    assert APPROVAL in page
    assert not browser.find_elements(By.CSS_SELECTOR, "form.decide")
    [approved] = audit_rows(browser, url, "approved")
    assert APPROVAL in approved
    assert "local:owner" in approved


def test_a_rejection_shows_on_the_loop_page_without_a_reload(browser, colleague, url, api, waiting, until):
    waiting(2)
    browser.get(f"{url}/projects/taxi")
    assert "version 2 waits for approval" in heading(browser)
    until(lambda: browser.find_element(By.ID, "live-status").text == "live", "the page listens")
    browser.execute_script("window.sameDocument = true")

    colleague.get(f"{url}/models/{MODEL}/2")
    colleague.find_element(By.NAME, "reason").send_keys(REJECTION)
    colleague.find_element(By.CSS_SELECTOR, "button[value=reject]").click()
    until(lambda: "rejected" in heading(colleague), "the page says rejected")
    assert REJECTION in colleague.find_element(By.TAG_NAME, "main").text

    until(lambda: "version 2 waits" not in heading(browser), "the headline changes")
    assert browser.execute_script("return window.sameDocument")
    assert browser.execute_script("return performance.getEntriesByType('navigation').length") == 1
    assert state(api, 2) == "rejected"
    [rejected] = audit_rows(browser, url, "rejected")
    assert REJECTION in rejected


def test_a_changed_value_moves_prediction_and_reasons(browser, url, until):
    browser.get(f"{url}/endpoints/{MODEL}/explain")
    prediction = lambda: browser.find_element(By.CSS_SELECTOR, "#answer .stats dd").text
    before = prediction()
    field = browser.find_element(By.NAME, "x.trip_distance")
    field.clear()
    field.send_keys("18.5")

    def is_moved():
        try:
            return "trip_distance = 18.5" in browser.find_element(By.CSS_SELECTOR, "#answer svg").text
        except StaleElementReferenceException:
            return False

    until(is_moved, "the waterfall of the new value")
    assert prediction() != before
    assert "x.trip_distance=18.5" in browser.current_url, "the row can be sent to somebody"
    field = browser.find_element(By.NAME, "x.trip_distance")
    assert field.get_property("value") == "18.5", "what was typed stays"
    field.clear()
    field.send_keys("far")
    until(lambda: "is no number" in browser.find_element(By.ID, "answer").text, "the refusal of a word")


def test_the_page_words_reasons_and_says_what_would_have_to_change(browser, url, until):
    settings = {
        "catalogue": [
            {
                "feature": "trip_distance",
                "code": "T01",
                "texts": {"en": "A trip of {value} miles", "de": "Eine Fahrt von {value} Meilen"},
            }
        ],
        "default_language": "en",
        "actions": {"trip_distance": {"direction": "down", "least": 0}},
    }
    put = requests.put(f"{url}/api/v1/endpoints/{MODEL}/explain/settings", json=settings, timeout=10)
    assert put.status_code == 200, put.text
    browser.get(f"{url}/endpoints/{MODEL}/explain?x.trip_distance=18.5&lang=de")
    part = lambda name: browser.find_element(By.ID, name).text

    def says(name, text):
        def look():
            try:
                return text in part(name)
            except (NoSuchElementException, StaleElementReferenceException):
                return False

        return look

    assert "Eine Fahrt von 18.5 Meilen" in part("answer") and "T01" in part("answer")
    assert "training table" in part("near"), "the champion's own"
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#near th")]
    assert len([head for head in heads if head.startswith("Row ")]) == 3
    assert "trip_distance" in part("room")
    # Of an option that is clicked the driver tells by "change" alone, where people's browsers say "input" too.
    browser.find_element(By.NAME, "lang").send_keys("e")
    until(says("answer", "A trip of 18.5 miles"), "the reason in English")
    wanted = float(browser.find_element(By.CSS_SELECTOR, "#answer .stats dd").text) - 5
    browser.find_element(By.NAME, "at_most").send_keys(f"{wanted:.2f}")
    until(says("changes", "trip_distance 18.5 →"), "a shorter trip")


def headings(browser):
    # At once, for the page may change between one and the next.
    return browser.execute_script("return [...document.querySelectorAll('main h2')].map(head => head.innerText)")


def test_the_endpoint_leads_to_what_the_model_does(browser, url, until):
    browser.get(f"{url}/endpoints/{MODEL}")
    browser.find_element(By.LINK_TEXT, "Explain the model").click()
    until(lambda: "What the model does" in heading(browser), "the page of the model")
    found = headings(browser)
    assert {"Importance", "Values by row", "Permutation importance"} <= set(found)
    assert "Dependence on trip_distance" in found and "Local effect of trip_distance" in found
    charts = browser.find_elements(By.CSS_SELECTOR, "main svg.explanation")
    assert len(charts) == len(found), "a chart under each heading"


def test_cohorts_are_compared_by_a_form(browser, url, until):
    browser.get(f"{url}/endpoints/{MODEL}/explain/cohorts")
    assert not browser.find_elements(By.CSS_SELECTOR, "main svg.explanation"), "nothing is asked yet"
    Select(browser.find_element(By.ID, "column")).select_by_value("trip_distance")
    Select(browser.find_element(By.ID, "test")).select_by_value("at_least")
    browser.find_element(By.ID, "value").send_keys("5")
    browser.find_element(By.CSS_SELECTOR, "#cohorts button").click()
    until(lambda: "What moves their scores apart" in headings(browser), "the comparison")
    assert "column=trip_distance" in browser.current_url, "the comparison can be sent to somebody"
    chart = browser.find_element(By.CSS_SELECTOR, "main svg.explanation").text
    assert "trip_distance" in chart and "higher scores among trip_distance is at least 5" in chart
    assert Select(browser.find_element(By.ID, "column")).first_selected_option.text == "trip_distance"
    value = browser.find_element(By.ID, "value")
    value.clear()
    value.send_keys("far")
    browser.find_element(By.CSS_SELECTOR, "#cohorts button").click()
    until(lambda: "This cannot be shown" in headings(browser), "the refusal of a word")


def test_slices_are_measured_by_a_form(browser, url, until):
    browser.get(f"{url}/endpoints/{MODEL}/explain/fairness")
    Select(browser.find_element(By.ID, "by")).select_by_value("hour")
    browser.find_element(By.CSS_SELECTOR, "#slices button").click()
    until(lambda: "Slice by slice" in headings(browser), "the slices")
    found = headings(browser)
    assert {"All slices", "Mean prediction", "Mean absolute error"} <= set(found)
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "main tbody th[scope=row]")]
    assert any(row.startswith("hour: below") for row in rows) and any("or above" in row for row in rows)
    assert "whether a difference is fair they do not say" in browser.find_element(By.CSS_SELECTOR, "main .lead").text
