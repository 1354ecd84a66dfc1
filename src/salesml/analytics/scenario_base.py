"""The base case of scenarios: draws of the quarter by node, and by the smallest cells that everything adds up from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from salesml.analytics import elsewhere, quarter
from salesml.analytics.elsewhere import KEYS
from salesml.analytics.luck import Luck

MONTH_DAYS = 30.4375
Means = dict[str, np.ndarray]
Pace = Callable[[float, float], np.ndarray]
"""From the days left and others: by what each open deal's chance to be won in time is multiplied."""


@dataclass(frozen=True, eq=False)
class Base:
    """What a scenario is recomputed from; money in one currency.

    deals: open deals: amount (what a win brings to the quarter), p_quarter, region, team, rep, industry, cell. nodes: level, name,
    label, quota, booked; the company first. cells: one row per region, team and rep: booked, share (of the company's part from
    elsewhere). industries: cell, industry, share (within the cell). won, other: draws by node, other 0 where unknown (`known`).
    member: nodes × cells. fresh: share of `other` that comes of deals not open yet. arrivals: such deals of past quarters: since (days
    after that day), days (until won), left (days then left), amount. days_left; reps who have open deals; pace.
    """

    deals: pd.DataFrame
    nodes: pd.DataFrame
    cells: pd.DataFrame
    industries: pd.DataFrame
    won: np.ndarray = field(repr=False)
    other: np.ndarray = field(repr=False)
    known: np.ndarray = field(repr=False)
    member: sparse.csr_matrix = field(repr=False)
    cells_won: np.ndarray = field(repr=False)
    luck: Luck = field(repr=False)
    fresh: float
    arrivals: pd.DataFrame
    days_left: float
    pace: Pace = field(repr=False)

    @cached_property
    def means(self) -> Means:
        """`means` as things stand."""
        return means(self.nodes["booked"].to_numpy("float64"), self.won, self.other, self.nodes["quota"].to_numpy("float64"))

    @property
    def reps(self) -> int:
        """Reps who have open deals."""
        return int(self.deals["rep"].nunique())

    @cached_property
    def areas(self) -> list[str]:
        """What `Levers.market` may name here: region/West, industry/Retail."""
        names = [f"region/{one}" for one in pd.concat([self.deals["region"], self.cells["region"]]).dropna().unique() if one]
        more = [f"industry/{one}" for one in pd.concat([self.deals["industry"], self.industries["industry"]]).dropna().unique()]
        return sorted(names) + sorted(more)


def base(
    deals: pd.DataFrame,
    shock: float,
    quotas: pd.DataFrame,
    drawn: tuple[np.ndarray, np.ndarray],
    booked: pd.DataFrame,
    trailing: pd.DataFrame,
    history: pd.DataFrame,
    fresh: float,
    arrivals: pd.DataFrame,
    days_left: float,
    pace: Pace,
    labels: dict[str, str] | None = None,
) -> Base:
    """The base case from a picture of the quarter (`workflows.quarter`).

    deals: amount, p_quarter, region, team, rep, industry; quotas: level, name, label, quota, booked with the draws `drawn` (won, other
    with missing for unknown), one row each, the company first; booked, trailing: revenue rows of the quarter so far and of the past
    half-year: amount, region, team, rep, industry; history: as `elsewhere.elsewhere` takes it. Regions, teams and reps without a quota get
    draws of their own, and their part of what those above them have from elsewhere (`elsewhere.shared_out`).
    """
    cells, (of_deals, of_booked, of_trailing) = _cells(deals, booked, trailing)
    lately = np.bincount(of_trailing, trailing["amount"].astype("float64").fillna(0).clip(lower=0), len(cells))
    cells = cells.assign(booked=np.bincount(of_booked, booked["amount"].astype("float64").fillna(0), len(cells)))
    amounts = deals["amount"].astype("float64").fillna(0.0).to_numpy()
    deals = deals.assign(amount=amounts, cell=of_deals)
    chances = deals["p_quarter"].to_numpy("float64")
    luck = Luck.of(chances, shock, drawn[0].shape[1])
    cells_won = luck.won(chances, amounts, of_deals, len(cells))
    nodes, member = _nodes(cells, quotas, labels or {})
    alone = member[len(quotas) :]
    nodes.loc[nodes.index[len(quotas) :], "booked"] = alone @ cells["booked"].to_numpy()
    own = dict(zip(zip(quotas["level"], quotas["name"], strict=True), drawn[1].mean(axis=1), strict=True))
    shared = elsewhere.shared_out(trailing, history, {key: mean for key, mean in own.items() if not np.isnan(mean)})
    cells = cells.merge(shared[[*KEYS, "other"]], "left", KEYS).fillna({"other": 0.0})
    cells = cells.assign(share=cells["other"] / (cells["other"].sum() or 1.0)).drop(columns="other")
    other = np.vstack([drawn[1], _elsewhere(nodes.iloc[len(quotas) :], alone @ lately, history, elsewhere.by_node(shared), drawn[1].shape)])
    known = ~np.isnan(other[:, 0])
    return Base(
        deals.reset_index(drop=True), nodes, cells, _industries(trailing, of_trailing), np.vstack([drawn[0], alone @ cells_won]),
        np.where(known[:, None], other, 0.0), known, member, cells_won, luck, fresh, arrivals, days_left, pace,
    )  # fmt: skip


