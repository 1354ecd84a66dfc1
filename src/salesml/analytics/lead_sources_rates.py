"""Rates at which something comes of leads (or deals) when not all have been watched long enough: evidence, shrinkage, comparison.

What is open counts by its age. When successes and failures come is taken to be one law for all groups; how often they come is a
group's own. Groups are drawn towards what is usual among their like (Efron and Morris 1975), as a beta-binomial model whose mean and
spread are not fixed at their best value but averaged over what the groups leave possible (Gelman et al. 2013, ch. 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import betaln, expit, logit, logsumexp
from scipy.stats import norm

from salesml.analytics.incidence import LEVEL, at, incidence

DRAWS = 4000
SPREADS = np.r_[0.005, np.linspace(0.025, 1.6, 64)]
"""How far like groups may lie apart: standard deviation of the log-odds, any up to the last as likely as another."""
POINTS, WIDTH = 41, 5.0
ROUNDS = 30
POWER = 0.8
MOST_LEADS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """When what succeeds within `horizon` days has succeeded, and what does not has failed: shares so far, steps at `days`."""

    horizon: float
    days: np.ndarray = field(repr=False)
    succeeded: np.ndarray = field(repr=False)
    failed: np.ndarray = field(repr=False)
    rate: float
    """The share of all that succeeds within the horizon (Aalen-Johansen)."""

    def shares(self, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of what will succeed, and of what will not, the share that has done so by each age in days."""
        place = np.searchsorted(self.days, age, side="right") - 1
        return self.succeeded[place], self.failed[place]

    def still(self, rate: np.ndarray | float, age: np.ndarray) -> np.ndarray:
        """Chance to succeed within the horizon of what is open at an age, `rate` being its chance at the start (Bayes' rule)."""
        succeeded, failed = self.shares(age)
        there, gone = rate * (1 - succeeded), (1 - np.asarray(rate)) * (1 - failed)
        return np.where(age < self.horizon, there / np.maximum(there + gone, 1e-12), 0.0)


def timing(days: np.ndarray, ended: pd.Series, success: str, failures: tuple[str, ...], horizon: float | None = None) -> Timing:
    """The law of times from all rows: `days` until the end or so far, `ended` how (missing: open); no horizon: as long as any was watched.

    Without any success nothing is known of its times: it counts as seen at the horizon only.
    """
    curve = incidence(days, ended, (success, *failures))
    horizon = float(np.max(days, initial=0.0)) + 1.0 if horizon is None else float(horizon)
    rate = float(at(curve, horizon)[success].iloc[0])
    before = curve[curve["day"] < horizon]
    failed = before[list(failures)].sum(axis=1).to_numpy() / (1 - rate) if rate < 1 else np.zeros(len(before))
    succeeded = before[success].to_numpy() / rate if rate > 0 else np.zeros(len(before))
    return Timing(horizon, before["day"].to_numpy(), np.clip(succeeded, 0, 1), np.clip(failed, 0, 1), rate)


def evidence(days: np.ndarray, ended: pd.Series, success: str, codes: np.ndarray, groups: int, law: Timing) -> pd.DataFrame:
    """Successes and failures within the horizon that each group has shown, open ones in part. One row per code, in order.

    Columns: successes, failures. What is open counts as that part of a failure (or success, where failures come sooner) which its age
    tells; at age 0 it counts as nothing. The part is chosen so that the share of greatest likelihood comes out exactly.
    """
    days, won = np.asarray(days, dtype="float64"), ended.eq(success).to_numpy()
    young = ended.isna().to_numpy() & (days < law.horizon)
    hit = won & (days <= law.horizon)
    k = np.bincount(codes[hit], minlength=groups).astype("float64")
    m = np.bincount(codes[~hit & ~young], minlength=groups).astype("float64")
    succeeded, failed = law.shares(days[young])
    of, part = codes[young], tuple(np.zeros(groups) for _ in range(2))
    for _ in range(ROUNDS if len(of) else 0):
        rate = (k + part[0] + 0.5) / (k + m + part[0] + part[1] + 1)
        p = rate[of]
        slope = (failed - succeeded) / np.maximum(p * (1 - succeeded) + (1 - p) * (1 - failed), 1e-12)
        slope = np.clip(slope, -1 / (1 - p), 1 / p)
        towards = np.maximum(slope, 0) * p, np.maximum(-slope, 0) * (1 - p)
        part = tuple(np.bincount(of, weight, groups).astype("float64") for weight in towards)
    return pd.DataFrame({"successes": k + part[0], "failures": m + part[1]})


