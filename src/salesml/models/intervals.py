"""Prediction intervals from the errors a forecast made at earlier origins (split conformal prediction, scaled by
series).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from salesml.evaluation.forecast_metrics import scale

#: Interval ends in percent → the quantile of the error they estimate.
ENDS = {"lo95": 0.025, "lo80": 0.1, "hi80": 0.9, "hi95": 0.975}
#: Weight, in origins, of the file's typical error against a series' own when its error level is estimated.
PRIOR_ORIGINS = 3.0
#: Mean absolute deviation → standard deviation of a normal error.
MAD_TO_SD = float(np.sqrt(np.pi / 2))


@dataclass(frozen=True)
class Errors:
    """Errors (actual − forecast) at earlier origins: `error` [R, horizon] with NaN where the actual is not known yet.

    `series` [R] says whose, `origin` [R] how many periods were known; `unit` [R] is the error unit of the history then
    (see `error_unit`).
    """

    error: np.ndarray
    series: np.ndarray
    origin: np.ndarray
    unit: np.ndarray


def error_unit(history: np.ndarray, season: int) -> float:
    """Mean absolute seasonal difference, or plain difference where that is 0; 0 for a constant history."""
    value = scale(history, season)
    value = value if np.isfinite(value) else scale(history, 1)
    return value if np.isfinite(value) else 0.0


def error_quantiles(
    errors: Errors, units: np.ndarray, lengths: np.ndarray, groups: int | None = None
) -> dict[str, np.ndarray]:
    """Error quantiles [N, horizon] of each of ENDS for N series with these units and history lengths; lower ends ≤ 0
    ≤ upper ends.

    Errors are divided by the unit, by the typical growth with the step (monotone), and by the series' own level (its
    other origins, shrunk to the file's), pooled over steps and series, and multiplied back. Quantiles of few origins
    are widened by Student's t over the normal quantile; series err together in so many `groups` (None: each by itself).
    Without any error the unit times √step and a normal shape stand in.
    """
    horizon = errors.error.shape[1]
    usable = (errors.unit > 0) & np.isfinite(errors.error).any(axis=1)
    count = len(units)
    if not usable.any():
        return _spread(units, np.ones(count), np.sqrt(np.arange(1, horizon + 1)), _normal(), lengths - 1)
    series = errors.series[usable]
    relative = errors.error[usable] / errors.unit[usable, None]
    growth = _growth(np.abs(relative))
    if growth[-1] == 0:
        return {end: np.zeros((count, horizon)) for end in ENDS}
    level = np.nanmean(np.abs(relative) / growth, axis=1)
    origins = np.bincount(series, minlength=count)
    total = np.bincount(series, level, count)
    own = (total + PRIOR_ORIGINS * level.mean()) / (origins + PRIOR_ORIGINS)
    others = (total[series] - level + PRIOR_ORIGINS * level.mean()) / (origins[series] - 1 + PRIOR_ORIGINS)
    shape = (relative / growth / others[:, None]).ravel()
    shape = shape[np.isfinite(shape)]
    quantiles = {end: float(np.quantile(shape, at)) for end, at in ENDS.items()}
    blocks = _blocks(series, errors.origin[usable], np.isfinite(relative).sum(axis=1), horizon)
    independent = sum(blocks) if groups is None else min(groups * max(blocks), sum(blocks))
    return _spread(units, own, growth, quantiles, np.minimum(lengths - 1, independent + 1))


def with_intervals(
    point: np.ndarray, quantiles: dict[str, np.ndarray], nonnegative: np.ndarray
) -> dict[str, np.ndarray]:
    """`yhat` and the four ends [N, horizon], at or above 0 where `nonnegative` [N]; lo95 ≤ lo80 ≤ yhat ≤ hi80 ≤
    hi95.
    """
    floor = np.where(nonnegative, 0.0, -np.inf)[:, None]
    yhat = np.maximum(point, floor)
    return {"yhat": yhat, **{end: np.maximum(yhat + quantiles[end], floor) for end in ENDS}}


def _growth(size: np.ndarray) -> np.ndarray:
    """Mean size of the error by step, made non-decreasing; beyond the last step ever seen it grows with the root of the
    step.
    """
    steps = np.arange(1, size.shape[1] + 1)
    seen = np.isfinite(size).any(axis=0)
    weights = np.isfinite(size[:, seen]).sum(axis=0)
    mean = np.nanmean(size[:, seen], axis=0)
    smooth = IsotonicRegression().fit_transform(steps[seen], mean, sample_weight=weights)
    last = steps[seen][-1]
    growth = np.interp(steps, steps[seen], smooth) * np.sqrt(np.maximum(steps, last) / last)
    return np.maximum(growth, growth[growth > 0].min()) if growth[-1] > 0 else growth


def _blocks(series: np.ndarray, origin: np.ndarray, reach: np.ndarray, horizon: int) -> list[int]:
    """How many horizons the errors of each series span: errors a horizon apart are taken for independent."""
    span = [(origin + reach)[series == one].max() - origin[series == one].min() for one in np.unique(series)]
    return [int(np.ceil(periods / horizon)) for periods in span]


def _normal() -> dict[str, float]:
    return {end: MAD_TO_SD * float(stats.norm.ppf(at)) for end, at in ENDS.items()}


def _spread(
    units: np.ndarray, own: np.ndarray, growth: np.ndarray, quantiles: dict[str, float], freedom: np.ndarray
) -> dict[str, np.ndarray]:
    size = (units * own)[:, None] * growth[None]
    wider = {end: stats.t.ppf(at, np.maximum(freedom, 1)) / stats.norm.ppf(at) for end, at in ENDS.items()}
    signed = {end: min(q, 0.0) if end.startswith("lo") else max(q, 0.0) for end, q in quantiles.items()}
    return {end: signed[end] * wider[end][:, None] * size for end in ENDS}
