"""The overview's one screen: where the quarter lands, the figures beside before, what moved, what needs somebody, whose it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import pandas as pd

from salesml.analytics.measures import MEASURES, Measure
from salesml.apps import overview_words, theme
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.overview_data import FIGURES, MONTHS, OF_PLACES, Overview
from salesml.apps.placed import Ways
from salesml.figures import movement as moves
from salesml.figures.pipeline import bar, fan

NEEDS, BEHIND = 5, 10
SIZES = (("wide", MONTHS, 1040, 300), ("middle", MONTHS, 640, 280), ("narrow", 6, 330, 240))


def card_titles(language: Language) -> dict[str, str]:
    """The cards there are, in the order they come without a layout."""
    _ = language._
    return {
        "figures": _("The figures"), "needs": _("What needs somebody"), "why": _("What moved this week"), "parts": _("Whose numbers"),
        "months": _("Month by month"),
    }  # fmt: skip


def answer(at: Overview, language: Language) -> str:
    """Where the quarter lands and what it means for the quota, in a sentence each."""
    _ = language._
    landing, now, quota = at.landing(), at.now().iloc[0], at.quota()
    whose = escape(at.place.label) or _("The company")
    money = _money(at, language)
    quarter = language.span(*at.quarter)
    if landing is None:
        open_ = f"<strong>{money(now['pipeline'])}</strong>"
        count = language.n_("{n} open deal", "{n} open deals", int(now["open_deals"]))
        sentence = _("{whose}: {open} in {deals}; no forecast is made for it.", whose=whose, open=open_, deals=count)
    else:
        sentence = _("{whose} is heading for {amount} in {quarter}, most likely {lo} to {hi}.", whose=whose, quarter=quarter,
                     amount=f"<strong>{money(landing.amount)}</strong>", lo=money(landing.lo80), hi=money(landing.hi80))  # fmt: skip
    parts = [f'<p class="answer">{sentence}</p>']
    if landing is not None and quota:
        share = language.percent(float(landing.amount / quota))
        given = {"share": share, "quota": money(quota)}
        if landing.lo80 >= quota:
            verdict = _("That is {share} of the quota of {quota}; even the low end reaches it.", **given)
        elif landing.hi80 < quota:
            verdict = _("That is {share} of the quota of {quota}; even the high end falls short.", **given)
        else:
            verdict = _("That is {share} of the quota of {quota}, which lies inside the range: it can go either way.", **given)
        parts.append(f"<p>{verdict}</p>")
    elif not quota:
        parts.append(f'<p class="soft">{_("No revenue quota is set for {quarter}.", quarter=quarter)}</p>')
    until = language.until(at.book.as_of, at.workspace.zone)
    told = _("Known up to the end of {day}. The range is an 80 % interval: four in five such quarters should land in it.", day=until)
    if landing is None:
        told = _("Known up to the end of {day}.", day=until)
    return "".join([*parts, f'<p class="soft">{told}</p>'])


def behind(at: Overview, language: Language, ways: Ways, _name: str, name: str) -> str:
    """What a figure means, what it rests on, and the rows it is counted from."""
    _, unit, rows = language._, MEASURES[name].unit, at.behind(name, BEHIND)
    base = MEASURES["revenue" if name == "quota_attainment" else name]
    day = str(base.at) if isinstance(base, Measure) else "on"
    told = []
    for row in rows.to_dict("records"):
        deal = row.get("opportunity_id")
        what = escape(str(row["what"]))
        is_open = isinstance(deal, str) and row.get("status") == "open"
        linked = f'<a href="{escape(ways.app("pipeline", screen="story", deal=str(deal)))}">{what}</a>' if is_open else what
        if unit == "share" and name != "quota_attainment":
            counted = _("counts") if row["counted"] else _("does not count")
        else:
            counted = overview_words.value(language, "revenue" if name == "quota_attainment" else name, row["counted"], at.currency)
        when = language.day(pd.Timestamp(row[day]).date(), short=True)
        told.append([linked, escape(str(row["who"])), when, escape(counted)])
    title, meaning = overview_words.titles(language)[name], overview_words.meanings(language)[name]
    heads = [_("What"), _("Rep"), _("Day"), _("Counts as")]
    caption = _("The first {n} rows it is counted from, greatest first", n=language.number(len(told)))
    shown = theme.table(caption, heads, told, numbers=(3,), kind="cards") if told else f'<p class="soft">{escape(_("No row."))}</p>'
    source = _("{period}; lake state {head}, as it is known now.", period=language.span(*at.period), head=at.found.tables.head.id)
    close = f'<p><a href="{escape(ways.here())}">{escape(_("Close"))}</a></p>'
    return (
        f'<section aria-labelledby="behind"><h2 id="behind">{escape(title)}</h2><p>{escape(meaning)}</p>'
        f'<p class="soft">{escape(source)}</p>{shown}{close}</section>'
    )


def figures(at: Overview, language: Language, ways: Ways) -> str:
    """Each figure beside the period before and the year before, with what it means a click away."""
    _, titles, meanings = language._, overview_words.titles(language), overview_words.meanings(language)
    rows = []
    for row in records(at.figures()):
        told, kind = overview_words.change(language, row.measure, row)
        year = overview_words.value(language, row.measure, row.year, at.currency)
        shown = overview_words.value(language, row.measure, row.now, at.currency)
        mark = f'<span class="{kind}">{escape(told)}</span>' if kind else escape(told)
        name = f'<a href="{escape(ways.here(figure=row.measure))}">{escape(titles[row.measure])}</a>'
        rows.append([name, escape(shown), mark, escape(year)])
    heads = [_("Figure"), language.span(*at.period), _("Beside the quarter before"), _("A year before")]
    shown = theme.table(_("In {currency}; what is better is green", currency=at.currency), heads, rows, numbers=(1, 3), kind="beside")
    listed = "".join(f"<dt>{escape(titles[name])}</dt><dd>{escape(meanings[name])}</dd>" for name in FIGURES)
    source = _("Lake state {head}; as it is known now.", head=at.found.tables.head.id)
    return f'{shown}<details><summary>{escape(_("What the figures mean"))}</summary><dl>{listed}</dl><p class="soft">{source}</p></details>'


def needs(at: Overview, language: Language, ways: Ways) -> str:
    """The deals with warning signs that most is at stake in."""
    _ = language._
    rows = []
    for deal in records(at.needs(NEEDS)):
        name = f'<a href="{escape(ways.app("pipeline", screen="story", deal=deal.opportunity_id))}">{escape(str(deal.name))}</a>'
        owner = "" if pd.isna(deal.owner) else f"<small>{escape(str(deal.owner))}</small>"
        signs = "; ".join(overview_words.warnings(language, deal))
        rows.append([name + owner, _money(at, language)(deal.amount), language.percent(deal.probability), escape(signs)])
    if not rows:
        return f'<p class="soft">{escape(_("No open deal has a warning sign."))}</p>'
    heads = [_("Deal"), _("Amount"), _("Chance to win"), _("Why")]
    return theme.table(_("Open deals with a warning sign, most at stake first"), heads, rows, numbers=(1, 2), kind="cards")


def why(at: Overview, language: Language, _ways: Ways) -> str:
    """How the open pipeline moved in a week, as a picture and in figures that add up."""
    _ = language._
    steps = at.steps()
    if steps is None:
        return f'<p class="soft">{escape(_("Nothing was known a week ago."))}</p>'
    names, money = overview_words.steps(language), _money(at, language)
    steps = steps.assign(title=steps["step"].map(names))
    start, end = steps.iloc[0], steps.iloc[-1]
    middle = steps.iloc[1:-1]
    greatest = middle.iloc[int(middle["cents"].abs().to_numpy().argmax())]
    told = _("The open pipeline went from {start} to {end}.", start=money(start["amount"]), end=money(end["amount"]))
    if greatest["cents"]:
        told += " " + _("What moved it most: {step}, {amount}.", step=greatest["title"], amount=money(greatest["amount"]))
    drawn = "".join(
        f'<div class="{name}">{moves.waterfall(steps, money, told, width, lambda n: language.n_("{n} deal", "{n} deals", n))}</div>'
        for name, width in (("wide", 1000), ("middle", 600), ("narrow", 330))
    )
    rows = [[escape(row.title), money(row.amount), language.number(row.deals)] for row in records(steps) if row.deals or row.cents]
    table = theme.table(_("Steps of the movement; they add up"), [_("Step"), _("Amount"), _("Deals")], rows, numbers=(1, 2))
    return f'<p>{escape(told)}</p><figure>{drawn}</figure><details><summary>{escape(_("Numbers of the chart"))}</summary>{table}</details>'


def parts_of(at: Overview, language: Language, ways: Ways) -> str:
    """The next level down, each a way into its own numbers."""
    _, titles = language._, overview_words.titles(language)
    rows, found = [], at.parts()
    if found.empty:
        return f'<p class="soft">{escape(_("There is no level below."))}</p>'
    most = max(float(found["revenue"].astype("float64").max()), 1.0)
    for row in records(found):
        name = f'<a href="{escape(ways.here(place=f"{row.level}:{row.key}"))}">{escape(str(row.label))}</a>'
        cells = [escape(overview_words.value(language, one, getattr(row, one), at.currency)) for one in OF_PLACES]
        rows.append([name, cells[0] + bar(float(row.revenue) / most), *cells[1:]])
    heads = [{"region": _("Region"), "team": _("Team"), "rep": _("Rep")}[str(found["level"].iloc[0])], *(titles[one] for one in OF_PLACES)]
    caption = _("{period}, most revenue first; open pipeline as of now", period=language.span(*at.period))
    return theme.table(caption, heads, rows, numbers=(1, 2, 3, 4), kind="cards")


def months(at: Overview, language: Language, _ways: Ways) -> str:
    """Revenue of the last months and the forecast of the next, as a picture and as a table."""
    _, rows, history = language._, at.forecast(), at.months()
    money, short = _money(at, language), language.short
    if history.empty and rows.empty:
        return f'<p class="soft">{escape(_("No whole month has revenue."))}</p>'
    past = history[history["month"].dt.date < rows["period_start"].min()] if len(rows) else history
    alt = _("Monthly revenue, the last {n} months and the forecast; the numbers are in the table below.", n=min(MONTHS, len(past)))
    interval = _("80 % interval {lo} to {hi}")
    days = (_month(language), _month(language, True), interval)
    drawn = "".join(
        f'<div class="{name}">{fan(past.tail(count), rows, short, alt, width, height, *days)}</div>' for name, count, width, height in SIZES
    )
    ahead = [
        [language.month(row.period_start), _("forecast"), money(row.amount), f"{money(row.lo80)} – {money(row.hi80)}"]
        for row in records(rows)
    ]
    before = [[language.month(row.month.date()), _("booked"), money(row.amount), "–"] for row in records(past.tail(MONTHS).iloc[::-1])]
    table = theme.table(_("Months of the chart, forecast first"), [_("Month"), _("Kind"), _("Revenue"), _("80 % interval")], ahead + before,
                        numbers=(2, 3), kind="cards")  # fmt: skip
    keys = (("past", _("booked")), ("ahead", _("forecast")), ("band80", _("80 % interval")), ("band95", _("95 % interval")))
    legend = "".join(f'<li><span class="key {key}"></span>{escape(name)}</li>' for key, name in keys)
    numbers = f"<details><summary>{escape(_('Numbers of the chart'))}</summary>{table}</details>"
    return f'<figure>{drawn}<ul class="legend" aria-hidden="true">{legend}</ul></figure>{numbers}'


def _money(at: Overview, language: Language) -> Callable[[object], str]:
    return lambda value: language.money(value, at.currency)


def _month(language: Language, short: bool = False) -> Callable[[pd.Timestamp], str]:
    def told(day: pd.Timestamp) -> str:
        shown = language.month(dt.date(day.year, day.month, 1), short)
        return shown.replace(f"{day.year}", f"{day.year % 100:02d}") if short else shown

    return told
