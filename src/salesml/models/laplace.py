"""Logistic regression with a normal prior: the mode, the curvature there, and how probable it makes the data (Laplace)."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

CLOSE_ENOUGH = 1e-6


def laplace(
    matrix: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    centre: np.ndarray,
    precision: np.ndarray,
    *,
    start: np.ndarray | None = None,
    steps: int = 50,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mode, curvature there and log marginal likelihood with prior N(centre, 1 / precision); `w` weighs the rows.

    Newton's steps from `start` (the centre where it is not given), halved where they overshoot, at most `steps` of them.
    """
    mode = (centre if start is None else start).copy()

    def value(at: np.ndarray) -> float:
        z = matrix @ at
        return float(w @ (y * z - np.logaddexp(0, z)) - precision @ (at - centre) ** 2 / 2)

    current = value(mode)
    for _ in range(steps):
        p = expit(matrix @ mode)
        curvature = (matrix * (w * p * (1 - p))[:, None]).T @ matrix + np.diag(precision)
        step = np.linalg.solve(curvature, matrix.T @ (w * (y - p)) - precision * (mode - centre))
        while (proposed := value(mode + step)) < current - 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        mode, current = mode + step, proposed
        if np.abs(step).max() < CLOSE_ENOUGH:
            break
    return mode, curvature, current + (np.log(precision).sum() - np.linalg.slogdet(curvature)[1]) / 2
