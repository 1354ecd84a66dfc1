"""Lead sources: how many leads convert, how good and how quick they are, what they cost and return, by source, campaign, channel …

Leads and deals that are not over yet count by their age (`lead_sources_rates`); money is summed in whole cents and divided last.
Nothing here is causal: sources differ in more than what was spent on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salesml.analytics import lead_sources_returns as back
from salesml.analytics.incidence import medians_by_cause
from salesml.analytics.lead_sources_facts import CONVERTED, DISQUALIFIED, NONE, Facts
from salesml.analytics.lead_sources_rates import Rates, Timing, evidence, shrunken, timing
from salesml.analytics.lead_sources_returns import BASES, Returns
from salesml.errors import BadParameter, NotEnoughData, UnknownName

BY = {
    "source": "source", "campaign": "campaign", "channel": "channel of the campaign", "landing_page": "landing page",
    "first_touch": "channel of the first touch before arrival", "month": "month of arrival",
}  # fmt: skip
"""What leads can be told apart by, and the word for it."""
ALL = "(all)"
SHARE, LEAST_WEEKS, MOST_WEEKS = 0.99, 4, 26
LEAST_TIMED, YEAR = 5, 365.0
RESAMPLES = 100
_RANGE = ("", "_lo", "_hi")
COLUMNS = (
    "group", "label", "leads", "leads_year", "old_enough", "conversions", "plain_rate", "rate", "lo", "hi", "evidence", "score", "scored",
    "deals", "closed", "won", "won_rate", "won_lo", "won_hi",
    *(f"days_to_{what}{end}" for what in ("convert", "win") for end in _RANGE), "cost", "costed_leads", "costed_won", "cost_per_lead",
    "cost_per_conversion", "cost_per_won", *(f"conversion_cost{end}" for end in _RANGE),
    "pipeline", "revenue", "margin", "unknown_amounts", "largest", "to_come", "returned", "roi_so_far", "roi_revenue", "roi_margin",
    "roi", "roi_lo", "roi_hi", "p_positive",
)  # fmt: skip
COHORTS = 12


@dataclass(frozen=True)
class Sources:
    """What is known of groups of leads. Money of the exact columns is Decimal in the workspace's currency, missing where not known.

    rows: one row per group, most leads first: group, label; leads, leads_year (of the past 365 days), old_enough (as old as
    the horizon), conversions (so far); plain_rate
    (converted within the horizon; open leads count by age), rate, lo, hi (drawn towards its like, 90 %), evidence (leads' worth);
    score (mean calibrated chance of its scored open leads), scored (how many); deals, closed, won, won_rate, won_lo, won_hi (of its
    deals, in the end); days_to_convert, days_to_win (medians, with _lo and _hi); cost (of its leads as far as known), costed_leads,
    costed_won (their wins), cost_per_lead, cost_per_conversion, cost_per_won (so far, of leads with a cost), conversion_cost with _lo
    and _hi (cost per lead over rate); pipeline (open deals), revenue (won deals), margin, unknown_amounts (won deals whose amount is not
    known), largest (share of its largest won deal in its revenue), to_come (revenue expected of open deals and leads); on `basis`:
    returned (by leads with a cost, so far), roi_so_far, roi (of such leads in the end, drawn towards what is usual) with roi_lo, roi_hi
    (90 %) and p_positive (chance that it is above 0); roi_revenue, roi_margin. ROI is (what comes back - cost) / cost.
    total: the same of all leads. cohorts: one row per group (and all) and month of arrival: leads, conversions, rate, lo, hi, evidence.
    rates, returns: draws behind rows, in the order of the groups by name.
    """

    by: str
    horizon_days: int
    basis: str
    rows: pd.DataFrame
    total: pd.Series
    cohorts: pd.DataFrame
    rates: Rates = field(repr=False)
    returns: Returns = field(repr=False)
    kept_chances: int
    """Open deals whose chance is a kept prediction; the others have what past deals of their age and group had."""


def sources(found: Facts, by: str, horizon_days: int | None = None) -> Sources:
    """Groups of leads by one of `BY`. Without a horizon: the days in which 99 % of conversions come, in whole weeks from 4 to 26.

    Raises NotEnoughData while no lead has converted, UnknownName for another `by`, BadParameter for a horizon below a day.
    """
    if by not in BY:
        raise UnknownName("grouping of leads", by, BY)
    if horizon_days is not None and horizon_days < 1:
        raise BadParameter(f"horizon_days {horizon_days!r} is not a positive number of days")
    leads = found.leads
    if not leads["ended"].eq(CONVERTED).any():
        reason = f"none of the {len(leads):,} leads known then has converted"
        raise NotEnoughData(f"{reason}; import leads with their outcomes, or choose a later day")
    horizon = horizon_days or usual_horizon(leads)
    laws = _Laws(
        timing(leads["days"].to_numpy(), leads["ended"], CONVERTED, (DISQUALIFIED,), horizon),
        timing(found.deals["days"].to_numpy(), found.deals["ended"], "won", ("lost",)),
    )
    priced = found.deals["priced"] & found.deals["amount"].notna() & found.deals["status"].eq("won")
    basis = BASES[int(priced.any())]
    like = found.campaigns.set_index("campaign")["source"].fillna(NONE) if by == "campaign" else None
    rows, rates, returns = _grouped(found, leads[by], _idle(found, by), laws, basis, like)
    total, _, _ = _grouped(found, pd.Series(ALL, leads.index), _idle(found, None), laws, basis, None)
    if by == "campaign":
        names = found.campaigns.dropna(subset=["name"]).set_index("campaign")["name"]
        shared = names.duplicated(keep=False)
        names = names.where(~shared, names + " (" + names.index + ")")
        rows["label"] = rows["group"].map(names).fillna(rows["group"])
    kept = int((found.deals["ended"].isna() & found.deals["chance"].notna()).sum())
    rows = rows.sort_values(["leads", "group"], ascending=[False, True], ignore_index=True)
    cohorts = _cohorts(leads, by, rows["group"].head(COHORTS), laws.leads)
    return Sources(by, horizon, basis, rows, total.iloc[0], cohorts, rates, returns, kept)


def usual_horizon(leads: pd.DataFrame) -> int:
    """Days, in whole weeks from 4 to 26, within which 99 % of the conversions come that come within 26 weeks."""
    most = 7.0 * MOST_WEEKS
    law = timing(leads["days"].to_numpy(), leads["ended"], CONVERTED, (DISQUALIFIED,), most)
    reached = law.days[law.succeeded >= SHARE]
    return 7 * int(np.clip(np.ceil((reached[0] if len(reached) else most) / 7), LEAST_WEEKS, MOST_WEEKS))


@dataclass(frozen=True)
class _Laws:
    leads: Timing
    deals: Timing


def _idle(found: Facts, by: str | None) -> pd.Series:
    """Cents of campaigns without a lead, by the group they belong to."""
    idle = found.campaigns[found.campaigns["leads"].eq(0) & found.campaigns["cost"].notna()]
    names = pd.Series(ALL if by is None else NONE, idle.index, dtype="object")
    if by in ("campaign", "source", "channel"):
        names = idle[by].astype("object").where(idle[by].notna(), NONE)
    return idle["cost"].astype("int64").groupby(names).sum()


def _grouped(
    found: Facts, group: pd.Series, idle: pd.Series, laws: _Laws, basis: str, like: pd.Series | None
) -> tuple[pd.DataFrame, Rates, Returns]:
    """`Sources.rows` by name of group, and the draws behind them."""
    leads = found.leads.assign(group=group, costed=found.leads["cost"].notna())
    of = leads.set_index("lead_id")
    deals = found.deals.assign(group=found.deals["lead_id"].map(of["group"]), costed=found.deals["lead_id"].map(of["costed"]).astype(bool))
    names = sorted({*group, *idle.index})
    codes, deal_codes = (pd.Categorical(rows["group"], categories=names).codes.astype("int64") for rows in (leads, deals))
    shown = evidence(leads["days"].to_numpy(), leads["ended"], CONVERTED, codes, len(names), laws.leads)
    likes = None if like is None else pd.Series(names).map(like).fillna(NONE).to_numpy()
    rates = shrunken(shown["successes"], shown["failures"], likes)
    ends = evidence(deals["days"].to_numpy(), deals["ended"], "won", deal_codes, len(names), laws.deals)
    won_rates = shrunken(ends["successes"], ends["failures"], likes, seed=1)
    rows = pd.DataFrame({"group": names, "label": names})
    rows = rows.join(_counts(leads, names, laws.leads.horizon)).assign(evidence=shown.sum(axis=1))
    rows["plain_rate"] = shown["successes"] / rows["evidence"].where(rows["evidence"] > 0)
    there, some = rows["leads"] > 0, len(deals) > 0
    for name in ("rate", "lo", "hi"):
        rows[name] = rates.frame[name].where(there)
        rows["won_rate" if name == "rate" else f"won_{name}"] = won_rates.frame[name].where(there & some)
    rows = rows.join(_times(leads, names, laws.leads.horizon)).join(_deal_counts(deals, names))
    rows = rows.assign(to_come=back.to_come(leads, deals, rows, laws.leads, laws.deals))
    rows = back.revenues(back.costs(rows, leads, idle, deals), deals, basis)
    returns = back.returns(rows, leads, deals, rates.draws, won_rates.draws)
    return back.roi(rows, returns, basis)[list(COLUMNS)], rates, returns


def _counts(leads: pd.DataFrame, names: list[str], horizon: float) -> pd.DataFrame:
    converted = leads["ended"].eq(CONVERTED)
    told = leads.assign(converted=converted, old=leads["age"] >= horizon, has=leads["score"].notna(), new=leads["age"] < YEAR)
    found = told.groupby("group").agg(
        leads=("lead_id", "size"), leads_year=("new", "sum"), old_enough=("old", "sum"), conversions=("converted", "sum"),
        score=("score", "mean"), scored=("has", "sum"),
    )  # fmt: skip
    found = found.reindex(names).reset_index(drop=True)
    counts = ["leads", "leads_year", "old_enough", "conversions", "scored"]
    return found.assign(**{name: found[name].fillna(0).astype("int64") for name in counts})


def _times(leads: pd.DataFrame, names: list[str], horizon: float) -> pd.DataFrame:
    """Medians of days to conversion and to the first win, with 90 % intervals (leads resampled)."""
    parts, rows = dict(list(leads.groupby("group"))), []
    for name in names:
        mine = parts.get(name, leads.iloc[:0])
        timed = mine[mine["timed"]]
        to_convert = _median(timed["days"], timed["ended"], CONVERTED, horizon)
        rows.append((*to_convert, *_median(timed["won_days"], timed["won_ended"], "won", np.inf)))
    columns = [f"days_to_{what}{end}" for what in ("convert", "win") for end in _RANGE]
    return pd.DataFrame(rows, columns=columns, dtype="float64")


def _median(days: pd.Series, ended: pd.Series, what: str, day: float) -> tuple[float, float, float]:
    if ended.eq(what).sum() < LEAST_TIMED:
        return (float("nan"),) * 3
    other = DISQUALIFIED if what == CONVERTED else "over"
    return medians_by_cause(days.to_numpy("float64"), ended, (what, other), day, RESAMPLES)[what]


def _deal_counts(deals: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    told = deals.assign(over=deals["ended"].notna(), success=deals["ended"].eq("won"))
    found = told.groupby("group").agg(deals=("opportunity_id", "size"), closed=("over", "sum"), won=("success", "sum"))
    return found.reindex(names, fill_value=0).reset_index(drop=True).astype("int64")


def _cohorts(leads: pd.DataFrame, by: str, groups: pd.Series, law: Timing) -> pd.DataFrame:
    """Leads by month of arrival, of all and of the groups; rates drawn towards their group's."""
    parts = [leads.assign(group=ALL)]
    if by != "month":
        parts.append(leads.assign(group=leads[by])[leads[by].isin(groups)])
    every = pd.concat(parts, ignore_index=True)
    cells = every.groupby(["group", "month"], sort=True)
    codes = cells.ngroup().to_numpy()
    found = cells.agg(leads=("lead_id", "size"), conversions=("ended", lambda ended: int(ended.eq(CONVERTED).sum()))).reset_index()
    shown = evidence(every["days"].to_numpy(), every["ended"], CONVERTED, codes, len(found), law)
    rates = shrunken(shown["successes"], shown["failures"], found["group"].to_numpy()).frame
    return found.join(rates).assign(evidence=shown.sum(axis=1))
