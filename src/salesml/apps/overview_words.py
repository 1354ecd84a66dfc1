"""The overview's words in the reader's language: what measures are called and mean, steps of the pipeline, warning signs, changes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from salesml.analytics.measures import MEASURES
from salesml.analytics.words import MISSING, absent
from salesml.apps.language import Language

SAME = 0.005


def titles(language: Language) -> dict[str, str]:
    """What measures are called."""
    _ = language._
    return {
        "revenue": _("Revenue"), "quota_attainment": _("Quota attainment"), "bookings": _("Bookings"), "win_rate": _("Win rate"),
        "average_deal": _("Average deal"), "cycle_days": _("Sales cycle"), "slip_rate": _("Slippage"), "deals_created": _("Deals created"),
        "activities": _("Activities"), "response_hours": _("Response time"), "pipeline": _("Open pipeline"), "coverage": _("Coverage"),
        "quota": _("Quota"), "open_deals": _("Open deals"),
    }  # fmt: skip


def meanings(language: Language) -> dict[str, str]:
    """What measures are, in a sentence."""
    _ = language._
    return {
        "revenue": _("Sum of what counts as revenue (invoices, else orders, else bookings, else won deals), by its day."),
        "quota_attainment": _("Revenue divided by the quota of the same period."),
        "bookings": _("Sum of the amounts of deals won, by the day they were won."),
        "win_rate": _("Deals won divided by deals closed (won, lost, without decision), by the day they closed."),
        "average_deal": _("Bookings divided by the deals won of a known amount."),
        "cycle_days": _("Median days from creation to win of deals won."),
        "slip_rate": _("Of the deals due in a month, by the close date that stood as it began, the share that did not close in it."),
        "deals_created": _("Deals that came to be, by that day."),
        "activities": _("Calls, e-mails, meetings and other activities recorded, by their day."),
        "response_hours": _("Median hours from a customer's message to the next one back, of those answered."),
    }  # fmt: skip


def steps(language: Language) -> dict[str, str]:
    """What the steps of the pipeline's movement are called."""
    _ = language._
    return {
        "opening": _("open a week ago"), "created": _("created"), "reopened": _("reopened"), "raised": _("amount raised"),
        "lowered": _("amount lowered"), "won": _("won"), "lost": _("lost"), "no_decision": _("no decision"), "moved_in": _("moved in"),
        "moved_out": _("moved out"), "withdrawn": _("withdrawn"), "corrected": _("corrected"), "exchange": _("exchange rates"),
        "closing": _("open now"),
    }  # fmt: skip


def value(language: Language, name: str, found: Any, currency: str) -> str:
    """A figure with its unit."""
    if absent(found):
        return MISSING
    unit = MEASURES[name].unit
    if unit == "money":
        return language.money(found, currency)
    if unit == "share":
        return language.percent(found, 1 if name != "quota_attainment" else 0)
    if unit == "days":
        return language.n_("{n} day", "{n} days", round(float(found)))
    if unit == "hours":
        return language._("{hours} hours", hours=language.number(found, 0 if found >= 10 else 1))
    if unit == "ratio":
        return f"{language.number(found, 1)}×"
    return language.number(found)


def change(language: Language, name: str, row: Any) -> tuple[str, str]:
    """How a figure stands beside the period before, and its class: for, against, or "" where it is the same or cannot be told."""
    if absent(row.before) or absent(row.now):
        return language._("no comparison"), ""
    by_points = MEASURES[name].unit == "share"
    if not by_points and row.before == 0 and row.change:
        told = language._("▲ up from 0") if row.change > 0 else language._("▼ down from 0")
        return told, "" if pd.isna(row.better) else "for" if row.better else "against"
    gap = float(row.change) if by_points else float(row.share) if not absent(row.share) else 0.0
    if abs(gap) < SAME:
        return language._("about as before"), ""
    size = language._("{points} points", points=language.number(abs(gap) * 100, 1)) if by_points else language.percent(abs(gap))
    told = language._("▲ up {size}", size=size) if gap > 0 else language._("▼ down {size}", size=size)
    return told, "" if pd.isna(row.better) else "for" if row.better else "against"


def warnings(language: Language, deal: Any) -> list[str]:
    """The warning signs of a deal, a short phrase a reason."""
    _, n_ = language._, language.n_
    told = []
    if deal.overdue:
        told.append(n_("should have closed {n} day ago", "should have closed {n} days ago", int(deal.overdue_days)))
    if deal.quiet:
        silent = deal.days_since_activity
        quiet = n_("no activity for {n} day", "no activity for {n} days", int(silent)) if not absent(silent) else _("no activity yet")
        told.append(quiet)
    if deal.stalled:
        told.append(n_("{n} day in stage {stage}", "{n} days in stage {stage}", int(deal.stage_days), stage=deal.stage))
    if deal.pushed:
        told.append(n_("close date moved {n} time", "close date moved {n} times", int(deal.close_date_changes)))
    if deal.faded:
        told.append(_("chance fell from {before}", before=language.percent(deal.probability_before)))
    return told
