"""The regular grid of periods that a file's `ds` column lies on: read it, continue it, write it as it was written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadInput

DAY = 86_400
#: Steps that a series must have for its spacing to count, where any series has so many.
TELLING = 3
#: Share of these series that must have the file's spacing; below it the file mixes frequencies.
AGREEMENT = 0.9
NOTATIONS = (
    ("%Y-%m-%d", "2017-01-31"),
    ("%Y-%m", "2017-01"),
    ("%Y-%m-%d %H:%M:%S", "2017-01-31 13:00:00"),
    ("%Y-%m-%dT%H:%M:%S", "2017-01-31T13:00:00"),
    ("%Y-%m-%dT%H:%M:%SZ", "2017-01-31T13:00:00Z"),
    ("%Y/%m/%d", "2017/01/31"),
    ("%d.%m.%Y", "31.01.2017"),
    ("%d/%m/%Y", "31/01/2017"),
    ("%m/%d/%Y", "01/31/2017"),
    ("%Y%m%d", "20170131"),
    ("%Y%m", "201701"),
)
INTEGER, QUARTER = "integer", "quarter"
MONTH_NAMES = {1: "monthly", 2: "two-monthly", 3: "quarterly", 4: "four-monthly", 6: "half-yearly", 12: "yearly"}
#: Median spacing in days (from, to) → months from one period to the next.
MONTH_SPACINGS = ((28, 31, 1), (59, 62, 2), (89, 92, 3), (120, 123, 4), (181, 184, 6), (365, 366, 12))


@dataclass(frozen=True)
class Calendar:
    """Periods at `anchor + step × index` of a unit: integers, seconds since 1970, business days since 1970, or months
    since year 0.

    `day` is the day of the month of every date (0: the last one), `clock` the seconds after midnight; both matter for
    months only, `clock` also for business days.
    """

    unit: str
    step: int
    anchor: int
    notation: str
    day: int = 1
    clock: int = 0

    @property
    def name(self) -> str:
        """What a person calls the frequency."""
        if self.unit == "month":
            where = {0: "month end", 1: "month start"}.get(self.day, f"day {self.day}")
            return f"{MONTH_NAMES.get(self.step, f'{self.step} months')} ({where})"
        if self.unit == "second":
            names = {DAY: "daily", 7 * DAY: "weekly", 3600: "hourly"}
            return names.get(self.step, f"every {pd.Timedelta(seconds=self.step)}")
        return "business days" if self.unit == "business day" else f"integer (step {self.step})"

    @property
    def season(self) -> int:
        """Periods in the season that is usual for this frequency: 12 months, 4 quarters, 7 days, 5 business days, 52
        weeks, 24 hours, else 1.
        """
        if self.unit == "month":
            return 12 // self.step if 12 % self.step == 0 else 1
        if self.unit == "second":
            return {DAY: 7, 7 * DAY: 52, 3600: 24}.get(self.step, 1)
        return 5 if self.unit == "business day" else 1

    def index(self, times: pd.Series) -> pd.Series:
        """Position of each time (as `read_times` gives them) on the grid as Int64; missing where it lies off the
        grid.
        """
        position, on_grid = _position(times, self.unit, self.day, self.clock)
        offset = position - self.anchor
        return (offset // self.step).where(on_grid & (offset % self.step == 0)).astype("Int64")

    def text(self, index: np.ndarray) -> np.ndarray:
        """The periods at these positions, in the file's own notation."""
        at = self.anchor + self.step * np.asarray(index, dtype="int64")
        if self.unit == "integer":
            return at.astype(str).astype(object)
        if self.unit == "second":
            times = pd.DatetimeIndex(at.astype("datetime64[s]"))
        elif self.unit == "business day":
            times = pd.DatetimeIndex(np.busday_offset("1970-01-01", at, roll="forward").astype("datetime64[s]"))
        else:
            first = (at - 1970 * 12).astype("datetime64[M]")
            last = (first + 1).astype("datetime64[D]") - 1
            days = last if self.day == 0 else np.minimum(first.astype("datetime64[D]") + (self.day - 1), last)
            times = pd.DatetimeIndex(days.astype("datetime64[s]"))
        if self.unit != "second":
            times = times + pd.Timedelta(seconds=self.clock)
        if self.notation == QUARTER:
            return np.array([f"{t.year}Q{t.quarter}" for t in times], dtype=object)
        return times.strftime(self.notation).to_numpy(dtype=object)


def read_times(texts: pd.Series, file: str) -> tuple[pd.Series, str]:
    """Parse `ds` texts in the one notation that fits the file: integers (float64) or naive timestamps; what does not
    fit is missing.

    Raises BadInput where no notation fits any value, or where day and month cannot be told apart.
    """
    values = texts.str.strip()
    unique = pd.Series(values.dropna().unique(), dtype="str")
    parsed = {notation: _parse(unique, notation) for notation in (*[n for n, _ in NOTATIONS], QUARTER, INTEGER)}
    fits = {notation: int(times.notna().sum()) for notation, times in parsed.items()}
    best = max(fits, key=lambda notation: fits[notation])
    if not fits[best]:
        shown = ", ".join(example for _, example in NOTATIONS)
        first = texts.index[0]
        raise BadInput(
            "not a period",
            file,
            int(first) + 1,
            "ds",
            str(texts.loc[first]),
            f"Write periods as 1, 2, 3 … or 2017Q1 or {shown}.",
        )
    if fits["%d/%m/%Y"] == fits["%m/%d/%Y"] == fits[best]:
        first = unique.index[0]
        raise BadInput(
            "day and month cannot be told apart", file, 1, "ds", unique.loc[first], "Write dates as 2017-01-31."
        )
    return values.map(dict(zip(unique, parsed[best], strict=True))), best


