"""What activity analytics rest on, of the whole company as of an instant: worked out once for a state of the lake, then kept."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from salesml.analytics import activity as acts
from salesml.analytics import activity_cadence, activity_hints, activity_outcomes, activity_response
from salesml.analytics.benchmark_groups import reps as reps_at_work
from salesml.analytics.book import Book
from salesml.errors import NotEnoughData
from salesml.lake import View
from salesml.workflows.kept import Frames, kept

LANDMARKS = (14, 28)
FORMAT = 1


@dataclass(frozen=True)
class Worked:
    """What was done with customers since a day.

    work: `activity.open_work`; messages: `activity_response.messages`; owned: `activity.accounts`; waiting: `activity_response.waiting`;
    gaps: `activity_hints.gaps` of the reps at work; there: these, with rep, name and peers (the group they are compared in).
    """

    work: pd.DataFrame
    messages: pd.DataFrame
    owned: pd.DataFrame
    waiting: pd.DataFrame
    gaps: pd.DataFrame
    there: pd.DataFrame


@dataclass(frozen=True)
class Related:
    """What goes with wins. bands, contrasts (`activity_outcomes.associations`) and windows (days) by landmark in days; rates, ratios:
    `activity_cadence.advancing`; lacking: why a landmark is missing, "" where none is.
    """

    bands: dict[int, pd.DataFrame]
    contrasts: dict[int, pd.DataFrame]
    windows: dict[int, int]
    rates: pd.DataFrame
    ratios: pd.DataFrame
    lacking: str


def worked(view: View, book: Book, first: dt.date, quarter: dt.date) -> Worked:
    """What was done from `first` on, accounts touched from `quarter` on; `book` is the book of the view."""
    frames, _ = kept(_folder(view, f"worked-{first}"), lambda: (_worked(view, book, first, quarter), {}))
    return Worked(**frames)


def related(view: View) -> Related:
    """What goes with wins, as the view knows it."""
    frames, facts = kept(_folder(view, "related"), lambda: _related(view))
    days = [int(one) for one in facts["windows"]]
    return Related(
        {one: frames[f"bands-{one}"] for one in days}, {one: frames[f"contrasts-{one}"] for one in days},
        {int(one): window for one, window in facts["windows"].items()}, frames["rates"], frames["ratios"], facts["lacking"],
    )  # fmt: skip


def _folder(view: View, name: str) -> Path:
    assert view.as_of is not None
    head = view.tables.head.id
    return view.tables.workspace.cache / "activity" / f"{FORMAT}-{head}-{view.as_of:%Y%m%dT%H%M%S%f}-{name}"


def _worked(view: View, book: Book, first: dt.date, quarter: dt.date) -> dict[str, pd.DataFrame]:
    assert view.as_of is not None
    work, messages = acts.open_work(view, book), activity_response.messages(view, first)
    owned = acts.accounts(view, book, quarter)
    waits = activity_response.waiting(messages, work, activity_response.open_leads(view))
    try:
        there = reps_at_work(view, book.day - dt.timedelta(days=1))[["rep", "name", "peers"]]
        counted = activity_hints.counted(work, messages, owned, pd.Timestamp(view.as_of))
        gaps = activity_hints.gaps(counted, there.set_index("rep")["peers"])
    except NotEnoughData:
        there, gaps = pd.DataFrame(columns=["rep", "name", "peers"]), pd.DataFrame(columns=["gap", "rep", "sure"])
    return {"work": work, "messages": messages, "owned": owned, "waiting": waits, "gaps": gaps, "there": there}


def _related(view: View) -> Frames:
    frames: dict[str, pd.DataFrame] = {}
    windows: dict[str, int] = {}
    lacking = ""
    for days in LANDMARKS:
        try:
            deals = activity_outcomes.landmark_deals(view, days)
        except NotEnoughData as lack:
            lacking = f"What goes with wins cannot be told {days} days in: {lack}."
            continue
        bands, contrasts = activity_outcomes.associations(deals)
        if len(bands):
            frames |= {f"bands-{days}": bands, f"contrasts-{days}": contrasts}
            windows[str(days)] = int(deals["window"].iloc[0])
    rates, ratios = activity_cadence.advancing(view)
    return {**frames, "rates": rates, "ratios": ratios}, {"windows": windows, "lacking": lacking}
