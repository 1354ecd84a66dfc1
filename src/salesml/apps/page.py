"""The invisible widget that ties a page to its kernel; what it does in the browser is in page.js."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget

from salesml.apps.theme import HERE


class Page(anywidget.AnyWidget):
    """Calls `look()` whenever the page comes into view, and `choose(id)` when a button of a deal, lead or node is pressed."""

    _esm = (HERE / "page.js").read_text(encoding="utf-8")

    def __init__(self, look: Callable[[], None], choose: Callable[[str], None]) -> None:
        super().__init__()
        self._look, self._choose = look, choose
        self.add_class("page-widget")
        self.on_msg(self._hear)

    def focus(self, selector: str) -> None:
        """Move the reader's focus to the first element that matches a CSS selector."""
        self.send({"focus": selector})

    def _hear(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("kind") == "look":
            self._look()
        elif content.get("kind") in ("deal", "lead", "node"):
            self._choose(str(content.get("id")))
