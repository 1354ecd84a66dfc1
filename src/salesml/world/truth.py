"""The truth about a company: what no record holds, for judging only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import pyarrow as pa
from scipy.special import expit

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints
from salesml.world.columns import ids, pick, plain
from salesml.world.deals import TYPES, Deals
from salesml.world.faults import Faults
from salesml.world.hazards import DISCOUNTS, GRID_STEP, LOST, SENSITIVITY, WON, hazards, meeting
from salesml.world.knobs import Knobs
from salesml.world.leads import NEVER, TOUCH_EFFECT, Leads, probability_now, touch_effect
from salesml.world.ledger import Regulars
from salesml.world.life import Life, mid_life
from salesml.world.market import Market
from salesml.world.offer import Campaigns
from salesml.world.opportunities import STATUS, Records
from salesml.world.oracle import Oracle, State
from salesml.world.organisation import Organisation

_UTC = pa.timestamp("s", tz="UTC")
CHUNK = 500_000
MOMENTA = ("stalled", "normal", "hot")


@dataclass(frozen=True)
class Beliefs:
    """The oracle's answers at the start of every lived panel row (NaN elsewhere), and win chances by discount at birth."""

    at: dict[str, Floats]
    by_discount: Floats

    def after(self, life: Life) -> Floats:
        """Win probability after each panel row, which is that of the deal's next one; NaN after a closing."""
        later = np.append(self.at["p_win"][1:], np.nan)
        return np.where(np.append(life.deal[1:] == life.deal[:-1], False), later, np.nan)


def beliefs(knobs: Knobs, clock: Clock, market: Market, deals: Deals, life: Life) -> Beliefs:
    """Ask the oracle about every week of every deal, stepping back from the horizon."""
    oracle = Oracle(knobs, clock)
    rows = life.lived
    rows = rows[np.argsort(life.week[rows], kind="stable")]
    first = np.searchsorted(life.week[rows], np.arange(len(clock.mondays) + 1))
    newborn = np.append(True, life.deal[1:] != life.deal[:-1])
    second = np.append(False, newborn[:-1])  # the first lived week of each deal
    answers: dict[str, Floats] = {}
    by_discount = np.full((len(deals.week), len(DISCOUNTS)), np.nan)
    for week in range(len(clock.mondays) - 1, int(life.week[rows].min(initial=0)) - 1, -1):
        if week < oracle.week:
            oracle.step_back()
        row = rows[first[week] : first[week + 1]]
        of = life.deal[row]
        shock = np.full(len(row), market.shock[week])
        given = (deals.habit[of], deals.segment[of], deals.discount[of], deals.score[of])
        state = State(life.stage[row], *given, shock, life.mood[row])
        for name, values in oracle.at(state).items():
            answers.setdefault(name, np.full(len(life.deal), np.nan, np.float32))[row] = values
        young = second[row]
        if young.any():
            born = State(*(part[young] for part in vars(state).values()))
            by_discount[of[young]] = oracle.by_discount(born)
    return Beliefs(answers, by_discount)


def deal(knobs: Knobs, clock: Clock, deals: Deals, life: Life, fault: Faults, known: Beliefs) -> pa.Table:
    """One row a deal: score and its causes (NAME_effect, log-odds), discount (share), outcome and closed_at in the end (also of deals
    still open at the end), true loss reason, p_win when created and at mid-life, p_win_at_discount_N for N % off.
    """
    n, last = len(deals.week), life.last
    newborn = np.flatnonzero(np.append(True, life.deal[1:] != life.deal[:-1]))
    middle = mid_life(life, n)
    mondays = clock.mondays.astype("datetime64[s]")
    lost = np.flatnonzero(life.event == LOST)
    reason = np.full(n, -1)
    reason[life.deal[lost]] = fault.true_reason[lost]
    outcome = life.event[last]
    return pa.table(
        {
            "opportunity_id": plain(ids("D", np.arange(n), 6)),
            "lead_id": plain(ids("X", deals.lead, 7)),
            "renews_id": plain(ids("D", deals.parent, 6)),
            "type": plain(pick(TYPES, deals.type)),
            "score": deals.score,
            **{f"{name}_effect": part for name, part in deals.causes.items()},
            "discount": DISCOUNTS[deals.discount],
            "log_odds_per_discount_point": knobs.signal * GRID_STEP * SENSITIVITY[deals.segment] / 10,
            "outcome": plain(pick([STATUS.get(i) for i in range(max(STATUS) + 1)], outcome)),
            "closed_at": pa.array(life.closed[last]).cast(_UTC),
            "loss_reason": plain(pick(words.LOSS_REASONS, np.where(outcome == LOST, reason, -1))),
            "p_win": known.at["p_win"][newborn + 1].astype(np.float64),
            "mid_life": pa.array(mondays[life.week[middle]]).cast(_UTC),
            "p_win_mid_life": known.at["p_win"][middle].astype(np.float64),
            **{f"p_win_at_discount_{100 * d:.0f}": known.by_discount[:, i] for i, d in enumerate(DISCOUNTS)},
        }
    )


