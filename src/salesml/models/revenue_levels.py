"""Company and regions that add up: reconciliation of point forecasts, and rounding to cents without losing one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

CENT = Decimal("0.01")


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
