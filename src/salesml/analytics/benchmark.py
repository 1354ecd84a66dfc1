"""Reps beside their peers, their team, their quota and their own past, by any measure, with what luck leaves open.

A figure of few deals is drawn towards the peers (`benchmark_shrink`), so nobody leads by three deals. A verdict is given where its side is
at least 90 % sure; then at most 10 % of all verdicts given are expected to be on the wrong side, however many reps and measures are looked
at (the local false sign rate; Stephens 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics.benchmark_evidence import Evidence, Period, at_work, checked, evidence
from salesml.analytics.benchmark_groups import LEAST_PEERS
from salesml.analytics.benchmark_shrink import levels
from salesml.analytics.book import Book
from salesml.analytics.lead_sources_rates import DRAWS
from salesml.analytics.measures import MEASURES, Combined, Measure
from salesml.analytics.slices import measure, previous
from salesml.errors import BadParameter

LEVEL, SURE = 0.9, 0.9
PERIODS = 4
ABOVE, BELOW, OPEN = "above peers", "below peers", "not told apart"
_AS_THEY_ARE = ("quota", "revenue")
"""Parts of combined measures that are taken as they are: what is set or booked."""


@dataclass(frozen=True)
class Benchmark:
    """Reps beside their peers. Money is in the book's currency, shares are 0..1.

    rows: one per measure and rep: rep, name, team, peers (the group), peer_count, measure, value (missing where nothing is counted), n
    (what it rests on), comparable (value; of sums for a whole period at work), shrunken with lo and hi (90 %), peer_median (of the others'
    levels), p_above (chance to lie above it), rank (share of peers that are worse, by shrunken; for neither-way measures: lower) with
    rank_lo, rank_hi (90 %), verdict (above peers, below peers, not told apart; by value, not by merit), better (whether that is good;
    missing without verdict), team_value, own_before (the same measure over the earlier periods together; sums for a
    whole period at work) with own_before_n (what it rests on; missing of sums), quota_attainment.
    history: one per measure, rep and earlier period, the latest first: rep, measure, start, end, value, n; stocks have none.
    wrong: share of the verdicts given that is expected to be on the wrong side; missing without any. draws: by measure, reps × draws.
    """

    period: Period
    rows: pd.DataFrame
    history: pd.DataFrame
    wrong: float
    draws: dict[str, np.ndarray] = field(repr=False)


def benchmark(book: Book, reps: pd.DataFrame, names: Sequence[str], period: Period, periods: int = PERIODS, seed: int = 0) -> Benchmark:
    """Compare reps (`benchmark_groups.reps`) by measures in a period: first day, first day after.

    periods: how many earlier ones of the same length are their own history. Stocks stand as of the book, whatever the period. Raises
    UnknownName or BadParameter for measures that reps have not, for none, or for an empty period.
    """
    if not names:
        raise BadParameter("no measure is asked for; win_rate, bookings and quota_attainment are usual")
    for name in names:
        checked(name)
    whole = measure(book, list(dict.fromkeys([*names, "quota_attainment", "quota"])), by=["rep"], period=period)
    beside = reps[["rep"]].merge(whole, "left", "rep")
    teams = measure(book, list(names), by=["team"], period=period).set_index("team")
    parts, draws = [], {}
    for name in names:
        rows, draws[name] = _one(book, reps, name, period, beside, seed)
        rows = rows.assign(team_value=reps["team"].map(teams[name].astype("float64")).to_numpy("float64"))
        before, before_n = _before(book, reps, name, period, periods)
        parts.append(rows.assign(own_before=before, own_before_n=before_n, quota_attainment=beside["quota_attainment"]))
    found = pd.concat(parts, ignore_index=True)
    given = found[found["verdict"] != OPEN]
    wrong = float(np.minimum(given["p_above"], 1 - given["p_above"]).mean()) if len(given) else float("nan")
    return Benchmark(period, found, _history(book, reps, names, period, periods), wrong, draws)


def _one(
    book: Book, reps: pd.DataFrame, name: str, period: Period, beside: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of one measure in the order of reps, and the draws of their levels."""
    asked = MEASURES[name]
    value = pd.to_numeric(beside[name], errors="coerce").to_numpy("float64")
    days = at_work(reps, (period[0], max(min(period[1], book.day), period[0])))
    shrunk, drawn, n, per = _levels(book, reps, asked, period, days, beside, value, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        comparable = np.where(per > 0, value / per, np.nan)
    lo, hi = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    good = -1.0 if asked.good == "down" else 1.0
    median, above, rank, ends = among(drawn, shrunk, reps["peers"], good)
    size = reps.groupby("peers")["rep"].transform("size").to_numpy()
    verdict = verdicts(above, n, size)
    sure = verdict != OPEN
    better = pd.Series(pd.NA, reps.index, dtype="boolean")
    if asked.good != "neither":
        better = better.mask(pd.Series(sure, reps.index), pd.Series((above > 0.5) == (good > 0), reps.index))
    rows = reps[["rep", "name", "team", "peers"]].assign(
        peer_count=size, measure=name, value=value, n=np.round(n).astype("int64"), comparable=comparable, shrunken=shrunk, lo=lo, hi=hi,
        peer_median=median, p_above=above, rank=rank, rank_lo=ends[0], rank_hi=ends[1], verdict=verdict, better=better,
    )  # fmt: skip
    return rows, drawn


def _levels(
    book: Book, reps: pd.DataFrame, asked: Measure | Combined, period: Period, days: np.ndarray, beside: pd.DataFrame, value: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Shrunken levels, draws, what they rest on, and what a value has to be divided by to be one of them (0: not known)."""
    ones, peers = np.ones(len(reps)), reps["peers"]
    if isinstance(asked, Measure):
        sums = asked.bottom is None and not asked.middle
        per = (days if asked.at is not None else ones) if sums else ones
        shown = evidence(book, asked, reps["rep"], period, per, value)
        return (*levels(shown, peers, seed), shown.n, np.where(per > 0, per, 0.0))
    if asked.of == ("revenue", "quota"):
        quota = np.nan_to_num(pd.to_numeric(beside["quota"], errors="coerce").to_numpy("float64"))
        base = MEASURES["revenue"]
        assert isinstance(base, Measure)
        shown = evidence(book, base, reps["rep"], period, quota, value)
        lost = quota <= 0  # without a quota no revenue says anything of attainment
        shown = Evidence(shown.law, np.where(lost, 0.0, shown.shown), shown.size, np.where(lost, 0, shown.n), shown.unit)
        return (*levels(shown, peers, seed), shown.n, np.where(lost, 0.0, 1.0))
    middle: list[Any] = []
    drawn: list[Any] = []
    rests = np.full(len(reps), np.inf)
    known = reps[["rep"]].merge(measure(book, list(asked.of), by=["rep"], period=period), "left", "rep")
    for place, part in enumerate(asked.of):
        base, own = MEASURES[part], pd.to_numeric(known[part], errors="coerce").to_numpy("float64")
        if part in _AS_THEY_ARE:
            middle.append(pd.Series(own))
            drawn.append(pd.DataFrame(np.repeat(own[:, None], DRAWS, axis=1)))
            continue
        shrunk, draws, n, _ = _levels(book, reps, base, period, days, known, own, seed + place + 1)
        middle.append(pd.Series(shrunk))
        drawn.append(pd.DataFrame(draws))
        rests = np.minimum(rests, n)
    together = np.asarray(asked.combine(*drawn), dtype="float64")
    together = np.where(np.isfinite(together), together, np.nan)
    shrunk = np.asarray(asked.combine(*middle), dtype="float64")
    told = np.isfinite(shrunk) & np.isfinite(together).all(axis=1)
    return np.where(told, shrunk, np.nan), np.where(told[:, None], together, np.nan), np.where(told, rests, 0), ones


def among(
    drawn: np.ndarray, shrunk: np.ndarray, peers: pd.Series, good: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Per rep: median of the other peers' levels, chance to be above it, rank by shrunken level, 90 % interval of the rank.

    drawn: reps × draws of levels, shrunk their middles (missing ones have no rank), good: 1 where more is better (or neither way), else -1.
    """
    shape = len(shrunk)
    median, rank, lo, hi = (np.full(shape, np.nan) for _ in range(4))
    above = np.full(shape, 0.5)
    for mine in peers.groupby(peers).indices.values():
        mine = mine[np.isfinite(shrunk[mine])]
        if len(mine) < 2:
            continue
        group = drawn[mine]
        place = group.argsort(axis=0).argsort(axis=0)  # draws are continuous: no ties
        worse = place if good > 0 else len(mine) - 1 - place
        lo[mine], hi[mine] = np.quantile(worse / (len(mine) - 1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        order = shrunk[mine].argsort().argsort()
        rank[mine] = (order if good > 0 else len(mine) - 1 - order) / (len(mine) - 1)
        for row, one in enumerate(mine):
            middle = np.median(np.delete(group, row, axis=0), axis=0)
            median[one], above[one] = float(middle.mean()), float((group[row] > middle).mean())
    return median, above, rank, (lo, hi)


def verdicts(above: np.ndarray, n: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Above peers, below peers or not told apart, from the chance to lie above, what it rests on, and how many peers there are."""
    sure = (np.maximum(above, 1 - above) >= SURE) & (n > 0) & (peers >= LEAST_PEERS)
    return np.where(sure, np.where(above > 0.5, ABOVE, BELOW), OPEN)


def _stands(name: str) -> bool:
    asked = MEASURES[name]
    return any(getattr(MEASURES[part], "at", None) is None for part in asked.of) if isinstance(asked, Combined) else asked.at is None


def _before(book: Book, reps: pd.DataFrame, name: str, period: Period, periods: int) -> tuple[np.ndarray, np.ndarray]:
    """The measure of each rep over the earlier periods together, and what it rests on; sums are of a whole period at work."""
    missing = np.full(len(reps), np.nan)
    if periods < 1 or _stands(name):
        return missing, missing
    start = period
    for _ in range(periods):
        start = previous(start)
    asked, whole = MEASURES[name], (start[0], period[0])
    known = measure(book, [name], by=["rep"], period=whole).set_index("rep")
    value = pd.to_numeric(reps["rep"].map(known[name]), errors="coerce").to_numpy("float64")
    if isinstance(asked, Combined):
        return value, missing
    if asked.bottom is not None or asked.middle:
        return value, reps["rep"].map(known[f"{name}_n"]).to_numpy("float64")
    first = measure(book, [name], every="month", period=whole)["period"].min()
    if pd.isna(first):
        return missing, missing
    began = max(first.date(), whole[0])  # what was before the first row was not recorded, rather than nothing
    days = at_work(reps, (began, whole[1])) * (whole[1] - began).days
    length = (period[1] - period[0]).days
    return np.where(days >= length / 4, np.nan_to_num(value) / np.maximum(days, 1) * length, np.nan), missing


def _history(book: Book, reps: pd.DataFrame, names: Sequence[str], period: Period, periods: int) -> pd.DataFrame:
    parts, at = [], period
    flows = [name for name in names if not _stands(name)]
    for _ in range(periods if flows else 0):
        at = previous(at)
        found = reps[["rep"]].merge(measure(book, flows, by=["rep"], period=at), "left", "rep")
        for name in flows:
            rests = found[f"{name}_n"].fillna(0) if f"{name}_n" in found else float("nan")
            values = pd.to_numeric(found[name], errors="coerce").astype("float64")
            parts.append(found[["rep"]].assign(measure=name, start=at[0], end=at[1], value=values, n=rests))
    columns = ["rep", "measure", "start", "end", "value", "n"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
