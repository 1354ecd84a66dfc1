"""The law of the company: weekly chances of a deal, and the win probability that follows from them.

A deal at the start of a week is in a stage (0..4) and has a momentum (0 stalled, 1 normal, 2 hot), a score (the
log-odds its causes add up to) and a discount level. In that week it advances, is won, is lost, is given up, or stays:
a multinomial logit with "stays" as the reference. Afterwards its momentum moves by a Markov chain. Everything a deal's
future depends on is in that state and the calendar week, so its win probability is exact by backward recursion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.world.clock import Clock, Floats, Ints

ADVANCE, WON, LOST, NO_DECISION, STAY, NEW = range(6)
DISCOUNTS = np.array([0.0, 0.05, 0.10, 0.15, 0.20])
OFFER_STAGE = 3
"""From this stage on (Proposal) the discount has been offered and works."""
DISCOUNT_EFFECT = 3.0
"""Log-odds of a win for a discount of 100 %."""

_NEVER = -40.0
_BASE = np.array(
    [  # advance, won, lost, no decision; one row a stage
        [-0.80, _NEVER, -3.60, -3.50],
        [-1.00, _NEVER, -3.30, -3.60],
        [-1.10, -4.60, -2.95, -3.70],
        [-1.10, -3.30, -2.70, -3.80],
        [_NEVER, -1.90, -2.30, -3.80],
    ]
)
_BY_SCORE = np.array([0.20, 0.45, -0.40, -0.25])
_BY_MOMENTUM = np.array([[-0.8, -0.8, 0.3, 0.8], [0.0, 0.0, 0.0, 0.0], [0.35, 0.35, -0.35, -0.5]])
_BY_RUSH = np.array([0.1, 0.6, 0.25, 0.1])
MOMENTUM_MOVES = np.array([[0.88, 0.12, 0.00], [0.08, 0.84, 0.08], [0.02, 0.18, 0.80]])
MOMENTUM_AT_BIRTH = np.array([0.10, 0.70, 0.20])

_GRID = np.linspace(-4.0, 4.0, 81)
SCORE_LIMIT = float(_GRID[-1])


def hazards(stage: Ints, momentum: Ints, score: Floats, discount: Ints, rush: Ints | int, signal: float) -> Floats:
    """Chances of {advance, won, lost, no decision} in the week, last axis 4; what is missing to 1 is to stay."""
    worth = np.asarray(score + signal * DISCOUNT_EFFECT * DISCOUNTS[discount] * (stage >= OFFER_STAGE))
    logit = _BASE[stage] + worth[..., None] * _BY_SCORE + signal * _BY_MOMENTUM[momentum]
    logit = logit + np.asarray(rush)[..., None] * _BY_RUSH
    weight = np.exp(logit)
    return weight / (1.0 + weight.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Oracle:
    """True win probabilities: `values[week, discount, score point, stage, momentum]` at the start of each week."""

    values: Floats

    @classmethod
    def of(cls, clock: Clock, signal: float) -> Oracle:
        """Backward recursion from the horizon, where what is still open is given up, to the first week."""
        stages, momenta = len(_BASE), len(_BY_MOMENTUM)
        discount, point, stage, momentum = np.indices((len(DISCOUNTS), len(_GRID), stages, momenta))
        chances = [hazards(stage, momentum, _GRID[point], discount, rush, signal) for rush in (0, 1)]
        values = np.zeros((len(clock.mondays), *stage.shape))
        for week in range(len(clock.mondays) - 2, -1, -1):
            h = chances[clock.rush[week]]
            later = values[week + 1] @ MOMENTUM_MOVES.T
            further = np.concatenate([later[:, :, 1:], np.zeros_like(later[:, :, :1])], axis=2)
            values[week] = h[..., WON] + h[..., ADVANCE] * further + (1.0 - h.sum(axis=-1)) * later
        return cls(values)

    def probability(self, week: Ints, stage: Ints, momentum: Ints, score: Floats, discount: Ints) -> Floats:
        """P(won eventually) at the start of each week; linear between points 0.1 of score apart."""
        step = _GRID[1] - _GRID[0]
        position = (np.clip(score, _GRID[0], _GRID[-1]) - _GRID[0]) / step
        below = np.minimum(position.astype(np.int64), len(_GRID) - 2)
        share = position - below
        low = self.values[week, discount, below, stage, momentum]
        high = self.values[week, discount, below + 1, stage, momentum]
        return low + share * (high - low)
