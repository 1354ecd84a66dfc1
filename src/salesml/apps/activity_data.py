"""Activity with customers, read from the lake: what was done in the last weeks with whom, who waits, and what goes with wins."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from salesml.analytics.activity_response import share_of
from salesml.apps.seen import Seen, see
from salesml.workflows.activity import Activity, activity, first_day
from salesml.workspace import Workspace

WEEKS = ("13", "4", "26")
"""Numbers of weeks to choose from, the first where nothing is asked for."""
BLOCK, LEAST_MESSAGES = 4, 5


@dataclass(frozen=True)
class Touch(Seen):
    """Everything of the screen: `done` of the place and the reader's sight in the last `weeks` weeks."""

    weeks: int
    done: Activity

    @property
    def stands(self) -> pd.Series:
        """How open deals stand: the one row of `activity.standing`."""
        return self.done.whole.iloc[0]

    def soon(self) -> tuple[int, float, float, float]:
        """Messages that are judged, and the share answered within a day with its 90 % interval."""
        judged = self.done.messages["soon"].dropna()
        return len(judged), *share_of(int(judged.sum()), len(judged))

    def silent(self) -> pd.DataFrame:
        """Open deals silent for over 14 days, those with most at stake (amount × chance, without a chance the amount) first.

        Columns of `activity.open_work`, and amount (exact, missing where unknown), probability and stake.
        """
        known = self.board.deals[["opportunity_id", "probability"]]
        work = self.done.work[~self.done.work["in_touch"].astype("bool")].merge(known, "left", "opportunity_id")
        amount = [None if pd.isna(cents) else Decimal(int(cents)).scaleb(-2) for cents in work["cents"]]
        size = work["cents"].astype("float64") / 100
        stake = (size * work["probability"].astype("float64")).fillna(size)
        found = work.assign(amount=pd.Series(amount, work.index, dtype="object"), stake=stake)
        return found.sort_values(["stake", "silent_days"], ascending=False, kind="stable", ignore_index=True)

    def untouched(self) -> pd.DataFrame:
        """Accounts in somebody's charge not touched this quarter, those that brought most first."""
        rows = self.done.accounts
        quiet = rows[~rows["touched"].astype("bool")]
        return quiet.sort_values(["revenue", "account"], ascending=[False, True], kind="stable", ignore_index=True)

    def heat(self) -> pd.DataFrame:
        """Median hours to an answer: weekday (columns of the week that have messages) by first hour of a block of 4 (rows).

        Missing where fewer than 5 messages came.
        """
        hours = self.done.hours_by(BLOCK)
        known = hours.assign(hours=hours["hours"].where(hours["messages"] >= LEAST_MESSAGES))
        return known.pivot_table("hours", "hour", "weekday", "first", dropna=False).reindex(columns=list(hours["weekday"].unique()))

    def related(self) -> pd.DataFrame:
        """What goes with wins in the whole company: `activity_outcomes` contrasts of every landmark, with days and window."""
        parts = [rows.assign(days=days, window=self.done.windows[days]) for days, rows in self.done.contrasts.items()]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def touch(workspace: Workspace, as_of: dt.datetime | None = None, place: str = "", weeks: str = WEEKS[0]) -> Touch:
    """What the current user sees of activity as of an instant, in the last so many weeks; place and errors as `see`."""
    found = see(workspace, as_of, place)
    since = first_day(None, found.book.day, workspace.settings.week_start, int(weeks))
    done = activity(workspace, found.book.as_of, since, where=found.where or None, tables=found.found.tables)
    return Touch(**vars(found), weeks=int(weeks), done=done)
