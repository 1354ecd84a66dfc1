"""A rep's day, read from the lake: what to do first, how open deals stand, and where the rep stands beside the quota and the peers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.activity_hints import Hint
from salesml.analytics.book import Book
from salesml.analytics.measures import MEASURES, Measure
from salesml.analytics.slices import measure
from salesml.analytics.words import absent
from salesml.apps.data import records
from salesml.apps.lead_data import gradings, lead_board
from salesml.apps.overview_data import FIGURES, Overview, period_of
from salesml.apps.seen import Seen, see
from salesml.planning.lead_grades import COLD, HOT
from salesml.workflows.activity import first_day, hints_of
from salesml.workflows.activity_facts import Worked, related, worked
from salesml.workspace import Workspace

DUE_DAYS, LEAST_PEERS = 14, 4
REASONS = ("answer", "overdue", "due", "quiet", "stalled", "pushed", "faded")
"""What is to be done with a deal, by the first of these that is true of it."""
STANDS = ("revenue", "quota", "pipeline_due", "open_deals", "pipeline")
LEAD_COLUMNS = ["lead_id", "title", "industry", "country", "expected_value", "probability", "contacts", "waits"]


@dataclass(frozen=True)
class Item:
    """One thing to do. kind: one of REASONS, or "lead" (a hot lead to be called).

    about: "deal", "lead", "account" or "contact", id: its id; row: the deal or lead, None where nothing else is known of it; hours: how
    long the customer has waited for an answer, missing where none waits; stake: amount × chance to win, of a deal without a chance its
    amount, of a lead its expected value, in the workspace's currency, missing where unknown; urgent: a customer waits, a deal is due
    within 14 days or overdue, or a hot lead is not worked.
    """

    kind: str
    about: str
    id: str
    row: Any
    hours: float | None
    due_days: int | None
    stake: float | None
    urgent: bool


@dataclass(frozen=True)
class Day(Overview):
    """Everything of the screen, of one rep.

    stands: STANDS of the quarter; expected: `deals` by what they are expected to bring in it (column expected: amount × chance to be won
    in it), most first; items: what to do, first things first; hints: the sure ones; peers: ids of the reps he is compared with, without
    himself.
    """

    stands: pd.Series
    expected: pd.DataFrame
    items: tuple[Item, ...]
    hints: tuple[Hint, ...]
    peers: tuple[str, ...]

    def quota(self) -> Decimal | None:
        """The quota of the quarter; None where none is set."""
        return None if pd.isna(self.stands["quota"]) else self.stands["quota"]

    def missing(self) -> Decimal | None:
        """What is missing of the quarter's quota, 0 where it is reached; None where none is set."""
        quota = self.quota()
        return None if quota is None else max(quota - self.stands["revenue"], Decimal(0))

    def middles(self) -> dict[str, float]:
        """The median of the peers' FIGURES in the period; of a figure that fewer than 4 peers have, none."""
        rows = measure(self.book, FIGURES, by=["rep"], where={"rep": self.peers}, period=self.period) if self.peers else pd.DataFrame()
        found: dict[str, float] = {}
        for name in FIGURES if len(rows) else ():
            values = rows.set_index("rep")[name].reindex(self.peers).astype("float64")
            base = MEASURES[name]
            adds_up = isinstance(base, Measure) and base.bottom is None and not base.middle
            values = values.fillna(0.0) if adds_up else values.dropna()
            if len(values) >= LEAST_PEERS:
                found[name] = float(values.median())
        return found


def day(workspace: Workspace, as_of: dt.datetime | None = None, place: str = "") -> Day:
    """The day of a rep for the current user as of an instant (default: the newest there is); place and errors as `see`, reps only."""
    found = see(workspace, as_of, place, levels=("rep",))
    book, view, today = found.book, found.board.view, found.book.day
    start, _ = pipeline.quarter(today - dt.timedelta(days=1), workspace.settings.fiscal_year_start)
    whole = worked(view, book, first_day(None, today, workspace.settings.week_start), start)
    hints = hints_of(whole, whole.gaps[whole.gaps["rep"] == found.place.key], book, lambda: related(view))
    waiting = whole.waiting[whole.waiting["rep"] == found.place.key]
    deals = found.deals()
    return Day(
        **vars(found), period=period_of(book.day, found.quarter),
        stands=measure(book, STANDS, where=found.where, period=found.quarter).iloc[0], expected=_expected(deals),
        items=todo(deals, waiting, _leads(found, waiting), today), hints=tuple(hints), peers=_peers(whole, book, found.place.key),
    )  # fmt: skip


