"""The invisible widget that ties a page to its kernel; what it does in the browser is in page.js."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from salesml.apps.theme import HERE


class Page(anywidget.AnyWidget):
    """Ties a page to its app.

    Calls `look()` whenever the page comes into view, `choose(id)` when a button of a deal, lead or node is pressed, and once at the
    start `read(query, languages)` with the query of the page's address and the languages the reader likes (as in an Accept-Language
    header). The browser tells them: a kernel started ahead of its reader knows of no address. Until `read` has returned the page
    shows its first picture. `screens` is what the row of tabs is called.
    """

    _esm = (HERE / "page.js").read_text(encoding="utf-8")
    reads = traitlets.Bool(False).tag(sync=True)
    screens = traitlets.Unicode("Screens").tag(sync=True)

    def __init__(self, look: Callable[[], None], choose: Callable[[str], None], read: Callable[[str, str], None] | None = None) -> None:
        super().__init__(reads=read is not None)
        self._look, self._choose, self._read = look, choose, read
        self.add_class("page-widget")
        self.on_msg(self._hear)

    def focus(self, selector: str) -> None:
        """Move the reader's focus to the first element that matches a CSS selector."""
        self.send({"focus": selector})

    def tell(self, query: str) -> None:
        """Write the filters into the page's address ("?region=East", or "" for none), without another load or step of the history."""
        self.send({"address": query})

    def _hear(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("kind") == "look":
            self._look()
        elif content.get("kind") == "address" and self._read is not None:
            try:
                self._read(str(content.get("query", "")), str(content.get("languages", "")))
            finally:
                self.send({"read": True})
        elif content.get("kind") in ("deal", "lead", "node"):
            self._choose(str(content.get("id")))
