"""What a rep's figure is worth: drawn towards the peers as far as little is known, as draws of all reps together.

Shares are beta-binomial (`lead_sources_rates.shrunken`); sums are counts of a Poisson law around gamma levels; means are gamma around
inverse-gamma levels; logarithms of medians are normal around normal levels (the conjugate pairs of Gelman et al. 2013, ch. 2 and 5). The
mean of each peer group and one spread of all are not fixed at their best value but averaged over what the reps leave possible.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import gammaln, logsumexp

from salesml.analytics.benchmark_evidence import Evidence
from salesml.analytics.lead_sources_rates import DRAWS, shrunken

SPREADS = np.r_[0.005, np.linspace(0.02, 1.2, 60)]
"""How far like reps may lie apart: coefficient of variation of levels (standard deviation of logarithms), any as likely as another."""
POINTS, WIDTH = 41, 5.0
Law = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def levels(shown: Evidence, peers: pd.Series, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shrunken level of each rep (posterior mean; of medians the exponential of that of logarithms) and draws: reps × DRAWS.

    In the measure's unit, sums per unit of exposure. Reps without evidence get what their peers have; where nobody has any, all is missing.
    """
    if not shown.n.any():
        return np.full(len(peers), np.nan), np.full((len(peers), DRAWS), np.nan)
    if shown.law == "share":
        rates = shrunken(shown.shown, shown.size - shown.shown, peers.to_numpy(), seed)
        return rates.frame["rate"].to_numpy("float64"), rates.draws
    rng, codes = np.random.default_rng(seed), pd.factorize(peers, sort=True)[0]
    y, size = shown.shown[:, None], shown.size[:, None]
    if shown.law == "sum":
        mean, shape = _hyper(shown, codes, _poisson, rng)
        a, b = shape + y, shape / mean + size
        return (a / b).mean(axis=1), rng.gamma(a, 1 / b)
    if shown.law == "mean":
        mean, shape = _hyper(shown, codes, _gamma, rng)
        a, b = shape + 1 + size, shape * mean + size * y
        return (b / (a - 1)).mean(axis=1), b / rng.gamma(a, 1.0)
    mean, shape = _hyper(shown, codes, _normal, rng)  # shape: inverse of the levels' variance
    centre = (shape * np.log(mean) + size * y) / (shape + size)
    return np.exp(centre.mean(axis=1)), np.exp(rng.normal(centre, (shape + size) ** -0.5))


def _poisson(y: np.ndarray, size: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    rate = shape / mean
    return gammaln(shape + y) - gammaln(shape) + shape * np.log(rate) - (shape + y) * np.log(rate + size)


def _gamma(y: np.ndarray, size: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    prior = shape + 1
    return gammaln(prior + size) - gammaln(prior) + prior * np.log(shape * mean) - (prior + size) * np.log(shape * mean + size * y)


def _normal(y: np.ndarray, size: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    variance = np.where(size > 0, 1 / np.maximum(size, 1e-12), np.inf) + 1 / shape
    known = np.isfinite(variance)
    variance = np.where(known, variance, 1.0)
    return np.where(known, -0.5 * np.log(variance) - 0.5 * (y - np.log(mean)) ** 2 / variance, 0.0)


def _hyper(shown: Evidence, codes: np.ndarray, law: Law, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws of each rep's group mean (reps × DRAWS) and of the common shape, from their posterior on a grid."""
    groups, reps = int(codes.max()) + 1, len(codes)
    shapes = SPREADS**-2
    means, logs = np.zeros((groups, len(SPREADS), POINTS)), np.zeros((groups, len(SPREADS), POINTS))
    for group in range(groups):
        mine = codes == group
        y, size = shown.shown[mine], shown.size[mine]
        centre, error = _centre(shown, y, size)
        grid = np.exp(centre + error[:, None] * np.linspace(-WIDTH, WIDTH, POINTS))
        means[group] = grid
        logs[group] = law(y, size, grid[:, :, None], shapes[:, None, None]).sum(axis=2) + np.log(error)[:, None]
    spread = logsumexp(logs, axis=2).sum(axis=0) + np.log(np.gradient(SPREADS))
    which = rng.choice(len(SPREADS), DRAWS, p=np.exp(spread - logsumexp(spread)))
    mean = np.zeros((reps, DRAWS))
    for group in range(groups):
        log = logs[group]
        below = np.cumsum(np.exp(log - logsumexp(log, axis=1, keepdims=True)), axis=1)[which]
        place = (below < rng.random((DRAWS, 1))).sum(axis=1).clip(max=POINTS - 1)
        mean[codes == group] = means[group][which, place]
    return mean, shapes[which][None, :]


def _centre(shown: Evidence, y: np.ndarray, size: np.ndarray) -> tuple[float, np.ndarray]:
    """Middle of the logarithms of means to try for a group, and per spread how far around it."""
    whole_y, whole = (shown.shown, shown.size) if size.sum() <= 0 else (y, size)
    if whole.sum() <= 0:
        return 0.0, np.full(len(SPREADS), 1.0)
    if shown.law == "sum":
        level = np.log(max(whole_y.sum(), 0.5) / whole.sum())
        own = np.where(whole > 0, np.exp(-level) / np.maximum(whole, 1e-12), np.inf)
    else:
        usual = float((whole_y * whole).sum() / whole.sum())
        level = usual if shown.law == "median" else np.log(max(usual, 1e-9))
        own = np.where(whole > 0, 1 / np.maximum(whole, 1e-12), np.inf)
    if shown.law != "sum" and size.sum() > 0:
        known = size > 0
        middle = y[known] if shown.law == "median" else np.log(np.maximum(y[known], 1e-9))
        level = float(np.average(np.clip(middle, level - 3, level + 3), weights=1 / (own[known] + 0.05)))
    precision = (1 / (own[None, :] + SPREADS[:, None] ** 2)).sum(axis=1)
    return float(level), np.clip(np.maximum(precision, 1e-9) ** -0.5, 1e-4, 1.5)
