"""The deals' change records: what a CRM's field history would hold of the lives the deals lived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Ints, Times, stream
from salesml.world.columns import Block, ids, money, numbered, pick, running_number, staged, to_cents
from salesml.world.deals import Deals
from salesml.world.hazards import ADVANCE, DISCOUNTS, LOST, NEW, NO_DECISION, OFFER_STAGE, STAY, WON
from salesml.world.knobs import Knobs
from salesml.world.life import Life, path_factor

AMOUNT_CHANGES_PER_WEEK, NEXT_STEPS_PER_WEEK = 0.06, 0.20
LATE_CLOSE_DAYS = 4.0
STAGE_PROBABILITY = np.array([0.10, 0.20, 0.40, 0.60, 0.80])
CALLS = ("pipeline", "best_case", "commit")
CALL_BY_STAGE = np.array([0, 0, 1, 1, 2])
STATUS = {WON: "won", LOST: "lost", NO_DECISION: "no_decision"}


@dataclass(frozen=True)
class Closing:
    """What the ledger needs of the deals: final amount in cents, owner at close, when the close became known."""

    cents: Ints
    owner: Ints
    known: Times


def opportunities(knobs: Knobs, clock: Clock, deals: Deals, life: Life) -> tuple[pa.Table, Closing]:
    """The opportunity table in staged form, and the closings.

    Changes: `created`, `stage:k`, `amount:n`, `close_date:n`, `next_step:n`, `owner:n`, `closed`. A week brings either
    a stage or a closing, or any of the smaller changes, so amounts follow one path. Some closings are entered late.
    """
    rng = stream(knobs, "opportunities")
    calm = life.event == STAY
    reprised = calm & (rng.random(len(calm)) < AMOUNT_CHANGES_PER_WEEK)
    factor = path_factor(life, np.where(reprised, rng.normal(-0.02, 0.18, len(calm)), 0.0))
    cents = to_cents(deals.amount[life.deal] * factor)
    offered = (life.stage >= OFFER_STAGE) | ((life.event == ADVANCE) & (life.stage == OFFER_STAGE - 1))
    cents = np.where(offered, np.rint(cents * (1 - DISCOUNTS[deals.discount[life.deal]])).astype(np.int64), cents)
    last = np.r_[life.deal[1:] != life.deal[:-1], True]
    late = rng.random(len(deals.week)) < knobs.late
    lag = np.where(late, rng.exponential(LATE_CLOSE_DAYS * DAY, len(late)), 0).astype("timedelta64[s]")
    closing = Closing(cents[last], life.owner[last], life.closed + lag)
    blocks = [
        _created(rng, knobs, clock, deals, life),
        _stages(rng, knobs, clock, deals, life, cents, np.flatnonzero(life.event == ADVANCE)),
        _amounts(rng, knobs, clock, life, cents, np.flatnonzero(reprised)),
        _pushes(rng, clock, life),
        _next_steps(rng, clock, life, np.flatnonzero(calm & (rng.random(len(calm)) < NEXT_STEPS_PER_WEEK))),
        _owners(rng, clock, life),
        *(_closed(rng, knobs, life, closing, outcome) for outcome in STATUS),
    ]
    return staged("opportunity", blocks, clock), closing


def _created(rng: np.random.Generator, knobs: Knobs, clock: Clock, deals: Deals, life: Life) -> Block:
    n, first = len(deals.week), life.event == NEW
    product, number = pick([name for name, *_ in words.PRODUCTS], deals.product), np.arange(n)
    return {
        "opportunity_id": ids("D", number, 6),
        "change_id": "created",
        "account_id": ids("A", deals.account),
        "contact_id": ids("N", deals.contact, 6),
        "owner_id": ids("U", deals.owner, 4),
        "product_id": ids("P", deals.product, 2),
        "competitor_id": ids("C", np.where(rng.random(n) < 0.5, deals.competitor, -1), 2),
        "name": pc.binary_join_element_wise(product, ids("#", number, 6), " "),
        "amount": money(to_cents(deals.amount)),
        "currency": knobs.currency,
        "status": "open",
        **_stage(rng, deals.stage),
        "close_date": life.close[first],
        "source": pick(words.SOURCES, deals.source),
        "type": pick(("new", "expansion"), deals.expansion),
        "segment": pick(words.SEGMENTS, deals.segment),
        "occurred_at": deals.created,
    }


def _stage(rng: np.random.Generator, stage: Ints) -> dict[str, object]:
    """A stage with the CRM's default probability and the rep's call, one in five a notch too bright or too dark."""
    mood = rng.choice([-1, 0, 1], len(stage), p=[0.08, 0.80, 0.12])
    return {
        "stage": pick(words.STAGES, stage),
        "stage_order": stage + 1,
        "probability": STAGE_PROBABILITY[stage],
        "forecast_category": pick(CALLS, np.clip(CALL_BY_STAGE[stage] + mood, 0, 2)),
    }


def _stages(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, deals: Deals, life: Life, cents: Ints, row: Ints
) -> Block:
    """Entries into a stage. Demonstration shows the competitor at the latest; Proposal carries discount and amount."""
    deal, stage = life.deal[row], life.stage[row] + 1
    offer = stage == OFFER_STAGE
    return {
        "opportunity_id": ids("D", deal, 6),
        "change_id": numbered("stage:", stage + 1),
        **_stage(rng, stage),
        "competitor_id": ids("C", np.where(stage == OFFER_STAGE - 1, deals.competitor[deal], -1), 2),
        "amount": pc.if_else(pa.array(offer), money(cents[row]), None),
        "currency": pick([knobs.currency], np.where(offer, 0, -1)),
        "discount": pa.array(DISCOUNTS[deals.discount[deal]], mask=~offer),
        "occurred_at": clock.office_time(rng, life.week[row]),
    }


def _amounts(rng: np.random.Generator, knobs: Knobs, clock: Clock, life: Life, cents: Ints, row: Ints) -> Block:
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("amount:", running_number(life.deal[row])),
        "amount": money(cents[row]),
        "currency": knobs.currency,
        "occurred_at": clock.office_time(rng, life.week[row]),
    }


def _pushes(rng: np.random.Generator, clock: Clock, life: Life) -> Block:
    row = np.flatnonzero(life.pushed)
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("close_date:", running_number(life.deal[row])),
        "close_date": life.close[row],
        "occurred_at": clock.office_time(rng, life.week[row]),
    }


def _next_steps(rng: np.random.Generator, clock: Clock, life: Life, row: Ints) -> Block:
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("next_step:", running_number(life.deal[row])),
        "next_step": pick(words.NEXT_STEPS, rng.integers(0, len(words.NEXT_STEPS), len(row))),
        "occurred_at": clock.office_time(rng, life.week[row]),
    }


def _owners(rng: np.random.Generator, clock: Clock, life: Life) -> Block:
    """Hand-overs when a rep leaves: Monday before office hours."""
    row = np.flatnonzero(life.before != life.owner)
    second = (7 * HOUR + rng.integers(0, HOUR, len(row))).astype("timedelta64[s]")
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("owner:", running_number(life.deal[row])),
        "owner_id": ids("U", life.owner[row], 4),
        "occurred_at": clock.mondays[life.week[row]].astype("datetime64[s]") + second,
    }


def _closed(rng: np.random.Generator, knobs: Knobs, life: Life, closing: Closing, outcome: int) -> Block:
    deal = np.flatnonzero(life.outcome == outcome)
    block: dict[str, object] = {
        "opportunity_id": ids("D", deal, 6),
        "change_id": "closed",
        "status": STATUS[outcome],
        "forecast_category": "closed",
        "stage": "Closed won" if outcome == WON else "Closed lost",
        "probability": float(outcome == WON),
        "next_step": "",
        "occurred_at": life.closed[deal],
        "known_at": closing.known[deal],
    }
    if outcome == WON:
        return block | {"amount": money(closing.cents[deal]), "currency": knobs.currency}
    reasons = words.LOSS_REASONS if outcome == LOST else words.GIVEN_UP_REASONS
    return block | {"loss_reason": pick(reasons, rng.integers(0, len(reasons), len(deal)))}
