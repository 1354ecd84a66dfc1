"""What a deal's chances truly are: exact by backward recursion over everything its future depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.world.clock import Clock, Floats, Ints, quarter
from salesml.world.hazards import (
    ADVANCE,
    DISCOUNTS,
    GRID,
    GRID_STEP,
    LOST,
    MOODS,
    NO_DECISION,
    REOPENED_MOOD,
    REOPENED_STAGE,
    REST_OVER,
    REST_REOPENED,
    RETURN,
    SCORE_LIMIT,
    SKIP,
    STAGES,
    WON,
    hazards,
    meeting,
    mood_moves,
)  # fmt: skip
from salesml.world.knobs import Knobs
from salesml.world.market import MARKET_MOVES

HABITS, SEGMENTS, MARKETS = 3, 3, 2
SHAPE = (STAGES, HABITS, SEGMENTS * len(DISCOUNTS), len(GRID), MARKETS, MOODS)
"""Axes of a value function: stage, habit, segment and discount, score point, market, mood."""
_FLOAT = np.float32  # rounds at the seventh digit: far below what any number of outcomes could show


@dataclass(frozen=True)
class State:
    """Open deals at the start of a week, one element each."""

    stage: Ints
    habit: Ints
    segment: Ints
    discount: Ints
    score: Floats
    shock: Ints
    mood: Ints

    def place(self, discount: Ints | int | None = None) -> tuple[Ints, ...]:
        """Index into a value function, with another discount level if given; scores lie on its grid."""
        point = np.rint((self.score + SCORE_LIMIT) / GRID_STEP).astype(np.int64)
        offer = self.segment * len(DISCOUNTS) + (self.discount if discount is None else discount)
        return (self.stage, self.habit, offer, point, self.shock, self.mood)


class Oracle:
    """Value functions of one week, stepped back week by week from the horizon, where what is open is given up.

    `won`: P(won in the end) at the start of the week, however often closed and reopened. `won_met`, `won_unmet`: the same
    if the rep meets the customer in this week, or does not, and goes on as usual. `won_quarter`, `closed_quarter`: P(won,
    closed) before the end of the quarter the week's Monday lies in.
    """

    def __init__(self, knobs: Knobs, clock: Clock) -> None:
        stage, habit, offer, point, shock, mood = np.indices((STAGES, 1, *SHAPE[2:]))
        state = (stage, mood, GRID[point], offer // len(DISCOUNTS), offer % len(DISCOUNTS))
        self._chances = [
            np.moveaxis(hazards(*state, rush, shock, knobs.signal), -1, 0).astype(_FLOAT) for rush in (0, 1)
        ]
        self._stay = [1 - chances.sum(axis=0) for chances in self._chances]
        self._lost = [chances[LOST] + chances[NO_DECISION] for chances in self._chances]
        stage, habit, _, point, _, mood = np.indices((STAGES, HABITS, 1, *SHAPE[3:]))
        self._meets = meeting(stage, mood, GRID[point], habit, knobs).astype(_FLOAT)
        self._moves = mood_moves(knobs).astype(_FLOAT)
        self._clock = clock
        self._quarter = quarter(clock.mondays)
        self.week = len(clock.mondays) - 1
        self.won, self.won_met, self.won_unmet, self.won_quarter = (np.zeros(SHAPE, _FLOAT) for _ in range(4))
        self.closed_quarter = np.full(SHAPE, clock.within[self.week], _FLOAT)
        self._rest, self._rest_quarter = np.zeros(SHAPE[1:5], _FLOAT), np.zeros(SHAPE[1:5], _FLOAT)

    def step_back(self) -> None:
        """Go to the week before."""
        self.week -= 1
        week, within, rush = self.week, float(self._clock.within[self.week]), self._clock.rush[self.week]
        goes_on = float(self._quarter[week] == self._quarter[week + 1])
        chances, lost = self._chances[rush], self._lost[rush]
        won, rest = _over_market(self.won), _over_market(self._rest[..., None])[..., 0]
        quarter_won = goes_on * _over_market(self.won_quarter)
        quarter_rest = goes_on * _over_market(self._rest_quarter[..., None])[..., 0]
        base = chances[WON] + lost * rest[..., None]
        self.won_unmet = base + self._moved(rush, won @ self._moves[0].T)
        self.won_met = base + self._moved(rush, won @ self._moves[1].T)
        self.won = self.won_unmet + self._meets * (self.won_met - self.won_unmet)
        base = within * chances[WON] + lost * quarter_rest[..., None]
        self.won_quarter = base + self._later(rush, quarter_won)
        closed = goes_on * _over_market(self.closed_quarter)
        self.closed_quarter = within * (chances[WON] + lost) + self._later(rush, closed)
        self._rest = _rested(won, rest)
        self._rest_quarter = _rested(quarter_won, quarter_rest)

    def _later(self, rush: int, value: Floats) -> Floats:
        """Expected value of the deal that stays open, its rep meeting the customer as often as usual."""
        alone, met = self._moved(rush, value @ self._moves[0].T), self._moved(rush, value @ self._moves[1].T)
        return alone + self._meets * (met - alone)

    def _moved(self, rush: int, later: Floats) -> Floats:
        """Expected value over the stages a deal that stays open may be in next."""
        chances = self._chances[rush]
        total = self._stay[rush] * later
        total[:-1] += chances[ADVANCE, :-1] * later[1:]
        total[:-2] += chances[SKIP, :-2] * later[2:]
        total[1:] += chances[RETURN, 1:] * later[:-1]
        return total

    def at(self, state: State) -> dict[str, Floats]:
        """Every value function at the given states of this week."""
        place = state.place()
        names: dict[str, Floats] = {"p_win": self.won, "p_win_met": self.won_met, "p_win_unmet": self.won_unmet}
        names |= {"p_won_this_quarter": self.won_quarter, "p_closed_this_quarter": self.closed_quarter}
        return {name: values[place] for name, values in names.items()}

    def by_discount(self, state: State) -> Floats:
        """P(won in the end) of the states under each discount level, last axis."""
        return np.stack([self.won[state.place(level)] for level in range(len(DISCOUNTS))], axis=-1)


def _rested(value: Floats, rest: Floats) -> Floats:
    """Value of a deal that rests: it may be reopened, forgotten, or rest on."""
    reopened = value[REOPENED_STAGE, ..., REOPENED_MOOD]
    return REST_REOPENED * reopened + (1 - REST_REOPENED - REST_OVER) * rest


def _over_market(value: Floats) -> Floats:
    """Expected value over where the market goes next; the market is the last axis but one."""
    good, bad = value[..., 0, :], value[..., 1, :]
    return np.stack([stay * good + turn * bad for stay, turn in MARKET_MOVES.tolist()], axis=-2)
