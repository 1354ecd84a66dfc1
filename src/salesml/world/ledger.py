"""The ledger: invoices of won deals, their follow-up orders, and the regular business of customers; and what was to be expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from scipy.signal import lfilter

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Floats, Ints, Times, month_of_year, stream
from salesml.world.columns import Block, fresh_ids, ids, money, numbered, pick, plain, to_cents
from salesml.world.customers import Customers
from salesml.world.deals import Deals
from salesml.world.hazards import WON
from salesml.world.knobs import Knobs
from salesml.world.life import Life
from salesml.world.market import GROWTH_PER_YEAR, Market
from salesml.world.opportunities import LATE_CLOSE_DAYS, Records
from salesml.world.organisation import Organisation

SEASON = np.array([0.86, 0.90, 1.04, 0.98, 1.00, 1.05, 0.88, 0.84, 1.06, 1.08, 1.12, 1.19])
REGULAR_BY_SEGMENT = np.array([450.0, 1_500.0, 5_200.0])  # median of a month's order of old customers, company's currency
REGULAR_SPREAD, ORDER_SPREAD = 0.6, 0.25
FOLLOW_UP_SHARE, FOLLOW_UP_MONTHS = 0.02, 12  # of a won deal's amount, ordered a month for a year
CHURN_PER_MONTH, ORDERS_PER_MONTH = 0.012, 0.7
SHOCK_MEMORY, SHOCK, BAD_TIMES = 0.6, 0.05, 0.93  # of a region's month, log; factor in bad times
IN_PARTS, PART_DAYS, BILLED_DAYS = 0.3, 30, (3, 40)


@dataclass(frozen=True)
class Regulars:
    """Who orders regularly: account, product, usual month's order, first month and first month gone (from the ledger's)."""

    account: Ints
    product: Ints
    base: Floats
    first: Ints
    gone: Ints
    churn: Floats  # monthly chance to leave; NaN for follow-up orders, which end with their year


def regulars(knobs: Knobs, clock: Clock, who: Customers, deals: Deals, life: Life, record: Records) -> Regulars:
    """Customers of old until they leave, the healthier the later, and a year of follow-up orders of each won deal."""
    rng, months = stream(knobs, "regulars"), clock.months
    old = np.flatnonzero(who.customer)
    won = record.closings[life.event[record.closings] == WON]
    deal = life.deal[won]
    churn = np.clip(CHURN_PER_MONTH * np.exp(-knobs.signal * who.health[old]), 1e-4, 0.2)
    start = (life.closed[won].astype("datetime64[M]") - months[0]).astype(np.int64) + 1
    return Regulars(
        account=np.r_[old, deals.account[deal]],
        product=np.r_[rng.integers(0, len(words.PRODUCTS), len(old)), deals.product[deal]],
        base=np.r_[
            REGULAR_BY_SEGMENT[who.segment[old]] * rng.lognormal(0, REGULAR_SPREAD, len(old)),
            FOLLOW_UP_SHARE * deals.amount[deal],
        ],
        first=np.r_[np.zeros(len(old), np.int64), start],
        gone=np.r_[rng.geometric(churn), start + FOLLOW_UP_MONTHS],
        churn=np.r_[churn, np.full(len(won), np.nan)],
    )


def revenue(
    knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers, deals: Deals, life: Life,
    record: Records, regular: Regulars,
) -> Iterator[Block]:  # fmt: skip
    """Revenue blocks from the ledger's first day: deals' invoices (R-D…, one or three parts) and regular ones (R-O…)."""
    yield _deal_invoices(stream(knobs, "revenue"), knobs, clock, deals, life, record)
    yield _regular_orders(stream(knobs, "orders"), knobs, clock, market, org, who, regular)


def _deal_invoices(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, deals: Deals, life: Life, record: Records
) -> Block:
    """A won deal is billed 3 to 40 days after its close became known; three in ten in three monthly parts."""
    at = np.flatnonzero(life.event[record.closings] == WON)
    parts = np.where(rng.random(len(at)) < IN_PARTS, 3, 1)
    row, of = np.repeat(record.closings[at], parts), np.repeat(parts, parts)
    part = np.arange(len(row)) - np.repeat(np.cumsum(parts) - parts, parts)
    share = record.cents[row] // of
    cents = np.where(part == of - 1, record.cents[row] - share * (of - 1), share)
    first = record.known[at] + rng.integers(BILLED_DAYS[0] * DAY, BILLED_DAYS[1] * DAY, len(at)).astype("timedelta64[s]")
    time = np.repeat(first, parts) + (part * PART_DAYS * DAY).astype("timedelta64[s]")
    kept = time >= clock.start.astype("datetime64[s]")
    row, part, cents = row[kept], part[kept], cents[kept]
    deal = life.deal[row]
    return {
        "revenue_id": pc.binary_join_element_wise(plain(ids("R-D", deal, 6)), plain(numbered("", part + 1)), "-"),
        "account_id": ids("A", deals.account[deal]),
        "product_id": ids("P", deals.product[deal], 2),
        "owner_id": ids("U", life.owner[row], 4),
        "opportunity_id": ids("D", deal, 6),
        "amount": money(cents),
        "currency": pick(knobs.money, deals.region[deal] % len(knobs.money)),
        "kind": "invoice",
        "occurred_at": time[kept],
    }


def _regular_orders(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers,
    regular: Regulars,
) -> Block:  # fmt: skip
    """Orders of most months, credited to the rep who works the territory when the month begins."""
    row, month = active(clock, regular)
    ordered = rng.random(len(row)) < ORDERS_PER_MONTH
    row, month = row[ordered], month[ordered]
    account = regular.account[row]
    time = _in_month(rng, clock.months[month])
    kept = (time >= clock.start.astype("datetime64[s]")) & (time < clock.end_second)
    size = regular.base[row] * month_level(knobs, clock, market)[month, who.region[account]]
    rate = market.rate[who.region[account] % len(knobs.money), np.clip(clock.week_of(clock.months[month]), 0, None)]
    cents = to_cents(size / rate * rng.lognormal(0, ORDER_SPREAD, len(row)))
    row, month, account = row[kept], month[kept], account[kept]
    return {
        "revenue_id": fresh_ids("R-O", np.arange(len(row))),
        "account_id": ids("A", account),
        "product_id": ids("P", regular.product[row], 2),
        "owner_id": ids("U", month_holder(clock, org)[month, who.territory[account]], 4),
        "amount": money(cents[kept]),
        "currency": pick(knobs.money, who.region[account] % len(knobs.money)),
        "kind": "invoice",
        "occurred_at": time[kept],
    }


def active(clock: Clock, regular: Regulars) -> tuple[Ints, Ints]:
    """Every (regular, month of the ledger) in which it may order."""
    first = np.maximum(regular.first, 0)
    span = np.maximum(np.minimum(regular.gone, len(clock.months)) - first, 0)
    row = np.repeat(np.arange(len(span)), span)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(span) - span, span) + first[row]


def month_holder(clock: Clock, org: Organisation) -> Ints:
    """The rep who works each territory in the week of each month's first day: [month, territory]."""
    return org.holder[np.maximum(clock.week_of(clock.months.astype("datetime64[D]")), 0)]


