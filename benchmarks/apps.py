"""The apps behind their front: first content of a snapshot, ready for choices after the first press, memory and what idle viewers cost."""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from salesml import world
from salesml.workspace import Workspace

ROOT = Path(__file__).parent.parent
AS_OF = dt.date(2026, 7, 1)
COMMAND = [sys.executable, "-c", "from salesml.cli import main; main()", "apps", "--idle", "600", "--warm", "pipeline"]
LOADS, VIEWERS, WORKERS, VISITS = 30, 50, 8, 5
SETTLE = 20  # seconds for the next kernel to get ready
WATCHED = 30  # seconds that idle viewers are watched
POLL = 15  # seconds between two questions of a snapshot (front.js)


def run() -> dict[str, Any]:
    """`measure` on the demo company."""
    sys.path.append(str(ROOT / "tests"))
    import app_rows

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "demo")
        world.build(workspace, **world.preset("demo"))
        app_rows.write(workspace, AS_OF)
        return measure(workspace.root)


def measure(root: Path, workers: int = WORKERS) -> dict[str, Any]:
    """Milliseconds (median and p95), GiB of all processes of the front together (shared pages counted once), CPU of idle viewers.

    snapshot_http: the whole page over HTTP; snapshot_paint: first contentful paint in Chromium; live_ready: from the press to widgets
    that are there, a kernel waiting. The memory is that with VIEWERS snapshots and `workers` live pages, their kernels included.
    """
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    from browser import browser, serving, until

    with serving(root, COMMAND) as address:
        page = f"{address}pipeline?lang=en"
        until(lambda: b'data-tag=""' not in _get(page)[0], "the first picture")
        time.sleep(SETTLE)
        http = [_timed(lambda: _get(page)) for _ in range(LOADS)]
        with browser(1280) as driver:
            paint, ready = [], []
            for _ in range(LOADS):
                driver.get(page)
                until(lambda: driver.execute_script("return performance.getEntriesByName('first-contentful-paint').length"), "the paint")
                paint.append(driver.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            for _ in range(VISITS):
                driver.get(page)
                time.sleep(SETTLE)
                began = time.time()
                driver.find_element("link text", "Deals").click()
                until(lambda: driver.execute_script("return document.body.classList.contains('live')"), "the widgets")
                ready.append(1000 * (time.time() - began))
            driver.get(page)  # the last live page is left
            time.sleep(2 * SETTLE)
            idle_cpu = _idle(root, page)
            for _ in range(workers - 1):
                driver.switch_to.new_window("tab")
                driver.get(f"{address}live/voila/render/pipeline.ipynb?lang=en")
                until(lambda: driver.execute_script("return document.body.classList.contains('live')"), "the widgets")
            _viewers(page)
            memory, kernels = _memory(root)
    figures = {}
    for name, times in (("snapshot_http", http), ("snapshot_paint", paint), ("live_ready", ready)):
        figures |= {f"{name}_ms": float(np.median(times)), f"{name}_p95_ms": float(np.percentile(times, 95))}
    met = figures["snapshot_paint_p95_ms"] <= 1000 and figures["live_ready_p95_ms"] <= 2000 and memory <= 4
    return {
        **figures, "viewers": VIEWERS, "live_pages": workers, "kernels": kernels, "memory_gib": memory,
        "idle_viewers_cpu_percent_of_a_core": idle_cpu,
        "bar": "first content within 1 s and ready within 2 s (p95, warm); 50 viewers and 8 live pages within 4 GiB", "met": met,
    }  # fmt: skip


def _get(page: str, tag: str = "") -> tuple[bytes, str]:
    """The page and its tag; nothing where it still has the tag given."""
    request = urllib.request.Request(page, headers={"if-none-match": tag} if tag else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read(), answer.headers["etag"]
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
        return b"", tag


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def _viewers(page: str, tags: list[str] | None = None) -> list[str]:
    """Every viewer asks once; the tags they have then."""
    return [_get(page, tag)[1] for tag in tags or [""] * VIEWERS]


def _idle(root: Path, page: str) -> float:
    """Percent of one core that the front's processes use while VIEWERS snapshots ask whether there is anything new."""
    tags = _viewers(page)
    before, began = _cpu(root), time.monotonic()
    while time.monotonic() - began < WATCHED:
        tags = _viewers(page, tags)
        time.sleep(POLL)
    return 100 * (_cpu(root) - before) / (time.monotonic() - began)


def _processes(root: Path) -> list[Path]:
    """The front, its live server and the kernels, found by their workspace."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"SALESML_WORKSPACE={root}\0".encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found.append(process)
        except OSError:
            continue
    return found


def _cpu(root: Path) -> float:
    ticks = [(one / "stat").read_text().rsplit(")", 1)[1].split()[11:13] for one in _processes(root)]
    return sum(int(user) + int(system) for user, system in ticks) / os.sysconf("SC_CLK_TCK")


def _memory(root: Path) -> tuple[float, int]:
    """GiB of the processes, each page shared among them counted by its share (PSS), and how many kernels there are."""
    found = _processes(root)
    lines = [line for one in found for line in (one / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
    kernels = sum(b"ipykernel_launcher" in (one / "cmdline").read_bytes() for one in found)
    return sum(int(line.split()[1]) for line in lines) / 2**20, kernels
