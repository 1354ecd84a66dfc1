"""The distribution of a batch of leads that brings most among the fair ones: a min-cost flow, proven optimal.

Three aims, each counting only among equals in the one before: as many leads as possible are given; loads are balanced, so that
`routing_fairness.unfair` finds nothing; the sum of values is greatest. A rep's places are taken in the order of their load; counts that
can be reached form the bases of a polymatroid, and there the least sum of costs that rise with the load is the same whatever the costs
are, as long as they rise (Edmonds 1970): so the rank of a load is its cost, and ranks weigh more than any exchange of values could.

Few of all lead × rep arcs are ever needed. The flow is solved on some (OR-Tools, Goldberg's cost scaling), the prices of the reps that
go with it are worked out by Bellman and Ford on a graph of reps, and every arc left out is asked whether it would pay at these prices;
those that would are added. None left: the flow is optimal among all arcs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ortools.graph.python import min_cost_flow

from salesml.planning.routing_fairness import NOBODY, load

WHOLE = 200_000
"""Arcs up to which all are taken from the start."""
FIRST_ARCS, MORE_ARCS, PRUNED_ROUNDS = 16, 8, 3
FINEST, MOST_COST = 10**8, 2**61
FAR = np.int64(1) << 61


@dataclass(frozen=True)
class Flow:
    """The rep of each lead (-1: nobody), the sum of values, and a bound of what it may lack to the best, as a share: rounding alone."""

    chosen: np.ndarray
    value: float
    gap: float


@dataclass(frozen=True)
class _Costs:
    """Whole numbers, the last rep being nobody: of each arc (leads × reps), of each place of a rep in order, of having nobody."""

    arcs: np.ndarray
    places: list[np.ndarray]
    nobody: int
    unit: float


def best_fair(
    values: np.ndarray, eligible: np.ndarray, capacity: np.ndarray, held: np.ndarray, weight: np.ndarray, fair: bool = True
) -> Flow:
    """Give leads (rows of `values` and `eligible`) to reps (columns); by rep capacity, held and weight as `unfair` has them.

    `fair` False: only as many as possible, then the greatest value.
    """
    chosen = np.full(len(values), NOBODY)
    able = eligible & (capacity > 0)
    rows = np.flatnonzero(able.any(axis=1))
    if not len(rows):
        return Flow(chosen, 0.0, 0.0)
    values, able = values[rows], able[rows]
    most = np.minimum(capacity, able.sum(axis=0))
    places = _first_places(able, most, held, weight) if fair else most
    found, unit = _solved(values, able, most, places, held, weight, fair)
    given = found < values.shape[1]
    chosen[rows[given]] = found[given]
    total = float(values[given, found[given]].sum())
    return Flow(chosen, total, unit * int(given.sum()) / total if total else 0.0)


def _solved(
    values: np.ndarray, able: np.ndarray, most: np.ndarray, places: np.ndarray, held: np.ndarray, weight: np.ndarray, fair: bool
) -> tuple[np.ndarray, float]:
    """The rep of each lead (the number of reps: nobody) and the unit that values were rounded to."""
    able = np.column_stack([able, np.ones(len(able), dtype=bool)])
    on = able.copy() if able.size <= WHOLE else _some(able)
    costs, turn = _costs(values, most, places, held, weight, fair), 0
    while True:
        found = _flow(on, costs, places)
        price = _prices(on, costs, found, places)
        each = np.arange(len(found))
        over = costs.arcs + price - (costs.arcs[each, found] + price[found])[:, None]
        paying = able & ~on & (over < 0)
        short = _short(costs, found, price, places, most)
        if not paying.any() and not short.any():
            return found, costs.unit
        if turn < PRUNED_ROUNDS and on.size > WHOLE:
            on &= _least(np.where(on, over, FAR), FIRST_ARCS)
        on |= paying & _least(np.where(paying, over, FAR), MORE_ARCS)
        on[each, found] = on[:, -1] = True
        if short.any():
            places = np.where(short, np.minimum(2 * places + 1, most), places)
            costs = _costs(values, most, places, held, weight, fair)
        turn += 1


def _costs(values: np.ndarray, most: np.ndarray, places: np.ndarray, held: np.ndarray, weight: np.ndarray, fair: bool) -> _Costs:
    """Costs of arcs and places; a rep's places are those in the network and, for asking whether it would pay, the next one."""
    leads, reps = values.shape
    counts = [np.arange(min(places[rep] + 1, most[rep])) for rep in range(reps)]
    loads = [load(held[rep] + counts[rep], weight[rep]) if fair else np.zeros(len(counts[rep])) for rep in range(reps)]
    levels = np.unique(np.concatenate(loads))
    finest = min(FINEST, MOST_COST // ((reps + 3) * (len(levels) + 2) * (leads + reps + 4)))
    unit = values.max() / finest if values.max() > 0 else 1.0
    arcs = np.zeros((leads, reps + 1), dtype="int64")
    arcs[:, :reps] = -np.rint(values / unit)
    rank = (reps + 3) * finest + 1  # more than exchanges along any path of reps can gain
    return _Costs(arcs, [rank * np.searchsorted(levels, one) for one in loads], rank * (len(levels) + 1), unit)


def _flow(on: np.ndarray, costs: _Costs, places: np.ndarray) -> np.ndarray:
    leads, reps = on.shape
    row, rep = np.nonzero(on)
    network = min_cost_flow.SimpleMinCostFlow()
    arcs = network.add_arcs_with_capacity_and_unit_cost(row, leads + rep, np.ones(len(row), "int64"), costs.arcs[row, rep])
    owner = np.repeat(np.arange(reps - 1), places)
    cost = np.concatenate([one[:count] for one, count in zip(costs.places, places, strict=True)])
    begins = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (cost[1:] != cost[:-1])][: len(owner)])
    count = np.diff(np.r_[begins, len(owner)])
    sink = np.full(len(begins), leads + reps)
    network.add_arcs_with_capacity_and_unit_cost(leads + owner[begins], sink, count, cost[begins])
    network.add_arc_with_capacity_and_unit_cost(leads + reps - 1, leads + reps, leads, costs.nobody)
    supply = np.concatenate([np.ones(leads, "int64"), np.zeros(reps, "int64"), [-leads]])
    network.set_nodes_supplies(np.arange(leads + reps + 1), supply)
    status = network.solve()
    if status != network.OPTIMAL:
        raise RuntimeError(f"the flow ended as {status}")
    used = network.flows(arcs) > 0
    found = np.empty(leads, dtype="int64")
    found[row[used]] = rep[used]
    return found


