"""Bring your own series: read a long file, forecast or backtest it, write the answer and what was refused."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter
from salesml.evaluation.forecast_metrics import accuracy, wape_intervals
from salesml.models.series import ENSEMBLE, backtest_series, forecast_series
from salesml.models.series_input import COLUMNS, SeriesInput, clean_series
from salesml.workspace import write_atomically

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet", ".xlsx", ".xls")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SeriesRun:
    """What a run did: the input as cleaned, the table (forecasts, or accuracy by model), and sentences for the
    reader.
    """

    cleaned: SeriesInput
    table: pd.DataFrame
    summary: tuple[str, ...]


@dataclass(frozen=True)
class SeriesOptions:
    """How to read and forecast a file. `season` and `nonnegative` None: taken from the calendar, and from each series'
    history.
    """

    horizon: int
    season: int | None = None
    models: Sequence[str] | None = None
    nonnegative: bool | None = None
    gaps: str = "previous"
    columns: tuple[str, str, str] = COLUMNS


def forecast_file(file: Path, out: Path, options: SeriesOptions, progress: Progress | None = None) -> SeriesRun:
    """Forecast every good series of `file` into `out` (CSV): unique_id, ds, yhat, lo80, hi80, lo95, hi95, model.

    Refused series go to `<out>.rejected.csv` with the place of their first fault. Raises BadInput, BadParameter,
    NotEnoughData.
    """
    cleaned, season = _read(file, out, options)
    found = forecast_series(cleaned.frame, options.horizon, season, options.models, options.nonnegative, progress)
    table = found.assign(ds=cleaned.calendar.text(found["index"].to_numpy()))
    table = table[["unique_id", "ds", "yhat", "lo80", "hi80", "lo95", "hi95", "model"]]
    write_atomically(out, table.to_csv(index=False, float_format="%.10g").encode())
    return SeriesRun(cleaned, table, tuple(_summary(cleaned, season, file, out)))


def backtest_file(
    file: Path, out: Path, windows: int, options: SeriesOptions, progress: Progress | None = None
) -> SeriesRun:
    """Backtest every good series of `file` into `out` (JSON): accuracy by model, by step, by window, with intervals
    over series.

    The file's figures are fractions (wape, smape, bias, coverage), the series' unit (mae) or multiples (mase, to_naive,
    to_seasonal_naive: WAPE over that baseline's). Raises BadInput, BadParameter, NotEnoughData.
    """
    cleaned, season = _read(file, out, options)
    rows = backtest_series(
        cleaned.frame, options.horizon, season, windows, options.models, options.nonnegative, progress
    )
    pooled = accuracy(rows).merge(wape_intervals(rows, ["naive", "seasonal_naive"]), on="model")
    results = {
        "file": file.name,
        "frequency": cleaned.calendar.name,
        "horizon": options.horizon,
        "season": season,
        "windows": windows,
        "series": int(rows["unique_id"].nunique()),
        "series_rejected": len(cleaned.rejected),
        "series_too_short_to_hold_out": int(cleaned.frame["unique_id"].nunique() - rows["unique_id"].nunique()),
        "interval": "95 %, resampling series" if rows["unique_id"].nunique() > 1 else "95 %, resampling windows",
        "models": _records(pooled),
        "by_step": _records(accuracy(rows, ["model", "step"])),
        "by_window": _records(accuracy(rows, ["model", "window"])),
        "by_series": _records(accuracy(rows[rows["model"] == ENSEMBLE], ["unique_id"])),
    }
    write_atomically(out, json.dumps(results, indent=1, allow_nan=False).encode())
    return SeriesRun(cleaned, pooled, tuple(_summary(cleaned, season, file, out)))


def read_series(file: Path, columns: tuple[str, str, str] = COLUMNS) -> pd.DataFrame:
    """The three named columns of a CSV (also tab, semicolon, gz), Parquet or Excel file as text, called unique_id,
    ds, y.

    Raises BadInput where the file is absent, empty, of another kind, damaged, or lacks a column (it lists those found).
    """
    name = file.name.lower()
    if not file.is_file():
        raise BadInput("no such file", str(file), mend="Check the path.")
    if not name.endswith(SUFFIXES):
        raise BadInput(f"not one of {', '.join(SUFFIXES)}", file.name, mend="Save it as CSV.")
    if not file.stat().st_size:
        raise BadInput("the file is empty", file.name, mend="Give columns unique_id, ds, y.")
    try:
        table = _read_any(file, name)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"cannot be read ({reason})", file.name, mend="Mend it, or save it again as UTF-8 CSV."
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    for column in columns:
        if column not in table.columns:
            found = ", ".join(table.columns)
            mend = "Name the columns with --id-column, --time-column, --value-column."
            raise BadInput(f"column {column!r} is missing; found: {found}", file.name, mend=mend)
    return table[list(columns)].set_axis(list(COLUMNS), axis=1).apply(_as_text)


def _read_any(file: Path, name: str) -> pd.DataFrame:
    if name.endswith(".parquet"):
        return pd.read_parquet(file)
    if name.endswith((".xlsx", ".xls")):
        return pd.read_excel(file, engine="calamine", dtype=object, keep_default_na=False, na_values=[""])
    try:
        return _read_text(file, "utf-8-sig")
    except UnicodeDecodeError:
        return _read_text(file, "cp1252")


def _read_text(file: Path, encoding: str) -> pd.DataFrame:
    """All columns as text; the separator is the one that is most often in the header."""
    with (gzip.open if file.name.lower().endswith(".gz") else open)(file, "rt", encoding=encoding) as text:
        header = text.readline()
    separator = max(",;\t|", key=header.count)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header: never cut them silently
        return pd.read_csv(
            file, sep=separator, encoding=encoding, dtype="str", keep_default_na=False, na_values=[""], index_col=False
        )


def _as_text(column: pd.Series) -> pd.Series:
    """Cells as text: whole numbers without a fraction, midnights as dates; missing stays missing."""
    if pd.api.types.is_datetime64_any_dtype(column):
        midnight = (column.dropna() == column.dropna().dt.normalize()).all()
        return column.dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S").astype("str")
    if pd.api.types.is_string_dtype(column) and not pd.api.types.is_object_dtype(column):
        return column.astype("str")
    return column.map(_cell, na_action="ignore").astype("str")


def _cell(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d" if value.time() == dt.time() else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _read(file: Path, out: Path, options: SeriesOptions) -> tuple[SeriesInput, int]:
    if out.suffix == "" or out.is_dir():
        raise BadParameter(f"--out {out} is not a file name such as forecast.csv")
    if options.season is not None and options.season < 1:
        raise BadParameter(f"season {options.season!r} is not a whole number from 1")
    if options.horizon < 1:
        raise BadParameter(f"horizon {options.horizon!r} is not a whole number from 1")
    raw = read_series(file, options.columns)
    cleaned = clean_series(raw, file.name, options.season, options.gaps)
    refused = out.with_name(out.name + ".rejected.csv")
    if len(cleaned.rejected):
        write_atomically(refused, cleaned.rejected.to_csv(index=False).encode())
    else:
        refused.unlink(missing_ok=True)
    return cleaned, options.season or cleaned.calendar.season


def _summary(cleaned: SeriesInput, season: int, file: Path, out: Path) -> list[str]:
    sizes = cleaned.frame.groupby("unique_id").size()
    calendar = f"{cleaned.calendar.name}, season {season}"
    lines = [f"{file.name}: {len(sizes)} series of {sizes.min()} to {sizes.max()} periods, {calendar}"]
    if len(cleaned.rejected):
        first = cleaned.rejected.sort_values("row").iloc[0]
        place = BadInput(
            first["reason"], first["file"], int(first["row"]), first["column"], first["value"], first["mend"]
        )
        lines.append(f"{len(cleaned.rejected)} series refused, listed in {out.name}.rejected.csv; the first: {place}")
    for done in sorted(set(cleaned.notes.values())):
        named = [series for series, note in cleaned.notes.items() if note == done]
        others = f" and {len(named) - 3} more" if len(named) > 3 else ""
        lines.append(f"series {', '.join(named[:3])}{others}: {done}")
    constant = cleaned.frame.groupby("unique_id")["y"].nunique().eq(1)
    if constant.any():
        lines.append(f"{int(constant.sum())} series never changed: forecast as that value, interval of no width")
    return lines


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    def plain(value: object) -> object:
        if isinstance(value, float | np.floating):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        return int(value) if isinstance(value, np.integer) else value

    return [{str(key): plain(value) for key, value in row.items()} for row in table.to_dict("records")]
