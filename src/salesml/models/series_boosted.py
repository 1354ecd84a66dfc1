"""One gradient-boosted model of all series of a file: what their histories have in common, told by lags and two quick
forecasts.
"""

from __future__ import annotations

import numpy as np
from catboost import CatBoostRegressor

from salesml.models.series_candidates import forecast_origins

#: Fewest series to learn from; a smaller file is left to the models of single series.
FEWEST_SERIES = 20
#: Origins drawn for training, over all series and times.
ORIGINS = 2_500
#: Most periods of history before a training origin is allowed: a season and one, at least this many.
SHORTEST_PAST = 6
#: The forecast that is corrected, and one beside it.
QUICK = ("theta_shrunk", "aggregation")
#: A training target beyond this many times the history's size is cut to it.
LARGEST_ERROR = 5.0
#: Share of this model in the forecast of each series; the rest is the series' own models'.
SHARED = 0.5


def boosted_forecast(
    histories: list[np.ndarray], starts: np.ndarray, horizon: int, season: int, seed: int = 0
) -> tuple[np.ndarray, float] | None:
    """Forecasts [N, horizon] of N histories in their unit, and what mixing them in leaves of the error (0 to 1); None for
    fewer than 20 series that ever change.

    `starts` [N] are the calendar positions of the first values, so that a season's peaks can be shared. The model learns
    the error of the quick theta forecast over the history's recent size, with absolute loss, at origins drawn from all
    series and times, each seeing only what lies before it. A constant history keeps its value. What is left of the
    error is measured at the origins of the last horizon, by a model that knew only what lay before all of them.
    """
    changing = [at for at, y in enumerate(histories) if np.ptp(y) > 0]
    drawn = _drawn(histories, horizon, season, seed)
    if len(changing) < FEWEST_SERIES or len(drawn) < FEWEST_SERIES:
        return None
    ends = [(at, len(y)) for at, y in enumerate(histories)]
    quick = forecast_origins(histories, [*drawn, *ends], QUICK, horizon, season).forecasts
    unit = np.array([_unit(histories[at][:cut], season) for at, cut in [*drawn, *ends]])
    quick = quick / unit[:, None, None]
    rows = np.array(
        [
            _features(histories[at][:cut] / size, found, (starts[at] + cut) % season, horizon, season)
            for (at, cut), size, found in zip([*drawn, *ends], unit, quick, strict=True)
        ]
    )
    actual = np.full((len(drawn), horizon), np.nan)
    for row, (at, cut) in enumerate(drawn):
        later = histories[at][cut : cut + horizon]
        actual[row, : len(later)] = later / unit[row]
    target = np.clip(actual - quick[: len(drawn), 0], -LARGEST_ERROR, LARGEST_ERROR)
    left = np.array([len(histories[at]) - cut for at, cut in drawn])
    trial, before = left <= horizon, left >= 2 * horizon
    share = 1.0
    if min(trial.sum(), before.sum()) >= FEWEST_SERIES:
        share = _error_left(
            _fitted(rows[: len(drawn)][before], target[before], seed), rows[: len(drawn)][trial], target[trial]
        )
    model = _fitted(rows[: len(drawn)], target, seed)
    latest = rows[len(drawn) :]
    error = model.predict(latest.reshape(-1, latest.shape[2])).reshape(latest.shape[:2])
    still = np.array([np.ptp(y) == 0 for y in histories])
    return (quick[len(drawn) :, 0] + np.where(still[:, None], 0.0, error)) * unit[len(drawn) :, None], share


def _fitted(rows: np.ndarray, target: np.ndarray, seed: int) -> CatBoostRegressor:
    known = np.isfinite(target)
    model = CatBoostRegressor(
        iterations=150, depth=6, learning_rate=0.05, l2_leaf_reg=10, rsm=0.5, border_count=64, loss_function="MAE",
        random_seed=seed, thread_count=2, verbose=False, allow_writing_files=False,
    )  # fmt: skip
    return model.fit(rows[known], target[known])


def _error_left(model: CatBoostRegressor, rows: np.ndarray, error: np.ndarray) -> float:
    """Mean absolute error with the model's share in the forecast, over that without it, at most 1."""
    known = np.isfinite(error)
    left = np.abs(error[known] - SHARED * model.predict(rows[known])).sum()
    return min(1.0, float(left / np.abs(error[known]).sum())) if left > 0 else 1.0


def _drawn(histories: list[np.ndarray], horizon: int, season: int, seed: int) -> list[tuple[int, int]]:
    """Training origins (series, periods known), at most ORIGINS of them."""
    possible = [
        (at, cut)
        for at, y in enumerate(histories)
        if np.ptp(y) > 0
        for cut in range(max(SHORTEST_PAST, min(season + 1, len(y) // 2)), len(y))
    ]
    if len(possible) <= ORIGINS:
        return possible
    chosen = np.random.default_rng(seed).choice(len(possible), ORIGINS, replace=False)
    return [possible[at] for at in np.sort(chosen)]


def _unit(y: np.ndarray, season: int) -> float:
    recent = float(np.abs(y[-2 * max(season, 4) :]).mean())
    return recent or float(np.abs(y).mean()) or 1.0


def _features(y: np.ndarray, quick: np.ndarray, phase: int, horizon: int, season: int) -> np.ndarray:
    """[horizon, features] of one history over its unit: last values, means, smoothings, shape, the season's values before
    each step, the quick forecasts; NaN where the history is too short.
    """
    span = max(season, 4)
    quarter = max(2, span // 4)
    lags = np.full(min(12, max(6, season)), np.nan)
    lags[-min(len(lags), len(y)) :] = y[-len(lags) :]
    constant = [
        *lags,
        y[-span:].mean(), _mean(y, span, 2 * span), y[-quarter:].mean(), _mean(y, quarter, 2 * quarter),
        _mean(y, season, season + quarter), np.median(y[-span:]), np.median(y[-3 * span :]), y.mean(),
        _smooth(y, 0.3), _smooth(y, 0.1),
        np.log(len(y)), y[-span:].std(), np.mean(y[-span:] == 0), np.mean(y == 0), np.abs(np.diff(y[-2 * span :])).mean(),
        np.abs(y[season:] - y[:-season]).mean() if len(y) > season else np.nan,
        quick[0].mean(),
    ]  # fmt: skip
    seasons = [_seasons_before(y, season, back, horizon) for back in (1, 2, 3)]
    steps = np.arange(horizon)
    by_step = [*seasons, *quick, quick[0] - seasons[0], steps + 1, (phase + steps) % season]
    return np.column_stack([np.tile(constant, (horizon, 1)), *by_step])


def _mean(y: np.ndarray, after: int, before: int) -> float:
    """Mean of the values from `before` to `after` periods before the end."""
    return float(y[-before:-after].mean()) if len(y) >= before else float("nan")


def _smooth(y: np.ndarray, rate: float) -> float:
    """Exponentially weighted mean."""
    weights = (1 - rate) ** np.arange(len(y))[::-1]
    return float(weights @ y / weights.sum())


def _seasons_before(y: np.ndarray, season: int, back: int, horizon: int) -> np.ndarray:
    """The values `back` seasons before each step."""
    if len(y) < back * season:
        return np.full(horizon, np.nan if back > 1 else y[-1])
    end = len(y) - (back - 1) * season
    return np.resize(y[end - season : end], horizon)
