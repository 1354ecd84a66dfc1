"""Forecasts of a tree of any depth that add up: weighted least squares, never negative, with nodes that a person fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from salesml.errors import BadParameter

#: Fixed values that leave nothing free may miss their sum by this share.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Tree:
    """A hierarchy in which every parent is the sum of its children; several roots make a forest.

    `names`: one per node, in the order given; `parent` [N]: row of each node's parent, −1 for a root; `levels`: rows by
    depth, roots first.
    """

    names: tuple[str, ...]
    parent: np.ndarray
    levels: tuple[np.ndarray, ...]

    @property
    def leaves(self) -> np.ndarray:
        """Mask [N] of the nodes without children."""
        mask = np.ones(len(self.names), dtype=bool)
        mask[self.parent[self.parent >= 0]] = False
        return mask

    @property
    def depth(self) -> np.ndarray:
        """Steps from the root [N]."""
        found = np.zeros(len(self.names), dtype="int64")
        for depth, rows in enumerate(self.levels):
            found[rows] = depth
        return found

    def add_up(self, values: np.ndarray) -> np.ndarray:
        """Values [N, …] in which each parent is the sum of its children; what `values` holds for parents is ignored."""
        found = np.where(self.leaves.reshape(-1, *[1] * (values.ndim - 1)), values, 0.0)
        for rows in self.levels[:0:-1]:
            np.add.at(found, self.parent[rows], found[rows])
        return found


def tree(parents: Mapping[str, str | None]) -> Tree:
    """The tree in which each name has the given parent (None: a root).

    Raises BadParameter where there is no node, a parent is not itself a name, or nodes are their own ancestors.
    """
    if not parents:
        raise BadParameter("a hierarchy needs at least one node")
    names = tuple(parents)
    row = {name: at for at, name in enumerate(names)}
    for name, above in parents.items():
        if above is not None and above not in row:
            raise BadParameter(f"the parent {above!r} of {name!r} is not a node; give it a parent of its own, or None")
    parent = np.array([-1 if above is None else row[above] for above in parents.values()])
    levels, reached = [np.flatnonzero(parent < 0)], parent < 0
    while len(levels[-1]):
        below = np.flatnonzero(~reached & (parent >= 0) & reached[parent])
        reached[below] = True
        levels.append(below)
    if not reached.all():
        raise BadParameter(f"node {names[int(np.argmin(reached))]!r} is its own ancestor, or below a node that is")
    return Tree(names, parent, tuple(levels[:-1]))


def reconcile(
    nodes: Tree,
    forecasts: np.ndarray,
    variances: np.ndarray,
    fixed: Mapping[str, np.ndarray | float] | None = None,
    nonnegative: bool = True,
) -> np.ndarray:
    """Values [N, horizon] that add up and lie nearest to `forecasts` [N, horizon]: least sum of squared change / variance.

    `variances` [N] or [N, horizon] > 0, in the square of the forecasts' unit, say how freely a node moves. `fixed` names
    nodes that keep the given value, one or one a step (NaN: free there). Weighted least squares (Hyndman, Lee & Wang
    2016), solved up and down the tree. With `nonnegative` forecasts below 0 count as 0, and each parent's value is
    divided among its children by the same least squares at or above 0. Handing in values that already add up, with
    some nodes fixed, is an override: what is not fixed moves least.

    Raises BadParameter for values that are not finite, variances not above 0, an unknown fixed node, or fixed values
    that contradict each other.
    """
    centre, spread = _checked(nodes, forecasts, variances)
    held = _held(nodes, fixed or {}, centre.shape)
    is_fixed = np.isfinite(held)
    if nonnegative:
        centre = np.maximum(centre, 0.0)
        _refuse(nodes, is_fixed & (held < 0), "is fixed below 0")
    centre, spread = np.where(is_fixed, held, centre), np.where(is_fixed, 0.0, spread)
    low = np.where(is_fixed, held, 0.0 if nonnegative else -np.inf)
    _gather(nodes, centre, spread, low, is_fixed)
    values = np.maximum(centre, low)
    for rows in nodes.levels[1:]:
        values[rows] = _divide(nodes.parent[rows], values, centre[rows], spread[rows], low[rows])
    return values


def _checked(nodes: Tree, forecasts: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = np.asarray(forecasts, dtype="float64")
    if centre.ndim != 2 or len(centre) != len(nodes.names):
        raise BadParameter(f"forecasts of shape {centre.shape} are not one row for each of {len(nodes.names)} nodes")
    spread = np.asarray(variances, dtype="float64")
    spread = np.broadcast_to(spread[:, None] if spread.ndim == 1 else spread, centre.shape)
    _refuse(nodes, ~np.isfinite(centre), "has a forecast that is not a finite number")
    _refuse(nodes, ~(np.isfinite(spread) & (spread > 0)), "has a variance that is not a finite number above 0")
    return centre, spread


def _held(nodes: Tree, fixed: Mapping[str, np.ndarray | float], shape: tuple[int, ...]) -> np.ndarray:
    held = np.full(shape, np.nan)
    row = {name: at for at, name in enumerate(nodes.names)}
    for name, value in fixed.items():
        if name not in row:
            raise BadParameter(f"the fixed node {name!r} is not in the hierarchy")
        held[row[name]] = value
        _refuse(nodes, np.isinf(held), "is fixed at a value that is not finite")
    return held


def _refuse(nodes: Tree, wrong: np.ndarray, reason: str) -> None:
    if wrong.any():
        node, step = np.argwhere(wrong)[0]
        raise BadParameter(f"node {nodes.names[node]!r} {reason} (step {step + 1})")


def _gather(nodes: Tree, centre: np.ndarray, spread: np.ndarray, low: np.ndarray, is_fixed: np.ndarray) -> None:
    """From the leaves up, in place: each node's best value and variance given all below it, and the least it can be."""
    for rows in nodes.levels[:0:-1]:
        above, place = np.unique(nodes.parent[rows], return_inverse=True)
        below, below_spread, below_low = (_sums(place, part[rows], len(above)) for part in (centre, spread, low))
        own, own_spread, held = centre[above], spread[above], is_fixed[above]
        slack = TOLERANCE * np.maximum(np.abs(own), np.abs(below))
        wrong = np.zeros_like(is_fixed)
        wrong[above] = held & (own < below_low - slack)
        _refuse(nodes, wrong, "is fixed below the sum of what is fixed beneath it")
        wrong[above] = held & (below_spread == 0) & (np.abs(own - below) > slack)
        _refuse(nodes, wrong, "is fixed at another value than the sum of what is fixed beneath it")
        total = own_spread + below_spread
        free = ~held & (total > 0)
        divisor = np.where(free, total, 1.0)
        mixed = own * (below_spread / divisor) + below * (own_spread / divisor)
        centre[above] = np.where(held, own, np.where(free, mixed, below))
        spread[above] = np.where(free, own_spread * (below_spread / divisor), 0.0)
        low[above] = np.where(held, own, below_low)


def _divide(
    parent: np.ndarray, values: np.ndarray, centre: np.ndarray, spread: np.ndarray, low: np.ndarray
) -> np.ndarray:
    """Children [rows, horizon] at or above `low` that sum to their parents' values, nearest to `centre` (Michelot 1986)."""
    above, place = np.unique(parent, return_inverse=True)
    total, found = values[above], centre
    free = spread > 0
    while True:
        change = total - _sums(place, np.where(free, centre, np.where(spread > 0, low, centre)), len(above))
        room = _sums(place, np.where(free, spread, 0.0), len(above))
        step = (change / np.where(room > 0, room, 1.0))[place]
        found = np.where(free, centre + step * spread, np.where(spread > 0, low, centre))
        under = free & (found < low)
        if not under.any():
            return found
        free = free & ~under


def _sums(place: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    found = np.zeros((count, values.shape[1]))
    np.add.at(found, place, values)
    return found
