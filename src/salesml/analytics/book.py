"""The book: everything a company's measures are counted from, as known as of one instant, in rows that can be summed exactly.

Money is whole cents of the workspace's currency, days are calendar days of its time zone, dimensions are codes into `Book.names`.
A book is a pure function of a view: made again from the same view it is the same to the bit.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesml.analytics.book_codes import NONE, Codes, coded_table, of_deals, settled_in, with_codes
from salesml.analytics.book_rows import (
    NO_REGION,
    OF_ACTIVITIES,
    OF_DEALS,
    OF_REVENUE,
    PLACES,
    read_activities,
    read_deals,
    read_due,
    read_earned,
    read_people,
    read_quotas,
    read_stays,
    read_touches,
)
from salesml.errors import UnknownName
from salesml.lake import View

__all__ = ["NONE", "NO_REGION", "OF_ACTIVITIES", "OF_DEALS", "OF_REVENUE", "PLACES", "Book", "make"]

MEMORY = "2GB"


@dataclass(frozen=True)
class Book:
    """Rows that measures are counted from. `tables`: Arrow tables or the Parquet files they were kept in.

    deal: a deal known and not deleted: opportunity_id, name, codes of OF_DEALS, state (0 open, 1 won, 2 lost or without decision),
    created_on, closed_on (missing while open), close_on (the date entered), cents (at the rate of its close, open: of as_of; missing where
    no amount or rate is known), stage_order, pushes (times its close date was moved), age_days, stage_days, cycle_days (of closed ones),
    activities, last_activity_on, probability (share, missing where not scored).
    visit: a stay in a stage: deal (row of `deal`), stage code, OF_DEALS but stage, entered_on, left_on, days, ended (0 still there, 1
    advanced or won, 2 returned, 3 lost or without decision).
    due: a deal whose entered close date, as it stood when a month (`per` 0) or fiscal quarter (1) began, lay in it: deal, starts_on, cents,
    ended (0 still to end, 1 won in it, 2 lost in it, 3 slipped out of it), OF_DEALS.
    activity: something done: on, codes of OF_ACTIVITIES, deal (-1 without), minutes, answered_s (of a customer's message: seconds until
    the next one to the same deal, lead or account; missing while unanswered).
    revenue: on, cents, codes of OF_REVENUE.
    quota: level (0 company, 1 region, 2 team, 3 rep), codes of PLACES, starts_on, ends_on (first day after), cents.
    names: what a code of a dimension stands for (an id or value); labels: what to show. unconverted: amounts by currency without a rate.
    """

    as_of: dt.datetime
    day: dt.date
    currency: str
    fiscal_year_start: int
    week_start: str
    basis: str
    tables: dict[str, pa.Table | str]
    names: dict[str, list[str]]
    labels: dict[str, list[str]]
    unconverted: dict[str, int] = field(default_factory=dict)

    @cached_property
    def backend(self) -> Any:
        """The Ibis backend that sums: an in-process DuckDB."""
        backend = ibis.duckdb.connect(memory_limit=MEMORY)
        backend.raw_sql("SET enable_progress_bar = false")
        return backend

    def rows(self, name: str) -> Any:
        """A table of the book as an Ibis table, with `one` (1) to count by; activities have `inbound` too (1 where the customer began)."""
        if name not in self._tables:
            kept = self.tables[name]
            in_memory = isinstance(kept, pa.Table)
            made = self.backend.create_table(name, kept) if in_memory else self.backend.read_parquet(kept, table_name=name)
            made = made.mutate(one=ibis.literal(1, "int64"))
            if name == "activity":
                known = self.names["direction"]
                made = made.mutate(inbound=(made.direction == (known.index("inbound") if "inbound" in known else -1)).cast("int64"))
            self._tables[name] = made
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, Any]:
        return {}

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """One column of a table, in the table's order; read once."""
        if (name, column) not in self._columns:
            kept = self.tables[name]
            self._columns[name, column] = kept[column] if isinstance(kept, pa.Table) else pq.read_table(kept, columns=[column])[column]
        return self._columns[name, column]

    def code(self, dimension: str, name: str) -> int:
        """The code of a name in a dimension; UnknownName where the book has none."""
        if dimension not in self.names:
            raise UnknownName("dimension", dimension, self.names)
        known = self._codes.setdefault(dimension, {name: code for code, name in enumerate(self.names[dimension])})
        if name not in known:
            raise UnknownName(dimension, name, known)
        return known[name]

    @cached_property
    def _columns(self) -> dict[tuple[str, str], pa.ChunkedArray]:
        return {}

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {}


