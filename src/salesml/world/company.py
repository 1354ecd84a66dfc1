"""The simulated company: made from a few knobs, written to a workspace as any import is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from salesml.errors import UnknownName
from salesml.lake import Imported, Lake
from salesml.workspace import Workspace
from salesml.world import (
    activities,
    customers,
    faults,
    geography,
    lead_records,
    leads,
    ledger,
    life,
    market,
    offer,
    opportunities,
    organisation,
    quota,
    truth,
)  # fmt: skip
from salesml.world import deals as pipeline
from salesml.world.clock import Clock, clock
from salesml.world.columns import Block, batches, staged, stream_schema
from salesml.world.knobs import LAW, PRESETS, Knobs

Progress = Callable[[str], None]


@dataclass(frozen=True, repr=False)
class World:
    """A company that has lived. Its records are made from this when asked for, table by table; the same each time.

    `tables`: the records, staged for the lake. `truth`: what no workspace ever holds. `write`: into a workspace's lake.
    """

    knobs: Knobs
    clock: Clock
    market: market.Market
    map: geography.Geography
    org: organisation.Organisation
    who: customers.Customers
    plan: offer.Campaigns
    come: leads.Leads
    deals: pipeline.Deals
    life: life.Life
    known: truth.Beliefs
    record: opportunities.Records
    fault: faults.Faults
    regular: ledger.Regulars

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Every table, staged, in memory; an enterprise's take gigabytes: use `reader` or `write` there."""
        return {name: staged(name, make(), self.clock) for name, make in self._makers.items()}

    def reader(self, name: str) -> pa.RecordBatchReader:
        """One table as a stream of record batches, made as they are read; text columns are dictionary-encoded."""
        return pa.RecordBatchReader.from_batches(stream_schema(name), batches(name, self._makers[name](), self.clock))

    def write(self, workspace: Workspace, progress: Progress = lambda what: None) -> Imported:
        """Import the records into the workspace's lake, as one commit; the same company again changes nothing."""
        recipe = asdict(self.knobs) | {"end": self.knobs.end.isoformat(), "law": LAW}
        stamp = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        files = [{"name": f"{name}.simulated", "sha256": stamp} for name in self._makers]
        readers = {name: _told(self.reader(name), name, progress) for name in self._makers}
        return Lake(workspace).ingest(
            readers, origin="salesml.world", note={"knobs": recipe}, complete=set(readers), files=files
        )

    @cached_property
    def since(self) -> np.ndarray:
        """When each account was entered."""
        first = customers.first_business(self.clock, self.who, self.deals.account, self.deals.created)
        return customers.known_since(self.knobs, self.clock, first)

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """Revenue without its noise by rep and month, for each kind (see `truth.revenue_month`)."""
        knobs, weeks, lived = self.knobs, self.clock, self.life
        rows, value = truth.expected_wins(knobs, weeks, self.market, self.deals, lived, self.record)
        booking = ledger.booking_kernel(weeks)
        invoice = ledger.invoice_kernel(knobs, weeks)
        orders = ledger.expected_orders(knobs, weeks, self.market, self.org, self.who, self.regular)
        return {
            "booking": ledger.expected_deals(weeks, self.org, lived, rows, value, booking),
            "deal invoice": ledger.expected_deals(weeks, self.org, lived, rows, value, invoice),
            "order": orders,
        }

    @property
    def _makers(self) -> dict[str, Callable[[], Iterable[Block]]]:
        """How each table is made, in the order they are written."""
        k, c, org, who, deals, lived, fault = (
            self.knobs, self.clock, self.org, self.who, self.deals, self.life, self.fault,
        )  # fmt: skip
        return {
            "team": lambda: organisation.teams(c, org),
            "user": lambda: organisation.users(k, c, org),
            "territory": lambda: organisation.territories(c, org),
            "market_area": lambda: geography.market_areas(k, c, self.map),
            "product": lambda: offer.products(k, c),
            "price": lambda: offer.prices(k, c, self.market.rate),
            "competitor": lambda: offer.competitors(c),
            "campaign": lambda: offer.campaign_records(k, c, self.plan, self._leads_of_campaigns()),
            "fx_rate": lambda: market.fx_rates(k, c, self.market),
            "account": lambda: [
                *customers.accounts(k, c, self.map, org, who, self.since),
                *faults.duplicate_accounts(k, fault, who),
            ],
            "contact": lambda: [
                *customers.contacts(k, who, self.since),
                *faults.duplicate_contacts(fault, who, self.since),
            ],
            "lead": lambda: lead_records.leads(k, org, who, self.come, deals, fault),
            "lead_event": lambda: lead_records.lead_events(k, c, self.come),
            "opportunity": lambda: opportunities.opportunities(k, c, deals, lived, self.record, fault),
            "activity": lambda: activities.activities(k, c, org, who, deals, lived, self.come),
            "revenue": lambda: ledger.revenue(
                k, c, self.market, org, who, deals, lived, self.record, self.regular
            ),
            "quota": lambda: quota.quotas(
                k, c, org, self.map, self.expected["deal invoice"] + self.expected["order"]
            ),
        }

    def _leads_of_campaigns(self) -> np.ndarray:
        return np.bincount(self.come.campaign, minlength=len(self.plan.source))

    @cached_property
    def truth(self) -> dict[str, pa.Table]:
        """What no record holds, in memory; the docstrings of `salesml.world.truth` describe each table."""
        return {name: pa.concat_tables(parts) for name, parts in self.truth_parts()}

    def truth_parts(self) -> Iterator[tuple[str, Iterable[pa.Table]]]:
        """The truth table by table, each in parts."""
        k, c = self.knobs, self.clock
        yield "deal", [truth.deal(k, c, self.deals, self.life, self.fault, self.known)]
        yield "deal_week", truth.deal_week(k, c, self.market, self.deals, self.life, self.record, self.known)
        yield "lead", [truth.lead(c, self.come)]
        yield "rep", [truth.rep(k, c, self.org)]
        yield "account", [truth.account(len(self.who.region), self.regular, self.fault)]
        yield "campaign", [truth.campaign(self.come, self.plan)]
        yield "channel", [truth.channel(k, self.come)]
        yield "market_week", [truth.market_week(c, self.market)]
        yield "revenue_month", [truth.revenue_month(c, self.org, self.expected)]


