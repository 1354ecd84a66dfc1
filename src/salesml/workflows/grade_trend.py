"""How grades moved and whether they held: what was graded when, what became of it since, and how persons' grades fared beside."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from salesml.analytics.words import count
from salesml.features.spines import lead_lives
from salesml.lake import Lake, View, visible
from salesml.planning.lead_grades import GRADES
from salesml.workspace import Workspace

LEVEL = 0.90
DAYS = ["as_of", "grade", "leads", "expected", "ripe", "converted", "rate", "lo", "hi"]


@dataclass(frozen=True)
class GradeTrend:
    """Gradings kept so far, as of an instant.

    days: one row per grading and grade, in time order: as_of, grade, leads, expected (conversions, by the chances), ripe (leads whose
    horizon is over or that were closed), converted (of the ripe, within the horizon), rate, lo, hi (Wilson, 90 %; missing where none is
    ripe).
    moves: one row per pair of consecutive gradings and grades: since (the earlier as_of), as_of, before, after (a grade, "new": not
    graded before, "gone": closed or too old since), leads.
    own: one row per author, grade of theirs and grade worked out that stood beside it: author, own, worked_out, leads, ripe, converted.
    """

    as_of: dt.datetime
    days: pd.DataFrame
    moves: pd.DataFrame
    own: pd.DataFrame
    sentence: str


def grade_trend(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> GradeTrend:
    """The record of the grades kept by `qualify` for instants up to `as_of`, one a day the newest written.

    A lead counts as ripe when the horizon of its chance is over as of `as_of` or it was closed before: leads of last week have
    not failed. Without any grading the frames are empty and the sentence says so.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    kept = _kept(visible(tables, dt.datetime.now(dt.UTC)), cutoff)
    view = visible(tables, cutoff)
    judged = _judged(kept, view, cutoff)
    days = pd.DataFrame([_record(key, part) for key, part in judged.groupby(["as_of", "grade"], observed=True)], columns=DAYS)
    return GradeTrend(cutoff, days, _moves(kept), _own(view, judged), _sentence(days))


def _kept(now: View, cutoff: dt.datetime) -> pd.DataFrame:
    """Grades for instants up to the cutoff, of each lead and instant the newest written."""
    rows = now.facts("lead_grade")
    rows = rows.filter(rows.as_of <= cutoff)
    frame = now.frame(rows.select("lead_id", "as_of", "grade", "probability", "thresholds", "known_at"))
    frame["days"] = [json.loads(drawn)["horizon_days"] for drawn in frame.pop("thresholds")]
    frame["grade"] = pd.Categorical(frame["grade"], GRADES, ordered=True)
    return frame.sort_values(["as_of", "known_at"]).drop_duplicates(["as_of", "lead_id"], keep="last").reset_index(drop=True)


def _judged(kept: pd.DataFrame, view: View, cutoff: dt.datetime) -> pd.DataFrame:
    """The grades with ripe (the outcome within the lead's horizon is known) and converted."""
    lives = view.frame(lead_lives(view)).set_index("lead_id").reindex(kept["lead_id"]).set_axis(kept.index)
    due = kept["as_of"] + pd.to_timedelta(kept["days"], unit="D")
    closed = lives["closed_at"].notna()
    converted = closed & lives["status"].eq("converted") & (lives["closed_at"] <= due)
    return kept.assign(ripe=closed | (due <= pd.Timestamp(cutoff)), converted=converted)


def _record(key: Any, part: pd.DataFrame) -> dict[str, object]:
    ripe, converted = int(part["ripe"].sum()), int(part["converted"].sum())
    lo, hi = binomtest(converted, ripe).proportion_ci(LEVEL, method="wilson") if ripe else (np.nan, np.nan)
    return {
        "as_of": key[0], "grade": key[1], "leads": len(part), "expected": float(part["probability"].sum()), "ripe": ripe,
        "converted": converted, "rate": converted / ripe if ripe else np.nan, "lo": lo, "hi": hi,
    }  # fmt: skip


def _moves(kept: pd.DataFrame) -> pd.DataFrame:
    """From each grading to the next, leads by what they were and what they became."""
    found = []
    instants = sorted(kept["as_of"].unique())
    by_day = {at: part.set_index("lead_id")["grade"].astype("str") for at, part in kept.groupby("as_of")}
    for since, at in pairwise(instants):
        both = pd.concat({"before": by_day[since], "after": by_day[at]}, axis=1)
        both = both.assign(before=both["before"].fillna("new"), after=both["after"].fillna("gone"))
        counts = both.groupby(["before", "after"]).size().rename("leads").reset_index()
        found.append(counts.assign(since=since, as_of=at))
    columns = ["since", "as_of", "before", "after", "leads"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _own(view: View, judged: pd.DataFrame) -> pd.DataFrame:
    """Persons' grades, each beside the newest grade worked out for an instant up to when it was given."""
    rows = view.facts("grade_override")
    facts = view.frame(rows.filter(rows.grade.notnull()).select("lead_id", "author", "known_at", own=rows.grade))
    beside = judged.rename(columns={"grade": "worked_out"})[["lead_id", "as_of", "worked_out", "ripe", "converted"]]
    pairs = facts.merge(beside, on="lead_id")
    pairs = pairs[pairs["as_of"] <= pairs["known_at"]].sort_values("as_of").drop_duplicates(["lead_id", "author", "known_at"], keep="last")
    found = pairs.groupby(["author", "own", "worked_out"], observed=True)
    return found.agg(leads=("lead_id", "size"), ripe=("ripe", "sum"), converted=("converted", "sum")).reset_index()


def _sentence(days: pd.DataFrame) -> str:
    if days.empty:
        return "No lead was graded yet for that day or before; grade them with: salesml qualify"
    told = days.groupby("grade")[["ripe", "converted"]].sum().reindex(GRADES, fill_value=0)
    if not told["ripe"].sum():
        return f"{count(days['as_of'].nunique(), 'grading')} kept; no grade's horizon is over yet, so none can be judged."
    each = [
        f"{row['converted']:,.0f} of {row['ripe']:,.0f} {name} ({row['converted'] / row['ripe']:.1%})"
        for name, row in told.iterrows()
        if row["ripe"]
    ]
    return f"Of the grades whose outcome is known converted: {', '.join(each)}; a lead counts once for each grading."
