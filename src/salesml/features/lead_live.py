"""The facts of leads in memory, taken in one by one, and a lead's features from its own few facts at any later instant.

The features are those of `features.leads` and equal to them: exact types bit for bit, floats to 1e-9 relative. They are counted again
from the lead's facts each time, so an event ages as time moves on though nothing happens. What all leads share, the records of
sources, campaigns and the company, is kept as running counts: a change moves them by what its lead was and is.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.contracts import table
from salesml.errors import BadParameter
from salesml.features import leads as features
from salesml.features.leads import COUNTS, LEADS, MONTH, STATE, WEEK
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import View
from salesml.lake.asof import FOREVER, Totals

EPOCH, MICROSECOND = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(microseconds=1)
NEVER = (FOREVER - EPOCH) // MICROSECOND
DAY = 86_400_000_000
PAYLOAD = tuple(column.name for column in table("lead").payload)
TOTALS = {"lead_event": features.EVENTS, "activity": features.CONTACTS}
TAKEN, UNCHANGED = "taken", "unchanged"
_WORDS = features.BUYING.split("|")


class Told(NamedTuple):
    """One fact as it was believed: visible as of instants with `known` < as_of <= `until`, all times in microseconds since 1970.

    `said` is None where the fact was withdrawn; else a lead's change (its payload), or the totals an event counts in, as bits.
    """

    key: Any
    lead: str | None
    known: int
    until: int
    occurred: int
    said: Any
    row: int | None = None


class LeadFacts:
    """The facts of all leads that bear on their features now and later, as of an instant that moves on.

    Raises BadParameter for a view of a spine.
    """

    def __init__(self, view: View) -> None:
        """Load what the view of one instant shows, and what of it was believed in the 28 days before."""
        if view.as_of is None:
            raise BadParameter("leads are followed from one instant on; this view is of a spine")
        self.at = microseconds(view.as_of)
        self._facts = {"lead": _Facts(_changes(view), None), **{name: _Facts(_counted(view, name), name) for name in TOTALS}}
        self._records: dict[tuple[str | None, Any], list[int]] = defaultdict(lambda: [0, 0])
        for by, record in _BY.items():
            for row in view.frame(features.summed(features.states(view), record)).to_dict("records"):
                self._records[by, row[by] if by else None] = [int(row[total]) for total in record.sums]
        self._coming: list[tuple[int, str]] = []

    @property
    def as_of(self) -> dt.datetime:
        """The first instant that is not known."""
        return EPOCH + self.at * MICROSECOND

    def advance(self, as_of: dt.datetime) -> None:
        """Let time move on; BadParameter for an earlier instant than the present one."""
        to = microseconds(as_of)
        if to < self.at:
            raise BadParameter(f"as_of {as_of.isoformat()} lies before {self.as_of.isoformat()}; time only moves on. Open it anew.")
        moved = set()
        while self._coming and self._coming[0][0] < to:
            moved.add(heappop(self._coming)[1])
        before = {lead: self._standing(lead) for lead in moved}
        self.at = to
        for lead in moved:
            self._count(before[lead], self._standing(lead))

    def take(self, name: str, fact: Mapping[str, Any], entered: dt.datetime) -> tuple[str, frozenset[str]]:
        """Take in a row of lead, lead_event or activity, with every column in its contract's type; see `Lake.ingest`.

        It is known from its known_at, without one from its occurred_at. A fact whose key is known corrects it, from its known_at
        where that is later than the stored one's, else from `entered`; with `retracted` it withdraws it. Returns "taken", or
        "unchanged" where that is what is known already, and the leads that it is of.
        """
        facts, told = self._facts[name], _told(name, fact)
        lead = told.lead if name == "lead" else None
        before = None if lead is None else self._standing(lead)
        known, leads = facts.take(told, None if fact.get("known_at") is None else told.known, microseconds(entered))
        if known is None:
            return UNCHANGED, leads
        if lead is not None:
            self._count(before, self._standing(lead))
            if known >= self.at:
                heappush(self._coming, (known, lead))
        return TAKEN, leads

    def row(self, lead_id: str) -> dict[str, Any] | None:
        """Features and context of a lead as one row of `LEADS.frame`; None where it is not known, or deleted."""
        state = self._state(lead_id)
        if state is None or state["deleted"]:
            return None
        events = self._facts["lead_event"].of(lead_id)
        now, week, month = (_tally(events, self.at - back, features.EVENTS) for back in (0, WEEK // MICROSECOND, MONTH // MICROSECOND))
        last = max((event.occurred for event in events if event.known < self.at <= event.until), default=None)
        contacts = _tally(self._facts["activity"].of(lead_id), self.at, features.CONTACTS)
        lately, before = {name: now[name] - week[name] for name in COUNTS}, {name: week[name] - month[name] for name in COUNTS}

        def points(scheme: dict[str, float]) -> float:
            return sum(
                each * (features.OLD["7d"] * lately[name] + features.OLD["28d"] * before[name] + features.OLD["before"] * month[name])
                for name, each in scheme.items()
            )

        found = {
            "lead_id": lead_id, "as_of": self.as_of, **state, **now, **{f"{name}_7d": lately[name] for name in COUNTS},
            "events_28d": lately["events"] + before["events"], "age_days": (self.at - state["created"]) / DAY,
            "days_since_event": None if last is None else (self.at - last) / DAY,
            "engagement_points": float(points(features.ENGAGEMENT)), "intent_points": float(points(features.INTENT)),
            **self._rates(state), **contacts,
        }  # fmt: skip
        return {name: found[name] for name in ("lead_id", "as_of", *LEADS.context, *LEADS.names)}

    def frame(self, leads: Iterable[str]) -> pd.DataFrame:
        """The rows of those leads that are known and not deleted, with the columns and types of `LEADS.frame`."""
        rows = [row for lead in dict.fromkeys(leads) if (row := self.row(lead)) is not None]
        frame = pd.DataFrame(rows, columns=["lead_id", "as_of", *LEADS.context, *LEADS.names], dtype="object")
        return frame.astype(_TYPES)

    def deleted(self, lead_id: str) -> bool | None:
        """Whether a lead is deleted; None where it is not known."""
        state = self._state(lead_id)
        return None if state is None else bool(state["deleted"])

    def _state(self, lead: str) -> dict[str, Any] | None:
        """The latest value of each column by occurred_at, as `View.state` tells it, and when the lead was created."""
        held = [told for told in self._facts["lead"].of(lead) if told.known < self.at <= told.until]
        if not held:
            return None
        held.sort(key=lambda told: (told.occurred, told.known, told.row is None, told.row or 0, told.key[1]))
        state: dict[str, Any] = {"created": min(told.occurred for told in held)} | dict.fromkeys(STATE)
        for told in held:
            state |= {name: value for name, value in zip(PAYLOAD, told.said, strict=True) if name in state and value is not None}
        return state

    def _standing(self, lead: str) -> dict[str, Any] | None:
        state = self._state(lead)
        return state if state is not None and state["status"] in LEAD_CLOSED else None

    def _count(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        """Let the records know what a lead was and is; only closed leads count."""
        for state, sign in ((before, -1), (after, 1)):
            for by in _BY if state is not None else ():
                value = state[by] if by else None  # type: ignore[index]
                if by is None or value is not None:
                    record = self._records[by, value]
                    record[0] += sign * (state["status"] == "converted")  # type: ignore[index]
                    record[1] += sign

    def _rates(self, state: Mapping[str, Any]) -> dict[str, float]:
        converted, closed = self._records[None, None]
        company, rates = (converted + 1) / (closed + 2), {}
        for by in features.RECORDS:
            converted, closed = self._records.get((by, state[by]), (0, 0))
            rate = (converted + features.PRIOR_LEADS * company) / (closed + features.PRIOR_LEADS)
            rates[f"{by.removesuffix('_id')}_conversion"] = rate
        return rates


_BY: dict[str | None, Totals] = {record.by: record for record in (*features.RECORDS.values(), features.COMPANY)}
_PANDAS = {"int": "int64", "float": "float64", "category": "str"}
_TYPES = dict.fromkeys(("lead_id", *LEADS.context), "str") | {
    **{feature.name: _PANDAS[feature.dtype] for feature in LEADS.features}, "employees": "float64", "as_of": "datetime64[us, UTC]",
}  # fmt: skip


class _Facts:
    """The facts of one table: those loaded, as Arrow columns sorted by lead, and of the keys that came since the whole history."""

    def __init__(self, loaded: pa.Table, events: str | None) -> None:
        self._loaded = loaded.combine_chunks()
        self._by_id = pc.sort_indices(self._loaded["key"]) if events else None
        self._since: dict[Any, list[Told]] = {}
        self._keys: dict[str | None, set[Any]] = defaultdict(set)

    def of(self, lead: str) -> list[Told]:
        """Everything believed of a lead at some time."""
        own = [told for told in self._read(lead) if told.key not in self._since]
        for key in self._keys.get(lead, ()):
            history = self._since[key]
            ends = [told.known for told in history[1:]] + [NEVER]
            own += [
                told._replace(until=end)
                for told, end in zip(history, ends, strict=True) if told.said is not None and told.lead == lead
            ]  # fmt: skip
        return own

    def take(self, told: Told, given: int | None, entered: int) -> tuple[int | None, frozenset[str]]:
        """Take in a fact (see `LeadFacts.take`): from when it is known, None if it says nothing new; the leads it is of."""
        history = self._since.get(told.key) or self._history(told.key)
        if history:
            last = history[-1]
            leads = frozenset(one for one in (last.lead, told.lead) if one is not None)
            if told.said is not None and (told.said, told.lead, told.occurred) == (last.said, last.lead, last.occurred):
                return None, leads
            told = told._replace(known=given if given is not None and given > last.known else entered)
            if told.said is None:
                told = told._replace(lead=last.lead)
        else:
            leads = frozenset(() if told.lead is None or told.said is None else (told.lead,))
        insort(history, told, key=lambda one: one.known)
        self._since[told.key] = history
        for one in history:
            self._keys[one.lead].add(told.key)
        return told.known, leads

    def _history(self, key: Any) -> list[Told]:
        """The loaded facts of a key, with a withdrawal where one ended and none followed."""
        if self._by_id is None:
            held = [told for told in self._read(key[0]) if told.key == key]
        else:
            ids, places = self._loaded["key"], self._by_id
            found = _span(len(ids), key, lambda place: ids[places[place].as_py()].as_py())
            held = [told for place in found for told in self._slice(places[place].as_py(), 1)]
        held.sort(key=lambda told: told.known)
        begins = {told.known for told in held}
        gone = [told._replace(known=told.until, said=None) for told in held if told.until < NEVER and told.until not in begins]
        return sorted([*held, *gone], key=lambda told: told.known)

    def _read(self, lead: str) -> list[Told]:
        names = self._loaded["lead"]
        found = _span(len(names), lead, lambda place: names[place].as_py())
        return self._slice(found.start, len(found))

    def _slice(self, start: int, length: int) -> list[Told]:
        part = self._loaded.slice(start, length)
        columns = {name: part[name].to_pylist() for name in part.column_names}
        if self._by_id is not None:
            return [Told(*row) for row in zip(*(columns[name] for name in Told._fields[:6]), strict=True)]
        keys = zip(columns["lead"], columns["change_id"], strict=True)
        said = zip(*(columns[name] for name in PAYLOAD), strict=True)
        rest = (columns[name] for name in ("known", "until", "occurred"))
        return [Told(*row) for row in zip(keys, columns["lead"], *rest, said, columns["source_row"], strict=True)]


def microseconds(instant: dt.datetime) -> int:
    """Microseconds from 1970 to an instant."""
    return (instant - EPOCH) // MICROSECOND


def _span(length: int, wanted: Any, at: Any) -> range:
    """The places of a value among sorted ones."""
    places = range(length)
    return range(bisect_left(places, wanted, key=at), bisect_right(places, wanted, key=at))


def _tally(facts: Sequence[Told], at: int, totals: Totals) -> dict[str, int]:
    """The sums of `totals` over what was believed as of `at`."""
    found = Counter(told.said for told in facts if told.known < at <= told.until)
    return {name: sum(count for bits, count in found.items() if bits >> place & 1) for place, name in enumerate(totals.sums)}


def _told(name: str, fact: Mapping[str, Any]) -> Told:
    known, occurred = fact.get("known_at"), microseconds(fact["occurred_at"])
    begins, lead = occurred if known is None else microseconds(known), fact.get("lead_id")
    key = (lead, fact["change_id"]) if name == "lead" else fact[f"{name}_id"]
    if fact.get("retracted"):
        return Told(key, lead, begins, NEVER, occurred, None)
    if name == "lead":
        return Told(key, lead, begins, NEVER, occurred, tuple(fact.get(column) for column in PAYLOAD), fact.get("source_row"))
    if name == "activity":
        counts = {"activities": True, "inbound": fact.get("direction") == "inbound"}
    else:
        # of all letters this one alone becomes two in Python, one in the engine that counts `buying` in `features.leads`
        content = (fact.get("content") or "").replace("\u0130", "i").lower()
        counts = {"events": True, "buying": any(word in content for word in _WORDS)}
        counts |= {kind: fact["type"] in kinds for kind, kinds in features.KINDS.items()}
    return Told(key, lead, begins, NEVER, occurred, sum(1 << place for place, total in enumerate(TOTALS[name].sums) if counts[total]))


def _changes(view: View) -> pa.Table:
    """The changes of leads that a view shows, sorted by lead."""
    rows = view.facts("lead")
    rows = rows.select("change_id", "source_row", *PAYLOAD, lead="lead_id", known="known_at", occurred="occurred_at").order_by("lead")
    found = _numbered(view, rows, ("known", "occurred"))
    return found.append_column("until", pa.repeat(pa.scalar(NEVER), found.num_rows))


def _counted(view: View, name: str) -> pa.Table:
    """Events or activities of leads that a view shows, or that were believed in the 28 days before, sorted by lead.

    What replaces or withdraws a fact at or after as_of is not known yet: such a fact stands.
    """
    assert view.as_of is not None
    instant, oldest = (ibis.literal(at, type="timestamp('UTC', 6)") for at in (view.as_of, view.as_of - MONTH))
    rows = view._believed(name)
    rows = rows.filter(rows.known_at < instant, rows.known_until >= oldest, rows.lead_id.notnull())
    until = ibis.ifelse(rows.known_until >= instant, ibis.literal(FOREVER, type="timestamp('UTC', 6)"), rows.known_until)
    bits = sum((f(rows) * 2**place for place, f in enumerate(TOTALS[name].sums.values())), ibis.literal(0, "int64"))
    rows = rows.select(
        key=f"{name}_id", lead="lead_id", known="known_at", until=until, occurred="occurred_at", said=bits.cast("int64")
    ).order_by("lead")  # fmt: skip
    return _numbered(view, rows, ("known", "until", "occurred"))


def _numbered(view: View, rows: Any, instants: Sequence[str]) -> pa.Table:
    """Rows as Arrow, their instants as microseconds since 1970."""
    found = view.tables.backend.to_pyarrow(rows)
    for name in instants:
        place = found.column_names.index(name)
        found = found.set_column(place, name, found[name].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    return found
