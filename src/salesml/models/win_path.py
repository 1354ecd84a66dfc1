"""P(win) from the chances of every period, and what a change of their log-odds does to it.

`closes`: chance that a deal still open closes in the period; `won`: that what closes then is won. What is open after the
last period is won with the last period's chance.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

_NODES, _WEIGHTS = (values / 2 for values in np.polynomial.legendre.leggauss(8))


def chance(closes: np.ndarray, won: np.ndarray) -> np.ndarray:
    """P(win) per row of chances, rows × periods."""
    value = won[:, -1]
    for period in range(closes.shape[1] - 1, -1, -1):
        value = closes[:, period] * won[:, period] + (1 - closes[:, period]) * value
    return value


def carried(
    closes_base: np.ndarray, won_base: np.ndarray, closes_by: np.ndarray, won_by: np.ndarray
) -> tuple[float, np.ndarray]:
    """Log-odds of P(win) at the base, and each feature's effect on them: rows × features.

    `*_base`: log-odds per period; `*_by`: effects on them, rows × periods × features. The effect is the gradient of the
    log-odds of P(win) along the line from the base to the row, integrated (Gauss-Legendre, 8 points), times the effects on
    the periods; what the integration misses is shared out by size, so that base + effects are the row's log-odds.
    """
    closes_step, won_step = closes_by.sum(axis=2), won_by.sum(axis=2)
    closes_weight, won_weight = np.zeros_like(closes_step), np.zeros_like(won_step)
    for node, weight in zip(_NODES + 0.5, _WEIGHTS, strict=True):
        slopes = _slopes(closes_base + node * closes_step, won_base + node * won_step)
        closes_weight += weight * slopes[0]
        won_weight += weight * slopes[1]
    effects = np.einsum("rp,rpf->rf", closes_weight, closes_by) + np.einsum("rp,rpf->rf", won_weight, won_by)
    base = float(_logit(chance(expit(closes_base)[None], expit(won_base)[None]))[0])
    ends = _logit(chance(expit(closes_base + closes_step), expit(won_base + won_step)))
    missed, size = ends - base - effects.sum(axis=1), np.abs(effects)
    total = size.sum(axis=1)
    return base, effects + size * np.divide(missed, total, out=np.zeros(len(total)), where=total > 0)[:, None]


def _slopes(closes_logit: np.ndarray, won_logit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the log-odds of P(win) by the log-odds of every period."""
    closes, won = expit(closes_logit), expit(won_logit)
    after = np.empty_like(won)  # P(win) of what is still open after the period
    value = won[:, -1]
    for period in range(closes.shape[1] - 1, -1, -1):
        after[:, period] = value
        value = closes[:, period] * won[:, period] + (1 - closes[:, period]) * value
    still = np.cumprod(1 - closes, axis=1)
    before = np.concatenate([np.ones((len(still), 1)), still[:, :-1]], axis=1)
    by_won = before * closes
    by_won[:, -1] += still[:, -1]
    scale = (value * (1 - value))[:, None]
    return before * (won - after) * closes * (1 - closes) / scale, by_won * won * (1 - won) / scale


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)
