"""What all series of a file have in common: a gradient-boosted correction of the combined forecast, learned at earlier
origins.
"""

from __future__ import annotations

import numpy as np
from catboost import CatBoostRegressor

#: Fewest (origin, step) rows to learn from; a smaller file gives no correction.
FEWEST_ROWS = 2_000
#: Share of the learned correction that is applied: whole-file shocks of the past should not be repeated in full.
APPLIED = 0.5


def centre(forecasts: np.ndarray) -> np.ndarray:
    """The median over models [R, horizon] of forecasts [R, models, horizon]: the forecast that is corrected."""
    return np.median(forecasts, axis=1)


def pooled_correction(
    past: list[np.ndarray],
    past_forecasts: np.ndarray,
    past_actuals: np.ndarray,
    now: list[np.ndarray],
    forecasts: np.ndarray,
    season: int,
) -> np.ndarray | None:
    """What to add to the forecasts [N, horizon] of the histories `now`, in their unit, or None where there is too
    little to learn from.

    `past` are the histories before earlier origins, `past_forecasts` [R, models, horizon] made there, `past_actuals`
    [R, horizon] with NaN where not known yet. The target is the error of the median forecast over the history's mean
    absolute value, its loss absolute.
    """
    known = np.isfinite(past_actuals)
    if known.sum() < FEWEST_ROWS:
        return None
    unit, now_unit = _units(past), _units(now)
    target = (past_actuals - centre(past_forecasts)) / unit[:, None]
    rows = _features(past, past_forecasts, unit, season)[known]
    model = CatBoostRegressor(
        iterations=150, depth=5, learning_rate=0.05, l2_leaf_reg=10, loss_function="MAE", random_seed=0,
        thread_count=2, verbose=False, allow_writing_files=False,
    )  # fmt: skip
    model.fit(rows, target[known])
    table = _features(now, forecasts, now_unit, season)
    found = model.predict(table.reshape(-1, table.shape[2])).reshape(table.shape[:2])
    return APPLIED * found * now_unit[:, None]


def _units(histories: list[np.ndarray]) -> np.ndarray:
    sizes = np.array([np.abs(y).mean() for y in histories])
    return np.where(sizes > 0, sizes, 1.0)


def _features(histories: list[np.ndarray], forecasts: np.ndarray, unit: np.ndarray, season: int) -> np.ndarray:
    """[R, horizon, features]: each model's distance from the median, the shape of the history, the step; all free of
    the unit.
    """
    horizon = forecasts.shape[2]
    middle = centre(forecasts)
    shape = np.array([_shape(y, season) for y in histories])
    lags = np.array([_lags(y, season, horizon) for y in histories])
    last = np.array([[y[-1], y[-season:].mean()] for y in histories])
    by_step = [
        *((forecasts[:, model] - middle) / unit[:, None] for model in range(forecasts.shape[1])),
        (middle - last[:, :1]) / unit[:, None],
        (lags[:, 0] - middle) / unit[:, None],
        (lags[:, 1] - middle) / unit[:, None],
        np.broadcast_to(np.arange(1, horizon + 1), middle.shape),
    ]
    constant = [*shape.T, forecasts.std(axis=1).mean(axis=1) / unit, (middle.mean(axis=1) - last[:, 1]) / unit]
    return np.stack([*by_step, *(np.broadcast_to(c[:, None], middle.shape) for c in constant)], axis=2)


def _lags(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """The values one and two seasons before each step (the former again where the history is shorter)."""
    one = np.resize(y[-season:], horizon)
    return np.array([one, np.resize(y[-2 * season : -season], horizon) if len(y) >= 2 * season else one])


def _shape(y: np.ndarray, season: int) -> list[float]:
    size = np.abs(y).mean() or 1.0
    year, before = y[-season:], y[-2 * season : -season]
    moved = y[-3:].mean() - y[-6:-3].mean() if len(y) >= 6 else 0.0
    varies = len(y) > 3 and y[:-1].std() > 0 and y[1:].std() > 0
    return [
        float(np.log(len(y))),
        (y[-1] - year.mean()) / size,
        (year.mean() - before.mean()) / size if len(y) >= 2 * season else 0.0,
        year.std() / size,
        np.abs(np.diff(y)).mean() / size,
        moved / size,
        np.abs(y[season:] - y[:-season]).mean() / size if len(y) > season else 0.0,
        size / max(np.abs(year).mean(), 1e-9 * size),
        float(np.corrcoef(y[:-1], y[1:])[0, 1]) if varies else 0.0,
    ]
