"""What a measure of a rep rests on: sums, sizes and how much luck is in them, counted by what wins or loses as one.

Rows that share a deal (stays, due dates, activities) or an account (revenue) rise and fall together, so luck is measured between such
clusters (the linearised variance of a ratio; Särndal, Swensson and Wretman 1992, ch. 5), pooled over reps: nobody's own three deals say
how much luck is in them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd

from salesml.analytics.book import Book
from salesml.analytics.measures import MEASURES, Combined, Measure
from salesml.errors import BadParameter, UnknownName

CLUSTERS = {"visit": "deal", "due": "deal", "activity": "deal", "revenue": "account"}
Period = tuple[dt.date, dt.date]
LEAST_LOG = 0.5
"""Days and hours below this count as this before logarithms are taken."""


@dataclass(frozen=True)
class Evidence:
    """What each rep (in order) has shown. law: share, sum, mean or median, which says what `shown` and `size` are.

    share: shown successes of size trials, both as many as independent ones would be worth; sum: shown events of size expected at one unit
    an event, `unit` of the measure each; mean: shown the mean, size the shape of its gamma law; median: shown its logarithm, size the
    inverse of its variance. n: rows or clusters it rests on (0: nothing is known).
    """

    law: str
    shown: np.ndarray = field(repr=False)
    size: np.ndarray = field(repr=False)
    n: np.ndarray = field(repr=False)
    unit: float = 1.0


def checked(name: str) -> Measure | Combined:
    """A measure that can be sliced by rep. Raises UnknownName, BadParameter where it can not or is a quota, which is set, not earned."""
    if name not in MEASURES:
        raise UnknownName("measure", name, MEASURES)
    asked = MEASURES[name]
    if name == "quota" or "rep" not in asked.dimensions:
        raise BadParameter(f"reps cannot be compared by {name}; ask for win_rate, bookings, quota_attainment or another measure by rep")
    return asked


def evidence(book: Book, base: Measure, reps: pd.Series, period: Period, exposure: np.ndarray, values: np.ndarray) -> Evidence:
    """The evidence of one plain measure in a period (first day, first day after) for reps in order.

    exposure: of sums, what each rep's counts are per (the part of the period at work, or the quota); values: the figures themselves, in
    the measure's unit, missing where there are none. Quotas and stocks follow `slices.measure`: stocks stand as of the book.
    """
    rows = _clusters(book, base, reps, period)
    code = rows["code"].to_numpy("int64")
    top, bottom = rows["top"].to_numpy("float64"), rows["bottom"].to_numpy("float64")
    n = np.bincount(code, rows["rows"], len(reps))
    sums, sizes = np.bincount(code, top, len(reps)), np.bincount(code, bottom, len(reps))
    squares = np.bincount(code, bottom**2, len(reps))
    if base.bottom is None and not base.middle:
        unit = float((top**2).sum() / top.sum()) if top.sum() > 0 else 1.0
        return Evidence("sum", sums / unit, exposure / unit, n, unit)
    if base.unit == "ratio":
        unit = max(float((top**2).sum() / top.sum()) if top.sum() > 0 else 1.0, 1.0)
        return Evidence("sum", sums / unit, sizes / unit, n, unit)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.where(sizes > 0, sums / sizes, np.nan)
        clusters = np.bincount(code, minlength=len(reps))
        more = np.where(clusters > 1, clusters / (clusters - 1), np.nan)
    left = np.bincount(code, (top - np.nan_to_num(centre)[code] * bottom) ** 2, len(reps)) * more
    known = ~np.isnan(left)
    if base.unit == "share":
        spread = (np.nan_to_num(centre * (1 - centre)) * squares)[known].sum()
        single = bool((rows["rows"] == 1).all()) and np.ptp(bottom) == 0 if len(rows) else True  # each row by itself: plain trials
        factor = 1.0 if single or spread <= 0 else max(float(left[known].sum() / spread), 1e-3)
        trials = np.where(squares > 0, sizes**2 / np.maximum(squares, 1e-12) / factor, 0.0)
        trials = np.minimum(trials, n)
        return Evidence("share", np.nan_to_num(centre) * trials, trials, n)
    if base.middle:
        pooled = max(float(left[known].sum() / max(squares[known].sum(), 1e-12)), 1e-4)
        error = np.pi / 2 * pooled * squares / np.maximum(sizes, 1e-12) ** 2
        shown = np.log(np.maximum(np.nan_to_num(values, nan=1.0), LEAST_LOG))
        return Evidence("median", np.where(n > 0, shown, 0.0), np.where(n > 0, 1 / np.maximum(error, 1e-12), 0.0), n)
    scale = np.nan_to_num(centre) ** 2 * squares
    pooled = max(float(left[known].sum() / max(scale[known].sum(), 1e-12)), 1e-4)
    shape = np.where(squares > 0, sizes**2 / np.maximum(squares, 1e-12) / pooled, 0.0)
    return Evidence("mean", np.nan_to_num(centre), shape, n)


def at_work(reps: pd.DataFrame, period: Period) -> np.ndarray:
    """The part of a period (0..1) that each rep of `benchmark_groups.reps` was at work; unknown dates count as there."""
    first, after = pd.Timestamp(period[0]), pd.Timestamp(period[1])
    begin = np.maximum(reps["hired_on"].fillna(first).to_numpy("datetime64[D]"), first.to_datetime64())
    end = np.minimum(reps["left_on"].fillna(after).to_numpy("datetime64[D]"), after.to_datetime64())
    days = (end - begin) / np.timedelta64(1, "D")
    return np.clip(days / max((after - first).days, 1), 0, 1)


def _clusters(book: Book, base: Measure, reps: pd.Series, period: Period) -> pd.DataFrame:
    """Sums by rep and cluster: code (place in `reps`), top, bottom (logarithms and counts for medians), rows."""
    known = {name: place for place, name in enumerate(book.names["rep"])}
    codes = {known[name]: place for place, name in enumerate(reps) if name in known}
    rows = book.rows(base.table)
    rows = rows.filter(rows.rep.isin(list(codes) or [-9]))
    if base.at is not None:
        rows = rows.filter(rows[base.at].notnull(), rows[base.at] >= period[0], rows[base.at] < period[1])
    if base.among is not None:
        rows = rows.filter(base.among(rows))
    top = base.top(rows)
    if base.middle:
        counted = ibis.greatest(top.cast("float64") / base.per, LEAST_LOG).log()
        rows = rows.mutate(_top=counted, _bottom=top.notnull().cast("float64"))
    else:
        bottom = base.bottom(rows) if base.bottom is not None else rows.one
        per = 100 if base.unit == "money" else base.per  # cents, or what a row is divided by
        rows = rows.mutate(_top=ibis.coalesce(top.cast("float64"), 0.0) / per, _bottom=ibis.coalesce(bottom.cast("float64"), 0.0))
    rows = rows.filter(rows["_bottom"] > 0)
    cluster = CLUSTERS.get(base.table)
    if base.table == "activity":
        alone = -1 - rows["on"].epoch_seconds() // 86_400  # what belongs to no deal: a day's work goes together
        rows = rows.mutate(_cluster=ibis.ifelse(rows.deal >= 0, rows.deal.cast("int64"), alone))
    elif cluster:
        rows = rows.mutate(_cluster=rows[cluster].cast("int64"))
    else:
        rows = rows.mutate(_cluster=ibis.row_number())
    found = book.backend.to_pandas(
        rows.group_by("rep", "_cluster").aggregate(top=rows["_top"].sum(), bottom=rows["_bottom"].sum(), rows=rows.count())
    )
    found = found.sort_values(["rep", "_cluster"], ignore_index=True)  # one order of summing: the same to the bit
    return found.assign(code=found["rep"].map(codes).astype("int64"))
