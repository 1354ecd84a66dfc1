"""The forecast app in a real browser: every screen's width, contrast and console, a number of one's own, the keyboard on a lever."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import app_rows
import pytest
from app_rows import copied
from browser import browser, errors, faint, outside, overlaps, serving, sideways, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_app_browser import go, open_app, plain
from test_app_forecast import AFTER

from salesml.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]
COMMAND = [sys.executable, "-c", "from salesml.cli import main; main()", "app", "forecast"]
TOLD = {
    "Landing": "Since", "Where": "Own call", "Changes": "Waterfall", "Own number": "The model says", "What if": "Three joint scenarios",
}  # fmt: skip


@pytest.fixture(scope="module")
def company(tiny_workspace, tmp_path_factory) -> Workspace:
    made = copied(tiny_workspace, tmp_path_factory.mktemp("cockpit-browser"))
    app_rows.write(made, AFTER)
    return made


@pytest.fixture(scope="module")
def address(company) -> Iterator[str]:
    with serving(company.root, COMMAND) as found:
        yield found


def put_down(button, body) -> None:
    """Press until it is written: a press that overtakes the words just typed on their way to the kernel is refused as before."""
    for press in range(1, 4):
        button.click()
        try:
            until(lambda: "now stands at 250,000.00 USD" in plain(body.text), "the number put down", 40, lambda: plain(body.text))
            return
        except AssertionError:
            if press == 3 or "has not 3 words" not in plain(body.text):
                raise


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_screen_is_whole_and_a_number_is_written(address, width, dark):
    with browser(width, dark=dark) as driver:
        open_app(driver, address)
        for screen, told in TOLD.items():
            go(driver, screen, told)
            assert (sideways(driver), overlaps(driver), faint(driver)) == (0, [], []), screen
        unnamed = driver.execute_script(
            "return [...document.querySelectorAll('select, input, button')].filter("
            "e => !(e.labels?.[0]?.textContent || e.textContent || e.getAttribute('aria-label') || '').trim()).map(e => e.outerHTML)"
        )
        assert unnamed == []
        body = driver.find_element(By.TAG_NAME, "body")
        lever = driver.find_element(By.XPATH, "//input[@id=//label[.='Win rate']/@for]")
        lever.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        until(lambda: "With win rate +2 %" in plain(body.text), "the answer to the lever")
        assert lever.get_attribute("aria-valuetext") == "+2\u00a0%"
        go(driver, "Own number", "The model says")
        driver.find_element(By.XPATH, "//input[@id=//label[starts-with(., 'Amount')]/@for]").send_keys("250000")
        reason = driver.find_element(By.XPATH, "//input[@id=//label[starts-with(., 'Reason')]/@for]")
        put = driver.find_element(By.XPATH, "//button[.='Put this number down']")
        reason.send_keys("hope", Keys.TAB)
        put.click()
        until(lambda: "has not 3 words" in plain(body.text), "the refusal in words")
        reason.send_keys(f" of {width} orders", Keys.TAB)
        put_down(put, body)
        assert "In force" in body.text and (sideways(driver), overlaps(driver), faint(driver)) == (0, [], [])
        go(driver, "Where", "Own call")
        driver.find_element(By.CSS_SELECTOR, "button[data-node='region/West']").send_keys(Keys.ENTER)
        until(lambda: driver.switch_to.active_element.get_attribute("id") == "node", "the focus on the node")
        assert "West" in driver.switch_to.active_element.text
        assert errors(driver) == [] and outside(driver) == []
