"""Candidate forecasts of many series from many origins: each sees only what lies before its origin."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import joblib
import numpy as np

#: statsforecast reads it on import: compiled functions are kept for the next process (2 s instead of 25 s).
os.environ.setdefault("NIXTLA_NUMBA_CACHE", "1")

Forecaster = Callable[[np.ndarray, int, int], np.ndarray]

#: Share of the seasonal deviations that `theta_shrunk` keeps (shrinking noisy factors: Miller & Williams 2003).
KEPT_SEASON = 0.7
#: Share of zeros from which a history is taken for intermittent and left unadjusted.
MANY_ZEROS = 0.3
#: A forecast beyond this multiple of the largest absolute value of the history is replaced by the seasonal naive one.
RUNAWAY = 10.0
#: A history shorter than this is forecast by its last value.
SHORT = 6
#: Fits below which starting worker processes costs more than it saves.
WORTH_WORKERS = 60
FITS_PER_BATCH = 24


@dataclass(frozen=True)
class Origins:
    """Forecasts by origin: `series` and `cutoff` (periods known) of each of R rows, `forecasts` [R, models, horizon] in
    the series' unit.
    """

    series: np.ndarray
    cutoff: np.ndarray
    models: tuple[str, ...]
    forecasts: np.ndarray

    def of(self, model: str) -> np.ndarray:
        """Forecasts [R, horizon] of one model."""
        return self.forecasts[:, self.models.index(model)]


def naive(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last value, repeated."""
    return np.full(horizon, y[-1])


