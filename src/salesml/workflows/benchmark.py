"""Benchmarking: who stands out among peers, whose figures change, and what the best do differently, with what luck leaves open."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from salesml.analytics import book as books
from salesml.analytics.benchmark import ABOVE, BELOW, OPEN, Benchmark, benchmark
from salesml.analytics.benchmark_behaviour import DIFFERENCES, behaviours, best_of, differences
from salesml.analytics.benchmark_evidence import checked
from salesml.analytics.benchmark_groups import reps as reps_at_work
from salesml.analytics.book import Book
from salesml.analytics.measures import MEASURES, Combined, Measure
from salesml.analytics.pipeline import months_later
from salesml.analytics.slices import measure
from salesml.analytics.trends import SHORT, STEADY, told_apart, trend
from salesml.errors import BadParameter, NotEnoughData
from salesml.figures.benchmark import said, trend_words
from salesml.lake import Lake, View, visible
from salesml.workspace import Workspace

MONTHS = 36
"""How far back trends look."""
NAMED = 4
TRENDS = ["level", "name", "label", "verdict", "shape", "p_value", "told", "at", "at_lo", "at_hi", "before", "after", "change", "lo", "hi",
          "unseen", "together", "months"]  # fmt: skip


@dataclass(frozen=True)
class RepsBenchmark:
    """Reps beside their peers by measures, the first of which (`measure`) is followed further.

    found: `analytics.benchmark.Benchmark`; trends: one row per company, team and rep (`analytics.trends.Trend`, told: whether it stays
    among all of its level when at most 10 % may be false; verdicts of others read steady); series: level, name, month, value; differences:
    `benchmark_behaviour.differences` (no rows where too little is known); best: names of the quarter of reps they are about; unit: of the
    measure (share, days, …, or the currency); sentence and notes in words.
    """

    as_of: dt.datetime
    period: tuple[dt.date, dt.date]
    measure: str
    title: str
    unit: str
    currency: str
    reps: pd.DataFrame
    found: Benchmark
    trends: pd.DataFrame
    series: pd.DataFrame
    differences: pd.DataFrame
    best: tuple[str, ...]
    sentence: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the first measure."""
        return self.of(self.measure)

    def of(self, name: str) -> pd.DataFrame:
        """The rows of one measure."""
        return self.found.rows[self.found.rows["measure"] == name].reset_index(drop=True)

    @property
    def company_trend(self) -> pd.Series:
        """The company's row of `trends`."""
        return self.trends.iloc[0]

    def series_of(self, level: str, name: str) -> pd.DataFrame:
        """The monthly series of one company, team or rep."""
        return self.series[(self.series["level"] == level) & (self.series["name"] == name)]


def benchmark_reps(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    names: Sequence[str] = ("win_rate",),
    period: str | None = None,
    seed: int = 0,
) -> RepsBenchmark:
    """Compare the reps at work at the end of a period, as known as of an instant.

    names: measures that reps have. period: 2026-Q2, 2026-04, 2026 (fiscal, named by the year they end in) or 2026-01-01..2026-07-01 (the
    last day is not in it); without one the 12 whole months before as_of. Raises UnknownName, BadParameter, NotEnoughData.
    """
    if not names:
        raise BadParameter("no measure is asked for; win_rate, bookings and quota_attainment are usual")
    for name in names:
        checked(name)
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    view, today = visible(tables, instant), workspace.local_date(instant)
    first = today.replace(day=1)
    chosen = period_of(period, workspace.settings.fiscal_year_start) if period else (months_later(first, -12), first)
    if chosen[0] >= today:
        raise BadParameter(f"the period from {chosen[0]} is not known yet as of {today}; ask for an earlier one")
    book = books.make(view)
    there = reps_at_work(view, min(chosen[1], today) - dt.timedelta(days=1))
    found = benchmark(book, there, names, chosen, seed=seed)
    asked = MEASURES[names[0]]
    unit = unit_of(asked, book.currency)
    trends, series = trends_of(book, there, names[0], min(chosen[1], first).replace(day=1), seed)
    try:
        best, apart = practices_of(book, view, there, chosen, seed)
        lacking = ""
    except NotEnoughData as lack:
        best, apart, lacking = (), pd.DataFrame(columns=DIFFERENCES), f"What the best do differently cannot be told: {lack}"
    rows = found.rows[found.rows["measure"] == names[0]]
    sentence = _sentence(rows, asked, unit, chosen, trends.iloc[0])
    return RepsBenchmark(
        instant, chosen, names[0], asked.title, unit, book.currency, there, found, trends, series, apart, best, sentence,
        _notes(found, rows, asked, unit, chosen, today, lacking), tables.head.id,
    )  # fmt: skip


