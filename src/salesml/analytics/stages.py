"""Stages of deals: each stay in a stage, how it ended, and where money waits longest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.analytics.incidence import LEVEL, Watched, quartiles, shares_by_entity
from salesml.errors import BadParameter, UnknownName
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.lake import View

CLOSED = ("won", "lost", "no_decision")
ENDS = ("advanced", "returned", *CLOSED)
NO_STAGE = "(no stage)"
YEAR = 365.0
RESAMPLES = 400
EARLY, SOON, LEAST_STAYS = 7.0, 30.0, 30
ORDER = ("opportunity_id", "occurred_at", "known_at", "source_row", "change_id")
"""The order of a deal's changes: of two of one instant the later known counts last."""


@dataclass(frozen=True)
class EarlyContact:
    """Stays in a stage that lasted over 7 days: those with a meeting in the first 7, and those without.

    `moved` and `moved_without`: share that advanced or was won within 30 further days (Aalen-Johansen); `difference` with
    its 90 % interval, deals resampled. Correlational: deals that go well are met more.
    """

    met: int
    unmet: int
    moved: float
    moved_without: float
    difference: float
    lo: float
    hi: float

    @property
    def sure(self) -> bool:
        """Whether the interval leaves no difference out."""
        return self.lo > 0 or self.hi < 0


def timeline(view: View) -> pd.DataFrame:
    """Every change of every deal known to an instant's view, deleted deals left out, in the order of events.

    Grain: one row per deal and change. Columns: opportunity_id, at (occurred_at, at most as_of), until (the next change of
    the deal, else as_of), status (open until told otherwise), stage and amount (as last told while open; missing before any),
    stage_order (of a stage told here).
    """
    assert view.as_of is not None, "the timeline is asked of an instant"
    facts = view.facts("opportunity")
    told = ["opportunity_id", "occurred_at", "stage", "stage_order", "status"]
    gone = view.state("opportunity", ["deleted"]).filter(lambda rows: ibis.coalesce(rows.deleted, False))
    kept = facts.anti_join(gone, "opportunity_id").order_by(*ORDER)
    rows = view.frame(kept.select(*told, amount=kept.amount.cast("float64")))
    as_of = pd.Timestamp(view.as_of)
    rows["at"] = rows["occurred_at"].mask(rows["occurred_at"] > as_of, as_of)
    return _told(rows, as_of)


