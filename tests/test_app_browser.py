"""The pipeline app in a real browser: its numbers, its width, its contrast, the keyboard's way, and whom it asks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import app_rows
import pytest
from app_rows import LATER
from browser import browser, errors, faint, outside, overlaps, prefer, serving, sideways, until
from deal_stories import DAY
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_app import quarter_by_hand
from test_app_pipeline import open_by_hand

from salesml.apps.language import Language
from salesml.workflows.deals import score_deals
from salesml.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]
EN = Language()
SCREENS = ("Landing", "Deals", "Deal story")
UNNAMED = (
    "return [...document.querySelectorAll('select, input, button')].filter("
    "e => !(e.labels?.[0]?.textContent || e.textContent || e.getAttribute('aria-label') || '').trim()).map(e => e.outerHTML)"
)


@pytest.fixture(scope="module")
def scored(tiny_workspace, tmp_path_factory) -> Workspace:
    made = app_rows.copied(tiny_workspace, tmp_path_factory.mktemp("browser"))
    app_rows.write(made, LATER)
    return made


@pytest.fixture(scope="module")
def address(scored) -> Iterator[str]:
    with serving(scored.root) as found:
        yield found


@pytest.fixture(scope="module")
def desk(told_workspace, tmp_path_factory) -> Iterator[str]:
    """The address of the app of a company whose deals are scored by a registered model."""
    made = app_rows.copied(told_workspace, tmp_path_factory.mktemp("desk"))
    score_deals(made, DAY, 2)
    with serving(made.root) as found:
        yield found


def open_app(driver, address: str) -> None:
    """Open the page and wait until its widgets are there."""
    driver.get(address)
    alive = "return document.body.classList.contains('live')"
    until(lambda: driver.execute_script(alive), "the widgets", told=lambda: [*errors(driver), driver.page_source[-2000:]])


def go(driver, screen: str, told: str) -> None:
    """Choose a screen and wait for what it must tell."""
    tab = next(t for t in driver.find_elements(By.CSS_SELECTOR, "[role=tab]") if t.text == screen)
    tab.click()
    until(lambda: tab.get_attribute("aria-selected") == "true", f"the screen {screen}")
    panel = f"[role=tabpanel][aria-labelledby='{tab.get_attribute('id')}']"
    until(lambda: told in plain(driver.find_element(By.CSS_SELECTOR, panel).text), f"{told!r} on {screen}", 90)


def plain(shown: str) -> str:
    return re.sub(r"\s+", " ", shown)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_screen_is_whole_and_true(address, scored, width, dark):
    """The page comes to a reader who prefers light, or dark; on every screen the reader changes his mind twice."""
    expected = quarter_by_hand(scored, LATER, "company")
    amount, low = (EN.money(expected[name], "USD") for name in ("amount", "lo80"))
    answer = plain(f"is heading for {amount} in {EN.span(dt.date(2026, 4, 1), dt.date(2026, 7, 1))}, most likely {low}")
    deals = open_by_hand(scored, LATER)
    told = {"Landing": answer, "Deals": f"of {len(deals)} open deals", "Deal story": "Why this chance to win"}
    with browser(width, dark=dark) as driver:
        open_app(driver, address)
        assert driver.execute_script(UNNAMED) == []
        roles = [len(driver.find_elements(By.CSS_SELECTOR, f".app [role={role}]")) for role in ("tablist", "tab", "tabpanel")]
        assert roles == [1, 3, 3]
        assert driver.title == "Pipeline and forecast"
        assert driver.execute_script("return document.documentElement.lang") == "en"
        for screen in SCREENS:
            go(driver, screen, told[screen])
            assert len(driver.find_elements(By.CSS_SELECTOR, "#snapshot")) == 0
            assert sideways(driver) == 0, f"{screen} scrolls sideways at {width} px"
            assert overlaps(driver) == [], screen
            for scheme in (not dark, dark):
                prefer(driver, scheme)
                assert faint(driver) == [], (screen, scheme)
        assert driver.execute_script("return document.documentElement.clientWidth") == pytest.approx(width, abs=16)
        assert errors(driver) == []
        assert outside(driver) == []


def test_choices_reach_the_kernel(address, scored):
    expected = quarter_by_hand(scored, LATER, "West")
    with browser(1280) as driver:
        open_app(driver, address)
        driver.find_element(By.XPATH, "//select[option='West']/option[.='West']").click()
        answer = plain(f"West is heading for {EN.money(expected['amount'], 'USD')}")
        until(lambda: answer in plain(driver.find_element(By.CSS_SELECTOR, ".answer").text), "the answer for West")
        west = open_by_hand(scored, LATER).query("region == 'West'")
        go(driver, "Deals", f"of {len(west)} open deals show")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_a_deal_s_story_is_whole_and_a_what_if_answers(desk, width, dark):
    with browser(width, dark=dark) as driver:
        open_app(driver, desk)
        go(driver, "Deal story", "Why this chance to win")
        body = driver.find_element(By.TAG_NAME, "body")
        for told in ("What to do next", "Why, in words", "Since last week", "Past deals like it", "Nothing is changed yet"):
            until(lambda told=told: told in plain(body.text), told)
        stages = driver.find_element(By.XPATH, "//label[.='Stage']/..").find_elements(By.TAG_NAME, "option")
        next(option for option in stages[1:] if not option.is_selected()).click()
        until(lambda: "The model would score" in plain(body.text), "the score of the what-if")
        assert "not what would happen" in plain(body.text)
        assert (sideways(driver), overlaps(driver), faint(driver), errors(driver)) == (0, [], [], [])
        inside = "const t = document.querySelectorAll('.app table'), w = innerWidth;"
        assert driver.execute_script(inside + "return [...t].filter(e => e.getBoundingClientRect().right > w - 8).length") == 0


@pytest.mark.parametrize("width", [1280, 360])
def test_the_keyboard_alone_leads_to_a_deal_s_story(address, width):
    with browser(width) as driver:
        open_app(driver, address)

        def focused():
            return driver.switch_to.active_element

        def tab_to(fits, what: str) -> None:
            for _ in range(60):
                focused().send_keys(Keys.TAB)
                if fits(focused()):
                    return
            pytest.fail(f"the Tab key does not reach {what}")

        def outlined() -> bool:
            return driver.execute_script(
                "const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2"
            )

        tab_to(lambda e: e.get_attribute("role") == "tab", "the tabs")
        assert outlined()
        focused().send_keys(Keys.ARROW_RIGHT)
        focused().send_keys(Keys.ENTER)
        until(
            lambda: focused().get_attribute("aria-selected") == "true" and focused().text == "Deals", "the screen Deals"
        )
        tab_to(lambda e: e.get_attribute("data-deal"), "the first deal")
        assert outlined()
        name = focused().text
        focused().send_keys(Keys.ENTER)
        until(lambda: focused().get_attribute("id") == "story" and focused().text == name, "the story of the deal")


def test_a_page_whose_widgets_did_not_come_is_asked_for_again(address):
    with browser(1280) as driver:
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/voila/build/*", "*/static/voila.js*"]})
        driver.get(address)
        until(lambda: driver.execute_script("return sessionStorage.getItem('asked again')") == "yes", "the second asking")
        assert not driver.execute_script("return document.body.classList.contains('live')")
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        open_app(driver, address)
        assert driver.execute_script("return sessionStorage.getItem('asked again')") is None


def test_the_answer_is_in_the_page_before_any_script_runs(address, scored):
    expected = quarter_by_hand(scored, LATER, "company")
    with browser(360) as driver:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        driver.get(address)
        body = driver.find_element(By.TAG_NAME, "body")
        assert plain(f"is heading for {EN.money(expected['amount'], 'USD')}") in plain(body.text)


def test_the_checks_find_what_is_wrong():
    page = (
        "<body style='background:#fff'><p style='position:absolute;top:20px'>one one</p>"
        "<p style='position:absolute;top:24px;color:#aaa'>two two</p><div style='width:3000px'>wide</div></body>"
    )
    with browser(360) as driver:
        driver.get(f"data:text/html,{page.replace('#', '%23')}")
        assert overlaps(driver) == [["one one", "two two"]]
        assert [found for found, _ in faint(driver)] == ["two two"]
        assert sideways(driver) > 2000
        driver.execute_script("fetch('http://localhost:9/').catch(() => {})")
        assert outside(driver) == ["http://localhost:9/"]
        assert any("localhost:9" in message for message in errors(driver))
