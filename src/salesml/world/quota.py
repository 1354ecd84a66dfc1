"""Quotas: what reps, teams, regions and the company are to reach in a quarter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints, Times, month_of_year, quarter, stream
from salesml.world.columns import Block, ids, money, pick, plain
from salesml.world.geography import Geography
from salesml.world.knobs import Knobs
from salesml.world.market import GROWTH_PER_YEAR
from salesml.world.organisation import RAMP_WEEKS, Organisation

STRETCH = 1.12
BY_POTENTIAL = 0.7  # how far quotas follow the territories' potential; the rest is equal for all


def quotas(knobs: Knobs, clock: Clock, org: Organisation, map_: Geography, expected: Floats) -> list[Block]:
    """Quota blocks: revenue targets by calendar quarter, set two weeks ahead for the reps there then, and summed.

    The plan is the company's average expected quarter grown at the usual pace; new reps have half a quota. `expected`:
    noiseless revenue by rep and month of the ledger.
    """
    rng = stream(knobs, "quotas")
    begins = np.arange(clock.start.astype("datetime64[M]"), clock.end.astype("datetime64[M]") + 4)
    begins = begins[month_of_year(begins) % 3 == 0].astype("datetime64[D]")
    begins = begins[begins - np.timedelta64(14, "D") < clock.end]
    middle = clock.start + (clock.end - clock.start) // 2
    years = (quarter(begins) - quarter(np.array([middle]))) / 4
    span = (clock.end - clock.start).astype(np.int64) / 365.25
    plan = STRETCH * expected.sum() / span / 4 * (1 + GROWTH_PER_YEAR) ** years
    week = np.clip(clock.week_of(begins) - 2, 0, clock.last - 1)
    reps = np.flatnonzero(org.hired < clock.last)
    there = (org.hired[reps] <= week[:, None]) & (org.left[reps] > week[:, None])
    new = (org.hired[reps] > 0) & (week[:, None] - org.hired[reps] < RAMP_WEEKS)
    share = BY_POTENTIAL * map_.share + (1 - BY_POTENTIAL) / len(map_.share)
    whole = plan[:, None] * share[org.seat[reps]] * np.where(new, 0.5, 1.0) * rng.uniform(0.9, 1.1, there.shape)
    cents = np.maximum(np.rint(whole / 1_000), 1).astype(np.int64) * 100_000 * there
    levels = (
        ("rep", np.arange(len(reps)), ids("U", reps, 4)),
        ("team", org.seat_team[org.seat[reps]], ids("T", np.arange(len(org.team_region)), 3)),
        ("region", org.region[reps], pick(words.REGIONS, np.arange(int(org.seat_region.max()) + 1))),
        ("company", np.zeros(len(reps), np.int64), pa.array(["company"])),
    )
    return [_targets(knobs, begins, cents, *level) for level in levels]


def _targets(knobs: Knobs, begins: Times, cents: Ints, level: str, group: Ints, name: pa.Array) -> Block:
    """One row for each quarter and member of the level with somebody to reach the target."""
    amount = np.zeros((len(begins), len(name)), np.int64)
    np.add.at(amount.T, group, cents.T)
    at, member = np.nonzero(amount)
    start = begins[at]
    entity = plain(name.take(pa.array(member)))
    return {
        "quota_id": pc.binary_join_element_wise(pa.scalar("Q"), entity, pa.array(start.astype(str)), "-"),
        "change_id": "created",
        "entity_type": level,
        "entity_id": entity,
        "period_start": start,
        "period_end": (start.astype("datetime64[M]") + 3).astype("datetime64[D]"),
        "target": "revenue",
        "amount": money(amount[at, member]),
        "currency": knobs.currency,
        "occurred_at": (start - np.timedelta64(14, "D")).astype("datetime64[s]"),
    }
