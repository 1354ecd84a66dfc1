"""Revenue of a company and its regions: candidates judged on rolling origins, the usual one or a surely better one reconciled,
with measured intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadParameter
from salesml.evaluation.backtest import by_step
from salesml.evaluation.forecast_metrics import scale
from salesml.models.intervals import Errors, error_quantiles, error_unit, with_intervals
from salesml.models.revenue_input import SHORTEST, RevenueHistory, revenue_history
from salesml.models.revenue_levels import reconcile
from salesml.models.revenue_open_deals import OpenDeals, Origin, with_open_deals
from salesml.models.series_candidates import DEFAULT, forecast_origins

#: Rolling origins of all series together, and of one series.
FITS, MOST_ORIGINS = 120, 12
#: Below so many origins, errors of running totals have no sign yet.
FEW_TOTALS = 3
#: Prophet takes part up to this many series.
PROPHET_SERIES = 30
#: Below so many origins the usual model is kept; another takes its place where it is surer than so many standard errors.
FEW_ORIGINS, SURE = 3, 2.0
#: Candidates that are compared, the plainest first: it wins a tie.
AVERAGE, SEASONAL_NAIVE, ENSEMBLE, PROPHET, BLEND = "average", "seasonal_naive", "ensemble", "prophet", "blend"
WITH_DEALS = "ensemble_and_open_deals"
CHAMPION = "champion"


@dataclass(frozen=True)
class RevenueForecast:
    """A revenue forecast and the evidence for it.

    `frame`: one row per series and period: unique_id, ds, yhat, lo80, hi80, lo95, hi95 (currency units, ≥ 0), model,
    note; point forecasts of the parts sum to the whole. `totals`: the same of running totals from the first period to each.
    `backtest`: what `evaluation.backtest.by_step` says of `judged`, beside seasonal naive. The model `champion` there is the
    choice as it would have been made at each origin. `judged`: one row per model, series, origin and step: unique_id, level,
    window (periods known), origin (first period forecast), step, model, chosen (the model it stands for), y, yhat, the four
    ends, scale; `judged_totals`: the same of running totals, whose intervals come from the errors of earlier totals.
    `chosen`: the model used now. `notes`: what to know.
    """

    frame: pd.DataFrame
    totals: pd.DataFrame
    backtest: pd.DataFrame
    judged: pd.DataFrame
    judged_totals: pd.DataFrame
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
    open_deals: OpenDeals | None = None,
) -> RevenueForecast:
    """Forecast revenue `horizon` periods on for a whole and its parts.

    `history`: unique_id, ds (first day of a complete period), y (currency units, ≥ 0); a period without a row had no
    revenue. `levels` maps each part to the whole, as {"region/West": "company"}; the whole may be left out of
    `history`, and is their sum. `freq` is one of SEASONS. `open_deals`: what open deals say, at as many first periods as is known;
    then the ensemble together with them is a candidate too. Raises BadInput for a negative or unknown value, a date off
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
    if open_deals is not None:
        found[WITH_DEALS] = _with_deals(data, found[ENSEMBLE], open_deals, freq)
    rows, chosen = _judge(data, found, origins)
    past = {cut: found[chosen][cut] for cut in origins}
    now, totals = (with_measured_intervals(data, found[chosen][length], past, length, each) for each in (False, True))
    notes = tuple(_notes(data, origins, chosen, with_prophet, prophet))
    dates = pd.date_range(data.dates[-1], periods=horizon + 1, freq=freq)[1:]
    places = {"unique_id": np.repeat(data.ids, horizon), "ds": np.tile(dates, len(data.ids))}
    frames = [pd.DataFrame({**places, **{column: values.ravel() for column, values in made.items()}}) for made in (now, totals)]
    return RevenueForecast(
        frames[0].assign(model=chosen, note="; ".join(notes)), frames[1], by_step(rows, SEASONAL_NAIVE), rows,
        _judge(data, found, origins, totals=True)[0], chosen, notes,
    )  # fmt: skip


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


def _with_deals(data: RevenueHistory, ensemble: dict[int, np.ndarray], open_deals: OpenDeals, freq: str) -> dict[int, np.ndarray]:
    """The ensemble and what open deals say, added up for the whole."""
    bottom = data.parts if len(data.parts) else np.array([data.whole])
    names, length = [data.ids[at] for at in bottom], data.values.shape[1]
    starts = [*data.dates, pd.date_range(data.dates[-1], periods=2, freq=freq)[1]]
    origins = []
    for cut in sorted(ensemble):
        history = ensemble[cut][bottom]
        actual = np.full(history.shape, np.nan)
        known = data.values[bottom, cut : min(length, cut + history.shape[1])]
        actual[:, : known.shape[1]] = known
        told = [_laid(part.get(starts[cut]), names, history.shape[1]) for part in (open_deals.brought, open_deals.rest)]
        origins.append(Origin(cut, history, actual, *told))
    found = {}
    for origin, made in zip(origins, with_open_deals(origins), strict=True):
        found[origin.cut] = ensemble[origin.cut].copy()
        found[origin.cut][bottom] = made
        found[origin.cut][data.whole] = made.sum(axis=0)
    return found


def _laid(part: pd.DataFrame | None, names: list[str], steps: int) -> np.ndarray:
    if part is None:
        return np.full((len(names), steps), np.nan)
    return part.reindex(index=names, columns=range(steps)).to_numpy("float64")


def _shares(data: RevenueHistory, cut: int) -> np.ndarray:
    recent = data.values[data.parts, max(0, cut - data.season) : cut].sum(axis=1)
    return recent / recent.sum() if recent.sum() > 0 else np.full(len(data.parts), 1 / max(1, len(data.parts)))


