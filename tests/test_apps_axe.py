"""axe-core finds nothing wrong with any app, in any language, narrow or wide, light or dark; nothing is cut off at the side."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from browser import browser, faint, prefer, sideways, until

from salesml.apps.catalogue import APPS
from salesml.apps.language import CODES
from salesml.apps.serve import create_app
from salesml.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]
RUN = (
    "const [how, done] = arguments; axe.run(document, how).then(found => done(found.violations.map("
    "one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)])))"
)
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


def axe() -> str:
    """axe-core as npm installed it (`make browser`), else the older one that its Python package holds."""
    newest = Path(sys.prefix) / "axe" / "node_modules" / "axe-core" / "axe.min.js"
    if newest.exists():
        return newest.read_text(encoding="utf-8")
    import axe_core_python

    return (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def front(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("axe") / "copy"
    shutil.copytree(small_workspace.root, root)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(Workspace.open(root), None), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(front: str, width: int) -> None:
    """Of a page in the dark only what colours can spoil is looked at again."""
    script, wrong = axe(), {}
    with browser(width) as driver:
        for app in APPS:
            for code in CODES:
                driver.get(f"{front}/{app}?lang={code}")
                until(lambda: driver.execute_script("return document.querySelector('#screen')?.dataset.tag"), f"the picture of {app}")
                driver.execute_cdp_cmd("Runtime.evaluate", {"expression": script})
                found = driver.execute_async_script(RUN, {})
                found += [["sideways"]] if sideways(driver) else []
                found += [["faint", *faint(driver)]] if faint(driver) else []
                prefer(driver, True)
                found += [["dark", *one] for one in driver.execute_async_script(RUN, {"runOnly": COLOURS})]
                found += [["faint in the dark", *faint(driver)]] if faint(driver) else []
                prefer(driver, False)
                if found:
                    wrong[app, code] = found
    assert not wrong
