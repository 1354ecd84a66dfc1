"""The screen Landing: where do we land this quarter, how sure are we, what the pipeline holds."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from html import escape

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.words import MISSING
from salesml.apps import pipeline_words as words
from salesml.apps import theme
from salesml.apps.data import ALL_REGIONS, Board, records
from salesml.apps.language import Language
from salesml.figures.pipeline import bar, fan

HISTORY_MONTHS = 24
SIZES = (("wide", HISTORY_MONTHS, 1040, 340), ("middle", 18, 640, 300), ("narrow", 9, 330, 250))
"""The chart is drawn for three widths of page, so that its text keeps its size: class, months of history, width, height."""


def screen(board: Board, language: Language, region: str = ALL_REGIONS) -> str:
    """The whole screen as HTML: the answer, how sure it is, the chart with its numbers, the pipeline by stage."""
    if not board.view.tables.head.tables:
        begin, demo = theme.command("salesml import NAME PATH"), theme.command("salesml demo")
        return theme.notice(language._("Nothing has been imported yet. Run {begin} or {demo}", begin=begin, demo=demo))
    landing = board.landing(region)
    parts = [_no_forecast(board, language, region)]
    if landing is not None:
        parts = [answer(board, language, region, landing), sure(board, region, language)]
    parts.append(_figures(board, language, region, landing))
    if landing is not None:
        parts.append(chart(board, language, region))
    return "".join([*parts, _stages(board, language, region)])


def answer(board: Board, language: Language, region: str, landing: pipeline.Landing) -> str:
    """The answer in one sentence, and what it means for the quota."""
    _ = language._
    places = {
        "whose": escape(_whose(board, language, region)), "quarter": language.span(landing.start, landing.end),
        "amount": f"<strong>{language.money(landing.amount, board.currency)}</strong>",
        "lo": language.money(landing.lo80, board.currency), "hi": language.money(landing.hi80, board.currency),
    }  # fmt: skip
    told = _("{whose} is heading for {amount} in {quarter}, most likely {lo} to {hi}.", **places)
    until = language.until(board.forecast_as_of, board.workspace.zone)
    meaning = _("Known up to the end of {day}. The range is an 80 % interval: four in five such quarters should land in it.", day=until)
    verdict = _against_quota(board, language, region, landing)
    return f'<p class="answer">{told}</p>{verdict}<p class="soft">{meaning}</p>'


def _whose(board: Board, language: Language, region: str) -> str:
    if region != ALL_REGIONS:
        return words.region(language, region)
    return language._("The company") if board.sees is None else language._("Your revenue")


def _against_quota(board: Board, language: Language, region: str, landing: pipeline.Landing) -> str:
    _ = language._
    if not landing.complete:
        last = language.month(landing.end - dt.timedelta(days=1))
        run = theme.command("salesml forecast revenue --months 3")
        told = _("The forecast ends with {month}, before the quarter does. For the whole quarter run {run}", month=last, run=run)
        return theme.notice(told)
    quota = board.quota(region)
    if not quota:
        return f'<p class="soft">{_("No revenue quota is set for {quarter}.", quarter=language.span(*board.quarter))}</p>'
    given = {"share": language.percent(float(landing.amount / quota)), "quota": language.money(quota, board.currency)}
    if landing.lo80 >= quota:
        verdict = _("That is {share} of the quota of {quota}; even the low end reaches it.", **given)
    elif landing.hi80 < quota:
        verdict = _("That is {share} of the quota of {quota}; even the high end falls short.", **given)
    else:
        verdict = _("That is {share} of the quota of {quota}, which lies inside the range: it can go either way.", **given)
    return f"<p>{verdict}</p>"


def sure(board: Board, region: str, language: Language) -> str:
    """How far forecasts like this one were off before, as the forecast itself recorded it."""
    _, first = language._, board.series(region)[1].iloc[0]
    found = json.loads(first["accuracy"]) if isinstance(first["accuracy"], str) else {}
    if not isinstance(found, dict) or found.get("wape") is None:
        return f'<p class="soft">{_("How far off such forecasts were before is not recorded.")}</p>'
    off = language.percent(found["wape"])
    told = [_("Forecasts like this one were off by {share} of monthly revenue on average before.", share=off)]
    if found.get("cover80") is not None:
        held = language.percent(found["cover80"])
        if found.get("n"):
            told.append(language.n_("Their 80 % interval held in {share} of {n} earlier month.",
                                    "Their 80 % interval held in {share} of {n} earlier months.", int(found["n"]), share=held))  # fmt: skip
        else:
            told.append(_("Their 80 % interval held in {share} of months.", share=held))
    landing = board.landing(region)
    if landing is not None and not landing.measured:
        told.append(_("Months are added as if they missed together, which rather widens the quarter's interval."))
    return f'<p class="soft">{" ".join(told)}</p>'


def _no_forecast(board: Board, language: Language, region: str) -> str:
    _ = language._
    run = theme.command("salesml forecast revenue")
    if board.sees is not None:
        return theme.notice(_("No forecast is made for exactly the deals that you may see."))
    if board.forecast.empty:
        return theme.notice(_("There is no revenue forecast as of this day. Run {run}", run=run))
    told = _(
        "The forecast known up to {day} says nothing about {region} in {quarter}. Choose another region, or run {run}",
        day=language.until(board.forecast_as_of, board.workspace.zone), region=escape(words.region(language, region)),
        quarter=language.span(*board.quarter), run=run,
    )  # fmt: skip
    return theme.notice(told)


def _figures(board: Board, language: Language, region: str, landing: pipeline.Landing | None) -> str:
    _, currency, deals = language._, board.currency, board.deals_of(region)
    amount = pipeline.total(deals["amount"])
    figures: list[tuple[str, str, str]] = []
    if landing is not None:
        wide = words.between(language, landing.lo95, landing.hi95, currency)
        figures += [
            (_("Booked this quarter"), language.money(landing.booked, currency), _("complete months only")),
            (_("95 % interval"), wide, _("19 in 20 should lie inside")),
        ]
    count = language.n_("{n} deal", "{n} deals", len(deals))
    figures.append((_("Open pipeline"), language.money(amount, currency), count))
    if board.scores is not None:
        weighted = language.money(deals["at_stake"].sum(), currency)
        figures.append((_("Weighted by the chance to win"), weighted, _("expected of the deals open now, whenever they close")))
    quota = board.quota(region)
    covered = pipeline.coverage(amount, quota, landing.booked) if quota and landing is not None else None
    if covered is not None:
        figures.append((_("Coverage"), f"{language.number(covered, 1)}×", _("open pipeline over what is missing to the quota")))
    return theme.facts(figures)


def chart(board: Board, language: Language, region: str) -> str:
    """Months of history and forecast of a region or the company, with the numbers of the chart as a table."""
    _, (history, rows) = language._, board.series(region)
    whose = _whose(board, language, region)
    first, last = rows.iloc[0], rows.iloc[-1]
    alt = _(
        "{whose}: monthly revenue; forecast of {first} for {start} to {last} for {end}, 80 % interval at the end {lo} to {hi}. The numbers "
        "are in the table below.",
        whose=whose, start=_month(language, first.period_start), end=_month(language, last.period_start),
        **{name: language.money(value, board.currency)
           for name, value in (("first", first.amount), ("last", last.amount), ("lo", last.lo80), ("hi", last.hi80))},
    )  # fmt: skip
    months = (lambda day: _month(language, day), lambda day: _month(language, day, short=True), _("80 % interval {lo} to {hi}"))
    charts = "".join(
        f'<div class="{name}">{fan(history.tail(count), rows, language.short, alt, width, height, *months)}</div>'
        for name, count, width, height in SIZES
    )
    keys = (("past", _("booked")), ("ahead", _("forecast")), ("band80", _("80 % interval")), ("band95", _("95 % interval")))
    legend = "".join(f'<li><span class="key {key}"></span>{escape(name)}</li>' for key, name in keys)
    title = escape(_("{whose}: monthly revenue ({currency})", currency=board.currency, whose=whose))
    return (
        f"<figure><figcaption>{title}</figcaption>{charts}"
        f'<ul class="legend" aria-hidden="true">{legend}</ul></figure>{_numbers(board, language, history, rows)}'
    )


def _numbers(board: Board, language: Language, history: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The chart as a table: the text alternative."""
    _, number = language._, language.number
    ahead = [
        [_month(language, row.period_start), _("forecast"), number(row.amount),
         _("{lo} to {hi}", lo=number(row.lo80), hi=number(row.hi80)), _("{lo} to {hi}", lo=number(row.lo95), hi=number(row.hi95))]
        for row in records(rows)
    ]  # fmt: skip
    past = [
        [_month(language, row.month), _("booked"), number(row.amount), MISSING, MISSING]
        for row in records(history.tail(HISTORY_MONTHS).iloc[::-1])
    ]
    heads = [_("Month"), _("Kind"), f"{_('Revenue')} ({board.currency})", _("80 % interval"), _("95 % interval")]
    shown = theme.table(_("Months of the chart, forecast first"), heads, ahead + past, numbers=(2, 3, 4), kind="cards")
    return f"<details><summary>{escape(_('Numbers of the chart'))}</summary>{shown}</details>"


