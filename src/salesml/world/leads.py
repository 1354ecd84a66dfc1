"""Leads: where they come from, what draws them, who converts and when.

A lead arrives with a journey of marketing touches behind it. Its chance to convert is a logistic function of its source,
campaign, intent, the account's fit, the touches and the nurture programme. Whether it converts does not depend on what it
does afterwards: later visits and clicks only show its intent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaincc

from salesml.world import words
from salesml.world.clock import DAY, Clock, Floats, Ints, Times, stream
from salesml.world.customers import Customers
from salesml.world.knobs import Knobs
from salesml.world.market import Market, lived_share
from salesml.world.offer import Campaigns
from salesml.world.organisation import Organisation

SOURCE_SHARES = (0.30, 0.06, 0.09, 0.25, 0.10, 0.20)
BASE = np.array([-2.35, -1.75, -2.15, -3.35, -2.95, -3.05])  # log-odds by source
INTENT, FIT, QUALITY_OF_FIT = 0.80, 1.20, 0.30
TOUCH_RATE = np.array([0.80, 0.60, 0.15, 0.40, 0.12])  # mean touches before arrival, by channel
TOUCH_EFFECT = np.array([0.25, 0.15, 0.60, 0.10, 0.40])  # log-odds for one touch, by channel; two count at most
UPLIFT = np.array([0.65, 0.30, 0.00])  # log-odds the nurture programme adds, by segment
FIRST_DAYS, CONVERT_SHAPE, CONVERT_SCALE = 7.0, 1.5, 14.0
DISQUALIFIED, DISQUALIFY_FIRST, DISQUALIFY_SHAPE, DISQUALIFY_SCALE = 0.8, 10.0, 2.0, 20.0
NEVER = np.datetime64("9999-01-01", "s")


@dataclass(frozen=True)
class Leads:
    """One element a lead, in order of arrival.

    `touches[lead, channel]`: marketing touches before arrival. `treated`: gets the nurture programme; `by_lot`: that
    was drawn by lot. `p_with`, `p_without`: conversion probability with and without the programme; `logit` without.
    `converts`; `resolved`: second of conversion or disqualification, NEVER if neither comes.
    """

    created: Times
    week: Ints
    account: Ints
    territory: Ints
    region: Ints
    segment: Ints
    product: Ints
    source: Ints
    campaign: Ints
    intent: Floats
    touches: Ints
    treated: Ints
    by_lot: Ints
    logit: Floats
    p_with: Floats
    p_without: Floats
    converts: Ints
    resolved: Times

    @property
    def p(self) -> Floats:
        """Conversion probability of the lead as it was treated."""
        return np.where(self.treated == 1, self.p_with, self.p_without)


def leads(knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers, plan: Campaigns) -> Leads:
    """Draw the leads of the company's life, and what becomes of each."""
    rng, n = stream(knobs, "leads"), knobs.lead_count
    created = arrivals(rng, clock, market, n)
    week = clock.week_of(created)
    account = rng.choice(len(who.weight), n, p=who.weight)
    region, segment = who.region[account], who.segment[account]
    product = rng.integers(0, len(words.PRODUCTS), n)
    source = rng.choice(len(SOURCE_SHARES), n, p=SOURCE_SHARES)
    campaign = plan.of(source, week)
    intent = rng.normal(0, 1, n)
    pull = 0.3 * knobs.confounding * intent
    touches = np.minimum(rng.poisson(TOUCH_RATE * np.exp(pull - 0.5 * (0.3 * knobs.confounding) ** 2)[:, None]), 4)
    fit = FIT * org.fit[who.industry[account], product] + QUALITY_OF_FIT * rng.normal(0, 1, n)
    logit = BASE[source] + knobs.signal * (INTENT * intent + fit + touch_effect(touches)) + plan.quality[campaign]
    p_without, p_with = expit(logit), expit(logit + knobs.signal * knobs.effect * UPLIFT[segment])
    by_lot = plan.randomised[campaign]
    treated = rng.random(n) < np.where(by_lot == 1, 0.5, expit(0.9 * knobs.confounding * intent - 0.4))
    converts = rng.random(n) < np.where(treated, p_with, p_without)
    return Leads(
        created=created,
        week=week,
        account=account,
        territory=who.territory[account],
        region=region,
        segment=segment,
        product=product,
        source=source,
        campaign=campaign,
        intent=intent,
        touches=touches,
        treated=treated.astype(np.int64),
        by_lot=by_lot,
        logit=logit,
        p_with=p_with,
        p_without=p_without,
        converts=converts.astype(np.int64),
        resolved=_resolved(rng, clock, created, region, converts),
    )


def arrivals(rng: np.random.Generator, clock: Clock, market: Market, n: int) -> Times:
    """When leads come in, sorted: as the market has it, at any hour, fewer at the weekend."""
    weight = market.openings[: clock.last] * lived_share(clock)
    week = rng.choice(clock.last, n, p=weight / weight.sum())
    day = rng.choice(7, n, p=[0.17, 0.17, 0.17, 0.17, 0.16, 0.08, 0.08])
    second = day * DAY + 6 * 3600 + np.minimum(rng.gamma(6, 1.6 * 3600, n), 17 * 3600).astype(np.int64)
    time = clock.mondays[week].astype("datetime64[s]") + second.astype("timedelta64[s]")
    time[time >= clock.end_second] -= np.timedelta64(7, "D")
    return np.sort(time)


def touch_effect(touches: Ints) -> Floats:
    """Log-odds that the touches of each lead add; every channel counts two touches at most."""
    return np.minimum(touches, 2) @ TOUCH_EFFECT


def _resolved(rng: np.random.Generator, clock: Clock, created: Times, region: Ints, converts: Ints) -> Times:
    n = len(created)
    convert = FIRST_DAYS + rng.gamma(CONVERT_SHAPE, CONVERT_SCALE, n)
    drop = DISQUALIFY_FIRST + rng.gamma(DISQUALIFY_SHAPE, DISQUALIFY_SCALE, n)
    days = np.where(converts, convert, drop)
    time = clock.to_office(rng, created + (days * DAY).astype("timedelta64[s]"), region)
    return np.where(converts | (rng.random(n) < DISQUALIFIED), time, NEVER)


def probability_now(p: Floats, age_days: Floats) -> Floats:
    """P(converts) of a lead that is still open so many days after it arrived, p being its chance on arrival.

    Bayes' rule on the laws of the two delays; exact to within the working day that closes a wait.
    """
    waiting = gammaincc(CONVERT_SHAPE, np.maximum(age_days - FIRST_DAYS, 0) / CONVERT_SCALE)
    kept = gammaincc(DISQUALIFY_SHAPE, np.maximum(age_days - DISQUALIFY_FIRST, 0) / DISQUALIFY_SCALE)
    still = 1 - DISQUALIFIED + DISQUALIFIED * kept
    return p * waiting / (p * waiting + (1 - p) * still)
