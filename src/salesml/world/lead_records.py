"""The leads' records: their changes, and what they did on the web and with mails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from salesml.world import words
from salesml.world.activities import CHUNK, faded
from salesml.world.clock import DAY, HOUR, Clock, Ints, stream
from salesml.world.columns import Block, blank, fresh_ids, ids, pick
from salesml.world.customers import EMPLOYEES, Customers
from salesml.world.deals import Deals
from salesml.world.faults import Faults
from salesml.world.knobs import Knobs
from salesml.world.leads import NEVER, Leads
from salesml.world.organisation import Organisation

MISSING = {"industry": 0.15, "employees": 0.25, "title": 0.20, "source": 0.03}  # at faults 1
QUALIFIED_THEN_DROPPED = 0.12
EVENT_MEANS = np.array([1.40, 1.00, 0.35, 0.10, 0.18, 0.06, 0.14, 0.10])  # of words.EVENT_TYPES, all told
EVENT_FADE_DAYS, INTENT_SHOWS = 18.0, 0.45
SEEN_DAYS_BEFORE = 30
CHANNEL_EVENT = ("web_visit", "email_click", "webinar", "social", "web_visit")  # what a touch of each channel leaves
NURTURE_DAYS = (1.0, 3.0, 6.0)


def leads(
    knobs: Knobs, org: Organisation, who: Customers, come: Leads, deals: Deals, fault: Faults
) -> Iterator[Block]:
    """Lead blocks: `created`, `qualified`, `converted` or `disqualified`, duplicates and their merging."""
    rng, n = stream(knobs, "lead records"), len(come.week)

    def missing(column: str) -> Ints:
        return rng.random(n) < knobs.faults * MISSING[column]

    employees = np.maximum(1, np.array(EMPLOYEES)[come.segment] * rng.lognormal(0, 0.6, n)).astype(np.int64)
    programme = [json.dumps({"nurture": on, "by": by}) for on in ("no", "yes") for by in ("choice", "lot")]
    created = {
        "lead_id": ids("X", np.arange(n), 7),
        "change_id": "created",
        "owner_id": ids("U", org.holder[come.week, come.territory], 4),
        "source": blank(pick(words.SOURCES, come.source), missing("source")),
        "campaign_id": ids("G", come.campaign, 3),
        "landing_page": pick(words.PAGES, np.where(come.source % 5 == 0, rng.integers(0, len(words.PAGES), n), -1)),
        "industry": blank(pick(words.INDUSTRIES, who.industry[come.account]), missing("industry")),
        "country": pick(words.COUNTRIES, come.region),
        "title": blank(pick([title for title, _ in words.TITLES], rng.integers(0, len(words.TITLES), n)), missing("title")),
        "employees": pa.array(employees, mask=missing("employees")),
        "status": "open",
        "custom": pick(programme, 2 * come.treated + come.by_lot),
        "occurred_at": come.created,
    }
    yield created
    yield from _outcomes(rng, come, deals)
    twice, shown = fault.leads, ("owner_id", "source", "campaign_id", "country", "title")
    again = {name: created[name].take(pa.array(twice.original)) for name in shown}
    key = {"lead_id": ids("X", twice.number, 7), "change_id": "created", "status": "open", "occurred_at": twice.created}
    yield again | key
    yield twice.deleted("X", 7, "lead_id") | {"status": "disqualified"}


def _outcomes(rng: np.random.Generator, come: Leads, deals: Deals) -> Iterator[Block]:
    n = len(come.week)
    ends, converts = come.resolved < NEVER, come.converts == 1
    waited = (come.resolved - come.created).astype(np.int64)
    qualified = np.flatnonzero(ends & (converts | (rng.random(n) < QUALIFIED_THEN_DROPPED)))
    at = come.created[qualified] + (waited[qualified] * rng.uniform(0.2, 0.9, len(qualified))).astype("timedelta64[s]")
    yield {"lead_id": ids("X", qualified, 7), "change_id": "qualified", "status": "qualified", "occurred_at": at}
    deal = np.flatnonzero(deals.lead >= 0)
    yield {
        "lead_id": ids("X", deals.lead[deal], 7),
        "change_id": "converted",
        "status": "converted",
        "opportunity_id": ids("D", deal, 6),
        "account_id": ids("A", deals.account[deal]),
        "contact_id": ids("N", deals.contact[deal], 6),
        "occurred_at": come.resolved[deals.lead[deal]],
    }
    dropped = np.flatnonzero(ends & ~converts)
    block = {"lead_id": ids("X", dropped, 7), "change_id": "disqualified", "status": "disqualified"}
    yield block | {"occurred_at": come.resolved[dropped]}


def lead_events(knobs: Knobs, clock: Clock, come: Leads) -> Iterator[Block]:
    """Lead event blocks: the touches before arrival (known on arrival), visits, opens and clicks after it, nurture mails."""
    number = 0
    for chunk, start in enumerate(range(0, len(come.week), CHUNK)):
        rng, lead = stream(knobs, "lead events", chunk), np.arange(start, min(start + CHUNK, len(come.week)))
        for block in (_before(rng, come, lead), _after(rng, knobs, clock, come, lead), _nurture(come, lead)):
            n = len(block["occurred_at"])
            yield {"lead_event_id": fresh_ids("V", number + np.arange(n)), **block}
            number += n


def _before(rng: np.random.Generator, come: Leads, lead: Ints) -> dict:
    touches = come.touches[lead]
    channel = np.tile(np.arange(len(words.CHANNELS)), len(lead))
    row, channel = np.repeat(np.repeat(lead, len(words.CHANNELS)), touches.ravel()), np.repeat(channel, touches.ravel())
    ahead = (HOUR / 6 + rng.random(len(row)) * SEEN_DAYS_BEFORE * DAY).astype("timedelta64[s]")
    return {
        "lead_id": ids("X", row, 7),
        "type": pick(CHANNEL_EVENT, channel),
        "channel": pick(words.CHANNELS, channel),
        "campaign_id": ids("G", come.campaign[row], 3),
        "occurred_at": come.created[row] - ahead,
        "known_at": come.created[row],
    }


def _after(rng: np.random.Generator, knobs: Knobs, clock: Clock, come: Leads, lead: Ints) -> dict:
    """What leads do shows their intent; it changes nothing."""
    until = np.minimum(come.resolved[lead], clock.end_second)
    days = (until - come.created[lead]).astype(np.int64) / DAY
    level = np.exp(INTENT_SHOWS * knobs.signal * come.intent[lead]) * (1 - np.exp(-days / EVENT_FADE_DAYS))
    counts = rng.poisson(level[:, None] * EVENT_MEANS)
    kinds = len(words.EVENT_TYPES)
    of = np.repeat(np.repeat(np.arange(len(lead)), kinds), counts.ravel())
    kind = np.repeat(np.tile(np.arange(kinds), len(lead)), counts.ravel())
    time = come.created[lead[of]] + (60 + faded(rng, days[of], EVENT_FADE_DAYS) * DAY).astype("timedelta64[s]")
    kept = time < until[of]
    row, kind, time = lead[of[kept]], kind[kept], time[kept]
    n = len(row)
    page, file = rng.integers(0, len(words.PAGES), n), len(words.PAGES) + rng.integers(0, len(words.FILES), n)
    content = np.where(kind == 0, page, np.where(kind == 4, file, -1))
    return {
        "lead_id": ids("X", row, 7),
        "type": pick(words.EVENT_TYPES, kind),
        "channel": pick(("web", "email", "email", "email", "web", "webinar", "web", "social"), kind),
        "content": pick((*words.PAGES, *words.FILES), content),
        "value": pa.array(np.maximum(1, np.rint(rng.gamma(1.5, 40, n))), mask=kind != 0),
        "occurred_at": time,
    }


def _nurture(come: Leads, lead: Ints) -> dict:
    treated = lead[come.treated[lead] == 1]
    row, turn = np.repeat(treated, len(NURTURE_DAYS)), np.tile(np.arange(len(NURTURE_DAYS)), len(treated))
    time = come.created[row] + (np.array(NURTURE_DAYS)[turn] * DAY).astype(np.int64).astype("timedelta64[s]")
    kept = time < come.resolved[row]
    block = {"lead_id": ids("X", row[kept], 7), "type": "nurture_email", "channel": "email", "campaign_id": "NURTURE"}
    return block | {"content": pick(("Mail 1", "Mail 2", "Mail 3"), turn[kept]), "occurred_at": time[kept]}
