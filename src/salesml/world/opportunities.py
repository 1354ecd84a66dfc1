"""The deals' change records: what a CRM's field history would hold of the lives the deals lived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import logit

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Floats, Ints, Times, stream
from salesml.world.columns import Block, blank, ids, money, numbered, pick, plain, running_number, to_cents
from salesml.world.deals import TYPES, Deals
from salesml.world.faults import Faults, recorded_reason
from salesml.world.hazards import (
    ADVANCE,
    DISCOUNTS,
    LOST,
    NEW,
    NO_DECISION,
    OFFER_STAGE,
    REOPEN,
    REOPENED_STAGE,
    RETURN,
    SKIP,
    STAY,
    WON,
)  # fmt: skip
from salesml.world.knobs import Knobs
from salesml.world.life import STEPS, Life, path_factor
from salesml.world.market import Market
from salesml.world.organisation import Organisation

AMOUNT_CHANGES_PER_WEEK, NEXT_STEPS_PER_WEEK, REVIEWS_PER_WEEK = 0.06, 0.18, 0.20
LATE_CLOSE_DAYS = 4.0
STAGE_PROBABILITY = np.array([0.10, 0.20, 0.40, 0.60, 0.80])
CALLS = ("pipeline", "best_case", "commit")
CALL_FROM = logit(np.array([0.30, 0.50]))  # perceived chance from which a deal is best case, and commit
STATUS = {WON: "won", LOST: "lost", NO_DECISION: "no_decision"}
MISSING = {"source": 0.04, "contact_id": 0.06, "amount": 0.08}  # at creation, at faults 1


@dataclass(frozen=True)
class Records:
    """What records need of every panel row: amount in cents of the deal's currency, the rep's call, second of a change.

    `closings`: panel rows that closed a deal, `known`: when each was entered.
    """

    cents: Ints
    call: Ints
    moved: Times
    reprised: Ints
    reviewed: Ints
    closings: Ints
    known: Times


def records(
    knobs: Knobs, clock: Clock, market: Market, org: Organisation, deals: Deals, life: Life, p_next: Floats
) -> Records:
    """Draw amounts, calls and times; `p_next`: true win probability after each panel row (NaN after a closing)."""
    rng, calm = stream(knobs, "records"), life.event == STAY
    reprised = calm & (rng.random(len(calm)) < AMOUNT_CHANGES_PER_WEEK)
    factor = path_factor(life, np.where(reprised, rng.normal(-0.02, 0.18, len(calm)), 0.0))
    rate = market.rate[deals.region % len(knobs.money), deals.week]
    cents = to_cents((deals.amount / rate)[life.deal] * factor)
    offered = np.minimum(life.stage, OFFER_STAGE + 1) + STEPS[np.minimum(life.event, STAY)] >= OFFER_STAGE
    cents = np.where(offered, np.rint(cents * (1 - DISCOUNTS[deals.discount[life.deal]])).astype(np.int64), cents)
    moves = np.isin(life.event, (ADVANCE, SKIP, RETURN, REOPEN))
    moved = np.full(len(calm), np.datetime64("NaT", "s"))
    moved[moves] = clock.office_time(rng, life.week[moves], deals.region[life.deal[moves]])
    seen = logit(np.clip(np.nan_to_num(p_next, nan=0.5), 1e-6, 1 - 1e-6)) + knobs.faults * org.outlook[life.owner]
    seen += rng.normal(0, 0.5, len(deals.week))[life.deal] + rng.normal(0, 0.25, len(calm))
    closings = np.flatnonzero(~np.isnat(life.closed))
    lag = np.where(rng.random(len(closings)) < knobs.late, rng.exponential(LATE_CLOSE_DAYS * DAY, len(closings)), 0)
    known = life.closed[closings] + lag.astype("timedelta64[s]")
    back = closings + 1 < len(calm)
    back[back] = life.event[closings[back] + 1] == REOPEN
    known[back] = np.minimum(known[back], moved[closings[back] + 1] - np.timedelta64(HOUR, "s"))
    known = np.maximum(known, life.closed[closings])
    reviewed = calm & (rng.random(len(calm)) < REVIEWS_PER_WEEK)
    return Records(cents, np.searchsorted(CALL_FROM, seen), moved, reprised, reviewed, closings, known)


def opportunities(
    knobs: Knobs, clock: Clock, deals: Deals, life: Life, record: Records, fault: Faults
) -> Iterator[Block]:
    """Opportunity blocks: `created`, `stage:n`, `amount:n`, `close_date:n`, `next_step:n`, `owner:n`, `forecast:n`,
    `reopened:n`, `closed` (`closed:2` after a reopening), `account:1` (a merged duplicate), `deleted`.

    A week brings either a stage or a closing, or any of the smaller changes, so amounts follow one path.
    """
    rng = stream(knobs, "opportunities")
    code = pick(knobs.money, deals.region % len(knobs.money))
    yield _created(rng, knobs, deals, life, record, fault, code)
    yield _stages(deals, life, record, code)
    yield from _small_changes(rng, clock, deals, life, record, code)
    yield _forecasts(rng, clock, deals, life, record)
    yield _reopened(life, record)
    for outcome in STATUS:
        yield _closed(rng, knobs, life, record, fault, outcome, code)
    yield fault.repointed()
    yield from fault.junk_deals(knobs)


def _created(
    rng: np.random.Generator, knobs: Knobs, deals: Deals, life: Life, record: Records, fault: Faults, code: pa.Array
) -> Block:
    n, first = len(deals.week), np.flatnonzero(life.event == NEW)
    product, number = pick([name for name, *_ in words.PRODUCTS], deals.product), np.arange(n)

    def missing(column: str) -> Ints:
        return rng.random(n) < knobs.faults * MISSING[column]

    return {
        "opportunity_id": ids("D", number, 6),
        "change_id": "created",
        "account_id": ids("A", fault.account_written),
        "contact_id": blank(ids("N", deals.contact, 6), missing("contact_id")),
        "owner_id": ids("U", deals.owner, 4),
        "product_id": ids("P", deals.product, 2),
        "competitor_id": ids("C", np.where(rng.random(n) < 0.5, deals.competitor, -1), 2),
        "lead_id": ids("X", deals.lead, 7),
        "territory_id": ids("Y", deals.territory, 4),
        "name": pc.binary_join_element_wise(plain(product), plain(ids("#", number, 6)), " "),
        "amount": blank(money(record.cents[first]), missing("amount")),
        "currency": code,
        "status": "open",
        **_stage(deals.stage),
        "forecast_category": pick(CALLS, record.call[first]),
        "close_date": life.close[first],
        "source": blank(pick(words.SOURCES, deals.source), missing("source")),
        "type": pick(TYPES, deals.type),
        "segment": pick(words.SEGMENTS, deals.segment),
        "occurred_at": deals.created,
    }


def _stage(stage: Ints) -> dict[str, object]:
    """A stage with the CRM's default probability."""
    return {
        "stage": pick(words.STAGES, stage),
        "stage_order": stage + 1,
        "probability": STAGE_PROBABILITY[stage],
    }


