"""The apps behind their front in a real browser: a snapshot at once, filters without a kernel, live on the first press, at rest again."""

from __future__ import annotations

import datetime as dt
import functools
import os
import signal
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import app_rows
import pytest
from app_rows import EARLIER, LATER
from browser import browser, errors, faint, outside, overlaps, serving, sideways, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_app import quarter_by_hand
from test_app_browser import plain
from test_app_pipeline import open_by_hand

from salesml.apps.language import CODES, Language
from salesml.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]
COMMAND = [sys.executable, "-c", "from salesml.cli import main; main()", "apps", "--idle", "40", "--warm", "pipeline"]


@pytest.fixture(scope="module")
def company(tiny_workspace, tmp_path_factory) -> Workspace:
    made = app_rows.copied(tiny_workspace, tmp_path_factory.mktemp("front-browser"))
    app_rows.write(made, EARLIER)
    return made


@pytest.fixture(scope="module")
def address(company) -> Iterator[str]:
    with serving(company.root, COMMAND) as found:
        yield found


def children(kind: str, root: Path) -> list[int]:
    """Processes of a workspace whose command line holds a word."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            told, around = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if kind.encode() in told and f"SALESML_WORKSPACE={root}".encode() in around:
            found.append(int(process.name))
    return found


@functools.cache
def amount(company: Workspace, region: str, as_of: dt.date = EARLIER) -> Decimal:
    return quarter_by_hand(company, as_of, region)["amount"]


def answer(company: Workspace, region: str, code: str = "en") -> str:
    return plain(Language(code).money(amount(company, region), "USD"))


def body(driver) -> str:
    return plain(driver.find_element(By.TAG_NAME, "body").text)


def live(driver) -> bool:
    return driver.execute_script("return document.body.classList.contains('live')")


def whole(driver) -> tuple:
    return sideways(driver), overlaps(driver), faint(driver), errors(driver), outside(driver)


WHOLE = (0, [], [], [], [])
SMALL = (
    "return [...document.querySelectorAll('header a:not(.skip), .app button, .app select')].filter(e => e.checkVisibility() && "
    "(e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24)).map(e => e.outerHTML)"
)
UNNAMED = (
    "return [...document.querySelectorAll('select, input:not([type=hidden]), button, a')].filter("
    "e => !(e.labels?.[0]?.textContent || e.textContent || e.getAttribute('aria-label') || '').trim()).map(e => e.outerHTML)"
)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_a_snapshot_is_whole_in_every_language(address, company, width, dark):
    with browser(width, dark=dark) as driver:
        for code in CODES:
            driver.get(f"{address}pipeline?lang={code}")
            until(lambda code=code: answer(company, "company", code) in body(driver), "the answer")
            assert whole(driver) == WHOLE, code
            assert driver.execute_script("return document.documentElement.lang") == code
            assert driver.execute_script(SMALL) == driver.execute_script(UNNAMED) == []
        driver.get(f"{address}pipeline?region=Atlantis&lang=de")
        until(lambda: "region=Atlantis" in body(driver), "the note of what is not there")
        assert whole(driver) == WHOLE


def test_filters_need_no_kernel_and_the_first_press_brings_the_live_page(address, company):
    counts = open_by_hand(company, EARLIER)["region"].value_counts()
    with browser(1280) as driver:
        driver.get(f"{address}pipeline?lang=es")
        until(lambda: answer(company, "company", "es") in body(driver), "the answer")
        driver.find_element(By.XPATH, "//select[@name='region']/option[.='West']").click()
        until(lambda: answer(company, "West", "es") in body(driver), "the answer for West")
        assert driver.current_url == f"{address}pipeline?lang=es&region=West"
        assert driver.switch_to.active_element.get_attribute("name") == "region", "the focus stays"
        until(lambda: len(children("ipykernel", company.root)) == 1, "the one kernel that waits")
        driver.find_element(By.LINK_TEXT, "Oportunidades").send_keys(Keys.ENTER)
        west = f"{counts['West']} oportunidades abiertas"
        until(lambda: west in body(driver), "the deals of West, before the widgets are there")
        until(lambda: live(driver), "the widgets")
        assert driver.current_url == f"{address}pipeline?region=West&screen=deals&lang=es"
        until(lambda: driver.switch_to.active_element.text == "Oportunidades", "the focus where it was")
        assert driver.find_elements(By.CSS_SELECTOR, "#picture, #snapshot") == []
        assert whole(driver) == WHOLE
        driver.find_element(By.XPATH, "//select[option='East']/option[.='East']").click()
        until(lambda: driver.current_url == f"{address}pipeline?region=East&screen=deals&lang=es", "the new address")
        east = f"{counts['East']} oportunidades abiertas"
        until(lambda: east in body(driver), "the deals of East")
        until(lambda: len(children("ipykernel", company.root)) == 2, "a kernel that waits beside that of the reader")
        until(lambda: driver.find_elements(By.CSS_SELECTOR, "main#screen"), "the snapshot again, for nobody touches the page")
        until(lambda: east in body(driver), "its deals")
        assert driver.current_url == f"{address}pipeline?region=East&screen=deals&lang=es"
        until(lambda: len(children("ipykernel", company.root)) == 1, "the end of the reader's kernel")


def test_a_deal_pressed_in_a_snapshot_opens_its_story(address, company):
    with browser(360) as driver:
        driver.get(f"{address}pipeline?screen=deals")
        until(lambda: driver.find_elements(By.CSS_SELECTOR, "button[data-deal]"), "the deals")
        button = driver.find_element(By.CSS_SELECTOR, "button[data-deal]")
        deal = button.get_attribute("data-deal")
        button.send_keys(Keys.ENTER)
        until(lambda: live(driver), "the widgets")
        until(lambda: driver.current_url == f"{address}pipeline?screen=story&deal={deal}&lang=en", "the address of the story")
        until(lambda: driver.switch_to.active_element.get_attribute("id") == "story", "the focus on the story")


def test_new_facts_show_by_themselves(tiny_workspace, tmp_path_factory):
    own = app_rows.copied(tiny_workspace, tmp_path_factory.mktemp("front-renewed"))
    app_rows.write(own, EARLIER)
    with serving(own.root, COMMAND) as there, browser(1280) as driver:
        driver.get(f"{there}pipeline?lang=fr")
        until(lambda: answer(own, "company", "fr") in body(driver), "the answer")
        driver.find_element(By.TAG_NAME, "summary").click()
        app_rows.write(own, LATER)
        until(lambda: "2 juin 2026" in body(driver), "the newer answer")
        until(lambda: "Les chiffres ont été mis à jour." in body(driver), "word of it")
        assert driver.find_element(By.TAG_NAME, "details").get_attribute("open"), "what was opened stays open"
        (server,) = children("salesml.apps.live", own.root)
        front = int(Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(front, signal.SIGKILL)
        until(lambda: not children("salesml.apps.live", own.root), "the end of the server whose front was killed")
        until(lambda: "Le serveur ne répond pas" in body(driver), "word that nobody answers")
