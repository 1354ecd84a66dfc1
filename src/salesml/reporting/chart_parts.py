"""What the three exporters draw alike: colours, the stacks of a waterfall, the area between bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from salesml.reporting.document import Chart, Series
from salesml.reporting.formats import ACCENT, AGAINST, FOR, INK, MISSING, SOFT, brief, exact

SHADES = (ACCENT, "9FB3C8", "5C7FA3", "CFA15A", SOFT, "7FA88F")
LYING_FROM_LETTERS, MOST_DOTS, FEW = 12, 40, 5
ZERO = Decimal(0)


@dataclass(frozen=True)
class Step:
    """A bar of a waterfall from one level to another; role: total, up or down."""

    start: Decimal
    end: Decimal
    role: str


@dataclass(frozen=True)
class Stack:
    """A series of a stacked bar chart that draws part of a waterfall: its sign as a name, colour (None: unseen), values."""

    name: str
    colour: str | None
    values: tuple[Decimal | None, ...]


_LOOKS = {"total": ("■", INK, ""), "up": ("▲", FOR, "+"), "down": ("▼", AGAINST, "−")}


def drawable(chart: Chart) -> Chart:
    """The chart, or where it has no categories a chart of one empty one, which every program can open."""
    if chart.categories:
        return chart
    series = tuple(replace(one, values=(None,), lower=(), upper=()) for one in chart.series)
    return replace(chart, kind="bar", categories=(MISSING,), series=series, totals=())


def steps(chart: Chart) -> list[Step]:
    """The bars of a waterfall; a change starts where the bar before it ends."""
    found: list[Step] = []
    for place, value in enumerate(chart.series[0].values):
        size = exact(value or 0)
        if place in chart.totals:
            found.append(Step(ZERO, size, "total"))
        else:
            start = found[-1].end if found else ZERO
            found.append(Step(start, start + size, "up" if size >= 0 else "down"))
    return found


def stacks(chart: Chart) -> list[Stack]:
    """A waterfall as stacked bars: an unseen base, then totals, rises and falls; a bar across zero is drawn in two parts.

    Stacked bars pile up positive and negative values apart, so each category's base is as far from zero as its bar begins.
    """
    bars = steps(chart)
    lows, highs = [min(bar.start, bar.end) for bar in bars], [max(bar.start, bar.end) for bar in bars]
    found = [Stack("▁", None, tuple(max(low, ZERO) + min(high, ZERO) for low, high in zip(lows, highs, strict=True)))]
    for role, (name, colour, _) in _LOOKS.items():
        rows = [(bar.role == role, low, high) for bar, low, high in zip(bars, lows, highs, strict=True)]
        above = tuple(max(high, ZERO) - max(low, ZERO) if mine else None for mine, low, high in rows)
        below = tuple(min(low, ZERO) - min(high, ZERO) if mine else None for mine, low, high in rows)
        if any(mine for mine, _, _ in rows):
            found.append(Stack(name, colour, above))
        if any(below_zero for below_zero in below):
            found.append(Stack(f"{name} < 0", colour, below))
    return found


def colour_of(step: Step) -> str:
    """A bar's colour: totals in ink, rises green, falls red."""
    return _LOOKS[step.role][1]


def tops(chart: Chart) -> tuple[Decimal, ...]:
    """Where the bars of a waterfall end above: the place of their labels."""
    return tuple(max(bar.start, bar.end) for bar in steps(chart))


def step_labels(chart: Chart, locale: str) -> list[str]:
    """What is written at a waterfall's bars: levels plainly, changes with their sign."""
    found = []
    for bar in steps(chart):
        size = brief(abs(bar.end - bar.start), chart.format, locale) if bar.role != "total" else brief(bar.end, chart.format, locale)
        found.append(_LOOKS[bar.role][2] + size)
    return found


def banded(chart: Chart) -> Series | None:
    """The series with bounds, if there is one."""
    return next((one for one in chart.series if one.lower), None)


def area(chart: Chart) -> tuple[tuple[Decimal, ...], tuple[Decimal, ...]]:
    """Bottom and height of the area between the bounds, for a stacked area; where there are none it has no height.

    There it lies on the series' line, or on another's, so that it opens like a fan from what is known.
    """
    one = banded(chart)
    assert one is not None
    bottom: list[Decimal] = []
    height: list[Decimal] = []
    for place, (low, high) in enumerate(zip(one.lower, one.upper, strict=True)):
        if low is None or high is None:
            lines = [line.values[place] for line in (one, *chart.series)]
            bottom.append(next((exact(value) for value in lines if value is not None), ZERO))
            height.append(ZERO)
        else:
            bottom.append(exact(low))
            height.append(exact(high) - exact(low))
    return tuple(bottom), tuple(height)


def colours(chart: Chart) -> list[str]:
    """One colour a series: what is expected in the accent, what is measured beside it in ink; else the palette in turn."""
    if any(one.ahead for one in chart.series) and len(chart.series) <= 2:
        return [ACCENT if one.ahead else INK for one in chart.series]
    return [SHADES[place % len(SHADES)] for place in range(len(chart.series))]


def lying(chart: Chart) -> bool:
    """Whether bars lie, because names of categories are too long to stand beneath them."""
    return chart.kind in ("bar", "stacked") and max((len(name) for name in chart.categories), default=0) > LYING_FROM_LETTERS


def dotted(chart: Chart) -> bool:
    """Whether the points of lines are marked: not where there are so many that the dots would hide the line."""
    return len(chart.categories) <= MOST_DOTS


def whole_steps(chart: Chart) -> bool:
    """Whether the axis must step by one, because few things are counted and halves are none."""
    return chart.format.kind == "count" and largest(chart) <= FEW


def largest(chart: Chart) -> Decimal:
    """The largest size on the value axis, for choosing thousands or millions."""
    if chart.kind == "waterfall":
        return max((max(abs(bar.start), abs(bar.end)) for bar in steps(chart)), default=ZERO)
    each = [[abs(exact(value or 0)) for value in (*one.values, *one.lower, *one.upper)] for one in chart.series]
    if chart.kind == "stacked":
        return max((sum(found, ZERO) for found in zip(*each, strict=True)), default=ZERO)
    return max((size for found in each for size in found), default=ZERO)
