"""Forecasts of many series at once: candidates combined by how they did at earlier origins, with intervals from those
errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.evaluation.forecast_metrics import scale
from salesml.models.intervals import Errors, error_quantiles, error_unit, with_intervals
from salesml.models.series_boosted import SHARED, boosted_forecast
from salesml.models.series_candidates import BASELINES, DEFAULT, FORECASTERS, SHORT, Origins, forecast_origins
from salesml.models.series_input import SHORTEST
from salesml.models.series_pooled import centre, pooled_correction

ENSEMBLE = "ensemble"
#: Earlier origins at which models are compared, in thirds of the horizon before the forecast's own origin, the most
#: telling first.
THIRDS_BACK = (3, 6, 1, 2, 5, 4, *range(7, 13))
#: Earlier origins of all series together are about this many; a series has at least 2 and at most all of THIRDS_BACK.
EARLIER_ORIGINS, FEWEST = 2000, 2
#: Intervals rest on origins that knew at least this share of what is known now: from less, the same model errs more.
LIKE_NOW = 0.6
#: Weights are (a series' relative error, shrunk to the file's as if by 4 more origins) to the power −4, floored at 5
#: % of the mean.
PRIOR_ORIGINS, SHARPNESS, SMALLEST_ERROR = 4.0, 4.0, 0.05
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Panel:
    ids: list[str]
    histories: list[np.ndarray]
    last: np.ndarray
    horizon: int
    season: int
    combined: list[str]
    nonnegative: np.ndarray
    offsets: list[int]
    origins: Origins
    row: dict[tuple[int, int], int]


def forecast_series(
    frame: pd.DataFrame,
    horizon: int,
    season: int,
    models: Sequence[str] | None = None,
    nonnegative: bool | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Forecast gapless series (`unique_id, index, y`, one row per series and period) `horizon` periods on.

    Returns one row per series and step: unique_id, index, yhat, lo80, hi80, lo95, hi95 (the series' unit), model
    (ensemble; naive below six observations; constant). `season` is in periods (1: none); `nonnegative` None keeps
    at or above zero what never was below. Raises BadParameter, UnknownName.
    """
    panel = _panel(frame, horizon, season, models, nonnegative, [0], progress)
    which, found = _at(panel, 0, [ENSEMBLE])
    steps = np.arange(1, horizon + 1)
    columns = {name: values.ravel() for name, values in found[ENSEMBLE].items()}
    return pd.DataFrame(
        {
            "unique_id": np.repeat([panel.ids[i] for i in which], horizon),
            "index": (panel.last[which, None] + steps).ravel(),
            **columns,
            "model": np.repeat([_label(panel, i) for i in which], horizon),
        }
    )


def backtest_series(
    frame: pd.DataFrame,
    horizon: int,
    season: int,
    windows: int,
    models: Sequence[str] | None = None,
    nonnegative: bool | None = None,
    progress: Progress | None = None,
    latest: int = 1,
) -> pd.DataFrame:
    """Forecast from `windows` origins, each `horizon` periods before the next, as `forecast_series` would have done
    at the time.

    Returns one row per series, window (1 is the latest), step and model (every candidate, the baselines and
    `ensemble`): unique_id, window, index, step, model, y, yhat, lo80, hi80, lo95, hi95, scale (MASE's denominator). A
    series takes part in the windows that leave it three observations. With `latest` 0 the forecast of what comes next
    stands beside them as window 0, its y NaN. Raises NotEnoughData where no window is left, BadParameter, UnknownName.
    """
    if windows < 1:
        raise BadParameter(f"windows {windows!r} is not a whole number from 1")
    every = range(latest, windows + 1)
    panel = _panel(frame, horizon, season, models, nonnegative, [horizon * window for window in every], progress)
    names = [*panel.origins.models, ENSEMBLE]
    tables: list[pd.DataFrame] = []
    for window in every:
        which, found = _at(panel, horizon * window, names)
        tables.extend(_window_table(panel, which, window, name, found[name]) for name in names if len(which))
    if not tables:
        longest, needed = max(map(len, panel.histories)), horizon + SHORTEST
        raise NotEnoughData(f"holding out {horizon} periods takes a series of {needed}; the longest has {longest}")
    return pd.concat(tables, ignore_index=True)


