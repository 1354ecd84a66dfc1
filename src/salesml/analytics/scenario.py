"""Scenarios of the quarter: levers turned, the same draws taken again, and what each lever did."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import optimize, special

from salesml.analytics.joint import joint_scenarios
from salesml.analytics.levers import Levers
from salesml.analytics.quarter import BAND
from salesml.analytics.scenario_base import MONTH_DAYS, Base, Means, means
from salesml.errors import BadParameter, UnknownName

TOGETHER = "together"


@dataclass(frozen=True)
class Outcome:
    """What levers make of the quarter; money in the base's currency.

    nodes: one row per level and name: label, quota, booked, expected (mean of where the quarter lands), open and other (its parts:
    what open deals bring, what comes from elsewhere; missing if unknown), lo80, hi80, probability (share of draws at or
    above the quota), gap (quota less booked), shortfall (mean of what is missing where it is missed; missing if it never is), and
    expected_before, probability_before of the base. parts: level, name, lever, expected, probability: what each lever does alone to
    the base, and "together" for what they do to one another; they sum to the difference. joint: `joint.joint_scenarios`;
    landing: the company's draws.
    """

    levers: Levers
    nodes: pd.DataFrame
    parts: pd.DataFrame
    joint: pd.DataFrame
    landing: np.ndarray = field(repr=False)

    @property
    def company(self) -> pd.Series:
        """The company's row of `nodes`."""
        return self.nodes.iloc[0]


@dataclass(frozen=True, eq=False)
class _Turned:
    """What the levers make of the base: draws by node, quotas; and by cell what more is won (None: nothing) and `growth`, the relative
    change of revenue of deals not open yet; price is the factor on what is won."""

    won: np.ndarray
    other: np.ndarray
    quota: np.ndarray
    moved: np.ndarray | None
    growth: np.ndarray
    price: float


def run(levers: Levers, base: Base) -> Outcome:
    """Recompute the quarter with the levers turned, by the base's own random numbers: no change gives the base bit by bit.

    A node's numbers come from its own draws, as its chance of quota does elsewhere; those that add up are `joint`. Raises
    BadParameter for a win rate that no odds would give, or more reps leaving than there are; UnknownName for a region or industry that
    there is not.
    """
    turned, names = _turn(levers, base), levers.turned
    before, after = base.means, _means(base, turned)
    alone = [after] if len(names) == 1 else [_means(base, _turn(levers.only(name), base)) for name in names]
    nodes = _told(base, turned, after).assign(expected_before=before["expected"], probability_before=before["probability"])
    cells_won = base.cells_won if turned.moved is None else base.cells_won + turned.moved
    won = cells_won if turned.price == 1 else cells_won * turned.price
    joint = joint_scenarios(base.cells, won, (turned.won[0], base.other[0]), base.fresh * turned.growth, base.nodes)
    landing = base.nodes["booked"].iloc[0] + turned.won[0] + turned.other[0]
    return Outcome(levers, nodes, _parts(base.nodes, names, alone, before, after), joint, landing)


def more_wins(chances: np.ndarray, share: float) -> np.ndarray:
    """Chances whose sum is greater by a share, all odds multiplied by one factor. BadParameter where no factor does it."""
    if share == 0 or not chances.sum() > 0:
        return chances
    if share == -1:
        return np.zeros(len(chances))
    wanted, most, sure = (1 + share) * chances.sum(), np.count_nonzero(chances), np.count_nonzero(chances >= 1)
    if not sure < wanted < most:
        lowest, highest = (count / chances.sum() - 1 for count in (sure, most))
        raise BadParameter(
            f"{1 + share:.4g} times the {chances.sum():,.1f} wins expected is not between the {sure:,} that are sure and the {most:,} "
            f"that are possible; give a share between {lowest:.4g} and {highest:.4g}"
        )
    odds = special.logit(chances)
    factor = optimize.brentq(lambda by: special.expit(odds + by).sum() - wanted, -60, 60, xtol=1e-12)
    moved = special.expit(odds + factor)
    return np.maximum(moved, chances) if share > 0 else np.minimum(moved, chances)


def _turn(levers: Levers, base: Base) -> _Turned:
    before = base.deals["p_quarter"].to_numpy("float64")
    chances: np.ndarray = before
    factor: np.ndarray = np.ones(len(base.cells))
    if levers.cycle:
        stretched = base.pace(base.days_left, base.days_left / (1 + levers.cycle))
        chances, factor = (chances * stretched).clip(0, 1), factor * _in_time(base, levers.cycle)
    if levers.win_rate:
        chances, factor = more_wins(chances, levers.win_rate), factor * (1 + levers.win_rate)
    for area, share in levers.market:
        rows, weight = _area(base, area)
        chances = chances.copy()
        chances[rows] = more_wins(chances[rows], share)
        factor = factor * (1 + share * weight)
    growth = factor * (1 + levers.price) * (1 + levers.creation) * _staffed(base, levers) - 1
    part = base.cells["share"].to_numpy()
    whole = base.member @ part
    by_node = np.divide(base.member @ (part * growth), whole, out=np.full(len(whole), float(part @ growth)), where=whole > 0)
    won, price, moved = base.won, 1 + levers.price, None
    if chances is not before:
        amounts, cells = base.deals["amount"].to_numpy(), base.deals["cell"].to_numpy()
        moved = base.luck.moved(before, chances, amounts, cells, len(base.cells))
        won = won + base.member @ moved
    won = won if price == 1 else won * price
    return _Turned(won, _grown(base.other, base.fresh, by_node[:, None]), _quotas(base, levers), moved, growth, price)


