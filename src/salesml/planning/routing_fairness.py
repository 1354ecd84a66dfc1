"""When a distribution of leads among reps is fair, as a predicate that anybody can check.

A rep's count is the leads of the last 30 days, those just given included; each rep is due a share in proportion to a weight. Rep a has too
many beside rep b if one lead passed from a to b brought them nearer to their shares: (n_a - 1/2) / w_a > (n_b + 1/2) / w_b. With equal
weights that is a difference of two leads or more; in general it is what Webster's apportionment rules out, the one that favours neither
large nor small shares (Balinski and Young 1982, "Fair Representation"). It is unfair only where something could be done about it: where
leads given now could be passed on, each to a rep who may take it, from a over others to b, and b has a place left.
"""

from __future__ import annotations

import numpy as np

DIGITS = 9
NOBODY = -1


def load(count: np.ndarray | int, weight: np.ndarray | float) -> np.ndarray:
    """(Leads + 1/2) over weight, rounded so that equal loads are equal numbers: who has least is next."""
    return np.round((np.asarray(count, dtype="float64") + 0.5) / weight, DIGITS)


def unfair(
    chosen: np.ndarray, eligible: np.ndarray, capacity: np.ndarray, held: np.ndarray, weight: np.ndarray
) -> list[tuple[int, int]]:
    """Pairs of reps (a, b) of which a has too many beside b, and leads could be passed on from a to b. Empty: it is fair.

    chosen: the rep of each lead given now (-1: nobody); eligible: leads × reps; by rep capacity (for leads given now), held (leads of
    the last 30 days before them, which stay where they are) and weight.
    """
    reps = len(held)
    new = np.bincount(chosen[chosen >= 0], minlength=reps)
    count = held + new
    reach = reachable(chosen, eligible, reps)
    fewer = load(count - 1, weight)[:, None] > load(count, weight)[None, :]
    wrong = reach & fewer & (new > 0)[:, None] & (new < capacity)[None, :]
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(wrong), strict=True)]


def wasted(chosen: np.ndarray, eligible: np.ndarray, capacity: np.ndarray) -> list[int]:
    """Leads that nobody has although, if others were passed on, somebody could take them. Empty: all that can be given are given."""
    reps = eligible.shape[1]
    new = np.bincount(chosen[chosen >= 0], minlength=reps)
    ends = reachable(chosen, eligible, reps) | np.eye(reps, dtype=bool)
    can = (ends & (new < capacity)[None, :]).any(axis=1)
    return [int(row) for row in np.flatnonzero(chosen < 0) if (eligible[row] & can & (capacity > 0)).any()]


def reachable(chosen: np.ndarray, eligible: np.ndarray, reps: int) -> np.ndarray:
    """Reps × reps: whether a lead can be passed on from one to the other, over any number of reps in between."""
    found = np.zeros((reps, reps), dtype=bool)
    for rep in np.unique(chosen[chosen >= 0]):
        found[rep] = eligible[chosen == rep].any(axis=0)
    while True:
        wider = found | ((found.astype("float32") @ found.astype("float32")) > 0)
        if (wider == found).all():
            return found
        found = wider
