"""Who sells what against whom: regions, teams, managers, reps who come and go, products, competitors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints, Times, stream
from salesml.world.columns import ids, money, pick, staged
from salesml.world.knobs import Knobs

REPS_PER_TEAM = 8
LEAVING_PER_YEAR = 0.10


@dataclass(frozen=True)
class Organisation:
    """The reps, one element each.

    `hired`, `left`: first week there, first week gone. `skill`, `diligence`: log-odds. `generosity`: with discounts.
    """

    regions: int
    region: Ints
    team: Ints
    team_region: Ints
    hired: Ints
    left: Ints
    skill: Floats
    diligence: Floats
    generosity: Floats
    fit: Floats  # industry × product, log-odds
    present: Ints  # running count of reps present, over (week, region, rep)

    def assign(self, week: Ints, region: Ints, chance: Floats) -> Ints:
        """A rep present in each given week and region; `chance` in [0, 1) picks evenly among them."""
        reps = len(self.region)
        row = week * self.regions + region
        before = np.where(row > 0, self.present[row * reps - 1], 0)
        count = self.present[(row + 1) * reps - 1] - before
        return np.searchsorted(self.present, before + np.floor(chance * count) + 1) - row * reps


def organisation(knobs: Knobs, clock: Clock) -> Organisation:
    """Draw the sales organisation. One rep a region stays from first to last, so every deal finds an owner."""
    rng, n = stream(knobs, "organisation"), knobs.reps
    regions = min(len(words.REGIONS), n)
    region = np.arange(n) % regions
    order = np.arange(n) // regions  # position within the region
    teams_per_region = -(-(int(order.max()) + 1) // REPS_PER_TEAM)
    late = rng.random(n) < 0.35
    hired = np.where(late & (order > 0), rng.integers(1, clock.last, n), 0)
    left = hired + 1 + np.floor(rng.exponential(52 / LEAVING_PER_YEAR, n)).astype(np.int64)
    left = np.where((order > 0) & (left < clock.last), left, len(clock.mondays))
    weeks = np.arange(len(clock.mondays))[:, None, None]
    there = (weeks >= hired) & (weeks < left) & (np.arange(regions)[None, :, None] == region)
    return Organisation(
        regions=regions,
        region=region,
        team=region * teams_per_region + order // REPS_PER_TEAM,
        team_region=np.repeat(np.arange(regions), teams_per_region),
        hired=hired,
        left=left,
        skill=_around_zero(rng.normal(0, 0.45, n)),
        diligence=rng.normal(0, 0.20, n),
        generosity=rng.normal(0, 0.50, n),
        fit=_around_zero(rng.normal(0, 0.30, (len(words.INDUSTRIES), len(words.PRODUCTS)))),
        present=np.cumsum(there.ravel()),
    )


def _around_zero(effect: Floats) -> Floats:
    """Effects without their mean: what differs between companies is who is better, not how good all are."""
    return effect - effect.mean()


def people_names(rng: np.random.Generator, n: int) -> tuple[pa.Array, pa.Array]:
    """First names and invented family names of n people."""
    family = [head + tail for head in words.STEM_HEADS for tail in words.STEM_TAILS]
    return pick(words.FIRST_NAMES, rng.integers(0, len(words.FIRST_NAMES), n)), pick(
        family, rng.integers(0, len(family), n)
    )


def tables(org: Organisation, knobs: Knobs, clock: Clock) -> dict[str, pa.Table]:
    """team, user, product, competitor. Users: managers (M…), reps (U…); who leaves has a second change, `left`."""
    opening = clock.mondays[0].astype("datetime64[s]")
    teams, products = len(org.team_region), len(words.PRODUCTS)
    name, family, price, cost, _ = zip(*words.PRODUCTS, strict=True)
    rival, where, _ = zip(*words.COMPETITORS, strict=True)
    team = {
        "team_id": ids("T", np.arange(teams), 3),
        "change_id": "created",
        "name": pa.array([f"{words.REGIONS[r]} {i + 1}" for i, r in enumerate(org.team_region)]),
        "region": pick(words.REGIONS, org.team_region),
        "manager_id": ids("M", np.arange(teams), 3),
        "occurred_at": np.full(teams, opening),
    }
    product = {
        "product_id": ids("P", np.arange(products), 2),
        "change_id": "created",
        "name": pa.array(name),
        "family": pa.array(family),
        "list_price": money(np.array(price) * 100),
        "unit_cost": money(np.array(cost) * 100),
        "currency": knobs.currency,
        "active": True,
        "occurred_at": np.full(products, opening),
    }
    competitor = {
        "competitor_id": ids("C", np.arange(len(rival)), 2),
        "change_id": "created",
        "name": pa.array(rival),
        "segment": pa.array(where),
        "occurred_at": np.full(len(rival), opening),
    }
    blocks = {"team": [team], "user": _users(org, knobs, clock), "product": [product], "competitor": [competitor]}
    return {table: staged(table, rows, clock) for table, rows in blocks.items()}


def _users(org: Organisation, knobs: Knobs, clock: Clock) -> list[dict[str, object]]:
    rng, reps, teams = stream(knobs, "people"), len(org.region), len(org.team_region)

    def created(key: pa.Array, n: int, since: Times) -> dict[str, object]:
        first, last = people_names(rng, n)
        mail = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), pc.utf8_lower(key), ".")
        return {
            "user_id": key,
            "change_id": "created",
            "name": pc.binary_join_element_wise(first, last, " "),
            "email": pc.binary_join_element_wise(mail, pa.scalar("salesml.example"), "@"),
            "active": True,
            "hired_on": since,
            "occurred_at": since.astype("datetime64[s]"),
        }

    key = ids("U", np.arange(reps), 4)
    manager = created(ids("M", np.arange(teams), 3), teams, np.full(teams, clock.mondays[0]))
    manager |= {
        "role": "manager",
        "team_id": ids("T", np.arange(teams), 3),
        "region": pick(words.REGIONS, org.team_region),
    }
    rep = created(key, reps, clock.mondays[org.hired])
    rep |= {
        "role": "rep",
        "team_id": ids("T", org.team, 3),
        "manager_id": ids("M", org.team, 3),
        "region": pick(words.REGIONS, org.region),
    }
    gone = np.flatnonzero(org.left < clock.last)
    day = clock.mondays[org.left[gone]]
    leaver = {
        "user_id": key.take(pa.array(gone)),
        "change_id": "left",
        "active": False,
        "left_on": day,
        "occurred_at": day.astype("datetime64[s]"),
    }
    return [manager, rep, leaver]
