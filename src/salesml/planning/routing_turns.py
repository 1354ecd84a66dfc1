"""Leads given one after another: whose turn it is, who has least for the weight or least to do, or who is worth most for this one.

The last is the sequential stochastic assignment problem (Derman, Lieberman and Ross 1972, "A sequential stochastic assignment problem",
Management Science 18): fairness leaves a lead the reps who are due, each of whom gets one before the first gets another; whom to take
for this one depends on what leads are likely to come for the rest. A rep's place is worth the rep's quality times the expected size of
the lead that would take it, E[min(max(X, a), b)] with the thresholds a and b of one lead fewer.
"""

from __future__ import annotations

import numpy as np

from salesml.planning.routing_board import Board, Drawn
from salesml.planning.routing_fairness import NOBODY, load

FEWEST_AHEAD = 5
"""Leads to come below which nothing is kept for them."""


def one_by_one(
    made: Board, policy: str, rng: np.random.Generator, *, fair: bool = True, explore: float = 0.0, ahead: np.ndarray | None = None
) -> Drawn:
    """Give the leads of the board to reps one after another.

    Leads are given in the order of the board. ahead: values (leads × reps, NaN where a rep may not) of leads like those to come, for
    policy `optimal`; `explore`: the chance with which it draws any of the reps that fairness leaves.
    """
    new = np.zeros(len(made.reps), dtype="int64")
    waited, workload = made.waited, made.reps["workload"].to_numpy("float64")
    turn = max(waited.max(initial=0.0), 0.0)
    chosen, propensity = np.full(len(made.leads), NOBODY), np.full(len(made.leads), np.nan)
    planned = chosen.copy()
    for row in range(len(made.leads)):
        may = np.flatnonzero(made.eligible[row] & (new < made.capacity))
        if not len(may):
            continue
        loads = load(made.held[may] + new[may], made.weight[may])
        if policy == "optimal":
            due = may[loads == loads.min()] if fair else may
            bids = made.values[row, due] + kept_places(due, ahead if fair else None)
            best = int(np.lexsort((waited[due], -bids))[0])
            chances = explore / len(due) + (1 - explore) * (np.arange(len(due)) == best)
        else:
            key = waited[may] if policy == "round_robin" else loads if policy == "weighted" else workload[may] + new[may]
            due = may[key == key.min()]
            chances, best = np.full(len(due), 1 / len(due)), -1
        drawn = int(rng.choice(len(due), p=chances)) if len(due) > 1 else 0
        chosen[row], planned[row], propensity[row] = due[drawn], due[drawn if best < 0 else best], chances[drawn]
        turn += 1
        new[due[drawn]] += 1
        waited[due[drawn]] = turn
    return Drawn(chosen, planned, propensity)


def kept_places(due: np.ndarray, ahead: np.ndarray | None) -> np.ndarray:
    """What the places of the other reps are expected to bring if this lead takes the rep's, one per rep of `due`."""
    places = len(due)
    rows = np.empty((0, places)) if ahead is None else ahead[:, due]
    rows = rows[np.isfinite(rows).any(axis=1)]
    if places < 2 or len(rows) < FEWEST_AHEAD:
        return np.zeros(places)
    size = np.nanmean(rows, axis=1)
    rows, size = rows[size > 0], size[size > 0]
    if len(size) < FEWEST_AHEAD:
        return np.zeros(places)
    ratio = rows / size[:, None]
    known = np.isfinite(ratio)
    quality = np.where(known, ratio, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = np.argsort(quality, kind="stable")
    sizes = expected_sizes(np.sort(size), places - 1)
    ranked = quality[order]
    below = np.r_[0.0, np.cumsum(ranked[:-1] * sizes)]  # places of lesser reps keep their rank
    above = np.r_[np.cumsum((ranked[1:] * sizes)[::-1])[::-1], 0.0]  # those of better ones move down one
    found = np.empty(places)
    found[order] = below + above
    return found


def expected_sizes(size: np.ndarray, places: int) -> np.ndarray:
    """Expected size of the lead that the least, the second, … of `places` reps will get, one lead coming for each; `size` sorted."""
    sums = np.r_[0.0, np.cumsum(size)]

    def least(bound: np.ndarray) -> np.ndarray:
        """E[min(X, bound)]."""
        below = np.searchsorted(size, bound)
        return (sums[below] + bound * (len(size) - below)) / len(size)

    thresholds = np.array([sums[-1] / len(size)])
    for _ in range(places - 1):
        inner = least(thresholds)
        thresholds = np.r_[inner, sums[-1] / len(size)] - np.r_[0.0, inner - thresholds]
    return thresholds[:places]
