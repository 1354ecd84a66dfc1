"""What the reps whose deals go best do differently, in the first weeks of a deal, before its outcome is known: correlational, no more.

Who is among the best was not drawn by lot, and what makes them the best may be something else that goes with what they do. Behaviours are
measured up to a landmark in the life of every deal that is still open then, so that no outcome can have shaped them; the mix of deals is
adjusted for by comparing within kinds (fixed effects), and reps, not deals, are counted as independent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, ttest_ind

from salesml.errors import NotEnoughData
from salesml.lake import View, visible

DAYS, LATER = 14, 60
LEVEL, FALSE = 0.9, 0.1
BEST = 0.25
LEAST_DEALS = 5
LEAST_REPS = 3
LABEL = "correlational"
MIX = ("segment", "product_id", "source", "type")
BEHAVIOURS = {
    "activities": ("Activities begun by the rep", "in 14 days"),
    "meeting_share": ("Meetings and demos among activities", "share, 14 days"),
    "first_touch_hours": ("Until the first touch", "hours, at most 14 days"),
    "answer_hours": ("Until a customer's message is answered", "hours, 14 days"),
    "contacts": ("People of the customer in contact", "in 14 days"),
    "discount": ("Discount offered", "share, at 60 days"),
    "pushes": ("Close date moved", "times in 60 days"),
}

DIFFERENCES = ["behaviour", "unit", "best", "rest", "difference", "lo", "hi", "standardised", "standardised_lo", "standardised_hi",
               "p_value", "told", "best_reps", "rest_reps", "deals", "label"]  # fmt: skip


def behaviours(view: View, first: dt.date, after: dt.date) -> pd.DataFrame:
    """Deals that came to be from `first` to before `after` and were open 14 days later. Grain: one row per deal.

    Columns: opportunity_id, rep (in charge at the landmark), segment, product_id, source, type as known then, and BEHAVIOURS (missing
    where nothing tells: no activity, no message, no contact named, no discount kept, not open at 60 days). Nothing known at or after
    a deal's own landmark, or the view's instant, is used.
    """
    assert view.as_of is not None
    zone = view.tables.workspace
    born = view.frame(view.state("opportunity", ["status"]))[["opportunity_id", "created_at"]]
    inside = (born["created_at"] >= zone.instant(first)) & (born["created_at"] < zone.instant(after))
    spine = born[inside].reset_index(drop=True)
    found = _standing(view, spine, DAYS, ["owner_id", *MIX])
    if found.empty:
        raise NotEnoughData(f"no deal that came to be from {first} to before {after} was still open {DAYS} days later")
    acted = _activities(view, found)
    later = _standing(view, spine, LATER, ["discount"], changes=["close_date"]).set_index("opportunity_id")
    found = found.merge(acted, "left", "opportunity_id")
    quiet = found["activities"].isna()
    named = found["contacts"].fillna(0).gt(0).any()
    return found.rename(columns={"owner_id": "rep"}).assign(
        activities=found["activities"].fillna(0.0),
        first_touch_hours=found["first_touch_hours"].fillna(24.0 * DAYS),
        contacts=found["contacts"].mask(quiet) if named else np.nan,
        discount=found["opportunity_id"].map(later["discount"].astype("float64")).astype("float64"),
        pushes=found["opportunity_id"].map(later["close_date_changes"].astype("float64")).astype("float64"),
    )[["opportunity_id", "rep", *MIX, *BEHAVIOURS]]


def differences(deals: pd.DataFrame, best: Sequence[str], reps: Sequence[str], mix: Sequence[str] = MIX) -> pd.DataFrame:
    """How the best reps differ from the other `reps` in what deals of `behaviours` show. Grain: one row per behaviour that can be told.

    Columns: behaviour, unit, best, rest (means of reps, each at the same mix of deals), difference with lo, hi (Welch, 90 %),
    standardised with standardised_lo, standardised_hi (in standard deviations between reps), p_value, told (at most 10 % of those told are
    expected false; Benjamini-Hochberg), best_reps, rest_reps, deals, label. Reps with fewer than 5 deals that tell are left out, and a
    behaviour with fewer than 3 reps on a side. Raises NotEnoughData where none is left.
    """
    rows = []
    top = set(best)
    for name, (title, unit) in BEHAVIOURS.items():
        known = deals[deals["rep"].isin(list(reps)) & deals[name].notna()]
        known = known[known.groupby("rep")[name].transform("size") >= LEAST_DEALS].reset_index(drop=True)
        sides = known.drop_duplicates("rep")["rep"].isin(top)
        if min(int(sides.sum()), int((~sides).sum())) < LEAST_REPS or known[name].std() < 1e-12:
            continue
        means = _adjusted(known, name, mix)
        a, b = means[means.index.isin(top)].to_numpy("float64"), means[~means.index.isin(top)].to_numpy("float64")
        spread = float(np.sqrt((((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / (len(a) + len(b) - 2)))
        tested = ttest_ind(a, b, equal_var=False)
        lo, hi = tested.confidence_interval(LEVEL)
        gap = float(a.mean() - b.mean())
        ends = (("", gap), ("_lo", lo), ("_hi", hi))
        sizes = {f"standardised{end}": value / spread if spread > 0 else np.nan for end, value in ends}
        rows.append({
            "behaviour": title, "unit": unit, "best": a.mean(), "rest": b.mean(), "difference": gap, "lo": lo, "hi": hi, **sizes,
            "p_value": float(tested.pvalue), "best_reps": len(a), "rest_reps": len(b), "deals": len(known), "label": LABEL,
        })  # fmt: skip
    if not rows:
        raise NotEnoughData(f"on a side fewer than {LEAST_REPS} reps have {LEAST_DEALS} deals that tell what they did; ask for longer")
    found = pd.DataFrame(rows)
    told = false_discovery_control(found["p_value"].fillna(1.0).to_numpy()) <= FALSE
    return found.assign(told=told).sort_values("p_value", kind="stable", ignore_index=True)[DIFFERENCES]


def best_of(shrunken: pd.Series, reps: pd.Series, known: pd.Series) -> list[str]:
    """The quarter (at least 1) of reps with the highest shrunken level, among those of whom anything is known."""
    there = pd.Series(shrunken.to_numpy("float64"), reps.to_numpy())[known.to_numpy("bool")].sort_values(ascending=False, kind="stable")
    return [str(name) for name in there.index[: max(1, round(BEST * len(there)))]]


def _adjusted(known: pd.DataFrame, name: str, mix: Sequence[str]) -> pd.Series:
    """Mean of each rep had all the same mix of deals: rep and kinds as fixed effects, each kind at its share of all deals."""
    codes, reps = pd.factorize(known["rep"], sort=True)
    kinds = known[list(mix)].astype("str") if mix else pd.DataFrame(index=known.index)
    dummies = pd.get_dummies(kinds, drop_first=True, dtype="float64").to_numpy() if len(kinds.columns) else np.zeros((len(known), 0))
    dummies = dummies - dummies.mean(axis=0) if dummies.shape[1] else dummies
    design = np.column_stack([np.eye(len(reps))[codes], dummies])
    solved = np.linalg.lstsq(design, known[name].to_numpy("float64"), rcond=None)[0]
    return pd.Series(solved[: len(reps)], reps)


def _standing(view: View, born: pd.DataFrame, days: int, columns: list[str], changes: Sequence[str] = ()) -> pd.DataFrame:
    """Deals as they stood so many days after they came to be, where they were open and the view knows that day."""
    assert view.as_of is not None
    at = born["created_at"] + pd.Timedelta(days=days)
    spine = born.assign(as_of=at)[at <= pd.Timestamp(view.as_of)]
    if spine.empty:
        return pd.DataFrame(columns=["opportunity_id", "created_at", *columns, *(f"{name}_changes" for name in changes)])
    then = visible(view.tables, spine[["opportunity_id", "as_of"]])
    rows = then.frame(then.state("opportunity", ["status", "deleted", *columns, *changes], changes=list(changes)))
    there = rows["status"].fillna("open").eq("open") & ~rows["deleted"].fillna(False).astype("bool")
    kept = [name for name in rows if name not in ("status", "deleted", "created_at", *changes)]
    return rows.loc[there, kept].merge(born, "inner", "opportunity_id").sort_values("opportunity_id", ignore_index=True)


def _activities(view: View, found: pd.DataFrame) -> pd.DataFrame:
    """What the first 14 days of each deal held: activities, meeting_share, first_touch_hours, answer_hours, contacts."""
    facts = view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull())
    ids = ibis.memtable(found[["opportunity_id", "created_at"]].rename(columns={"opportunity_id": "_deal"}))
    rows = facts.join(ids, facts.opportunity_id == ids["_deal"])
    until = rows.created_at + ibis.interval(days=DAYS)
    rows = rows.filter(rows.occurred_at >= rows.created_at, rows.occurred_at < until, rows.known_at < until)
    asked = rows.select("opportunity_id", "activity_id", "occurred_at", "created_at", "type", "direction", "contact_id")
    acts = view.frame(asked).sort_values(["opportunity_id", "occurred_at", "activity_id"], ignore_index=True)
    hours = (acts["occurred_at"] - acts["created_at"]).dt.total_seconds() / 3600
    inbound = acts["direction"].eq("inbound")
    met = acts["type"].isin(["meeting", "demo"]) & ~inbound
    mine = hours.where(~inbound)
    following = mine.groupby(acts["opportunity_id"]).bfill()
    wait = (following.fillna(24.0 * DAYS) - hours).where(inbound)
    acts = acts.assign(mine=~inbound, met=met, hours=mine, wait=wait)
    groups = acts.groupby("opportunity_id")
    told = groups.agg(
        activities=("mine", "sum"), met=("met", "sum"), first_touch_hours=("hours", "min"), answer_hours=("wait", "mean"),
        contacts=("contact_id", "nunique"),
    ).astype("float64")  # fmt: skip
    return told.assign(meeting_share=told["met"] / told["activities"].where(told["activities"] > 0)).drop(columns="met").reset_index()
