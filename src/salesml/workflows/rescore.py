"""Scoring again what has moved: the open deals with new facts since the champion's last predictions."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, visible
from salesml.workflows.deals import MODEL, score_deals
from salesml.workflows.overview import champions
from salesml.workspace import Workspace

OF_DEALS = ("opportunity", "activity")
"""Tables whose facts make a deal worth scoring again. Records of reps, accounts and products move every score a little,
and wait for the next full scoring."""


def rescore(
    workspace: Workspace, since_head: int | None = None, as_of: str | dt.date | dt.datetime | None = None
) -> pd.DataFrame:
    """Score the open deals with changes or activities of their own since the champion's last predictions, and keep that.

    Since means: known after the instant those were made for, or brought (added, corrected, withdrawn) by a later import; with
    `since_head`, brought after that lake HEAD. Without earlier predictions all open deals are scored. Frame and numbers are
    those of `score_deals` at that as_of (default: the start of the day after the last fact). Raises NotEnoughData where the
    deal model has no champion.
    """
    champion = dict(champions(workspace)).get(MODEL)
    if champion is None:
        raise NotEnoughData("the deal model has no champion yet; train one with: salesml train deals")
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    last = _last_scored(tables, champion, cutoff) if since_head is None else (since_head, cutoff)
    if last is None:
        return score_deals(workspace, cutoff)
    return score_deals(workspace, cutoff, deals=_touched(tables, cutoff, Lake(workspace).open(last[0]), last[1]))


def _touched(tables: Tables, cutoff: dt.datetime, earlier: Tables, before: dt.datetime) -> set[str]:
    """Ids of the deals whose changes or activities, as of `cutoff`, are not those of the earlier tables as of `before`."""
    found: set[str] = set()
    for name in OF_DEALS:
        both = _marks(tables, name, cutoff).join(_marks(earlier, name, before), how="outer", lsuffix="_now", rsuffix="_then")
        same = both["rows_now"].eq(both["rows_then"]) & both["newest_now"].eq(both["newest_then"])
        found |= set(both.index[~same])
    return found


def _marks(tables: Tables, name: str, as_of: dt.datetime) -> pd.DataFrame:
    """Per deal how many facts are believed, and the import that brought the newest: any addition, correction, withdrawal shows."""
    view = visible(tables, as_of)
    facts = view.facts(name)
    facts = facts.filter(facts.opportunity_id.notnull())
    marks = facts.group_by("opportunity_id").aggregate(rows=facts.count(), newest=facts.import_id.max())
    return view.frame(marks).set_index("opportunity_id")


def _last_scored(tables: Tables, champion: int, cutoff: dt.datetime) -> tuple[int, dt.datetime] | None:
    """The lake HEAD and the as_of of the champion's newest predictions for an instant up to the cutoff."""
    view = visible(tables, dt.datetime.now(dt.UTC))
    rows = view.facts("prediction")
    rows = rows.filter(rows.model == MODEL, rows.target == "won", rows.model_version == str(champion), rows.as_of <= cutoff)
    newest = view.frame(rows.group_by("as_of").aggregate(head=rows.head_id.max())).sort_values("as_of").tail(1)
    return None if newest.empty else (int(newest["head"].iloc[0]), newest["as_of"].iloc[0].to_pydatetime())
