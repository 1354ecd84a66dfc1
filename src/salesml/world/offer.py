"""What is sold against whom, and how it is advertised: products, prices, competitors, campaigns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints, stream
from salesml.world.columns import Block, ids, money, pick, to_cents
from salesml.world.knobs import Knobs

PRICE_RISE_PER_YEAR = 0.03
CAMPAIGN_WEEKS = 13
COST_PER_LEAD = np.array([35.0, 10.0, 60.0, 20.0, 140.0, 95.0])  # by source, company's currency


@dataclass(frozen=True)
class Campaigns:
    """Campaigns, one element each: `source`, first and last week, `quality` (log-odds of a lead's conversion).

    `randomised`: its leads get the nurture programme or not by lot; elsewhere marketing chooses who gets it.
    """

    source: Ints
    first: Ints
    after: Ints
    quality: Floats
    randomised: Ints

    def of(self, source: Ints, week: Ints) -> Ints:
        """The campaign a lead of a source and week belongs to."""
        return source * (len(self.source) // len(words.SOURCES)) + week // CAMPAIGN_WEEKS


def campaigns(knobs: Knobs, clock: Clock) -> Campaigns:
    """One campaign a source and quarter of a year; half of them send their nurture mails by lot."""
    rng, turns = stream(knobs, "campaigns"), -(-clock.last // CAMPAIGN_WEEKS)
    n = turns * len(words.SOURCES)
    first = np.tile(np.arange(turns) * CAMPAIGN_WEEKS, len(words.SOURCES))
    return Campaigns(
        source=np.repeat(np.arange(len(words.SOURCES)), turns),
        first=first,
        after=np.minimum(first + CAMPAIGN_WEEKS, clock.last),
        quality=knobs.signal * rng.normal(0, 0.25, n),
        randomised=(rng.random(n) < 0.5).astype(np.int64),
    )


def campaign_records(knobs: Knobs, clock: Clock, plan: Campaigns, leads_of: Ints) -> list[Block]:
    """Campaign blocks: created with its first week, its cost entered on the Monday after its last; plus the nurture one."""
    rng, n = stream(knobs, "campaign records"), len(plan.source)
    began = clock.mondays[plan.first]
    year = began.astype("datetime64[Y]").astype(int) + 1970
    names = [f"{words.SOURCES[s]} {y}, week {w % 52 + 1}" for s, y, w in zip(plan.source, year, plan.first, strict=True)]
    created = {
        "campaign_id": ids("G", np.arange(n), 3),
        "change_id": "created",
        "name": pa.array(names),
        "channel": pick(("web", "word of mouth", "partner", "phone", "event", "ads"), plan.source),
        "source": pick(words.SOURCES, plan.source),
        "starts_on": began,
        "ends_on": clock.mondays[plan.after],
        "occurred_at": began.astype("datetime64[s]"),
    }
    billed = clock.mondays[plan.after].astype("datetime64[s]") + np.timedelta64(9 * 3600, "s")
    cost = COST_PER_LEAD[plan.source] * leads_of * rng.lognormal(0, 0.2, n)
    costs = {"campaign_id": ids("G", np.arange(n), 3), "change_id": "billed", "cost": money(to_cents(cost))}
    costs |= {"currency": knobs.currency, "occurred_at": billed}
    nurture = {"campaign_id": pa.array(["NURTURE"]), "change_id": "created", "name": "Nurture mails", "channel": "email"}
    nurture |= {"starts_on": clock.mondays[:1], "occurred_at": clock.mondays[:1].astype("datetime64[s]")}
    return [created, costs, nurture]


def products(knobs: Knobs, clock: Clock) -> list[Block]:
    """Product blocks: created, then a new list price each January."""
    name, family, price, cost, _ = zip(*words.PRODUCTS, strict=True)
    n, opening = len(name), clock.mondays[0].astype("datetime64[s]")
    first = {
        "product_id": ids("P", np.arange(n), 2),
        "change_id": "created",
        "name": pa.array(name),
        "family": pa.array(family),
        "list_price": money(np.array(price) * 100),
        "unit_cost": money(np.array(cost) * 100),
        "currency": knobs.currency,
        "active": True,
        "occurred_at": np.full(n, opening),
    }
    return [first, *(_rise(np.array(price), year, turn) for turn, year in enumerate(_januaries(clock), 1))]


def _januaries(clock: Clock) -> np.ndarray:
    years = np.arange(clock.mondays[0].astype("datetime64[Y]") + 1, clock.end.astype("datetime64[Y]") + 1)
    return years.astype("datetime64[D]").astype("datetime64[s]")


def _rise(price: Ints, since: np.datetime64, turn: int) -> Block:
    raised = to_cents(np.round(price * (1 + PRICE_RISE_PER_YEAR) ** turn))
    product = {"product_id": ids("P", np.arange(len(price)), 2), "list_price": money(raised)}
    year = f"price:{since.astype('datetime64[Y]')}"
    return product | {"change_id": year, "occurred_at": np.full(len(price), since)}


def prices(knobs: Knobs, clock: Clock, rate: Floats) -> list[Block]:
    """Price blocks: each product in each region's currency, at the rate of the day the list was made."""
    price = np.array([row[2] for row in words.PRODUCTS])
    blocks: list[Block] = []
    since = [clock.mondays[0].astype("datetime64[s]"), *_januaries(clock)]
    for turn, day in enumerate(since):
        week = int(np.clip(clock.week_of(day.astype("datetime64[D]")), 0, clock.last - 1))
        for number, code in enumerate(knobs.money):
            local = price * (1 + PRICE_RISE_PER_YEAR) ** turn / rate[number, week]
            block = {"price_id": ids(f"L{code}-", np.arange(len(price)), 2), "price_list": code, "currency": code}
            block |= {"product_id": ids("P", np.arange(len(price)), 2), "amount": money(to_cents(np.round(local)))}
            name = "created" if turn == 0 else f"list:{day.astype('datetime64[Y]')}"
            blocks.append(block | {"change_id": name, "occurred_at": np.full(len(price), day)})
    return blocks


def competitors(clock: Clock) -> list[Block]:
    """The competitor block."""
    rival, where, _ = zip(*words.COMPETITORS, strict=True)
    return [
        {
            "competitor_id": ids("C", np.arange(len(rival)), 2),
            "change_id": "created",
            "name": pa.array(rival),
            "segment": pa.array(where),
            "occurred_at": np.full(len(rival), clock.mondays[0].astype("datetime64[s]")),
        }
    ]
