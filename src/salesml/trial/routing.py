"""Routing judged by what it truly brings: policies that go by estimates beside one that knows the truth, under the same constraints.

The true value of a lead with a rep is P(it converts, given that it is open now) × E[P(the deal is won) × amount × (1 - discount)]: the
first from the truth table `lead` by Bayes' rule on the law of delays (`world.leads.probability_now`); the second over what is drawn when
a deal is born (competitor, size, quality, discount, stage, momentum: the same draws for every rep), with the rep's true skill, ramp, habit
and generosity, and the oracle's exact chance to win in the week in which the deal is born, WEEKS_TO_CONVERT after the day.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.lake import visible
from salesml.planning.routing import route, route_one
from salesml.planning.routing_board import eligible
from salesml.trial.case import Case, Figure, failed, figures
from salesml.workflows.lead_value import lead_value
from salesml.workflows.routing import Desk, chances_when_new, desk
from salesml.workflows.routing_facts import WINDOW, current_owner, leads_of
from salesml.workflows.train_leads import train_leads
from salesml.world import World
from salesml.world.deals import (
    AMOUNT_BY_SEGMENT,
    AMOUNT_EFFECT,
    AMOUNT_SPREAD,
    COMPETITOR_DRIFT,
    EXPANSION,
    INTENT_EFFECT,
    NEW,
    NO_COMPETITOR,
    QUALITY_SPREAD,
    SEGMENT_EFFECT,
    SOURCE_DRIFT,
    SOURCE_EFFECT,
    TYPE_EFFECT,
)  # fmt: skip
from salesml.world.hazards import DISCOUNTS, GRID_STEP, MOMENTUM_AT_BIRTH, SCORE_LIMIT
from salesml.world.leads import probability_now
from salesml.world.oracle import Oracle, State
from salesml.world.organisation import RAMP_SKILL
from salesml.world.words import COMPETITORS, PRODUCTS

BATCH, STREAM = "routing a month's leads at once", "routing leads as they come"
DRAWS, WEEKS_TO_CONVERT, LOTS = 64, 4, 20
BLIND = ("round_robin", "weighted", "rules")


def judge_routing(case: Case) -> list[Figure]:
    """Each policy's true value as a share of the oracle policy's, and of the gap between round-robin and the oracle what it gains.

    Reps have equal shares, so that the fairness of all policies is the same: counts differ by one lead at most within a region, whose
    reps alone may take its leads. Policies see what was known at the cutoff (leads that come later: when they came).
    """
    try:
        train_leads(case.workspace, case.cutoff)
        return judge_trained(case)
    except NotEnoughData as lack:
        return failed(BATCH, "optimal", str(lack)) + failed(STREAM, "optimal", str(lack))


def judge_trained(case: Case) -> list[Figure]:
    """The same where the workspace has a lead model already."""
    there = desk(case.workspace, case.cutoff)
    reps = there.reps.assign(weight=1.0, held=0)
    return _batch(case, there, reps) + _stream(case, there, reps)


def true_worth(world: World, leads: np.ndarray, reps: np.ndarray, week: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """What a deal of each lead (its number) is expected to bring with each rep (numbers) if it is born in a week: leads × reps."""
    rng, knobs, org, who, come = np.random.default_rng(seed), world.knobs, world.org, world.who, world.come
    shape, account = (len(leads), draws), come.account[leads]
    segment, product, source = come.segment[leads], come.product[leads], come.source[leads]
    kind = np.where(who.customer[account][:, None] * (rng.random(shape) < 0.6), EXPANSION, NEW)
    size, quality = rng.normal(0, 1, shape), rng.normal(0, QUALITY_SPREAD, shape)
    competitor = np.where(rng.random(shape) < 0.55, rng.integers(0, len(COMPETITORS), shape), -1)
    age = knobs.drift * (week / max(world.clock.last, 1) - 0.5)
    strength = np.array([effect for *_, effect in COMPETITORS])[competitor] + COMPETITOR_DRIFT[competitor] * age
    score = org.fit[who.industry[account], product] + SEGMENT_EFFECT[segment] + SOURCE_EFFECT[source] + SOURCE_DRIFT[source] * age
    score = (score + INTENT_EFFECT * come.intent[leads])[:, None] + TYPE_EFFECT[kind] + AMOUNT_EFFECT * np.clip(size, -3, 3) + quality
    score = score + np.where(competitor < 0, NO_COMPETITOR, -strength)
    wish = 0.4 * (competitor >= 0) + rng.normal(0, 1, shape)
    stage = (rng.random(shape) < np.where(source <= 2, 0.30, 0.10)[:, None]).astype("int64")
    mood = 3 * rng.choice(len(MOMENTUM_AT_BIRTH), shape, p=MOMENTUM_AT_BIRTH)
    typical = AMOUNT_BY_SEGMENT[segment] * np.array([part[-1] for part in PRODUCTS])[product]
    amount = typical[:, None] * np.exp(AMOUNT_SPREAD * size)
    oracle = Oracle(knobs, world.clock)
    while oracle.week > week + 1:
        oracle.step_back()
    shock = np.full(shape, world.market.shock[week])
    found = np.empty((len(leads), len(reps)))
    for place, rep in enumerate(reps):
        skill = org.skill[rep] + RAMP_SKILL * (1 - org.ramp(np.array([rep]), np.array([week]))[0])
        total = np.rint(np.clip(knobs.signal * (score + skill), -SCORE_LIMIT, SCORE_LIMIT) / GRID_STEP) * GRID_STEP
        offer = np.searchsorted([-0.8, 0.25], wish - 0.6 * knobs.confounding * total + org.generosity[rep])
        habit = np.full(shape, org.habit[rep])
        state = State(stage, habit, np.broadcast_to(segment[:, None], shape), offer, total, shock, mood)
        found[:, place] = (oracle.at(state)["p_win"] * amount * (1 - DISCOUNTS[offer])).mean(axis=1)
    return found


def _true(case: Case, ids: pd.Series, ages: np.ndarray, owners: pd.Series, at: dt.datetime) -> np.ndarray:
    """True values of leads that are open at so many days of age, with each rep."""
    world, number = case.world, ids.str[1:].astype("int64").to_numpy()
    week = int(world.clock.week_of(np.array([at.replace(tzinfo=None)], "datetime64[s]"))[0]) + WEEKS_TO_CONVERT
    chance = probability_now(world.come.p[number], ages)
    return chance[:, None] * true_worth(world, number, owners.str[1:].astype("int64").to_numpy(), week)


def _batch(case: Case, there: Desk, reps: pd.DataFrame) -> list[Figure]:
    """The leads that came in the 30 days before the cutoff and are open, given all at once."""
    first = pd.Timestamp(there.as_of - WINDOW)
    rows = np.flatnonzero((there.leads["created_at"] >= first) & _own(case, there.leads["lead_id"]))
    leads, guessed = there.leads.iloc[rows], there.values[rows]
    ages = (pd.Timestamp(there.as_of) - leads["created_at"]).dt.total_seconds().to_numpy() / 86_400
    true = _true(case, leads["lead_id"], ages, reps["owner_id"], case.cutoff)
    chosen = {"optimal": [route(leads, reps, guessed, explore=0.0).chosen], "oracle": [route(leads, reps, true, explore=0.0).chosen]}
    chosen["optimal, true reps"] = [route(leads, reps, _mixed(guessed, true), explore=0.0).chosen]
    for policy in BLIND:
        chosen[policy] = [route(leads, reps, guessed, policy, seed=seed).chosen for seed in range(LOTS)]
    chosen["random"] = _random(eligible(leads, reps))
    return _judged(BATCH, chosen, true)


def _stream(case: Case, there: Desk, reps: pd.DataFrame) -> list[Figure]:
    """The leads of the 28 days after the cutoff, each given a day after it came, by what was known then of it."""
    later = visible(case.tables, case.cutoff + dt.timedelta(days=28))
    came = leads_of(later, current_owner(later), reps)
    after = (came["created_at"] >= pd.Timestamp(case.cutoff)) & _own(case, came["lead_id"])
    came = came[after].sort_values("created_at", ignore_index=True)
    guessed = chances_when_new(case.tables, came)[:, None] * lead_value(case.workspace, case.cutoff).matrix(came, reps["owner_id"].tolist())
    true = _true(case, came["lead_id"], np.ones(len(came)), reps["owner_id"], case.cutoff)
    truly = np.where(eligible(came, reps), true, np.nan)
    chosen = {
        "optimal": [route_one(came, reps, guessed, ahead=there.ahead, explore=0.0).chosen],
        "greedy": [route_one(came, reps, guessed, explore=0.0).chosen],
        "oracle": [route(came, reps, true, explore=0.0).chosen],
        "oracle, one by one": [route_one(came, reps, true, ahead=truly, explore=0.0).chosen],
    }
    for policy in BLIND:
        chosen[policy] = [route_one(came, reps, guessed, policy, seed=seed).chosen for seed in range(LOTS)]
    chosen["random"] = _random(eligible(came, reps))
    return _judged(STREAM, chosen, true)


def _judged(part: str, chosen: dict[str, list[np.ndarray]], true: np.ndarray) -> list[Figure]:
    each = np.arange(len(true))
    value = {name: float(np.mean([true[each, one].sum() for one in many])) for name, many in chosen.items()}
    gap = value["oracle"] - value["round_robin"]
    found: list[Figure] = []
    for name, one in value.items():
        told = {"value": one, "share_of_oracle": one / value["oracle"], "gap_captured": (one - value["round_robin"]) / gap}
        found += figures(part, name, told | {"leads": len(true)})
    return found


def _mixed(guessed: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Guessed values of leads with the true differences between reps: what learning the reps better could add."""
    mean = guessed.mean(axis=1, keepdims=True)
    return mean * true / np.maximum(true.mean(axis=1, keepdims=True), 1e-12)


def _random(may: np.ndarray) -> list[np.ndarray]:
    """Any rep who may, with the same chance; fair only by luck."""
    return [np.where(may, np.random.default_rng(seed).random(may.shape), -1).argmax(axis=1) for seed in range(LOTS)]


def _own(case: Case, ids: pd.Series) -> pd.Series:
    """Leads that are no duplicates."""
    return ids.str[1:].astype("int64") < len(case.world.come.week)
