"""Leads scored as they move, event by event in memory; and one lead from the lake."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NoReturn

import pandas as pd

from salesml.contracts import Column, table
from salesml.errors import BadInput, SalesmlError, UnknownName
from salesml.features.lead_live import MICROSECOND, TAKEN, UNCHANGED, LeadFacts
from salesml.features.leads import LEADS, lead_rows
from salesml.lake import Lake, Tables, visible
from salesml.workflows.leads import COMPONENTS, KEPT, MODEL, OLDEST, OPEN, is_open, scores
from salesml.workspace import Workspace

FACTS = ("lead", "lead_event", "activity")
"""Tables whose rows can be taken in."""
REJECTED = "rejected"
Fact = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class LeadScore:
    """What the model says of one lead as of an instant: the numbers of `score_leads`, with all its reasons.

    `factors` ({feature, value, effect}, the greatest first) and the base add up to the log-odds. A lead that is not scored has
    `why_not` and no numbers.
    """

    lead_id: str
    as_of: dt.datetime
    features: dict[str, Any] | None
    why_not: str | None = None
    probability: float | None = None
    lo: float | None = None
    hi: float | None = None
    composite: float | None = None
    components: dict[str, float] | None = None
    factors: tuple[dict[str, Any], ...] = ()
    points: float | None = None


@dataclass(frozen=True)
class Pushed:
    """What became of facts taken in together.

    scores: one row per lead they touch that is scored, as in `score_leads`, with all factors; why_not: of the others, by id;
    rejected: place among the facts and what was wrong.
    """

    scores: pd.DataFrame
    why_not: dict[str, str]
    rejected: tuple[tuple[int, str], ...]


class LiveLeads:
    """The lead model over the facts of all leads, held in memory as of an instant that moves on. It writes nothing.

    Features equal those of the lake with the same rows taken in (exact types bit for bit, floats to 1e-9), scores those of
    `score_leads`. Made once (minutes for a million leads), it answers in milliseconds. `counts`: facts taken, unchanged, rejected.
    """

    def __init__(self, workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, model: str | int = "champion") -> None:
        """Load what is known as of an instant (default: now) and a version of the model. Raises UnknownName without one."""
        from salesml.registry import catalog

        tables = Lake(workspace).open()
        self._scorer = catalog.load(workspace, MODEL, model)
        self._facts = LeadFacts(visible(tables, _now() if as_of is None else tables.instant(as_of)))
        self.counts = Counter({TAKEN: 0, UNCHANGED: 0, REJECTED: 0})
        scores(_nobody(), self._scorer, None)  # what a model makes on first use, it makes now

    @property
    def as_of(self) -> dt.datetime:
        """The first instant that is not known."""
        return self._facts.as_of

    def push(self, name: str, fact: Mapping[str, Any], as_of: dt.datetime | None = None) -> list[LeadScore]:
        """Take in one row of lead, lead_event or activity and score the lead it is of (two where it moves from one to another).

        `as_of`: the first instant not known at the scoring; default: now. A row is known from its known_at, without one from its
        occurred_at; one that is known only later waits until time gets there. A row whose key is known corrects it (from then on);
        with `retracted` it withdraws it; one that says what is known already changes nothing. Raises BadInput or UnknownName, and
        counts it, where a row is wrong; nothing is changed then. BadParameter for an as_of before the present one.
        """
        self.advance(as_of)
        return [self.score(lead) for lead in sorted(self._take(name, fact))]

    def push_all(self, facts: Iterable[Fact], as_of: dt.datetime | None = None) -> Pushed:
        """Take in many rows, (table, row) each, and score each lead they touch once; wrong rows are told, the others count."""
        self.advance(as_of)
        touched: set[str] = set()
        rejected = []
        for place, (name, fact) in enumerate(facts):
            try:
                touched |= self._take(name, fact)
            except SalesmlError as error:
                rejected.append((place, str(error)))
        scored = self.scores(sorted(touched))
        others = sorted(touched - set(scored["lead_id"]))
        return Pushed(scored, {lead: str(_why_not(lead, self._facts.row(lead), self.as_of)) for lead in others}, tuple(rejected))

    def advance(self, as_of: dt.datetime | None = None) -> None:
        """Let time move on to an instant (default: now, where that is later); events age though nothing happens."""
        self._facts.advance(max(_now(), self.as_of) if as_of is None else as_of)

    def features(self, leads: Collection[str]) -> pd.DataFrame:
        """The features of the leads among those named that are known and not deleted, as `LEADS.frame` gives them."""
        return self._facts.frame(leads)

    def score(self, lead_id: str) -> LeadScore:
        """The lead's score and all its reasons as of the present instant."""
        return _told(lead_id, self.features([lead_id]), self.as_of, self._scorer)

    def scores(self, leads: Collection[str]) -> pd.DataFrame:
        """The leads among those named that are scored, the best first, as in `score_leads`, with all factors."""
        rows = self.features(leads)
        rows = rows[is_open(rows)].reset_index(drop=True)
        found = rows[KEPT].join(scores(rows if len(rows) else _nobody(), self._scorer, None), how="left")
        return found.sort_values("composite", ascending=False, kind="stable", ignore_index=True)

    def _take(self, name: str, fact: Mapping[str, Any]) -> frozenset[str]:
        try:
            fact = checked(name, fact)
        except SalesmlError:
            self.counts[REJECTED] += 1
            raise
        verdict, leads = self._facts.take(name, fact, self.as_of - MICROSECOND)
        self.counts[verdict] += 1
        return leads


