"""What the weekly report says of the open deals: which need attention and why, and what the probabilities are worth."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd

from salesml.lake import View

if TYPE_CHECKING:
    from salesml.registry.versions import Version

SOON_DAYS = 14
COLUMNS = ["deal", "owner", "stage", "amount", "probability", "expected", "close_date", "why"]


def attention(scored: pd.DataFrame, view: View, soon_days: int = SOON_DAYS) -> pd.DataFrame:
    """Open deals whose close date has passed, is near, or is missing; the most expected money first.

    scored: as `workflows.deals.score_deals` returns it. Columns: deal, owner, stage, amount, probability, expected
    (amount × probability, workspace currency; missing where the amount is unknown), close_date, why.
    """
    assert view.as_of is not None, "attention is asked as of an instant"
    today = view.tables.workspace.local_date(view.as_of)
    why = [_reason(day, today, soon_days) for day in scored["close_date"]]
    names = view.frame(view.state("user", ["name"])).set_index("user_id")["name"]
    amount = scored["amount"].astype("float64")
    frame = scored.assign(
        deal=scored["name"].fillna(scored["opportunity_id"]),
        owner=scored["owner_id"].map(names).fillna(scored["owner_id"]),
        amount=amount,
        expected=amount * scored["probability"],
        why=pd.Series(why, index=scored.index, dtype="object"),
    )
    urgent = frame.loc[frame["why"].notna(), COLUMNS]
    return urgent.sort_values(["expected", "probability"], ascending=False, kind="stable", ignore_index=True)


def worth(champion: Version) -> str:
    """What the probabilities rest on: a model that passed the gate, or, for want of a signal, only a baseline."""
    horizon = f"within {champion.tags['horizon_days']} days"
    if champion.baseline:
        return (
            "There is no usable signal about who wins in what is known so far: the probabilities are no more than how "
            f"often deals like these were won {horizon} before."
        )
    return (
        f"The probabilities of a win {horizon} come from version {champion.number} of the deal model, which beat its "
        "baseline on later deals and is calibrated."
    )


def open_deals(scored: pd.DataFrame, urgent: pd.DataFrame, currency: str) -> str:
    """One sentence: how many deals are open, what they are expected to bring, how many need attention."""
    if scored.empty:
        return "No deal is open."
    amount = scored["amount"].astype("float64")
    unknown = int(amount.isna().sum())
    without = f" ({unknown:,} of them without an amount)" if unknown else ""
    expected = (amount * scored["probability"]).sum()
    value = f", worth {expected:,.0f} {currency} by probability" if unknown < len(scored) else ""
    return f"{len(scored):,} deals are open{without}{value}; {len(urgent):,} need attention."


def _reason(day: object, today: dt.date, soon_days: int) -> str | None:
    if pd.isna(day):  # type: ignore[call-overload]
        return "has no close date"
    days = (pd.Timestamp(day).date() - today).days  # type: ignore[arg-type]
    if days < 0:
        return f"should have closed {-days} days ago"
    return f"is due in {days} days" if days <= soon_days else None