def make(view: View, scores: pd.DataFrame | None = None) -> Book:
    """The book of an instant's view; scores: opportunity_id, probability of deals, where they have been scored."""
    assert view.as_of is not None, "a book is made as of an instant"
    workspace = view.tables.workspace
    settings, zone = workspace.settings, workspace.settings.time_zone
    people = read_people(view)
    rates = view.frame(view.facts("fx_rate"))
    deals, unconverted = read_deals(view, people, rates)
    touched = read_touches(view, zone)
    deals = deals.merge(touched, "left", "opportunity_id").sort_values("opportunity_id", ignore_index=True)
    deals["activities"] = deals["activities"].fillna(0).astype("int64")
    known = scores.set_index("opportunity_id")["probability"] if scores is not None else pd.Series(dtype="float64")
    deals["probability"] = deals["opportunity_id"].map(known).astype("float64")
    row_of = pd.Series(np.arange(len(deals), dtype="int32"), deals["opportunity_id"])
    stays = read_stays(view, row_of, zone)
    due = read_due(view, deals, row_of, settings.fiscal_year_start, zone)
    acts = read_activities(view, row_of, zone)
    earned, by = read_earned(view, deals, row_of, people, rates, zone)
    quotas = read_quotas(view, people)
    codes = Codes()
    deal = {name: codes.of(name, deals[name]) for name in OF_DEALS}
    coded = {"deal": coded_table(deals, deal, _DEAL)}
    stayed = of_deals(deal, stays["deal"].to_numpy(), "stage") | {"stage": codes.of("stage", stays["stage"])}
    coded["visit"] = coded_table(stays, stayed, _VISIT)
    coded["due"] = coded_table(due, of_deals(deal, due["deal"].to_numpy()), _DUE)
    of_deal = {name: deal[name] for name in OF_ACTIVITIES if name in deal and name not in PLACES}
    acted = of_deals(of_deal, acts["deal"].to_numpy(), fill=codes)
    for name, to in (("rep", None), ("team", people["team"]), ("region", people["region"].fillna(NO_REGION))):
        acted[name] = codes.of_column(name, acts["rep"], to, NO_REGION if name == "region" else NONE)
    acted |= {name: codes.of_column(name, acts[name]) for name in ("activity_type", "direction")}
    coded["activity"] = with_codes(acts.select(_ACTIVITY), acted)
    coded["revenue"] = coded_table(earned, {name: codes.of(name, earned[name]) for name in OF_REVENUE}, _REVENUE)
    places = {level: codes.of(level, quotas[level]) for level in PLACES}
    level = quotas["entity_type"].map({"company": 0, "region": 1, "team": 2, "rep": 3}).fillna(-1).astype("int8")
    coded["quota"] = coded_table(quotas.assign(level=level), places, _QUOTA)
    names, place = codes.settled()
    coded = {name: settled_in(table, place) for name, table in coded.items()}
    return Book(
        view.as_of, workspace.local_date(view.as_of), settings.currency, settings.fiscal_year_start, settings.week_start, by, coded,
        names, _labels(view, names, people), unconverted,
    )  # fmt: skip


_DEAL = ("opportunity_id", "name", "state", "created_on", "closed_on", "close_on", "cents", "stage_order", "pushes", "age_days",
         "stage_days", "cycle_days", "activities", "last_activity_on", "probability")  # fmt: skip
_VISIT = ("deal", "entered_on", "left_on", "days", "ended")
_DUE = ("deal", "per", "starts_on", "cents", "ended")
_ACTIVITY = ["on", "deal", "minutes", "answered_s"]
_REVENUE = ("on", "cents")
_QUOTA = ("level", "starts_on", "ends_on", "cents")


def _labels(view: View, names: dict[str, list[str]], people: pd.DataFrame) -> dict[str, list[str]]:
    """What to show for each name: people, teams, accounts, products and competitors by name, all else as it is."""
    told: dict[str, pd.Series] = {"rep": people["name"].dropna()}
    for dimension in ("team", "account", "product", "competitor"):
        rows = view.frame(view.state(dimension, ["name"]))
        told[dimension] = rows.dropna(subset="name").set_index(f"{dimension}_id")["name"]
    return {
        dimension: [str(told[dimension].get(name, name)) if dimension in told else name for name in known]
        for dimension, known in names.items()
    }