def month_level(knobs: Knobs, clock: Clock, market: Market) -> Floats:
    """Factor on regular orders by month and region: season × growth × bad times × a shock that fades (AR(1) in logs)."""
    rng, months = stream(knobs, "month level"), clock.months
    shock = lfilter([1.0], [1.0, -SHOCK_MEMORY], rng.normal(0, SHOCK, (len(months), len(words.REGIONS))), axis=0)
    growth = (1 + GROWTH_PER_YEAR) ** (np.arange(len(months)) / 12)
    bad = market.shock[np.clip(clock.week_of(months.astype("datetime64[D]") + 14), 0, None)]
    return (SEASON[month_of_year(months)] * growth * np.where(bad, BAD_TIMES, 1.0))[:, None] * np.exp(shock)


def _in_month(rng: np.random.Generator, month: Times) -> Times:
    """A random second of a month, between 09:00 and 17:00 UTC."""
    days = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    second = np.floor(rng.random(len(month)) * days).astype(np.int64) * DAY
    second += 9 * HOUR + rng.integers(0, 8 * HOUR, len(month))
    return month.astype("datetime64[s]") + second.astype("timedelta64[s]")


def expected_orders(knobs: Knobs, clock: Clock, market: Market, org: Organisation, who: Customers, regular: Regulars) -> Floats:
    """Regular revenue without its noise, in company currency, by rep and month: those who are customers, as often and as much as usual."""
    row, month = active(clock, regular)
    account = regular.account[row]
    size = regular.base[row] * month_level(knobs, clock, market)[month, who.region[account]]
    owner = month_holder(clock, org)[month, who.territory[account]]
    whole = ORDERS_PER_MONTH * np.exp(ORDER_SPREAD**2 / 2) * size * _month_share(clock)[month]
    shape = (len(org.seat), len(clock.months))
    return np.bincount(owner * shape[1] + month, whole, shape[0] * shape[1]).reshape(shape)


