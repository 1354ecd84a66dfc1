"""The screen Landing: where do we land this quarter, how sure are we, what the pipeline holds."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from html import escape

import pandas as pd

from salesml.analytics import pipeline
from salesml.apps import text, theme
from salesml.apps.data import ALL_REGIONS, Board, records
from salesml.figures.pipeline import bar, fan

HISTORY_MONTHS = 24
TOGETHER = "Months are added as if they missed together, which rather widens the quarter's interval."
SIZES = (("wide", HISTORY_MONTHS, 1040, 340), ("middle", 18, 640, 300), ("narrow", 9, 330, 250))
"""The chart is drawn for three widths of page, so that its text keeps its size: class, months of history, width, height."""


def screen(board: Board, region: str = ALL_REGIONS) -> str:
    """The whole screen as HTML: the answer, how sure it is, the chart with its numbers, the pipeline by stage."""
    if not board.view.tables.head.tables:
        run = f"{theme.command('salesml import NAME PATH')} or {theme.command('salesml demo')}"
        return theme.notice(f"Nothing has been imported yet. Run {run}")
    landing = board.landing(region)
    parts = [_no_forecast(board, region)] if landing is None else [answer(board, region, landing), sure(board, region)]
    parts.append(_figures(board, region, landing))
    if landing is not None:
        parts.append(chart(board, region))
    return "".join([*parts, _stages(board, region)])


def answer(board: Board, region: str, landing: pipeline.Landing) -> str:
    """The answer in one sentence, and what it means for the quota."""
    whose = "" if region == ALL_REGIONS else f" in {escape(region)}"
    period = "This quarter" if landing.complete else "This quarter so far as it is forecast"
    interval = text.between(landing.lo80, landing.hi80, board.currency)
    sentence = (
        f"{period}{whose} ({text.span(landing.start, landing.end)}) is heading for "
        f"<strong>{text.money(landing.amount, board.currency)}</strong>, 80{text.NARROW}% interval {interval}, "
        f"as known at {text.known(board.forecast_as_of, board.workspace.zone)}."
    )
    return f'<p class="answer">{sentence}</p>{_against_quota(board, region, landing)}'


def _against_quota(board: Board, region: str, landing: pipeline.Landing) -> str:
    if not landing.complete:
        months = 3
        return theme.notice(
            f"The forecast ends with {landing.end - dt.timedelta(days=1):%B %Y}, before the quarter does. For the whole quarter run "
            + theme.command(f"salesml forecast revenue --months {months}")
        )
    quota = board.quota(region)
    if not quota:
        return '<p class="soft">No revenue quota is set for this quarter.</p>'
    shown = text.money(quota, board.currency)
    if landing.lo80 >= quota:
        verdict = f"Even the low end of the interval is above the quota of {shown}."
    elif landing.hi80 < quota:
        verdict = f"Even the high end of the interval is below the quota of {shown}."
    else:
        verdict = f"The quota of {shown} lies inside the interval: it can go either way."
    return f"<p>That is {text.percent(float(landing.amount / quota))} of the quota. {verdict}</p>"


def sure(board: Board, region: str) -> str:
    """How far forecasts like this one were off before, as the forecast itself recorded it."""
    first = board.series(region)[1].iloc[0]
    found = json.loads(first["accuracy"]) if isinstance(first["accuracy"], str) else {}
    if not isinstance(found, dict) or found.get("wape") is None:
        return '<p class="soft">How far off such forecasts were before is not recorded.</p>'
    told = f"Forecasts like this one were off by {text.percent(found['wape'])} of monthly revenue on average before"
    if found.get("cover80") is not None:
        cases = f" of {text.count(int(found['n']), 'earlier month')}" if found.get("n") else ""
        told += f"; their 80{text.NARROW}% interval held in {text.percent(found['cover80'])}{cases}"
    landing = board.landing(region)
    together = "" if landing is None or landing.measured else f" {TOGETHER}"
    return f'<p class="soft">How sure: {told}.{together}</p>'


def _no_forecast(board: Board, region: str) -> str:
    if board.forecast.empty:
        return theme.notice(
            f"There is no revenue forecast as of this day. Run {theme.command('salesml forecast revenue')}"
        )
    return theme.notice(
        f"The forecast as of {text.known(board.forecast_as_of, board.workspace.zone)} says nothing about {escape(region)} in "
        f"{text.span(*board.quarter)}. Choose another region, or run {theme.command('salesml forecast revenue')}"
    )


def _figures(board: Board, region: str, landing: pipeline.Landing | None) -> str:
    currency, deals = board.currency, board.deals_of(region)
    amount = pipeline.total(deals["amount"])
    weighted = deals["at_stake"].sum()
    figures: list[tuple[str, str, str]] = []
    if landing is not None:
        figures += [
            ("Booked this quarter", text.money(landing.booked, currency), "complete months only"),
            (
                f"95{text.NARROW}% interval",
                text.between(landing.lo95, landing.hi95, currency),
                "19 in 20 should lie inside",
            ),
        ]
    figures.append(("Open pipeline", text.money(amount, currency), text.count(len(deals), "deal")))
    if board.scores is not None:
        figures.append(("Weighted by P(win)", text.money(weighted, currency), "deals won in the end"))
    covered = _coverage(board, region, landing, amount)
    if covered is not None:
        figures.append(("Coverage", f"{covered:.1f}×", "open pipeline over what is missing to the quota"))
    return theme.facts(figures)


def _coverage(board: Board, region: str, landing: pipeline.Landing | None, amount: Decimal) -> float | None:
    quota = board.quota(region)
    return pipeline.coverage(amount, quota, landing.booked) if quota and landing is not None else None


def chart(board: Board, region: str) -> str:
    """Months of history and forecast of a region or the company, with the numbers of the chart as a table."""
    history, rows = board.series(region)
    say = text.amount
    whose = "the company" if region == ALL_REGIONS else region
    first, last = rows.iloc[0], rows.iloc[-1]
    alt = (
        f"Monthly revenue of {whose}, {board.currency}: forecast of {say(first.amount)} for {first.period_start:%B %Y} "
        f"to {say(last.amount)} for {last.period_start:%B %Y}, 80 % interval {say(last.lo80)} to {say(last.hi80)}. "
        "The numbers are in the table below."
    )
    charts = "".join(
        f'<div class="{name}">{fan(history.tail(months), rows, text.amount, alt, width, height)}</div>'
        for name, months, width, height in SIZES
    )
    keys = (("past", "booked"), ("ahead", "forecast"), ("band80", "80 % interval"), ("band95", "95 % interval"))
    legend = "".join(f'<li><span class="key {key}"></span>{name}</li>' for key, name in keys)
    title = f"Monthly revenue of {escape(whose)}, {escape(board.currency)}"
    return (
        f"<figure><figcaption>{title}</figcaption>{charts}"
        f'<ul class="legend" aria-hidden="true">{legend}</ul></figure>{_numbers(board, history, rows)}'
    )


def _numbers(board: Board, history: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The chart as a table: the text alternative."""
    ahead = [
        [f"{row.period_start:%B %Y}", "forecast", f"{row.amount:,.0f}", f"{row.lo80:,.0f} to {row.hi80:,.0f}",
         f"{row.lo95:,.0f} to {row.hi95:,.0f}"]
        for row in records(rows)
    ]  # fmt: skip
    past = [
        [f"{row.month:%B %Y}", "booked", f"{row.amount:,.0f}", text.MISSING, text.MISSING]
        for row in records(history.tail(HISTORY_MONTHS).iloc[::-1])
    ]
    unit = board.currency
    heads = ["Month", "Kind", f"Revenue ({unit})", f"80 % interval ({unit})", f"95 % interval ({unit})"]
    shown = theme.table("Months of the chart, forecast first", heads, ahead + past, numbers=(2, 3, 4), kind="cards")
    return f"<details><summary>Numbers of the chart</summary>{shown}</details>"


