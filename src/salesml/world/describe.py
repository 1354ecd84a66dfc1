"""What a simulated company looks like beside the bands of docs/world-realism.md, and how hard it is to foresee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, Floats, Ints, quarter
from salesml.world.company import World
from salesml.world.deals import RENEWAL
from salesml.world.hazards import DISCOUNTS, LOST, NO_DECISION, RETURN, SKIP, WON
from salesml.world.leads import NEVER
from salesml.world.life import mid_life
from salesml.world.opportunities import CALLS


@dataclass(frozen=True)
class Measure:
    """One figure of a company: its unit, the band it is to lie in (None: told for information)."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None

    @property
    def within(self) -> bool | None:
        """Whether the figure lies in its band; None without one."""
        return None if self.low is None or self.high is None else self.low <= self.value <= self.high


BANDS: dict[str, tuple[float, float]] = {
    "win rate, new business": (0.15, 0.35),
    "win rate, renewals": (0.80, 0.95),
    "no decision": (0.20, 0.60),
    "no decision, of those not won": (0.30, 0.75),
    "cycle of won deals": (45, 120),
    "cycle of won deals, small": (14, 60),
    "cycle of won deals, mid-market": (30, 120),
    "cycle of won deals, enterprise": (90, 270),
    "cycle, 90th percentile": (1.8, 4.0),
    "ever pushed": (0.30, 0.60),
    "pushes": (0.4, 1.5),
    "won in the last month of a quarter": (0.38, 0.60),
    "won in the last two weeks of a quarter": (0.18, 0.45),
    "discounted": (0.45, 0.85),
    "discount": (0.08, 0.30),
    "wins with three people engaged": (1.3, 3.0),
    "committed deals won": (0.40, 0.60),
    "activities of won deals": (12, 50),
    "activities of lost deals": (6, 25),
    "activities, won to lost": (1.2, 5.0),
    "calls": (3, 12),
    "meetings and demos": (2, 6),
    "touches of leads": (2, 10),
    "lead conversion": (0.08, 0.20),
    "lead conversion, inbound": (0.12, 0.32),
    "lead conversion, referral": (0.15, 0.35),
    "lead conversion, outbound": (0.02, 0.15),
    "lead conversion, event": (0.05, 0.20),
    "lead conversion, paid": (0.08, 0.18),
    "quota reached": (0.20, 0.60),
    "attainment, median": (0.45, 1.00),
    "attainment, standard deviation": (0.25, 0.60),
    "attrition": (0.13, 0.40),
    "duplicate accounts": (0.03, 0.30),
    "accounts without industry": (0.00, 0.60),
    "customers who leave": (0.05, 0.20),
    "oracle's AUC at mid-life": (0.70, 0.80),
}
"""Stated targets for companies with knobs of their own choice left alone; docs/world-realism.md gives the source of each."""


def describe(world: World) -> list[Measure]:
    """Figures of the records the company leaves (share, days, counts a deal), and the difficulty of its deals."""
    figures = {**_deals(world), **_habits(world), **_activity(world), **_leads(world), **_people(world), **_difficulty(world)}
    return [Measure(name, value, unit, *BANDS.get(name, (None, None))) for name, (value, unit) in figures.items()]


def known_closings(world: World) -> Ints:
    """Panel rows of closings that were entered before the end."""
    return world.record.closings[world.record.known < world.clock.end_second]


def _deals(world: World) -> dict[str, tuple[float, str]]:
    deals, life = world.deals, world.life
    row = known_closings(world)
    deal, event = life.deal[row], life.event[row]
    new, won = deals.type[deal] != RENEWAL, event == WON
    days = (life.closed[row] - deals.created[deal]).astype(np.int64) / DAY
    figures = {
        "win rate, new business": (_mean(won[new]), "share of closings"),
        "win rate, renewals": (_mean(won[~new]), "share of closings"),
        "no decision": (_mean(event[new] == NO_DECISION), "share of new business closed"),
        "no decision, of those not won": (_mean(event[new & ~won] == NO_DECISION), "share"),
        "cycle of won deals": (_middle(days[new & won]), "days, median of new business"),
    }
    for number, segment in enumerate(words.SEGMENTS):
        chosen = new & won & (deals.segment[deal] == number)
        figures[f"cycle of won deals, {segment}"] = (_middle(days[chosen]), "days, median of new business")
    tail = float(np.percentile(days[new & won], 90)) / _middle(days[new & won]) if (new & won).any() else np.nan
    return figures | {"cycle, 90th percentile": (tail, "of the median")}