@dataclass(frozen=True)
class Rates:
    """Shrunken rates of groups, in the order given. frame: rate (mean), lo, hi (90 %); draws: groups × draws of the joint posterior."""

    frame: pd.DataFrame
    draws: np.ndarray = field(repr=False)


def shrunken(successes: np.ndarray | pd.Series, failures: np.ndarray | pd.Series, like: np.ndarray | None = None, seed: int = 0) -> Rates:
    """Rates of groups drawn towards the mean of their like (one common mean where `like` is not given), as far as little is known.

    Rates of like groups are beta around their common mean, their log-odds with a spread that all share; mean and spread are drawn from
    their posterior (flat priors), then the rates given them. Groups without any evidence get what their like have. No groups: empty.
    """
    k, m = np.asarray(successes, dtype="float64"), np.asarray(failures, dtype="float64")
    codes = np.zeros(len(k), dtype="int64") if like is None else pd.factorize(pd.Series(like), sort=True, use_na_sentinel=False)[0]
    if not len(k):
        return Rates(pd.DataFrame(columns=["rate", "lo", "hi"], dtype="float64"), np.zeros((0, DRAWS)))
    means, logs = _common_means(k, m, codes)
    rng = np.random.default_rng(seed)
    which = rng.choice(len(SPREADS), DRAWS, p=_softmax(logsumexp(logs, axis=2).sum(axis=0) + np.log(np.gradient(SPREADS))))
    mean = np.zeros((len(k), DRAWS))
    for one, (grid, log) in enumerate(zip(means, logs, strict=True)):
        below = np.cumsum(np.exp(log - logsumexp(log, axis=1, keepdims=True)), axis=1)[which]
        place = (below < rng.random((DRAWS, 1))).sum(axis=1).clip(max=POINTS - 1)
        mean[codes == one] = grid[which, place]
    strength = _strength(SPREADS[which], mean)
    a, b = k[:, None] + strength * mean, m[:, None] + strength * (1 - mean)
    draws = rng.beta(np.maximum(a, 1e-9), np.maximum(b, 1e-9))
    lo, hi = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return Rates(pd.DataFrame({"rate": (a / (a + b)).mean(axis=1), "lo": lo, "hi": hi}), draws)


def _strength(spread: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Strength of the beta whose log-odds have that standard deviation, to first order: mean (1 - mean) spread² (strength + 1) = 1."""
    return np.asarray(np.maximum(1 / (spread**2 * mean * (1 - mean)) - 1, 0.1))


def _common_means(k: np.ndarray, m: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grids of common means (likes × spreads × points) and the log posterior of each, up to a constant."""
    shape = (int(codes.max()) + 1, len(SPREADS), POINTS)
    means, logs = np.zeros(shape), np.zeros(shape)
    for one in range(shape[0]):
        mine = codes == one
        s, f = k[mine], m[mine]
        usual = (s.sum() + 0.5) / (s.sum() + f.sum() + 1)
        pq = usual * (1 - usual)
        variance = pq * (SPREADS[:, None] ** 2 * pq + 1 / np.maximum(s + f, 0.5))
        centre = ((s + 0.5) / (s + f + 1) / variance).sum(axis=1) / (1 / variance).sum(axis=1)
        error = np.minimum((1 / variance).sum(axis=1) ** -0.5 / (centre * (1 - centre)), 2.0)
        step = np.linspace(-WIDTH, WIDTH, POINTS)
        mean = expit(logit(centre)[:, None] + error[:, None] * step)
        strength = _strength(SPREADS[:, None], mean)
        a, b = (strength * mean)[:, :, None], (strength * (1 - mean))[:, :, None]
        fit = (betaln(a + s, b + f) - betaln(a, b)).sum(axis=2)
        means[one], logs[one] = mean, fit + np.log(mean * (1 - mean)) + np.log(error)[:, None]
    return means, logs


def _softmax(logs: np.ndarray) -> np.ndarray:
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def leads_needed(gap: float, variance: tuple[float, float], known: tuple[float, float]) -> int | None:
    """How many more leads of each of two groups would tell a gap from 0 (90 % interval off 0, with a chance of 80 %).

    variance: of one lead in each group, in the gap's unit squared (a rate p has p × (1 - p)); known: leads that already speak. None where
    it would take over a million.
    """
    z = norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)

    def enough(more: int) -> bool:
        error = sum(one / max(leads + more, 1e-9) for one, leads in zip(variance, known, strict=True))
        return bool(gap**2 >= z**2 * error) and gap != 0

    if not enough(MOST_LEADS):
        return None
    low, high = 0, MOST_LEADS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
