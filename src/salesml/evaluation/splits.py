"""Blocks of rows to train on, to calibrate on and to judge on: by time, or by a seeded hash of the entity."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SHARES = (0.65, 0.15, 0.20)  # train, calibration, test


@dataclass(frozen=True)
class Blocks:
    """Row positions of the three blocks, each in time order (in hash order where there is no time)."""

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray


def by_time(times: pd.Series, entities: np.ndarray | None = None, shares: tuple[float, ...] = SHARES) -> Blocks:
    """Earliest rows train, latest test; rows of one instant stay in one block.

    Rows of an entity that is also found in a later block are left out of the earlier one, so that no entity is in two.
    """
    order = np.argsort(times.to_numpy(), kind="stable")
    ranks = times.rank(method="min").to_numpy()[order] - 1  # of equal times the first: ties fall together
    edges = np.cumsum(shares)[:-1] * len(order)
    block = np.searchsorted(edges, ranks, side="right")
    parts = [order[block == number] for number in range(3)]
    if entities is not None:
        later: set[int] = set(entities[parts[2]])
        for number in (1, 0):
            kept = ~np.isin(entities[parts[number]], list(later))
            later |= set(entities[parts[number]])
            parts[number] = parts[number][kept]
    return Blocks(*parts)


def by_hash(keys: pd.Series, entities: np.ndarray, seed: int, shares: tuple[float, ...] = SHARES) -> Blocks:
    """Rows of one entity in one block, by a hash of seed and the entity's smallest key; the order of rows is free."""
    smallest = keys.astype(str).groupby(entities).min()
    chance = {entity: _uniform(f"{seed}:{key}") for entity, key in smallest.items()}
    drawn = np.array([chance[entity] for entity in entities])
    order = np.argsort(drawn, kind="stable")
    block = np.searchsorted(np.cumsum(shares)[:-1], drawn[order], side="right")
    return Blocks(*(order[block == number] for number in range(3)))


def entities_of(*memberships: np.ndarray) -> np.ndarray:
    """Entity of each row: rows that share a code in any of the memberships belong together (connected components)."""
    rows = len(memberships[0])
    sources, targets, offset = [], [], rows
    for codes in memberships:
        sources.append(np.arange(rows))
        targets.append(offset + codes)
        offset += int(codes.max()) + 1 if rows else 0
    edges = (np.ones(rows * len(memberships)), (np.concatenate(sources), np.concatenate(targets)))
    return connected_components(coo_matrix(edges, shape=(offset, offset)), directed=False)[1][:rows]


def _uniform(text: str) -> float:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
