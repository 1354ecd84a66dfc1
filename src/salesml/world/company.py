"""The simulated company: made from a few knobs, written to a workspace as any import is."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from salesml.errors import UnknownName
from salesml.lake import Imported, Lake
from salesml.workspace import Workspace
from salesml.world import activities, customers, ledger, life, opportunities, organisation, quota
from salesml.world import deals as pipeline
from salesml.world.clock import Clock, Times, clock
from salesml.world.knobs import PRESETS, Knobs
from salesml.world.truth import truth


@dataclass(frozen=True)
class World:
    """A company's records (`tables`, staged for the lake) and, apart from them, the `truth` no workspace ever holds."""

    knobs: Knobs
    tables: dict[str, pa.Table]
    truth: dict[str, pa.Table]

    def write(self, workspace: Workspace) -> Imported:
        """Import the records into the workspace's lake, as one commit; the same company again changes nothing."""
        files = [
            {"name": f"{name}.simulated", "sha256": digest(rows), "rows": rows.num_rows}
            for name, rows in self.tables.items()
        ]
        note = {"knobs": asdict(self.knobs) | {"end": self.knobs.end.isoformat()}}
        return Lake(workspace).ingest(
            self.tables, origin="salesml.world", note=note, complete=set(self.tables), files=files
        )


def company(
    seed: int = 7,
    reps: int = 24,
    years: float = 3.0,
    deals: int | None = None,
    end: dt.date = dt.date(2026, 7, 1),
    signal: float = 1.0,
    late: float = 0.08,
    currency: str = "USD",
) -> World:
    """A company that has lived `years` years up to `end`.

    `end` is the first day not lived: every fact is known before its 00:00 UTC. The ledger covers `years`, the CRM
    half a year more. `reps`: how many ever work there. `deals`: how many are opened (default: 40 a rep and year).
    `signal` scales every cause and trace of a deal's chances; at 0 outcomes depend on stage and calendar alone.
    `late`: share of activities and closings that are entered days after they happened. Same knobs, same rows.
    BadParameter gives the valid range.
    """
    knobs = Knobs(seed, reps, years, deals, end, signal, late, currency)
    weeks = clock(knobs)
    org = organisation.organisation(knobs, weeks)
    who = customers.customers(knobs, org.regions)
    born = pipeline.deals(knobs, weeks, org, who)
    lived = life.live(knobs, weeks, org, born)
    deal_changes, closing = opportunities.opportunities(knobs, weeks, born, lived)
    return World(
        knobs,
        {
            **organisation.tables(org, knobs, weeks),
            **customers.tables(who, _first_business(weeks, who, born), knobs, weeks),
            "opportunity": deal_changes,
            "activity": activities.activities(knobs, weeks, org, born, lived),
            "revenue": ledger.revenue(knobs, weeks, who, born, lived, closing),
            "quota": quota.quotas(knobs, weeks, org, born),
        },
        truth(knobs, weeks, org, born, lived),
    )


def preset(name: str) -> dict[str, Any]:
    """The knobs of a preset (`tiny` for tests, `demo`); UnknownName lists them."""
    if name not in PRESETS:
        raise UnknownName("world preset", name, PRESETS)
    return dict(PRESETS[name])


def build(workspace: Workspace, **knobs: Any) -> Imported:
    """Make a company and import it into the workspace, in the workspace's currency unless told otherwise."""
    valid = {field.name for field in fields(Knobs)}
    for name in knobs:
        if name not in valid:
            raise UnknownName("knob of the world", name, valid)
    return company(**{"currency": workspace.settings.currency, **knobs}).write(workspace)


def digest(rows: pa.Table) -> str:
    """SHA-256 of a staged table's rows as CSV, times as whole units since 1970; known_at and key fix their order."""
    numbers = [pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in rows.schema]
    sink = _Hash()
    csv.write_csv(rows.cast(pa.schema(numbers)), pa.PythonFile(sink, mode="w"), csv.WriteOptions(batch_size=65_536))
    return sink.sha.hexdigest()


def _first_business(weeks: Clock, who: customers.Customers, born: pipeline.Deals) -> Times:
    """When an account was first dealt with: first deal, or the ledger's first day for old customers; NaT if never."""
    first = np.where(who.customer == 1, weeks.start.astype("datetime64[s]"), np.datetime64("9999-01-01", "s"))
    np.minimum.at(first, born.account, born.created)
    return np.where(first < weeks.end_second, first, np.datetime64("NaT", "s"))


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
