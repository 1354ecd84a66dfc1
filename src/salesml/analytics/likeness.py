"""Past deals like this one, and what went with a step: shares won with and without it, honestly called an association."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

LIKE_DEALS = 50
LEAST_DEALS = 20
LEVEL = 0.9
Z = 1.959964


@dataclass(frozen=True)
class Alike:
    """Share won among the past deals most like one, with its 90 % interval (Wilson 1927); NaN below 20 deals."""

    deals: int
    won: int
    share: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Estimate:
    """A difference of shares (points of 1) with its 95 % interval."""

    estimate: float
    lo: float
    hi: float


def nearest(effects: np.ndarray, past_effects: np.ndarray, past: pd.DataFrame, most: int = LIKE_DEALS) -> pd.DataFrame:
    """The past deals nearest to one, each at its most comparable snapshot, the nearest first; adds `distance`.

    Likeness is that of the model: the distance of effects in log-odds, so what matters to the score matters here. `past`:
    opportunity_id, as_of, won, one row per row of past_effects; of equally near ones the latest snapshot counts.
    """
    distance = np.sqrt(((past_effects - effects) ** 2).sum(axis=1))
    found = past.assign(distance=distance.round(9)).sort_values(["as_of", "opportunity_id"], ascending=[False, True])
    found = found.sort_values("distance", kind="stable")
    return found.drop_duplicates("opportunity_id").head(most).reset_index(drop=True)


def alike(found: pd.DataFrame) -> Alike:
    """What became of the deals of `nearest`."""
    deals, won = len(found), int(found["won"].sum())
    if deals < LEAST_DEALS:
        return Alike(deals, won, float("nan"), float("nan"), float("nan"))
    interval = binomtest(won, deals).proportion_ci(LEVEL, method="wilson")
    return Alike(deals, won, won / deals, float(interval.low), float(interval.high))


def slope(treated: np.ndarray, outcome: np.ndarray, covariates: np.ndarray, groups: np.ndarray) -> Estimate:
    """Least-squares effect of a treatment with covariates held, 95 % interval robust to clusters (Liang & Zeger 1986)."""
    design = np.column_stack([treated, np.ones(len(treated)), covariates])
    bread = np.linalg.pinv(design.T @ design)
    coefficient = bread @ (design.T @ outcome)
    score = design * (outcome - design @ coefficient)[:, None]
    summed = np.zeros((int(groups.max()) + 1, design.shape[1]))
    np.add.at(summed, groups, score)
    error = float(np.sqrt((bread @ (summed.T @ summed) @ bread)[0, 0]))
    return Estimate(float(coefficient[0]), float(coefficient[0]) - Z * error, float(coefficient[0]) + Z * error)


@dataclass(frozen=True)
class Association:
    """What went with a step: distinct deals and shares won with and without it, and the adjusted difference."""

    deals_with: int
    share_with: float
    deals_without: int
    share_without: float
    difference: Estimate


def association(past: pd.DataFrame, taken: np.ndarray, effects: np.ndarray) -> Association | None:
    """Shares won of past snapshots after which a step was taken or not; None with fewer than 20 deals on either side.

    past: opportunity_id, won. Shares count each deal once a side. The difference holds what the model knows (effects, one row
    per snapshot) equal; what the model does not know stays in it.
    """
    sides = [past[taken].groupby("opportunity_id")["won"].first(), past[~taken].groupby("opportunity_id")["won"].first()]
    if min(map(len, sides)) < LEAST_DEALS:
        return None
    groups = pd.factorize(past["opportunity_id"])[0]
    varying = effects[:, effects.std(axis=0) > 0]
    found = slope(taken.astype("float64"), past["won"].to_numpy("float64"), varying, groups)
    return Association(len(sides[0]), float(sides[0].mean()), len(sides[1]), float(sides[1].mean()), found)
