"""The overview as a document for Excel, PowerPoint and PDF: the same numbers as its screen, exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from salesml.analytics.measures import MEASURES
from salesml.analytics.words import absent
from salesml.apps import overview_words
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.overview_data import MONTHS, OF_PLACES, Overview
from salesml.reporting.document import (
    COUNT,
    DAYS,
    SHARE,
    TEXT,
    Chart,
    Column,
    Figure,
    Figures,
    Format,
    Grid,
    Part,
    Series,
    money,
)

MOST = 20


def format_of(name: str, currency: str) -> Format:
    """The number format of a measure."""
    unit = MEASURES[name].unit
    if unit == "money":
        return money(currency)
    return {"share": SHARE, "count": COUNT, "days": DAYS}.get(unit, Format("number", decimals=1))


def plain(value: Any) -> Any:
    """A value as Python has it, None where it is missing."""
    if absent(value):
        return None
    return value if isinstance(value, str | Decimal | int) else float(value)


def figures(at: Overview, language: Language) -> list[Part]:
    """The figures beside the period before."""
    titles, found = overview_words.titles(language), []
    for row in records(at.figures()):
        told = overview_words.change(language, row.measure, row)[0]
        name = titles[row.measure] + (f" ({language._('hours')})" if MEASURES[row.measure].unit == "hours" else "")
        beside = f"{told}; {language._('Beside the quarter before')}"
        found.append(Figure(name, plain(row.now), format_of(row.measure, at.currency), beside))
    return [Figures(tuple(found))]


def needs(at: Overview, language: Language) -> list[Part]:
    """Open deals with a warning sign, those with most at stake first."""
    _ = language._
    rows = []
    for deal in records(at.needs(MOST)):
        why = "; ".join(overview_words.warnings(language, deal))
        rows.append((str(deal.name), plain(deal.owner), plain(deal.amount), plain(deal.probability), why))
    amount, chance = Column(_("Amount"), money(at.currency)), Column(_("Chance to win"), SHARE)
    columns = (Column(_("Deal")), Column(_("Rep")), amount, chance, Column(_("Why")))
    return [Grid(_("Open deals with a warning sign, most at stake first"), columns, tuple(rows))] if rows else []


def why(at: Overview, language: Language) -> list[Part]:
    """How the open pipeline moved in a week: a chart and its steps."""
    _, steps = language._, at.steps()
    if steps is None:
        return []
    names = overview_words.steps(language)
    kept = [row for row in records(steps) if row.deals or row.cents or row.step in ("opening", "closing")]
    labels, amounts = tuple(names[row.step] for row in kept), tuple(row.amount for row in kept)
    told = _("The open pipeline went from {start} to {end}.", start=language.money(amounts[0], at.currency),
             end=language.money(amounts[-1], at.currency))  # fmt: skip
    title = _("What moved this week")
    chart = Chart("waterfall", title, labels, (Series(title, amounts),), money(at.currency), told, (0, len(kept) - 1))
    columns = (Column(_("Step")), Column(_("Amount"), money(at.currency)), Column(_("Deals"), COUNT))
    rows = tuple((label, row.amount, int(row.deals)) for label, row in zip(labels, kept, strict=True))
    return [chart, Grid(_("Steps of the movement; they add up"), columns, rows)]


def parts_of(at: Overview, language: Language) -> list[Part]:
    """The next level down."""
    found, titles = at.parts(), overview_words.titles(language)
    if found.empty:
        return []
    rows = tuple((str(row.label), *(plain(getattr(row, name)) for name in OF_PLACES)) for row in records(found))
    columns = (Column(language._("Whose numbers"), TEXT), *(Column(titles[name], format_of(name, at.currency)) for name in OF_PLACES))
    caption = language._("{period}, most revenue first; open pipeline as of now", period=language.span(*at.period))
    return [Grid(caption, columns, rows)]


def months(at: Overview, language: Language) -> list[Part]:
    """Revenue of past months and the forecast: a chart and its numbers."""
    return months_of(at.months(), at.forecast(), at.currency, language)


def months_of(history: pd.DataFrame, rows: pd.DataFrame, currency: str, language: Language) -> list[Part]:
    """A chart and its numbers of whole months (month, amount) and forecast months (period_start, amount, lo80, hi80)."""
    _ = language._
    past = history[history["month"].dt.date < rows["period_start"].min()] if len(rows) else history
    past = past.tail(MONTHS)
    if past.empty and rows.empty:
        return []
    names = (*(language.month(day.date(), True) for day in past["month"]), *(language.month(day, True) for day in rows["period_start"]))
    booked, ahead = tuple(past["amount"]), tuple(rows["amount"])
    gap: tuple[None, ...] = (None,) * len(booked)
    series = [Series(_("booked"), (*booked, *(None,) * len(ahead)))]
    if ahead:
        series.append(Series(_("forecast"), (*gap, *ahead), (*gap, *rows["lo80"]), (*gap, *rows["hi80"]), _("80 % interval"), ahead=True))
    alt = _("Monthly revenue, the last {n} months and the forecast; the numbers are in the table below.", n=len(past))
    columns = (Column(_("Month")), Column(_("Kind")), *(Column(name, money(currency)) for name in (_("Revenue"), "80 % –", "80 % +")))
    table = [(name, _("booked"), amount, None, None) for name, amount in zip(names, booked, strict=False)]
    table += [
        (name, _("forecast"), row.amount, row.lo80, row.hi80) for name, row in zip(names[len(booked) :], records(rows), strict=True)
    ]
    return [Chart("line", _("Month by month"), names, tuple(series), money(currency), alt),
            Grid(_("Months of the chart, forecast first"), columns, tuple(table))]  # fmt: skip
