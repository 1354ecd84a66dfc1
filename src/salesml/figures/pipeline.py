"""Charts of the pipeline app as SVG and HTML, coloured by the page's style sheet: they follow light and dark, and need no script."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

LEFT, RIGHT, TOP, BOTTOM = 46, 26, 12, 30
Point = tuple[float, float]


def fan(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    say: Callable[[Any], str],
    alt: str,
    width: int = 1040,
    height: int = 340,
    month: Callable[[pd.Timestamp], str] = lambda day: f"{day:%B %Y}",
    tick: Callable[[pd.Timestamp], str] = lambda day: f"{day:%b %y}",
    interval: str = "80 % interval {lo} to {hi}",
) -> str:
    """Monthly history and forecast with its 80 and 95 % intervals as an SVG of `width` × `height` units.

    history: month, amount; forecast: period_start, amount, lo80, hi80, lo95, hi95; one row a month, in the order of time.
    `say` writes an amount in words, `alt` tells the chart to those who do not see it. `month`, `tick` and `interval`
    are for other languages. Bands begin at the last known month.
    """
    past = [(pd.Timestamp(day), float(amount)) for day, amount in zip(history["month"], history["amount"], strict=True)]
    days = [pd.Timestamp(day) for day in forecast["period_start"]]
    ahead = {name: [float(value) for value in forecast[name]] for name in ("amount", "lo80", "hi80", "lo95", "hi95")}
    months = [day for day, _ in past] + days
    ticks = _ticks(max([amount for _, amount in past] + ahead["hi95"] + [1.0]))
    x, y = _scales(len(months), ticks[-1], width, height)
    joint = [(x(len(past) - 1), y(past[-1][1]))] if past else []
    at = [x(len(past) + step) for step in range(len(days))]
    line = joint + [(place, y(value)) for place, value in zip(at, ahead["amount"], strict=True)]
    parts = [_axes(ticks, months, x, y, width, height, say, tick)]
    for level in ("95", "80"):
        upper = joint + [(place, y(value)) for place, value in zip(at, ahead[f"hi{level}"], strict=True)]
        lower = joint + [(place, y(value)) for place, value in zip(at, ahead[f"lo{level}"], strict=True)]
        parts.append(f'<polygon class="band{level}" points="{_points(upper + lower[::-1])}"/>')
    parts.append(
        f'<polyline class="past" points="{_points([(x(i), y(amount)) for i, (_, amount) in enumerate(past)])}"/>'
    )
    parts.append(f'<polyline class="ahead" points="{_points(line)}"/>')
    for i, (day, amount) in enumerate(past):
        parts.append(_dot("past", x(i), y(amount), f"{month(day)}: {say(amount)}"))
    for place, day, amount, lo, hi in zip(at, days, ahead["amount"], ahead["lo80"], ahead["hi80"], strict=True):
        parts.append(
            _dot("ahead", place, y(amount), f"{month(day)}: {say(amount)}, {interval.format(lo=say(lo), hi=say(hi))}")
        )
    return (
        f'<svg class="fan" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )


def bar(share: float, kind: str = "plain") -> str:
    """A bar that fills `share` (0..1) of its place; decoration beside a number that is written out."""
    return f'<span class="bar {kind}" aria-hidden="true"><span style="width:{100 * min(max(share, 0), 1):.1f}%"></span></span>'


def strip(low: float, value: float, high: float, line: float, left: float, right: float) -> str:
    """An interval as a band with its value as a point, and a dashed line beside them, on a scale from left to right; decoration."""
    width = right - left

    def at(place: float) -> float:
        return 100 * min(max((place - left) / width, 0), 1) if width > 0 else 50.0

    drawn = f'<span class="band" style="left:{at(low):.1f}%;width:{at(high) - at(low):.1f}%"></span>'
    drawn += f'<span class="point" style="left:{at(value):.1f}%"></span>'
    drawn += f'<span class="quota" style="left:{at(line):.1f}%"></span>' if math.isfinite(line) else ""
    return f'<span class="strip" aria-hidden="true">{drawn}</span>'


def push(effect: float, greatest: float) -> str:
    """A bar from the middle to the right (for) or left (against), in proportion to the greatest effect; decoration."""
    share = 50 * min(abs(effect) / greatest, 1) if greatest else 0
    side = f"left:50%;width:{share:.1f}%" if effect >= 0 else f"right:50%;width:{share:.1f}%"
    return f'<span class="push {"for" if effect >= 0 else "against"}" aria-hidden="true"><span style="{side}"></span></span>'


def _scales(count: int, top: float, width: int, height: int) -> tuple[Callable[[int], float], Callable[[float], float]]:
    step = (width - LEFT - RIGHT) / max(count - 1, 1)
    room = height - TOP - BOTTOM
    return lambda i: LEFT + i * step, lambda value: TOP + room * (1 - value / top)


def _ticks(greatest: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to at least `greatest`, about `count` steps of 1, 2, 2.5 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(greatest / count))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power * count >= greatest)
    return [step * i for i in range(math.ceil(greatest / step) + 1)]


def _axes(
    ticks: list[float],
    months: list[pd.Timestamp],
    x: Any,
    y: Any,
    width: int,
    height: int,
    say: Callable[[Any], str],
    told: Callable[[pd.Timestamp], str],
) -> str:
    parts = []
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{escape(_round(say(tick)))}</text>'
        )
    every = max(1, math.ceil(len(months) * 60 / (width - LEFT - RIGHT)))
    for i in range(len(months) - 1, -1, -every):
        parts.append(
            f'<text class="tick" x="{x(i):.1f}" y="{height - 8}" text-anchor="middle">{escape(told(months[i]))}</text>'
        )
    return "".join(parts)


def _round(told: str) -> str:
    """An amount in words without the zeros after its point: 2.50 M is 2.5 M."""
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", told).replace(".\N{NO-BREAK SPACE}", "\N{NO-BREAK SPACE}")


def _dot(kind: str, cx: float, cy: float, told: str) -> str:
    return f'<circle class="{kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="3"><title>{escape(told)}</title></circle>'


def _points(points: list[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
