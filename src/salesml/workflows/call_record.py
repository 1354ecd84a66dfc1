"""How good forecast calls were: as they stood in past quarters, beside the model at the same instant, and what happened."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from salesml.analytics import call_record as record
from salesml.analytics.quarter import COMPANY, memberships
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows.call_facts import call_facts, money_of_quarter, standing
from salesml.workflows.call_landings import KEYS, landings_then
from salesml.workspace import Workspace

WEEKS = (1, 4, 8, 12)
MOST_QUARTERS = 12
JUDGED = ["author", "level", "name", "quarter", "week", "call", "model", "y"]


@dataclass(frozen=True)
class CallRecord:
    """What past calls were worth, as of an instant; money in `currency`. Grain of the frames:

    judged: one row per author, node, quarter (its first day) and week, with call, model (at the same instant; missing where it had no
    number), y (what the quarter brought). figures, weeks: `analytics.call_record.figures`, `by_week`. trust: `learn` of all quarters.
    held: `out_of_sample`, each quarter by what was learnt on the earlier ones; mixes: `mix_figures` of it. sentence and notes in words.
    """

    as_of: dt.datetime
    currency: str
    judged: pd.DataFrame
    figures: pd.DataFrame
    weeks: pd.DataFrame
    trust: pd.DataFrame
    held: pd.DataFrame
    mixes: pd.DataFrame
    sentence: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def quarters(self) -> int:
        """Ended quarters with a call."""
        return int(self.judged["quarter"].nunique())


def call_record(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> CallRecord:
    """Judge the calls of the newest 12 fiscal quarters with any that ended by as_of (default: the day after the last fact).

    Each call as it stood after weeks 1, 4, 8 and 12 of its quarter. The model's number is made once from what was known at that
    instant (by the scores kept then, else by rates of the quarters before it) and kept in table `landing`. Teams and regions are
    those of as_of.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    calls = call_facts(view)
    ended = [end for end in sorted(set(calls["period_end"])) if workspace.instant(end) <= cutoff][-MOST_QUARTERS:]
    found = [_quarter(workspace, tables, view, calls[calls["period_end"] == end]) for end in ended]
    found = [part for part in found if len(part)]
    judged = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=JUDGED)
    judged = judged.astype(dict.fromkeys(("call", "model", "y"), "float64"))
    held, figures = record.out_of_sample(judged), record.figures(judged)
    return CallRecord(
        cutoff, workspace.settings.currency, judged, figures, record.by_week(judged), record.learn(judged), held,
        record.mix_figures(held), _sentence(judged, figures, workspace.settings.currency), tuple(_notes(judged)), tables.head.id,
    )  # fmt: skip


def _quarter(workspace: Workspace, tables: Tables, view: View, calls: pd.DataFrame) -> pd.DataFrame:
    start, end = calls["period_start"].iloc[0], calls["period_end"].iloc[0]
    _, entries = money_of_quarter(view, start, end)
    entries = entries[entries["in_quarter"]].reset_index(drop=True)
    member = memberships(entries)
    member = member.assign(cents=entries["cents"].to_numpy()[member["row"]])
    actual = member.groupby(KEYS)["cents"].sum() / 100
    parts = []
    for week in WEEKS:
        instant = workspace.instant(start + dt.timedelta(weeks=week))
        then = standing(calls, start, instant)
        if then.empty:
            continue
        model = landings_then(workspace, tables, instant, then[KEYS].drop_duplicates(ignore_index=True), (start, end))
        rows = then.rename(columns={"amount": "call"}).merge(model, "left", KEYS)
        y = actual.reindex(pd.MultiIndex.from_frame(rows[KEYS])).fillna(0.0).to_numpy("float64")
        parts.append(rows.assign(quarter=start, week=week, y=y)[JUDGED])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=JUDGED)


def _sentence(judged: pd.DataFrame, figures: pd.DataFrame, currency: str) -> str:
    if judged.empty:
        return "No call of a quarter that is over was made in time to be judged."
    everybody = figures[figures["author"] == record.EVERYBODY].set_index("level")
    level = COMPANY if COMPANY in everybody.index else str(everybody["calls"].idxmax())
    row = everybody.loc[level].to_dict()
    told = (
        f"{len(judged):,} calls of {judged['quarter'].nunique():,} ended quarters are judged. Those of level {level} erred by "
        f"{row['wape']:.1%} (WAPE), bias {row['bias']:+.1%}"
    )
    if pd.isna(row["model_wape"]):
        return f"{told}; the model had no number beside them."
    told += f"; the model by {row['model_wape']:.1%} at the same instants. "
    if pd.isna(row["lo"]):
        return f"{told}Who is nearer cannot be said yet: {row['verdict']}."
    added = f"{row['added']:+,.0f} {currency} a call (95 % interval {row['lo']:+,.0f} to {row['hi']:+,.0f})"
    return f"{told}Forecast value added: {added}, {row['verdict']}."


def _notes(judged: pd.DataFrame) -> list[str]:
    lacking = int(judged["model"].isna().sum())
    return [f"Beside {lacking:,} of {len(judged):,} judged calls the model had no number at the time."] if lacking else []
