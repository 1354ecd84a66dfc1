"""Resampling by entity: rows of one deal, lead or customer are drawn together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd


def row_weights(rows: int, groups: np.ndarray | None, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """For each resample, how often every row is drawn: whole groups with replacement, single rows without groups."""
    codes = np.arange(rows) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    count = int(codes.max()) + 1 if rows else 0
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        yield drawn[codes].astype("float64")


def percentile_interval(values: np.ndarray | list[float], level: float = 0.9) -> tuple[float, float]:
    """The central `level` range of resampled values, those that are not finite left out; NaN where none is finite."""
    finite = np.asarray(values, dtype="float64")
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return (float("nan"), float("nan"))
    lo, hi = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)
