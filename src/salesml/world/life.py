"""What becomes of the deals: the weeks they live, drawn from the law; the only loop is over weeks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from salesml.world.clock import Clock, Floats, Ints, Times, stream
from salesml.world.customers import Customers
from salesml.world.deals import Deals, joined, renewals
from salesml.world.hazards import (
    LOST,
    MOODS,
    NEW,
    NO_DECISION,
    REOPEN,
    REOPENED_MOOD,
    REOPENED_STAGE,
    REST_OVER,
    REST_REOPENED,
    RESTING,
    STAY,
    WON,
    hazards,
    meeting,
    mood_moves,
)  # fmt: skip
from salesml.world.knobs import Knobs
from salesml.world.market import Market
from salesml.world.organisation import Organisation

EXPECTED_WEEKS = np.array([5, 9, 13])  # what reps enter as time to close, by segment
PUSH_IF_OVERDUE, PUSH_ANYWAY = 0.80, np.array([0.15, 0.03, 0.04])  # by momentum
STEPS = np.array([1, 2, -1, 0, 0, 0, 0])  # of the stage, by event


@dataclass(frozen=True)
class Life:
    """Panel with one element per deal and week lived, in order of deal and week.

    `stage`, `mood`: at the start of the week. `event`: what the week brought (NEW in the week of creation, REOPEN in
    the week a resting deal came back). `met`: the rep met the customer. `before`, `owner`: owner at the week's start and
    end. `close`: expected close date at its end; `pushed`: it moved. The panel goes on past the end: truth, not records.
    `closed`: second of the closing in weeks that brought one, else NaT.
    """

    deal: Ints
    week: Ints
    stage: Ints
    mood: Ints
    event: Ints
    met: Ints
    before: Ints
    owner: Ints
    close: Times
    pushed: Ints
    closed: Times

    @property
    def last(self) -> Ints:
        """The panel row each deal ended with: its final closing."""
        return np.flatnonzero(np.r_[self.deal[1:] != self.deal[:-1], True])

    @property
    def lived(self) -> Ints:
        """Rows of weeks a deal was open from their start, those of creation and of reopening left out."""
        return np.flatnonzero((self.event != NEW) & (self.event != REOPEN))


def live(
    knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers, born: Deals
) -> tuple[Deals, Life]:
    """Let every deal live until it is closed for good or given up at the horizon; what is won comes up for renewal."""
    generations, lives, turn = [born], [_live(knobs, clock, market, org, born, 0)], 0
    while True:
        ends = lives[-1].last
        won = np.flatnonzero(lives[-1].event[ends] == WON)
        following = renewals(knobs, clock, org, who, generations[-1], won, lives[-1].closed[ends[won]], turn)
        if following is None:
            return _joined(generations, lives)
        turn += 1
        generations.append(following)
        lives.append(_live(knobs, clock, market, org, following, turn))


def _joined(generations: list[Deals], lives: list[Life]) -> tuple[Deals, Life]:
    """All generations in order of creation, and their panel in order of deal and week."""
    sizes = np.array([len(part.week) for part in generations])
    offset = np.cumsum(sizes) - sizes
    created = np.concatenate([part.created for part in generations])
    order = np.argsort(created, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    parents = [part.parent + (0 if i == 0 else offset[i - 1]) for i, part in enumerate(generations)]
    parent = np.where(np.concatenate([g.parent for g in generations]) < 0, -1, number[np.concatenate(parents)])
    deals = replace(joined(generations, order), parent=parent[order])
    renumbered = [replace(life, deal=number[life.deal + offset[i]]) for i, life in enumerate(lives)]
    whole = {f.name: np.concatenate([getattr(life, f.name) for life in renumbered]) for f in fields(Life)}
    rows = np.argsort(whole["deal"], kind="stable")
    return deals, Life(**{name: values[rows] for name, values in whole.items()})


def _live(knobs: Knobs, clock: Clock, market: Market, org: Organisation, deals: Deals, turn: int) -> Life:
    """The panel of one generation of deals."""
    rng, n = stream(knobs, "life", turn), len(deals.week)
    stage, mood, owner = deals.stage.copy(), 3 * deals.momentum, deals.owner.copy()
    close = deals.week + np.rint(EXPECTED_WEEKS[deals.segment] * rng.lognormal(0, 0.3, n)).astype(np.int64)
    first = np.searchsorted(deals.week, np.arange(len(clock.mondays) + 1))
    moves = mood_moves(knobs, leaving=0.0).cumsum(axis=2)[:, :, : MOODS - 1]
    alive, resting = np.zeros(0, np.int64), np.zeros(0, np.int64)
    panel: list[tuple[Ints, ...]] = []
    for week in range(int(deals.week[0]), len(clock.mondays)):
        new = np.arange(first[week], first[week + 1])
        panel.append(_rows(new, week, stage[new], mood[new], NEW, 0, owner[new], owner[new], close[new], 0))
        at = (stage[alive].copy(), mood[alive].copy(), owner[alive].copy())
        event = _events(rng, clock, market, knobs, deals, alive, at, week)
        met = rng.random(len(alive)) < meeting(at[0], at[1], deals.score[alive], deals.habit[alive], knobs)
        gone = org.left[at[2]] == week
        owner[alive[gone]] = org.holder[week, deals.territory[alive[gone]]]
        overdue = close[alive] <= week
        chance = np.where(overdue, PUSH_IF_OVERDUE, PUSH_ANYWAY[at[1] // 3])
        pushed = (event == STAY) & (rng.random(len(alive)) < chance)
        close[alive[pushed]] = np.maximum(close[alive[pushed]], week) + rng.integers(1, 5, pushed.sum())
        panel.append(_rows(alive, week, *at[:2], event, met, at[2], owner[alive], close[alive], pushed))
        stage[alive] += STEPS[event]
        mood[alive] = _mood(rng, moves, met, at[1], gone)
        if week == len(clock.mondays) - 1:
            resting = resting[:0]
        back, resting = _rest(rng, org, deals, resting, week, stage, mood, owner, close)
        panel.append(_rows(back, week, RESTING, 0, REOPEN, 0, owner[back], owner[back], close[back], 0))
        ended = (event == LOST) | (event == NO_DECISION)
        resting = np.r_[resting, alive[ended]]
        alive = np.r_[alive[~ended & (event != WON)], new, back]
    return _ordered(rng, clock, deals, [np.concatenate(part) for part in zip(*panel, strict=True)])


def _rows(deal: Ints, *columns: Ints | int) -> tuple[Ints, ...]:
    """Panel rows of some deals; a single number counts for all of them."""
    return (deal.astype(np.int32), *(np.broadcast_to(column, deal.shape).astype(np.int32) for column in columns))


def _events(
    rng: np.random.Generator, clock: Clock, market: Market, knobs: Knobs, deals: Deals, alive: Ints,
    at: tuple[Ints, ...], week: int,
) -> Ints:  # fmt: skip
    """One event for each deal alive; at the horizon all are given up, as the oracle has it."""
    if week == len(clock.mondays) - 1:
        return np.full(len(alive), NO_DECISION)
    score, segment, discount = deals.score[alive], deals.segment[alive], deals.discount[alive]
    chances = hazards(at[0], at[1], score, segment, discount, clock.rush[week], market.shock[week], knobs.signal)
    return (rng.random(len(alive))[:, None] > chances.cumsum(axis=1)).sum(axis=1)


def _mood(rng: np.random.Generator, moves: Floats, met: Ints, mood: Ints, gone: Ints) -> Ints:
    """Next week's mood; a deal whose rep left this week stalls, the others move as the law has it for reps who stay."""
    chance = rng.random(len(mood))
    following = (chance[:, None] > moves[met.astype(np.int64), mood]).sum(axis=1)
    return np.where(gone, following % 3, following)


