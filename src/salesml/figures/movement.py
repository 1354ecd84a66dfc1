"""Charts of the pipeline's movement as SVG, coloured by the page's style sheet: they follow light and dark, and need no script.

Each is drawn for a width in units that are pixels at that width; 340 fits a telephone. `STYLE` holds the rules for their classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd

Say = Callable[[Any], str]
STYLE = """
svg.movement { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.movement text { fill: var(--ink); font-variant-numeric: tabular-nums; } .movement .soft { fill: var(--soft); font-size: 12px; }
.movement .strong { font-weight: 600; } .movement .grid { stroke: var(--line); stroke-width: 1; }
.movement .whole { fill: var(--soft); } .movement .up { fill: var(--accent); } .movement .won { fill: var(--for); }
.movement .down { fill: var(--against); } .movement .cell { fill: var(--accent); }
.key.whole { background: var(--soft); } .key.up { background: var(--accent); } .key.won { background: var(--for); }
.key.down { background: var(--against); }
.movement .past { fill: none; stroke: var(--against); stroke-width: 2; } .movement .mark { fill: var(--ink); stroke: var(--card); }
"""
LABELS, WIDE, AMOUNT, ROW, BAR, GAP = (134, 200), 600, 66, 30, 16, 8
CELL, HEAD, SHADE = 38, 20, 0.45
LEFT, TOP, BOTTOM = 46, 10, 26


def waterfall(steps: pd.DataFrame, say: Say, alt: str, width: int = 340, deals: Callable[[int], str] = lambda n: f"{n:,} deals") -> str:
    """A waterfall lying down: the opening and closing amounts from 0, each step between from where the one above it ends.

    steps: title, step, amount, deals, one row per step in order, `opening` first and `closing` last (`analytics.movement.waterfall` of one
    slice); steps of no deal are left out. `say` writes an amount in words, `alt` tells the chart to those who do not see it. Classes:
    whole, up, down, and won.
    """
    rows = steps[steps["deals"].gt(0) | steps["step"].isin(("opening", "closing"))]
    bars, reached = [], 0.0
    for step, amount in zip(rows["step"], map(float, rows["amount"]), strict=True):
        start = 0.0 if step in ("opening", "closing") else reached
        reached = start + amount
        bars.append((start, reached))
    low, high = min(0.0, *(min(bar) for bar in bars)), max(1.0, *(max(bar) for bar in bars))
    label = LABELS[width >= WIDE]
    room = width - label - AMOUNT - GAP

    def at(value: float) -> float:
        return label + room * (value - low) / (high - low)

    parts = [_line(at(0), at(0), 0, ROW * len(rows))]
    for place, (row, (start, end)) in enumerate(zip(rows.to_dict("records"), bars, strict=True)):
        total = row["step"] in ("opening", "closing")
        top, kind = ROW * place, "whole" if total else "won" if row["step"] == "won" else "up" if end >= start else "down"
        told = say(row["amount"]) if total else _signed(row["amount"], say)
        strong = " strong" if total else ""
        parts.append(_text(0, top + 20, row["title"], kind=strong.strip()))
        parts.append(_rect(kind, min(at(start), at(end)), top + 7, max(abs(at(end) - at(start)), 1.5), BAR,
                           f"{row['title']}: {told}, {deals(row['deals'])}"))  # fmt: skip
        if place + 1 < len(rows):
            parts.append(_line(at(end), at(end), top + 7 + BAR, top + ROW + 7))
        parts.append(_text(width, top + 20, told, "end", strong.strip()))
    return _svg(parts, alt, width, ROW * len(rows))


def heat(rows: pd.DataFrame, say: Say, alt: str, usual: Callable[[float, float], str], width: int = 340) -> str:
    """Open deals by stage (down) and days in it (across): the deeper the shade the more money; outlined where deals stay too long.

    rows: `analytics.movement_ageing.ageing`. usual(usual_days, long_days) says how long deals usually stay, to stand beside the stage.
    """
    bands, greatest = list(dict.fromkeys(rows["band"])), max(map(float, rows["amount"]), default=0.0) or 1.0
    step = width / max(len(bands), 1)
    parts = [_text(step * (i + 0.5), 13, band, "middle", "soft") for i, band in enumerate(bands)]
    height = HEAD
    for stage, cells in rows.groupby("stage", sort=False):
        first = cells.iloc[0]
        parts.append(_text(0, height + 17, str(stage), kind="strong"))
        if pd.notna(first["long_days"]):
            parts.append(_text(width, height + 17, usual(first["usual_days"], first["long_days"]), "end", "soft"))
        for i, cell in enumerate(cells.to_dict("records")):
            parts.append(_cell(cell, step * i + 1, height + 23, step - 2, greatest, say))
        height += 23 + CELL + GAP
    return _svg(parts, alt, width, height)


def flows(rows: pd.DataFrame, say: Say, alt: str, width: int = 340, height: int = 260) -> str:
    """What was created (up from 0) and what was won and lost (down from 0) in each month, and a mark at what that leaves.

    Classes: up (created), won, down (lost or without decision), mark.

    rows: period, created, won, lost, change, in the order of time (`analytics.movement_ageing.created_and_closed`).
    """
    money = rows[["created", "won", "lost", "change"]].astype("float64")
    most, least = max(money["created"].max(), 1.0), max((money["won"] + money["lost"]).max(), 1.0)
    room = height - TOP - BOTTOM

    def y(value: float) -> float:
        return TOP + room * (most - value) / (most + least)

    step = (width - LEFT) / max(len(rows), 1)
    bar = max(step * 0.6, 2.0)
    parts = []
    for tick in _ticks(-least, most):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(_text(LEFT - 6, y(tick) + 4, say(abs(tick)), "end", "soft"))
    every = math.ceil(44 / step)
    for i, (day, created, won, lost, change) in enumerate(zip(rows["period"], *(money[name] for name in money), strict=True)):
        x, when = LEFT + step * i + (step - bar) / 2, f"{pd.Timestamp(day):%B %Y}"
        parts.append(_rect("up", x, y(created), bar, y(0) - y(created), f"{when}: {say(created)} created"))
        parts.append(_rect("won", x, y(0), bar, y(-won) - y(0), f"{when}: {say(won)} won"))
        parts.append(_rect("down", x, y(-won), bar, y(-won - lost) - y(-won), f"{when}: {say(lost)} lost or without decision"))
        told = escape(f"{when}: {_signed(change, say)}")
        parts.append(f'<circle class="mark" cx="{x + bar / 2:.1f}" cy="{y(change):.1f}" r="3"><title>{told}</title></circle>')
        if (len(rows) - 1 - i) % every == 0:
            parts.append(_text(min(x + bar / 2, width - 20), height - 8, f"{pd.Timestamp(day):%b %y}", "middle", "soft"))
    return _svg(parts, alt, width, height)


def _cell(cell: dict[Any, Any], x: float, y: float, width: float, greatest: float, say: Say) -> str:
    told = f"{cell['stage']}, {cell['band']} days: {say(cell['amount'])}, {cell['deals']:,} deals"
    if cell["longer"]:
        told += f", {cell['longer']:,} longer than nine in ten"
    shade = SHADE * float(cell["amount"]) / greatest
    parts = [f'<rect class="cell" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{CELL}" fill-opacity="{shade:.3f}">']
    parts.append(f"<title>{escape(told)}</title></rect>")
    if cell["longer"]:
        parts.append(f'<rect class="past" x="{x + 1:.1f}" y="{y + 1}" width="{width - 2:.1f}" height="{CELL - 2}"/>')
    middle = x + width / 2
    if cell["deals"]:
        parts += [_text(middle, y + 17, say(cell["amount"]), "middle"), _text(middle, y + 32, f"{cell['deals']:,}", "middle", "soft")]
    else:
        parts.append(_text(middle, y + 24, "–", "middle", "soft"))
    return "".join(parts)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers within [low, high] with 0 among them, about `count`."""
    size = (high - low) / count
    power = 10 ** math.floor(math.log10(size))
    step = next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= size)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _signed(amount: Any, say: Say) -> str:
    return ("+" if amount > 0 else "\N{MINUS SIGN}" if amount < 0 else "") + say(abs(amount))


def _rect(kind: str, x: float, y: float, width: float, height: float, told: str) -> str:
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {shape}><title>{escape(told)}</title></rect>'


def _line(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, told: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(told))}</text>'


def _svg(parts: Sequence[str], alt: str, width: int, height: int) -> str:
    return f'<svg class="movement" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
