"""Activities around deals and leads: meetings as the law drew them, mails and calls as reps are diligent and customers answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salesml.world import words
from salesml.world.clock import DAY, Clock, Floats, Ints, Times, stream
from salesml.world.columns import Block, fresh_ids, ids, pick
from salesml.world.customers import Customers
from salesml.world.deals import Deals
from salesml.world.knobs import Knobs
from salesml.world.leads import Leads
from salesml.world.life import Life
from salesml.world.organisation import Organisation

LATE_DAYS = 3.0
CHUNK = 250_000
"""Deal weeks, or leads, written at a time."""
DEMO_SHARE = np.array([0.05, 0.35, 0.80, 0.20, 0.05])  # of meetings, by stage
NO_SHOWS_PER_WEEK = 0.05
HABIT_WORK = np.array([0.8, 1.0, 1.2])
LEAD_TOUCHES, LEAD_FADE_DAYS = 4.6, 16.0


@dataclass(frozen=True)
class Kind:
    """One kind of mail or call: mean count a week, factors by stage and momentum, exponent of the deal's score."""

    type: str
    direction: str
    weekly: float
    by_stage: tuple[float, ...]
    by_momentum: tuple[float, float, float]
    by_score: float


KINDS = (
    Kind("email", "outbound", 0.85, (1.3, 1.0, 0.9, 1.0, 1.0), (0.9, 1.0, 1.1), 0.08),
    Kind("email", "inbound", 0.45, (0.8, 1.0, 1.0, 1.1, 1.2), (0.4, 1.0, 1.7), 0.30),
    Kind("call", "outbound", 0.36, (1.3, 1.0, 0.8, 0.9, 1.0), (1.0, 1.0, 1.0), 0.08),
    Kind("call", "inbound", 0.09, (0.7, 1.0, 1.0, 1.2, 1.4), (0.4, 1.0, 1.8), 0.30),
)
TYPES = ("email", "call", "meeting", "demo")
_OUTCOMES = ("sent", "received", "connected", "no answer", "voicemail", "held", "no show")
_SUBJECTS = [f"{start} {product}" for kind in TYPES for start in words.SUBJECTS[kind] for product, *_ in words.PRODUCTS]
_FIRST_SUBJECT = np.cumsum([0, *(len(words.SUBJECTS[kind]) for kind in TYPES)])[:-1]
_SUBJECTS_OF = np.array([len(words.SUBJECTS[kind]) for kind in TYPES])
_RIVALS = [words.RIVAL_BODY.format(name) for name, *_ in words.COMPETITORS]
_ANSWERS = [start + text for tones in words.INBOUND_BODIES for text in tones for start in words.OPENERS]
_BODIES = [*words.OUTBOUND_BODIES, *words.MET_BODIES, *words.LEAD_BODIES, *_RIVALS, *_ANSWERS]
_MET_AT = len(words.OUTBOUND_BODIES)
_LEAD_AT = _MET_AT + len(words.MET_BODIES)
_RIVAL_AT = _LEAD_AT + len(words.LEAD_BODIES)
_ANSWER_AT = _RIVAL_AT + len(_RIVALS)
_TONE = len(_ANSWERS) // 3


def activities(
    knobs: Knobs, clock: Clock, org: Organisation, who: Customers, deals: Deals, life: Life, come: Leads
) -> Iterator[Block]:
    """Activity blocks. A week in which the rep met the customer has one meeting or demo; mails and calls are Poisson.

    Some are entered days late. What is shown follows the law: nothing but the meetings moves a deal.
    """
    number = 0
    lived = life.lived[life.week[life.lived] < clock.last]
    for chunk, start in enumerate(range(0, len(lived), CHUNK)):
        rng = stream(knobs, "activities", chunk)
        block = _of_deals(rng, knobs, clock, org, who, deals, life, lived[start : start + CHUNK])
        yield {"activity_id": fresh_ids("E", number + np.arange(len(block["occurred_at"]))), **block}
        number += len(block["occurred_at"])
    for chunk, start in enumerate(range(0, len(come.week), CHUNK)):
        rng = stream(knobs, "lead activities", chunk)
        block = _of_leads(rng, knobs, clock, org, come, np.arange(start, min(start + CHUNK, len(come.week))))
        yield {"activity_id": fresh_ids("E", number + np.arange(len(block["occurred_at"]))), **block}
        number += len(block["occurred_at"])


