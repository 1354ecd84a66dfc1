"""visible(tables, as_of): the lake's only door. Nothing that entered the system at or after as_of can be seen through it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd
import pyarrow as pa

from salesml.contracts import TABLES, table
from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.lake import asof
from salesml.lake.asof import Asked, Totals

if TYPE_CHECKING:
    from salesml.lake.store import Tables

MANY_INSTANTS = 2_000
ENTITIES = {spec.entity: spec.name for spec in TABLES.values()}


def visible(tables: Tables, as_of: str | dt.date | dt.datetime | pd.DataFrame | pa.Table | Any) -> View:
    """What was known as of one instant, or as of each row of a spine (an entity column and as_of); the two agree exactly.

    A fact is visible when known_at < as_of (half-open). A bare date means 00:00 of that day in the workspace's time zone.
    """
    if isinstance(as_of, str | dt.date):
        return View(tables, as_of=tables.workspace.instant(as_of))
    return View(tables, spine=_checked_spine(as_of))


class View:
    """The lake as of an instant or a spine. Frames are Ibis tables; `.to_pandas()` at the notebook's edge."""

    def __init__(self, tables: Tables, *, as_of: dt.datetime | None = None, spine: pa.Table | None = None) -> None:
        self.tables, self.as_of = tables, as_of
        self._spine = spine
        self._kept: dict[Any, Any] = {}

    @property
    def entity(self) -> str | None:
        """The entity column of the spine; None for an instant."""
        return None if self._spine is None else next(name for name in self._spine.schema.names if name != "as_of")

    def spine(self, name: str = "opportunity") -> Any:
        """(entity, as_of) rows: those asked for, or for an instant every entity of table `name` known by then."""
        entity = table(name).entity
        if self._spine is None:
            facts = self.facts(name)
            return facts.select(entity, "as_of").distinct()
        if entity != self.entity:
            raise BadParameter(f"this view's spine is of {self.entity}; it has no rows of {entity}")
        return self._keep("spine", lambda: ibis.memtable(self._spine))

    def facts(self, name: str) -> Any:
        """Rows of a table as they were believed: corrected rows show the correction known by then; adds as_of.

        Outputs keep their own as_of, the instant they were computed for. For a spine, one row per spine row and fact of
        its entity (the table must have the entity's column).
        """
        believed = self._believed(name)
        if self.as_of is not None:
            instant = ibis.literal(self.as_of, type="timestamp('UTC', 6)")
            seen = believed.filter(believed.known_at < instant, believed.known_until >= instant).drop("known_until")
            return seen if "as_of" in seen.columns else seen.mutate(as_of=instant)
        entity = str(self.entity)
        if entity not in believed.columns:
            raise BadParameter(f"table {name} has no column {entity}, the entity of this view's spine")
        spine = self.spine(ENTITIES[entity]).rename(_entity=entity)
        pairs = spine.join(
            believed,
            [
                spine["_entity"] == believed[entity],
                believed.known_at < spine.as_of,
                believed.known_until >= spine.as_of,
            ],
        )
        return pairs.drop("_entity", "known_until")

    def state(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        since: Sequence[str] = (),
        changes: Sequence[str] = (),
        first: Sequence[str] = (),
    ) -> Any:
        """One row per (entity, as_of): the latest known value of each column, and created_at.

        Asking for `since`, `changes` or `first` of a column adds `<c>_since`, `<c>_changes`, `<c>_first`.
        """
        spec = table(name)
        wanted = [column.name for column in spec.payload] if columns is None else list(columns)
        entity = spec.entity
        if self._spine is None and spec.kind == "changes":
            return asof.state_at(self.facts(name), spec, Asked(tuple(wanted), tuple(since), tuple(changes), tuple(first)))
        return self.with_state(
            self.spine(name), name, entity, wanted, since=since, changes=changes, first=first, inner=True
        )

    def with_state(
        self,
        rows: Any,
        name: str,
        on: str,
        columns: Sequence[str],
        *,
        since: Sequence[str] = (),
        changes: Sequence[str] = (),
        first: Sequence[str] = (),
        prefix: str = "",
        inner: bool = False,
    ) -> Any:
        """`rows` (with as_of) and the state of the entity named in column `on`, as known at each row's as_of.

        Rows whose entity was not known then keep nulls, or are left out if `inner`.
        """
        spec = table(name)
        if spec.kind != "changes":
            raise BadParameter(f"table {name} holds {spec.kind}, which have no state; use facts or with_totals")
        versions = self._state_versions(name, Asked(tuple(columns), tuple(since), tuple(changes), tuple(first)))
        if prefix:
            versions = versions.rename(
                {f"{prefix}{n}": n for n in versions.columns if n not in (spec.entity, "since", "until")}
            )
        elif "created_at" in rows.columns:
            versions = versions.drop("created_at")
        return asof.look_up(rows, versions, on, spec.entity, inner=inner)

    def with_totals(
        self,
        rows: Any,
        totals: Totals,
        on: str | None,
        *,
        back: dt.timedelta | None = None,
        suffix: str = "",
        crowded: bool = False,
    ) -> Any:
        """`rows` and running totals by the key in column `on`, as known at as_of minus `back`; sums without facts are 0.

        `on` is None for totals over all. `crowded` chooses the plan for keys with thousands of versions (a rep, a
        product); the numbers are the same.
        """
        versions = self._keep(("totals", id(totals)), lambda: self._settled(self._total_versions(totals)), holds=totals)
        if suffix:
            versions = versions.rename(
                {f"{n}{suffix}": n for n in versions.columns if n not in ("key", "since", "until")}
            )
        if on is None:
            return self.with_totals(
                rows.mutate(_all=ibis.literal(asof.ALL)), totals, "_all", back=back, suffix=suffix, crowded=crowded
            ).drop("_all")
        if crowded and back is None:
            found = asof.look_up_crowded(rows, versions, on, "key", self._asked(rows, versions, on))
        else:
            found = asof.look_up(rows, versions, on, "key", back=back)
        return found.mutate(**{f"{n}{suffix}": ibis.coalesce(found[f"{n}{suffix}"], 0) for n in totals.sums})

    def _asked(self, rows: Any, versions: Any, on: str) -> Any:
        """(key, as_of) pairs to look up: all keys at all instants where that is few, else those that occur in `rows`."""
        if self._spine is None:
            instants = pa.table({"as_of": pa.array([self.as_of], pa.timestamp("us", tz="UTC"))})
        else:
            instants = self._keep("instants", lambda: self._spine.select(["as_of"]).group_by("as_of").aggregate([]))
        if instants.num_rows > MANY_INSTANTS:
            return rows.filter(rows[on].notnull()).select(key=rows[on], as_of=rows.as_of).distinct()
        return versions.select("key").distinct().cross_join(ibis.memtable(instants))

    def _settled(self, expression: Any) -> Any:
        """Compute an expression once and go on from its result."""
        return self.tables.backend.create_table(f"settled_{uuid.uuid4().hex}", expression, temp=True)

    def _total_versions(self, totals: Totals) -> Any:
        if totals.of == "facts":
            rows = self._believed(totals.table)
            corrected = self.tables.corrections(totals.table) > 0
            return asof.total_versions(rows, totals, starts="known_at", ends="known_until", corrected=corrected)
        states = self._state_versions(totals.table, Asked(totals.columns))
        return asof.total_versions(states, totals, starts="since", ends="until", corrected=True)

    def _state_versions(self, name: str, asked: Asked) -> Any:
        for key, (kept, _) in self._kept.items():
            if key[:2] == ("versions", name) and key[2].covers(asked):
                return kept.select(table(name).entity, "since", "until", "created_at", *asked.names)

        def make() -> Any:
            corrected = self.tables.corrections(name) > 0
            return self._settled(asof.state_versions(self._believed(name), table(name), asked, corrected=corrected))

        return self._keep(("versions", name, asked), make)

    def _believed(self, name: str) -> Any:
        spec = table(name)
        return self._keep(
            ("believed", name), lambda: asof.believed(self.tables.stored(name), spec, self.tables.corrections(name))
        )

    def _keep(self, key: Any, make: Any, holds: Any = None) -> Any:
        if key not in self._kept:
            self._kept[key] = (make(), holds)
        return self._kept[key][0]

    def frame(self, expression: Any) -> pd.DataFrame:
        """Run an expression made from this view and return a pandas frame (decimals stay exact)."""
        return self.tables.backend.to_pandas(expression)


def _checked_spine(spine: Any) -> pa.Table:
    if isinstance(spine, pd.DataFrame):
        spine = pa.Table.from_pandas(spine, preserve_index=False)
    if not isinstance(spine, pa.Table):
        raise BadParameter("as_of is an instant, a date, or a frame with an entity column and as_of")
    names = set(spine.schema.names)
    entity = names - {"as_of"}
    if "as_of" not in names or len(entity) != 1:
        raise BadInput(f"a spine has one entity column and as_of; this one has {', '.join(sorted(names))}")
    name = entity.pop()
    if name not in ENTITIES:
        raise UnknownName("spine entity", name, ENTITIES)
    instants = spine.schema.field("as_of").type
    if not pa.types.is_timestamp(instants) or instants.tz is None:
        raise BadInput("spine as_of must be instants with a time zone", column="as_of", mend="Use UTC timestamps.")
    if spine["as_of"].null_count or spine[name].null_count:
        raise BadInput(
            "spine rows need both an entity and as_of", column="as_of" if spine["as_of"].null_count else name
        )
    return pa.table({name: spine[name].cast(pa.string()), "as_of": spine["as_of"].cast(pa.timestamp("us", tz="UTC"))})