def _stages(deals: Deals, life: Life, record: Records, code: pa.Array) -> Block:
    """Entries into a stage. Demonstration shows the competitor at the latest; Proposal carries discount and amount."""
    row = np.flatnonzero(np.isin(life.event, (ADVANCE, SKIP, RETURN)))
    deal, before = life.deal[row], life.stage[row]
    stage = before + STEPS[life.event[row]]
    offer = (stage >= OFFER_STAGE) & (before < OFFER_STAGE)
    shown = np.where(stage >= OFFER_STAGE - 1, deals.competitor[deal], -1)
    return {
        "opportunity_id": ids("D", deal, 6),
        "change_id": numbered("stage:", running_number(deal)),
        **_stage(stage),
        "forecast_category": pick(CALLS, record.call[row]),
        "competitor_id": ids("C", shown, 2),
        "amount": blank(money(record.cents[row]), ~offer),
        "currency": blank(code.take(pa.array(deal)), ~offer),
        "discount": pa.array(DISCOUNTS[deals.discount[deal]], mask=~offer),
        "occurred_at": record.moved[row],
    }


def _small_changes(
    rng: np.random.Generator, clock: Clock, deals: Deals, life: Life, record: Records, code: pa.Array
) -> Iterator[Block]:
    """Amounts, close-date pushes, next steps, and hand-overs (Monday before office hours) when a rep leaves."""

    def change(name: str, row: Ints) -> dict[str, object]:
        deal = life.deal[row]
        key = {"opportunity_id": ids("D", deal, 6), "change_id": numbered(f"{name}:", running_number(deal))}
        return key | {"occurred_at": clock.office_time(rng, life.week[row], deals.region[deal])}

    row = np.flatnonzero(record.reprised)
    new_amount = {"amount": money(record.cents[row]), "currency": code.take(pa.array(life.deal[row]))}
    yield change("amount", row) | new_amount
    row = np.flatnonzero(life.pushed)
    yield change("close_date", row) | {"close_date": life.close[row]}
    row = np.flatnonzero((life.event == STAY) & (rng.random(len(life.deal)) < NEXT_STEPS_PER_WEEK))
    yield change("next_step", row) | {"next_step": pick(words.NEXT_STEPS, rng.integers(0, len(words.NEXT_STEPS), len(row)))}
    row = np.flatnonzero((life.before != life.owner) & (life.event != REOPEN))
    second = (6 * HOUR + rng.integers(0, HOUR // 2, len(row))).astype("timedelta64[s]")
    at = clock.mondays[life.week[row]].astype("datetime64[s]") + second
    yield change("owner", row) | {"owner_id": ids("U", life.owner[row], 4), "occurred_at": at}


def _forecasts(rng: np.random.Generator, clock: Clock, deals: Deals, life: Life, record: Records) -> Block:
    """Reviews in which the rep's call changed since it was last entered."""
    told = np.flatnonzero(record.reviewed | (life.event == NEW) | np.isin(life.event, (ADVANCE, SKIP, RETURN)))
    deal, call = life.deal[told], record.call[told]
    changed = np.r_[False, (deal[1:] == deal[:-1]) & (call[1:] != call[:-1])] & record.reviewed[told]
    row = told[changed]
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("forecast:", running_number(life.deal[row])),
        "forecast_category": pick(CALLS, record.call[row]),
        "occurred_at": clock.office_time(rng, life.week[row], deals.region[life.deal[row]]),
    }


def _reopened(life: Life, record: Records) -> Block:
    """Deals that came back: open again in an early stage, with whoever works the territory."""
    row = np.flatnonzero(life.event == REOPEN)
    return {
        "opportunity_id": ids("D", life.deal[row], 6),
        "change_id": numbered("reopened:", running_number(life.deal[row])),
        "status": "open",
        "owner_id": ids("U", life.owner[row], 4),
        **_stage(np.full(len(row), REOPENED_STAGE)),
        "forecast_category": "pipeline",
        "close_date": life.close[row],
        "occurred_at": record.moved[row],
    }


def _closed(
    rng: np.random.Generator, knobs: Knobs, life: Life, record: Records, fault: Faults, outcome: int, code: pa.Array
) -> Block:
    turn = running_number(life.deal[record.closings])
    chosen = life.event[record.closings] == outcome
    row, turn, deal = record.closings[chosen], turn[chosen], life.deal[record.closings[chosen]]
    names = ["closed", *(f"closed:{i}" for i in range(2, int(turn.max(initial=0)) + 1))]
    block: dict[str, object] = {
        "opportunity_id": ids("D", deal, 6),
        "change_id": pick(names, turn - 1),
        "status": STATUS[outcome],
        "forecast_category": "closed",
        "stage": "Closed won" if outcome == WON else "Closed lost",
        "probability": float(outcome == WON),
        "next_step": "",
        "occurred_at": life.closed[row],
        "known_at": record.known[chosen],
    }
    if outcome == WON:
        return block | {"amount": money(record.cents[row]), "currency": code.take(pa.array(deal))}
    reasons = words.LOSS_REASONS if outcome == LOST else words.GIVEN_UP_REASONS
    true = fault.true_reason[row] if outcome == LOST else rng.integers(0, len(reasons), len(deal))
    return block | {"loss_reason": pick(reasons, recorded_reason(rng, knobs, true, len(reasons)))}