def _window_table(
    panel: _Panel, which: np.ndarray, window: int, name: str, found: dict[str, np.ndarray]
) -> pd.DataFrame:
    horizon = panel.horizon
    cutoffs = np.array([len(panel.histories[i]) for i in which]) - horizon * window
    actual = np.full((len(which), horizon), np.nan)
    if window:
        actual[:] = [panel.histories[i][cut : cut + horizon] for i, cut in zip(which, cutoffs, strict=True)]
    scales = [scale(panel.histories[i][:cut], panel.season) for i, cut in zip(which, cutoffs, strict=True)]
    steps = np.arange(1, horizon + 1)
    return pd.DataFrame(
        {
            "unique_id": np.repeat([panel.ids[i] for i in which], horizon),
            "window": window,
            "index": (panel.last[which, None] - horizon * window + steps).ravel(),
            "step": np.tile(steps, len(which)),
            "model": name,
            "y": actual.ravel(),
            **{column: values.ravel() for column, values in found.items()},
            "scale": np.repeat(scales, horizon),
        }
    )


def _panel(
    frame: pd.DataFrame,
    horizon: int,
    season: int,
    models: Sequence[str] | None,
    nonnegative: bool | None,
    backs: list[int],
    progress: Progress | None,
) -> _Panel:
    combined = list(models or DEFAULT)
    for name in combined:
        if name not in FORECASTERS:
            raise UnknownName("model", name, FORECASTERS)
    for name, value in (("horizon", horizon), ("season", season)):
        if value < 1:
            raise BadParameter(f"{name} {value!r} is not a whole number from 1")
    ordered = frame.sort_values(["unique_id", "index"])
    groups = {str(name): part for name, part in ordered.groupby("unique_id", sort=True)}
    histories = [part["y"].to_numpy("float64") for part in groups.values()]
    short = [name for name, y in zip(groups, histories, strict=True) if len(y) < SHORTEST]
    if short or not groups:
        raise NotEnoughData(
            f"series {short[0]} has fewer than {SHORTEST} observations" if short else "there is no series"
        )
    last = np.array([part["index"].iloc[-1] for part in groups.values()], dtype="int64")
    positive = np.array([y.min() >= 0 if nonnegative is None else nonnegative for y in histories])
    offsets = _offsets(len(histories), horizon)
    wanted = sorted({(i, cut) for i, y in enumerate(histories) for cut in _cutoffs(len(y), season, backs, offsets)})
    origins = forecast_origins(histories, wanted, [*dict.fromkeys([*BASELINES, *combined])], horizon, season, progress)
    row = {pair: at for at, pair in enumerate(wanted)}
    return _Panel(list(groups), histories, last, horizon, season, combined, positive, offsets, origins, row)