def _told(rows: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    deal = rows["opportunity_id"]
    same = deal.ne(deal.shift()).cumsum()  # rows of a deal lie together
    status = rows["status"].groupby(same).ffill().fillna("open")
    over = status.isin(CLOSED)
    told = {
        "stage": rows["stage"].mask(over).groupby(same).ffill(),
        "amount": rows["amount"].mask(over).groupby(same).ffill(),
        "stage_order": rows["stage_order"].where(rows["stage"].notna()),
    }
    until = rows["at"].groupby(same).shift(-1).fillna(as_of)
    return pd.DataFrame({"opportunity_id": deal, "at": rows["at"], "until": until, "status": status, **told})


def visits(rows: pd.DataFrame, stages: Mapping[str, str | int] | None = None) -> pd.DataFrame:
    """Stays in a stage. Grain: one row per deal and stay; a deal that returns to a stage has another row.

    `rows` is `timeline`; `stages` maps a stage to an own stage (text: several may share one) or to its place in the order
    (number); without any order in the data, stages lie as deals come to them. Columns: opportunity_id, stage, stage_order,
    entered_at, left_at (missing while there), days, ended: advanced or returned (to a later or an earlier stage), won, lost,
    no_decision, missing while there. A stage passed within the same instant is no stay. Raises UnknownName for a stage nobody was in.
    """
    rows = _own_stages(rows, stages or {})
    deal, open_ = rows["opportunity_id"], rows["status"].eq("open")
    same_deal = deal.eq(deal.shift())
    goes_on = same_deal & open_.shift(fill_value=False) & rows["stage"].eq(rows["stage"].shift())
    kept = rows.assign(visit=(~goes_on).cumsum())
    kept["next_status"] = kept["status"].shift(-1).where(same_deal.shift(-1, fill_value=False))
    kept["next_order"] = kept["stage_order"].shift(-1)
    grouped = kept[open_].groupby("visit", sort=False)
    found = grouped.agg(
        opportunity_id=("opportunity_id", "first"), stage=("stage", "first"), stage_order=("stage_order", "first"),
        entered_at=("at", "first"), left_at=("until", "last"), next_order=("next_order", "last"),
    )  # fmt: skip
    found["next_status"] = grouped["next_status"].nth(-1).to_numpy()
    found["days"] = (found["left_at"] - found["entered_at"]).dt.total_seconds() / 86_400
    moved = np.where(found["next_order"] < found["stage_order"], "returned", "advanced")
    status = found["next_status"]
    found["ended"] = status.where(status.isin(CLOSED), pd.Series(moved, found.index).where(status.eq("open")))
    found["left_at"] = found["left_at"].where(found["ended"].notna())
    passed = found["ended"].isin(("advanced", "returned")) & (found["days"] <= 0)
    return found[~passed].drop(columns=["next_order", "next_status"]).reset_index(drop=True)


def _own_stages(rows: pd.DataFrame, stages: Mapping[str, str | int]) -> pd.DataFrame:
    stage = rows["stage"].fillna(NO_STAGE)
    open_ = rows["status"].eq("open")
    known = rows["stage_order"].astype("float64")[open_].groupby(stage[open_]).median()
    for name, own in stages.items():
        if name not in known.index:
            raise UnknownName("stage", name, known.index)
        if isinstance(own, bool) or not isinstance(own, str | int):
            raise BadParameter(f"stages: {name!r} is mapped to {own!r}; give an own stage (text) or its place (number)")
    if known.isna().all():  # no order in the export: stages as deals come to them
        known = rows.groupby("opportunity_id").cumcount().astype("float64")[open_].groupby(stage[open_]).mean()
    order = known.fillna(-1.0)
    order.update(
        pd.Series({name: float(place) for name, place in stages.items() if not isinstance(place, str)}, dtype="float64")
    )
    groups = {name: own for name, own in stages.items() if isinstance(own, str)}
    order = order.groupby(order.index.map(lambda name: groups.get(name, name))).min()
    stage = stage.replace(groups) if groups else stage
    return rows.assign(stage=stage, stage_order=stage.map(order))


def bottlenecks(stays: pd.DataFrame, amounts: pd.Series, as_of: dt.datetime) -> pd.DataFrame:
    """Stages by what waiting there costs, the costliest first. Grain: one row per stage.

    `stays` is `visits`; `amounts` the deals' amounts by opportunity_id (currency; missing counts as 0). Columns:
    stage, stage_order, stays, there_now, amount_now (currency); median_days and q75_days until a stay ends, with `median_lo`
    and `median_hi`; advanced, returned, won, lost, no_decision: share of stays that end so (Aalen-Johansen at the last end), each with
    `_lo`, `_hi`; amount_days (currency × days of the 365 days before as_of); share of all amount_days with `share_lo`,
    `share_hi`; first: chance, over resampled deals, that this stage costs most. Intervals 90 %, deals resampled.
    """
    money = stays["opportunity_id"].map(amounts).astype("float64").fillna(0.0)
    end = pd.Timestamp(as_of)
    year_ago = end - pd.Timedelta(days=YEAR)
    entered = stays["entered_at"].mask(stays["entered_at"] < year_ago, year_ago)
    within = (stays["left_at"].fillna(end) - entered).dt.total_seconds().clip(lower=0) / 86_400
    cost = stays.assign(money=money, cost=money * within, there=stays["ended"].isna())
    table = cost.groupby("stage").agg(
        stage_order=("stage_order", "first"),
        stays=("stage", "size"),
        there_now=("there", "sum"),
        amount_days=("cost", "sum"),
    )
    table["amount_now"] = cost[cost["there"]].groupby("stage")["money"].sum().reindex(table.index, fill_value=0.0)
    parts = [_stage(str(name), rows) for name, rows in stays.groupby("stage")]
    table = table.join(pd.DataFrame(parts).set_index("stage")) if parts else table
    return _ranked(table, cost)


def _stage(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Days until a stay in one stage ends, and how it ends."""
    days, over = rows["days"].to_numpy("float64"), rows["ended"].notna().to_numpy()
    _, half, most = quartiles(days, over).to_dict("records")
    told: dict[str, Any] = {"stage": name, "median_days": half["days"], "q75_days": most["days"]}
    told |= {"median_lo": half["lo"], "median_hi": half["hi"]}
    shares = shares_by_entity(days, rows["ended"], ENDS, float(days.max()), rows["opportunity_id"].to_numpy())
    for end, (value, lo, hi) in shares.items():
        told |= {end: value, f"{end}_lo": lo, f"{end}_hi": hi}
    return told


def _ranked(table: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """The table with each stage's share of the cost, its interval, and the chance that it is the greatest."""
    total = float(table["amount_days"].sum())
    if not total:
        missing = dict.fromkeys(("share", "share_lo", "share_hi", "first"), float("nan"))
        return table.assign(**missing).sort_values("stage_order").reset_index()
    by_deal = cost.pivot_table(index="opportunity_id", columns="stage", values="cost", aggfunc="sum", fill_value=0.0)
    values = by_deal[table.index].to_numpy()
    drawn = np.array([weights @ values for weights in row_weights(len(values), None, RESAMPLES, seed=0)])
    drawn = drawn[drawn.sum(axis=1) > 0]
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    bounds = np.array([percentile_interval(shares[:, k]) for k in range(shares.shape[1])])
    first = np.bincount(shares.argmax(axis=1), minlength=shares.shape[1]) / len(shares)
    table = table.assign(share=table["amount_days"] / total, share_lo=bounds[:, 0], share_hi=bounds[:, 1], first=first)
    return table.sort_values("amount_days", ascending=False).reset_index()


def early_contact(stays: pd.DataFrame, meetings: pd.DataFrame) -> EarlyContact | None:
    """What became of stays with and without a meeting in their first 7 days, from the 7th day on; None below 30 of either.

    `stays` is `visits` of one stage; meetings: opportunity_id, occurred_at. Both sides are watched from the same day, so that
    a longer stay does not look met merely for having had more time.
    """
    lasting = stays[stays["days"] > EARLY].reset_index(drop=True)
    pairs = lasting.reset_index()[["index", "opportunity_id", "entered_at"]].merge(meetings, on="opportunity_id")
    after = pairs["occurred_at"] - pairs["entered_at"]
    met = lasting.index.isin(pairs.loc[(after >= pd.Timedelta(0)) & (after < pd.Timedelta(days=EARLY)), "index"])
    if min(met.sum(), (~met).sum()) < LEAST_STAYS:
        return None
    days, entities = lasting["days"].to_numpy("float64") - EARLY, lasting["opportunity_id"].to_numpy()
    ended = lasting["ended"].map(
        {"advanced": "on", "won": "on", "returned": "off", "lost": "off", "no_decision": "off"}
    )
    sides = [(Watched(days[side], ended[side], ("on", "off")), side) for side in (met, ~met)]
    shares = [float(watched.reached(SOON)[0]) for watched, _ in sides]
    drawn = [
        np.subtract(*(watched.reached(SOON, weights[side])[0] for watched, side in sides))
        for weights in row_weights(len(days), entities, RESAMPLES, seed=0)
    ]
    lo, hi = percentile_interval(drawn, LEVEL)
    return EarlyContact(int(met.sum()), int((~met).sum()), shares[0], shares[1], shares[0] - shares[1], lo, hi)
