"""Accuracy of forecasts that were made before the fact, with intervals from resampling whole series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

LEVELS = (80, 95)
#: Columns of a forecast → the quantiles they stand for.
QUANTILES = {"lo95": 0.025, "lo80": 0.1, "yhat": 0.5, "hi80": 0.9, "hi95": 0.975}


def wape(actual: np.ndarray | pd.Series, predicted: np.ndarray | pd.Series) -> float:
    """Weighted absolute percentage error, Σ|y−ŷ| / Σ|y|, as a fraction; NaN where all actuals are 0 (Kolassa & Schütz
    2007).
    """
    total = float(np.abs(actual).sum())
    return float(np.abs(np.asarray(actual) - np.asarray(predicted)).sum()) / total if total else float("nan")


def scale(history: np.ndarray, season: int) -> float:
    """Mean absolute seasonal difference of the history in the series' unit: MASE's denominator (Hyndman & Koehler
    2006).

    Falls back to the plain difference where the history is no longer than a season; NaN where it is 0 or undefined.
    """
    lag = season if len(history) > season else 1
    value = float(np.abs(history[lag:] - history[:-lag]).mean()) if len(history) > lag else float("nan")
    return value if value > 0 else float("nan")


def pinball(forecasts: pd.DataFrame) -> pd.Series:
    """Mean pinball loss of each row over the quantiles 2.5, 10, 50, 90, 97.5 % (lo95, lo80, yhat, hi80, hi95), in y's unit; NaN
    where a bound is missing (Koenker & Bassett 1978).
    """
    levels = np.array(list(QUANTILES.values()))
    gap = forecasts["y"].to_numpy("float64")[:, None] - forecasts[list(QUANTILES)].to_numpy("float64")
    return pd.Series(np.maximum(levels * gap, (levels - 1) * gap).mean(axis=1), forecasts.index)


def accuracy(forecasts: pd.DataFrame, by: Sequence[str] = ("model",)) -> pd.DataFrame:
    """One row per group of `by`: n, wape, mae, mase, smape (fraction, 0…2), bias (Σ(ŷ−y)/Σ|y|), cover80, cover95
    (fractions).

    `forecasts` has one row per series, window, step and model: y, yhat, lo80, hi80, lo95, hi95 in the series' unit,
    and `scale`. Rows without a scale are left out of mase, rows without an interval out of the coverage.
    """
    y, yhat = forecasts["y"], forecasts["yhat"]
    error, size = (yhat - y).abs(), y.abs() + yhat.abs()
    parts = forecasts[list(by)].assign(
        error=error,
        signed=yhat - y,
        size=y.abs(),
        mase=error / forecasts["scale"],
        smape=(2 * error / size).where(size > 0, 0.0),
    )
    for level in LEVELS:
        low, high = forecasts[f"lo{level}"], forecasts[f"hi{level}"]
        parts[f"cover{level}"] = ((y >= low) & (y <= high)).astype("float64").where(low.notna() & high.notna())
    groups = parts.groupby(list(by), sort=True, observed=True)
    sums = groups[["error", "signed", "size"]].sum()
    means = groups[["mase", "smape", *(f"cover{level}" for level in LEVELS)]].mean()
    total = sums["size"].where(sums["size"] > 0)
    return pd.DataFrame(
        {
            "n": groups.size(),
            "wape": sums["error"] / total,
            "mae": sums["error"] / groups.size(),
            "mase": means["mase"],
            "smape": means["smape"],
            "bias": sums["signed"] / total,
            **{f"cover{level}": means[f"cover{level}"] for level in LEVELS},
        }
    ).reset_index()


def wape_intervals(
    forecasts: pd.DataFrame,
    baselines: Sequence[str],
    unit: str | None = None,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per model: WAPE and its ratio to each baseline model's WAPE, each with an interval from resampling
    `unit`.

    Columns: model, wape_lo, wape_hi, and for each baseline b: to_b, to_b_lo, to_b_hi (below 1 is better than b). The
    unit is a column: `unique_id`, or `window` where there is only one series (None chooses). Where there is only one of
    the unit, the ends are NaN, for one draw says nothing about the next.
    """
    unit = unit or ("unique_id" if forecasts["unique_id"].nunique() > 1 else "window")
    parts = forecasts[["model", unit]].assign(
        error=(forecasts["yhat"] - forecasts["y"]).abs(), size=forecasts["y"].abs()
    )
    errors = parts.pivot_table(index=unit, columns="model", values="error", aggfunc="sum")
    sizes = parts.pivot_table(index=unit, columns="model", values="size", aggfunc="sum")
    count = len(errors)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples if count > 1 else 0)
    point = errors.sum() / sizes.sum().where(lambda total: total > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = pd.DataFrame((draws @ errors.to_numpy()) / (draws @ sizes.to_numpy()), columns=errors.columns)
    table = pd.DataFrame({"wape_lo": _end(drawn, 1 - level), "wape_hi": _end(drawn, 1 + level)})
    for name in baselines:
        ratios = drawn.div(drawn[name].where(drawn[name] > 0), axis=0)
        table[f"to_{name}"] = point / point[name] if point[name] > 0 else np.nan
        table[f"to_{name}_lo"], table[f"to_{name}_hi"] = _end(ratios, 1 - level), _end(ratios, 1 + level)
    return table.rename_axis("model").reset_index()


def _end(drawn: pd.DataFrame, twice: float) -> pd.Series:
    return drawn.quantile(twice / 2) if len(drawn) else pd.Series(np.nan, index=drawn.columns)
