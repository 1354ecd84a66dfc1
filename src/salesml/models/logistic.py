"""Logistic regression on standardised numbers and one-hot categories, recalibrated on later rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from salesml.evaluation.bootstrap import row_weights
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import infer_categorical, level_codes, levels_of, numbers, require_classes, select
from salesml.models.scorer import read_model, write_model

CLIP = 5.0  # standard deviations: a value far outside the training range must not decide alone
RARE, RARE_SHARE = 20, 0.005  # a level with fewer training rows shares one coefficient with the other rare ones
MEMBERS = 10


@dataclass(frozen=True)
class Standard:
    """How one number is standardised; `gaps` tells whether it was ever missing, and so has a missing flag."""

    mean: float
    deviation: float
    gaps: bool


class Logistic:
    """An L2-penalised logistic regression whose effects are measured from the average training row."""

    kind = "logistic"

    def __init__(
        self,
        features: Sequence[str],
        standards: dict[str, Standard],
        levels: dict[str, tuple[str, ...]],
        centres: np.ndarray,
        coefficients: np.ndarray,
        pooled: float,
    ) -> None:
        """`coefficients`: one row a model (the main one first, then the bag), intercept first, already calibrated."""
        self.features = tuple(features)
        self.categorical = tuple(levels)
        self.standards, self.levels = standards, levels
        self.centres, self.coefficients, self.pooled = centres, coefficients, pooled

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        calibration: tuple[pd.DataFrame, np.ndarray],
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Logistic:
        """Fit on X, y and recalibrate on later rows; `groups` name the entity of each row, drawn whole for intervals.

        Raises NotEnoughData where either class is too rare, BadInput where `calibration` lacks a column.
        """
        outcomes = require_classes(y)
        names = infer_categorical(X) if categorical is None else tuple(categorical)
        standards = {str(name): _standard(numbers(X[name])) for name in X.columns if name not in names}
        least = max(RARE, int(RARE_SHARE * len(X)))
        levels = {name: levels_of(X[name], at_least=least) for name in names}
        blank = cls(tuple(map(str, X.columns)), standards, levels, np.zeros(0), np.zeros((1, 0)), 0.0)
        design = blank._design(X)
        centres = design.mean(axis=0)
        design, later = design - centres, blank._design(calibration[0]) - centres
        later_outcomes = np.asarray(calibration[1], dtype="float64")
        regression = LogisticRegression(C=1.0, solver="newton-cholesky", warm_start=True)
        rows = [_coefficients(regression, design, outcomes, later, later_outcomes, None, None)]
        train_draws = row_weights(len(design), groups, MEMBERS, seed)
        later_draws = row_weights(len(later), calibration_groups, MEMBERS, seed + 1)
        for weights, later_weights in zip(train_draws, later_draws, strict=True):
            if len(np.unique(outcomes[weights > 0])) == 2:
                rows.append(_coefficients(regression, design, outcomes, later, later_outcomes, weights, later_weights))
        coefficients = np.array(rows)
        pooled = pooled_variance(coefficients[1:, 1:] @ later.T + coefficients[1:, :1]) if len(rows) > 2 else 0.0
        return cls(blank.features, standards, levels, centres, coefficients, pooled)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Calibrated probability per row."""
        return expit(self._logits(self._centred(X))[0])

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the calibrated probability from refits to rows resampled by entity, calibration included."""
        logits = self._logits(self._centred(X))
        return bag_interval(logits[0], logits[1:], level, self.pooled)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The average row's log-odds and each feature's effect against it."""
        contributions = self._centred(X) * self.coefficients[0, 1:]
        owners = self._owners()
        effects = np.stack([contributions[:, owners == i].sum(axis=1) for i in range(len(self.features))], axis=1)
        base, effects = Calibrator().factors(float(self.coefficients[0, 0]), effects)
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        content = {
            "features": list(self.features),
            "categorical": list(self.categorical),
            "standards": {name: asdict(standard) for name, standard in self.standards.items()},
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "centres": self.centres.tolist(),
            "coefficients": self.coefficients.tolist(),
            "pooled": self.pooled,
        }
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> Logistic:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        standards = {name: Standard(**standard) for name, standard in c["standards"].items()}
        levels = {name: tuple(c["levels"][name]) for name in c["categorical"]}
        return cls(c["features"], standards, levels, np.array(c["centres"]), np.array(c["coefficients"]), c["pooled"])

    def _logits(self, centred: np.ndarray) -> np.ndarray:
        return Calibrator().apply(self.coefficients[:, 1:] @ centred.T + self.coefficients[:, :1])

    def _centred(self, X: pd.DataFrame) -> np.ndarray:
        return self._design(select(X, self.features)) - self.centres

    def _design(self, X: pd.DataFrame) -> np.ndarray:
        """One column a standardised number (two where it has gaps), one a level; order as `_owners` says."""
        parts: list[np.ndarray] = []
        for name in self.features:
            if name in self.levels:
                parts.append(np.eye(len(self.levels[name]))[level_codes(X[name], self.levels[name])])
                continue
            values, standard = numbers(X[name]), self.standards[name]
            scaled = np.clip((values - standard.mean) / standard.deviation, -CLIP, CLIP)
            parts.append(np.nan_to_num(scaled, nan=0.0)[:, None])
            if standard.gaps:
                parts.append(np.isnan(values).astype("float64")[:, None])
        return np.hstack(parts) if parts else np.zeros((len(X), 0))

    def _owners(self) -> np.ndarray:
        """The position in `features` of each column of the design."""
        widths = [len(self.levels[n]) if n in self.levels else 1 + self.standards[n].gaps for n in self.features]
        return np.repeat(np.arange(len(self.features)), widths)


def _standard(values: np.ndarray) -> Standard:
    known = values[~np.isnan(values)]
    deviation = float(known.std()) if len(known) else 0.0
    return Standard(float(known.mean()) if len(known) else 0.0, deviation or 1.0, len(known) < len(values))


def _coefficients(
    regression: LogisticRegression,
    design: np.ndarray,
    outcomes: np.ndarray,
    later: np.ndarray,
    later_outcomes: np.ndarray,
    weights: np.ndarray | None,
    later_weights: np.ndarray | None,
) -> np.ndarray:
    """Intercept and coefficients of one fit, recalibrated; `regression` starts from where its last fit ended."""
    fitted = regression.fit(design, outcomes, sample_weight=weights)
    own = np.append(fitted.intercept_, fitted.coef_[0])
    calibrator = fit_calibrator(later @ own[1:] + own[0], later_outcomes, later_weights)
    return calibrator.slope * own + np.append(calibrator.intercept, np.zeros(len(own) - 1))