def seasonal_naive(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The value one season earlier; the last value where the history is shorter than a season."""
    return np.resize(y[-season:], horizon) if len(y) >= season else naive(y, horizon, season)


def average(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The mean of the last season, repeated."""
    return np.full(horizon, y[-max(season, 3) :].mean())


def ets(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Exponential smoothing with damped trend, form chosen by AICc."""
    from statsforecast.models import AutoETS

    return AutoETS(season_length=season, damped=True).forecast(y=y, h=horizon)["mean"]


def theta(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Dynamic optimised theta (Fiorucci et al. 2016)."""
    from statsforecast.models import DynamicOptimizedTheta

    return DynamicOptimizedTheta(season_length=season).forecast(y=y, h=horizon)["mean"]


def theta_shrunk(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Dynamic optimised theta on the series adjusted by shrunk seasonal factors."""
    return _adjusted(y, horizon, season, KEPT_SEASON, lambda adjusted: theta(adjusted, horizon, 1))


def aggregation(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Mean of smoothings over several temporal aggregations of the adjusted series; suits intermittent ones (IMAPA)."""
    from statsforecast.models import IMAPA

    return _adjusted(y, horizon, season, 1.0, lambda adjusted: IMAPA().forecast(y=adjusted, h=horizon)["mean"])


def recent_median(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The median of the adjusted values of the last season (at least six), repeated: suits lumpy, skewed series."""
    span = max(season, SHORT)
    return _adjusted(y, horizon, season, KEPT_SEASON, lambda adjusted: np.full(horizon, np.median(adjusted[-span:])))


def ces(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Complex exponential smoothing; compiles for about 25 s in each worker, hence opt-in."""
    from statsforecast.models import AutoCES

    return AutoCES(season_length=season).forecast(y=y, h=horizon)["mean"]


def arima(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """ARIMA chosen by AICc; about ten times slower than all others together, hence opt-in."""
    from statsforecast.models import AutoARIMA

    return AutoARIMA(season_length=season).forecast(y=y, h=horizon)["mean"]


def prophet(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Prophet with one season, on a time axis where a season lasts a year; 0.2 s a fit, hence opt-in."""
    import pandas as pd
    from prophet import Prophet

    for name in ("prophet", "cmdstanpy"):  # cmdstanpy sets its own level on import and tells of every fit
        logging.getLogger(name).disabled = True
    days = 365.25 / season if season > 1 else 30.0
    axis = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(y) + horizon) * days, unit="D")
    model = Prophet(yearly_seasonality=False, weekly_seasonality=False, daily_seasonality=False, uncertainty_samples=0)
    if season > 1 and len(y) >= 2 * season:
        model.add_seasonality("season", period=365.25, fourier_order=max(1, min(season // 2, 6)))
    model.fit(pd.DataFrame({"ds": axis[: len(y)], "y": y}), seed=0)
    return model.predict(pd.DataFrame({"ds": axis[len(y) :]}))["yhat"].to_numpy()


BASELINES: dict[str, Forecaster] = {"naive": naive, "seasonal_naive": seasonal_naive}
COMBINED: dict[str, Forecaster] = {
    "ets": ets,
    "theta": theta,
    "theta_shrunk": theta_shrunk,
    "aggregation": aggregation,
    "recent_median": recent_median,
}
OPTIONAL: dict[str, Forecaster] = {"ces": ces, "arima": arima, "average": average, "prophet": prophet}
#: Models that need no more than one value, and so no substitute on a short history.
PLAIN = (*BASELINES, "average")
#: What is combined unless told otherwise.
DEFAULT = (*COMBINED, "seasonal_naive")
FORECASTERS = {**BASELINES, **COMBINED, **OPTIONAL}


def forecast_origins(
    histories: Sequence[np.ndarray],
    origins: Sequence[tuple[int, int]],
    models: Sequence[str],
    horizon: int,
    season: int,
    progress: Callable[[int, int], None] | None = None,
) -> Origins:
    """Forecast each (series, cutoff) of `origins` with every model, by the rules of `forecast_one`.

    `progress(done, all)` is called as batches finish. The result does not depend on the number of workers.
    """
    batches = [origins[start : start + FITS_PER_BATCH] for start in range(0, len(origins), FITS_PER_BATCH)]
    tasks = [[histories[series][:cutoff] for series, cutoff in batch] for batch in batches]
    found: list[np.ndarray] = []
    for batch in _run(tasks, tuple(models), horizon, season, len(origins)):
        found.extend(batch)
        if progress:
            progress(len(found), len(origins))
    shape = (len(origins), len(models), horizon)
    at = np.array(origins, dtype="int64").reshape(len(origins), 2)
    return Origins(at[:, 0], at[:, 1], tuple(models), np.array(found).reshape(shape))


def _run(
    tasks: list[list[np.ndarray]], models: tuple[str, ...], horizon: int, season: int, fits: int
) -> Iterable[list[np.ndarray]]:
    if fits < WORTH_WORKERS:
        return (_forecast_batch(task, models, horizon, season) for task in tasks)
    workers = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator", batch_size=1, max_nbytes=None)
    return workers(joblib.delayed(_forecast_batch)(task, models, horizon, season) for task in tasks)


def _forecast_batch(
    histories: list[np.ndarray], models: tuple[str, ...], horizon: int, season: int
) -> list[np.ndarray]:
    return [np.array([forecast_one(y, model, horizon, season) for model in models]) for y in histories]


def forecast_one(y: np.ndarray, model: str, horizon: int, season: int) -> np.ndarray:
    """One model's forecast of one history [horizon]; seasonal naive where the model fails, runs away, or the history is
    constant.
    """
    if model in PLAIN:
        return FORECASTERS[model](y, horizon, season)
    if len(y) < SHORT or np.ptp(y) == 0:
        return naive(y, horizon, season)
    fallback = seasonal_naive(y, horizon, season)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(FORECASTERS[model](y.astype("float64", copy=True), horizon, season), dtype="float64")
    except Exception:  # the libraries raise all kinds on odd histories; the fallback is stated above
        return fallback
    sane = np.isfinite(found).all() and np.abs(found).max() <= RUNAWAY * np.abs(y).max()
    return found if sane else fallback


def _adjusted(
    y: np.ndarray, horizon: int, season: int, kept: float, forecast: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Forecast the seasonally adjusted history and put the season back; unadjusted under three seasons or with many
    zeros.
    """
    if season == 1 or len(y) < 3 * season or np.mean(y == 0) > MANY_ZEROS:
        return forecast(y)
    past, future = np.arange(len(y)) % season, np.arange(len(y), len(y) + horizon) % season
    if y.min() > 0:
        factors = 1 + kept * (_seasonal_profile(y, season, np.divide) - 1)
        return forecast(y / factors[past]) * factors[future]
    terms = kept * _seasonal_profile(y, season, np.subtract)
    return forecast(y - terms[past]) + terms[future]


def _seasonal_profile(y: np.ndarray, season: int, relate: Callable) -> np.ndarray:
    """Classical decomposition: mean relation of each season's values to the centred moving average, centred."""
    window = np.full(season, 1 / season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5] / season
    trend = np.convolve(y, window, "valid")
    start = len(window) // 2
    related = relate(y[start : start + len(trend)], trend)
    place = (np.arange(len(trend)) + start) % season
    profile = np.bincount(place, related, season) / np.bincount(place, minlength=season)
    return relate(profile, profile.mean())
