"""Baselines: one rate for all, or one rate per group shrunk toward it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import betaln, logit
from scipy.stats import beta

from salesml.errors import NotEnoughData
from salesml.models.columns import level_codes, levels_of, select
from salesml.models.scorer import read_model, write_model

Calibration = tuple[pd.DataFrame, np.ndarray]


class BaseRate:
    """The share of outcomes in all training and calibration rows, for everybody; (k + ½) / (n + 1), so never 0 or 1."""

    kind = "base_rate"
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    def __init__(self, positives: float, total: float) -> None:
        """`total` counts entities; `positives` of them had the outcome (fractional where some have several rows)."""
        self.positives, self.total = positives, total
        self.rate = (positives + 0.5) / (total + 1)

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        calibration: Calibration | None = None,
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
    ) -> BaseRate:
        """Count. `groups` name the entity of each row: the rate is over rows, its certainty over entities."""
        outcomes, entities = _all_rows(y, calibration, groups, calibration_groups)
        total = float(len(np.unique(entities)))
        return cls(float(outcomes.mean() * total), total)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The rate, once per row."""
        return np.full(len(X), self.rate)

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Jeffreys interval of the rate (Brown, Cai and DasGupta 2001)."""
        lo, hi = beta_interval(np.array([self.positives]), np.array([self.total]), 0.5, 0.5, level)
        return np.full(len(X), min(lo[0], self.rate)), np.full(len(X), max(hi[0], self.rate))

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The rate's log-odds and no effects."""
        return float(logit(self.rate)), pd.DataFrame(index=X.index)

    def save(self, folder: Path) -> None:
        """Write model.json."""
        content = {"features": [], "categorical": [], "positives": self.positives, "total": self.total}
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> BaseRate:
        """Read what `save` wrote."""
        content = read_model(folder, cls.kind)
        return cls(content["positives"], content["total"])


class GroupRate:
    """The share of outcomes per value of one column (a stage, say), shrunk toward the base rate.

    rate = (k + strength · base) / (n + strength), with the strength that makes the groups' counts most likely under a
    beta-binomial (empirical Bayes). Values never seen, and rare ones, share one rate.
    """

    kind = "group_rate"

    def __init__(
        self,
        column: str,
        levels: Sequence[str],
        positives: Sequence[float] | np.ndarray,
        totals: Sequence[float] | np.ndarray,
        base: float,
        strength: float,
    ) -> None:
        """`positives` of `totals` per level of `column`, `base` rate and `strength` of the prior in entities."""
        self.features = self.categorical = (column,)
        self.levels = tuple(levels)
        self.positives, self.totals = np.asarray(positives, dtype="float64"), np.asarray(totals, dtype="float64")
        self.base, self.strength = base, strength
        self.rates = (self.positives + strength * base) / (self.totals + strength)

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        column: str,
        calibration: Calibration | None = None,
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
    ) -> GroupRate:
        """Count per value of `column`; rows of one entity in one level count once, with their mean outcome."""
        outcomes, entities = _all_rows(y, calibration, groups, calibration_groups)
        values = select(X, [column])[column]
        if calibration is not None:
            values = pd.concat([values, select(calibration[0], [column])[column]], ignore_index=True)
        levels = levels_of(values)
        frame = pd.DataFrame({"level": level_codes(values, levels), "entity": entities, "y": outcomes})
        per_entity = frame.groupby(["level", "entity"])["y"].mean()
        counted = per_entity.groupby("level").agg(["sum", "count"]).reindex(range(len(levels)), fill_value=0)
        base = (float(outcomes.mean()) * len(outcomes) + 0.5) / (len(outcomes) + 1)
        positives, totals = counted["sum"].to_numpy(dtype=float), counted["count"].to_numpy(dtype=float)
        return cls(column, levels, positives, totals, base, _prior_strength(positives, totals, base))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The shrunk rate of each row's value."""
        return self.rates[self._codes(X)]

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Posterior interval of the value's rate, prior strength and base taken as known."""
        a, b = self.strength * self.base, self.strength * (1 - self.base)
        lo, hi = beta_interval(self.positives, self.totals, a, b, level)
        codes = self._codes(X)
        return np.minimum(lo, self.rates)[codes], np.maximum(hi, self.rates)[codes]

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The base rate's log-odds, and how far the value's rate is from it."""
        effects = logit(self.predict(X)) - logit(self.base)
        return float(logit(self.base)), pd.DataFrame({self.features[0]: effects}, index=X.index)

    def save(self, folder: Path) -> None:
        """Write model.json."""
        content = {
            "features": list(self.features),
            "categorical": list(self.categorical),
            "levels": list(self.levels),
            "positives": self.positives.tolist(),
            "totals": self.totals.tolist(),
            "base": self.base,
            "strength": self.strength,
        }
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> GroupRate:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        return cls(c["features"][0], c["levels"], c["positives"], c["totals"], c["base"], c["strength"])

    def _codes(self, X: pd.DataFrame) -> np.ndarray:
        return level_codes(select(X, self.features)[self.features[0]], self.levels)


def together(
    X: pd.DataFrame,
    y: np.ndarray,
    calibration: Calibration | None,
    groups: np.ndarray | None,
    calibration_groups: np.ndarray | None,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Frame, outcomes and entity codes of training and calibration rows together; NotEnoughData where there is none."""
    outcomes, entities = _all_rows(y, calibration, groups, calibration_groups)
    parts = [X] if calibration is None else [X, select(calibration[0], list(map(str, X.columns)))]
    return pd.concat(parts, ignore_index=True), outcomes, entities


def _all_rows(
    y: np.ndarray, calibration: Calibration | None, groups: np.ndarray | None, calibration_groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and entity codes of training and calibration rows together; NotEnoughData where there is none."""
    later = np.asarray([] if calibration is None else calibration[1], dtype="float64")
    outcomes = np.concatenate([np.asarray(y, dtype="float64"), later])
    if not len(outcomes):
        raise NotEnoughData("no row with a known outcome; at least 1 is needed for a base rate.")
    entities: list[object] = []
    for part, size, prefix in ((groups, len(y), "train"), (calibration_groups, len(later), "calibration")):
        entities += [(prefix, i) for i in range(size)] if part is None else list(np.asarray(part, dtype=object))
    return outcomes, pd.factorize(pd.Series(entities, dtype=object))[0]


def _prior_strength(positives: np.ndarray, totals: np.ndarray, base: float) -> float:
    """The beta-binomial prior strength (entities) of greatest likelihood, between 1 and 10,000."""

    def loss(log_strength: float) -> float:
        a, b = np.exp(log_strength) * base, np.exp(log_strength) * (1 - base)
        return -float(np.sum(betaln(positives + a, totals - positives + b) - betaln(a, b)))

    return float(np.exp(minimize_scalar(loss, bounds=(0.0, np.log(1e4)), method="bounded").x))


def beta_interval(
    positives: np.ndarray, totals: np.ndarray, a: float, b: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Central interval of rates after `positives` of `totals`, with a Beta(a, b) prior."""
    posterior = beta(positives + a, totals - positives + b)
    return posterior.ppf((1 - level) / 2), posterior.ppf((1 + level) / 2)