def unit_of(asked: Measure | Combined, currency: str) -> str:
    """The unit of a measure's figures as the drawings take it: share, days, count, …, or the currency."""
    return {"money": currency, "money a day": f"{currency} a day"}.get(asked.unit, asked.unit)


def period_of(told: str, fiscal_year_start: int = 1) -> tuple[dt.date, dt.date]:
    """First day and first day after of 2026-Q2, 2026-04, 2026 or 2026-01-01..2026-07-01. Raises BadParameter for anything else.

    Fiscal years that do not begin in January are named by the calendar year they end in, and their quarters with them.
    """
    months = re.fullmatch(r"(\d{4})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", told.strip(), re.IGNORECASE)
    days = re.fullmatch(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)", told.strip())
    try:
        if days:
            first, after = (dt.date.fromisoformat(day) for day in days.groups())
            if first < after:
                return first, after
        elif months:
            year, quarter, month = int(months[1]), months[2], months[3]
            if month:
                start = dt.date(year, int(month), 1)
                return start, months_later(start, 1)
            start = dt.date(year - (fiscal_year_start > 1), fiscal_year_start, 1)
            if quarter:
                return months_later(start, 3 * (int(quarter) - 1)), months_later(start, 3 * int(quarter))
            return start, months_later(start, 12)
    except ValueError:
        pass
    raise BadParameter(f"{told!r} is no period; write 2026-Q2, 2026-04, 2026 or 2026-01-01..2026-07-01")


