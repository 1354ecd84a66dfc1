"""Logistic regression on standardised numbers and one-hot categories, recalibrated on later rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from salesml.evaluation.bootstrap import row_weights
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import infer_categorical, require_classes
from salesml.models.design import Design
from salesml.models.scorer import read_model, write_model

CLIP = 5.0  # standard deviations
RARE, RARE_SHARE = 20, 0.005  # a level with fewer training rows shares one coefficient with the other rare ones
MEMBERS = 10


class Logistic:
    """An L2-penalised logistic regression whose effects are measured from the average training row."""

    kind = "logistic"

    def __init__(
        self,
        design: Design,
        centres: np.ndarray,
        coefficients: np.ndarray,
        pooled: float,
    ) -> None:
        """`coefficients`: one row a model (the main one first, then the bag), intercept first, already calibrated."""
        self.design, self.features, self.categorical = design, design.features, tuple(design.levels)
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
        columns = Design.fit(X, names, at_least=max(RARE, int(RARE_SHARE * len(X))), clip=CLIP)
        design = columns.matrix(X)
        centres = design.mean(axis=0)
        design, later = design - centres, columns.matrix(calibration[0]) - centres
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
        return cls(columns, centres, coefficients, pooled)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Calibrated probability per row."""
        return expit(self._logits(self._centred(X))[0])

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the calibrated probability from refits to rows resampled by entity, calibration included."""
        logits = self._logits(self._centred(X))
        return bag_interval(logits[0], logits[1:], level, self.pooled)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The average row's log-odds and each feature's effect against it."""
        effects = self.design.by_feature(self._centred(X) * self.coefficients[0, 1:])
        base, effects = Calibrator().factors(float(self.coefficients[0, 0]), effects)
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        content = {
            **self.design.to_json(),
            "centres": self.centres.tolist(),
            "coefficients": self.coefficients.tolist(),
            "pooled": self.pooled,
        }
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> Logistic:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        return cls(Design.from_json(c, CLIP), np.array(c["centres"]), np.array(c["coefficients"]), c["pooled"])

    def _logits(self, centred: np.ndarray) -> np.ndarray:
        return Calibrator().apply(self.coefficients[:, 1:] @ centred.T + self.coefficients[:, :1])

    def _centred(self, X: pd.DataFrame) -> np.ndarray:
        return self.design.matrix(X) - self.centres


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