def _stages(board: Board, region: str) -> str:
    deals, unit = board.deals_of(region), board.currency
    if deals.empty:
        return '<h2>What the pipeline holds</h2><p class="soft">No deal is open.</p>'
    stages = pipeline.by_stage(deals)
    scored = board.scores is not None
    whole = max(float(stages["amount"].sum()), 1.0)
    rows = [
        [escape(str(row.stage)), f"{row.deals:,}", text.amount(row.amount), text.amount(row.weighted) if scored else text.MISSING,
         bar(float(row.amount) / whole)]
        for row in records(stages)
    ]  # fmt: skip
    total = [len(deals), pipeline.total(deals["amount"]), stages["weighted"].sum()]
    foot = ["All stages", f"{total[0]:,}", text.amount(total[1]), text.amount(total[2]) if scored else text.MISSING, ""]
    heads = ["Stage", "Deals", f"Amount ({unit})", f"Weighted by P(win) ({unit})", "Share of the amount"]
    foreign = int((deals["currency"].notna() & (deals["currency"] != unit)).sum())
    remark = (
        f'<p class="soft">{text.count(foreign, "deal")} in other currencies are not in the amounts.</p>'
        if foreign
        else ""
    )
    shown = theme.table("Open deals by stage", heads, rows, numbers=(1, 2, 3), foot=foot, kind="stages")
    return f"<h2>What the pipeline holds</h2>{shown}{remark}"
