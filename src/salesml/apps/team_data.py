"""What the team app shows, read from the lake: the reps of a place beside their quota, their peers and their own past."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.benchmark import Benchmark, benchmark
from salesml.analytics.benchmark_groups import reps as reps_at_work
from salesml.analytics.pipeline import months_later
from salesml.analytics.slices import Period, drill, measure, previous
from salesml.analytics.trends import DECLINING
from salesml.apps.data import records, shelf
from salesml.apps.seen import Seen, see
from salesml.errors import NotEnoughData
from salesml.lake import visible
from salesml.workflows.benchmark import practices_of, trends_of
from salesml.workflows.books import book_of
from salesml.workspace import Workspace

COMPARED = ("quota_attainment", "bookings", "win_rate", "average_deal", "cycle_days", "slip_rate", "activities", "response_hours")
"""Measures that reps are compared by."""
PERIODS = ("year", "last", "quarter")
"""The 12 whole months before the day, the last whole fiscal quarter, the fiscal quarter so far."""
HEADING, EITHER, SHORT = "heading", "either", "short"
"""How a rep stands to his quota: the low end of the forecast reaches it, it lies inside, the high end falls short."""


@dataclass(frozen=True)
class Compared:
    """All reps at work beside their peers; trends of the measure and practices of the best (`workflows.benchmark`), and who they are."""

    found: Benchmark
    trends: pd.DataFrame
    best: tuple[str, ...]
    practices: pd.DataFrame


@dataclass(frozen=True)
class Team(Seen):
    """Everything of the screen: `name` is the measure compared by, in `period`; `beside` knows all reps, the tables only those seen."""

    name: str
    period: Period
    beside: Compared | None

    @cached_property
    def reps(self) -> set[str]:
        """Ids of the reps of the place that the reader may see."""
        rows = measure(self.book, ["deals_created"], by=["rep"], where=self.where)
        return set(rows.loc[~rows["rep"].str.startswith("("), "rep"])

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """The place's reps by the measure, the best first (`analytics.benchmark.Benchmark.rows`)."""
        if self.beside is None:
            return pd.DataFrame()
        rows = self.beside.found.rows
        mine = rows[rows["rep"].isin(self.reps)]
        return mine.sort_values(["rank", "name"], ascending=[False, True], na_position="last", ignore_index=True)

    @cached_property
    def quotas(self) -> pd.DataFrame:
        """Reps with a quota for the quarter: rep, label, revenue so far, quota, landing with lo80 and hi80, stands; the least sure first.

        Money is in the workspace's currency; landing is missing where no forecast is made, and so is `stands`.
        """
        now = measure(self.book, ["revenue", "quota"], by=["rep"], where=self.where, period=self.quarter)
        now = now[now["quota"].notna() & ~now["rep"].str.startswith("(")]
        past = measure(self.book, ["revenue"], by=["rep"], where=self.where, every="month")
        past = past[past["period"] < pd.Timestamp(self.book.day.replace(day=1))].rename(columns={"period": "month", "revenue": "amount"})
        ahead = self.board.forecast[self.board.forecast["entity_type"] == "rep"]
        labels, rows = self.labels("rep"), []
        for row in records(now):
            mine = ahead[ahead["entity_id"] == row.rep].sort_values("period_start")
            lands = pipeline.landing(past[past["rep"] == row.rep], mine, self.quarter) if len(mine) else None
            told: dict[str, Any] = {"rep": row.rep, "label": labels[row.rep], "revenue": row.revenue, "quota": row.quota}
            if lands is not None:
                stands = HEADING if lands.lo80 >= row.quota else SHORT if lands.hi80 < row.quota else EITHER
                told |= {"amount": lands.amount, "lo80": lands.lo80, "hi80": lands.hi80, "stands": stands}
                told["reach"] = float(lands.amount / row.quota) if row.quota else math.inf
            rows.append(told)
        columns = ["rep", "label", "revenue", "quota", "amount", "lo80", "hi80", "stands", "reach"]
        found = pd.DataFrame(rows, columns=columns, dtype="object")
        return found.astype({"reach": "float64"}).sort_values(["reach", "label"], ignore_index=True)

    @cached_property
    def needs(self) -> pd.DataFrame:
        """Reps with something to talk about, most at stake first: rep, label, deals, at_stake, short, below, worse.

        at_stake: money of open deals with a warning sign, as `pipeline.attention` weighs it; short of the quota even at the high end;
        below peers, surely; worse than before, surely.
        """
        of = drill(self.book, "open_deals", where=self.where, most=1_000_000)[["opportunity_id", "rep"]]
        warned = self.board.deals[self.board.deals["warned"]].merge(of, on="opportunity_id")
        sums = warned.groupby("rep").agg(deals=("opportunity_id", "size"), at_stake=("at_stake", "sum"))
        quotas, ranks, trends, labels = self.quotas, self.ranks, self.trends, self.labels("rep")
        found = sums.reindex(sorted(self.reps)).fillna(0).rename_axis("rep").reset_index()
        short = set(quotas.loc[quotas["stands"] == SHORT, "rep"])
        below = set(ranks.loc[ranks["better"].eq(False), "rep"]) if len(ranks) else set()
        worse = set(trends.loc[trends["verdict"].eq(DECLINING), "name"]) if len(trends) else set()
        found = found.assign(label=found["rep"].map(labels), short=found["rep"].isin(short), below=found["rep"].isin(below),
                             worse=found["rep"].isin(worse), deals=found["deals"].astype("int64"))  # fmt: skip
        kept = found[(found["deals"] > 0) | found["short"] | found["below"] | found["worse"]]
        return kept.sort_values(["at_stake", "label"], ascending=[False, True], ignore_index=True)

    @cached_property
    def trends(self) -> pd.DataFrame:
        """Sure changes of the measure among the place's reps: rows of `trends_of` that are told."""
        if self.beside is None:
            return pd.DataFrame()
        rows = self.beside.trends
        return rows[rows["told"] & (rows["level"] == "rep") & rows["name"].isin(self.reps)].reset_index(drop=True)

    def labels(self, dimension: str) -> dict[str, str]:
        """What to show for the ids of a dimension."""
        return dict(zip(self.book.names[dimension], self.book.labels[dimension], strict=True))


