"""The quarter as seen at one instant: what its open deals may bring, what comes from elsewhere, the chance of each quota."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics import elsewhere, health, pipeline, quarter
from salesml.analytics.published import AGREE
from salesml.analytics.revenue import monthly_by_level
from salesml.errors import NotEnoughData
from salesml.lake import Tables, View, visible
from salesml.workflows import quarter_facts as facts
from salesml.workflows.deals import MODEL, score_deals
from salesml.workflows.overrides import current_forecast
from salesml.workflows.overview import champions
from salesml.workspace import Workspace

QUARTERS = 12
COMPANY = (quarter.COMPANY, quarter.COMPANY)
Lands = dict[tuple[str, str], pipeline.Landing]
"""Where nodes (level, name) land by the published forecast."""
FIRST_QUARTER_DAYS = 91


@dataclass(frozen=True)
class Picture:
    """The quarter as seen at one instant.

    deals: open deals with p_quarter; rates: of past quarters at the same day; words: where p_quarter comes from; quotas:
    `chances`, with rate_probability (the chance if the deals had the rates' p_quarter); landing: draws of the company's;
    landed: share of a win's amount that becomes revenue within the quarter. What a recomputation needs beside: draws (of `quotas`'
    rows), books, quarters (of today and the past ones, newest first: start, end, begins, at, ends), past and lives (`quarter_facts`).
    """

    deals: pd.DataFrame
    rates: health.Rates
    words: str
    shock: quarter.Shock
    quotas: pd.DataFrame
    landing: np.ndarray = field(repr=False)
    landed: float
    draws: Draws = field(repr=False)
    books: facts.Books = field(repr=False)
    quarters: pd.DataFrame = field(repr=False)
    past: pd.DataFrame = field(repr=False)
    lives: pd.DataFrame = field(repr=False)

    @property
    def now(self) -> pd.Series:
        """The quarter of today."""
        return self.quarters.iloc[0]


@dataclass(frozen=True)
class Draws:
    """Draws behind the rows of `Picture.quotas`, one row each: what the open deals bring, what comes from elsewhere (missing: unknown).

    parts: what each node is expected to have from elsewhere, by (level, name), so that parts add up (`elsewhere.shared_out`).
    """

    won: np.ndarray
    other: np.ndarray
    parts: pd.Series = field(default_factory=lambda: pd.Series(dtype="float64"), repr=False)


def champions_scores(workspace: Workspace, instant: dt.datetime) -> pd.DataFrame | None:
    """Scores of the deals open at an instant by the champion of the deal model (kept as predictions); None without one."""
    return score_deals(workspace, instant) if MODEL in dict(champions(workspace)) else None


def picture(workspace: Workspace, tables: Tables, instant: dt.datetime, scores: pd.DataFrame | None = None) -> Picture:
    """The quarter as known at an instant; `scores` as `workflows.health.pipeline_health` takes them, else rates of past quarters.

    Raises NotEnoughData where no deal is open or no past quarter is known.
    """
    view, today = visible(tables, instant), workspace.local_date(instant)
    quarters = _quarters(workspace, view, today)
    lives = facts.lives(view)
    past = facts.past(tables, lives, quarters)
    found = health.rates(past)
    deals = _open(view, quarters.iloc[0]["end"])
    if scores is not None:
        columns = [name for name in ("opportunity_id", "probability", "p_quarter") if name in scores]
        deals = deals.merge(scores[columns], "left", "opportunity_id")
    elif "probability" not in deals:
        deals = deals.assign(probability=np.nan)
    deals, words = health.with_chances(deals, found)
    shock = quarter.shock_size(_judged(past))
    entries = facts.revenue_entries(view)
    books = facts.Books(entries, *facts.history(entries, past, lives, quarters))
    quotas = quota_rows(view, quarters.iloc[0])
    lands = forecast_lands(workspace, view, quarters.iloc[0])
    table, draws = chances(deals, shock, books, quotas, quarters.iloc[0], lands)
    rated = deals.assign(p_quarter=health.by_rates(deals, found))
    same = not lands and np.allclose(rated["p_quarter"], deals["p_quarter"])
    by_rates = table if same else chances(rated, shock, books, quotas, quarters.iloc[0])[0]
    return Picture(
        deals,
        found,
        f"{words} {_agrees(table, lands.get(COMPANY), workspace.settings.currency)}".strip(),
        shock,
        table.assign(rate_probability=by_rates["probability"].to_numpy()),
        _landing(table, draws),
        books.landed,
        draws,
        books,
        quarters,
        past,
        lives,
    )


def _quarters(workspace: Workspace, view: View, today: dt.date) -> pd.DataFrame:
    """The quarter of today and the past ones, newest first: start, end (days), begins, at (the same day in it), ends (UTC)."""
    start, end = pipeline.quarter(today, workspace.settings.fiscal_year_start)
    day, rows = (today - start).days, list[tuple[Any, ...]]()
    assert view.as_of is not None, "the quarters are asked of an instant"
    changes, as_of = view.facts("opportunity"), pd.Timestamp(view.as_of)
    first = view.frame(changes.aggregate(first=changes.known_at.min()))["first"].iloc[0]
    if pd.isna(first):
        raise NotEnoughData(f"no deal is known as of {today:%Y-%m-%d}; import deals, or choose a later day")
    while len(rows) <= QUARTERS and workspace.instant(start) >= first + pd.Timedelta(days=FIRST_QUARTER_DAYS):
        at = min(start + dt.timedelta(days=day), end - dt.timedelta(days=1))
        rows.append((start, end, *(pd.Timestamp(workspace.instant(when)) for when in (start, at, end))))
        start, end = pipeline.quarter(start - dt.timedelta(days=1), workspace.settings.fiscal_year_start)[0], start
    if len(rows) < 2:
        raise NotEnoughData("not one past quarter of deals is known; pipeline health needs one to tell what is usual")
    found = pd.DataFrame(rows, columns=["start", "end", "begins", "at", "ends"])
    found["at"] = found["at"].where(found.index > 0, as_of)
    return found


def _open(view: View, end: dt.date) -> pd.DataFrame:
    """`pipeline.open_deals` with rep, team, industry and due; NotEnoughData where none is open."""
    deals = pipeline.open_deals(view)
    if deals.empty:
        raise NotEnoughData("no deal is open; there is no pipeline to look at")
    deals = deals.merge(facts.placed(view)[["opportunity_id", "rep", "team", "industry"]], "left", "opportunity_id")
    return deals.assign(stage=deals["stage"].fillna("(no stage)"), due=health.due(deals["close_date"], end))


def _judged(past: pd.DataFrame) -> pd.DataFrame:
    """Past deals with the chance that the other quarters' rates gave them: quarter, amount, chance, won (in the quarter)."""
    parts = []
    for name, rows in past.groupby("quarter"):
        rest = past[past["quarter"] != name]
        chance = (
            health.by_rates(rows, health.rates(rest))
            if len(rest)
            else np.full(len(rows), rows["won_in_quarter"].mean())
        )
        parts.append(rows.assign(chance=chance))
    judged = pd.concat(parts, ignore_index=True)
    return judged[["quarter", "amount", "chance"]].assign(won=judged["won_in_quarter"])


