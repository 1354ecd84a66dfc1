"""Health of the pipeline: velocity, ageing, stalled deals with the step to take, plain rates of past quarters, alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.cycle import horizon
from salesml.analytics.incidence import LEVEL, Watched
from salesml.analytics.stages import CLOSED, YEAR
from salesml.evaluation.bootstrap import percentile_interval, row_weights

USUAL, LONG = 0.5, 0.9
LEAST_STAYS = 20
PRIOR = 10.0
RESAMPLES = 400
SIGNS = ("overdue", "quiet", "pushed", "stalled")
DUE, LATER, UNDATED = "due", "later", "undated"
CONCENTRATED, BIG, AGED, LOW, FELL = 0.25, 0.9, 0.25, 0.5, 0.10
ALERTS = ["alert", "where", "number", "threshold", "unit", "step"]


@dataclass(frozen=True)
class Velocity:
    """Money the pipeline turns into wins a day: open deals × share won × average won amount ÷ days open; 90 % interval.

    `earned` is what was won a day in the past 91 days, to compare; money in currency.
    """

    per_day: float
    lo: float
    hi: float
    open_deals: int
    won_share: float
    won_amount: float
    days: float
    earned: float


@dataclass(frozen=True)
class Rates:
    """Win rates in the rest of a quarter, from past quarters at the same day: by stage and due, by stage, of all; see `rates`."""

    quarter: pd.Series
    stage: pd.Series
    overall: float
    in_time: pd.Series
    edges: tuple[float, ...]
    by_size: pd.Series


def velocity(deals: pd.DataFrame, as_of: dt.datetime) -> Velocity | None:
    """Sales velocity of the deals opened in the past 365 days (`cycle.cycles`), deals resampled; None where none of them was won.

    Share won and mean days open count open deals as not over (Aalen-Johansen and area under Kaplan-Meier up to `cycle.horizon`).
    """
    now = pd.Timestamp(as_of)
    rows = deals[deals["opened_at"] >= now - pd.Timedelta(days=YEAR)]
    won, amounts = rows["outcome"].eq("won").to_numpy(), rows["amount"].astype("float64").to_numpy()
    known = won & np.isfinite(amounts)
    if not known.any():
        return None
    until = horizon(rows)
    watched, paid = Watched(rows["days"].to_numpy("float64"), rows["outcome"], CLOSED), np.where(known, amounts, 0.0)
    running, count = rows["outcome"].isna().to_numpy(), int(deals["outcome"].isna().sum())

    def measured(weights: np.ndarray) -> tuple[float, float, float, float]:
        share, days = float(watched.reached(until, weights)[0]), watched.mean_days(until, weights)
        average = float(weights @ paid / max(weights @ known, 1e-12))
        now_open = count * float(weights @ running) / max(running.sum(), 1)
        return now_open * share * average / days, share, average, days

    value, share, average, days = measured(np.ones(len(rows)))
    drawn = [measured(weights)[0] for weights in row_weights(len(rows), None, RESAMPLES, seed=0)]
    lately = deals["outcome"].eq("won") & (deals["closed_at"] >= now - pd.Timedelta(days=91))
    earned = float(deals.loc[lately, "amount"].astype("float64").sum()) / 91
    lo, hi = percentile_interval(drawn, LEVEL)
    return Velocity(value, lo, hi, count, share, average, days, earned)


def rates(past: pd.DataFrame) -> Rates:
    """Rates from `past`: one row per open deal and past quarter: stage, due, amount, won_in_quarter, won.

    Each rate is drawn towards the coarser one as if that were 10 more deals: stage and due, stage, all. by_size: wins over
    those expected by stage and due, per third of the amounts (bounds `edges`): large deals are won less often, and carry the
    money. in_time: of the deals won in the end, the share won within the quarter, by due.
    """
    overall = float(past["won_in_quarter"].mean()) if len(past) else 0.0
    stage = _shrunk(past, "stage", "won_in_quarter", overall)
    both = past.groupby(["stage", "due"])["won_in_quarter"].agg(["sum", "size"])
    coarse = stage.reindex(both.index.get_level_values("stage")).to_numpy("float64")
    fine = (both["sum"] + PRIOR * coarse) / (both["size"] + PRIOR)
    wins = past[past["won"]]
    in_time = _shrunk(wins, "due", "won_in_quarter", float(wins["won_in_quarter"].mean()) if len(wins) else 0.0)
    amounts = past["amount"].dropna().astype("float64")
    edges = tuple(np.unique(amounts.quantile([1 / 3, 2 / 3]))) if len(amounts) else ()
    expected = pd.Series(fine.reindex(pd.MultiIndex.from_frame(past[["stage", "due"]])).to_numpy("float64"), past.index)
    sums = (
        pd.DataFrame({"won": past["won_in_quarter"], "expected": expected})
        .groupby(_thirds(past["amount"], edges))
        .sum()
    )
    by_size = (
        (sums["won"] + PRIOR * overall) / (sums["expected"] + PRIOR * overall) if overall else sums["expected"] * 0 + 1
    )
    return Rates(fine, stage, overall, in_time, edges, by_size)


def by_rates(deals: pd.DataFrame, found: Rates) -> np.ndarray:
    """The chance of each deal (stage, due, amount) to be won before the quarter ends, by the rates alone."""
    keys = pd.MultiIndex.from_frame(deals[["stage", "due"]])
    chance = pd.Series(found.quarter.reindex(keys).to_numpy(), deals.index)
    chance = chance.fillna(deals["stage"].map(found.stage)).fillna(found.overall)
    size = _thirds(deals["amount"], found.edges).map(found.by_size).fillna(1.0)
    return (chance * size).clip(0, 1).to_numpy("float64")


def with_chances(deals: pd.DataFrame, found: Rates) -> tuple[pd.DataFrame, str]:
    """Deals with `p_quarter` (as given; else probability × the chance to be in time; else by rates), and words for where it came from.

    deals: stage, due, and where known probability (won in the end) and p_quarter.
    """
    given = _column(deals, "p_quarter")
    timed = _column(deals, "probability") * deals["due"].map(found.in_time).astype("float64").fillna(
        found.in_time.mean()
    )
    chosen = given.fillna(timed).fillna(pd.Series(by_rates(deals, found), deals.index)).clip(0, 1)
    timely = "how often wins with such a close date came in time in past quarters"
    parts = [
        (given.notna(), "the deal model's chance to be won before the quarter ends"),
        (given.isna() & timed.notna(), f"the deal model's chance to be won in the end × {timely}"),
        (given.isna() & timed.isna(), "how often deals in such a stage, with such a close date, were won by the end of past quarters"),
    ]  # fmt: skip
    told = [f"{words} ({int(which.sum()):,} deals)" for which, words in parts if which.any()]
    return deals.assign(p_quarter=chosen), "Chances for this quarter: " + "; ".join(told) + "." if told else ""


def due(close_date: pd.Series, quarter_end: pd.Series | dt.date) -> pd.Series:
    """Whether the expected close date lies before the quarter's end (overdue ones too): DUE, LATER, or UNDATED without one."""
    day = pd.to_datetime(close_date)
    end = pd.to_datetime(quarter_end) if isinstance(quarter_end, pd.Series) else pd.Timestamp(quarter_end)
    return pd.Series(np.select([day.isna(), day < end], [UNDATED, DUE], LATER), close_date.index)


