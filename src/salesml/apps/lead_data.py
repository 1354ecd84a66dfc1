"""What the lead board shows, read from the lake: the leads graded last, and the story of one. Never trains, scores or grades."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows.grade_overrides import in_force
from salesml.workspace import Workspace

NOBODY = "(nobody)"


def _ours(rows: Any) -> Any:
    return rows.filter(ibis.coalesce(rows.direction, "outbound") != "inbound")


@dataclass(frozen=True)
class LeadBoard:
    """The open leads as graded last up to an instant, with what stands beside the grades now.

    leads: one row per lead, those that bring most first: lead_id, source, title, country, industry, employees, created_at, grade,
    probability, expected_value, evidence (sentences), composite and the components (0..100), own_* (a person's grade in force), standing
    (the grade that holds), owner_id, owner, routed (why this rep, missing where not routed), alternative, last_event_at, contacts (of
    salespeople), last_contact_at, last_inbound_at, waits (the lead wrote or called, and nobody answered since).
    """

    workspace: Workspace
    tables: Tables
    view: View
    as_of: dt.datetime
    leads: pd.DataFrame
    version: str
    rules: dict[str, Any]
    newest: bool

    @property
    def currency(self) -> str:
        """The workspace's currency."""
        return self.workspace.settings.currency

    @property
    def owners(self) -> list[tuple[str, str]]:
        """(name, id) of everybody who has a lead, by name."""
        pairs = self.leads[["owner", "owner_id"]].drop_duplicates()
        return sorted((str(name), str(owner)) for name, owner in pairs.itertuples(index=False, name=None))


def gradings(tables: Tables) -> list[dt.datetime]:
    """Instants for which leads were graded, newest first."""
    now = visible(tables, dt.datetime.now(dt.UTC))
    rows = now.facts("lead_grade")
    found = now.frame(rows.select("as_of").distinct())["as_of"].sort_values(ascending=False)
    return [moment.to_pydatetime() for moment in found]


def lead_board(workspace: Workspace, as_of: dt.datetime | None = None, tables: Tables | None = None) -> LeadBoard:
    """The board of a grading (default: the newest). Raises NotEnoughData where nothing was graded."""
    tables = tables or Lake(workspace).open()
    known = gradings(tables)
    if not known:
        raise NotEnoughData("no lead is graded yet. Run: salesml train leads, then salesml qualify")
    at = as_of if as_of in known else known[0]
    now = visible(tables, dt.datetime.now(dt.UTC))
    newest = at == known[0]
    beside = now if newest else visible(tables, at)  # what people said since stands beside the newest grading only
    grades = _grades(now, at)
    view = visible(tables, at)
    leads = grades.merge(_scores(now, at), on="lead_id", how="left").merge(_known(view), on="lead_id", how="inner")
    leads = leads.merge(_own(tables, beside), on="lead_id", how="left").merge(_routes(beside), on="lead_id", how="left")
    moved = leads["to_id"].notna()
    leads["owner_id"] = leads["to_id"].where(moved, leads["owner_id"])
    names = view.frame(view.state("user", ["name"])).set_index("user_id")["name"]
    owner = leads["owner_id"].map(names).fillna(leads["owner_id"]).fillna(NOBODY)
    standing = leads["own_grade"].where(leads["own_grade"].notna(), leads["grade"])
    leads = leads.assign(owner=owner, owner_id=leads["owner_id"].fillna(NOBODY), standing=standing).drop(columns="to_id")
    leads = leads.sort_values(["expected_value", "lead_id"], ascending=[False, True], ignore_index=True)
    version, rules = str(grades["model_version"].iloc[0]), json.loads(grades["thresholds"].iloc[0])
    return LeadBoard(workspace, tables, view, at, leads, version, rules, newest)


def story(board: LeadBoard, lead: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a lead did (occurred_at, type, channel, content) and what was done with it (occurred_at, type, direction, subject), newest
    first.
    """
    did = board.view.facts("lead_event").filter(lambda rows: rows.lead_id == lead)
    done = board.view.facts("activity").filter(lambda rows: rows.lead_id == lead)
    frames = (
        board.view.frame(did.select("occurred_at", "type", "channel", "content")),
        board.view.frame(done.select("occurred_at", "type", "direction", "subject")),
    )
    return tuple(one.sort_values("occurred_at", ascending=False, ignore_index=True) for one in frames)  # type: ignore[return-value]


def _grades(now: View, at: dt.datetime) -> pd.DataFrame:
    rows = now.facts("lead_grade")
    columns = ("lead_id", "grade", "probability", "expected_value", "evidence", "thresholds", "model_version", "known_at")
    found = now.frame(rows.filter(rows.as_of == at).select(*columns)).sort_values("known_at")
    found = found.drop_duplicates("lead_id", keep="last")
    return found.assign(evidence=found["evidence"].map(json.loads), expected_value=found["expected_value"].astype("float64"))


def _scores(now: View, at: dt.datetime) -> pd.DataFrame:
    rows = now.facts("lead_score")
    parts = ("composite", "engagement", "intent", "fit", "behavioural", "demographic")
    rows = rows.filter(rows.as_of == at, ~rows.model.startswith("points/"))
    found = now.frame(rows.select("lead_id", "known_at", *parts)).sort_values("known_at")
    return found.drop_duplicates("lead_id", keep="last").drop(columns="known_at")


def _known(view: View) -> pd.DataFrame:
    """What is known of leads as of the grading, with what they did last and what was done with them."""
    rows = view.state("lead", ["owner_id", "source", "title", "country", "industry", "employees", "status"])
    rows = rows.filter(~ibis.coalesce(rows.status, "open").isin(LEAD_CLOSED)).drop("status", "as_of")
    acts = view.facts("activity")
    acts = acts.filter(acts.lead_id.notnull())
    ours = _ours(acts).group_by("lead_id").aggregate(contacts=lambda r: r.count(), last_contact_at=lambda r: r.occurred_at.max())
    theirs = acts.filter(acts.direction == "inbound").group_by("lead_id").aggregate(last_inbound_at=lambda r: r.occurred_at.max())
    did = view.facts("lead_event")
    did = did.group_by("lead_id").aggregate(last_event_at=did.occurred_at.max())
    rows = rows.left_join(did, "lead_id").drop("lead_id_right")
    rows = rows.left_join(ours, "lead_id").drop("lead_id_right").left_join(theirs, "lead_id").drop("lead_id_right")
    found = view.frame(rows)
    waits = found["last_inbound_at"].notna() & ~(found["last_contact_at"] > found["last_inbound_at"])
    return found.assign(contacts=found["contacts"].fillna(0).astype("int64"), waits=waits)


def _own(tables: Tables, beside: View) -> pd.DataFrame:
    named = {"grade": "own_grade", "reason": "own_reason", "author": "own_author", "expires_at": "own_until",
             "grade_override_id": "own_id"}  # fmt: skip
    return in_force(tables, beside.as_of).rename(columns=named)[["lead_id", *named.values()]]


def _routes(beside: View) -> pd.DataFrame:
    """The newest assignment of each lead: lead_id, to_id, routed (why), policy, alternative."""
    rows = beside.facts("assignment")
    found = beside.frame(rows.select("lead_id", "known_at", "policy", "alternative", to_id=rows.owner_id, routed=rows.reason))
    return found.sort_values("known_at").drop_duplicates("lead_id", keep="last").drop(columns="known_at")