def _offsets(series: int, horizon: int) -> list[int]:
    third = max(1, round(horizon / 3))
    return sorted(third * k for k in THIRDS_BACK[: max(FEWEST, EARLIER_ORIGINS // series)])


def _cutoffs(length: int, season: int, backs: list[int], offsets: list[int]) -> list[int]:
    """Origins of one series, in periods known: its own for each of `backs`, and the earlier ones that leave enough to
    learn from.
    """
    own = [length - back for back in backs if length - back >= SHORTEST]
    return own + [
        cut - offset for cut in own for offset in offsets if cut - offset >= max(SHORTEST, min(season, cut // 2))
    ]


@dataclass(frozen=True)
class _View:
    """What was known `back` periods before the end: N series, and R earlier origins of theirs with the errors known since.

    `place` [R] points into the N; `actuals` [R, horizon] are NaN where not known; `forecasts` and `earlier` are by model.
    """

    which: np.ndarray
    now: list[np.ndarray]
    forecasts: np.ndarray
    place: np.ndarray
    past: list[np.ndarray]
    earlier: np.ndarray
    actuals: np.ndarray


def _view(panel: _Panel, back: int) -> _View:
    which = [i for i, y in enumerate(panel.histories) if len(y) - back >= SHORTEST]
    now = [panel.histories[i][: len(panel.histories[i]) - back] for i in which]
    pairs = [
        (at, panel.row[i, cut])
        for at, (i, y) in enumerate(zip(which, now, strict=True))
        for cut in _cutoffs(len(y), panel.season, [0], panel.offsets)[1:]
    ]
    place, rows = np.array(pairs, dtype="int64").reshape(-1, 2).T
    past = [now[at][: panel.origins.cutoff[row]] for at, row in zip(place, rows, strict=True)]
    actuals = np.full((len(rows), panel.horizon), np.nan)
    for row, (at, y) in enumerate(zip(place, past, strict=True)):
        known = now[at][len(y) : len(y) + panel.horizon]
        actuals[row, : len(known)] = known
    own = panel.origins.forecasts[[panel.row[i, len(y)] for i, y in zip(which, now, strict=True)]]
    return _View(np.array(which), now, own, place, past, panel.origins.forecasts[rows], actuals)


def _at(panel: _Panel, back: int, names: list[str]) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """The series that reach back so far, and each named model's forecast of them from there with intervals."""
    if max(map(len, panel.histories)) - back < SHORTEST:
        return np.zeros(0, dtype="int64"), {}
    view = _view(panel, back)
    lengths, known = np.array(list(map(len, view.now))), np.array(list(map(len, view.past)), dtype="int64")
    units = np.array([error_unit(y, panel.season) for y in view.past])
    like_now = known >= LIKE_NOW * lengths[view.place]
    like_now = like_now if like_now.any() else ~like_now
    now_units = np.array([error_unit(y, panel.season) for y in view.now])
    found = {}
    for name in names:
        if name == ENSEMBLE:
            before, point = _combine(panel, view)
        else:
            at = panel.origins.models.index(name)
            before, point = view.earlier[:, at], view.forecasts[:, at]
        errors = Errors(*(part[like_now] for part in (view.actuals - before, view.place, known, units)))
        quantiles = error_quantiles(errors, now_units, lengths)
        found[name] = with_intervals(point, quantiles, panel.nonnegative[view.which])
    return view.which, found


def _combine(panel: _Panel, view: _View) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts at earlier origins and now. Now: weighted, corrected, mixed with what the model of all series says.
    Earlier: the median (nothing in it was learned there), nearer to the actual by what that model saves.
    """
    chosen = [panel.origins.models.index(name) for name in panel.combined]
    earlier, own = view.earlier[:, chosen], view.forecasts[:, chosen]
    weights = _weights(view.place, np.abs(earlier - view.actuals[:, None]), len(view.now))
    point = np.einsum("im,imh->ih", weights, own)
    learned = np.array([len(y) >= SHORT and np.ptp(y) > 0 for y in view.now])[:, None]
    correction = pooled_correction(view.past, earlier, view.actuals, view.now, own, panel.season)
    if correction is not None:
        point = point + learned * correction
    starts = panel.last[view.which] + 1 - np.array([len(panel.histories[i]) for i in view.which])
    shared = boosted_forecast(view.now, starts, panel.horizon, panel.season)
    if shared is None:
        return centre(earlier), point
    found, error_left = shared
    before = view.actuals - error_left * (view.actuals - centre(earlier))
    return before, point + SHARED * learned * (found - point)


def _weights(place: np.ndarray, errors: np.ndarray, count: int) -> np.ndarray:
    """Weights [N, models] from absolute errors [R, models, horizon] at earlier origins (NaN: not known), summing to 1
    by series.
    """
    models = errors.shape[1]
    if not len(place):
        return np.full((count, models), 1 / models)
    mean = np.nanmean(errors, axis=2)
    typical = mean.mean(axis=1, keepdims=True)
    relative = np.where(typical > 0, mean / np.where(typical > 0, typical, 1.0), 1.0)
    origins = np.bincount(place, minlength=count)[:, None]
    total = np.array([np.bincount(place, relative[:, m], count) for m in range(models)]).T
    shrunk = (total + PRIOR_ORIGINS * relative.mean(axis=0)) / (origins + PRIOR_ORIGINS)
    raw = np.maximum(shrunk, SMALLEST_ERROR) ** -SHARPNESS
    return raw / raw.sum(axis=1, keepdims=True)


def _label(panel: _Panel, series: int) -> str:
    history = panel.histories[series]
    if np.ptp(history) == 0:
        return "constant"
    return "naive" if len(history) < SHORT else ENSEMBLE