def practices_of(
    book: Book, view: View, there: pd.DataFrame, chosen: tuple[dt.date, dt.date], seed: int = 0
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Names of the quarter of reps that win most often in a period, and how they work otherwise (`benchmark_behaviour.differences`).

    there: reps at work (`benchmark_groups.reps`). Raises NotEnoughData where no deal closed in the period or too little is known.
    """
    by = benchmark(book, there, ["win_rate"], chosen, periods=0, seed=seed).rows
    if by["shrunken"].isna().all():
        raise NotEnoughData("no deal closed in the period")
    best = best_of(by["shrunken"], by["rep"], by["n"] > 0)
    apart = differences(behaviours(view, *chosen), best, list(there["rep"]))
    return tuple(there.set_index("rep")["name"].reindex(best)), apart


def trends_of(book: Book, there: pd.DataFrame, name: str, until: dt.date, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trends (TRENDS) and monthly series of the company, teams and reps, of the MONTHS before a first of month.

    Stocks and what is made of other measures have no series, so that nothing is told of them.
    """
    months = (months_later(until, -MONTHS), until)
    asked = MEASURES[name]
    labels = dict(zip(there["rep"], there["name"], strict=True))
    teams = sorted(there["team"].dropna().unique())
    told = dict(zip(book.names["team"], book.labels["team"], strict=True))
    who = [("company", "company", "company"), *(("team", team, told.get(team, team)) for team in teams)]
    who += [("rep", rep, labels[rep]) for rep in there["rep"]]
    plain = isinstance(asked, Measure) and asked.at is not None
    known = {level: _monthly(book, name, level, months) for level in ("company", "team", "rep")} if plain else {}
    began = _first_month(book, name) if plain else months[0]
    hired = dict(zip(there["rep"], there["hired_on"], strict=True))
    rows, parts = [], []
    for level, one, label in who:
        start = max(months[0], began)
        if level == "rep" and pd.notna(hired[one]):
            start = max(start, months_later(hired[one].date().replace(day=1), 1))
        mine = known[level].get(one, _empty()) if plain else _empty()
        sums = isinstance(asked, Measure) and asked.bottom is None and not asked.middle
        if sums and start < months[1]:
            mine = mine.reindex(pd.date_range(start, months[1], freq="MS", inclusive="left"))
            mine = mine.assign(value=mine["value"].fillna(0.0), n=1.0)
        mine = mine[mine.index >= pd.Timestamp(start)]
        season = 12 if sums and len(mine) >= MONTHS else 3
        seen = trend(mine["value"], [day.date() for day in mine.index], mine["n"], asked.good, season, seed)
        rows.append({"level": level, "name": one, "label": label, **asdict(seen)})
        parts.append(mine.reset_index(names="month")[["month", "value"]].assign(level=level, name=one))
    found = pd.DataFrame(rows)
    found["told"] = False
    for _, mine in found[found["verdict"] != SHORT].groupby("level"):
        found.loc[mine.index, "told"] = (mine["p_value"] <= 0.05) & told_apart(mine)
    found["verdict"] = found["verdict"].where(found["told"] | found["verdict"].eq(SHORT), STEADY)
    quiet = ~found["told"]
    found.loc[quiet, "shape"] = "none"
    found[["at", "at_lo", "at_hi"]] = found[["at", "at_lo", "at_hi"]].astype("object").mask(quiet, None)
    return found[TRENDS], pd.concat(parts, ignore_index=True)


def _monthly(book: Book, name: str, level: str, months: tuple[dt.date, dt.date]) -> dict[str, pd.DataFrame]:
    by = [] if level == "company" else [level]
    frame = measure(book, [name], by=by, period=months, every="month")
    frame = frame.assign(value=pd.to_numeric(frame[name], errors="coerce").astype("float64"), n=frame.get(f"{name}_n", 1.0))
    groups = {"company": frame} if not by else dict(iter(frame.groupby(level)))
    return {str(one): rows.set_index(pd.DatetimeIndex(rows["period"]))[["value", "n"]].astype("float64") for one, rows in groups.items()}


def _empty() -> pd.DataFrame:
    return pd.DataFrame({"value": [], "n": []}, index=pd.DatetimeIndex([]), dtype="float64")


def _first_month(book: Book, name: str) -> dt.date:
    """The first whole month of the measure's rows."""
    every = measure(book, [name], every="month")["period"]
    return months_later(every.min().date(), 1) if len(every) else dt.date.min


def _sentence(
    rows: pd.DataFrame, asked: Measure | Combined, unit: str, chosen: tuple[dt.date, dt.date], company: pd.Series
) -> str:
    above, below = (_names(rows[rows["verdict"] == verdict]) for verdict in (ABOVE, BELOW))
    left = int((rows["verdict"] == OPEN).sum())
    what = f"{asked.title} from {_day(chosen[0])} to {_day(chosen[1] - dt.timedelta(days=1))}"
    words = "above" if asked.good != "down" else "above (which is worse)"
    under = "below" if asked.good != "down" else "below (which is better)"
    if rows["shrunken"].isna().all():
        return f"{what}: nothing is known of it, so nobody can be compared."
    if left == len(rows):
        told = f"{what}: none of {len(rows):,} reps can be told apart from peers with 90 % certainty; such differences come by luck."
    else:
        parts = [f"{len(rows[rows['verdict'] == verdict])} {word} their peers ({names})"
                 for verdict, word, names in ((ABOVE, words, above), (BELOW, under, below)) if names]  # fmt: skip
        told = f"{what}: of {len(rows):,} reps {' and '.join(parts)}; the other {left:,} cannot be told apart with 90 % certainty."
    if company["months"] == 0:
        return told
    return f"{told} The company over the past three years: {trend_words(company, unit)}"


def _names(rows: pd.DataFrame) -> str:
    names = list(rows.assign(sure=(rows["p_above"] - 0.5).abs()).sort_values("sure", ascending=False)["name"])
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B %Y}"


def _notes(
    found: Benchmark, rows: pd.DataFrame, asked: Measure | Combined, unit: str, chosen: tuple[dt.date, dt.date], today: dt.date,
    lacking: str,
) -> tuple[str, ...]:  # fmt: skip
    told = []
    known = rows[rows["n"] > 0].dropna(subset="comparable")
    if len(known):
        sign = -1 if asked.good == "down" else 1
        top = known.iloc[int((sign * known["comparable"]).argmax())]
        told.append(
            f"The best figure as counted is {top['name']}'s {said(top['comparable'], unit)} from {top['n']:,}; drawn towards the peers by "
            f"how little that says it is {said(top['shrunken'], unit)} (90 % {said(top['lo'], unit)} to {said(top['hi'], unit)})."
        )
        low, high = rows["shrunken"].min(), rows["shrunken"].max()
        told.append(f"So far as luck lets it be believed, reps lie from {said(low, unit)} to {said(high, unit)}.")
    if np.isfinite(found.wrong):
        told.append(f"Of the verdicts given {found.wrong:.0%} are expected to be on the wrong side.")
    if chosen[1] > today:
        told.append(f"The period is not over: it is known up to {_day(today - dt.timedelta(days=1))}.")
    if isinstance(asked, Combined) or asked.at is None:
        told.append("It stands as of an instant or is worked out from others, so it has no monthly trend here.")
    return (*told, *([lacking] if lacking else []))
