"""A chart as shapes in a unit square (x to the right, y upwards), for the PDF's template to draw and label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from salesml.reporting import chart_parts, formats
from salesml.reporting.document import Chart, Number
from salesml.reporting.formats import BAND

BAR_SHARE = 0.64
STEPS = (1, 2, 2.5, 5, 10)
TICKS = 5
LEAST_REACH = 1e-6
Point = tuple[float, float]


def shapes(chart: Chart, locale: str) -> dict[str, Any]:
    """ticks (at, text), categories (at, text), bars (x0, y0, x1, y1, colour), lines (points, colour, ahead), areas (points,
    colour), labels (x, y, text), legend (text, colour, kind), unit, lying, dotted, zero (where 0 is); all places from 0 to 1."""
    lying = chart_parts.lying(chart)
    ends = [float(formats.exact(value)) for value in _reach(chart)]
    marks = ticks(min([0.0, *ends]), max([0.0, *ends]), 1.0 if chart.format.kind == "count" else 0.0)
    low, high = marks[0], marks[-1]

    def up(value: Number | Decimal) -> float:
        return (float(value) - low) / (high - low)

    slot = 1 / max(len(chart.categories), 1)
    drawn: dict[str, Any] = {"bars": [], "lines": [], "areas": [], "labels": []}
    if chart.kind == "line":
        _lines(chart, drawn, up, slot)
    elif chart.kind == "waterfall":
        _waterfall(chart, drawn, up, slot, locale)
    else:
        _bars(chart, drawn, up, slot, locale)
    return drawn | {
        "ticks": [{"at": up(mark), "text": formats.brief(mark, chart.format, locale)} for mark in marks],
        "categories": [{"at": (place + 0.5) * slot, "text": formats.clean(name)} for place, name in enumerate(chart.categories)],
        "legend": _legend(chart),
        "unit": formats.unit(chart.format, locale),
        "lying": lying,
        "dotted": chart_parts.dotted(chart),
        "zero": up(0),
    }


def ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """Round numbers from at or under `low` to at or over `high`: about five steps of 1, 2, 2.5 or 5 times a power of ten, each of at
    least `least`."""
    if high - low < LEAST_REACH:
        high = low + 1
    rough = (high - low) / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = max(next(one * size for one in STEPS if one * size >= rough * 0.999), least)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _reach(chart: Chart) -> list[Number | Decimal]:
    """Every value the axis must reach."""
    if chart.kind == "waterfall":
        return [value for bar in chart_parts.steps(chart) for value in (bar.start, bar.end)]
    if chart.kind == "stacked":
        rows = list(zip(*([formats.exact(value or 0) for value in one.values] for one in chart.series), strict=True))
        zero = Decimal(0)
        return [sum((v for v in row if v > 0), zero) for row in rows] + [sum((v for v in row if v < 0), zero) for row in rows]
    return [value for one in chart.series for value in (*one.values, *one.lower, *one.upper) if value is not None]


def _lines(chart: Chart, drawn: dict[str, Any], up: Any, slot: float) -> None:
    def pieces(values: Sequence[Number | None]) -> list[list[Point]]:
        found: list[list[Point]] = [[]]
        for place, value in enumerate(values):
            if value is None:
                found.append([])
            else:
                found[-1].append(((place + 0.5) * slot, up(value)))
        return [piece for piece in found if piece]

    bounded = chart_parts.banded(chart)
    if bounded is not None:
        bottom, height = chart_parts.area(chart)
        wide = [place for place, size in enumerate(height) if size]
        if wide:
            run = range(max(wide[0] - 1, 0) if _opens(chart, wide[0]) else wide[0], wide[-1] + 1)
            under = [((place + 0.5) * slot, up(bottom[place])) for place in run]
            over = [((place + 0.5) * slot, up(bottom[place] + height[place])) for place in reversed(run)]
            drawn["areas"].append({"points": under + over, "colour": BAND})
    for one, colour in zip(chart.series, chart_parts.colours(chart), strict=True):
        drawn["lines"] += [{"points": piece, "colour": colour, "ahead": one.ahead} for piece in pieces(one.values)]


def _opens(chart: Chart, first: int) -> bool:
    """Whether the band opens from a known value just before it."""
    return first > 0 and any(one.values[first - 1] is not None for one in chart.series)


def _bars(chart: Chart, drawn: dict[str, Any], up: Any, slot: float, locale: str) -> None:
    several = len(chart.series) if chart.kind == "bar" else 1
    width = slot * BAR_SHARE / several
    piled: dict[tuple[int, bool], Decimal] = {}
    for number, (one, colour) in enumerate(zip(chart.series, chart_parts.colours(chart), strict=True)):
        for place, value in enumerate(one.values):
            if value is None:
                continue
            size, left = formats.exact(value), slot * (place + 0.5 - BAR_SHARE / 2) + (number * width if several > 1 else 0)
            start = piled.get((place, size < 0), Decimal(0)) if chart.kind == "stacked" else Decimal(0)
            piled[place, size < 0] = start + size
            drawn["bars"].append(_bar(left, left + width, up(start), up(start + size), colour, chart_parts.lying(chart)))
            if chart.kind == "bar" and several == 1:
                at = {"x": left + width / 2, "y": up(max(size, Decimal(0)))}
                drawn["labels"].append(at | {"text": formats.brief(value, chart.format, locale)})


def _bar(left: float, right: float, start: float, end: float, colour: str, lying: bool) -> dict[str, Any]:
    low, high = sorted((start, end))
    if lying:
        return {"x0": low, "x1": high, "y0": 1 - right, "y1": 1 - left, "colour": colour}
    return {"x0": left, "x1": right, "y0": low, "y1": high, "colour": colour}


def _waterfall(chart: Chart, drawn: dict[str, Any], up: Any, slot: float, locale: str) -> None:
    for place, (step, text) in enumerate(zip(chart_parts.steps(chart), chart_parts.step_labels(chart, locale), strict=True)):
        left = slot * (place + 0.5 - BAR_SHARE / 2)
        drawn["bars"].append(_bar(left, left + slot * BAR_SHARE, up(step.start), up(step.end), chart_parts.colour_of(step), False))
        drawn["labels"].append({"x": slot * (place + 0.5), "y": up(max(step.start, step.end)), "text": text})


def _legend(chart: Chart) -> list[dict[str, str]]:
    if chart.kind == "waterfall":
        return []
    kind = "line" if chart.kind == "line" else "bar"
    found = [
        {"text": formats.clean(one.name), "colour": colour, "kind": "ahead" if one.ahead else kind}
        for one, colour in zip(chart.series, chart_parts.colours(chart), strict=True)
    ]
    bounded = chart_parts.banded(chart)
    if bounded is not None:
        found.append({"text": formats.clean(bounded.band or bounded.name), "colour": BAND, "kind": "bar"})
    return found if len(found) > 1 else []


