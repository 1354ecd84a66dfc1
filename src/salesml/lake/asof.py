"""As-of algebra in portable Ibis: facts with the interval in which they were believed, versions of states and totals, look-ups.

A *version table* has one row per key and interval: `since < as_of <= until` is when the row is what was known. Look-ups are
inequality joins, or union + window where many versions share a key; no asof_join, so the same expressions run on Spark.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import ibis

from salesml.contracts import Table
from salesml.errors import BadParameter, UnknownName

ALL = 0
FOREVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
Expression = Callable[[Any], Any]


@dataclass(frozen=True)
class Totals:
    """Running totals of what was known, by a key (None: over all).

    `of` "facts": every visible row of `table` counts. `of` "states": every entity counts as it stands (for example won
    deals by owner). `sums` are integer or decimal expressions, so totals are exact; `latest` are the greatest visible value
    of an expression (facts only).
    """

    table: str
    by: str | None
    sums: Mapping[str, Expression]
    latest: Mapping[str, Expression] = field(default_factory=dict)
    of: Literal["facts", "states"] = "facts"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.latest and self.of == "states":
            raise BadParameter("Totals of states have sums only; take `latest` from facts")


def believed(stored: Any, spec: Table, corrections: int) -> Any:
    """Stored rows with `known_until`: the known_at of the row that replaced them (FOREVER if none); withdrawals dropped."""
    if not corrections:
        return stored.filter(~ibis.coalesce(stored.retracted, False)).mutate(known_until=_forever())
    order = ibis.window(group_by=list(spec.key), order_by=["known_at", "import_id"])
    rows = stored.mutate(known_until=ibis.coalesce(stored.known_at.lead(1).over(order), _forever()))
    return rows.filter(~ibis.coalesce(rows.retracted, False))


@dataclass(frozen=True)
class Asked:
    """What is asked of an entity's state: the latest value of `columns`; of some, when set, how often changed, the first."""

    columns: tuple[str, ...]
    since: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    first: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns of the answer, beside the entity and created_at."""
        parts = (("since", self.since), ("changes", self.changes), ("first", self.first))
        return [*self.columns, *(f"{column}_{part}" for part, columns in parts for column in columns)]

    def check(self, spec: Table) -> None:
        """UnknownName for a column that the table does not have."""
        known = [column.name for column in spec.payload]
        for name in {*self.columns, *self.since, *self.changes, *self.first} - set(known):
            raise UnknownName(f"column of {spec.name}", name, known)

    def covers(self, other: Asked) -> bool:
        """Whether the answer to this holds the answer to the other."""
        return set(other.names) <= set(self.names)


def state_versions(facts: Any, spec: Table, asked: Asked, *, corrected: bool) -> Any:
    """Versions of an entity's state: per column the latest value by occurred_at among the facts believed then.

    Adds created_at (earliest occurred_at), `<c>_since` (occurred_at of the change that set c), `<c>_changes` (times it was
    changed after it was first set), `<c>_first` (its first value). `corrected`: some facts were replaced or withdrawn.
    """
    asked.check(spec)
    entity = spec.entity
    order = ibis.window(group_by=entity, order_by=["occurred_at", "known_at", "source_row", "change_id"])
    ranked = facts.mutate(rank=ibis.row_number().over(order))
    points = facts.select(point_key=entity, at=facts.known_at)
    if corrected:
        points = points.union(facts.select(point_key=entity, at=facts.known_until))
        points = points.filter(points.at < _forever())
    points = points.distinct()
    points = points.mutate(until=_next(points, "point_key"))
    held = [points.point_key == ranked[entity], ranked.known_at <= points.at, ranked.known_until > points.at]
    pairs = points.join(ranked, held)

    return pairs.group_by([entity, "at", "until"]).aggregate(**_state(pairs, asked)).rename(since="at")


def state_at(facts: Any, spec: Table, asked: Asked) -> Any:
    """An entity's state as of one instant, from the facts visible then (with that as_of): what `state_versions` has for it, in one pass."""
    asked.check(spec)
    order = ibis.window(group_by=spec.entity, order_by=["occurred_at", "known_at", "source_row", "change_id"])
    ranked = facts.mutate(rank=ibis.row_number().over(order))
    return ranked.group_by([spec.entity, "as_of"]).aggregate(**_state(ranked, asked))