def deal_week(
    knobs: Knobs, clock: Clock, market: Market, deals: Deals, life: Life, record: Records, known: Beliefs
) -> Iterator[pa.Table]:
    """One row a deal and Monday 00:00 UTC (`as_of`) at which it was open, up to the end, in chunks.

    stage, momentum, breadth; p_win in the end; p_win_met and p_win_unmet (if the rep does or does not meet the customer
    in this week); p_met, the chance that the rep does, and met; p_won_ and p_closed_this_quarter; the week's hazards; value:
    amount × exchange rate at creation, company currency.
    """
    rows = life.lived[life.week[life.lived] < clock.last]
    mondays = pa.array(clock.mondays.astype("datetime64[s]")).cast(_UTC)
    events = ("advance", "skip", "return", "won", "lost", "no_decision")
    for start in range(0, max(len(rows), 1), CHUNK):
        row = rows[start : start + CHUNK]
        of, stage, mood = life.deal[row], life.stage[row], life.mood[row]
        chances = _chances(knobs, clock, market, deals, life, row)
        yield pa.table(
            {
                "opportunity_id": plain(ids("D", of, 6)),
                "as_of": mondays.take(pa.array(life.week[row])),
                "stage": plain(pick(words.STAGES, stage)),
                "momentum": plain(pick(MOMENTA, mood // 3)),
                "breadth": pa.array(mood % 3, pa.int64()),
                **{name: values[row].astype(np.float64) for name, values in known.at.items()},
                "p_met": meeting(stage, mood, deals.score[of], deals.habit[of], knobs),
                "met": life.met[row] == 1,
                **{f"p_{name}_this_week": chances[:, i] for i, name in enumerate(events)},
                "value": _value(knobs, market, deals, life, record, row),
            }
        )


def expected_wins(
    knobs: Knobs, clock: Clock, market: Market, deals: Deals, life: Life, record: Records
) -> tuple[Ints, Floats]:
    """Panel rows of the weeks lived before the end, and what each was to bring: its chance to win × amount."""
    rows = life.lived[life.week[life.lived] < clock.last]
    parts = [rows[start : start + CHUNK] for start in range(0, max(len(rows), 1), CHUNK)]
    wins = [_chances(knobs, clock, market, deals, life, row)[:, WON] for row in parts]
    return rows, np.concatenate(wins) * _value(knobs, market, deals, life, record, rows)


def _chances(knobs: Knobs, clock: Clock, market: Market, deals: Deals, life: Life, row: Ints) -> Floats:
    """The law's chances in the given panel rows."""
    of, week = life.deal[row], life.week[row]
    given = (deals.score[of], deals.segment[of], deals.discount[of])
    return hazards(life.stage[row], life.mood[row], *given, clock.rush[week], market.shock[week], knobs.signal)


def _value(knobs: Knobs, market: Market, deals: Deals, life: Life, record: Records, row: Ints) -> Floats:
    """Amount of the deal at the start of the given panel rows, company currency."""
    rate = market.rate[deals.region % len(knobs.money), deals.week]
    return record.cents[row - 1] / 100 * rate[life.deal[row]]


def lead(clock: Clock, come: Leads) -> pa.Table:
    """One row a lead: intent, treated, by_lot, p_convert as treated and p_with, p_without the nurture programme; converts,
    resolved_at (null: never); p_now of leads still open at the end.
    """
    n, resolved = len(come.week), np.where(come.resolved < NEVER, come.resolved, np.datetime64("NaT", "s"))
    age = (clock.end_second - come.created).astype(np.int64) / 86_400
    open_now = come.resolved >= clock.end_second
    return pa.table(
        {
            "lead_id": plain(ids("X", np.arange(n), 7)),
            "account_id": plain(ids("A", come.account)),
            "intent": come.intent,
            **{f"touches_{name.replace(' ', '_')}": come.touches[:, i] for i, name in enumerate(words.CHANNELS)},
            "treated": come.treated == 1,
            "by_lot": come.by_lot == 1,
            "p_convert": come.p,
            "p_with": come.p_with,
            "p_without": come.p_without,
            "converts": come.converts == 1,
            "resolved_at": pa.array(resolved).cast(_UTC),
            "p_now": pa.array(probability_now(come.p, age), mask=~open_now),
        }
    )


def rep(knobs: Knobs, clock: Clock, org: Organisation) -> pa.Table:
    """One row a rep: skill (log-odds), habit (0 … 2: meets customers rarely, usually, often), generosity, outlook (log-odds)."""
    reps = np.flatnonzero(org.hired < clock.last)
    return pa.table(
        {
            "user_id": plain(ids("U", reps, 4)),
            "skill": knobs.signal * org.skill[reps],
            "habit": org.habit[reps],
            "generosity": org.generosity[reps],
            "outlook": knobs.faults * org.outlook[reps],
        }
    )


def account(accounts: int, regular: Regulars, fault: Faults) -> pa.Table:
    """One row an account record: true monthly chance to stop ordering (customers of old), or the account it duplicates."""
    n, twice = accounts, fault.accounts
    churn = np.full(n, np.nan)
    old = ~np.isnan(regular.churn)
    churn[regular.account[old]] = regular.churn[old]
    number = np.r_[np.arange(n), twice.number]
    return pa.table(
        {
            "account_id": plain(ids("A", number)),
            "duplicate_of": plain(ids("A", np.r_[np.full(n, -1), twice.original])),
            "churn_per_month": pa.array(np.r_[churn, np.full(len(twice.number), np.nan)], from_pandas=True),
        }
    )


def campaign(come: Leads, plan: Campaigns) -> pa.Table:
    """One row a campaign: leads, mean conversion probability, and what the nurture programme adds to it on average."""
    n = len(plan.source)
    leads = np.bincount(come.campaign, minlength=n)

    def mean(values: Floats) -> pa.Array:
        with np.errstate(invalid="ignore"):
            return pa.array(np.bincount(come.campaign, values, n) / leads, from_pandas=True)

    return pa.table(
        {
            "campaign_id": plain(ids("G", np.arange(n), 3)),
            "leads": leads,
            "quality": plan.quality,
            "by_lot": plan.randomised == 1,
            "p_convert": mean(come.p),
            "uplift": mean(come.p_with - come.p_without),
        }
    )


def channel(knobs: Knobs, come: Leads) -> pa.Table:
    """One row a channel: touches, effect (log-odds a touch), conversions it is worth: without it (removal), and Shapley.

    `removal_share`, `shapley_share`: parts of the conversions that all touches together add.
    """
    names = range(len(TOUCH_EFFECT))
    lift = come.treated * knobs.signal * (np.log(come.p_with / (1 - come.p_with)) - come.logit) if knobs.signal else 0.0
    bare = come.logit + lift - knobs.signal * touch_effect(come.touches)
    each = knobs.signal * np.minimum(come.touches, 2) * TOUCH_EFFECT
    worth = {s: float(expit(bare + each[:, s].sum(axis=1)).sum()) for k in range(6) for s in combinations(names, k)}
    whole = worth[tuple(names)]
    removal = np.array([whole - worth[tuple(c for c in names if c != name)] for name in names])
    shapley = np.array([_shapley(worth, name) for name in names])
    return pa.table(
        {
            "channel": list(words.CHANNELS),
            "touches": come.touches.sum(axis=0),
            "effect": knobs.signal * TOUCH_EFFECT,
            "removal_conversions": removal,
            "shapley_conversions": shapley,
            "removal_share": _share(removal),
            "shapley_share": _share(shapley),
        }
    )


def _shapley(worth: dict[tuple[int, ...], float], name: int) -> float:
    n = len(TOUCH_EFFECT)
    total = 0.0
    for subset, value in worth.items():
        if name in subset:
            continue
        weight = factorial(len(subset)) * factorial(n - len(subset) - 1) / factorial(n)
        total += weight * (worth[tuple(sorted((*subset, name)))] - value)
    return total


def _share(values: Floats) -> pa.Array:
    return pa.array(values / values.sum() if values.sum() > 0 else np.full(len(values), np.nan), from_pandas=True)


def market_week(clock: Clock, market: Market) -> pa.Table:
    """One row a week up to the end: bad times or not, relative number of openings, trend broken or not."""
    weeks = np.arange(clock.last)
    return pa.table(
        {
            "week": pa.array(clock.mondays[: clock.last]),
            "bad_times": market.shock[: clock.last] == 1,
            "openings": market.openings[: clock.last],
            "after_break": weeks >= market.broken_week,
        }
    )


def revenue_month(clock: Clock, org: Organisation, expected: dict[str, Floats]) -> pa.Table:
    """Revenue without its noise, company currency, by level (rep, team, region, company), entity, month and kind.

    kind: `booking` (won amounts by date of winning), `deal invoice`, `order`; invoices are the sum of the last two. For
    deals: each week's chance to win × amount, given what had happened by its start; for orders: the customers there were.
    """
    reps = np.flatnonzero(org.hired < clock.last)
    levels: list[tuple[str, Ints, list[str]]] = [
        ("rep", reps, ids("U", np.arange(len(org.seat)), 4).to_pylist()),
        ("team", org.seat_team[org.seat], ids("T", np.arange(len(org.team_region)), 3).to_pylist()),
        ("region", org.region, list(words.REGIONS)),
        ("company", np.zeros(len(org.seat), np.int64), ["company"]),
    ]
    parts = []
    months = pa.array(clock.months.astype("datetime64[D]"))
    for level, group, names in levels:
        for kind, by_rep in expected.items():
            total = by_rep[reps] if level == "rep" else np.zeros((int(group.max()) + 1, by_rep.shape[1]))
            if level != "rep":
                np.add.at(total, group, by_rep)
            who = [names[i] for i in (reps if level == "rep" else range(len(total)))]
            n = len(months)
            parts.append(
                pa.table(
                    {
                        "entity_type": pa.repeat(level, len(who) * n),
                        "entity_id": pa.array(np.repeat(who, n)),
                        "month": months.take(pa.array(np.tile(np.arange(n), len(who)))),
                        "kind": pa.repeat(kind, len(who) * n),
                        "expected": total.ravel(),
                    }
                )
            )
    return pa.concat_tables(parts)


