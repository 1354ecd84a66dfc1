"""Slices: measures of a book by any dimensions and periods, with roll-ups, comparisons, and the very rows behind a figure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics.book import PLACES, Book
from salesml.analytics.measures import MEASURES, Combined, Measure, one
from salesml.errors import BadParameter, UnknownName
from salesml.workspace import WEEKDAYS

ALL = "(all)"
Every = Literal["day", "week", "month", "quarter", "year"]
EVERY: tuple[Every, ...] = ("day", "week", "month", "quarter", "year")
Period = tuple[dt.date, dt.date]
Where = Mapping[str, Iterable[str]]
_MONDAY = 4  # 1 January 1970 was a Thursday: the first Monday after it is day 4


def measure(
    book: Book,
    names: Sequence[str],
    *,
    by: Sequence[str] = (),
    where: Where | None = None,
    period: Period | None = None,
    every: Every | None = None,
    rollup: bool = False,
) -> pd.DataFrame:
    """Measures of a slice. Grain: one row per combination of `by` and, with `every`, period that has any row; without both, one row.

    where: names allowed per dimension. period: first day and first day after; stocks, which stand as of the book's instant, know none.
    every: adds `period` (first day of the day, week, month, fiscal quarter or fiscal year). rollup: adds the sums over each subset of
    `by`, ALL in place of a name. Columns: by, period, each measure (money: exact Decimal where it is a sum; counts: int; else float64,
    missing where nothing is counted), and `<name>_n` of ratios and medians: what they rest on. Raises UnknownName, BadParameter.
    """
    wanted = _bases(names)
    _check(names, by, where or {}, period, every, wanted)
    keys = [*by, *(["period"] if every else [])]
    subsets = [part for size in range(len(by), -1, -1) for part in combinations(by, size)] if rollup else [tuple(by)]
    parts: list[pd.DataFrame] = []
    for group in _groups(wanted, every, rollup):
        if rollup and group[0].adds_up:
            finest = _summed(book, group, tuple(by), where or {}, period, every)
            found = [_again(finest, subset, by, every) for subset in subsets]
        else:
            found = [_summed(book, group, subset, where or {}, period, every) for subset in subsets]
        coded = [part.assign(**{name: -1 for name in by if name not in subset}) for part, subset in zip(found, subsets, strict=True)]
        one_frame = pd.concat(coded, ignore_index=True) if len(coded) > 1 else coded[0]
        parts.append(_valued(one_frame[_any(one_frame, group)] if keys else one_frame, group))
    whole = _joined(parts, keys, [base.name for base in wanted])
    for name in names:
        if isinstance(combined := MEASURES[name], Combined):
            whole[name] = combined.combine(*(whole[part].astype("float64") for part in combined.of)).astype("float64")
    return _told(book, whole, by, every, names, wanted)


def compare(
    book: Book,
    names: Sequence[str],
    period: Period,
    before: Period,
    *,
    then: Book | None = None,
    by: Sequence[str] = (),
    where: Where | None = None,
) -> pd.DataFrame:
    """Measures of two periods side by side. Grain: one row per combination of `by` and measure.

    then: the book the earlier period is read from: as it looked then; without it, as it is known now, and what stocks were is missing.
    Columns: by, measure, now, before, change (now - before), share (change / |before|; missing where before is 0 or missing), better
    (missing where neither way is).
    """
    first = measure(book, names, by=by, where=where, period=period)
    second = measure(then or book, names, by=by, where=where, period=before)
    rows = []
    for name in names:
        both = first[[*by, name]].merge(second[[*by, name]], "outer", list(by), suffixes=("", "_before")) if by else pd.concat(
            [first[[name]], second[[name]].rename(columns={name: f"{name}_before"})], axis=1
        )  # fmt: skip
        both = both.rename(columns={name: "now", f"{name}_before": "before"}).assign(measure=name)
        now, was = (pd.to_numeric(both[column], errors="coerce").astype("float64") for column in ("now", "before"))
        if then is None and _stands(name):
            was = was * np.nan  # how it stood then is in no book but that of then
        good = MEASURES[name].good
        change = now - was
        up = change.gt(0) if good == "up" else change.lt(0)
        better = up.astype("boolean").where(change.ne(0) & change.notna() & (good != "neither"))
        rows.append(both.assign(now=now, before=was, change=change, share=change / was.abs().where(was != 0), better=better))
    return pd.concat(rows, ignore_index=True)[[*by, "measure", "now", "before", "change", "share", "better"]]


def previous(period: Period) -> Period:
    """The period of the same length just before; whole months stay whole months."""
    start, end = period
    if start.day == end.day == 1:
        months = (end.year - start.year) * 12 + end.month - start.month
        return _month(start, -months), start
    return start - (end - start), start


def year_before(period: Period) -> Period:
    """The same days of the year before; 29 February becomes 1 March."""
    return tuple(_shifted(day) for day in period)  # type: ignore[return-value]


def drill(
    book: Book, name: str, *, where: Where | None = None, period: Period | None = None, most: int = 1000, order: str = "counted"
) -> pd.DataFrame:
    """The rows behind a figure, the greatest first. Grain: one row of the measure's table, at most so many.

    Columns: counted (what the row adds to the sum, in the measure's unit), the deal's opportunity_id and name where it is about one, and
    the table's own columns with names for codes. Their sum is the figure where all are listed. Raises as `measure`, BadParameter for a
    measure that is combined of others: ask for its parts.
    """
    asked = MEASURES.get(name)
    if asked is None:
        raise UnknownName("measure", name, MEASURES)
    if isinstance(asked, Combined):
        raise BadParameter(f"{name} is worked out from {', '.join(asked.of)}; ask for the rows of one of them")
    _check([name], (), where or {}, period, None, [asked])
    rows = _sliced(book, asked.table, where or {}, period, ())
    rows = rows.filter(*_dated(rows, asked.at, period)) if asked.at else rows
    if asked.among:
        rows = rows.filter(asked.among(rows))
    rows = rows.mutate(counted=asked.top(rows).cast("float64"))
    if order not in rows.columns:
        raise UnknownName("column", order, rows.columns)
    steady = [rows[column] for column in ("opportunity_id", "deal", "on", "starts_on") if column in rows.columns]
    rows = rows.order_by([ibis.desc(rows[order]), *steady]).limit(most)
    found = book.backend.to_pandas(rows)
    if "deal" in found:
        found = found.assign(**{name: _of_deals(book, name, found["deal"]) for name in ("opportunity_id", "name")})
    told = {name: [book.names[name][code] for code in found[name]] for name in asked.dimensions if name in found}
    return found.assign(counted=found["counted"] / (100 if asked.unit == "money" else asked.per), **told)


def _of_deals(book: Book, name: str, rows: pd.Series) -> list[str | None]:
    """A column of the deals that rows point to; None where there is none (-1)."""
    values = book.column("deal", name).take(pa.array(rows.clip(lower=0).to_numpy("int64"))).to_pylist()
    return [value if row >= 0 else None for value, row in zip(values, rows, strict=True)]


def _bases(names: Sequence[str]) -> list[Measure]:
    """The measures of one table that `names` are made of, each once."""
    found: dict[str, Measure] = {}
    for name in names:
        if name not in MEASURES:
            raise UnknownName("measure", name, MEASURES)
        asked = MEASURES[name]
        for part in asked.of if isinstance(asked, Combined) else (name,):
            base = MEASURES[part]
            assert isinstance(base, Measure), "a combined measure is made of plain ones"
            found[part] = base
    return list(found.values())


def _stands(name: str) -> bool:
    """Whether a measure, or a part of it, stands as of an instant."""
    return any(base.at is None for base in _bases([name]))


def _check(
    names: Sequence[str], by: Sequence[str], where: Where, period: Period | None, every: str | None, wanted: list[Measure]
) -> None:
    if not names:
        raise BadParameter("no measure is asked for")
    for dimension in (*by, *where):
        for base in wanted:
            if dimension not in base.dimensions:
                raise BadParameter(f"{base.name} has no dimension {dimension!r}; valid: {', '.join(base.dimensions)}")
    if len(set(by)) < len(by):
        raise BadParameter(f"a dimension is asked for twice: {', '.join(by)}")
    if period and period[0] >= period[1]:
        raise BadParameter(f"the period from {period[0]} to before {period[1]} has no day")
    if every is not None:
        if every not in EVERY:
            raise UnknownName("every", every, EVERY)
        if stocks := [base.name for base in wanted if base.at is None]:
            raise BadParameter(f"{stocks[0]} stands as of an instant; make a book of each instant instead of asking every {every}")


def _groups(wanted: list[Measure], every: str | None, rollup: bool) -> list[list[Measure]]:
    """Measures that one query answers: of one table, with `every` of one day, with `rollup` alike in whether they add up."""
    groups: dict[tuple[Any, ...], list[Measure]] = {}
    for base in wanted:
        groups.setdefault((base.table, base.at if every else None, base.adds_up if rollup else None), []).append(base)
    return list(groups.values())


def _sliced(book: Book, name: str, where: Where, period: Period | None, by: Sequence[str]) -> Any:
    """Rows of a table in the slice, whatever their day; of quotas those of the level asked about, that end in the period."""
    rows = book.rows(name)
    kept = [rows[dimension].isin([book.code(dimension, one) for one in names]) for dimension, names in where.items()]
    if name == "quota":
        used = [PLACES.index(dimension) + 1 for dimension in (*by, *where)]
        kept += [rows.level == max(used, default=0), *([rows.ends_on <= period[1]] if period else [])]
    return rows.filter(*kept) if kept else rows


def _dated(rows: Any, at: str | None, period: Period | None) -> list[Any]:
    """What makes a row count in a period by one of its days; nothing for a stock."""
    if at is None:
        return []
    return [rows[at].notnull(), *([rows[at] >= period[0], rows[at] < period[1]] if period else [])]


def _summed(book: Book, group: list[Measure], by: tuple[str, ...], where: Where, period: Period | None, every: str | None) -> pd.DataFrame:
    """Codes of `by`, period, and per measure `<name>|top`, `|known`, `|n`: what ratios are made of, one row per combination."""
    rows = _sliced(book, group[0].table, where, period, by)
    shared = group[0].at if len({base.at for base in group}) == 1 else None
    if shared is not None:
        rows = rows.filter(*_dated(rows, shared, period))
    parts: dict[str, Any] = {}
    for base in group:
        conditions = ([] if shared else _dated(rows, base.at, period)) + ([base.among(rows)] if base.among else [])
        among = ibis.and_(*conditions) if conditions else None
        top = base.top(rows)
        parts[f"{base.name}|top"] = top.median(where=among) if base.middle else ibis.coalesce(top.sum(where=among), 0).cast("int64")
        parts[f"{base.name}|known"] = top.count(where=among)
        if base.bottom is not None:
            parts[f"{base.name}|n"] = ibis.coalesce(base.bottom(rows).sum(where=among), 0).cast("int64")
        elif base.top is not one:
            parts[f"{base.name}|n"] = rows.one.count(where=among)
    keys = {name: rows[name] for name in by}
    if every:
        keys["period"] = _index(rows[str(shared)], every, book)
    found = book.backend.to_pandas(rows.group_by(**keys).aggregate(**parts) if keys else rows.aggregate(**parts))
    return found.assign(**{f"{base.name}|n": found[f"{base.name}|known"] for base in group if f"{base.name}|n" not in found})


def _index(day: Any, every: str, book: Book) -> Any:
    """A number for the period a day lies in, `_start` backwards."""
    if every == "day":
        return day.epoch_seconds().cast("int64") // 86_400
    if every == "week":
        shift = _MONDAY + WEEKDAYS.index(book.week_start) - 7
        return ((day.epoch_seconds().cast("int64") // 86_400 - shift) // 7).cast("int64")
    month = (day.year() * 12 + day.month() - 1).cast("int64")
    first = book.fiscal_year_start - 1
    length = {"month": 1, "quarter": 3, "year": 12}[every]
    return (month - (month - first) % length).cast("int64")


def _start(index: pd.Series, every: str, book: Book) -> pd.Series:
    values = index.to_numpy("int64")
    if every == "day":
        days = values
    elif every == "week":
        days = values * 7 + _MONDAY + WEEKDAYS.index(book.week_start) - 7
    else:
        return pd.Series((values - 1970 * 12).astype("datetime64[M]").astype("datetime64[s]"), index.index)
    return pd.Series(days.astype("datetime64[D]").astype("datetime64[s]"), index.index)


def _any(part: pd.DataFrame, group: list[Measure]) -> np.ndarray:
    """Which combinations have a row that counts in any of the measures."""
    return np.logical_or.reduce([part[f"{base.name}|{sort}"].to_numpy() > 0 for base in group for sort in ("n", "known")])


def _again(finest: pd.DataFrame, subset: tuple[str, ...], by: Sequence[str], every: str | None) -> pd.DataFrame:
    """Exact sums of the finest groups over the dimensions that are left out."""
    if len(subset) == len(by):
        return finest
    keys = [*subset, *(["period"] if every else [])]
    sums = [str(name) for name in finest if "|" in str(name)]
    if not keys:
        return finest[sums].sum().to_frame().T.astype("int64")
    place = np.zeros(len(finest), dtype="int64")
    for key in keys:
        values = finest[key].to_numpy("int64")
        low = values.min() if len(values) else 0
        place = place * (int(values.max() - low) + 1 if len(values) else 1) + values - low
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(place[order]) != 0]) if len(order) else np.array([], dtype="int64")
    rows = order[starts] if len(order) else order
    found = {key: finest[key].to_numpy()[rows] for key in keys}
    found |= {str(name): np.add.reduceat(finest[name].to_numpy("int64")[order], starts) if len(order) else finest[name] for name in sums}
    return pd.DataFrame(found)


def _valued(parts: pd.DataFrame, group: list[Measure]) -> pd.DataFrame:
    """The figures of groups: whole sums as they are (money in cents), ratios and medians as floats, missing where nothing is counted."""
    keys = [name for name in parts if "|" not in str(name)]
    found: dict[str, Any] = {str(name): parts[name] for name in keys}
    for base in group:
        top, known, n = (parts[f"{base.name}|{part}"] for part in ("top", "known", "n"))
        if base.middle:
            found[base.name] = top.astype("float64") / base.per
            found[f"{base.name}_n"] = known
        elif base.bottom is not None:
            found[base.name] = top.astype("float64") / base.per / n.where(n > 0)
            found[f"{base.name}_n"] = n
        else:
            unknown = (known == 0) & ((n > 0) | (base.table == "quota"))
            found[base.name] = top.astype("Int64").mask(unknown) if base.per == 1 else top / base.per
    return pd.DataFrame(found)


def _joined(parts: list[pd.DataFrame], keys: list[str], names: list[str]) -> pd.DataFrame:
    """The figures of all queries by key; a sum over no row is 0, a quota that is not set is missing."""
    if keys:
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.merge(part, "outer", keys)
    else:
        whole = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
    for name in names:
        base = MEASURES[name]
        assert isinstance(base, Measure)
        if base.bottom is None and not base.middle and base.table != "quota":
            missing = ~whole[keys].merge(_present(parts, name, keys), "left", keys)["there"].eq(True).to_numpy() if keys else None
            if missing is not None and missing.any():
                whole[name] = whole[name].mask(pd.Series(missing, whole.index), 0)
        elif f"{name}_n" in whole:
            whole[f"{name}_n"] = whole[f"{name}_n"].fillna(0).astype("int64")
    return whole


def _present(parts: list[pd.DataFrame], name: str, keys: list[str]) -> pd.DataFrame:
    return next(part for part in parts if name in part)[keys].assign(there=True)


def _told(
    book: Book, whole: pd.DataFrame, by: Sequence[str], every: str | None, names: Sequence[str], wanted: list[Measure]
) -> pd.DataFrame:
    """Names for codes, decimals for cents, in the order asked for."""
    whole = whole.sort_values([*by, *(["period"] if every else [])], ignore_index=True) if by or every else whole
    found: dict[str, Any] = {}
    for name in by:
        known = np.array([*book.names[name], ALL], dtype=object)
        found[name] = known[whole[name].to_numpy("int64")]
    if every:
        found["period"] = _start(whole["period"], every, book)
    for name in names:
        asked, values = MEASURES[name], whole[name]
        if isinstance(asked, Measure) and asked.bottom is None and not asked.middle and asked.unit == "money":
            found[name] = [None if pd.isna(cents) else Decimal(int(cents)).scaleb(-2) for cents in values]
        elif asked.unit in ("money", "money a day"):
            found[name] = values.astype("float64") / 100
        elif asked.unit == "count":
            found[name] = values.astype("int64")
        else:
            found[name] = values.astype("float64")
        if f"{name}_n" in whole:
            found[f"{name}_n"] = whole[f"{name}_n"]
    return pd.DataFrame(found)


def _month(day: dt.date, months: int) -> dt.date:
    index = day.year * 12 + day.month - 1 + months
    return dt.date(index // 12, index % 12 + 1, 1)


def _shifted(day: dt.date) -> dt.date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return dt.date(day.year - 1, 3, 1)
