"""The law of the company: weekly chances of an open deal, what a meeting does to it, and how it comes back.

A deal at the start of a week is in a stage (0 … 4), has a momentum (0 stalled, 1 normal, 2 hot) and a breadth (how many
more people at the customer are engaged: 0, 1, 2). In that week it advances, skips a stage, returns, is won, is lost, is
given up, or stays: a multinomial logit with "stays" as the reference, of stage, momentum, breadth, score, discount,
quarter end and market. Independently of it the rep meets the customer or not; momentum and breadth then move by a Markov
chain that a meeting improves, and a deal whose rep leaves stalls. A lost or given-up deal rests and may be reopened.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from salesml.world.clock import Floats, Ints
from salesml.world.knobs import Knobs
from salesml.world.organisation import LEAVING

ADVANCE, SKIP, RETURN, WON, LOST, NO_DECISION, STAY = range(7)
NEW, REOPEN = 7, 8
"""Markers in a deal's life: the week it was created, the week it came back."""
STAGES, RESTING = 5, 5
"""Number of stages; the stage of a deal that is closed and may be reopened."""
DISCOUNTS = np.array([0.0, 0.10, 0.20])
OFFER_STAGE = 3
"""From this stage on (Proposal) the discount has been offered and works."""
SENSITIVITY = np.array([2, 1, 1])
"""Grid points a discount level adds to the score, by segment."""
PACE = np.log([2.3, 1.05, 0.68])
"""How fast things happen, by segment: added to the log-odds of all events alike."""
GRID_STEP, SCORE_LIMIT = 0.25, 3.0
GRID = np.arange(-SCORE_LIMIT, SCORE_LIMIT + GRID_STEP / 2, GRID_STEP)

_NEVER = -40.0
_BASE = np.array(
    [  # advance, skip, return, won, lost, no decision; one row a stage
        [-0.95, -3.30, _NEVER, _NEVER, -3.30, -3.35],
        [-1.15, -3.60, -4.20, _NEVER, -3.00, -3.40],
        [-1.40, -3.70, -3.80, -3.50, -2.80, -3.45],
        [-1.25, _NEVER, -3.40, -2.95, -2.55, -3.55],
        [_NEVER, _NEVER, -3.40, -2.10, -2.35, -3.55],
    ]
)
_BY_SCORE = np.array([0.10, 0.12, -0.06, 0.30, -0.26, -0.16])
_BY_MOMENTUM = np.array(
    [[-0.42, -0.5, 0.2, -0.42, 0.2, 0.38], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.22, 0.30, -0.2, 0.22, -0.22, -0.30]]
)
_BY_BREADTH = np.array([0.04, 0.04, 0.00, 0.16, -0.10, -0.12])
_BY_RUSH = np.array([0.1, 0.1, 0.0, 0.75, 0.30, 0.1])
_BY_SHOCK = np.array([-0.15, -0.20, 0.10, -0.40, 0.15, 0.30])

MOMENTUM_AT_BIRTH = np.array([0.10, 0.70, 0.20])
_MOMENTUM_ALONE = np.array([[0.90, 0.10, 0.00], [0.11, 0.83, 0.06], [0.03, 0.23, 0.74]])
_MOMENTUM_MET = np.array([[0.70, 0.27, 0.03], [0.04, 0.79, 0.17], [0.01, 0.10, 0.89]])
_BREADTH_ALONE = np.array([[0.985, 0.015, 0.0], [0.0, 0.99, 0.01], [0.0, 0.0, 1.0]])
_BREADTH_MET = np.array([[0.78, 0.22, 0.0], [0.0, 0.83, 0.17], [0.0, 0.0, 1.0]])
_MEETING = np.array([-1.7, -0.9, -0.3, -0.9, -0.7])  # log-odds of a meeting in a week, by stage
_MEETING_BY_HABIT = np.array([-0.7, 0.0, 0.6])
_MEETING_BY_SCORE, _MEETING_BY_MOMENTUM = 0.45, 0.40  # at confounding 1

REST_REOPENED, REST_OVER = 0.005, 0.10
"""Weekly chances of a resting deal to be reopened, and to be forgotten for good."""
REOPENED_STAGE, REOPENED_MOOD = 1, 3
"""A reopened deal starts in Discovery, with normal momentum and nobody else engaged."""
MOODS = 9
"""States of momentum and breadth: mood = 3 × momentum + breadth."""


def hazards(
    stage: Ints, mood: Ints, score: Floats, segment: Ints, discount: Ints, rush: Ints | int, shock: Ints | int,
    signal: float,
) -> Floats:  # fmt: skip
    """Chances of {advance, skip, return, won, lost, no decision} in the week, last axis 6; the rest to 1 is to stay."""
    worth = np.asarray(score + signal * GRID_STEP * SENSITIVITY[segment] * discount * (stage >= OFFER_STAGE))
    logit = _BASE[stage] + worth[..., None] * _BY_SCORE + signal * _BY_MOMENTUM[mood // 3]
    logit = logit + PACE[segment][..., None] + (signal * (mood % 3))[..., None] * _BY_BREADTH
    logit = logit + np.asarray(rush)[..., None] * _BY_RUSH + np.asarray(shock)[..., None] * _BY_SHOCK
    weight = np.exp(logit)
    return weight / (1.0 + weight.sum(axis=-1, keepdims=True))


def meeting(stage: Ints, mood: Ints, score: Floats, habit: Ints, knobs: Knobs) -> Floats:
    """Chance that the rep meets the customer in the week: more on better and hotter deals, as far as confounding goes."""
    drawn = _MEETING_BY_SCORE * score + knobs.signal * _MEETING_BY_MOMENTUM * (mood // 3 - 1)
    return expit(_MEETING[stage] + _MEETING_BY_HABIT[habit] + knobs.confounding * drawn)


def mood_moves(knobs: Knobs, leaving: float = LEAVING) -> Floats:
    """Weekly moves [met, mood, next mood]; `effect` scales what a meeting adds, a rep who leaves stalls the deal.

    `leaving`: how probable that is; 0 for the moves of deals whose rep is known to stay.
    """

    def scaled(alone: Floats, met: Floats) -> Floats:
        moved = np.maximum(alone + knobs.effect * (met - alone), 0)
        return moved / moved.sum(axis=1, keepdims=True)

    kept = [(_MOMENTUM_ALONE, _BREADTH_ALONE)]
    kept.append((scaled(_MOMENTUM_ALONE, _MOMENTUM_MET), scaled(_BREADTH_ALONE, _BREADTH_MET)))
    stall = np.array([[1.0, 0, 0]] * 3)
    return np.stack([np.kron((1 - leaving) * momentum + leaving * stall, breadth) for momentum, breadth in kept])
