"""Which columns of a closed-row table look as if they were filled in after the outcome was known.

A screen cannot prove a leak; it judges by time (a date later than the row's) and by how well one column alone tells
the outcome on rows held out. What it flags with a shuffled outcome are false alarms, and they are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

Verdict = Literal["strong", "moderate", "clear"]

FOLDS = 5
NUMBER_BINS = 50
MOST_LEVELS = 1000
DECISIVE_AUC = 0.99  # one column that ranks nearly every pair of rows right
DECISIVE_SHARE = 0.85  # one column that removes so much of the base rate's log loss
UNUSUAL_SHARE = 0.2  # honest columns rarely tell so much alone
LATER_SHARE = 0.01  # of the rows: more dates than this after the row's own time are no typing errors
CHANCE = 1e-6
SHUFFLES = 20
COLUMNS = ["column", "auc", "explained", "verdict", "reason"]


@dataclass(frozen=True)
class Screen:
    """What was found: `false_alarms` of `tried` screenings of a column against a shuffled outcome were flagged.

    `columns` has one row per column: auc and explained (share of the base rate's log loss removed) of the column alone
    on rows held out, verdict and reason.
    """

    columns: pd.DataFrame
    false_alarms: int
    tried: int

    def flagged(self, verdict: Verdict) -> list[str]:
        """Names of the columns with that verdict."""
        return self.columns.loc[self.columns["verdict"] == verdict, "column"].tolist()


def screen(
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    days_after: Mapping[str, np.ndarray] | None = None,
    entities: np.ndarray | None = None,
    seed: int = 0,
) -> Screen:
    """Screen every column of X. `days_after`: for columns that are dates, how many days they lie after the row's time.

    strong: later than the row's time, or all but decides the outcome, or is filled in for one outcome only.
    moderate: unusually telling alone; it may be an honest strong column, so it is for its owner to say.
    """
    entities = np.arange(len(X)) if entities is None else pd.factorize(entities)[0]
    rng = np.random.default_rng(seed)
    folds = rng.integers(0, FOLDS, int(entities.max()) + 1)[entities]
    names, later = [str(name) for name in X.columns], days_after or {}
    cells = {name: _cells(X[name]) for name in names}
    missing = {name: X[name].isna().to_numpy() for name in names}

    def judge(name: str, outcomes: np.ndarray, days: np.ndarray | None) -> dict[str, object]:
        auc, explained = _alone(cells[name], outcomes, folds)
        verdict, reason = _judged(auc, explained, missing[name], outcomes, days)
        return {"column": name, "auc": auc, "explained": explained, "verdict": verdict, "reason": reason}

    table = pd.DataFrame([judge(name, y, later.get(name)) for name in names], columns=COLUMNS)
    alarms = 0
    for _ in range(SHUFFLES):
        shuffled = y[rng.permutation(len(y))]
        judged = [judge(name, shuffled, None) for name in names]
        alarms += sum(row["verdict"] != "clear" for row in judged)
    return Screen(table, alarms, SHUFFLES * len(names))


def _cells(column: pd.Series) -> np.ndarray:
    """The column as codes: 50 equal-count ranges of a number, the most frequent values of a text; missing is one."""
    if _is_number(column) and column.nunique() > NUMBER_BINS:
        ranges = pd.qcut(column.astype("float64"), NUMBER_BINS, labels=False, duplicates="drop")
        return ranges.fillna(-1).to_numpy(dtype="int64") + 1
    codes = pd.factorize(column)[0] + 1
    counts = np.bincount(codes)
    common = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
    lookup = np.full(len(counts), len(common))
    lookup[common] = np.arange(len(common))
    return lookup[codes]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _alone(cells: np.ndarray, y: np.ndarray, folds: np.ndarray) -> tuple[float, float]:
    """AUC, and share of the base rate's log loss removed, of the rate per cell learned on the other folds."""
    size = int(cells.max()) + 1
    place = folds * size + cells
    total = np.bincount(place, minlength=FOLDS * size).reshape(FOLDS, size).astype("float64")
    positive = np.bincount(place, y, FOLDS * size).reshape(FOLDS, size)
    base = (positive.sum() + 0.5) / (total.sum() + 1)
    rest, rest_positive = total.sum(axis=0) - total, positive.sum(axis=0) - positive
    rate = ((rest_positive + 2 * base) / (rest + 2)).ravel()
    won, lost = positive.ravel(), (total - positive).ravel()
    loss = -(won @ np.log(rate) + lost @ np.log(1 - rate)) / total.sum()
    entropy = -(base * np.log(base) + (1 - base) * np.log(1 - base))
    ties = np.unique(rate, return_inverse=True)[1]
    p, n = np.bincount(ties, won), np.bincount(ties, lost)
    below, pairs = np.cumsum(n) - n, p.sum() * n.sum()
    return (float(p @ (below + n / 2) / pairs), float(1 - loss / entropy)) if pairs else (0.5, 0.0)


def _judged(
    auc: float, explained: float, missing: np.ndarray, y: np.ndarray, days_after: np.ndarray | None
) -> tuple[Verdict, str]:
    """The verdict from time, from separation, and from being filled in for one outcome only."""
    if days_after is not None:
        known = days_after[np.isfinite(days_after)]
        after = known[known > 0]
        if len(after) > LATER_SHARE * len(known):
            share, median = len(after) / len(known), np.median(after)
            return "strong", f"{share:.0%} of its dates lie after the row's time, by {median:.0f} days (median)"
    if auc >= DECISIVE_AUC or explained >= DECISIVE_SHARE:
        return "strong", f"alone it all but decides the outcome (AUC {auc:.3f} on rows held out)"
    for part, word in ((~missing, "filled in"), (missing, "empty")):
        rows, positives, base = int(part.sum()), int(y[part].sum()), float(y.mean())
        if 0 < rows < len(y) and positives in (0, rows):
            chance = base**rows if positives else (1 - base) ** rows
            if chance < CHANCE:
                return "strong", f"{word} in {rows:,} rows, all of them with outcome {int(positives > 0)}"
    if explained >= UNUSUAL_SHARE:
        return "moderate", f"alone it removes {explained:.0%} of the log loss, which is unusual"
    return "clear", ""