def _stages(board: Board, language: Language, region: str) -> str:
    _, deals, unit = language._, board.deals_of(region), board.currency
    title = f"<h2>{escape(_('What the pipeline holds'))}</h2>"
    if deals.empty:
        return f'{title}<p class="soft">{escape(_("No deal is open."))}</p>'
    stages = pipeline.by_stage(deals)
    rows = [[words.stage(language, row.stage), *_sums(board, language, row.deals, row.amount, row.weighted)] for row in records(stages)]
    whole = max(float(stages["amount"].sum()), 1.0)
    rows = [[*row, bar(float(amount) / whole)] for row, amount in zip(rows, stages["amount"], strict=True)]
    sums = _sums(board, language, len(deals), pipeline.total(deals["amount"]), stages["weighted"].sum())
    heads = [_("Stage"), _("Deals"), f"{_('Amount')} ({unit})", f"{_('Weighted')} ({unit})", _("Share of the amount")]
    foreign = int((deals["currency"].notna() & (deals["currency"] != unit)).sum())
    remark = language.n_("{n} deal in another currency is not in the amounts.", "{n} deals in other currencies are not in the amounts.",
                         foreign)  # fmt: skip
    shown = theme.table(_("Open deals by stage"), heads, rows, numbers=(1, 2, 3), foot=[_("All stages"), *sums, ""], kind="cards stages")
    return title + shown + (f'<p class="soft">{remark}</p>' if foreign else "")


def _sums(board: Board, language: Language, deals: int, amount: Decimal, weighted: float) -> list[str]:
    scored = board.scores is not None
    return [language.number(deals), language.short(amount), language.short(weighted) if scored else MISSING]


def _month(language: Language, day: dt.date, short: bool = False) -> str:
    shown = language.month(dt.date(day.year, day.month, 1), short)
    return shown.replace(f"{day.year}", f"{day.year % 100:02d}") if short else shown
