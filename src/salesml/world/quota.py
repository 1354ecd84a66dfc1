"""Quotas: what reps, teams, regions and the company are to reach in a quarter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import Clock, Ints, Times, month_of_year, quarter, stream
from salesml.world.columns import Block, ids, money, pick, staged
from salesml.world.deals import AMOUNT_BY_SEGMENT, AMOUNT_SPREAD, GROWTH_PER_YEAR, Deals
from salesml.world.knobs import Knobs
from salesml.world.organisation import Organisation

PLANNED_WIN_RATE = 0.32


def quotas(knobs: Knobs, clock: Clock, org: Organisation, deals: Deals) -> pa.Table:
    """Revenue targets by calendar quarter, set two weeks ahead for the reps there then, and summed."""
    rng = stream(knobs, "quotas")
    begins = np.arange(clock.start.astype("datetime64[M]"), clock.end.astype("datetime64[M]") + 4)
    begins = begins[month_of_year(begins) % 3 == 0].astype("datetime64[D]")
    begins = begins[begins - np.timedelta64(14, "D") < clock.end]
    years = (quarter(begins) - quarter(begins[:1])) / 4
    plan = _planned(clock, org, deals) * (1 + GROWTH_PER_YEAR) ** years
    week = np.maximum(clock.week_of(begins) - 2, 0)
    there = (org.hired <= week[:, None]) & (org.left > week[:, None])
    whole = np.rint(plan[:, None] * rng.uniform(0.9, 1.1, there.shape) / 1_000).astype(np.int64) * 1_000 * there
    levels = (
        ("rep", np.arange(len(org.region)), ids("U", np.arange(len(org.region)), 4)),
        ("team", org.team, ids("T", np.arange(len(org.team_region)), 3)),
        ("region", org.region, pick(words.REGIONS, np.arange(org.regions))),
        ("company", np.zeros(len(org.region), np.int64), pa.array(["company"])),
    )
    return staged("quota", [_targets(knobs, begins, whole, *level) for level in levels], clock)


def _planned(clock: Clock, org: Organisation, deals: Deals) -> float:
    """What a rep is planned to win in a quarter of the first year: openings × typical size × planned win rate."""
    size = np.mean([product[-1] for product in words.PRODUCTS]) * np.exp(AMOUNT_SPREAD**2 / 2)
    rep_weeks = np.minimum(org.left, clock.last) - org.hired
    opened = len(deals.week) / rep_weeks.sum() * 13
    return float(opened * PLANNED_WIN_RATE * AMOUNT_BY_SEGMENT[deals.segment].mean() * size)


def _targets(knobs: Knobs, begins: Times, whole: Ints, level: str, group: Ints, name: pa.Array) -> Block:
    """One row for each quarter and member of the level with somebody to reach the target."""
    amount = np.zeros((len(begins), len(name)), np.int64)
    np.add.at(amount.T, group, whole.T)
    at, member = np.nonzero(amount)
    start = begins[at]
    entity = name.take(pa.array(member))
    return {
        "quota_id": pc.binary_join_element_wise(pa.scalar("Q"), entity, pa.array(start.astype(str)), "-"),
        "change_id": "created",
        "entity_type": level,
        "entity_id": entity,
        "period_start": start,
        "period_end": (start.astype("datetime64[M]") + 3).astype("datetime64[D]"),
        "target": "revenue",
        "amount": money(amount[at, member] * 100),
        "currency": knobs.currency,
        "occurred_at": (start - np.timedelta64(14, "D")).astype("datetime64[s]"),
    }