def means(booked: np.ndarray, won: np.ndarray, other: np.ndarray, quota: np.ndarray) -> Means:
    """Of each node: open, other (means of the draws), expected (with booked), probability of the quota (missing without one)."""
    gap = quota - booked
    reached = np.count_nonzero(won + other >= gap[:, None], axis=1) / won.shape[1]
    open_, rest = won.mean(axis=1), other.mean(axis=1)
    found = {"open": open_, "other": rest, "expected": booked + open_ + rest}
    return {**found, "probability": np.where(np.isnan(gap), np.nan, reached)}


def _cells(*frames: pd.DataFrame) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Regions × teams × reps that occur in the frames ("" where one is missing), and the cell of each of their rows."""
    rows = pd.concat([frame[KEYS].astype("object").fillna("") for frame in frames], ignore_index=True)
    codes, found = pd.factorize(pd.MultiIndex.from_frame(rows))
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return pd.DataFrame(list(found), columns=KEYS), np.split(codes, ends)


def _nodes(cells: pd.DataFrame, quotas: pd.DataFrame, labels: dict[str, str]) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """The quotas' nodes, then every other region, team and rep; and which cells each adds up."""
    named = quarter.memberships(cells.replace("", None)[KEYS])
    known = pd.MultiIndex.from_frame(quotas[["level", "name"]])
    more = named[["level", "name"]].drop_duplicates()
    more = more[~pd.MultiIndex.from_frame(more).isin(known)]
    more = more.assign(label=more["name"].map(labels).fillna(more["name"]), quota=np.nan, booked=0.0)
    more = more.sort_values(["level", "label"], key=lambda by: by.map(quarter.LEVELS.index) if by.name == "level" else by)
    nodes = pd.concat([quotas[list(more.columns)], more], ignore_index=True) if len(more) else quotas[list(more.columns)].copy()
    place = {key: row for row, key in enumerate(zip(nodes["level"], nodes["name"], strict=True))}
    rows = [place[key] for key in zip(named["level"], named["name"], strict=True)]
    ones = np.ones(len(rows))
    return nodes, sparse.csr_matrix((ones, (rows, named["row"])), shape=(len(nodes), len(cells)))


def _elsewhere(
    nodes: pd.DataFrame, trailing: np.ndarray, history: pd.DataFrame, parts: pd.Series, before: tuple[int, ...]
) -> np.ndarray:
    """Draws from elsewhere by node, from each one's `trailing` revenue, with the means of `parts`; missing where unknown. `before`: how
    many nodes have them already, and draws.
    """
    past, (first, count) = {level: elsewhere.elsewhere(history, level) for level in quarter.LEVELS}, before
    found = np.full((len(nodes), count), np.nan)
    for place, (level, name, money) in enumerate(zip(nodes["level"], nodes["name"], trailing, strict=True)):
        drawn = past[level].draws(name, float(money), count, seed=first + place + 1)
        if drawn is not None:
            found[place] = elsewhere.at_mean(drawn, parts.get((level, name)))
    return found


def _industries(trailing: pd.DataFrame, cells: np.ndarray) -> pd.DataFrame:
    """cell, industry, share of the cell's revenue of the past half-year."""
    rows = trailing[["industry", "amount"]].assign(cell=cells)
    rows["amount"] = rows["amount"].astype("float64").fillna(0.0).clip(lower=0)
    whole = rows.groupby("cell")["amount"].sum()
    found = rows.dropna(subset=["industry"]).groupby(["cell", "industry"])["amount"].sum().reset_index()
    share = found["amount"] / found["cell"].map(whole).replace(0, np.nan)
    return found.assign(share=share.fillna(0.0))[["cell", "industry", "share"]]