def _state(rows: Any, asked: Asked) -> dict[str, Any]:
    """What is asked of a state, over the ranked facts that make it."""

    def place(name: str) -> Any:
        return ibis.ifelse(rows[name].notnull(), rows["rank"], None)

    return {
        "created_at": rows.occurred_at.min(),
        **{name: _by("max_by", rows[name], place(name)) for name in asked.columns},
        **{f"{name}_since": _by("max_by", rows.occurred_at, place(name)) for name in asked.since},
        **{f"{name}_changes": ibis.greatest(rows[name].count() - 1, 0) for name in asked.changes},
        **{f"{name}_first": _by("min_by", rows[name], place(name)) for name in asked.first},
    }


def _by(function: str, value: Any, place: Any) -> Any:
    """max_by or min_by, which DuckDB and Spark share; Ibis' argmax becomes an ordered FIRST, twice as slow."""

    def declared(value, place): ...  # type: ignore[no-untyped-def]

    signature = ((value.type(), "int64"), value.type())
    return ibis.udf.agg.builtin(declared, name=function, signature=signature)(value, place)


def total_versions(rows: Any, totals: Totals, *, starts: str, ends: str, corrected: bool) -> Any:
    """Versions (key, since, until) of running totals over rows that count from `starts` until `ends`."""
    rows = rows.mutate(_by=rows[totals.by] if totals.by else ibis.literal(ALL))
    rows = rows.filter(rows["_by"].notnull())
    plus = {name: f(rows) for name, f in totals.sums.items()}
    latest = {name: f(rows) for name, f in totals.latest.items()}
    deltas = rows.select(key=rows["_by"], at=rows[starts], **plus, **latest)
    if corrected:
        counted = rows.mutate(**{f"_{name}": value for name, value in plus.items()})
        gone = counted.filter(counted[ends] < _forever())
        minus = {name: -gone[f"_{name}"] for name in plus}
        nothing = {name: ibis.null(expr.type()) for name, expr in latest.items()}
        deltas = deltas.union(gone.select(key=gone["_by"], at=gone[ends], **minus, **nothing))
    steps = deltas.group_by(["key", "at"]).aggregate(
        **{name: deltas[name].sum() for name in plus}, **{name: deltas[name].max() for name in latest}
    )
    if not latest:  # a step that changes no total makes no version
        steps = steps.filter(ibis.or_(*[steps[name] != 0 for name in plus]))
    running = ibis.window(group_by="key", order_by="at", preceding=None, following=0)
    versions = steps.select(
        "key",
        since=steps.at,
        until=_next(steps, "key"),
        **{name: steps[name].sum().over(running) for name in plus},
        **{name: steps[name].max().over(running) for name in latest},
    )
    if corrected and latest:
        versions = _exact_latest(versions, rows, totals, starts, ends)
    return versions


def _exact_latest(versions: Any, rows: Any, totals: Totals, starts: str, ends: str) -> Any:
    """Recompute `latest` for keys with withdrawn or replaced rows, where a running maximum would remember what is gone."""
    touched = rows.filter(rows[ends] < _forever()).select(touched_key=rows["_by"]).distinct()
    points = versions.semi_join(touched, versions.key == touched.touched_key).select(point_key="key", at="since")
    facts = rows.select(fact_key=rows["_by"], begins=rows[starts], stops=rows[ends],
                        **{name: f(rows) for name, f in totals.latest.items()})  # fmt: skip
    pairs = points.left_join(
        facts, [points.point_key == facts.fact_key, facts.begins <= points.at, facts.stops > points.at]
    )
    exact = pairs.group_by(["point_key", "at"]).aggregate(
        **{f"{name}_exact": pairs[name].max() for name in totals.latest}
    )
    joined = versions.left_join(exact, [versions.key == exact.point_key, versions.since == exact.at])
    return joined.select(
        *[name for name in versions.columns if name not in totals.latest],
        **{
            name: ibis.ifelse(joined.point_key.notnull(), joined[f"{name}_exact"], joined[name])
            for name in totals.latest
        },
    )