def _judge(data: RevenueHistory, found: Forecasts, origins: list[int], totals: bool = False) -> tuple[pd.DataFrame, str]:
    """Backtest rows of every model and of the choice as it would have been made, and the choice now."""
    tables: list[pd.DataFrame] = []
    for cut in origins:
        earlier = [past for past in origins if past < cut]
        chosen = _choose(data, found, earlier, cut)
        for name in found:
            table = judged_rows(data, found[name], earlier, cut, name, totals)
            tables.extend([table, table.assign(model=CHAMPION)] if name == chosen else [table])
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return rows, _choose(data, found, origins, data.values.shape[1])


def _choose(data: RevenueHistory, found: Forecasts, origins: list[int], known: int) -> str:
    """The usual model, unless another's error at earlier origins, on periods known by now, is SURE standard errors lower.

    An error is the WAPE of the whole plus that of the parts; the standard error is that of its difference by origin. The lowest of many
    such errors at few origins is low by luck: taking it had 13.2 % of WAPE on twelve simulated companies, this rule 12.2 %.
    """
    usual = AVERAGE if known < 2 * data.season else WITH_DEALS if WITH_DEALS in found else ENSEMBLE
    errors = {name: _errors(data, made, origins, known) for name, made in found.items()}
    best = min(found, key=lambda name: errors[name].sum())
    gain = errors[usual] - errors[best]
    if len(gain) < FEW_ORIGINS:
        return usual
    return best if gain.mean() > SURE * gain.std(ddof=1) / np.sqrt(len(gain)) else usual


def _errors(data: RevenueHistory, made: dict[int, np.ndarray], origins: list[int], known: int) -> np.ndarray:
    """What each origin adds to the WAPE of the whole plus that of the parts."""
    total = np.zeros(len(origins))
    pairs = [_known(data, made[cut], cut, known) for cut in origins]
    for group in [np.array([data.whole])] + ([data.parts] if len(data.parts) else []):
        size = sum(np.abs(actual[group]).sum() for actual, _ in pairs)
        if size:
            total += np.array([np.abs(actual[group] - told[group]).sum() for actual, told in pairs]) / size
    return total


def _known(data: RevenueHistory, made: np.ndarray, cut: int, known: int) -> tuple[np.ndarray, np.ndarray]:
    actual = data.values[:, cut : min(known, cut + made.shape[1])]
    return actual, made[:, : actual.shape[1]]


def with_measured_intervals(
    data: RevenueHistory, point: np.ndarray, past: dict[int, np.ndarray], known: int, totals: bool = False,
    groups: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Points and ends [series, horizon] at an origin (`known` periods) from the errors of forecasts made at `past` ones, or those of
    running totals: from errors of the totals, never bounds added up.

    The totals of one or two origins mostly err to one side: then their errors count to both. The series err together in so many
    `groups`.
    """
    (count, horizon), forecast = point.shape, point
    errors = np.full((len(past), count, horizon), np.nan)
    for at, (cut, made) in enumerate(past.items()):
        actual, early = _known(data, made, cut, known)
        errors[at, :, : actual.shape[1]] = actual - early
    if totals:
        errors, point = errors.cumsum(axis=2), point.cumsum(axis=1)
    units = np.array([_units(data, cut, made) for cut, made in past.items()])
    origin = np.repeat(list(past), count).astype("int64")
    signs = [1, -1] if totals and len(past) < FEW_TOTALS else [1]
    errors, both = np.concatenate([sign * errors.reshape(-1, horizon) for sign in signs]), len(signs)
    seen = Errors(errors, np.tile(np.arange(count), len(past) * both), np.tile(origin, both), np.tile(units.reshape(-1), both))
    quantiles = error_quantiles(seen, _units(data, known, forecast), np.full(count, known), groups)
    return with_intervals(point, quantiles, np.ones(count, dtype=bool))


def _units(data: RevenueHistory, cut: int, made: np.ndarray) -> np.ndarray:
    """The error unit of each series at an origin; of one that has none yet (it never changed, as before a first sale) what others of
    its forecast's size have.
    """
    own = np.array([error_unit(row[:cut], data.season) for row in data.values])
    size, seen = np.nan_to_num(made).mean(axis=1), own > 0
    ratio = own[seen].sum() / size[seen].sum() if size[seen].sum() > 0 else 0.0
    return np.where(seen, own, ratio * size)


def judged_rows(
    data: RevenueHistory, made: dict[int, np.ndarray], earlier: list[int], cut: int, name: str, totals: bool,
    groups: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """What a model forecast at an origin beside what came, as `RevenueForecast.judged` has it; intervals by `earlier` origins."""
    found = with_measured_intervals(data, made[cut], {past: made[past] for past in earlier}, cut, totals, groups)
    actual, _ = _known(data, made[cut], cut, data.values.shape[1])
    actual = actual.cumsum(axis=1) if totals else actual
    steps = actual.shape[1]
    scales = [scale(row[:cut], data.season) for row in data.values]
    return pd.DataFrame(
        {
            "unique_id": np.repeat(data.ids, steps),
            "level": np.repeat([one.split("/")[0] for one in data.ids], steps),
            "window": cut,
            "origin": data.dates[cut],
            "step": np.tile(np.arange(1, steps + 1), len(data.ids)),
            "model": name,
            "chosen": name,
            "y": actual.ravel(),
            **{column: values[:, :steps].ravel() for column, values in found.items()},
            "scale": np.nan if totals else np.repeat(scales, steps),
        }
    )


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
