"""The HTML of a report: self-contained, safe against hostile data, accessible, drawn offline by a browser."""

from __future__ import annotations

import base64
import re
import shutil
import time
from html.parser import HTMLParser

import nbformat
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from salesml.errors import BadParameter
from salesml.reporting import html
from salesml.reporting.glue import MIMETYPE, Result, read
from salesml.reporting.record import RunRecord
from salesml.workspace import Workspace

HOSTILE = "</script><script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
RUN = RunRecord(
    notebook="40_probe.ipynb",
    status="ok",
    started="2024-03-01T07:30:00.000+00:00",
    parameters={"as_of": "2024-03-01", "note": HOSTILE},
    code={"code.version": "0.1.0", "code.commit": "0123456789abcdef", "code.dirty": "false"},
    head=7,
    html="probe.html",
    executed="probe.ipynb",
)


class Page(HTMLParser):
    """Start tags with attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w", name="Probe & Sons", time_zone="Europe/Berlin")


def figure(title: str, alt: str | None = None) -> dict:
    chart = go.Figure(go.Scatter(x=[1, 2, 3], y=[2.5, 1.0, 4.0], name="won"))
    chart.update_layout(title=title, meta={"alt": alt} if alt else None)
    return {html.PLOTLY: chart.to_plotly_json() | {"layout": chart.layout.to_plotly_json()}}


def shown(*bundles: dict) -> nbformat.NotebookNode:
    """An executed notebook that displays these bundles."""
    outputs = [new_output("display_data", data=bundle, metadata={}) for bundle in bundles]
    outputs.append(new_output("stream", name="stderr", text="a warning"))
    code = new_code_cell("secret_code = 1", outputs=outputs)
    prose = new_markdown_cell(f"# Pipeline & more\n\nProse {HOSTILE}\n\n## Next")
    return nbformat.from_dict(new_notebook(cells=[prose, code]))


HEAD = "<thead><tr><th scope='col' onclick='x()'>Deal</th></tr></thead>"
TABLE = f"<style>td {{color: red}}</style><table><caption>Open deals</caption>{HEAD}</table>"


def test_page_is_self_contained_and_has_no_code(workspace):
    text = html.render(workspace, shown(figure("Forecast"), {"text/html": TABLE}, {"text/plain": "a < b"}), RUN)
    page = Page(text)
    addresses = [a.get(name) or "" for _, a in page.tags for name in ("src", "href", "data", "action")]
    assert not [address for address in addresses if re.match(r"(https?:)?//", address)]
    assert page.all("link") == [] and page.all("iframe") == []
    assert "@import" not in text.split("</style>")[0] and "url(" not in text.split("</style>")[0]
    assert "secret_code" not in text and "a warning" not in text and "color: red" not in text
    assert "a &lt; b" in text
    assert 4_000_000 < len(text.encode()) < 6_000_000  # plotly.js, once
    assert len(html.render(workspace, shown({"text/html": TABLE}), RUN)) < 20_000  # and not without a chart


def test_policy_admits_only_the_pages_own_scripts(workspace):
    outputs = (figure(HOSTILE, HOSTILE), {"text/html": HOSTILE}, {"text/markdown": HOSTILE})
    text = html.render(workspace, shown(*outputs), RUN)
    policy = next(a["content"] for a in Page(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert len(re.findall("sha256-", policy)) == 2 and "unsafe-inline" not in policy.split("style-src")[0]
    kinds = [a.get("type") for a in Page(text).all("script")]
    assert kinds == ["application/json", None, None]
    assert not [a for _, a in Page(text).tags if any(name.startswith("on") for name in a)]
    assert Page(text).all("img") == []


def test_page_is_accessible(workspace):
    alt = "Revenue rises to 4.0 in the third month."
    png = base64.b64encode(b"\x89PNG").decode()
    outputs = (figure("Forecast", alt), figure("Wins"), {"text/html": TABLE}, {"image/png": png})
    text = html.render(workspace, shown(*outputs), RUN)
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert "<title>Pipeline &amp; more · Probe &amp; Sons</title>" in text
    assert any(a.get("name") == "viewport" for a in page.all("meta"))
    levels = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels == ["h1", "h2"] and page.all("main") and page.all("header")
    charts = [a for a in page.all("div") if a.get("role") == "img"]
    assert [a["aria-label"] for a in charts] == [alt, "Wins: won"]
    assert [a.get("scope") for a in page.all("th")] == ["col", "col", "col", "row", "row"]
    assert any(a.get("role") == "region" and a["aria-label"] == "Open deals" for a in page.all("div"))
    assert all(a.get("alt") for a in page.all("img"))
    for rule in ("prefers-color-scheme: dark", "@media print"):
        assert rule in text


def test_header_tells_where_the_numbers_come_from(workspace):
    text = html.render(workspace, shown(), RUN)
    told = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert told == {
        "Workspace": "Probe &amp; Sons", "As of": "2024-03-01", "Generated": "2024-03-01 08:30 CET", "Lake head": "7",
        "Code": "0.1.0 0123456789",
    }  # fmt: skip


def test_glue_is_read_back_and_its_schema_checked():
    good = {"name": "n", "value": 3, "unit": "deals"}
    assert read(shown({MIMETYPE: {**good, "value": 2}}, {MIMETYPE: good})) == {"n": Result("n", 3, "deals")}
    changes = [{"name": "a b"}, {"unit": ""}, {"value": [1]}, {"value": float("nan")}, {"extra": 1}]
    for broken in [*({**good, **change} for change in changes), {"name": "n"}, 3]:
        with pytest.raises(BadParameter, match="glue"):
            read(shown({MIMETYPE: broken}))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_draws_it_offline_at_360_px(workspace, tmp_path, scheme):
    from selenium import webdriver

    page = tmp_path / "report.html"
    page.write_text(html.render(workspace, shown(figure(HOSTILE), figure("B"), {"text/html": TABLE}), RUN))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(page.as_uri())
        for _ in range(100):
            if browser.execute_script("return document.body.dataset.drawn") == "2":
                break
            time.sleep(0.1)
        assert len(browser.find_elements("css selector", ".chart .main-svg .scatterlayer path.js-line")) == 2
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.title == "Pipeline & more · Probe & Sons"
        assert browser.get_log("browser") == []
        ink = browser.execute_script("return getComputedStyle(document.querySelector('.xtick text')).fill")
        assert ink == {"light": "rgb(27, 31, 36)", "dark": "rgb(232, 235, 239)"}[scheme]
    finally:
        browser.quit()
