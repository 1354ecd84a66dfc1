"""Who sells: regions, teams, managers, and the seats that reps fill one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import HOUR, Clock, Floats, Ints, Times, stream
from salesml.world.columns import Block, ids, numbered, pick, plain
from salesml.world.knobs import Knobs

SEATS_PER_TEAM = 8
LEAVING_PER_YEAR = 0.25
LEAVING = 1 - np.exp(-LEAVING_PER_YEAR / 52)
"""Chance that a rep leaves in a week, whoever it is."""
VACANT_WEEKS = 5  # on average, until a seat is filled again
RAMP_WEEKS, RAMP_SKILL, RAMP_LOAD = 26, -0.5, 0.5
"""A new rep's skill (log-odds) and share of new deals at the start; both rise to normal over the ramp."""


@dataclass(frozen=True)
class Organisation:
    """Seats and the reps who fill them, each one element an entity; seat s works territory s.

    `hired`, `left`: first week there, first week gone (`left` may lie past the horizon). `skill`: log-odds.
    `habit`: 0, 1, 2: how readily a rep meets customers. `generosity`: with discounts. `outlook`: log-odds a rep adds to
    what a deal deserves when calling it (below 0: sandbagging). `holder[week, seat]`: the rep who works the seat's
    territory, its own or, while it is vacant, a neighbour. `load[week, seat]`: the part of normal new business it takes on.
    """

    seat_region: Ints
    seat_team: Ints
    team_region: Ints
    seat: Ints
    hired: Ints
    left: Ints
    skill: Floats
    habit: Ints
    generosity: Floats
    outlook: Floats
    fit: Floats  # industry × product, log-odds
    holder: Ints
    load: Floats

    @property
    def region(self) -> Ints:
        """Region of each rep."""
        return self.seat_region[self.seat]

    def ramp(self, rep: Ints, week: Ints) -> Floats:
        """From 0 at hiring to 1 when the ramp is over; the founders of week 0 are past it."""
        grown = np.clip((week - self.hired[rep]) / RAMP_WEEKS, 0, 1)
        return np.where(self.hired[rep] == 0, 1.0, grown)