def company(progress: Progress = lambda what: None, **chosen: Any) -> World:
    """A company that has lived up to `end`. Same knobs, same rows; BadParameter gives the valid range.

    `end`: the first day not lived: every fact is known before its 00:00 UTC. `years`: what the ledger covers; the CRM
    is half a year older. `reps`: seats in the sales force. `deals`: how many new ones are opened (default: 40 a seat and
    year), `leads`: how many come in (default: 3.3 a deal). `signal` scales every cause and trace of a deal's or lead's
    chances; at 0 deals depend on stage, calendar and market alone, leads on their source. `confounding`: how far reps
    and marketing work harder on what is better anyway, and discount what is worse. `effect`: of meetings and of the nurture
    programme. `drift`: how far causes change over the years. `tails`: heaviness of the amounts. `late`: share of
    activities and closings entered days after they happened. `faults`: duplicates, gaps, wrong reasons, coloured calls.
    `currencies`: how many are sold in, `currency` being the company's own. `progress` is told what is being done.
    """
    knobs = Knobs.of(**chosen)
    weeks = clock(knobs)
    times = market.market(knobs, weeks)
    org = organisation.organisation(knobs, weeks)
    map_ = geography.geography(knobs, org.seat_region)
    who = customers.customers(knobs, map_)
    plan = offer.campaigns(knobs, weeks)
    progress("leads")
    come = leads.leads(knobs, weeks, times, org, who, plan)
    progress("deals")
    born, lived = life.live(knobs, weeks, times, org, who, pipeline.deals(knobs, weeks, times, org, who, come))
    progress("true chances")
    known = truth.beliefs(knobs, weeks, times, born, lived)
    record = opportunities.records(knobs, weeks, times, org, born, lived, known.after(lived))
    fault = faults.faults(knobs, weeks, times, who, born, lived, come.created)
    regular = ledger.regulars(knobs, weeks, who, born, lived, record)
    return World(knobs, weeks, times, map_, org, who, plan, come, born, lived, known, record, fault, regular)


def preset(name: str) -> dict[str, Any]:
    """The knobs of a preset (`tiny` for tests, `demo`, `enterprise`); UnknownName lists them."""
    if name not in PRESETS:
        raise UnknownName("world preset", name, PRESETS)
    return dict(PRESETS[name])


def build(workspace: Workspace, progress: Progress = lambda what: None, **knobs: Any) -> Imported:
    """Make a company and import it into the workspace, in the workspace's currency unless told otherwise."""
    made = company(progress, **{"currency": workspace.settings.currency, **knobs})
    return made.write(workspace, progress)


def digest(rows: pa.Table) -> str:
    """SHA-256 of a table's rows, sorted, as CSV: the order of the rows does not matter, times are whole units since 1970."""
    numbers = [pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in rows.schema]
    plain = rows.drop_columns([name for name in ("source_row",) if name in rows.column_names])
    plain = plain.cast(pa.schema([field for field in numbers if field.name in plain.column_names]))
    plain = plain.sort_by([(name, "ascending") for name in plain.column_names])
    sink = _Hash()
    csv.write_csv(plain, pa.PythonFile(sink, mode="w"), csv.WriteOptions(batch_size=65_536))
    return sink.sha.hexdigest()


def _told(reader: pa.RecordBatchReader, name: str, progress: Progress) -> pa.RecordBatchReader:
    """The same stream, telling `progress` about the table when it is begun."""

    def rows() -> Iterator[pa.RecordBatch]:
        progress(name)
        yield from reader

    return pa.RecordBatchReader.from_batches(reader.schema, rows())


class _Hash:
    """A file that keeps only the SHA-256 of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Take more bytes in."""
        self.sha.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to release."""


