"""What becomes of the deals: the weeks they live, drawn from the hazards; the only loop is over weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.world.clock import Clock, Floats, Ints, Times, stream
from salesml.world.deals import Deals
from salesml.world.hazards import ADVANCE, MOMENTUM_MOVES, NEW, NO_DECISION, STAY, hazards
from salesml.world.knobs import Knobs
from salesml.world.organisation import Organisation

EXPECTED_WEEKS = np.array([6, 8, 10])  # what reps enter as time to close, by segment
PUSH_IF_OVERDUE, PUSH_ANYWAY = 0.80, np.array([0.15, 0.03, 0.04])  # by momentum


@dataclass(frozen=True)
class Life:
    """Panel with one element per deal and week lived, in order of deal and week, and how and when each deal ended.

    `stage`, `momentum`: at the start of the week. `event`: what the week brought (NEW in the week of creation).
    `before`, `owner`: owner at the week's start and end. `close`: expected close date at its end; `pushed`: it moved.
    `outcome` (WON, LOST, NO_DECISION), `closed_week` and `closed` (second) go on after the end: truth, not records.
    """

    deal: Ints
    week: Ints
    stage: Ints
    momentum: Ints
    event: Ints
    before: Ints
    owner: Ints
    close: Times
    pushed: Ints
    outcome: Ints
    closed_week: Ints
    closed: Times


def live(knobs: Knobs, clock: Clock, org: Organisation, deals: Deals) -> Life:
    """Let every deal live, week by week, until it is closed or given up at the horizon."""
    rng, n = stream(knobs, "life"), len(deals.week)
    stage, momentum, owner = deals.stage.copy(), deals.momentum.copy(), deals.owner.copy()
    close = deals.week + np.rint(EXPECTED_WEEKS[deals.segment] * rng.lognormal(0, 0.3, n)).astype(np.int64)
    first = np.searchsorted(deals.week, np.arange(len(clock.mondays) + 1))
    moves = MOMENTUM_MOVES.cumsum(axis=1)
    alive = np.zeros(0, np.int64)
    panel: list[tuple[Ints, ...]] = []
    for week in range(len(clock.mondays)):
        new = np.arange(first[week], first[week + 1])
        panel.append(_rows(new, week, stage[new], momentum[new], NEW, owner[new], owner[new], close[new], 0))
        at = (stage[alive].copy(), momentum[alive].copy(), owner[alive].copy())
        event = _events(rng, clock, knobs, deals, alive, at, week)
        moved = org.left[at[2]] == week
        owner[alive[moved]] = org.assign(
            np.full(moved.sum(), week), deals.region[alive[moved]], rng.random(moved.sum())
        )
        overdue = close[alive] <= week
        pushed = (event == STAY) & (rng.random(len(alive)) < np.where(overdue, PUSH_IF_OVERDUE, PUSH_ANYWAY[at[1]]))
        close[alive[pushed]] = np.maximum(close[alive[pushed]], week) + rng.integers(1, 5, pushed.sum())
        panel.append(_rows(alive, week, *at[:2], event, at[2], owner[alive], close[alive], pushed))
        lives = (event == STAY) | (event == ADVANCE)
        stage[alive[event == ADVANCE]] += 1
        momentum[alive] = (rng.random(len(alive))[:, None] > moves[at[1]]).sum(axis=1)
        alive = np.r_[alive[lives], new]
    return _ordered(rng, clock, n, [np.concatenate(part) for part in zip(*panel, strict=True)])


def _rows(deal: Ints, *columns: Ints | int) -> tuple[Ints, ...]:
    """Panel rows of some deals; a single number counts for all of them."""
    return (deal, *(np.broadcast_to(column, deal.shape).astype(np.int64) for column in columns))


def _events(
    rng: np.random.Generator, clock: Clock, knobs: Knobs, deals: Deals, alive: Ints, at: tuple[Ints, ...], week: int
) -> Ints:
    """One event for each deal alive; at the horizon all are given up, as the oracle has it."""
    if week == len(clock.mondays) - 1:
        return np.full(len(alive), NO_DECISION)
    chances = hazards(at[0], at[1], deals.score[alive], deals.discount[alive], clock.rush[week], knobs.signal)
    return (rng.random(len(alive))[:, None] > chances.cumsum(axis=1)).sum(axis=1)


def _ordered(rng: np.random.Generator, clock: Clock, n: int, parts: list[Ints]) -> Life:
    """Sort the panel by deal and week; expected close weeks become days, endings one element a deal."""
    order = np.argsort(parts[0], kind="stable")
    deal, week, stage, momentum, event, before, owner, close, pushed = (part[order] for part in parts)
    ends = np.r_[deal[1:] != deal[:-1], True]
    day = clock.mondays[0] + (7 * close + rng.integers(0, 5, n)[deal]).astype("timedelta64[D]")
    return Life(
        deal=deal,
        week=week,
        stage=stage,
        momentum=momentum,
        event=event,
        before=before,
        owner=owner,
        close=day,
        pushed=pushed,
        outcome=event[ends],
        closed_week=week[ends],
        closed=clock.office_time(rng, week[ends]),
    )


def mid_life(life: Life) -> Ints:
    """Panel rows at half of each deal's life: halfway from the week after creation to the closing week."""
    rows = np.bincount(life.deal, minlength=len(life.outcome))
    return np.cumsum(rows) - rows + 1 + (rows - 1) // 2


def path_factor(life: Life, changes: Floats) -> Floats:
    """exp of the running sum of `changes` within each deal: what an amount has become by the end of each week."""
    total = np.cumsum(changes)
    start = np.r_[True, life.deal[1:] != life.deal[:-1]]
    return np.exp(total - (total - changes)[np.maximum.accumulate(np.where(start, np.arange(len(total)), 0))])
