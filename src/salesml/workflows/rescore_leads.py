"""Scoring leads again that have moved: the open ones with new facts since the champion's last scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows.leads import MODEL, VALID, score_and_keep
from salesml.workflows.overview import champions
from salesml.workspace import Workspace

OF_LEADS = ("lead", "lead_event", "activity")
"""Tables whose facts make a lead worth scoring again. What moves every score a little waits for the next scoring of all: that days pass
(age, time since the last event, events that leave the last 7 or 28 days) and the records of source, campaign and company."""


@dataclass(frozen=True)
class Scored:
    """One scoring, as its commit tells: as of when, from which lake HEAD, and of which leads (all, touched, some)."""

    as_of: dt.datetime
    from_head: int
    covers: str


def rescore_leads(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> pd.DataFrame:
    """Score the open leads with changes, events or activities of their own since the champion's last scores, and keep that.

    Since means: known after the instant those were made for, or brought (added, corrected, withdrawn) by a later import. All open
    leads are scored where the champion has scored none yet, or all of them last a week ago or longer: scores are valid for a week, and
    what moves every lead a little (see OF_LEADS) has moved by then. Frame and numbers are those of `score_leads` at that as_of
    (default: the start of the day after the last fact). Raises NotEnoughData where the lead model has no champion.
    """
    champion = dict(champions(workspace)).get(MODEL)
    if champion is None:
        raise NotEnoughData("the lead model has no champion yet; train one with: salesml train leads")
    lake = Lake(workspace)
    tables = lake.open()
    cutoff = tables.instant(as_of)
    earlier = [one for one in scorings(lake, champion) if one.as_of <= cutoff]
    whole = max((one.as_of for one in earlier if one.covers == "all"), default=None)
    if whole is None or whole + VALID <= cutoff:
        return score_and_keep(tables, cutoff, champion, None, "all")
    last = max((one for one in earlier if one.covers != "some"), key=lambda one: (one.as_of, one.from_head))
    return score_and_keep(tables, cutoff, champion, touched(tables, cutoff, lake.open(last.from_head), last.as_of), "touched")


def scorings(lake: Lake, version: int) -> list[Scored]:
    """The scorings by a version of the lead model that the lake holds, the newest first."""
    notes = (head.note for head in lake.heads.chain() if head.note.get("model") == MODEL and head.note.get("covers"))
    return [
        Scored(dt.datetime.fromisoformat(note["as_of"]), int(note["from_head"]), note["covers"])
        for note in notes if note["model_version"] == str(version)
    ]  # fmt: skip


def touched(tables: Tables, cutoff: dt.datetime, earlier: Tables, before: dt.datetime) -> set[str]:
    """Ids of the leads whose facts, as of `cutoff`, are not those of the earlier tables as of `before`, an instant up to it."""
    found: set[str] = set()
    view, then = visible(tables, cutoff), visible(earlier, before)
    first_import = f"{earlier.head.id + 1:06d}"  # an import's id begins with the number of the HEAD it made
    for name in OF_LEADS:
        facts, known = _of_leads(view, name), _of_leads(then, name)
        new = facts.filter((facts.known_at >= ibis.literal(before, type="timestamp('UTC', 6)")) | (facts.import_id >= first_import))
        fresh = view.frame(new.group_by("lead_id").aggregate(rows=new.count()))
        found |= set(fresh["lead_id"])
        if _count(view, facts) - fresh["rows"].sum() != _count(then, known):  # some fact was corrected or withdrawn
            both = _marks(view, facts).join(_marks(then, known), how="outer", lsuffix="_now", rsuffix="_then")
            found |= set(both.index[~(both["rows_now"].eq(both["rows_then"]) & both["newest_now"].eq(both["newest_then"]))])
    return found


def _of_leads(view: View, name: str) -> Any:
    facts = view.facts(name)
    return facts.filter(facts.lead_id.notnull())


def _count(view: View, facts: Any) -> int:
    return int(view.tables.backend.to_pyarrow(facts.count()).as_py())


def _marks(view: View, facts: Any) -> pd.DataFrame:
    """Per lead how many facts are believed, and the import that brought the newest: any addition, correction, withdrawal shows."""
    return view.frame(facts.group_by("lead_id").aggregate(rows=facts.count(), newest=facts.import_id.max())).set_index("lead_id")
