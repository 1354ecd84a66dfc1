"""Activities of each week as stacked bars, SVG coloured by the page's style sheet; `STYLE` holds the rules for its classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd

STYLE = """
svg.activities { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.activities text { fill: var(--soft); font-variant-numeric: tabular-nums; } .activities .grid { stroke: var(--line); stroke-width: 1; }
"""
COLOURS = ("#3b82c4", "#d5762b", "#5a9c6e", "#8a6fb0", "#b58900", "#7d8590")
STYLE += "\n".join(
    f".activities .kind{place}, .key.kind{place} {{ fill: {colour}; background: {colour}; }}" for place, colour in enumerate(COLOURS)
)
KINDS = len(COLOURS)
LEFT, TOP, BOTTOM, HEIGHT = 46, 8, 26, 240


def stacked(wide: pd.DataFrame, titles: Sequence[str], say: Callable[[Any], str], alt: str, width: int = 340) -> str:
    """Bars of weeks, a part for each type, the first at the bottom.

    wide: one row per week (its first day as the index), one column per type, counts; titles: of the types; say: a week in words; alt
    tells the chart to those who do not see it.
    """
    most = float(wide.sum(axis=1).max()) or 1.0
    unit = 10.0 ** math.floor(math.log10(most))
    top = next(unit * part for part in (1, 2, 5, 10) if unit * part >= most)
    room = HEIGHT - TOP - BOTTOM
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = TOP + room * (1 - share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:g}</text>')
    step, every = (width - LEFT) / len(wide), max(1, math.ceil(len(wide) * 62 / (width - LEFT)))
    for place, (day, row) in enumerate(wide.iterrows()):
        x, y = LEFT + step * (place + 0.12), float(TOP + room)
        told = ", ".join(f"{title} {int(count)}" for title, count in zip(titles, row, strict=True) if count)
        parts.append(f"<g><title>{escape(say(day))}: {escape(told)}</title>")
        for kind, count in enumerate(row):
            high = room * float(count) / top
            y -= high
            box = f'x="{x:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{high:.1f}"'
            parts.append(f'<rect class="kind{min(kind, KINDS - 1)}" {box}/>')
        parts.append("</g>")
        if place % every == 0:
            parts.append(f'<text x="{x + step * 0.38:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(say(day))}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="activities" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
        f'role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )
