"""Headless Chromium for tests, the app served on a free port, and what can be wrong with a page."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")  # fmt: skip
PATIENCE = 120  # seconds, on a busy machine


@contextlib.contextmanager
def browser(width: int, height: int = 900, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """A fresh browser whose page is exactly `width` px wide; the test is skipped, saying so, where there is none."""
    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"{program} is not on this machine")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            prefer(driver, dark)
            yield driver
        finally:
            driver.quit()


def prefer(driver: webdriver.Chrome, dark: bool) -> None:
    """From now on the reader prefers dark, or light, pages."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


@contextlib.contextmanager
def serving(root: Path, command: Sequence[str] = ()) -> Iterator[str]:
    """The address of `salesml app` (or another server's `command`) for a workspace; it and its kernels are ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = [sys.executable, "-c", "from salesml.cli import main; main()", "app"]
    environment = {**os.environ, "SALESML_WORKSPACE": str(root), "JUPYTER_PREFER_ENV_PATH": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*(command or ours), f"--port={port}"], stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            until(lambda: process.poll() is None and _listens(port), "the app's server")
            yield f"http://127.0.0.1:{port}/"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)


def until(
    holds: Callable[[], object], what: str, seconds: float = PATIENCE, told: Callable[[], object] = lambda: ""
) -> None:
    """Wait until something holds; fail by its name, and by what `told` finds then, if it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what} {told()}"
        time.sleep(0.1)


def outside(driver: webdriver.Chrome) -> list[str]:
    """Addresses the page asked for that are not on this machine."""
    asked = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            asked.append(message["params"]["url"])
    assert asked, "the log of requests is empty"
    network = [url for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss")]
    return [url for url in network if urlsplit(url).hostname != "127.0.0.1"]


def errors(driver: webdriver.Chrome) -> list[str]:
    """What the console holds of errors."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def sideways(driver: webdriver.Chrome) -> int:
    """How many px the page is wider than the window."""
    return driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def overlaps(driver: webdriver.Chrome) -> list[list[str]]:
    """Pairs of texts that lie on each other by more than 2 px."""
    return driver.execute_script(_LINES + _OVERLAPS)


def faint(driver: webdriver.Chrome) -> list[list[object]]:
    """Texts with less contrast against their ground than WCAG AA asks (4.5:1, large text 3:1): text, ratio."""
    return driver.execute_script(_LINES + _FAINT)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


_LINES = """
const lines = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  if (!node.data.trim() || !parent.checkVisibility({ visibilityProperty: true })) continue;
  const head = parent.closest("thead");  // on narrow screens it is there only to be heard
  if (parent.closest("script, style, title, option") || (head && getComputedStyle(head).clipPath !== "none")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const text = node.data.trim().slice(0, 40);
  for (const r of range.getClientRects()) if (r.width > 1 && r.height > 1) lines.push({ node, parent, r, text });
}
"""
_OVERLAPS = """
const found = [];
lines.forEach((a, i) => lines.slice(i + 1).forEach((b) => {
  if (a.node === b.node) return;
  const w = Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left);
  const h = Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top);
  if (w > 2 && h > 2 && h > 0.3 * Math.min(a.r.height, b.r.height)) found.push([a.text, b.text]);
}));
return found;
"""
_FAINT = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const c = channels(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0.99) return c;
  }
  return [255, 255, 255];
};
const found = new Map();
for (const { parent, text } of lines) {
  const style = getComputedStyle(parent);
  const ink = channels(parent instanceof SVGElement ? style.fill : style.color);
  const [a, b] = [light(ink), light(ground(parent))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) found.set(text, ratio);
}
return [...found];
"""