def _grown(other: np.ndarray, fresh: float, growth: np.ndarray) -> np.ndarray:
    """Revenue from elsewhere with its part of deals not open yet grown; what is negative (returns) stays."""
    if not np.any(growth):
        return other
    grown = np.maximum(other, 0.0)
    grown *= fresh * growth
    return np.add(grown, other, out=grown)


def _area(base: Base, area: str) -> tuple[np.ndarray, np.ndarray]:
    """The open deals of a region or industry, and what part of each cell's revenue it is."""
    if area not in base.areas:
        raise UnknownName("market", area, base.areas)
    kind, _, name = area.partition("/")
    rows = np.flatnonzero(base.deals[kind].eq(name).to_numpy())
    if kind == "region":
        return rows, base.cells["region"].eq(name).to_numpy("float64")
    mine = base.industries[base.industries["industry"] == name]
    return rows, np.bincount(mine["cell"], mine["share"], len(base.cells))


def _in_time(base: Base, cycle: float) -> float:
    """What deals of past quarters that were not open yet would have brought in time had each taken so much longer, over what they did."""
    new = base.arrivals
    ends = new["since"] + new["days"] * (1 + cycle)
    usual = float(new["amount"][new["since"] + new["days"] < new["left"]].sum())
    return float(new["amount"][ends < new["left"]].sum()) / usual if usual > 0 else 1.0


def _staffed(base: Base, levers: Levers) -> float:
    """By what creation grows as reps join or leave: each rep's part, a joiner's weighed by how far the ramp is when deals are opened.

    The weights are what deals opened so long after such a day brought in past quarters; without any, the days left weigh alike.
    """
    if not levers.headcount:
        return 1.0
    if base.reps + levers.headcount < 0 or not base.reps:
        raise BadParameter(f"headcount {levers.headcount} is more than the {base.reps:,} reps with open deals; give at least -{base.reps}")
    if levers.headcount < 0 or not levers.ramp_months:
        return 1 + levers.headcount / base.reps
    new = base.arrivals[base.arrivals["since"] + base.arrivals["days"] < base.arrivals["left"]]
    since, weight = new["since"].to_numpy("float64"), new["amount"].to_numpy("float64").clip(0)
    if not weight.sum() > 0:
        since, weight = np.linspace(0, base.days_left, 101), np.ones(101)
    ready = np.minimum(since / (levers.ramp_months * MONTH_DAYS), 1.0)
    return 1 + levers.headcount / base.reps * float(weight @ ready / weight.sum())


def _quotas(base: Base, levers: Levers) -> np.ndarray:
    quota = base.nodes["quota"].to_numpy("float64")
    if levers.quota_amount is None:
        return quota * (1 + levers.quota)
    if np.isnan(quota[0]):
        return np.append(levers.quota_amount, quota[1:])
    return quota * (levers.quota_amount / quota[0])


def _means(base: Base, turned: _Turned) -> Means:
    return means(base.nodes["booked"].to_numpy("float64"), turned.won, turned.other, turned.quota)


def _told(base: Base, turned: _Turned, known: Means) -> pd.DataFrame:
    """The columns of `Outcome.nodes`."""
    booked = base.nodes["booked"].to_numpy("float64")
    gap = turned.quota - booked
    lo, hi = np.quantile(booked[:, None] + turned.won + turned.other, BAND, axis=1)
    missing = np.maximum(gap[:, None] - (turned.won + turned.other), 0.0)
    missed = np.count_nonzero(missing > 0, axis=1)
    shortfall = np.divide(missing.sum(axis=1), missed, out=np.full(len(gap), np.nan), where=missed > 0)
    told = {name: known[name] for name in ("expected", "probability", "open")}
    other = np.where(base.known, known["other"], np.nan)
    return base.nodes.assign(quota=turned.quota, **told, other=other, lo80=lo, hi80=hi, gap=gap, shortfall=shortfall)


def _parts(nodes: pd.DataFrame, names: tuple[str, ...], alone: list[Means], before: Means, after: Means) -> pd.DataFrame:
    """`Outcome.parts`: each lever's, then what is left."""
    columns = {}
    for value in ("expected", "probability"):
        parts = [one[value] - before[value] for one in alone]
        rest = after[value] - before[value] - sum(parts, np.zeros(len(nodes)))
        columns[value] = np.concatenate([*parts, rest])
    times = len(names) + 1
    found = pd.concat([nodes[["level", "name"]]] * times, ignore_index=True)
    return found.assign(lever=np.repeat(np.array([*names, TOGETHER], dtype=object), len(nodes)), **columns)
