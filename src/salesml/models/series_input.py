"""Checks a long frame of series as text and turns it into regular, gapless series, saying of every refused one why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.models.series_calendar import Calendar, find_calendar, read_times

COLUMNS = ("unique_id", "ds", "y")
#: Shortest series that is forecast, in observations.
SHORTEST = 3
#: With `gaps="previous"`: most missing periods in a row, and in all as a share of the span.
LONGEST_GAP, GAP_SHARE = 3, 0.1
#: With `gaps="zero"`: a span of more periods per observation than this is taken for a wrong date.
WIDEST_SPAN = 50
GAP_RULES = ("previous", "zero", "error")
MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "#n/a", "-")
REJECTED = ("unique_id", "file", "row", "column", "value", "reason", "mend")


@dataclass(frozen=True)
class SeriesInput:
    """Regular series and what was done to get them.

    `frame`: one row per series and period, `unique_id` (exact text), `index` (position on `calendar`), `y`; sorted,
    no gaps. `rejected`: one row per refused series, with the place of its first fault. `notes`: series → what was
    filled or dropped.
    """

    frame: pd.DataFrame
    calendar: Calendar
    rejected: pd.DataFrame
    notes: dict[str, str]


def clean_series(raw: pd.DataFrame, file: str, season: int | None = None, gaps: str = "previous") -> SeriesInput:
    """Check `raw` (text columns unique_id, ds, y in the file's order) and return its good series.

    Missing periods between a series' first and last value: `previous` fills up to 3 in a row and 10 % in all with the
    value one season earlier, else the value before; `zero` fills all with 0; `error` refuses the series. Periods
    without a value before the first or after the last value are dropped. Raises BadInput where the file as a whole is
    unusable, NotEnoughData if no series is left.
    """
    if gaps not in GAP_RULES:
        raise BadParameter(f"gaps {gaps!r} is not one of {', '.join(GAP_RULES)}")
    lacking = [name for name in COLUMNS if name not in raw.columns]
    if lacking:
        found = ", ".join(map(str, raw.columns)) or "none"
        raise BadInput(
            f"column {lacking[0]} is missing; found: {found}",
            file,
            mend="Name the columns with --id-column, --time-column, --value-column.",
        )
    if raw.empty:
        raise BadInput("the file has no rows", file, mend="Give at least one series of three observations.")
    rows = raw.loc[:, list(COLUMNS)].reset_index(drop=True)
    times, notation = read_times(rows["ds"], file)
    unread = set(rows.loc[times.isna(), "unique_id"])
    sound = ~rows["unique_id"].isin(unread) if set(rows["unique_id"]) > unread else times.notna()
    calendar = find_calendar(rows.loc[sound, "unique_id"], times[sound], notation, file, ignore_spacing=gaps == "zero")
    rows["index"] = calendar.index(times)
    rows["value"], faults = _values(rows["y"])
    faults += _period_faults(rows, times, calendar)
    rejected = _first_faults(rows, faults, file)
    good = rows[~rows["unique_id"].isin(rejected["unique_id"]) & rows["unique_id"].notna()]
    frame, notes, late = _regular(good, season or calendar.season, gaps)
    rejected = pd.concat([rejected, _first_faults(rows, late, file)]).sort_values("unique_id", ignore_index=True)
    if frame.empty:
        first = rejected.sort_values("row").iloc[0]
        place = BadInput(first["reason"], file, first["row"], first["column"], first["value"], first["mend"])
        raise NotEnoughData(f"no usable series is left of {len(rejected)}. The first fault: {place}")
    return SeriesInput(frame, calendar, rejected, notes)


Faults = list[tuple[pd.Series, str, str, str]]  # which rows, column, reason, mend


def _values(texts: pd.Series) -> tuple[pd.Series, Faults]:
    stripped = texts.str.strip()
    missing = stripped.isna() | stripped.str.lower().isin(MISSING_WORDS)
    values = pd.to_numeric(stripped.mask(missing), errors="coerce").astype("float64")
    infinite = values.isin([np.inf, -np.inf])
    faults: Faults = [
        (
            values.isna() & ~missing,
            "y",
            "not a number",
            "Write plain numbers such as 1234.5, without units or thousands separators.",
        ),
        (infinite, "y", "not a finite number", "Give the true value, or leave the cell empty."),
    ]
    return values.mask(infinite), faults


def _period_faults(rows: pd.DataFrame, times: pd.Series, calendar: Calendar) -> Faults:
    on_grid = rows["index"].notna()
    again = rows.duplicated(["unique_id", "index"]) & on_grid & rows["unique_id"].notna()
    example = calendar.text(rows.loc[on_grid, "index"].to_numpy("int64")[:1])
    style = f" such as {example[0]}" if len(example) else ""
    return [
        (
            rows["unique_id"].isna() | (rows["unique_id"] == ""),
            "unique_id",
            "no series name",
            "Name the series of every row.",
        ),
        (times.isna(), "ds", "not a period in the notation of the file", f"Write every period in one notation{style}."),
        (
            times.notna() & ~on_grid,
            "ds",
            f"off the file's grid, which is {calendar.name}",
            "Give periods of one regular frequency.",
        ),
        (again, "ds", "the series has this period twice", "Keep one row per series and period, or sum them."),
    ]


def _first_faults(rows: pd.DataFrame, faults: Faults, file: str) -> pd.DataFrame:
    """The first fault of each series, one row each."""
    found = []
    for where, column, reason, mend in faults:
        hit = rows.loc[where[where].index]
        at = hit[["unique_id"]].fillna("").assign(file=file, row=hit.index + 1, column=column)
        found.append(at.assign(value=hit[column].fillna(""), reason=reason, mend=mend))
    every = pd.concat(found) if found else pd.DataFrame(columns=list(REJECTED))
    return every.sort_values("row", kind="stable").drop_duplicates("unique_id")[list(REJECTED)]


def _regular(rows: pd.DataFrame, season: int, gaps: str) -> tuple[pd.DataFrame, dict[str, str], Faults]:
    """Gapless series, a note for each one that was changed, and the faults that show only on the whole series."""
    rows = rows.sort_values(["unique_id", "index"])
    known = rows[rows["value"].notna()]
    faults = _series_faults(rows, known, gaps)
    bad = {series for where, *_ in faults for series in rows.loc[where[where].index, "unique_id"]}
    rows, known = rows[~rows["unique_id"].isin(bad)], known[~known["unique_id"].isin(bad)]
    if known.empty:
        return pd.DataFrame({"unique_id": [], "index": [], "y": []}), {}, faults
    span = known.groupby("unique_id", sort=True)["index"].agg(["min", "max"]).astype("int64")
    sizes = (span["max"] - span["min"] + 1).to_numpy()
    starts = np.repeat(span["min"].to_numpy() - np.cumsum(sizes) + sizes, sizes)
    grid = pd.DataFrame(
        {"unique_id": np.repeat(span.index.to_numpy(), sizes), "index": starts + np.arange(sizes.sum())}
    )
    values = known[["unique_id", "index", "value"]].astype({"index": "int64"})
    frame = grid.merge(values, how="left", on=["unique_id", "index"]).rename(columns={"value": "y"})
    by_series = frame.groupby("unique_id", sort=False)["y"]
    empty = frame["y"].isna()
    if gaps == "zero":
        frame["y"] = frame["y"].fillna(0.0)
    else:
        frame["y"] = frame["y"].fillna(by_series.shift(season)).fillna(by_series.ffill())
    return frame, _notes(frame.loc[empty, "unique_id"], rows, span, gaps), faults


def _series_faults(rows: pd.DataFrame, known: pd.DataFrame, gaps: str) -> Faults:
    """Series that are too short, and rows that follow a gap the rule does not fill."""
    count = known.groupby("unique_id")["index"].transform("size").reindex(rows.index)
    enough = rows["unique_id"].map(known["unique_id"].value_counts()).fillna(0) >= SHORTEST
    last = ~rows.duplicated("unique_id", keep="last")
    absent = (known.groupby("unique_id")["index"].diff().fillna(1) - 1).astype("int64")
    total = absent.groupby(known["unique_id"]).transform("sum")
    if gaps == "zero":
        wrong = (absent > 0) & (total > WIDEST_SPAN * count.loc[known.index])
        rule, mend = f"a span of {WIDEST_SPAN} periods per observation", "Mend the date."
    else:
        longest, share = (LONGEST_GAP, GAP_SHARE) if gaps == "previous" else (0, 0.0)
        wrong = (absent > longest) | ((absent > 0) & (total > share * (total + count.loc[known.index])))
        rule, mend = (
            f"{longest} in a row, {share:.0%} in all",
            "Add the periods, or pass --gaps zero where absent means zero.",
        )
    faults: Faults = [
        (last & ~enough, "y", f"fewer than {SHORTEST} values in the series", f"Give at least {SHORTEST} observations.")
    ]
    for missing, in_all in sorted(set(zip(absent[wrong], total[wrong], strict=True))):
        which = (wrong & (absent == missing) & (total == in_all)).reindex(rows.index, fill_value=False)
        faults.append(
            (which, "ds", f"{missing} periods are missing before this one, {in_all} in all (allowed: {rule})", mend)
        )
    return faults


def _notes(filled: pd.Series, rows: pd.DataFrame, span: pd.DataFrame, gaps: str) -> dict[str, str]:
    how = "0" if gaps == "zero" else "the value one season earlier, else the value before"
    counts = filled.value_counts()
    notes = {str(series): [f"{count} missing periods filled with {how}"] for series, count in counts.items()}
    blank = rows[rows["value"].isna()]
    for part, outside in (
        ("before the first", blank["index"] < blank["unique_id"].map(span["min"])),
        ("after the last", blank["index"] > blank["unique_id"].map(span["max"])),
    ):
        for series, count in blank.loc[outside, "unique_id"].value_counts().items():
            notes.setdefault(str(series), []).append(f"{count} periods without a value {part} value dropped")
    return {series: "; ".join(parts) for series, parts in sorted(notes.items())}
