"""Deals at birth: who, what, how much, and the causes their score adds up to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints, Times, month_of_year, stream
from salesml.world.customers import Customers
from salesml.world.hazards import MOMENTUM_AT_BIRTH, SCORE_LIMIT
from salesml.world.knobs import Knobs
from salesml.world.organisation import Organisation

GROWTH_PER_YEAR = 0.06
OPENINGS_BY_MONTH = np.array([1.10, 1.05, 1.10, 1.00, 1.00, 1.00, 0.80, 0.75, 1.15, 1.15, 1.05, 0.75])
AMOUNT_BY_SEGMENT = np.array([7_000.0, 26_000.0, 90_000.0])  # median
AMOUNT_SPREAD = 0.55  # of the log amount within segment and product
SOURCE_SHARES = (0.30, 0.12, 0.15, 0.33, 0.10)

# log-odds
SOURCE_EFFECT = np.array([0.10, 0.55, 0.15, -0.35, -0.05])
SEGMENT_EFFECT = np.array([0.15, 0.00, -0.25])
EXPANSION_EFFECT = 0.40
AMOUNT_EFFECT = -0.20  # for one standard deviation of the log amount within its segment
QUALITY_SPREAD = 0.60  # standard deviation of what no record holds


@dataclass(frozen=True)
class Deals:
    """One element a deal, in order of creation; `causes` are the parts of `score` (log-odds), `discount` a level."""

    created: Times
    week: Ints
    account: Ints
    contact: Ints
    region: Ints
    segment: Ints
    owner: Ints
    product: Ints
    competitor: Ints  # -1: none
    source: Ints
    expansion: Ints
    amount: Floats
    discount: Ints
    stage: Ints
    momentum: Ints
    causes: dict[str, Floats]
    score: Floats


def deals(knobs: Knobs, clock: Clock, org: Organisation, who: Customers) -> Deals:
    """Draw the deals opened from the CRM's first week to the end."""
    rng, n = stream(knobs, "deals"), knobs.deal_count
    created = _openings(rng, n, clock)
    week = clock.week_of(created)
    account = rng.choice(len(who.weight), n, p=who.weight)
    region, segment = who.region[account], who.segment[account]
    contacts = who.first_contact[account + 1] - who.first_contact[account]
    owner = org.assign(week, region, rng.random(n))
    product = rng.integers(0, len(words.PRODUCTS), n)
    competitor = np.where(rng.random(n) < 0.55, rng.integers(0, len(words.COMPETITORS), n), -1)
    source = rng.choice(len(SOURCE_SHARES), n, p=SOURCE_SHARES)
    expansion = who.customer[account] * (rng.random(n) < 0.7)
    size = rng.normal(0, 1, n)
    strength = np.array([effect for *_, effect in words.COMPETITORS])
    causes = {
        "rep_skill": org.skill[owner],
        "rep_diligence": org.diligence[owner],
        "product_fit": org.fit[who.industry[account], product],
        "segment": SEGMENT_EFFECT[segment],
        "source": SOURCE_EFFECT[source],
        "expansion": EXPANSION_EFFECT * expansion,
        "competitor": np.where(competitor < 0, 0.20, -strength[competitor]),
        "amount": AMOUNT_EFFECT * size,
        "quality": rng.normal(0, QUALITY_SPREAD, n),
    }
    causes = {name: knobs.signal * part for name, part in causes.items()}
    score = np.clip(sum(causes.values()), -SCORE_LIMIT, SCORE_LIMIT)
    wish = 0.4 * (competitor >= 0) - 0.6 * score + org.generosity[owner] + rng.normal(0, 1, n)
    return Deals(
        created=created,
        week=week,
        account=account,
        region=region,
        segment=segment,
        owner=owner,
        product=product,
        contact=who.first_contact[account] + np.floor(rng.random(n) * contacts).astype(np.int64),
        competitor=competitor,
        source=source,
        expansion=expansion,
        amount=AMOUNT_BY_SEGMENT[segment]
        * np.array([p[-1] for p in words.PRODUCTS])[product]
        * np.exp(AMOUNT_SPREAD * size),
        discount=np.searchsorted([0.2, 0.8, 1.4, 2.1], wish),
        stage=(rng.random(n) < np.where(source <= 2, 0.30, 0.10)).astype(np.int64),
        momentum=rng.choice(len(MOMENTUM_AT_BIRTH), n, p=MOMENTUM_AT_BIRTH),
        causes=causes,
        score=score,
    )


def _openings(rng: np.random.Generator, n: int, clock: Clock) -> Times:
    """When deals are opened, sorted: growing over the years, fewer in summer and in December; office hours."""
    mondays = clock.mondays[: clock.last]
    intensity = OPENINGS_BY_MONTH[month_of_year(mondays)] * (1 + GROWTH_PER_YEAR) ** (np.arange(clock.last) / 52)
    share = np.minimum((clock.end - mondays).astype(np.int64), 5) / 5  # a last week cut short
    week = rng.choice(clock.last, n, p=intensity * share / (intensity * share).sum())
    time = clock.office_time(rng, week)
    cut = time >= clock.end_second
    time[cut] -= np.timedelta64(7, "D")
    return np.sort(time)
