"""Deals at birth: who, what, how much, and the causes their score adds up to; renewals of what was won."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from salesml.world import words
from salesml.world.clock import DAY, Clock, Floats, Ints, Times, stream
from salesml.world.customers import Customers
from salesml.world.hazards import GRID_STEP, MOMENTUM_AT_BIRTH, OFFER_STAGE, SCORE_LIMIT
from salesml.world.knobs import Knobs
from salesml.world.leads import Leads
from salesml.world.market import Market, lived_share
from salesml.world.organisation import RAMP_SKILL, Organisation

NEW, EXPANSION, RENEWAL = range(3)
TYPES = ("new", "expansion", "renewal")
AMOUNT_BY_SEGMENT = np.array([8_000.0, 24_000.0, 60_000.0])  # median, company's currency
AMOUNT_SPREAD = 0.45  # of the log amount within segment and product
PROSPECTING = np.array([0.03, 0.10, 0.15, 0.65, 0.05, 0.02])  # sources of deals that were no leads
CONTRACT_DAYS, RENEWAL_AHEAD_DAYS = 365, 75
SHARE_UP_FOR_RENEWAL = 0.33

# log-odds
SOURCE_EFFECT = np.array([0.15, 0.60, 0.20, -0.30, 0.00, -0.10])
SOURCE_DRIFT = np.array([-0.35, 0.00, 0.20, 0.15, 0.25, -0.25])  # over the company's life, at drift 1
COMPETITOR_DRIFT = np.array([0.40, -0.30, 0.20, -0.40])
SEGMENT_EFFECT = np.array([0.15, 0.00, -0.25])
TYPE_EFFECT = np.array([0.0, 0.30, 3.00])
NO_COMPETITOR = 0.20
AMOUNT_EFFECT = -0.20  # for one standard deviation of the log amount within its segment
INTENT_EFFECT = 0.25
QUALITY_SPREAD = 0.40  # standard deviation of what no record holds


@dataclass(frozen=True)
class Deals:
    """One element a deal, in order of creation; `causes` are the parts of `score` (log-odds, on the law's grid).

    `discount`: the level that will be offered; `habit` of the rep who opened it; `parent`: the deal it renews, `lead` it
    came from (-1: none).
    """

    created: Times
    week: Ints
    account: Ints
    contact: Ints
    region: Ints
    territory: Ints
    segment: Ints
    owner: Ints
    habit: Ints
    product: Ints
    competitor: Ints  # -1: none
    source: Ints
    type: Ints
    lead: Ints
    parent: Ints
    amount: Floats  # company's currency
    discount: Ints
    stage: Ints
    momentum: Ints
    causes: dict[str, Floats]
    score: Floats


def deals(
    knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers, come: Leads
) -> Deals:
    """New deals from the CRM's first week to the end: converted leads, and as many again as prospecting has to bring."""
    rng = stream(knobs, "deals")
    lead = np.flatnonzero((come.converts == 1) & (come.resolved < clock.end_second))
    found, n = len(lead), max(len(lead), knobs.deal_count)
    week, territory = _prospected(rng, clock, market, org, who, n - found)
    created = clock.office_time(rng, week, org.seat_region[territory])
    created[created >= clock.end_second] -= np.timedelta64(7, "D")
    account = who.of_territory(territory, rng.random(n - found))
    created, account = np.r_[come.resolved[lead], created], np.r_[come.account[lead], account]
    born: dict[str, Any] = {
        "created": created,
        "account": account,
        "product": np.r_[come.product[lead], rng.integers(0, len(words.PRODUCTS), n - found)],
        "source": np.r_[come.source[lead], rng.choice(len(PROSPECTING), n - found, p=PROSPECTING)],
        "intent": np.r_[come.intent[lead], np.zeros(n - found)],
        "lead": np.r_[lead, np.full(n - found, -1)],
        "parent": np.full(n, -1),
        "type": np.where(who.customer[account] * (rng.random(n) < 0.6), EXPANSION, NEW),
        "size": rng.normal(0, 1, n),
    }
    order = np.argsort(created, kind="stable")
    return _born(rng, knobs, clock, org, who, {name: values[order] for name, values in born.items()})


def renewals(
    knobs: Knobs, clock: Clock, org: Organisation, who: Customers, before: Deals, won: Ints, closed: Times, turn: int
) -> Deals | None:
    """The renewals of deals won at `closed`, opened weeks before their year is over; None if none falls before the end."""
    rng = stream(knobs, "renewals", turn)
    up = rng.random(len(won)) < np.where(before.type[won] == RENEWAL, 1.0, SHARE_UP_FOR_RENEWAL)
    ahead = CONTRACT_DAYS - RENEWAL_AHEAD_DAYS + rng.integers(-10, 11, len(won))
    created = closed + (ahead * DAY).astype("timedelta64[s]")
    account = before.account[won]
    created = clock.to_office(rng, created, who.region[account])
    kept = up & (created < clock.end_second)
    size = np.log(before.amount[won] / _typical(before.segment[won], before.product[won])) / AMOUNT_SPREAD
    born: dict[str, Any] = {
        "created": created,
        "account": account,
        "product": before.product[won],
        "source": before.source[won],
        "intent": np.zeros(len(won)),
        "lead": np.full(len(won), -1),
        "parent": won,
        "type": np.full(len(won), RENEWAL),
        "size": size + rng.normal(0.1, 0.15, len(won)),
    }
    order = np.flatnonzero(kept)[np.argsort(created[kept], kind="stable")]
    if not len(order):
        return None
    return _born(rng, knobs, clock, org, who, {name: values[order] for name, values in born.items()})


def joined(parts: list[Deals], outcome_order: Ints) -> Deals:
    """Several generations as one, in the given order; `parent` is renumbered by the caller."""

    def one(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])[outcome_order]

    causes = {name: np.concatenate([part.causes[name] for part in parts])[outcome_order] for name in parts[0].causes}
    whole: dict[str, Any] = {f.name: one(f.name) for f in fields(Deals) if f.name != "causes"}
    return Deals(**whole, causes=causes)