def expected_deals(clock: Clock, org: Organisation, life: Life, rows: Ints, value: Floats, kernel: Floats) -> Floats:
    """What deals were to bring by rep and month: each week's chance to win × amount, spread over months by `kernel`."""
    weeks = len(clock.mondays)
    by_week = np.bincount(life.owner[rows] * weeks + life.week[rows], value, len(org.seat) * weeks)
    return by_week.reshape(len(org.seat), weeks) @ kernel


def booking_kernel(clock: Clock) -> Floats:
    """Share of a week's wins that fall in each month: [week, month]."""
    return _kernel(clock, np.full(5, 0.2))


def invoice_kernel(knobs: Knobs, clock: Clock) -> Floats:
    """Share of a week's won amounts billed in each month, from when closes become known and how they are billed."""
    days = np.arange(60)
    late = np.where(days == 0, 1 - knobs.late, 0.0)
    late[1:] += knobs.late * np.diff(1 - np.exp(-days / LATE_CLOSE_DAYS))
    wait = np.zeros(BILLED_DAYS[1])
    wait[BILLED_DAYS[0] :] = 1 / (BILLED_DAYS[1] - BILLED_DAYS[0])
    parts = np.zeros(2 * PART_DAYS + 1)
    parts[0], parts[[PART_DAYS, 2 * PART_DAYS]] = 1 - IN_PARTS * 2 / 3, IN_PARTS / 3
    return _kernel(clock, np.convolve(np.convolve(np.convolve(np.full(5, 0.2), late), wait), parts))


def _kernel(clock: Clock, by_day: Floats) -> Floats:
    """[week, month] from shares by day after the week's Monday; the ledger's first and last month may be cut short."""
    day = clock.mondays[:, None] + np.arange(len(by_day)).astype("timedelta64[D]")
    month = (day.astype("datetime64[M]") - clock.months[0]).astype(np.int64)
    inside = (day >= clock.start) & (day < clock.end)
    kernel = np.zeros((len(clock.mondays), len(clock.months)))
    week = np.broadcast_to(np.arange(len(clock.mondays))[:, None], day.shape)
    np.add.at(kernel, (week[inside], month[inside]), np.broadcast_to(by_day, day.shape)[inside])
    return kernel


def _month_share(clock: Clock) -> Floats:
    """Share of each month's days the ledger covers."""
    begin, end = clock.months.astype("datetime64[D]"), (clock.months + 1).astype("datetime64[D]")
    covered = np.minimum(end, clock.end) - np.maximum(begin, clock.start)
    return covered.astype(np.int64) / (end - begin).astype(np.int64)
