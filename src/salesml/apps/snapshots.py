"""Pictures of the apps kept per app, language, query and state of the lake, so that a reader waits for none that was made before."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from salesml.lake import Lake
from salesml.workspace import Workspace

MOST = 200
"""Pictures kept; the one not asked for longest gives way."""
NEVER = float("-inf")
WATCHED_S = 60.0
"""A picture asked for within so many seconds is being looked at: it is renewed before it is asked for again."""
UNWATCHED_S = 300.0
"""Pictures that visits begin with are renewed every so many seconds though nobody looks; up to this age an overtaken picture is shown
at once, with the state of the lake it tells, and renewed while it is read."""


@dataclass(frozen=True)
class Kept:
    """A picture: its HTML, a tag that changes with it, the lake's state it was made of, when it was drawn and last asked for (seconds)."""

    html: str
    tag: str
    head: int
    drawn_at: float
    asked_at: float


class Snapshots:
    """The pictures of a workspace. `make[app](language, query)` draws one; safe to use from several threads, which draw one at a time."""

    def __init__(
        self, workspace: Workspace, make: Mapping[str, Callable[[str, str], str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lake, self._make, self._clock = Lake(workspace), make, clock
        self._kept: OrderedDict[tuple[str, str, str], Kept] = OrderedDict()
        self._lock, self._drawing = threading.Lock(), threading.Lock()
        self._begin = {(app, "en", "") for app in make}

    def get(self, app: str, language: str, query: str = "") -> Kept:
        """The picture: drawn now where none is kept that is recent, else as it is kept, to be renewed where the lake has overtaken it."""
        key, now, head = (app, language, query), self._clock(), self._lake.head().id
        with self._lock:
            self._begin |= {(app, language, "")} if not query else set()
            kept = self._kept.get(key)
            recent = kept is not None and (now - kept.asked_at <= WATCHED_S or now - kept.drawn_at <= UNWATCHED_S)
            if kept is not None and (kept.head == head or recent):
                self._keep(key, replace(kept, asked_at=now))
                return self._kept[key]
        return self._draw(key, now)

    def renew(self) -> int:
        """Draw anew what the lake has overtaken of the pictures that are looked at or that visits begin with; how many were drawn."""
        head, now = self._lake.head().id, self._clock()
        with self._lock:
            stale = [
                key
                for key, kept in reversed(self._kept.items())
                if kept.head != head and (now - kept.asked_at <= WATCHED_S or (key in self._begin and now - kept.drawn_at > UNWATCHED_S))
            ]
            stale += sorted(self._begin - set(self._kept))
        for key in stale:
            self._draw(key, None)
            time.sleep(0.01)  # whoever waits for a picture of his own comes between
        return len(stale)

    def _draw(self, key: tuple[str, str, str], asked_at: float | None) -> Kept:
        """Draw and keep; two who ask for the same wait for one drawing. `asked_at` None: nobody asked."""
        app, language, query = key
        with self._drawing:
            head = self._lake.head().id
            with self._lock:
                kept = self._kept.get(key)
            if kept is None or kept.head != head:
                html = self._make[app](language, query)
                kept = Kept(html, hashlib.sha256(html.encode()).hexdigest()[:20], head, self._clock(), kept.asked_at if kept else NEVER)
            with self._lock:
                last = self._kept.get(key, kept).asked_at
                self._keep(key, replace(kept, asked_at=last if asked_at is None else asked_at))
                return self._kept[key]

    def _keep(self, key: tuple[str, str, str], kept: Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
