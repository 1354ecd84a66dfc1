"""What the model would score if a field of a deal were changed now. It says nothing of what would happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salesml.analytics.words import absent, percent, points
from salesml.errors import BadParameter, UnknownName
from salesml.features.deals import DEALS
from salesml.workflows.deal_frames import DealFrames
from salesml.workflows.deals import timing
from salesml.workflows.explain_deals import open_deal

FIELDS = ("stage", "amount", "close_date", "discount", "forecast_category")
CAUTION = "This is what the model would score if that were recorded now, not what would happen: changing a field does not change the deal."


@dataclass(frozen=True)
class WhatIf:
    """Scores as the deal stands and as it would stand: probability, lo, hi, and where the version knows of time p_quarter,
    close_expected, slip; `moved`: the features that a change moves, with both values."""

    before: pd.Series
    after: pd.Series
    moved: pd.DataFrame

    @property
    def sentence(self) -> str:
        """Both probabilities in words."""
        after, change = self.after["probability"], self.after["probability"] - self.before["probability"]
        interval = f"90\N{NO-BREAK SPACE}% interval {percent(self.after['lo'])} to {percent(self.after['hi'])}"
        return f"The model would score {percent(after)} ({interval}), {points(change)} from now."


def what_if(frames: DealFrames, deal: str, changes: Mapping[str, Any]) -> WhatIf:
    """Score an open deal as if `changes` (stage, amount, close_date, discount, forecast_category) had just been recorded.

    Features that follow from them follow: a new stage is 0 days old, a moved close date counts as moved once more. UnknownName
    for another field or a stage or category nobody has used; BadParameter for an amount below 0 or a discount not from 0 to 1.
    """
    row = open_deal(frames, deal)
    after = row.copy()
    for name, value in changes.items():
        if name not in FIELDS:
            raise UnknownName("field", name, FIELDS)
        if not _same(name, row, value):
            _move(frames, after, name, value)
    both = pd.concat([row, after], ignore_index=True)
    p, (lo, hi) = frames.scorer.predict(both[DEALS.names]), frames.scorer.interval(both[DEALS.names])
    scores = pd.DataFrame({"probability": p, "lo": lo, "hi": hi})
    outlook = frames.scorer.outlook(both[DEALS.names])
    if outlook is not None:
        scores = scores.join(timing(both, outlook, frames.workspace, frames.instant)[["p_quarter", "close_expected", "slip"]])
    values = pd.DataFrame({"before": row.iloc[0][DEALS.names], "after": after.iloc[0][DEALS.names]})
    moved = values[(values["before"] != values["after"]) & ~(values["before"].isna() & values["after"].isna())]
    return WhatIf(scores.iloc[0], scores.iloc[1], moved.rename_axis("feature").reset_index())


def choices(frames: DealFrames, field: str) -> list[str]:
    """The stages (in their order) or forecast categories that deals have had so far."""
    if field == "stage":
        return list(_orders(frames).index)
    return sorted(set(frames.now[field].dropna()) | set(frames.past[field].dropna()))


def _move(frames: DealFrames, row: pd.DataFrame, name: str, value: Any) -> None:
    """Set a field of the one row and what follows from it, as the lake would tell it had the change been recorded now."""
    new = _checked(frames, name, value)
    first = new | {f"{name}_changes": _next(row, name)}
    if name == "stage":
        weeks = max(row["age_days"].iloc[0] / 7, 1.0)
        first |= {"stage_age_days": 0.0, "stages_per_week": first["stage_changes"] / weeks}
    if name == "amount":
        before, growth = row["amount"].iloc[0], row["amount_growth"].iloc[0]
        known = not absent(growth) and growth > 0
        first["amount_growth"] = value / (before / growth) if known else 1.0 if absent(before) else growth
    for feature, moved in first.items():
        if feature in row:
            row[feature] = moved


def _checked(frames: DealFrames, name: str, value: Any) -> dict[str, Any]:
    """The features that are the field itself."""
    if name == "stage":
        orders = _orders(frames)
        if value not in orders.index:
            raise UnknownName("stage", str(value), orders.index)
        return {"stage": value, "stage_order": orders[value]}
    if name == "forecast_category":
        if value not in (known := choices(frames, name)):
            raise UnknownName("forecast category", str(value), known)
        return {name: value}
    if name == "close_date":
        if not isinstance(value, dt.date):
            raise BadParameter(f"close_date {value!r} is not a date")
        day = pd.Timestamp(frames.instant).tz_convert("UTC").date()
        return {"close_date": value, "days_to_close_date": float((value - day).days)}
    high = 1.0 if name == "discount" else float("inf")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise BadParameter(f"{name} {value!r} is not a number from 0{f' to {high:.0f}' if high == 1 else ' up'}")
    return {name: float(value)}


def _orders(frames: DealFrames) -> pd.Series:
    """Position by stage, in the order of positions."""
    known = frames.past[["stage", "stage_order"]]
    both = pd.concat([known, frames.now[["stage", "stage_order"]]]).dropna(subset="stage")
    return both.groupby("stage")["stage_order"].last().sort_values(kind="stable")


def _next(row: pd.DataFrame, name: str) -> Any:
    """How often a field would have changed; entering it for the first time is no change."""
    column = f"{name}_changes"
    if column not in row:
        return None
    old = row["days_to_close_date" if name == "close_date" else name].iloc[0]
    return row[column].iloc[0] + (0 if absent(old) else 1)


def _same(name: str, row: pd.DataFrame, value: Any) -> bool:
    old = row[name].iloc[0]
    if absent(old) or absent(value):
        return absent(value)
    if name == "close_date":
        return bool(pd.Timestamp(old).date() == value)
    return bool(old == value)