def quota_rows(view: View, now: pd.Series) -> pd.DataFrame:
    """Revenue targets of exactly this quarter: level, name, label, quota; the company first, its quota missing where none is set."""
    rows = view.frame(
        view.state("quota", ["entity_type", "entity_id", "period_start", "period_end", "target", "amount", "currency"])
    )
    days = {name: pd.to_datetime(rows[name]).dt.date for name in ("period_start", "period_end")}
    own = rows["currency"].isna() | (rows["currency"] == view.tables.workspace.settings.currency)
    this = (
        own
        & rows["target"].fillna("revenue").eq("revenue")
        & days["period_start"].eq(now["start"])
        & days["period_end"].eq(now["end"])
    )
    rows = rows[this].rename(columns={"entity_type": "level", "entity_id": "name", "amount": "quota"})
    rows["quota"] = rows["quota"].astype("float64")
    rows.loc[rows["level"] == quarter.COMPANY, "name"] = quarter.COMPANY
    if not rows["level"].eq(quarter.COMPANY).any():
        rows = pd.concat(
            [rows, pd.DataFrame({"level": [quarter.COMPANY], "name": [quarter.COMPANY], "quota": [np.nan]})]
        )
    rows["label"] = rows["name"].map(facts.labels(view)).fillna(rows["name"])
    order = rows["level"].map({level: place for place, level in enumerate(quarter.LEVELS)})
    rows = rows.assign(order=order).sort_values(["order", "label", "name"], ignore_index=True)
    return rows[["level", "name", "label", "quota"]]


def forecast_lands(workspace: Workspace, view: View, now: pd.Series) -> Lands:
    """Where company, regions, teams and reps land by the forecast of exactly the view's instant, overrides in it; empty without."""
    assert view.as_of is not None, "the quarter is asked of an instant"
    try:
        published = current_forecast(workspace, view.as_of, view.tables)
    except NotEnoughData:
        return {}
    if published.made_for != view.as_of:
        return {}
    starts = published.frame["month"].dt.date
    months = published.frame.assign(period_start=starts, period_end=[pipeline.months_later(start, 1) for start in starts])
    return lands_of(months, monthly_by_level(view), (now["start"], now["end"]))


