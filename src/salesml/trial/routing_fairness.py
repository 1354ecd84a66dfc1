"""Random instances of routing, and how many of them break fairness: in a batch, and after each lead given alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from salesml.planning.routing_board import board
from salesml.planning.routing_fairness import unfair, wasted
from salesml.planning.routing_flow import best_fair
from salesml.planning.routing_turns import one_by_one

MOST_LEADS, MOST_REPS = 24, 6


def instance(rng: np.random.Generator, leads: int, reps: int) -> tuple[np.ndarray, ...]:
    """Values and who may take what (leads × reps), by rep capacity, leads held and weight; often plain, often with every obstacle."""
    may = rng.random((leads, reps)) < rng.choice([0.3, 0.6, 1.0])
    capacity = rng.integers(0, 2 + 2 * leads // reps, reps) if rng.random() < 0.5 else np.full(reps, leads)
    held = rng.integers(0, 5, reps) * int(rng.random() < 0.6)
    weight = rng.choice([0.5, 0.75, 1.0, 1.25, 2.0], reps) if rng.random() < 0.5 else np.ones(reps)
    return np.round(rng.lognormal(0, 1, (leads, reps)), 2), may, capacity, held, weight


def broken(seed: int, count: int) -> dict[str, int]:
    """How many of `count` instances were unfair or left out a lead that could be given; and how many were plain.

    batch: by the optimal policy at once. single: by the optimal policy one by one, looked at after each lead with a lot drawn. In plain
    ones (equal weights, anybody may take anything, no history, no limit) counts that differ by more than one lead break it too.
    """
    rng, found = np.random.default_rng(seed), {"instances": count, "plain": 0, "batch": 0, "single": 0}
    for _ in range(count):
        leads, reps = int(rng.integers(1, MOST_LEADS + 1)), int(rng.integers(1, MOST_REPS + 1))
        values, may, capacity, held, weight = instance(rng, leads, reps)
        plain = bool((weight == 1).all() and may.all() and (capacity == leads).all() and not held.any())
        chosen = best_fair(values, may, capacity, held, weight).chosen
        bad = unfair(chosen, may, capacity, held, weight) or wasted(chosen, may, capacity) or (plain and _apart(chosen, reps))
        people = pd.DataFrame({"owner_id": np.arange(reps).astype("str"), "capacity": capacity, "held": held, "weight": weight})
        made = replace(board(pd.DataFrame({"lead_id": np.arange(leads).astype("str")}), people, values), eligible=may)
        alone = one_by_one(made, "optimal", rng, explore=0.3, ahead=values).chosen
        found["plain"] += plain
        found["batch"] += bool(bad)
        wrong = any(_breaks(alone, lead, may, capacity, held, weight) for lead in range(leads))
        found["single"] += wrong or (plain and _apart(alone, reps))
    return found


def _breaks(chosen: np.ndarray, lead: int, may: np.ndarray, capacity: np.ndarray, held: np.ndarray, weight: np.ndarray) -> bool:
    """Whether the lead, those before it being given for good, went to a rep who had too many, or to nobody though somebody could."""
    before = np.bincount(chosen[:lead][chosen[:lead] >= 0], minlength=len(held))
    one, row, left = chosen[[lead]], may[[lead]], capacity - before
    return bool(unfair(one, row, left, held + before, weight) or wasted(one, row, left))


def _apart(chosen: np.ndarray, reps: int) -> bool:
    return bool(np.ptp(np.bincount(chosen, minlength=reps)) > 1)