def team(workspace: Workspace, as_of: dt.datetime | None, place: str, asked: Mapping[str, str]) -> Team:
    """The team app for the current user; asked: measure (of COMPARED), period (of PERIODS). Place and errors as `see`."""
    found = see(workspace, as_of, place)
    period = period_of(asked["period"], found.book.day, found.quarter)
    try:
        beside = _compared(workspace, found.board.as_of, asked["measure"], period, found.found.tables.head.id)
    except NotEnoughData:
        beside = None
    return Team(**vars(found), name=asked["measure"], period=period, beside=beside)


def period_of(asked: str, day: dt.date, quarter: Period) -> Period:
    """One of PERIODS as first day and first day after; a quarter that has just begun is taken up to its second day."""
    if asked == "year":
        first = day.replace(day=1)
        return months_later(first, -12), first
    return previous(quarter) if asked == "last" else (quarter[0], max(day, quarter[0] + dt.timedelta(days=1)))


@lru_cache(maxsize=32)
def _compared(workspace: Workspace, as_of: dt.datetime, name: str, period: Period, _head: int) -> Compared:
    """Worked out once for a state of the lake: it is the same for every place and reader."""
    tables = shelf(workspace).tables
    view, book = visible(tables, as_of), book_of(workspace, as_of, tables=tables)
    there = reps_at_work(view, min(period[1], book.day) - dt.timedelta(days=1))
    found = benchmark(book, there, [name], period)
    trends, _ = trends_of(book, there, name, min(period[1], book.day.replace(day=1)).replace(day=1))
    try:
        best, practices = practices_of(book, view, there, period)
        return Compared(found, trends, best, practices)
    except NotEnoughData:
        return Compared(found, trends, (), pd.DataFrame())
