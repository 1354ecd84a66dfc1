"""Checks revenue by period and lays it on one grid: a whole, its parts, zero where nothing was sold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter, NotEnoughData

#: Frequency alias of pandas → periods in a season. Periods are named by their first day.
SEASONS = {"MS": 12, "QS": 4, "W-MON": 52, "W-SUN": 52}
SHORTEST = 3
#: How far parts and whole may be apart for each part, in currency units: each was rounded to cents.
CENT = 0.01


@dataclass(frozen=True)
class RevenueHistory:
    """Revenue on one grid: `values` [series, period] in currency units, `ids` and `dates` (first days) name its axes.

    Row `whole` is the sum of the rows `parts`; `season` is in periods.
    """

    ids: list[str]
    values: np.ndarray
    dates: pd.DatetimeIndex
    parts: np.ndarray
    whole: int
    season: int


def revenue_history(
    history: pd.DataFrame, freq: str, levels: Mapping[str, str], as_of: pd.Timestamp | None
) -> RevenueHistory:
    """Check `history` (unique_id, ds, y) and lay it on its grid; raises as `revenue.forecast_revenue` says."""
    if freq not in SEASONS:
        raise BadParameter(f"freq {freq!r} is not one of {', '.join(SEASONS)}")
    if len(set(levels.values())) > 1:
        raise BadParameter(f"levels name more than one whole: {', '.join(sorted(set(levels.values())))}")
    _check(history, freq, as_of)
    table = history.pivot(index="unique_id", columns="ds", values="y")
    dates = pd.date_range(table.columns.min(), table.columns.max(), freq=freq)
    if len(dates) < SHORTEST:
        raise NotEnoughData(f"{len(dates)} complete periods of revenue; a forecast takes at least {SHORTEST}")
    table = table.reindex(columns=dates).fillna(0.0)
    whole = next(iter(levels.values())) if levels else str(table.index[0])
    unknown = sorted(set(table.index) - set(levels) - {whole})
    if unknown:
        mend = "Name it in levels, or leave it out."
        raise BadInput("series is in no level", column="unique_id", value=unknown[0], mend=mend)
    parts = sorted(set(levels) & set(table.index))
    if whole not in table.index:
        table.loc[whole] = table.loc[parts].sum()
    if parts:
        _check_sums(table, parts, whole)
    ids = [whole, *parts]
    return RevenueHistory(ids, table.loc[ids].to_numpy("float64"), dates, np.arange(1, len(ids)), 0, SEASONS[freq])


def _check_sums(table: pd.DataFrame, parts: list[str], whole: str) -> None:
    apart = (table.loc[parts].sum() - table.loc[whole]).to_numpy("float64")
    worst = int(np.abs(apart).argmax())
    if abs(apart[worst]) > CENT * len(parts):
        reason = f"the parts sum to {apart[worst]:+.2f} beside {whole}"
        raise BadInput(reason, column="y", value=f"{table.columns[worst]:%Y-%m-%d}", mend="Give every part.")


def _check(history: pd.DataFrame, freq: str, as_of: pd.Timestamp | None) -> None:
    lacking = [name for name in ("unique_id", "ds", "y") if name not in history.columns]
    if lacking:
        found = ", ".join(map(str, history.columns))
        raise BadInput(f"column {lacking[0]} is missing; found: {found}", mend="Give unique_id, ds, y.")
    if history.empty:
        raise NotEnoughData(f"no revenue yet; a forecast takes at least {SHORTEST} complete periods")
    offset = pd.tseries.frequencies.to_offset(freq)
    y, ds = history["y"].astype("float64"), history["ds"]
    off_grid = ~ds.map(offset.is_on_offset)
    _refuse(
        history,
        y.isna() | y.isin([np.inf, -np.inf]),
        "y",
        "not a finite amount",
        "Give the amount, or leave the row out.",
    )
    _refuse(history, y < 0, "y", "negative revenue", "Net refunds within a period, or leave them out.")
    _refuse(history, off_grid, "ds", f"not the first day of a {freq} period", "Give the period's first day.")
    _refuse(
        history, history.duplicated(["unique_id", "ds"]), "ds", "the series has this period twice", "Sum them first."
    )
    if as_of is not None:
        _refuse(
            history, ds + offset > as_of, "ds", f"the period is not over as of {as_of}", "Pass complete periods only."
        )


def _refuse(history: pd.DataFrame, where: pd.Series, column: str, reason: str, mend: str) -> None:
    if where.any():
        at = int(np.argmax(where.to_numpy()))
        raise BadInput(reason, row=at + 1, column=column, value=str(history[column].iloc[at]), mend=mend)
