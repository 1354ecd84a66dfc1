"""Whom the company sells to: accounts in their areas, with their contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Floats, Ints, Times, stream
from salesml.world.columns import blank, fresh_ids, ids, money, pick, plain, to_cents
from salesml.world.geography import Geography
from salesml.world.knobs import Knobs
from salesml.world.organisation import Organisation, people_names

DEALS_PER_ACCOUNT = 4
SEGMENT_SHARES = (0.50, 0.35, 0.15)
EMPLOYEES = (40, 350, 3_500)  # median by segment
REVENUE_PER_EMPLOYEE = 160_000
MISSING = {"industry": 0.05, "employees": 0.10, "annual_revenue": 0.15, "title": 0.12, "phone": 0.35, "seniority": 0.12}
"""Shares of what nobody filled in, at faults 1."""


@dataclass(frozen=True)
class Customers:
    """Accounts, one element each, by territory; account a's contacts are first_contact[a] … first_contact[a + 1] - 1."""

    area: Ints
    territory: Ints
    region: Ints
    industry: Ints
    segment: Ints
    weight: Floats  # share of new business
    customer: Ints  # 1: buys regularly since before the ledger starts
    health: Floats  # of a customer: log-odds against leaving
    first_contact: Ints

    def of_territory(self, territory: Ints, chance: Floats) -> Ints:
        """An account of each given territory, drawn by weight; `chance` in [0, 1)."""
        ends = np.cumsum(self.weight)
        begin = np.searchsorted(self.territory, territory, side="left")
        end = np.searchsorted(self.territory, territory, side="right")
        low = np.where(begin > 0, ends[begin - 1], 0.0)
        found = np.searchsorted(ends, low + chance * (ends[end - 1] - low), side="right")
        return np.clip(found, begin, end - 1)


