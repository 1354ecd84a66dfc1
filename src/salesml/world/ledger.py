"""The ledger: invoices of won deals and the regular business of customers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.signal import lfilter

from salesml.world import words
from salesml.world.clock import DAY, HOUR, Clock, Floats, Times, month_of_year, stream
from salesml.world.columns import Block, ids, money, numbered, staged, to_cents
from salesml.world.customers import Customers
from salesml.world.deals import GROWTH_PER_YEAR, Deals
from salesml.world.hazards import WON
from salesml.world.knobs import Knobs
from salesml.world.life import Life
from salesml.world.opportunities import Closing

SEASON = np.array([0.86, 0.90, 1.04, 0.98, 1.00, 1.05, 0.88, 0.84, 1.06, 1.08, 1.12, 1.19])
REGULAR_BY_SEGMENT = np.array([1_000.0, 3_500.0, 12_000.0])  # median of a month's order, customers of old
FOLLOW_UP_SHARE = 0.02  # of a won deal's amount, ordered a month from then on
CHURN_PER_MONTH, ORDERS_PER_MONTH = 0.012, 0.7
SHOCK_MEMORY, SHOCK = 0.6, 0.05  # of a region's month, log


def revenue(knobs: Knobs, clock: Clock, who: Customers, deals: Deals, life: Life, closing: Closing) -> pa.Table:
    """Invoices in staged form, from the ledger's first day: deals' (R-D…, one or three parts) and regular (R-O…)."""
    rng = stream(knobs, "revenue")
    blocks = [
        _deal_invoices(rng, knobs, clock, deals, life, closing),
        _regular_orders(rng, knobs, clock, who, deals, life),
    ]
    return staged("revenue", blocks, clock)


def _deal_invoices(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, deals: Deals, life: Life, closing: Closing
) -> Block:
    """A won deal is billed 3 to 40 days after its close became known; three in ten in three monthly parts."""
    won = np.flatnonzero(life.outcome == WON)
    parts = np.where(rng.random(len(won)) < 0.3, 3, 1)
    deal, of = np.repeat(won, parts), np.repeat(parts, parts)
    part = np.arange(len(deal)) - np.repeat(np.cumsum(parts) - parts, parts)
    share = closing.cents[deal] // of
    cents = np.where(part == of - 1, closing.cents[deal] - share * (of - 1), share)
    first = closing.known[won] + rng.integers(3 * DAY, 40 * DAY, len(won)).astype("timedelta64[s]")
    time = np.repeat(first, parts) + (part * 30 * DAY).astype("timedelta64[s]")
    kept = time >= clock.start.astype("datetime64[s]")
    deal, part, cents = deal[kept], part[kept], cents[kept]
    return {
        "revenue_id": pc.binary_join_element_wise(ids("R-D", deal, 6), numbered("", part + 1), "-"),
        "account_id": ids("A", deals.account[deal]),
        "product_id": ids("P", deals.product[deal], 2),
        "owner_id": ids("U", closing.owner[deal], 4),
        "opportunity_id": ids("D", deal, 6),
        "amount": money(cents),
        "currency": knobs.currency,
        "kind": "invoice",
        "occurred_at": time[kept],
    }


def _regular_orders(
    rng: np.random.Generator, knobs: Knobs, clock: Clock, who: Customers, deals: Deals, life: Life
) -> Block:
    """Old customers, and won deals from the month after, order in most months until they leave; no owner."""
    months = np.arange(clock.start.astype("datetime64[M]"), (clock.end - 1).astype("datetime64[M]") + 1)
    old, won = np.flatnonzero(who.customer), np.flatnonzero(life.outcome == WON)
    account = np.r_[old, deals.account[won]]
    product = np.r_[rng.integers(0, len(words.PRODUCTS), len(old)), deals.product[won]]
    base = np.r_[
        REGULAR_BY_SEGMENT[who.segment[old]] * rng.lognormal(0, 0.6, len(old)), FOLLOW_UP_SHARE * deals.amount[won]
    ]
    start = np.r_[
        np.zeros(len(old), np.int64), (life.closed[won].astype("datetime64[M]") - months[0]).astype(np.int64) + 1
    ]
    leave = start + rng.geometric(CHURN_PER_MONTH, len(start))
    month = np.arange(len(months))
    orders = (
        (month >= start[:, None])
        & (month < leave[:, None])
        & (rng.random((len(start), len(months))) < ORDERS_PER_MONTH)
    )
    row, month = np.nonzero(orders)
    level = _month_level(rng, months, int(who.region.max()) + 1)[month, who.region[account[row]]]
    time = _in_month(rng, months[month])
    kept = time >= clock.start.astype("datetime64[s]")
    row, cents = row[kept], to_cents(base[row] * level * rng.lognormal(0, 0.25, len(row)))[kept]
    return {
        "revenue_id": ids("R-O", np.arange(len(row)), 7),
        "account_id": ids("A", account[row]),
        "product_id": ids("P", product[row], 2),
        "amount": money(cents),
        "currency": knobs.currency,
        "kind": "invoice",
        "occurred_at": time[kept],
    }


def _month_level(rng: np.random.Generator, months: Times, regions: int) -> Floats:
    """Factor on regular orders by month and region: season × growth × a shock that fades (AR(1) in logs)."""
    shock = lfilter([1.0], [1.0, -SHOCK_MEMORY], rng.normal(0, SHOCK, (len(months), regions)), axis=0)
    growth = (1 + GROWTH_PER_YEAR) ** (np.arange(len(months)) / 12)
    return (SEASON[month_of_year(months)] * growth)[:, None] * np.exp(shock)


def _in_month(rng: np.random.Generator, month: Times) -> Times:
    """A random second of a month, between 09:00 and 17:00 UTC."""
    days = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    second = (
        np.floor(rng.random(len(month)) * days).astype(np.int64) * DAY
        + 9 * HOUR
        + rng.integers(0, 8 * HOUR, len(month))
    )
    return month.astype("datetime64[s]") + second.astype("timedelta64[s]")