def _parse(unique: pd.Series, notation: str) -> pd.Series:
    if notation == INTEGER:
        return pd.to_numeric(unique.where(unique.str.fullmatch(r"-?\d{1,9}(\.0+)?")), errors="coerce").astype("float64")
    if notation == QUARTER:
        parts = unique.str.extract(r"^(\d{4})[- ]?Q([1-4])$")
        starts = parts[0] + "-" + (pd.to_numeric(parts[1]) * 3 - 2).astype("Int64").astype("str").str.zfill(2)
        return pd.to_datetime(starts, format="%Y-%m", errors="coerce")
    if notation in ("%Y%m", "%Y%m%d"):
        unique = unique.where(unique.str.len() == (6 if notation == "%Y%m" else 8))
        if not unique.notna().all():
            return pd.Series(pd.NaT, index=unique.index)
    return pd.to_datetime(unique, format=notation, errors="coerce")


def find_calendar(ids: pd.Series, times: pd.Series, notation: str, file: str, ignore_spacing: bool = False) -> Calendar:
    """The grid of a file: the spacing that most series have, anchored where most observations lie.

    Raises BadInput naming two series where fewer than 90 % of the series share one spacing; with `ignore_spacing`
    (gaps are going to be filled) the finest spacing is taken instead.
    """
    frame = pd.DataFrame({"id": ids, "time": times}).dropna().drop_duplicates().sort_values(["id", "time"])
    steps = frame.groupby("id", sort=True)["time"].diff()
    if notation != INTEGER:
        steps = steps.dt.total_seconds()
    by_series = steps.groupby(frame["id"])
    typical = by_series.quantile(0.5, interpolation="lower").dropna()
    telling = by_series.count().loc[typical.index] >= TELLING
    typical = typical[telling] if telling.any() else typical
    spacing = typical.map(lambda step: _spacing(step, notation))
    counts = spacing.value_counts()
    if counts.empty:
        spacing = pd.Series(
            [("month", 3) if notation == QUARTER else _spacing(DAY if notation != INTEGER else 1, notation)]
        )
        counts = spacing.value_counts()
    chosen = max(counts.index, key=lambda pair: (counts[pair], -pair[1]))
    if ignore_spacing:
        chosen = _finest(list(counts.index))
    elif counts[chosen] < AGREEMENT * counts.sum():
        _refuse_mixture(spacing, chosen, notation, file)
    if notation == INTEGER and chosen[1] > 1 and frame["time"].between(20_000, 80_000).all():
        mend = "Format the column as dates, for example 2017-01-31."
        raise BadInput(
            "these integers look like Excel's serial dates",
            file,
            column="ds",
            value=str(int(frame["time"].iloc[0])),
            mend=mend,
        )
    return _anchored(frame["time"], chosen, notation)


def _spacing(step: float, notation: str) -> tuple[str, int]:
    if notation == INTEGER:
        return "integer", max(1, int(step))
    days = step / DAY
    for low, high, months in MONTH_SPACINGS:
        if low <= days <= high:
            return "month", months
    return "second", max(1, int(step))


def _finest(spacings: list[tuple[str, int]]) -> tuple[str, int]:
    units = {unit for unit, _ in spacings}
    if units == {"month"} or units == {"integer"}:
        return units.pop(), math.gcd(*(step for _, step in spacings))
    return "second", math.gcd(*(step if unit == "second" else DAY for unit, step in spacings))


def _refuse_mixture(spacing: pd.Series, chosen: tuple[str, int], notation: str, file: str) -> None:
    usual, other = spacing.index[spacing == chosen][0], spacing.index[spacing != chosen][0]
    names = [Calendar(spacing[series][0], spacing[series][1], 0, notation).name for series in (usual, other)]
    raise BadInput(
        f"the file mixes frequencies: series {usual} is {names[0]}, series {other} is {names[1]}",
        file,
        column="ds",
        mend="Put one frequency into one file; where absent periods mean zero, pass --gaps zero.",
    )


def _anchored(times: pd.Series, spacing: tuple[str, int], notation: str) -> Calendar:
    unit, step = spacing
    day, clock = 1, 0
    if unit in ("month", "second") and notation != INTEGER:
        clock = int(((times - times.dt.normalize()).dt.total_seconds()).mode().iloc[0])
    if unit == "second" and step == DAY and len(times) > 5 and (times.dt.dayofweek < 5).all():
        unit, step = "business day", 1
    if unit == "month":
        day = 0 if times.dt.is_month_end.mean() >= AGREEMENT else int(times.dt.day.mode().iloc[0])
    position, on_grid = _position(times, unit, day, clock)
    anchor = int((position[on_grid] % step).mode().iloc[0])
    return Calendar(unit, step, anchor, notation, day, clock if unit != "second" else 0)


def _position(times: pd.Series, unit: str, day: int, clock: int) -> tuple[pd.Series, pd.Series]:
    """Each time counted in the unit, and whether it lies on the unit's own grid (whole months, the usual hour)."""
    if unit == "integer":
        return times.fillna(0).astype("int64"), times.notna()
    filled = times.fillna(pd.Timestamp(0)).astype("datetime64[s]")
    seconds = filled.astype("int64")
    if unit == "second":
        return seconds, times.notna()
    at_clock = (seconds % DAY == clock) & times.notna()
    if unit == "business day":
        days = filled.to_numpy().astype("datetime64[D]")
        count = pd.Series(np.busday_count("1970-01-01", days), index=times.index)
        return count, at_clock & (filled.dt.dayofweek < 5)
    on_day = filled.dt.day == (filled.dt.days_in_month.clip(upper=day) if day else filled.dt.days_in_month)
    return filled.dt.year.astype("int64") * 12 + filled.dt.month.astype("int64") - 1, at_clock & on_day