def _rest(
    rng: np.random.Generator, org: Organisation, deals: Deals, resting: Ints, week: int,
    stage: Ints, mood: Ints, owner: Ints, close: Ints,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Which resting deals come back in this week, set up anew, and which rest on."""
    chance = rng.random(len(resting))
    back = resting[chance < REST_REOPENED]
    stage[back], mood[back] = REOPENED_STAGE, REOPENED_MOOD
    owner[back] = np.where(org.left[owner[back]] <= week, org.holder[week, deals.territory[back]], owner[back])
    close[back] = week + EXPECTED_WEEKS[deals.segment[back]]
    return back, resting[chance >= REST_REOPENED + REST_OVER]


def _ordered(rng: np.random.Generator, clock: Clock, deals: Deals, parts: list[Ints]) -> Life:
    """Sort the panel by deal and week; expected close weeks become days, closings get their second."""
    order = np.argsort(parts[0], kind="stable")
    deal, week, stage, mood, event, met, before, owner, close, pushed = (part[order] for part in parts)
    day = clock.mondays[0] + (7 * close + rng.integers(0, 5, len(deals.week))[deal]).astype("timedelta64[D]")
    closed = np.full(len(deal), np.datetime64("NaT", "s"))
    ends = np.flatnonzero((event == WON) | (event == LOST) | (event == NO_DECISION))
    closed[ends] = clock.office_time(rng, week[ends], deals.region[deal[ends]])
    return Life(deal, week, stage, mood, event, met, before, owner, day, pushed, closed)


def mid_life(life: Life, deals: int) -> Ints:
    """The panel row at half of each deal's open life: halfway between the week after creation and the closing week."""
    rows = life.lived
    count = np.bincount(life.deal[rows], minlength=deals)
    return rows[np.cumsum(count) - count + (count - 1) // 2]


def path_factor(life: Life, changes: Floats) -> Floats:
    """exp of the running sum of `changes` within each deal: what an amount has become by the end of each week."""
    total = np.cumsum(changes)
    start = np.r_[True, life.deal[1:] != life.deal[:-1]]
    return np.exp(total - (total - changes)[np.maximum.accumulate(np.where(start, np.arange(len(total)), 0))])