def lands_of(months: pd.DataFrame, history: pd.DataFrame, period: tuple[dt.date, dt.date]) -> Lands:
    """Where nodes land in a period by forecast months (level, name, period_start, period_end, amounts) and what is known of it (`history`:
    level, name, month, amount); without those whose forecast ends before it.
    """
    found, nodes = Lands(), months.groupby(["level", "name"])
    known = history.groupby(["level", "name"]).groups
    node: Any
    for node, rows in nodes:
        landing = pipeline.landing(history.loc[known.get(node, [])], rows, period)
        if landing is not None and landing.complete:
            found[node] = landing
    return found


def _agrees(quotas: pd.DataFrame, landing: pipeline.Landing | None, currency: str) -> str:
    """How the company's landing stands to the forecast's."""
    if landing is None:
        return "No revenue forecast was published for this instant, so what comes from elsewhere is what past quarters say."
    mean, lands = float(quotas["lands"].iloc[0]), float(landing.amount)
    if abs(mean - lands) <= AGREE * abs(lands):
        ends = np.allclose(quotas[["lo80", "hi80"]].iloc[0].astype("float64"), [float(landing.lo80), float(landing.hi80)], rtol=AGREE)
        what = "mean and 80 % interval are those" if ends else "mean, not its interval, is that"
        return (
            f"The quarter's {what} of the revenue forecast, {lands:,.0f} {currency}: what comes from elsewhere "
            "than the open deals is what makes up the difference."
        )
    return (
        f"The revenue forecast published for this instant lands at {lands:,.0f} {currency}, the sum of what is told here at {mean:,.0f}: "
        "the two do not agree."
    )


def chances(
    deals: pd.DataFrame,
    shock: quarter.Shock,
    books: facts.Books,
    quotas: pd.DataFrame,
    now: pd.Series,
    lands: Lands | None = None,
    parts: pd.Series | None = None,
) -> tuple[pd.DataFrame, Draws]:
    """`quotas` with booked, open_amount and `quarter.chance_of_quota`, and the draws behind.

    `lands`: the mean and 80 % interval that a node is to have: what it has from elsewhere is scaled, and the sum stretched, to make it
    so. Nodes without have their part of what those above them have; `parts`: as found for other rows before (`Draws.parts`).
    """
    entries, landing_deals = books.entries, deals.assign(amount=deals["amount"].astype("float64") * books.landed)
    drawn = quarter.simulate(landing_deals, shock.size)
    lately = facts.lately(entries, now)
    booked, trailing = facts.sums(facts.this_quarter(entries, now)), facts.sums(lately)
    if parts is None:
        known = {
            key: max(float(landing.amount) - float(booked.get(key, 0.0)) - (drawn[key].mean() if key in drawn else 0.0), 0.0)
            for key, landing in (lands or {}).items()
        }
        parts = elsewhere.by_node(elsewhere.shared_out(lately, books.history, known))
    rows, yields, rests = [], [], []
    past = {level: elsewhere.elsewhere(books.history, level) for level in quarter.LEVELS}
    row: Any
    for place, row in enumerate(quotas.itertuples()):
        key = (row.level, row.name)
        mine = landing_deals if row.level == quarter.COMPANY else landing_deals[deals[row.level] == row.name]
        won = drawn[key].to_numpy() if key in drawn else np.zeros(quarter.DRAWS)
        other = past[row.level].draws(row.name, float(trailing.get(key, 0.0)), seed=place + 1)
        so_far, open_amount = float(booked.get(key, 0.0)), float(deals["amount"].astype("float64")[mine.index].sum())
        landing = (lands or {}).get(key)
        if other is not None:
            other = elsewhere.at_mean(other, parts.get(key))
            other = other if landing is None or not other.any() else _placed(other, so_far + won, landing)
        shared = quarter.shared_variance(mine, shock.size)
        found = quarter.chance_of_quota(won, other, so_far, row.quota, open_amount, shared)
        rows.append({"booked": so_far, "open_amount": open_amount, **found})
        yields.append(won)
        rests.append(np.full(quarter.DRAWS, np.nan) if other is None else other)
    return pd.concat([quotas, pd.DataFrame(rows)], axis=1), Draws(np.stack(yields), np.stack(rests), parts)


def _placed(other: np.ndarray, sure: np.ndarray, landing: pipeline.Landing) -> np.ndarray:
    """What comes from elsewhere so that, with what is booked and won, the forecast's interval holds 8 in 10 draws."""
    ends = [float(landing.lo80), float(landing.hi80)]
    return other if np.isnan(ends).any() else quarter.placed(sure + other, float(landing.amount), *ends) - sure


def _landing(quotas: pd.DataFrame, draws: Draws) -> np.ndarray:
    """Draws of where the company lands; it is the first row."""
    other = draws.other[0]
    return quotas["booked"].iloc[0] + draws.won[0] + (0.0 if np.isnan(other).all() else other)