def organisation(knobs: Knobs, clock: Clock) -> Organisation:
    """Draw the sales organisation: everybody leaves at the same rate, the first seat of a region is filled at once."""
    rng, seats = stream(knobs, "organisation"), knobs.reps
    regions = min(len(words.REGIONS), seats)
    seat_region = np.arange(seats) % regions
    order = np.arange(seats) // regions  # position within the region
    teams = -(-(int(order.max()) + 1) // SEATS_PER_TEAM)
    opened = np.where((rng.random(seats) < 0.25) & (order > 0), rng.integers(1, clock.last, seats), 0)
    seat, hired, left = _tenures(rng, clock, opened, order > 0)
    n = len(seat)
    holder, load = _holders(seat_region, seat, hired, left, len(clock.mondays))
    return Organisation(
        seat_region=seat_region,
        seat_team=seat_region * teams + order // SEATS_PER_TEAM,
        team_region=np.repeat(np.arange(regions), teams),
        seat=seat,
        hired=hired,
        left=left,
        skill=_around_zero(rng.normal(0, 0.35, n)),
        habit=rng.choice(3, n, p=[0.25, 0.5, 0.25]),
        generosity=rng.normal(0, 0.50, n),
        outlook=rng.normal(0.30, 0.60, n),
        fit=_around_zero(rng.normal(0, 0.30, (len(words.INDUSTRIES), len(words.PRODUCTS)))),
        holder=holder,
        load=load,
    )


def _tenures(rng: np.random.Generator, clock: Clock, opened: Ints, may_wait: Ints) -> tuple[Ints, Ints, Ints]:
    """Seat, first week and first week gone of every rep up to the horizon, by seat and time."""
    weeks = len(clock.mondays)
    most = 6 + int(3 * weeks * LEAVING)
    stay = rng.geometric(LEAVING, (len(opened), most))
    gap = np.where(may_wait[:, None], rng.geometric(1 / VACANT_WEEKS, stay.shape) - 1, 0)
    left = opened[:, None] + np.cumsum(stay, axis=1) + np.cumsum(gap, axis=1) - gap
    hired = left - stay
    seat, turn = np.nonzero(hired < weeks)
    return seat, hired[seat, turn], left[seat, turn]


def _holders(seat_region: Ints, seat: Ints, hired: Ints, left: Ints, weeks: int) -> tuple[Ints, Floats]:
    """Who works each seat's territory in each week, and the load it bears; a vacant seat's goes to the next one filled."""
    seats = len(seat_region)
    own = np.full((weeks, seats), -1)
    span = np.minimum(left, weeks) - hired
    rep = np.repeat(np.arange(len(seat)), span)
    week = np.arange(len(rep)) - np.repeat(np.cumsum(span) - span, span) + hired[rep]
    own[week, seat[rep]] = rep
    load = np.where(own >= 0, 1.0, 0.5)
    since = week - hired[rep]
    new = (hired[rep] > 0) & (since < RAMP_WEEKS)
    load[week[new], seat[rep[new]]] = RAMP_LOAD + (1 - RAMP_LOAD) * since[new] / RAMP_WEEKS
    holder = own.copy()
    for region in range(int(seat_region.max()) + 1):
        at = np.flatnonzero(seat_region == region)
        block = own[:, at]
        for shift in range(1, len(at)):
            if not (block < 0).any():
                break
            block = np.where(block < 0, np.roll(own[:, at], -shift, axis=1), block)
        holder[:, at] = block
    return holder, load


def _around_zero(effect: Floats) -> Floats:
    """Effects without their mean: what differs between companies is who is better, not how good all are."""
    return effect - effect.mean()


def people_names(rng: np.random.Generator, n: int) -> tuple[pa.Array, pa.Array]:
    """First names and invented family names of n people."""
    family = [head + tail for head in words.STEM_HEADS for tail in words.STEM_TAILS]
    first = pick(words.FIRST_NAMES, rng.integers(0, len(words.FIRST_NAMES), n))
    return plain(first), plain(pick(family, rng.integers(0, len(family), n)))


def teams(clock: Clock, org: Organisation) -> list[Block]:
    """The team block: a team of each region's name and number, with its manager."""
    n = len(org.team_region)
    number = np.arange(n) - np.searchsorted(org.team_region, org.team_region) + 1
    return [
        {
            "team_id": ids("T", np.arange(n), 3),
            "change_id": "created",
            "name": pa.array([f"{words.REGIONS[r]} {i}" for r, i in zip(org.team_region, number, strict=True)]),
            "region": pick(words.REGIONS, org.team_region),
            "manager_id": ids("M", np.arange(n), 3),
            "occurred_at": np.full(n, clock.mondays[0].astype("datetime64[s]")),
        }
    ]


def users(knobs: Knobs, clock: Clock, org: Organisation) -> list[Block]:
    """User blocks: the chief (V000), a head of each region (H…), managers (M…), reps (U…); leavers have a change `left`."""
    rng, reps = stream(knobs, "people"), np.flatnonzero(org.hired < clock.last)
    regions, teams = int(org.seat_region.max()) + 1, len(org.team_region)
    since = np.full(max(regions, teams), clock.mondays[0])
    chief = _hired(rng, ids("V", np.arange(1), 3), since[:1]) | {"role": "chief revenue officer"}
    head = _hired(rng, ids("H", np.arange(regions), 3), since[:regions])
    head |= {"role": "regional head", "manager_id": "V000", **_place(np.arange(regions))}
    manager = _hired(rng, ids("M", np.arange(teams), 3), since[:teams]) | {"role": "manager"}
    manager |= {"team_id": ids("T", np.arange(teams), 3), "manager_id": ids("H", org.team_region, 3)}
    manager |= _place(org.team_region)
    key = ids("U", reps, 4)
    team = org.seat_team[org.seat[reps]]
    rep = _hired(rng, key, clock.mondays[org.hired[reps]]) | {"role": "rep", "team_id": ids("T", team, 3)}
    rep |= {"manager_id": ids("M", team, 3), **_place(org.region[reps])}
    gone = reps[org.left[reps] < clock.last]
    day = clock.mondays[org.left[gone]]
    leaver = {"user_id": ids("U", gone, 4), "change_id": "left", "active": False, "left_on": day}
    return [chief, head, manager, rep, leaver | {"occurred_at": day.astype("datetime64[s]")}]


def _hired(rng: np.random.Generator, key: pa.Array, since: Times) -> dict[str, object]:
    first, last = people_names(rng, len(key))
    mail = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), pc.utf8_lower(plain(key)), ".")
    return {
        "user_id": key,
        "change_id": "created",
        "name": pc.binary_join_element_wise(first, last, " "),
        "email": pc.binary_join_element_wise(mail, pa.scalar("salesml.example"), "@"),
        "active": True,
        "hired_on": since,
        "occurred_at": since.astype("datetime64[s]"),
    }


def _place(region: Ints) -> dict[str, object]:
    return {"region": pick(words.REGIONS, region), "time_zone": pick(words.ZONES, region)}


def territories(clock: Clock, org: Organisation) -> list[Block]:
    """Territory blocks: one a seat, and a change `owner:n` on the Monday another rep takes over."""
    seats, weeks = len(org.seat_region), org.holder[: clock.last]
    key = ids("Y", np.arange(seats), 4)
    created = {
        "territory_id": key,
        "change_id": "created",
        "name": ids("Territory ", np.arange(seats), 4),
        "region": pick(words.REGIONS, org.seat_region),
        "owner_id": ids("U", weeks[0], 4),
        "occurred_at": np.full(seats, clock.mondays[0].astype("datetime64[s]")),
    }
    seat, week = np.nonzero((weeks[1:] != weeks[:-1]).T)
    first = np.searchsorted(seat, seat)
    moved = {
        "territory_id": ids("Y", seat, 4),
        "change_id": numbered("owner:", np.arange(len(seat)) - first + 1),
        "owner_id": ids("U", weeks[week + 1, seat], 4),
        "occurred_at": clock.mondays[week + 1].astype("datetime64[s]") + np.timedelta64(6 * HOUR, "s"),
    }
    return [created, moved]

