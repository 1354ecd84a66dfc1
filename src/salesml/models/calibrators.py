"""Recalibration in log-odds: intercept + slope · logit, with a slope that is always positive (decision 0006: why a line)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

LOGIT_LIMIT = 18.0  # beyond it a probability's log-odds cannot be had back to 1e-6 from a double


@dataclass(frozen=True)
class Calibrator:
    """Maps a model's log-odds to calibrated log-odds; ranks are kept because slope > 0."""

    intercept: float = 0.0
    slope: float = 1.0

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, held within ±LOGIT_LIMIT."""
        return np.clip(self.intercept + self.slope * logits, -LOGIT_LIMIT, LOGIT_LIMIT)

    def factors(self, base: float, effects: np.ndarray) -> tuple[float, np.ndarray]:
        """Base and effects (rows × features) in calibrated log-odds: they add up to `apply` of the uncalibrated sum."""
        calibrated_base = self.intercept + self.slope * base
        calibrated = self.slope * effects
        return calibrated_base, held(calibrated_base, calibrated, LOGIT_LIMIT)


def held(base: float, effects: np.ndarray, limit: float) -> np.ndarray:
    """Effects (rows × features, log-odds) such that base + their sum stays within ±limit; those beyond shrink in proportion."""
    total = base + effects.sum(axis=1)
    beyond = np.abs(total) > limit
    effects = effects.copy()
    bounded = np.clip(total[beyond], -limit, limit)
    effects[beyond] *= ((bounded - base) / (total[beyond] - base))[:, None]
    return effects


def fit_calibrator(logits: np.ndarray, outcomes: np.ndarray, weights: np.ndarray | None = None) -> Calibrator:
    """Logistic recalibration (Platt 1999; Cox 1958) by penalised likelihood.

    Priors intercept ~ N(0, 2²) and log slope ~ N(0, 1) matter only where outcomes are few: they keep the answer finite
    when one class is missing and the slope above 0 when the model ranks the wrong way round. What is found is shrunk
    toward no change by 1 - 2 / LR (empirical Bayes for two parameters; LR is the likelihood-ratio statistic), so that
    a small calibration block does not add more error than it takes away.
    """
    y = np.asarray(outcomes, dtype="float64")
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype="float64")

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        intercept, log_slope = parameters
        slope = np.exp(log_slope)
        z = intercept + slope * logits
        residual = w * (expit(z) - y)
        value = np.sum(w * (np.logaddexp(0, z) - y * z)) + intercept**2 / 8 + log_slope**2 / 2
        gradient = np.array([residual.sum() + intercept / 4, slope * (residual @ logits) + log_slope])
        return float(value), gradient

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-20, 20), (-7, 3)])
    ratio = 2 * (loss(np.zeros(2))[0] - float(found.fun))
    intercept, log_slope = max(0.0, 1 - 2 / ratio) * found.x if ratio > 0 else (0.0, 0.0)
    return Calibrator(float(intercept), float(np.exp(log_slope)))
