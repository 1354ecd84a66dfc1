"""Which channel gets the credit for a conversion: rules over the touches before it, and the place where any other model plugs in.

A model is a function that takes touches and gives one weight per row. Touches have the columns lead_id, lead_event_id, channel, at and
until (days before the conversion), by lead and in the order of time; within a lead the weights are not negative and not all 0; only
their shares count. What a lead brought is then shared out among its touches without losing a cent. No rule says what would have
happened without a channel: that takes an experiment, or a model that knows the leads which did not convert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np
import pandas as pd

from salesml.analytics.lead_sources_facts import CONVERTED, NONE, Facts
from salesml.analytics.lead_sources_money import money, shared
from salesml.errors import BadInput

Model = Callable[[pd.DataFrame], pd.Series]
TOUCH = ["lead_id", "lead_event_id", "channel", "at", "until"]
HALF_LIFE_DAYS = 7.0
ENDS = 0.4
"""Weight of the first and of the last touch in the position-based rule; those between share the rest."""
MILLIONTHS = 1_000_000
DIGITS = Decimal("0.000001")


def first_touch(touches: pd.DataFrame) -> pd.Series:
    """All to the first touch."""
    return _place(touches).eq(0).astype("float64")


def last_touch(touches: pd.DataFrame) -> pd.Series:
    """All to the last touch before the conversion."""
    return (_place(touches) == _count(touches) - 1).astype("float64")


def linear(touches: pd.DataFrame) -> pd.Series:
    """Every touch the same."""
    return pd.Series(1.0, touches.index)


def time_decay(touches: pd.DataFrame, half_life_days: float = HALF_LIFE_DAYS) -> pd.Series:
    """Half as much for every week further before the conversion, counted from the lead's last touch."""
    last = touches.groupby("lead_id")["until"].transform("min")
    return pd.Series(np.exp2(-np.minimum((touches["until"] - last) / half_life_days, 1000.0)), touches.index)


def position_based(touches: pd.DataFrame) -> pd.Series:
    """40 % to the first touch, 40 % to the last, the rest to those between; halves of two, all of one."""
    place, count = _place(touches), _count(touches)
    end = (place == 0) | (place == count - 1)
    between = (1 - 2 * ENDS) / np.maximum(count - 2, 1)
    return pd.Series(np.where(count <= 2, 1.0, np.where(end, ENDS, between)), touches.index)


RULES: dict[str, Model] = {
    "first touch": first_touch, "last touch": last_touch, "linear": linear, "time decay": time_decay, "position-based": position_based,
}  # fmt: skip


def attribution(found: Facts, models: Mapping[str, Model] = RULES) -> pd.DataFrame:
    """Conversions and money by channel under each model. Grain: one row per model and channel, the most revenue first.

    Columns: model, channel ("(none)": leads without a touch), conversions (exact, millionths), revenue, margin (exact, of won deals),
    share (of the conversions), revenue_share (missing without revenue). Sums over channels are the totals, exactly.
    """
    parts = [attributed(found, model(found.touches)).assign(model=name) for name, model in models.items()]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["model", "channel"])
    return rows[["model", *(name for name in rows if name != "model")]]


def attributed(found: Facts, weights: pd.Series) -> pd.DataFrame:
    """Conversions and money by channel, each lead's shared out among its touches by `weights` (one per row of `found.touches`).

    Columns: channel, conversions, revenue, margin, share, revenue_share as in `attribution`. BadInput where a weight is missing, negative
    or not finite, or where those of a lead are all 0.
    """
    touches, leads = found.touches, found.leads
    checked = _checked(touches, weights)
    won = found.deals[found.deals["ended"].eq("won")]
    totals = pd.DataFrame({"conversions": leads["ended"].eq(CONVERTED).astype("int64").to_numpy() * MILLIONTHS}, leads["lead_id"])
    for name, column in (("revenue", "amount"), ("margin", "margin")):
        sums = won[column].fillna(0).astype("int64").groupby(won["lead_id"]).sum()
        totals[name] = sums.reindex(totals.index, fill_value=0)
    credit = {name: shared(totals[name], touches["lead_id"], checked).astype("int64") for name in totals}
    rows = pd.DataFrame(credit).groupby(touches["channel"].astype("object")).sum()
    untouched = totals.sum() - rows.sum()
    if untouched.any() or rows.empty:
        rows.loc[NONE] = untouched if NONE not in rows.index else rows.loc[NONE] + untouched
    share = {name: rows[name] / rows[name].sum() if rows[name].sum() else np.nan for name in ("conversions", "revenue")}
    rows = rows.assign(share=share["conversions"], revenue_share=share["revenue"])
    rows = rows.rename_axis("channel").reset_index().sort_values(["revenue", "conversions", "channel"], ascending=[False, False, True])
    exact = {name: rows[name].astype("object").map(money) for name in ("revenue", "margin")}
    exact["conversions"] = rows["conversions"].astype("object").map(lambda part: (Decimal(int(part)) / MILLIONTHS).quantize(DIGITS))
    return rows.assign(**exact).reset_index(drop=True)


def _checked(touches: pd.DataFrame, weights: pd.Series) -> pd.Series:
    given = np.asarray(weights, dtype="float64")
    if given.shape != (len(touches),):
        reason = f"{given.size} weights for {len(touches)} touches"
        raise BadInput(reason, column="weight", mend="Give one weight per touch, in their order.")
    if not (np.isfinite(given) & (given >= 0)).all():
        wrong = touches["lead_event_id"].iloc[int(np.argmin(np.isfinite(given) & (given >= 0)))]
        raise BadInput("weights of touches are numbers of 0 or more", column="weight", value=str(wrong), mend="Look at this touch.")
    found = pd.Series(given, touches.index)
    sums = found.groupby(touches["lead_id"]).sum()
    if (sums <= 0).any():
        lead = str(sums.index[sums <= 0][0])
        raise BadInput("all weights of a lead are 0", column="weight", value=lead, mend="Give one of its touches some.")
    return found


def _place(touches: pd.DataFrame) -> pd.Series:
    return touches.groupby("lead_id").cumcount()


def _count(touches: pd.DataFrame) -> pd.Series:
    return touches.groupby("lead_id")["lead_id"].transform("size").astype("int64")