def aged(deals: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    """Open deals beside the stays in their stage that moved on (advanced or won; `stages.visits`).

    Adds usual_days and long_days (half and nine in ten of those were shorter), age_share (share of those that were shorter
    than the deal's stage_days), all missing in a stage with fewer than 20; stalled: longer than long_days.
    """
    on = stays[stays["ended"].isin(("advanced", "won"))]
    usual, long_, share = (pd.Series(np.nan, deals.index) for _ in range(3))
    for stage, rows in deals.groupby("stage"):
        known = np.sort(on.loc[on["stage"] == stage, "days"].to_numpy("float64"))
        if len(known) >= LEAST_STAYS:
            usual[rows.index], long_[rows.index] = np.quantile(known, USUAL), np.quantile(known, LONG)
            share[rows.index] = np.searchsorted(known, rows["stage_days"].to_numpy("float64")) / len(known)
    found = deals.assign(usual_days=usual, long_days=long_, age_share=share)
    return found.assign(stalled=found["stage_days"] > found["long_days"])


def needy(deals: pd.DataFrame) -> pd.DataFrame:
    """Deals that show a sign, the greatest amount × p_quarter first: deal, owner, stage, amount, p_quarter, at_stake, why, step.

    deals: `pipeline.attention` followed by `aged`, with p_quarter.
    """
    signs = deals[list(SIGNS)].fillna(False).astype(bool)
    rows = deals[signs.any(axis=1)].assign(at_stake=lambda d: d["amount"].astype("float64").fillna(0) * d["p_quarter"])
    rows = rows.sort_values("at_stake", ascending=False, kind="stable")
    told = [_signs(row) for row in rows.itertuples()]
    rows = rows.assign(deal=rows["name"], why=["; ".join(w for w, _ in t) for t in told], step=[t[0][1] for t in told])
    return rows[["deal", "owner", "stage", "amount", "p_quarter", "at_stake", "why", "step"]].reset_index(drop=True)


def alerts(deals: pd.DataFrame, quotas: pd.DataFrame, before: Mapping[Any, float], days_back: int) -> pd.DataFrame:
    """What needs somebody now. Grain: one row per alert: alert, where, number, threshold, unit, step; none is an empty frame.

    deals: as `needy` takes them; quotas: level, name, label, probability, rate_probability; before: the latter, days_back
    ago, by (level, name). Reps' quotas raise no alert: a rep's quarter is mostly luck.
    """
    found = [*_quota_alerts(quotas, before, days_back), *_deal_alerts(deals)]
    return pd.DataFrame(found, columns=ALERTS)


def _quota_alerts(quotas: pd.DataFrame, before: Mapping[Any, float], days_back: int) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    row: Any
    for row in quotas[quotas["level"] != "rep"].itertuples():
        if row.probability < LOW:
            step = "Close the gap with deals due later, or tell the plan's owner now."
            found.append(("quota at risk", row.label, row.probability, LOW, "chance of quota", step))
        fall = before.get((row.level, row.name), float("nan")) - row.rate_probability
        if fall > FELL:
            step = "See which deals were lost, moved or shrank since."
            found.append(("quota chance fell", row.label, fall, FELL, f"fall in {days_back} days, by past rates", step))
    return found


def _deal_alerts(deals: pd.DataFrame) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    amount = deals["amount"].astype("float64").fillna(0.0)
    worth = amount * deals["p_quarter"]
    greatest = float(worth.max() / worth.sum()) if worth.sum() > 0 else 0.0
    if greatest > CONCENTRATED:
        name, step = (
            deals["name"].iloc[int(worth.to_numpy().argmax())],
            "Have a second person follow it; plan without it.",
        )
        found.append(("one deal carries much", name, greatest, CONCENTRATED, "share of the expected yield", step))
    old = float(amount[deals["stalled"]].sum() / amount.sum()) if amount.sum() > 0 else 0.0
    if old > AGED:
        unit, step = (
            "share of amount longer in its stage than 9 in 10",
            "Go through the stalled deals; close what is dead.",
        )
        found.append(("pipeline ages", "open pipeline", old, AGED, unit, step))
    big = deals[(amount >= amount.quantile(BIG)) & (amount > 0) & deals["quiet"]]
    row: Any
    for row in big.loc[worth[big.index].sort_values(ascending=False, kind="stable").index].itertuples():
        step = f"{row.owner}: speak with the customer this week."
        found.append(
            ("silence in a big deal", row.name, _silence(row), pipeline.QUIET_DAYS, "days without activity", step)
        )
    return found


def _silence(deal: Any) -> float:
    return float(deal.days_since_activity if pd.notna(deal.days_since_activity) else deal.age_days)


def _signs(deal: Any) -> list[tuple[str, str]]:
    """Why a deal needs somebody and what to do, the most pressing first."""
    told = [
        (deal.quiet, f"no activity for {_silence(deal):,.0f} days", "Speak with the customer; no answer in a week: close it."),
        (deal.overdue, f"should have closed {deal.overdue_days:,.0f} days ago", "Agree a new date with the customer, or close it."),
        (deal.stalled, f"in {deal.stage} for {deal.stage_days:,.0f} days, 9 in 10 that moved on took under {deal.long_days:,.0f}",
         "Agree the next step and its day with the customer, or move it back a stage."),
        (deal.pushed, f"close date moved {deal.close_date_changes:,.0f} times", "Ask what must happen before they sign; date it by that."),
    ]  # fmt: skip
    return [(words, step) for holds, words, step in told if holds]


def _thirds(amounts: pd.Series, edges: tuple[float, ...]) -> pd.Series:
    """Which third an amount lies in: 0, 1, 2; -1 where it is missing."""
    known = amounts.astype("float64")
    return pd.Series(np.searchsorted(edges, known.to_numpy(), side="right"), amounts.index).where(known.notna(), -1)


def _shrunk(rows: pd.DataFrame, by: str, column: str, towards: float) -> pd.Series:
    found = rows.groupby(by)[column].agg(["sum", "size"])
    return (found["sum"] + PRIOR * towards) / (found["size"] + PRIOR)


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name].astype("float64") if name in rows else pd.Series(np.nan, rows.index)
