"""The lead board in a real browser, wide and at 360 px: every screen's width, contrast and console, a grade put down with the thumb."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import lead_rows
import pytest
from app_rows import copied
from browser import browser, errors, faint, outside, overlaps, serving, sideways, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_app_browser import go, open_app, plain
from test_app_leads import LATER

from salesml.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]
COMMAND = [sys.executable, "-c", "from salesml.cli import main; main()", "app", "leads"]


@pytest.fixture(scope="module")
def company(tiny_workspace, tmp_path_factory) -> Workspace:
    made = copied(tiny_workspace, tmp_path_factory.mktemp("leads-browser"))
    lead_rows.write(made, LATER)
    return made


@pytest.fixture(scope="module")
def address(company) -> Iterator[str]:
    with serving(company.root, COMMAND) as found:
        yield found


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_screen_is_whole_and_a_grade_is_written(address, width, dark):
    with browser(width, dark=dark) as driver:
        open_app(driver, address)
        body = driver.find_element(By.TAG_NAME, "body")

        def whole(screen: str) -> None:
            assert (sideways(driver), overlaps(driver), faint(driver)) == (0, [], []), screen

        go(driver, "Did grades hold", "Every grading")
        whole("Did grades hold")
        go(driver, "Work now", "to work now")
        whole("Work now")
        driver.find_element(By.CSS_SELECTOR, "button[data-lead]").send_keys(Keys.ENTER)
        until(lambda: driver.switch_to.active_element.get_attribute("id") == "lead", "the focus on the lead")
        until(lambda: "What happened" in body.text, "what happened")
        whole("Lead")
        small = driver.execute_script(
            "return [...document.querySelectorAll('.app button, .app select, .app input')].filter(e => e.checkVisibility() && "
            "e.getBoundingClientRect().height && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
        )
        assert small == [], "every control is high enough for a thumb"
        unnamed = driver.execute_script(
            "return [...document.querySelectorAll('select, input, button')].filter("
            "e => !(e.labels?.[0]?.textContent || e.textContent || e.getAttribute('aria-label') || '').trim()).map(e => e.outerHTML)"
        )
        assert unnamed == []
        put = driver.find_element(By.XPATH, "//button[.='Put my grade beside']")
        reason = driver.find_element(By.XPATH, "//input[@id=//label[starts-with(., 'Reason')]/@for]")
        reason.send_keys(f"known for {width} days", Keys.TAB)
        for press in range(1, 4):  # a press that overtakes the words just typed is refused
            put.click()
            try:
                until(lambda: "until before" in plain(body.text), "the grade put down", 40, lambda: plain(body.text))
                break
            except AssertionError:
                if press == 3 or "3 words" not in plain(body.text):
                    raise
        whole("Lead, graded")
        assert errors(driver) == [] and outside(driver) == []
