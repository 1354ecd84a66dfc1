"""A forecast's months shared out among the teams and reps of each region: what their open deals bring, the rest by what they sold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.models.revenue import CHAMPION, SEASONAL_NAIVE, RevenueForecast, judged_rows, with_measured_intervals
from salesml.models.revenue_input import SEASONS, RevenueHistory
from salesml.models.series_candidates import seasonal_naive

LATELY = 6
"""Periods of revenue by which the rest is shared."""
TEAM, REP = "team/", "rep/"


@dataclass(frozen=True)
class PartForecast:
    """Teams and reps of a forecast, each below its parent.

    `frame`, `totals`: as `RevenueForecast` has them, with parent (a series of the forecast, or team/NAME); `judged`: rows of `champion`
    and seasonal naive for the same origins; `left_out`: teams and reps who sold for several regions or teams, and are in none of these.
    """

    frame: pd.DataFrame
    totals: pd.DataFrame
    judged: pd.DataFrame
    left_out: int


@dataclass(frozen=True)
class _Leaves:
    """Who revenue is shared among: `keys` (series, team, rep; "" where there is none, the rest of its parent), `sold` [leaf, period]."""

    keys: pd.DataFrame
    sold: np.ndarray
    dates: pd.DatetimeIndex


def share_out(
    made: RevenueForecast, sold: pd.DataFrame, told: Mapping[pd.Timestamp, pd.DataFrame] | None, horizon: int, freq: str = "MS"
) -> PartForecast:
    """Share the lowest series of a forecast among teams and reps, as it would have been done at each origin of its backtest.

    sold: series, team, rep (missing: none), ds (first day of a complete period), y (≥ 0, adding up to the forecast's history).
    told: by first forecast period, rows (series, rep) and columns 0 … horizon - 1: what their open deals are to bring and what is
    booked already. A leaf's part of a period is that, and of what is left of its series the part it had of the last six periods'
    revenue; parts add up to their series. Who sold nothing then and is to bring nothing has no forecast. Intervals are measured for
    teams and reps apart, as those of the forecast are; those of one parent are taken to err together.
    """
    leaves, left_out = _leaves(sold, made, freq)
    series, champion = _lowest(made), made.judged
    if len(champion):
        champion = champion[(champion["model"] == CHAMPION) & champion["unique_id"].isin(series)]
    now = made.frame[made.frame["unique_id"].isin(series)]
    steps = now.groupby("unique_id")["ds"].rank().astype("int64").to_numpy()
    points = {len(leaves.dates): _wide(now.assign(step=steps), series, horizon)}
    for cut, rows in champion.groupby("origin") if len(champion) else ():
        place = int(leaves.dates.get_indexer(pd.DatetimeIndex([cut]))[0])
        if place > 0:
            points[place] = _wide(rows, series, horizon)
    shared = {cut: _shared(leaves, point, cut, _told(leaves, told, cut, freq, horizon)) for cut, point in points.items()}
    parts = [_level(leaves, shared, kind, horizon, freq) for kind in (TEAM, REP)]
    frame, totals, judged = (pd.concat([part[at] for part in parts], ignore_index=True) for at in range(3))
    chosen = {"model": made.chosen, "note": "; ".join(made.notes)}
    return PartForecast(frame.assign(**chosen), totals, judged, left_out)


def _lowest(made: RevenueForecast) -> list[str]:
    """The series that are not the sum of others: the regions, or the company where there is none."""
    names = list(dict.fromkeys(made.frame["unique_id"]))
    regions = [name for name in names if "/" in name]
    return regions or names


def _leaves(sold: pd.DataFrame, made: RevenueForecast, freq: str) -> tuple[_Leaves, int]:
    rows = sold.fillna({"team": "", "rep": ""})
    torn = 0
    for kind, above in (("team", "series"), ("rep", "series"), ("rep", "team")):
        spread = rows.groupby(kind)[above].transform("nunique").gt(1) & rows[kind].ne("")
        torn += rows.loc[spread, kind].nunique()
        rows.loc[spread, list({kind, "rep"})] = ""
    last = made.frame["ds"].min()
    dates = pd.date_range(rows["ds"].min(), last, freq=freq)[:-1]
    wide = rows.pivot_table(index=["series", "team", "rep"], columns="ds", values="y", aggfunc="sum").reindex(columns=dates).fillna(0.0)
    lacking = [(name, "", "") for name in _lowest(made) if (name, "", "") not in wide.index]
    wide = wide.reindex([*wide.index, *lacking]).fillna(0.0)
    return _Leaves(wide.index.to_frame(index=False), wide.to_numpy("float64"), dates), torn


def _wide(rows: pd.DataFrame, series: list[str], horizon: int) -> pd.DataFrame:
    return rows.pivot(index="unique_id", columns="step", values="yhat").reindex(index=series, columns=range(1, horizon + 1))


def _told(
    leaves: _Leaves, told: Mapping[pd.Timestamp, pd.DataFrame] | None, cut: int, freq: str, horizon: int
) -> np.ndarray:
    """What each leaf's open deals bring [leaf, step]; those of reps who are no leaf count to the rest of their series."""
    found = np.zeros((len(leaves.keys), horizon))
    first = leaves.dates[cut] if cut < len(leaves.dates) else pd.date_range(leaves.dates[-1], periods=2, freq=freq)[1]
    rows = None if told is None else told.get(first)
    if rows is None or rows.empty:
        return found
    place = {(key.series, key.rep): at for at, key in enumerate(leaves.keys.itertuples()) if key.rep}
    rest = {key.series: at for at, key in enumerate(leaves.keys.itertuples()) if not key.rep and not key.team}
    for (series, rep), values in zip(rows.index, np.nan_to_num(rows.to_numpy("float64")), strict=True):
        at = place.get((series, rep), rest.get(series))
        if at is not None:
            found[at, : len(values)] += values[:horizon]
    return found


def _shared(leaves: _Leaves, point: pd.DataFrame, cut: int, told: np.ndarray) -> np.ndarray:
    """[leaf, step]: each series' forecast at an origin shared among its leaves; NaN where the forecast is."""
    lately = leaves.sold[:, max(0, cut - LATELY) : cut].sum(axis=1)
    found = np.zeros((len(leaves.keys), point.shape[1]))
    for name in point.index:
        mine = np.flatnonzero(leaves.keys["series"].eq(name))
        whole, brought = point.loc[name].to_numpy("float64"), told[mine]
        rest = np.maximum(whole - brought.sum(axis=0), 0.0)
        part = lately[mine] / lately[mine].sum() if lately[mine].sum() > 0 else np.zeros(len(mine))
        weight = brought + part[:, None] * rest
        total = weight.sum(axis=0)
        nobodys = (leaves.keys.loc[mine, ["team", "rep"]] == "").all(axis=1).to_numpy("float64")
        found[mine] = whole * np.where(total > 0, weight / np.where(total > 0, total, 1.0), nobodys[:, None])
    return found


def _level(leaves: _Leaves, shared: dict[int, np.ndarray], kind: str, horizon: int, freq: str) -> tuple[pd.DataFrame, ...]:
    """Frame, totals and judged rows of all teams, or all reps."""
    column = kind.removesuffix("/")
    names = sorted(set(leaves.keys[column]) - {""})
    if not names:
        return pd.DataFrame(), pd.DataFrame(), pd.DataFrame()
    member = (leaves.keys[column].to_numpy()[None] == np.array(names, dtype=object)[:, None]).astype("float64")
    home = leaves.keys.drop_duplicates(column).set_index(column).loc[names]
    parent = home["series"] if kind == TEAM else np.where(home["team"].eq(""), home["series"], TEAM + home["team"])
    ids, groups = [kind + name for name in names], len(set(parent))
    data = RevenueHistory(ids, member @ leaves.sold, leaves.dates, np.array([], dtype="int64"), 0, SEASONS[freq])
    made = {cut: _active(member @ found, data.values[:, max(0, cut - LATELY) : cut]) for cut, found in shared.items()}
    length = len(leaves.dates)
    past = sorted(cut for cut in made if cut < length)
    dates = pd.date_range(leaves.dates[-1], periods=horizon + 1, freq=freq)[1:]
    places = {"unique_id": np.repeat(ids, horizon), "ds": np.tile(dates, len(ids)), "parent": np.repeat(list(parent), horizon)}
    found = []
    for totals in (False, True):
        ends = with_measured_intervals(data, made[length], {cut: made[cut] for cut in past}, length, totals, groups)
        found.append(pd.DataFrame({**places, **{name: values.ravel() for name, values in ends.items()}}).dropna(subset=["yhat"]))
    naive = {cut: np.array([seasonal_naive(row[:cut], horizon, data.season) for row in data.values]) for cut in past}
    plain = {cut: np.where(np.isnan(made[cut][:, :1]), np.nan, found) for cut, found in naive.items()}
    rows = [
        judged_rows(data, each, [early for early in past if early < cut], cut, name, False, groups)
        for name, each in ((CHAMPION, made), (SEASONAL_NAIVE, plain))
        for cut in past
    ]
    return (*found, pd.concat(rows, ignore_index=True).dropna(subset=["yhat"]) if rows else pd.DataFrame())


def _active(made: np.ndarray, lately: np.ndarray) -> np.ndarray:
    """Forecasts [node, step], missing of nodes that sold nothing lately and are to bring nothing."""
    return np.where((lately.any(axis=1) | (np.nan_to_num(made) > 0).any(axis=1))[:, None], made, np.nan)
