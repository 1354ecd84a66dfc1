"""Whom the company sells to: accounts with their contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Floats, Ints, Times, stream
from salesml.world.columns import ids, money, pick, staged, to_cents
from salesml.world.knobs import Knobs
from salesml.world.organisation import people_names

DEALS_PER_ACCOUNT = 4
SEGMENT_SHARES = (0.50, 0.35, 0.15)
EMPLOYEES = (40, 350, 3_500)  # median by segment
REVENUE_PER_EMPLOYEE = 160_000


@dataclass(frozen=True)
class Customers:
    """Accounts, one element each; account a's contacts are numbered first_contact[a] … first_contact[a + 1] - 1."""

    region: Ints
    industry: Ints
    segment: Ints
    weight: Floats  # share of the deals
    customer: Ints  # 1: buys regularly since before the ledger starts
    first_contact: Ints


def customers(knobs: Knobs, regions: int) -> Customers:
    """Draw the accounts; their number follows the number of deals."""
    rng = stream(knobs, "customers")
    n = max(10, knobs.deal_count // DEALS_PER_ACCOUNT)
    weight = rng.lognormal(0, 0.7, n)
    return Customers(
        region=rng.integers(0, regions, n),
        industry=rng.integers(0, len(words.INDUSTRIES), n),
        segment=rng.choice(len(SEGMENT_SHARES), n, p=SEGMENT_SHARES),
        weight=weight / weight.sum(),
        customer=(rng.random(n) < 0.35).astype(np.int64),
        first_contact=np.r_[0, np.cumsum(rng.integers(1, 4, n))],
    )


def tables(who: Customers, first_deal: Times, knobs: Knobs, clock: Clock) -> dict[str, pa.Table]:
    """account, contact.

    An account is entered up to half a year before its `first_deal` (NaT: before the end); its contacts with it.
    """
    rng, n = stream(knobs, "customer records"), len(who.region)
    ahead = rng.integers(HOUR, 180 * DAY, n).astype("timedelta64[s]")
    since = np.where(np.isnat(first_deal), clock.end_second, first_deal) - ahead
    stem, kind = _company_names(rng, n)
    employees = np.maximum(1, np.array(EMPLOYEES)[who.segment] * rng.lognormal(0, 0.6, n)).astype(np.int64)
    account = {
        "account_id": ids("A", np.arange(n)),
        "change_id": "created",
        "name": pc.binary_join_element_wise(stem, kind, " "),
        "industry": pick(words.INDUSTRIES, who.industry),
        "region": pick(words.REGIONS, who.region),
        "employees": employees,
        "annual_revenue": money(to_cents(employees * REVENUE_PER_EMPLOYEE * rng.lognormal(0, 0.4, n))),
        "currency": knobs.currency,
        "founded_year": rng.integers(1950, 2016, n),
        "occurred_at": since,
    }
    of = np.repeat(np.arange(n), np.diff(who.first_contact))
    first, last = people_names(rng, len(of))
    rank = rng.integers(0, len(words.TITLES), len(of))
    mail = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), ".")
    host = pc.binary_join_element_wise(pc.utf8_lower(stem.take(pa.array(of))), pa.scalar("example"), ".")
    contact = {
        "contact_id": ids("N", np.arange(len(of)), 6),
        "change_id": "created",
        "account_id": ids("A", of),
        "name": pc.binary_join_element_wise(first, last, " "),
        "email": pc.binary_join_element_wise(mail, host, "@"),
        "title": pick([title for title, _ in words.TITLES], rank),
        "seniority": pick([band for _, band in words.TITLES], rank),
        "consent": rng.random(len(of)) < 0.8,
        "occurred_at": since[of],
    }
    return {"account": staged("account", [account], clock), "contact": staged("contact", [contact], clock)}


def _company_names(rng: np.random.Generator, n: int) -> tuple[pa.Array, pa.Array]:
    """Distinct invented names: a stem, numbered once the stems are used up, and a kind of company."""
    stems = [head + tail for head in words.STEM_HEADS for tail in words.STEM_TAILS]
    kinds = words.COMPANY_KINDS
    number = rng.permutation(n)
    stem = pick(stems, number % len(stems))
    turn = number // (len(stems) * len(kinds))
    stem = pc.binary_join_element_wise(stem, pick(["", *map(str, range(2, turn.max() + 2))], turn), "")
    return stem, pick(kinds, number // len(stems) % len(kinds))