def score_one(
    workspace: Workspace, lead_id: str, as_of: str | dt.date | dt.datetime | None = None, model: str | int = "champion",
    tables: Tables | None = None,
) -> LeadScore:  # fmt: skip
    """One lead from the lake: its score as `score_leads` gives it, with all its reasons; nothing is written.

    The records of sources and campaigns are of all leads, so it takes seconds where there are many: `LiveLeads` holds them. Raises
    UnknownName without a model.
    """
    from salesml.registry import catalog

    tables = tables or Lake(workspace).open()
    cutoff = tables.instant(as_of)
    return _told(lead_id, lead_rows(visible(tables, cutoff), [lead_id]), cutoff, catalog.load(workspace, MODEL, model))


def checked(name: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the contract's columns and types, missing values None; BadInput names the column, the value and the mend.

    Times are instants, or text in ISO format, with a time zone. Raises UnknownName for a table that says nothing of leads.
    """
    if name not in FACTS:
        raise UnknownName("table of what leads are and do", str(name), FACTS)
    columns = {column.name: column for column in table(name).columns}
    if not isinstance(fact, Mapping) or set(fact) - set(columns):
        wrong = sorted(map(str, set(fact) - set(columns))) if isinstance(fact, Mapping) else [repr(fact)]
        raise BadInput(f"a row of {name} has no such column", column=wrong[0], mend=f"It has: {', '.join(columns)}.")
    found = {column: None if value is None or value != value else _typed(columns[column], value) for column, value in fact.items()}
    withdrawn = bool(found.get("retracted"))
    needed = [*table(name).key, *(column.name for column in table(name).payload if column.required and not withdrawn), "occurred_at"]
    for column in needed:
        if found.get(column) in (None, ""):
            raise BadInput(f"a row of {name} needs {column}", column=column, mend=f"It is {columns[column].meaning}.")
    return found


def _typed(column: Column, value: Any) -> Any:
    def refuse(wanted: str) -> NoReturn:
        raise BadInput(f"this is not {wanted}", column=column.name, value=str(value), mend=f"It is {column.meaning}.")

    if column.dtype == "timestamp":
        try:
            instant = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            refuse("an instant such as 2026-07-01T09:30:00+00:00")
        if not isinstance(instant, dt.datetime) or instant.tzinfo is None:
            refuse("an instant with a time zone, such as 2026-07-01T09:30:00+00:00")
        return instant.astimezone(dt.UTC)
    if column.dtype == "bool":
        return value if isinstance(value, bool) else refuse("true or false")
    if column.dtype in ("int", "float"):
        whole, least = column.dtype == "int", -math.inf if column.low is None else column.low
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
        if not number >= least or (whole and not number.is_integer()):
            refuse(f"{'a whole number' if whole else 'a number'}{'' if column.low is None else f' from {column.low:g}'}")
        return int(number) if whole else number
    if not isinstance(value, str):
        refuse("text")
    if column.allowed and value not in column.allowed:
        refuse(f"one of {', '.join(column.allowed)}")
    return value


def _told(lead_id: str, rows: pd.DataFrame, as_of: dt.datetime, scorer: Any) -> LeadScore:
    """The score of the lead of the one row there is, or why there is none."""
    row = {str(name): None if value != value else value for name, value in rows.iloc[0].items()} if len(rows) else None
    features, reason = None if row is None else {name: row[name] for name in LEADS.names}, _why_not(lead_id, row, as_of)
    if reason is not None:
        return LeadScore(lead_id, as_of, features, reason)
    found = scores(rows, scorer, None).iloc[0].to_dict()
    numbers = {name: float(found[name]) for name in ("probability", "lo", "hi", "composite", "points")}
    components = {name: float(found[name]) for name in COMPONENTS}
    return LeadScore(lead_id, as_of, features, None, components=components, factors=tuple(found["factors"]), **numbers)


def _why_not(lead_id: str, row: Mapping[str, Any] | None, as_of: dt.datetime) -> str | None:
    """Why a lead is not scored; None where it is."""
    if row is None:
        return f"no lead {lead_id} is known as of {as_of:%Y-%m-%d %H:%M}, or it was deleted"
    if row["status"] != OPEN:
        return f"lead {lead_id} is {row['status'] or 'of no status'}, not {OPEN}"
    if row["age_days"] > OLDEST / dt.timedelta(days=1):
        return f"lead {lead_id} has been known for {row['age_days']:.0f} days, longer than {OLDEST.days}"
    return None


def _nobody() -> pd.DataFrame:
    """One row of features that is of no lead."""
    blank: dict[str, Any] = {feature.name: ["" if feature.dtype == "category" else 0] for feature in LEADS.features}
    return pd.DataFrame(blank)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