def look_up(
    rows: Any, versions: Any, on: str, key: str, *, back: dt.timedelta | None = None, inner: bool = False
) -> Any:
    """`rows` (with as_of) and, beside each, the version of its key that was known at as_of (minus `back`); null if none."""
    names = [name for name in versions.columns if name not in (key, "since", "until")]
    right = versions.select(
        **{"_key": versions[key], "_since": versions.since, "_until": versions.until}, **{n: versions[n] for n in names}
    )
    at = rows.as_of - ibis.interval(seconds=int(back.total_seconds())) if back else rows.as_of
    conditions = [rows[on] == right["_key"], right["_since"] < at, right["_until"] >= at]
    joined = rows.join(right, conditions, how="inner" if inner else "left")
    return joined.drop("_key", "_since", "_until")


def look_up_crowded(rows: Any, versions: Any, on: str, key: str, asked: Any) -> Any:
    """The same answer as `look_up` for keys with thousands of versions: union + window over `asked` (key, as_of) pairs."""
    wanted = asked.select(_key=asked[key], _at=asked.as_of, _since=ibis.null("timestamp('UTC', 6)"), _side=0)
    marked = versions.select(_key=versions[key], _at=versions.since, _since=versions.since, _side=1)
    both = wanted.union(marked)
    running = ibis.window(group_by="_key", order_by=["_at", "_side"], preceding=None, following=0)
    found = both.mutate(_found=both["_since"].max().over(running))
    found = found.filter(found["_side"] == 0).select("_key", "_at", "_found")
    names = [name for name in versions.columns if name not in (key, "since", "until")]
    right = versions.select(**{"_vkey": versions[key], "_vsince": versions.since}, **{n: versions[n] for n in names})
    matched = found.join(right, [found["_key"] == right["_vkey"], found["_found"] == right["_vsince"]])
    matched = matched.drop("_vkey", "_vsince", "_found")
    return rows.left_join(matched, [rows[on] == matched["_key"], rows.as_of == matched["_at"]]).drop("_key", "_at")


def days_between(later: Any, earlier: Any) -> Any:
    """Days from one UTC instant to another, to the microsecond, as float64."""
    return (_epoch_us(later) - _epoch_us(earlier)).cast("float64") / 86_400_000_000


def utc_day(instant: Any) -> Any:
    """The calendar day of an instant in UTC."""
    return _make_timestamp(_epoch_us(instant)).date()


def local_time(instant: Any, zone: str) -> Any:
    """What the clock on the wall of an IANA zone shows at an instant, as a timestamp without a zone."""
    return _timezone(zone, instant)


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _timezone(zone, instant): ...  # type: ignore[no-untyped-def]


# by way of microseconds: on a timestamp with a zone the engine's own date functions ask a calendar library, 20 times slower
@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp('UTC')",), "int64"))
def _epoch_us(instant): ...  # type: ignore[no-untyped-def]


@ibis.udf.scalar.builtin(name="make_timestamp", signature=(("int64",), "timestamp"))
def _make_timestamp(microseconds): ...  # type: ignore[no-untyped-def]


def _next(rows: Any, key: str) -> Any:
    """The instant of the next row of the same key, FOREVER for the last."""
    return ibis.coalesce(rows.at.lead(1).over(ibis.window(group_by=key, order_by="at")), _forever())


def _forever() -> Any:
    return ibis.literal(FOREVER, type="timestamp('UTC', 6)")