def _prospected(
    rng: np.random.Generator, clock: Clock, market: Market, org: Organisation, who: Customers, n: int
) -> tuple[Ints, Ints]:
    """Week and territory of prospected deals: by market, by the accounts there, by the load the rep bears."""
    there = np.bincount(who.territory, who.weight, len(org.seat_region))
    weight = np.outer(market.openings[: clock.last] * lived_share(clock), there) * org.load[: clock.last]
    ends = np.cumsum(weight.ravel())
    cell = np.searchsorted(ends, rng.random(n) * ends[-1], side="right")
    return cell // len(there), cell % len(there)


def _typical(segment: Ints, product: Ints) -> Floats:
    return AMOUNT_BY_SEGMENT[segment] * np.array([p[-1] for p in words.PRODUCTS])[product]


def _born(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, org: Organisation, who: Customers, born: dict[str, Any]
) -> Deals:
    """The rest of what a deal is: owner, competitor, causes, the discount its rep will offer, where it starts."""
    created, account, kind, size = (born[name] for name in ("created", "account", "type", "size"))
    n, week = len(created), clock.week_of(created)
    region, segment, territory = who.region[account], who.segment[account], who.territory[account]
    owner = org.holder[week, territory]
    rival = rng.random(n) < np.where(kind == RENEWAL, 0.15, 0.55)
    competitor = np.where(rival, rng.integers(0, len(words.COMPETITORS), n), -1)
    causes = _causes(rng, knobs, clock, org, who, born, week, owner, competitor)
    total = np.clip(sum(causes.values()), -SCORE_LIMIT, SCORE_LIMIT)
    score = np.rint(total / GRID_STEP) * GRID_STEP
    causes["quality"] += score - sum(causes.values())  # the law's grid decides; what no record holds takes the rest
    wish = 0.4 * (competitor >= 0) - 0.6 * knobs.confounding * score + org.generosity[owner] + rng.normal(0, 1, n)
    discount = np.searchsorted([-0.8, 0.25], wish)
    contacts = who.first_contact[account + 1] - who.first_contact[account]
    early = rng.random(n) < np.where(born["source"] <= 2, 0.30, 0.10)
    amount = _typical(segment, born["product"]) * np.exp(AMOUNT_SPREAD * size)
    heavy = (rng.random(n) < 0.05 * knobs.tails) & (kind != RENEWAL)
    return Deals(
        created=created,
        week=week,
        account=account,
        contact=who.first_contact[account] + np.floor(rng.random(n) * contacts).astype(np.int64),
        region=region,
        territory=territory,
        segment=segment,
        owner=owner,
        habit=org.habit[owner],
        product=born["product"],
        competitor=competitor,
        source=born["source"],
        type=kind,
        lead=born["lead"],
        parent=born["parent"],
        amount=amount * np.where(heavy, np.minimum(rng.pareto(1.2, n) + 1, 200), 1.0),
        discount=discount,
        stage=np.where(kind == RENEWAL, OFFER_STAGE + (rng.random(n) < 0.95), early),
        momentum=rng.choice(len(MOMENTUM_AT_BIRTH), n, p=MOMENTUM_AT_BIRTH),
        causes=causes,
        score=score,
    )


def _causes(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, org: Organisation, who: Customers, born: dict[str, Any],
    week: Ints, owner: Ints, competitor: Ints,
) -> dict[str, Floats]:  # fmt: skip
    """Log-odds a deal gains or loses by each cause, scaled by the signal."""
    account, source, kind = born["account"], born["source"], born["type"]
    age = knobs.drift * (week / max(clock.last, 1) - 0.5)  # of the company: drift goes from one end to the other
    strength = np.array([effect for *_, effect in words.COMPETITORS])[competitor] + COMPETITOR_DRIFT[competitor] * age
    causes = {
        "rep_skill": org.skill[owner],
        "rep_ramp": RAMP_SKILL * (1 - org.ramp(owner, week)),
        "product_fit": org.fit[who.industry[account], born["product"]],
        "segment": SEGMENT_EFFECT[who.segment[account]],
        "source": SOURCE_EFFECT[source] + SOURCE_DRIFT[source] * age,
        "type": TYPE_EFFECT[kind],
        "competitor": np.where(competitor < 0, NO_COMPETITOR, -strength),
        "amount": AMOUNT_EFFECT * np.clip(born["size"], -3, 3),
        "intent": INTENT_EFFECT * born["intent"],
        "quality": rng.normal(0, QUALITY_SPREAD, len(week)),
    }
    return {name: knobs.signal * part for name, part in causes.items()}
