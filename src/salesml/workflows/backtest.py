"""The backtest of the revenue forecast: each way of forecasting from many months of the past, beside what came; nothing is published."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salesml.analytics import backtest
from salesml.errors import BadParameter, NotEnoughData
from salesml.lake import Lake
from salesml.workflows.forecast import COMPANY, forecast_now
from salesml.workspace import Workspace

NAIVE, CHAMPION = "seasonal_naive", "champion"
LONGEST = 24
FEW_SUMS = 10


@dataclass(frozen=True)
class BacktestRun:
    """How forecasts of monthly revenue would have fared; money in `currency`. Grain of the frames:

    table: one row per model, level and months ahead (step; 0: all), as `evaluation.backtest.by_step` gives it, the champion first.
    quarters: the same of the sum of the three months after each origin, one row per model and level; empty where none is known.
    sums: those sums, one row per model, series and origin. winners: one row per origin (`analytics.backtest.winners`). judged: one
    row per model, series, origin and step. `champion` is the choice as it would have been made at each origin. seconds: what it took.
    """

    as_of: dt.datetime
    currency: str
    revenue_is: str
    months: int
    history: pd.DataFrame
    table: pd.DataFrame
    quarters: pd.DataFrame
    sums: pd.DataFrame
    winners: pd.DataFrame
    judged: pd.DataFrame
    chosen: str
    seconds: float
    sentence: str
    notes: tuple[str, ...]
    head_id: int


def backtest_revenue(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, months: int = 6, prophet: bool = True
) -> BacktestRun:
    """Forecast company and regions `months` ahead from origins of the past and compare with what came, as known as of an instant.

    The origins, candidates and intervals are those behind `salesml forecast revenue`; each uses only months before it. History is
    taken as known at as_of, later corrections in it: `salesml accuracy` judges what was published. Raises BadParameter for months
    outside 1..24, NotEnoughData below four complete months of revenue.
    """
    if not 1 <= months <= LONGEST:
        raise BadParameter(f"months {months!r} is not a whole number from 1 to {LONGEST}")
    started = time.monotonic()
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    made = forecast_now(workspace, tables, cutoff, months, prophet)
    result = made.result
    if result.judged.empty:
        known = made.history["month"].nunique()
        told = f"{known} complete months of revenue known; a backtest holds out at least one after three: four months"
        raise NotEnoughData(f"{told}. Import more history, or wait for the next month to end")
    table = backtest.in_order(result.backtest)
    quarters, sums = backtest.quarters(result.judged_totals, NAIVE), backtest.quarter_sums(result.judged_totals)
    winners = backtest.winners(result.judged, COMPANY, NAIVE)
    notes = (*made.notes, *result.notes, *_notes(sums, months))
    return BacktestRun(
        cutoff, workspace.settings.currency, made.revenue_is, months, made.history, table, quarters, sums, winners, result.judged,
        result.chosen, time.monotonic() - started, _sentence(table, quarters, winners), notes, tables.head.id,
    )  # fmt: skip


def _notes(sums: pd.DataFrame, months: int) -> list[str]:
    if months < backtest.QUARTER:
        return [f"{months} months ahead make no quarter: ask for at least {backtest.QUARTER}"]
    count = sums["origin"].nunique() if len(sums) else 0
    if not count:
        return ["no three months after an origin are over: nothing can be said of quarters"]
    few = [f"the quarters rest on {count} origins only"] if count < FEW_SUMS else []
    return [*few, "forecasts from neighbouring origins share months: the intervals given for coverage take them as independent"]


def _sentence(table: pd.DataFrame, quarters: pd.DataFrame, winners: pd.DataFrame) -> str:
    whole = _row(table[table["step"] == 0])
    first, count = winners["origin"].min(), len(winners)
    told = (
        f"Forecast from {count} {'month' if count == 1 else 'months'} of the past since {first:%B %Y}, the company's revenue of a month "
        f"was missed by {whole['wape']:.1%} (WAPE), {_beside(whole)}, and the 80 % interval held {whole['cover80']:.0%} of "
        f"{whole['n']:.0f} outcomes"
    )
    if quarters.empty:
        return f"{told}."
    sums = _row(quarters)
    return (
        f"{told}; of three months together {sums['wape']:.1%} was missed, {_beside(sums)}, and the 80 % interval held "
        f"{round(sums['cover80'] * sums['n'])} of {sums['n']:.0f} sums."
    )


def _row(table: pd.DataFrame) -> dict[str, Any]:
    """The champion's row of the company."""
    row = table[(table["model"] == CHAMPION) & (table["level"] == COMPANY)].iloc[0]
    return {str(name): value for name, value in row.items()}


def _beside(row: dict[str, Any]) -> str:
    ratio, low, high = (row[f"to_{NAIVE}{end}"] for end in ("", "_lo", "_hi"))
    if pd.isna(ratio):
        return "seasonal naive by nothing"
    interval = "" if pd.isna(low) else f" (95 % interval {low:.2f} to {high:.2f})"
    return f"{ratio:.2f} times the miss of seasonal naive{interval}"
