"""Optimistic, realistic and pessimistic: joint scenarios of all levels that add up, read off the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salesml.analytics.quarter import COMPANY, LEVELS

NAMES = ("pessimistic", "realistic", "optimistic")
AT = (0.1, 0.5, 0.9)
HALF_BAND = 0.025


def joint_scenarios(
    cells: pd.DataFrame, won: np.ndarray, company: tuple[np.ndarray, np.ndarray], growth: np.ndarray, nodes: pd.DataFrame
) -> pd.DataFrame:
    """The company's 10th, 50th and 90th percentile, and what regions, teams and reps bring when it comes so.

    cells: region, team, rep ("" where missing), booked, share; won: draws by cell; company: draws of what it brings and of what it has
    from elsewhere; growth: by cell, the relative change of the latter where it is above 0; nodes: level, name, label. Grain: one row
    per level and name: label, pessimistic, realistic, optimistic (currency), expected; revenue of no team or rep has a row of its own
    (name missing), so that each level adds up to the company. Each scenario is a weighted mean of the draws within 2.5 % of ranks to
    either side, weighted so that the company's is its percentile: regions are not each at a percentile of their own, which would
    not add up. What comes from elsewhere is the company's, shared out by `share`.
    """
    rest = company[1]
    grown = float(cells["share"].to_numpy() @ growth) * np.maximum(rest, 0.0)
    landing = company[0] + rest + grown
    weights = np.stack([*(band_weights(landing, at) for at in AT), np.full(len(landing), 1 / len(landing))])
    elsewhere = weights @ rest + np.outer(growth, weights @ np.maximum(rest, 0.0))
    values = cells["booked"].to_numpy("float64")[:, None] + _weighted(won, weights) + cells["share"].to_numpy()[:, None] * elsewhere
    by_cell = pd.DataFrame(values, columns=[*NAMES, "expected"])
    labels = {(row["level"], row["name"]): row["label"] for row in nodes.to_dict("records")}
    parts = []
    for level in LEVELS:
        names = pd.Series(COMPANY, cells.index) if level == COMPANY else cells[level]
        sums = by_cell.assign(name=names.to_numpy()).groupby("name").sum().reset_index()
        told = [labels.get((level, name), name) if name else f"(no {level})" for name in sums["name"]]
        parts.append(sums.assign(level=level, label=told, name=sums["name"].replace("", None)))
    found = pd.concat(parts, ignore_index=True)
    return found[["level", "name", "label", *NAMES, "expected"]]


def _weighted(won: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means by cell, the draws that weigh nothing left out."""
    return np.stack([won[:, used] @ row[used] for row, used in zip(weights, weights != 0, strict=True)], axis=1)


def band_weights(landing: np.ndarray, at: float) -> np.ndarray:
    """Weights of draws (sum 1) within 2.5 % of ranks around a percentile, with which the mean of `landing` is that percentile."""
    order, n = np.argsort(landing, kind="stable"), len(landing)
    first = int(np.clip(round((at - HALF_BAND) * n), 0, n - 1))
    last = int(np.clip(round((at + HALF_BAND) * n), first + 1, n))
    band = order[first:last]
    values, wanted = landing[band], np.quantile(landing, at)
    off = values - values.mean()
    spread = float(off @ off) / len(band)
    tilt = (wanted - values.mean()) / spread if spread > 0 else 0.0
    weights = np.zeros(n)
    weights[band] = (1 + tilt * off) / len(band)
    return weights