def todo(deals: pd.DataFrame, waiting: pd.DataFrame, leads: pd.DataFrame, today: dt.date) -> tuple[Item, ...]:
    """What to do, one item a deal, lead, account or contact: first what is urgent, then the rest; within each most at stake first.

    deals: `pipeline.attention` with adjustments; waiting: `activity_response.waiting`; leads: hot ones not worked and those that wait, as
    `lead_data.lead_board`.
    """
    hours = {(row.kind, row.about): float(row.hours) for row in records(waiting)}
    known = {lead.lead_id: lead for lead in records(leads)}
    items = [_of_deal(deal, hours.pop(("deal", deal.opportunity_id), None), today) for deal in records(deals)]
    found = [one for one in items if one is not None]
    for (kind, about), waits in hours.items():
        if kind != "deal":
            lead = known.pop(about, None) if kind == "lead" else None
            found.append(Item("answer", kind, about, lead, waits, None, None if lead is None else _number(lead.expected_value), True))
    for lead in known.values():
        kind = "answer" if lead.waits else "lead"
        found.append(Item(kind, "lead", lead.lead_id, lead, None, None, _number(lead.expected_value), True))
    return tuple(sorted(found, key=lambda one: (not one.urgent, -(one.stake or 0.0), -(one.hours or 0.0), one.id)))


def chance(deal: Any) -> float | None:
    """The chance to win that holds: a person's own where one is in force, else the model's; None where there is neither."""
    return _number(deal.adjusted_probability if deal.adjusted else deal.probability)


def _of_deal(deal: Any, hours: float | None, today: dt.date) -> Item | None:
    days = None if absent(deal.close_date) else (pd.Timestamp(deal.close_date).date() - today).days
    due = days is not None and 0 <= days <= DUE_DAYS
    true = {"answer": hours is not None, "due": due, **{name: bool(getattr(deal, name)) for name in pipeline.REASONS}}
    kind = next((name for name in REASONS if true[name]), None)
    if kind is None:
        return None
    amount, likely = _number(deal.amount), chance(deal)
    stake = amount if amount is None or likely is None else amount * likely
    return Item(kind, "deal", deal.opportunity_id, deal, hours, days, stake, kind in ("answer", "overdue", "due"))


def _expected(deals: pd.DataFrame) -> pd.DataFrame:
    size = deals["amount"].astype("float64")
    order = deals.assign(expected=size * deals["p_quarter"].astype("float64"), _size=size)
    return order.sort_values(["expected", "_size"], ascending=False, kind="stable", ignore_index=True).drop(columns="_size")


def _leads(found: Seen, waiting: pd.DataFrame) -> pd.DataFrame:
    """The rep's leads that cannot wait, as graded last up to the instant: hot and not worked yet, or waiting for an answer.

    Leads of `waiting` that are not graded have what they are called, and no numbers.
    """
    known = [one for one in gradings(found.found.tables) if one <= found.book.as_of]
    graded = pd.DataFrame(columns=LEAD_COLUMNS)
    if known:
        leads = lead_board(found.workspace, known[0], found.found.tables).leads
        mine = leads[leads["owner_id"] == found.place.key]
        fresh = (mine["standing"] == HOT) & (mine["contacts"] == 0)
        said = mine["lead_id"].isin(waiting.loc[waiting["kind"] == "lead", "about"])
        graded = mine.loc[fresh | said | (mine["waits"] & (mine["standing"] != COLD)), LEAD_COLUMNS]
    asked = set(waiting.loc[waiting["kind"] == "lead", "about"]) - set(graded["lead_id"])
    if not asked:
        return graded
    view = found.board.view
    others = view.frame(view.state("lead", ["title", "industry"]).filter(lambda rows: rows.lead_id.isin(sorted(asked))))
    return pd.concat([graded.astype("object"), others.reindex(columns=LEAD_COLUMNS).astype("object")], ignore_index=True)


def _peers(whole: Worked, book: Book, rep: str) -> tuple[str, ...]:
    """The others of the rep's group at work, of all groups where these are fewer than 4; none where he is not at work."""
    there = whole.there[whole.there["rep"].isin(book.names["rep"])]
    own = there.loc[there["rep"] == rep, "peers"]
    if own.empty:
        return ()
    others = there[there["rep"] != rep]
    group = others[others["peers"] == own.iloc[0]]
    return tuple((group if len(group) >= LEAST_PEERS else others)["rep"])


def _number(value: Any) -> float | None:
    return None if absent(value) else float(value)