def customers(knobs: Knobs, map_: Geography) -> Customers:
    """Draw the accounts; their number follows the number of deals, their place the potential of the areas."""
    rng = stream(knobs, "customers")
    n = max(10, knobs.deal_count // DEALS_PER_ACCOUNT)
    area = rng.choice(len(map_.potential), n, p=map_.potential / map_.potential.sum())
    area = area[np.argsort(map_.territory[area], kind="stable")]
    weight = rng.lognormal(0, 0.7, n)
    return Customers(
        area=area,
        territory=map_.territory[area],
        region=map_.region[area],
        industry=(rng.random(n)[:, None] > map_.mix[area].cumsum(axis=1)[:, :-1]).sum(axis=1),
        segment=rng.choice(len(SEGMENT_SHARES), n, p=SEGMENT_SHARES),
        weight=weight / weight.sum(),
        customer=(rng.random(n) < 0.35).astype(np.int64),
        health=rng.normal(0, 0.8, n),
        first_contact=np.r_[0, np.cumsum(rng.integers(2, 6, n))],
    )


def first_business(clock: Clock, who: Customers, account: Ints, created: Times) -> Times:
    """When an account was first dealt with: first deal, or the ledger's first day for old customers; NaT if never."""
    first = np.where(who.customer == 1, clock.start.astype("datetime64[s]"), np.datetime64("9999-01-01", "s"))
    np.minimum.at(first, account, created)
    return np.where(first < clock.end_second, first, np.datetime64("NaT", "s"))


def known_since(knobs: Knobs, clock: Clock, first_deal: Times) -> Times:
    """When an account was entered: up to half a year before its first deal; the end where there was none."""
    ahead = stream(knobs, "account entry").integers(HOUR, 180 * DAY, len(first_deal)).astype("timedelta64[s]")
    since = np.where(np.isnat(first_deal), clock.end_second, first_deal - ahead)
    return np.maximum(since, clock.mondays[0].astype("datetime64[s]"))


def accounts(knobs: Knobs, clock: Clock, map_: Geography, org: Organisation, who: Customers, since: Times) -> list[dict]:
    """Account blocks: created with its owner, and a change `owner:n` whenever the territory changes hands afterwards."""
    rng, n = stream(knobs, "customer records"), len(who.region)
    employees = np.maximum(1, np.array(EMPLOYEES)[who.segment] * rng.lognormal(0, 0.6, n)).astype(np.int64)
    yearly = money(to_cents(employees * REVENUE_PER_EMPLOYEE * rng.lognormal(0, 0.4, n)))

    def missing(column: str) -> Ints:
        return rng.random(n) < knobs.faults * MISSING[column]

    week = np.clip(clock.week_of(since), 0, clock.last - 1)
    created = {
        "account_id": ids("A", np.arange(n)),
        "change_id": "created",
        "name": company_names(knobs, n),
        "industry": blank(pick(words.INDUSTRIES, who.industry), missing("industry")),
        "region": pick(words.REGIONS, who.region),
        "country": pick(words.COUNTRIES, who.region),
        "postal_code": ids("", who.area, 5),
        "market_area_id": ids("Z", who.area, 5),
        "latitude": (map_.latitude[who.area] + rng.normal(0, 0.02, n)).round(5),
        "longitude": (map_.longitude[who.area] + rng.normal(0, 0.02, n)).round(5),
        "employees": pa.array(employees, mask=missing("employees")),
        "annual_revenue": blank(yearly, missing("annual_revenue")),
        "currency": knobs.currency,
        "founded_year": rng.integers(1950, 2016, n),
        "territory_id": ids("Y", who.territory, 4),
        "owner_id": ids("U", org.holder[week, who.territory], 4),
        "occurred_at": since,
    }
    return [created, _handed_over(clock, org, who, week)]


def _handed_over(clock: Clock, org: Organisation, who: Customers, since: Ints) -> dict:
    """Changes of an account's owner after it was entered in week `since`."""
    weeks = org.holder[: clock.last]
    seat, turn = np.nonzero((weeks[1:] != weeks[:-1]).T)
    per_seat = np.bincount(seat, minlength=weeks.shape[1])
    first = np.cumsum(per_seat) - per_seat
    times = per_seat[who.territory]
    account = np.repeat(np.arange(len(times)), times)
    number = np.arange(len(account)) - np.repeat(np.cumsum(times) - times, times)
    week = turn[first[who.territory[account]] + number] + 1
    kept = week > since[account]
    account, number, week = account[kept], number[kept], week[kept]
    return {
        "account_id": ids("A", account),
        "change_id": pick([f"owner:{i}" for i in range(1, int(number.max(initial=0)) + 2)], number),
        "owner_id": ids("U", weeks[week, who.territory[account]], 4),
        "occurred_at": clock.mondays[week].astype("datetime64[s]") + np.timedelta64(6 * HOUR, "s"),
    }


def contacts(knobs: Knobs, who: Customers, since: Times) -> list[dict]:
    """The contact block: people of an account, entered with it."""
    rng = stream(knobs, "contacts")
    of = np.repeat(np.arange(len(who.region)), np.diff(who.first_contact))
    first, last = people_names(rng, len(of))
    rank = rng.integers(0, len(words.TITLES), len(of))
    mail = pc.binary_join_element_wise(pc.utf8_lower(first), pc.utf8_lower(last), ".")
    stem = plain(_stems(knobs, len(who.region))[0]).take(pa.array(of))
    host = pc.binary_join_element_wise(pc.utf8_lower(stem), pa.scalar("example"), ".")
    phone = fresh_ids("+1 555 ", rng.integers(0, 10**7, len(of)), 7)

    def missing(column: str) -> Ints:
        return rng.random(len(of)) < knobs.faults * MISSING[column]

    return [
        {
            "contact_id": ids("N", np.arange(len(of)), 6),
            "change_id": "created",
            "account_id": ids("A", of),
            "name": pc.binary_join_element_wise(first, last, " "),
            "email": pc.binary_join_element_wise(mail, host, "@"),
            "phone": blank(phone, missing("phone")),
            "title": blank(pick([title for title, _ in words.TITLES], rank), missing("title")),
            "seniority": blank(pick([band for _, band in words.TITLES], rank), missing("seniority")),
            "consent": rng.random(len(of)) < 0.8,
            "occurred_at": since[of],
        }
    ]


def company_names(knobs: Knobs, n: int) -> pa.Array:
    """Distinct invented names of n companies."""
    stem, kind = _stems(knobs, n)
    return pc.binary_join_element_wise(plain(stem), plain(kind), " ")


def _stems(knobs: Knobs, n: int) -> tuple[pa.Array, pa.Array]:
    """A stem, numbered once the stems are used up, and a kind of company."""
    stems = [head + tail for head in words.STEM_HEADS for tail in words.STEM_TAILS]
    kinds = words.COMPANY_KINDS
    number = stream(knobs, "company names").permutation(n)
    turn = number // (len(stems) * len(kinds))
    more = pick(["", *map(str, range(2, turn.max() + 2))], turn)
    stem = pc.binary_join_element_wise(plain(pick(stems, number % len(stems))), plain(more), "")
    return stem, pick(kinds, number // len(stems) % len(kinds))