def _habits(world: World) -> dict[str, tuple[float, str]]:
    """How deals are pushed, discounted, called and handed on."""
    deals, life, record = world.deals, world.life, world.record
    row, n = known_closings(world), len(deals.week)
    deal, event = life.deal[row], life.event[row]
    won, closed = event == WON, life.closed[row]
    settled = np.isin(np.arange(n), deal)
    pushes = np.bincount(life.deal[(life.pushed == 1) & (life.week < world.clock.last)], minlength=n)[settled]
    month_end = quarter(closed + np.timedelta64(31, "D")) != quarter(closed)
    fortnight = quarter(closed + np.timedelta64(14, "D")) != quarter(closed)
    discount, breadth = DISCOUNTS[deals.discount[deal]], life.mood[row] % 3
    committed = record.call[row - 1] == CALLS.index("commit")
    lived = life.event[life.lived]
    return {
        "ever pushed": (_mean(pushes > 0), "share of closed deals"),
        "pushes": (_mean(pushes), "a closed deal"),
        "stage skips": (float((lived == SKIP).sum() / n), "a deal"),
        "stage returns": (float((lived == RETURN).sum() / n), "a deal"),
        "reopened": (float((np.diff(np.sort(deal)) == 0).sum() / max(1, (~won).sum())), "share of deals not won"),
        "won in the last month of a quarter": (_mean(month_end[won]), "share of wins"),
        "won in the last two weeks of a quarter": (_mean(fortnight[won]), "share of wins"),
        "discounted": (_mean(discount[won] > 0), "share of won deals"),
        "discount": (_mean(discount[won]), "mean of won deals"),
        "wins with three people engaged": (_mean(won[breadth == 2]) / max(_mean(won[breadth == 0]), 1e-9), "to one"),
        "committed deals won": (_mean(won[committed]), "share of deals last called commit"),
        "hand-overs": (float((life.before != life.owner).sum() / n), "a deal"),
    }


def _activity(world: World) -> dict[str, tuple[float, str]]:
    life, n = world.life, len(world.deals.week)
    counts, kinds, touches = np.zeros(n), {"call": 0, "meeting": 0, "demo": 0}, 0
    for batch in world.reader("activity"):
        deal = batch["opportunity_id"]
        touches += deal.null_count
        known = batch.filter(deal.is_valid())
        number = pc.utf8_slice_codeunits(known["opportunity_id"].dictionary_decode(), 1).cast(pa.int64())
        counts += np.bincount(number.to_numpy(), minlength=n)
        for row in pc.value_counts(known["type"].dictionary_decode()).to_pylist():
            kinds[row["values"]] = kinds.get(row["values"], 0) + row["counts"]
    row = known_closings(world)
    won = life.event[row] == WON
    of_won, of_lost = _mean(counts[life.deal[row[won]]]), _mean(counts[life.deal[row[~won]]])
    return {
        "activities of won deals": (of_won, "a deal"),
        "activities of lost deals": (of_lost, "a deal, given up ones included"),
        "activities, won to lost": (of_won / of_lost if of_lost else np.nan, "ratio"),
        "calls": (kinds["call"] / n, "a deal"),
        "meetings and demos": ((kinds["meeting"] + kinds["demo"]) / n, "a deal"),
        "touches of leads": (touches / max(1, len(world.come.week)), "a lead"),
    }


