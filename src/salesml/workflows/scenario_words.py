"""Scenarios in words: the answer in a sentence, what the gap takes, and what to know beside the numbers."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from salesml.analytics.levers import Levers
from salesml.analytics.need import Capacity
from salesml.analytics.scenario import Outcome
from salesml.analytics.scenario_base import Base
from salesml.workflows.quarter import Picture


def lever_words(levers: Levers, currency: str) -> str:
    """The levers in words, an amount with its currency."""
    told = levers.told()
    return told if levers.quota_amount is None else f"{told} {currency}"


def sentence(outcome: Outcome, unchanged: Outcome, currency: str, start: dt.date, end: dt.date) -> str:
    """Where the quarter lands with the levers turned, beside as things stand, and what that does to the chance of the quota."""
    last, company, before = end - dt.timedelta(days=1), outcome.company, unchanged.company
    period = f"{start:%B} to {last:%B %Y}"
    if not outcome.levers.turned:
        three = outcome.joint.iloc[0]
        return (
            f"As things stand, {period} is expected to land at {company['expected']:,.0f} {currency}; a pessimistic quarter (one in ten "
            f"is worse) at {three['pessimistic']:,.0f}, an optimistic one (one in ten is better) at {three['optimistic']:,.0f}. "
            + _chance(company, currency)
        )
    change = company["expected"] - before["expected"]
    told = (
        f"With {lever_words(outcome.levers, currency)}, {period} is expected to land at {company['expected']:,.0f} {currency} "
        f"({change:+,.0f}), 80 % interval {company['lo80']:,.0f} to {company['hi80']:,.0f}"
    )
    if pd.isna(company["quota"]):
        return f"{told}. No revenue quota is set for this quarter."
    if pd.isna(before["probability"]):
        return f"{told}. {_chance(company, currency)}"
    return (
        f"{told}; the chance of the quota of {company['quota']:,.0f} is {_percent(company['probability'])} instead of "
        f"{_percent(before['probability'])}{_short(company, currency)}."
    )


def needed_words(needed: pd.DataFrame, gap: float, hands: Capacity, currency: str) -> str:
    """What it takes for a chance of 80 %, and whether reps have hands free for it."""
    if np.isnan(gap):
        told = "No revenue quota is set for this quarter, so there is no gap to fill."
    elif gap == 0:
        told = "The quota is reached with a chance of 80 % or more as things stand: no more pipeline is needed."
    else:
        told = f"For a chance of 80 % it takes {gap:,.0f} {currency} more revenue, were it certain"
        now = needed.iloc[0] if len(needed) else None
        if now is None or pd.isna(now["deals"]):
            told += "; deals created now would not bring it in time, by what past deals did: win or pull in what is open."
        else:
            told += (
                f"; or {now['deals']:,.0f} more deals of {now['pipeline']:,.0f} {currency} in all created now, beyond the usual: of such "
                f"amounts {now['yield_share']:.0%} was won within {now['days_left']:,.0f} days."
            )
    if np.isnan(hands.most):
        return told
    over = int(hands.reps["over"].sum())
    return (
        f"{told} Nine in ten reps had at most {hands.most:,.0f} open deals at this day of past quarters: today's have room for "
        f"{hands.room:,.0f} more, and {over:,} of {len(hands.reps):,} have more than that already."
    )


def notes(picture: Picture, base: Base) -> str:
    """What the numbers rest on."""
    told = [picture.words]
    if base.known[0]:
        told.append(
            f"Of what comes from elsewhere, {base.fresh:.0%} came of deals not open yet in past quarters; creation, headcount, price and "
            "win rate move that part, the rest (orders without a deal, deals won before) stays."
        )
    else:
        told.append(
            "What comes from elsewhere is not known yet (four past quarters are needed): all numbers are of booked revenue and open "
            "deals only, and creation and headcount move nothing."
        )
    lacking = int(picture.deals["amount"].isna().sum())
    if lacking:
        told.append(f"{lacking:,} open deals have no amount in the workspace's currency and bring nothing here.")
    return " ".join(told)


def _chance(company: pd.Series, currency: str) -> str:
    if pd.isna(company["quota"]):
        return "No revenue quota is set for this quarter."
    chance = _percent(company["probability"])
    return f"The quota of {company['quota']:,.0f} {currency} is reached with a chance of {chance}{_short(company, currency)}."


def _short(company: pd.Series, currency: str) -> str:
    if pd.isna(company["shortfall"]):
        return ""
    return f"; where it is missed, {company['shortfall']:,.0f} {currency} are missing on average"


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"