def _prices(on: np.ndarray, costs: _Costs, found: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What one more lead costs with each rep: the place itself, or passing one on; the greatest prices that fit the flow."""
    reps = on.shape[1]
    new = np.bincount(found, minlength=reps)
    price = np.full(reps, FAR)
    for rep in np.flatnonzero(new[:-1] < places):
        price[rep] = costs.places[rep][new[rep]]
    price[-1] = costs.nobody
    passing = np.full((reps, reps), FAR)
    order = np.argsort(found, kind="stable")
    first = np.searchsorted(found[order], np.arange(reps + 1))
    for rep in np.flatnonzero(new):
        mine = order[first[rep] : first[rep + 1]]
        passing[rep] = np.where(on[mine], costs.arcs[mine] - costs.arcs[mine, rep][:, None], FAR).min(axis=0)
    for _ in range(reps + 1):
        lower = np.minimum(price, (passing + price).min(axis=1))
        if (lower == price).all():
            return price
        price = lower
    raise RuntimeError("the flow can be bettered")


def _short(costs: _Costs, found: np.ndarray, price: np.ndarray, places: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Reps whose next place, which the network does not have yet, would pay."""
    new = np.bincount(found, minlength=len(price))[:-1]
    short = (new == places) & (places < most)
    for rep in np.flatnonzero(short):
        short[rep] = costs.places[rep][places[rep]] < price[rep]
    return short


def _first_places(able: np.ndarray, most: np.ndarray, held: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """How many places of each rep the network begins with: up to the highest load at which leads given one by one leave nobody out."""
    new = np.zeros(len(held), dtype="int64")
    highest = -1.0
    for row in able:
        loads = np.where(row & (new < most), load(held + new, weight), np.inf)
        rep = int(loads.argmin())
        if loads[rep] < np.inf:
            highest = max(highest, float(loads[rep]))
            new[rep] += 1
    return np.clip(np.floor(highest * weight + 0.5 + 1e-6).astype("int64") - held, 0, most)


def _some(able: np.ndarray) -> np.ndarray:
    """A few arcs of each lead, drawn by lot, and nobody."""
    drawn = np.random.default_rng(0).random(able.shape, dtype="float32")
    on = able & _least(np.where(able, drawn, 2.0), FIRST_ARCS)
    on[:, -1] = True
    return on


def _least(of: np.ndarray, count: int) -> np.ndarray:
    """Marks the `count` least of each row."""
    marks = np.zeros(of.shape, dtype=bool)
    marks[np.arange(len(of))[:, None], np.argpartition(of, min(count, of.shape[1] - 1), axis=1)[:, :count]] = True
    return marks
