"""What working leads takes: how many there is time for in a week, and how many minutes one costs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.lake import View

WEEKS = 13
MINUTES_UNTOLD = 5.0
"""Minutes an activity without a duration counts: a mail, as a rule."""


@dataclass(frozen=True)
class LeadWork:
    """Of the 13 weeks before an instant: leads worked in the median week, and minutes spent on a lead that was worked."""

    leads_per_week: int
    minutes_per_lead: float


def lead_work(view: View) -> LeadWork:
    """What working leads took in the 13 weeks before the view's instant, counted back from it in weeks of 7 days.

    Worked: a salesperson started a call, mail or meeting with the lead (activities that are not inbound). Activities without a
    duration count 5 minutes. Raises NotEnoughData where there were none.
    """
    assert view.as_of is not None
    since = pd.Timestamp(view.as_of - dt.timedelta(weeks=WEEKS))
    rows = view.facts("activity")
    instant = ibis.literal(since.to_pydatetime(), type="timestamp('UTC', 6)")
    rows = rows.filter(
        rows.lead_id.notnull(), rows.occurred_at >= instant, rows.occurred_at < rows.as_of,
        ibis.coalesce(rows.direction, "outbound") != "inbound",
    )  # fmt: skip
    frame = view.frame(rows.select("lead_id", "occurred_at", minutes=ibis.coalesce(rows.duration_minutes, MINUTES_UNTOLD)))
    if frame.empty:
        raise NotEnoughData(
            f"no salesperson's activity with a lead is known in the {WEEKS} weeks before {view.as_of:%Y-%m-%d}, so neither the time there "
            "is nor what a lead costs; give capacity_per_week and cost_per_lead in a rules file"
        )
    week = (frame["occurred_at"] - since) // pd.Timedelta(weeks=1)
    each = frame.groupby(week)["lead_id"].nunique().reindex(range(WEEKS), fill_value=0)
    return LeadWork(round(float(each.median())), float(frame["minutes"].sum() / frame["lead_id"].nunique()))