def _of_deals(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, org: Organisation, who: Customers, deals: Deals, life: Life,
    rows: Ints,
) -> dict:  # fmt: skip
    """Activities of some deal weeks: those of the four kinds, the meetings, and meetings nobody came to."""
    met = rows[life.met[rows] == 1]
    missed = rows[(life.met[rows] == 0) & (rng.random(len(rows)) < NO_SHOWS_PER_WEEK)]
    parts = [np.repeat(rows, rng.poisson(_rate(kind, knobs, org, deals, life, rows))) for kind in KINDS]
    what = np.repeat(np.arange(6), [*map(len, parts), len(met), len(missed)])
    row = np.concatenate([*parts, met, missed])
    deal = life.deal[row]
    time = clock.office_time(rng, life.week[row], deals.region[deal])
    # in the week a deal is won, lost or given up, what came after it did not happen; the meeting came before
    ends = life.closed[row]
    time = np.where((what == 4) & (time >= ends), ends - np.timedelta64(1800, "s"), time)
    kept = np.isnat(ends) | (time < ends)
    what, row, deal, time = what[kept], row[kept], deal[kept], time[kept]
    demo = rng.random(len(row)) < DEMO_SHARE[life.stage[row]]
    type_ = np.where(what >= 4, np.where(demo, 3, 2), np.array([0, 0, 1, 1, 2, 2])[what])
    inbound = (what == 1) | (what == 3)
    breadth = np.floor(rng.random(len(row)) * (1 + life.mood[row] % 3)).astype(np.int64)
    contacts = who.first_contact[deals.account[deal] + 1] - who.first_contact[deals.account[deal]]
    main = deals.contact[deal] - who.first_contact[deals.account[deal]]
    others = 1 + life.mood[row] % 3 + rng.poisson(0.6 + 0.4 * deals.segment[deal])
    return {
        "opportunity_id": ids("D", deal, 6),
        "account_id": ids("A", deals.account[deal]),
        "contact_id": ids("N", who.first_contact[deals.account[deal]] + (main + breadth) % contacts, 6),
        "owner_id": ids("U", life.owner[row], 4),
        **_content(rng, type_, inbound, what == 5, deals.product[deal]),
        "attendees": pa.array(others, mask=type_ < 2),
        "body": pick(_BODIES, _body(rng, knobs, what, life.mood[row] // 3, deals.competitor[deal])),
        **_entered(rng, knobs, time),
    }


def _rate(kind: Kind, knobs: Knobs, org: Organisation, deals: Deals, life: Life, rows: Ints) -> Floats:
    """Mean count in each panel week; the signal knob flattens what tells of a deal's chances."""
    deal = life.deal[rows]
    pull = kind.by_score * (deals.score[deal] if kind.direction == "inbound" else knobs.confounding * deals.score[deal])
    work = HABIT_WORK[org.habit[life.owner[rows]]] if kind.direction == "outbound" else 1.0
    mood = np.array(kind.by_momentum)[life.mood[rows] // 3] ** knobs.signal
    return kind.weekly * np.array(kind.by_stage)[life.stage[rows]] * mood * work * np.exp(pull)


def _of_leads(rng: np.random.Generator, knobs: Knobs, clock: Clock, org: Organisation, come: Leads, lead: Ints) -> dict:
    """First calls and mails to leads, more to those who seem keen, fewer as weeks go by."""
    until = np.minimum(come.resolved[lead], clock.end_second)
    days = (until - come.created[lead]).astype(np.int64) / DAY
    keen = 0.2 * knobs.confounding * knobs.signal * come.intent[lead]
    mean = LEAD_TOUCHES * np.exp(keen) * (1 - np.exp(-days / LEAD_FADE_DAYS))
    of = np.repeat(np.arange(len(lead)), rng.poisson(mean))
    row = lead[of]
    after = (faded(rng, days[of], LEAD_FADE_DAYS) * DAY).astype("timedelta64[s]")
    time = clock.to_office(rng, come.created[row] + after, come.region[row])
    kept = (time > come.created[row]) & (time < until[of])
    row, time = row[kept], time[kept]
    call = rng.random(len(row)) < 0.45
    answer = ~call & (rng.random(len(row)) < 0.15)
    told = _ANSWER_AT + _TONE + rng.integers(0, _TONE, len(row))
    body = np.where(answer, told, _LEAD_AT + rng.integers(0, len(words.LEAD_BODIES), len(row)))
    return {
        "lead_id": ids("X", row, 7),
        "owner_id": ids("U", org.holder[come.week[row], come.territory[row]], 4),
        **_content(rng, call.astype(np.int64), answer, np.zeros(len(row), bool), come.product[row]),
        "body": pick(_BODIES, body),
        **_entered(rng, knobs, time),
    }


def faded(rng: np.random.Generator, days: Floats, fade: float) -> Floats:
    """Days after the start at which something happens whose rate fades exponentially, within the given span."""
    return -fade * np.log1p(-rng.random(len(days)) * (1 - np.exp(-days / fade)))


def _content(rng: np.random.Generator, type_: Ints, inbound: Ints, missed: Ints, product: Ints) -> dict[str, object]:
    n, products = len(type_), len(words.PRODUCTS)
    start = np.floor(rng.random(n) * _SUBJECTS_OF[type_]).astype(np.int64)
    called = 2 + (rng.random(n) * 3).astype(np.int64) * (~inbound)
    outcome = np.where(type_ == 0, np.where(inbound, 1, 0), np.where(type_ == 1, called, np.where(missed, 6, 5)))
    minutes = np.array([0, 11, 45, 60])[type_] * rng.lognormal(0, 0.4, n)
    return {
        "type": pick(TYPES, type_),
        "direction": pick(("outbound", "inbound"), inbound),
        "subject": pick(_SUBJECTS, (_FIRST_SUBJECT[type_] + start) * products + product),
        "outcome": pick(_OUTCOMES, outcome),
        "duration_minutes": pa.array(np.maximum(1, np.rint(minutes)), mask=(type_ == 0) | missed | (outcome == 3)),
    }


def _body(rng: np.random.Generator, knobs: Knobs, what: Ints, momentum: Ints, competitor: Ints) -> Ints:
    """A sentence: from the rep, or from the customer in a tone that follows the momentum as far as there is signal."""
    n = len(what)
    told = rng.random(n) < min(1.0, 0.6 * knobs.signal)
    tone = np.where(told, momentum, rng.integers(0, 3, n))
    answer = _ANSWER_AT + _TONE * tone + rng.integers(0, _TONE, n)
    answer = np.where((competitor >= 0) & (rng.random(n) < 0.06), _RIVAL_AT + competitor, answer)
    rep = rng.integers(0, len(words.OUTBOUND_BODIES), n)
    met = _MET_AT + rng.integers(0, len(words.MET_BODIES), n)
    return np.select([(what == 1) | (what == 3), what == 4, what == 5], [answer, met, -1], rep)


def _entered(rng: np.random.Generator, knobs: Knobs, time: Times) -> dict[str, Times]:
    late = rng.random(len(time)) < knobs.late
    lag = np.where(late, rng.exponential(LATE_DAYS * DAY, len(time)), 0).astype("timedelta64[s]")
    return {"occurred_at": time, "known_at": time + lag}
