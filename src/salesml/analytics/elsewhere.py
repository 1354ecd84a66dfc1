"""What a quarter brings beside its open deals: expected of each level from past quarters, and shared out so that parts add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.analytics import quarter

LEAST_QUARTERS = 4
KEYS = ["region", "team", "rep"]


@dataclass(frozen=True)
class Elsewhere:
    """What a level's past quarters brought beside their open deals: `share` of trailing revenue, `variance` in proportion to it.

    own: by name, sums of other and trailing; weight: trailing of four mean quarters; least: the lowest seen, or 0. The variance is
    the level's, so that one small rep's quarter says little.
    """

    quarters: int
    share: float
    variance: float
    weight: float
    least: float
    own: dict[str, tuple[float, float]]

    def mean(self, name: str, trailing: float) -> float | None:
        """What a name is expected to have, before `draws` keeps it above `least`; None where that has none."""
        if self.quarters < LEAST_QUARTERS or not trailing > 0:
            return None
        other, before = self.own.get(name, (0.0, 0.0))
        return trailing * (other + self.weight * self.share) / (before + self.weight)

    def draws(self, name: str, trailing: float, draws: int = quarter.DRAWS, seed: int = 0) -> np.ndarray | None:
        """Draws of what a name will have from elsewhere than the open deals before the quarter ends; None below 4 past quarters.

        Expected is `trailing` of today (revenue of the half-year before, currency) × the share of the past, the name's own drawn towards
        the level's as if by four quarters more; Student's t with as many degrees of freedom as quarters less one, never below `least`.
        """
        mean = self.mean(name, trailing)
        if mean is None:
            return None
        drawn = np.random.default_rng(seed).standard_t(self.quarters - 1, draws)
        return np.maximum(mean + np.sqrt(self.variance * trailing * (1 + 1 / self.quarters)) * drawn, self.least)


def elsewhere(history: pd.DataFrame, level: str) -> Elsewhere:
    """A level's `Elsewhere`. history: one row per level, name and past quarter: other (currency), trailing (revenue of the half-year
    before, currency).
    """
    rows = history[(history["level"] == level) & (history["trailing"] > 0)]
    quarters = int(rows["quarter"].nunique())
    if quarters < LEAST_QUARTERS:
        return Elsewhere(quarters, 0.0, 0.0, 0.0, 0.0, {})
    share = rows["other"].sum() / rows["trailing"].sum()
    variance = ((rows["other"] - share * rows["trailing"]) ** 2 / rows["trailing"]).sum() / (len(rows) - 1)
    own = {str(name): (mine["other"].sum(), mine["trailing"].sum()) for name, mine in rows.groupby("name")}
    return Elsewhere(quarters, share, variance, LEAST_QUARTERS * rows["trailing"].mean(), min(rows["other"].min(), 0.0), own)


def shared_out(lately: pd.DataFrame, history: pd.DataFrame, known: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    """What the company has from elsewhere, shared out among its cells. Grain: one row per region, team and rep ("" where one is
    missing) with revenue in the past half-year (`lately`: region, team, rep, amount): trailing, other (both currency).

    From the company down to the reps each node's own expectation (`Elsewhere.mean`) is its weight among those beside it, so that a
    region's teams add up to the region. `known` nodes (level, name) keep the value given; what they leave is shared by the others.
    No row where the company's is not known.
    """
    rows = lately[KEYS].astype("object").fillna("").assign(trailing=lately["amount"].astype("float64").fillna(0.0))
    cells = rows.groupby(KEYS, as_index=False)["trailing"].sum().query("trailing > 0").reset_index(drop=True)
    trailing, whole = cells["trailing"].to_numpy("float64"), float(cells["trailing"].sum())
    past = {level: elsewhere(history, level) for level in quarter.LEVELS}
    company = known.get((quarter.COMPANY, quarter.COMPANY), past[quarter.COMPANY].mean(quarter.COMPANY, whole))
    if company is None:
        return cells.iloc[:0].assign(other=0.0)
    value, parents = company * trailing / whole, np.zeros(len(cells), dtype="int64")
    for depth, level in enumerate(KEYS, 1):
        names, sums = cells[level], cells.groupby(level)["trailing"].sum()
        part = trailing / names.map(sums).to_numpy("float64")
        given = names.map({name: money for (at, name), money in known.items() if at == level}).to_numpy("float64") * part
        of = {name: past[level].mean(name, money) for name, money in sums.items()}
        own = names.map(of).to_numpy("float64") * part
        weight = np.where(names.eq("") | np.isnan(own), value, np.maximum(own, 0.0))
        fixed = ~np.isnan(given)
        left = np.bincount(parents, value) - np.bincount(parents, np.where(fixed, given, 0.0))
        weights = np.bincount(parents, np.where(fixed, 0.0, weight))
        share = np.divide(np.maximum(left, 0.0), weights, out=np.zeros(len(weights)), where=weights > 0)
        value = np.where(fixed, given, weight * share[parents])
        parents = cells.groupby(KEYS[:depth], sort=False).ngroup().to_numpy()
    return cells.assign(other=value)


def by_node(cells: pd.DataFrame) -> pd.Series:
    """The `other` of cells by (level, name), the company among them; no entry without cells."""
    named = quarter.memberships(cells.replace("", None))
    return named.assign(other=cells["other"].to_numpy()[named["row"]]).groupby(["level", "name"])["other"].sum()


def at_mean(draws: np.ndarray, mean: float | None) -> np.ndarray:
    """Draws with the mean given, in proportion; as they are where there is none, or where theirs is not above 0."""
    return draws if mean is None or not draws.mean() > 0 else draws * (mean / draws.mean())
