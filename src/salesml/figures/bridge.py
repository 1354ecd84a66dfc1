"""Small bars of the forecast app as HTML, coloured by the page's style sheet; decoration beside numbers that are written out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

ROOM = 0.08


def steps(before: float, parts: Sequence[float], after: float) -> list[str]:
    """A waterfall lying down, one bar a row: a mark at `before`, each part from where the one above it ends, a mark at `after`.

    The bars span what is reached on the way, not from 0, so that parts that are small beside the whole can be seen.
    """
    reached = list(accumulate(parts, initial=before))
    low, high = min(*reached, after), max(*reached, after)
    room = ROOM * (high - low) or 1.0
    low, width = low - room, high - low + 2 * room

    def at(value: float) -> float:
        return 100 * (value - low) / width

    marks = [_mark("total", at(value)) for value in (before, after)]
    bars = [
        _bar("up" if part >= 0 else "down", at(min(start, start + part)), 100 * abs(part) / width)
        for start, part in zip(reached, parts, strict=False)
    ]
    return [f'<span class="step" aria-hidden="true">{inner}</span>' for inner in (marks[0], *bars, marks[1])]


def strip(low: float, point: float, high: float, quota: float | None) -> str:
    """One line from 0: the interval as a band, the point as a mark, the quota as a line."""
    most = 1.08 * max(high, quota or 0.0, point, 1.0)
    left, right = (100 * max(value, 0.0) / most for value in (low, high))
    inner = _bar("band", left, right - left) + _mark("point", 100 * max(point, 0.0) / most)
    inner += _mark("quota", 100 * quota / most) if quota else ""
    return f'<span class="strip" aria-hidden="true">{inner}</span>'


def _bar(kind: str, left: float, width: float) -> str:
    return f'<span class="{kind}" style="left:{left:.2f}%;width:{max(width, 0.4):.2f}%"></span>'


def _mark(kind: str, left: float) -> str:
    return f'<span class="{kind}" style="left:{left:.2f}%"></span>'