def _leads(world: World) -> dict[str, tuple[float, str]]:
    come = world.come
    old = (world.clock.end_second - come.created).astype(np.int64) / DAY > 120
    converted = (come.converts == 1) & (come.resolved < world.clock.end_second)
    figures = {"lead conversion": (_mean(converted[old]), "share of leads over 120 days old")}
    for number, source in enumerate(words.SOURCES):
        figures[f"lead conversion, {source}"] = (_mean(converted[old & (come.source == number)]), "share")
    decided = come.resolved < NEVER
    return figures | {"leads never decided": (float(1 - decided.mean()), "share")}


def attainment(world: World) -> Floats:
    """Revenue over quota, company currency, of every rep past the ramp and calendar year (or its lived quarters, two at
    least) with a quota in each.
    """
    quota = world.tables["quota"].to_pandas()
    revenue = world.tables["revenue"].to_pandas()
    rates = dict(zip(world.knobs.money, world.market.rate.mean(axis=1), strict=True))
    amount = revenue["amount"].astype(float) * revenue["currency"].map(rates)
    day = revenue["occurred_at"].dt.tz_localize(None)
    got = amount.groupby([revenue["owner_id"], day.dt.to_period("Q")]).sum()
    reps = quota[(quota["entity_type"] == "rep") & (quota["period_end"].astype("datetime64[s]") <= world.clock.end)]
    start = reps["period_start"].astype("datetime64[s]")
    reps = reps.assign(quarter=start.dt.to_period("Q"), year=start.dt.year, target=reps["amount"].astype(float))
    index = list(zip(reps["entity_id"], reps["quarter"], strict=True))
    reps = reps.assign(got=got.reindex(index).fillna(0).to_numpy())
    years = reps.groupby(["entity_id", "year"]).agg(got=("got", "sum"), target=("target", "sum"), n=("got", "size"))
    years = years[years["n"] >= 2]
    return (years["got"] / years["target"]).to_numpy()


def _people(world: World) -> dict[str, tuple[float, str]]:
    reached = attainment(world)
    there = np.minimum(world.org.left, world.clock.last) - world.org.hired
    gone = (world.org.left < world.clock.last).sum() / (there[there > 0].sum() / 52)
    old, records = world.who.customer == 1, len(world.who.customer)
    churn = world.regular.churn[~np.isnan(world.regular.churn)]
    entered = int((world.since < world.clock.end_second).sum())
    twice = int((world.fault.accounts.created < world.clock.end_second).sum())
    unknown = world.tables["account"].filter(pc.equal(world.tables["account"]["change_id"], "created"))["industry"]
    return {
        "quota reached": (_mean(reached >= 1), "share of rep years"),
        "attainment, median": (_middle(reached), "of quota, by rep and year"),
        "attainment, standard deviation": (float(np.std(reached)) if len(reached) else np.nan, "by rep and year"),
        "attrition": (float(gone), "of reps a year"),
        "duplicate accounts": (twice / max(1, entered + twice), "share of account records"),
        "accounts without industry": (unknown.null_count / max(1, len(unknown)), "share of account records"),
        "customers of old": (float(old.sum() / records), "share of accounts"),
        "customers who leave": (_mean(1 - (1 - churn) ** 12), "of customers of old a year"),
    }


def _difficulty(world: World) -> dict[str, tuple[float, str]]:
    life, n = world.life, len(world.deals.week)
    won = life.event[life.last] == WON
    p = world.known.at["p_win"][mid_life(life, n)]
    return {
        "oracle's AUC at mid-life": (auc(won, p), "of 1"),
        "oracle's log loss at mid-life": (float(-np.mean(np.log(np.where(won, p, 1 - p)))), "nats"),
        "base rate's log loss": (float(-(won.mean() * np.log(won.mean()) + (1 - won.mean()) * np.log(1 - won.mean()))), "nats"),
        "lost for good": (float((life.event[life.last] == LOST).mean()), "share of deals"),
    }


def auc(happened: Ints, p: Floats) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counting half."""
    order = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(order[2]) - (order[2] - 1) / 2)[order[1]]
    yes = int(np.sum(happened))
    no = len(p) - yes
    return float((ranks[np.asarray(happened, bool)].sum() - yes * (yes + 1) / 2) / (yes * no)) if yes and no else np.nan


def _middle(values: Floats) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _mean(values: Ints | Floats) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
