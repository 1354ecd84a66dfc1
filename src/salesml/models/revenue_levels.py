"""Company and regions that add up: reconciliation of point forecasts, and rounding to cents without losing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from salesml.errors import BadParameter

CENT, NOTHING = Decimal("0.01"), Decimal("0.00")
REST = " (nobody's)"


def reconcile(forecasts: np.ndarray, parts: np.ndarray, whole: int, shares: np.ndarray) -> np.ndarray:
    """Forecasts [series, horizon] ≥ 0 whose `parts` (row numbers) sum to the row `whole`.

    The whole becomes the mean of its own forecast and the sum of its parts'; the parts are scaled to it in
    proportion, by `shares` (summing to 1) where all of them are 0. Proportional scaling keeps forecasts non-negative,
    which minimum-trace reconciliation does not.
    """
    if not len(parts):
        return forecasts
    result = forecasts.copy()
    bottom = forecasts[parts].sum(axis=0)
    total = (forecasts[whole] + bottom) / 2
    split = np.where(bottom > 0, forecasts[parts] / np.where(bottom > 0, bottom, 1.0), shares[:, None])
    result[parts] = split * total
    result[whole] = result[parts].sum(axis=0)
    return result


def round_to_cents(values: Sequence[float], total: float | Decimal | None = None) -> list[Decimal]:
    """Each value in whole cents, summing exactly to `total` in cents (None: the values' own sum), by largest remainder.

    Values and total are amounts ≥ 0 in one currency; raises ValueError where the total is more than a cent per value
    away from the sum.
    """
    exact = [Decimal(repr(float(value))) for value in values]
    whole = (sum(exact, Decimal(0)) if total is None else Decimal(str(total))).quantize(CENT, ROUND_HALF_EVEN)
    floors = [(value // CENT) * CENT for value in exact]
    short = int((whole - sum(floors, Decimal(0))) / CENT)
    if not 0 <= short <= len(exact):
        raise ValueError(f"values sum to {sum(exact, Decimal(0))}, not to {whole}")
    by_remainder = sorted(range(len(exact)), key=lambda at: (floors[at] - exact[at], at))
    for at in by_remainder[:short]:
        floors[at] += CENT
    return [value.quantize(CENT) for value in floors]


def with_rests(parents: Mapping[str, str | None], values: Mapping[str, float]) -> tuple[dict[str, str | None], dict[str, float]]:
    """A tree and its values with a node more below each parent whose children are less than it by over a cent each: nobody's part."""
    tree, amounts, sums, count = dict(parents), dict(values), dict[str, float](), dict[str, int]()
    for name, above in parents.items():
        if above is not None:
            sums[above], count[above] = sums.get(above, 0.0) + values[name], count.get(above, 0) + 1
    for above, total in sums.items():
        if values[above] - total > float(CENT) * count[above]:
            tree[above + REST], amounts[above + REST] = above, values[above] - total
    return tree, amounts


def held_by(parents: Mapping[str, str | None], fixed: Mapping[str, Decimal]) -> tuple[dict[str, Decimal], set[str]]:
    """The least that each node of a tree can be with some fixed, and the nodes that can be nothing else.

    Raises BadParameter where fixed nodes contradict each other.
    """
    order, below = _from_above(parents)
    least, settled = dict(fixed), set(fixed)
    for name in reversed(order):
        children = below.get(name, [])
        beneath = sum((least[child] for child in children), NOTHING)
        done = bool(children) and settled.issuperset(children)
        if name in fixed and (fixed[name] < beneath or (done and fixed[name] != beneath)):
            raise BadParameter(
                f"{name} is fixed at {fixed[name]:,.2f} and what is fixed beneath it at {beneath:,.2f} together; "
                "withdraw one of these overrides first (salesml override list)"
            )
        least.setdefault(name, beneath)
        settled |= {name} if done else set()
    return least, settled


def cents_of(parents: Mapping[str, str | None], values: Mapping[str, float], fixed: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Values of a tree that add up to a cent or so in whole cents that do exactly, `fixed` nodes as they are, none below 0.

    Raises as `held_by`.
    """
    (order, below), (least, settled) = _from_above(parents), held_by(parents, fixed)
    found = dict[str, Decimal]()
    for name in order:
        whole = found.setdefault(name, least[name] if name in settled else max(_cents(values[name]), least[name]))
        children = below.get(name, [])
        found |= {child: least[child] if child in settled else max(_cents(values[child]), least[child]) for child in children}
        short = whole - sum((found[child] for child in children), NOTHING)
        for child in sorted(set(children) - settled, key=lambda one: (least[one] - found[one], one)) if short else []:
            step = max(short, least[child] - found[child])
            found[child], short = found[child] + step, short - step
    return found


def _from_above(parents: Mapping[str, str | None]) -> tuple[list[str], dict[str, list[str]]]:
    """The nodes of a tree, each after its parent, and the children of each."""
    below: dict[str, list[str]] = {}
    order = [name for name, above in parents.items() if above is None]
    for name, above in parents.items():
        if above is not None:
            below.setdefault(above, []).append(name)
    for name in order:
        order.extend(below.get(name, []))
    return order, below


def _cents(value: float) -> Decimal:
    return Decimal(repr(max(float(value), 0.0))).quantize(CENT, ROUND_HALF_EVEN)
