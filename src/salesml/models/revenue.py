"""Revenue of a company and its regions: candidates judged on rolling origins, the best one reconciled, with
measured intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadParameter
from salesml.evaluation.forecast_metrics import accuracy, scale, wape_intervals
from salesml.models.intervals import Errors, error_quantiles, error_unit, with_intervals
from salesml.models.revenue_input import SHORTEST, RevenueHistory, revenue_history
from salesml.models.revenue_levels import reconcile
from salesml.models.series_candidates import DEFAULT, forecast_origins

#: Rolling origins of all series together, and of one series.
FITS, MOST_ORIGINS = 120, 12
#: Prophet takes part up to this many series.
PROPHET_SERIES = 30
#: Candidates that are compared, the plainest first: it wins a tie.
AVERAGE, SEASONAL_NAIVE, ENSEMBLE, PROPHET, BLEND = "average", "seasonal_naive", "ensemble", "prophet", "blend"
CHAMPION = "champion"
ALL_STEPS = 0


@dataclass(frozen=True)
class RevenueForecast:
    """A revenue forecast and the evidence for it.

    `frame`: one row per series and period: unique_id, ds, yhat, lo80, hi80, lo95, hi95 (currency units, ≥ 0), model,
    note; point forecasts of the parts sum to the whole. `backtest`: one row per model, level and step (0: all steps):
    n, wape, mae, mase, smape, bias, cover80, cover95, wape_lo, wape_hi, to_seasonal_naive, to_seasonal_naive_lo,
    to_seasonal_naive_hi (95 %, resampling origins). The model `champion` there is the choice as it would have been
    made at each origin. `chosen`: the model used now. `notes`: what to know.
    """

    frame: pd.DataFrame
    backtest: pd.DataFrame
    chosen: str
    notes: tuple[str, ...]


def forecast_revenue(
    history: pd.DataFrame,
    horizon: int,
    freq: str,
    levels: Mapping[str, str],
    as_of: pd.Timestamp | None = None,
    prophet: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> RevenueForecast:
    """Forecast revenue `horizon` periods on for a whole and its parts.

    `history`: unique_id, ds (first day of a complete period), y (currency units, ≥ 0); a period without a row had no
    revenue. `levels` maps each part to the whole, as {"region/West": "company"}; the whole may be left out of
    `history`, and is their sum. `freq` is one of SEASONS. Raises BadInput for a negative or unknown value, a date off
    the grid, parts that do not sum to the whole, or a period that ends after `as_of` (naive, the first instant not
    known); NotEnoughData below three periods; BadParameter.
    """
    if horizon < 1:
        raise BadParameter(f"horizon {horizon!r} is not a whole number from 1")
    data = revenue_history(history, freq, levels, as_of)
    length = data.values.shape[1]
    origins = _origins(length, horizon, len(data.ids))
    with_prophet = prophet and len(data.ids) <= PROPHET_SERIES
    found = _candidates(data, [*origins, length], horizon, with_prophet, progress)
    rows, chosen = _judge(data, found, origins, horizon)
    past = {cut: found[chosen][cut] for cut in origins}
    now = _with_intervals(data, found[chosen][length], past, length)
    notes = tuple(_notes(data, origins, chosen, with_prophet, prophet))
    dates = pd.date_range(data.dates[-1], periods=horizon + 1, freq=freq)[1:]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(data.ids, horizon),
            "ds": np.tile(dates, len(data.ids)),
            **{column: values.ravel() for column, values in now.items()},
            "model": chosen,
            "note": "; ".join(notes),
        }
    )
    return RevenueForecast(frame, _table(rows), chosen, notes)


def _origins(length: int, horizon: int, series: int) -> list[int]:
    """Numbers of known periods to forecast from again, oldest first, a third of the horizon apart (the last misses
    one period).
    """
    step = max(1, horizon // 3)
    most = max(4, min(MOST_ORIGINS, FITS // series))
    lowest = max(SHORTEST, length // 3)
    return list(range(length - 1, lowest - 1, -step))[:most][::-1]


Forecasts = dict[str, dict[int, np.ndarray]]


def _candidates(
    data: RevenueHistory, cutoffs: list[int], horizon: int, prophet: bool, progress: Callable[[int, int], None] | None
) -> Forecasts:
    """Reconciled forecasts [series, horizon] by model and origin; every series starts with its first revenue."""
    models = [
        AVERAGE,
        SEASONAL_NAIVE,
        *(name for name in DEFAULT if name != SEASONAL_NAIVE),
        *([PROPHET] if prophet else []),
    ]
    starts = [int(np.argmax(row > 0)) if (row > 0).any() else 0 for row in data.values]
    histories = [row[start:] for row, start in zip(data.values, starts, strict=True)]
    wanted = [(at, cut - start) for cut in cutoffs for at, start in enumerate(starts) if cut > start]
    found = forecast_origins(histories, wanted, models, horizon, data.season, progress)
    place = {pair: row for row, pair in enumerate(wanted)}
    result: Forecasts = {}
    for cut in cutoffs:
        shape = (len(models), len(starts), horizon)
        raw = np.zeros(shape)
        for at, start in enumerate(starts):
            if cut > start:
                raw[:, at] = np.maximum(found.forecasts[place[at, cut - start]], 0.0)
        shares = _shares(data, cut)
        for name, values in _named(raw, models).items():
            result.setdefault(name, {})[cut] = reconcile(values, data.parts, data.whole, shares)
    return result


def _named(raw: np.ndarray, models: list[str]) -> dict[str, np.ndarray]:
    ensemble = np.median(raw[[models.index(name) for name in DEFAULT]], axis=0)
    named = {AVERAGE: raw[models.index(AVERAGE)], SEASONAL_NAIVE: raw[models.index(SEASONAL_NAIVE)], ENSEMBLE: ensemble}
    if PROPHET in models:
        named[PROPHET] = raw[models.index(PROPHET)]
        named[BLEND] = (ensemble + named[PROPHET]) / 2
    return named


def _shares(data: RevenueHistory, cut: int) -> np.ndarray:
    recent = data.values[data.parts, max(0, cut - data.season) : cut].sum(axis=1)
    return recent / recent.sum() if recent.sum() > 0 else np.full(len(data.parts), 1 / max(1, len(data.parts)))


def _judge(data: RevenueHistory, found: Forecasts, origins: list[int], horizon: int) -> tuple[pd.DataFrame, str]:
    """Backtest rows of every model and of the choice as it would have been made, and the choice now."""
    tables: list[pd.DataFrame] = []
    for cut in origins:
        earlier = [past for past in origins if past < cut]
        chosen = _choose(data, found, earlier, cut)
        for name in found:
            table = _rows(data, found[name], earlier, cut, horizon, name)
            tables.extend([table, table.assign(model=CHAMPION)] if name == chosen else [table])
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return rows, _choose(data, found, origins, data.values.shape[1])


def _choose(data: RevenueHistory, found: Forecasts, origins: list[int], known: int) -> str:
    """The model of the lowest error at earlier origins on periods known by now: WAPE of the whole plus WAPE of the
    parts.
    """
    if not origins:
        return AVERAGE if known < 2 * data.season else ENSEMBLE
    groups = [np.array([data.whole])] + ([data.parts] if len(data.parts) else [])

    def error(name: str) -> float:
        total = 0.0
        for group in groups:
            pairs = [_known(data, found[name][cut], cut, known) for cut in origins]
            size = sum(np.abs(actual[group]).sum() for actual, _ in pairs)
            total += sum(np.abs(actual[group] - made[group]).sum() for actual, made in pairs) / size if size else 0.0
        return total

    return min(found, key=error)


def _known(data: RevenueHistory, made: np.ndarray, cut: int, known: int) -> tuple[np.ndarray, np.ndarray]:
    actual = data.values[:, cut : min(known, cut + made.shape[1])]
    return actual, made[:, : actual.shape[1]]


def _with_intervals(
    data: RevenueHistory, point: np.ndarray, past: dict[int, np.ndarray], known: int
) -> dict[str, np.ndarray]:
    count, horizon = point.shape
    errors = np.full((len(past), count, horizon), np.nan)
    for at, (cut, made) in enumerate(past.items()):
        actual, early = _known(data, made, cut, known)
        errors[at, :, : actual.shape[1]] = actual - early
    units = np.array([[error_unit(row[:cut], data.season) for row in data.values] for cut in past])
    origin = np.repeat(list(past), count).astype("int64")
    seen = Errors(errors.reshape(-1, horizon), np.tile(np.arange(count), len(past)), origin, units.reshape(-1))
    now = np.array([error_unit(row[:known], data.season) for row in data.values])
    quantiles = error_quantiles(seen, now, np.full(count, known), related=True)
    return with_intervals(point, quantiles, np.ones(count, dtype=bool))


def _rows(
    data: RevenueHistory, made: dict[int, np.ndarray], earlier: list[int], cut: int, horizon: int, name: str
) -> pd.DataFrame:
    found = _with_intervals(data, made[cut], {past: made[past] for past in earlier}, cut)
    actual, _ = _known(data, made[cut], cut, data.values.shape[1])
    steps = actual.shape[1]
    scales = [scale(row[:cut], data.season) for row in data.values]
    return pd.DataFrame(
        {
            "unique_id": np.repeat(data.ids, steps),
            "level": np.repeat([one.split("/")[0] for one in data.ids], steps),
            "window": cut,
            "step": np.tile(np.arange(1, steps + 1), len(data.ids)),
            "model": name,
            "y": actual.ravel(),
            **{column: values[:, :steps].ravel() for column, values in found.items()},
            "scale": np.repeat(scales, steps),
        }
    )


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return rows
    both = pd.concat([rows, rows.assign(step=ALL_STEPS)], ignore_index=True)
    groups = both.groupby(["level", "step"], sort=True)
    ratios = {key: wape_intervals(part, [SEASONAL_NAIVE], unit="window") for key, part in groups}
    ratio = pd.concat(ratios, names=["level", "step"]).reset_index(["level", "step"])
    return accuracy(both, ["model", "level", "step"]).merge(ratio, on=["model", "level", "step"])


def _notes(data: RevenueHistory, origins: list[int], chosen: str, used: bool, wanted: bool) -> list[str]:
    length, notes = data.values.shape[1], []
    if length < 2 * data.season:
        notes.append(f"{length} periods of history are under two seasons ({2 * data.season}): no season can be learned")
    if length <= data.season:
        notes.append("the seasonal naive forecast is the plain naive one here")
    if len(origins) < 5:
        notes.append(f"the choice of {chosen} and the intervals rest on {len(origins)} earlier forecasts only")
    if wanted and not used:
        notes.append(f"Prophet left out: more than {PROPHET_SERIES} series")
    if not (data.values[data.whole] > 0).any():
        notes.append("there never was any revenue: the forecast is zero")
    return notes
