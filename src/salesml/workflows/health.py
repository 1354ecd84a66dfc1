"""Health of the pipeline: where the quarter lands, the chance of each quota, what ages, stalls or goes silent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salesml.analytics import cycle, health, pipeline, quarter
from salesml.analytics.stages import bottlenecks, timeline, visits
from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, visible
from salesml.workflows.quarter import Picture, champions_scores, picture
from salesml.workspace import Workspace

BACK = 7


@dataclass(frozen=True)
class PipelineHealth:
    """What is known of the pipeline as of an instant; money in `currency`, [start, end) the fiscal quarter.

    deals: open deals (`pipeline.attention`, `health.aged`, p_quarter); quotas: one row per level and name with a quota of the
    quarter, and the company (`quarter.chance_of_quota`, with quota, booked, label, rate_probability); landing: draws of the
    company's; stages: `stages.bottlenecks`; ageing: one row per stage; needy: `health.needy`; alerts: `health.alerts`;
    velocity: None without wins; sentence, pace and notes in words.
    """

    as_of: dt.datetime
    start: dt.date
    end: dt.date
    currency: str
    deals: pd.DataFrame
    quotas: pd.DataFrame
    landing: np.ndarray = field(repr=False)
    stages: pd.DataFrame
    ageing: pd.DataFrame
    needy: pd.DataFrame
    alerts: pd.DataFrame
    velocity: health.Velocity | None
    shock: quarter.Shock
    sentence: str
    pace: str
    notes: str
    head_id: int

    @property
    def company(self) -> pd.Series:
        """The company's row of `quotas`."""
        return self.quotas.iloc[0]

    @property
    def quota_probability(self) -> float | None:
        """The company's chance to reach its quota; None without one."""
        return _known(self.company["probability"])

    @property
    def coverage(self) -> float | None:
        """The company's open amount over what is missing to its quota; None where nothing is missing."""
        return _known(self.company["coverage"])

    @property
    def coverage_needed(self) -> float | None:
        """The coverage that would give a chance of 80 %; None where nothing is missing or no pipeline would do."""
        return _known(self.company["coverage_needed"])


def pipeline_health(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, scores: pd.DataFrame | None = None
) -> PipelineHealth:
    """Pipeline health from what was known as of an instant.

    `scores`: one row per open deal: opportunity_id, probability (won in the end) and, where known, p_quarter (won before the
    quarter ends); without them the champion scores the deals (and keeps the scores), and without a champion plain rates of
    past quarters serve. Raises NotEnoughData where no deal is open or no past quarter is known.
    """
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    view = visible(tables, instant)
    today, currency = workspace.local_date(instant), workspace.settings.currency
    start, end = pipeline.quarter(today, workspace.settings.fiscal_year_start)
    scores = champions_scores(workspace, instant) if scores is None else scores
    now = picture(workspace, tables, instant, scores)
    week_ago = instant - dt.timedelta(days=BACK)
    earlier = _earlier(workspace, tables, week_ago) if workspace.local_date(week_ago) >= start else None
    rows = timeline(view)
    stays, known = visits(rows), cycle.cycles(view, rows)
    speed = health.velocity(known, instant)
    deals = health.aged(pipeline.attention(now.deals.assign(probability_before=float("nan")), today), stays)
    before = {} if earlier is None else earlier.quotas.set_index(["level", "name"])["rate_probability"].to_dict()
    return PipelineHealth(
        instant, start, end, currency, deals, now.quotas, now.landing,
        stages=bottlenecks(stays, known.set_index("opportunity_id")["amount"], instant),
        ageing=_ageing(deals), needy=health.needy(deals), alerts=health.alerts(deals, now.quotas, before, BACK),
        velocity=speed, shock=now.shock, pace=_pace(speed, currency),
        sentence=_sentence(now.quotas.iloc[0], currency, start, end),
        notes=f"{now.words} {_landed_words(now.landed)} {_shock_words(now.shock)} "
        + _money_words(deals, now.quotas, currency, earlier is None),
        head_id=tables.head.id,
    )  # fmt: skip


def _earlier(workspace: Workspace, tables: Tables, instant: dt.datetime) -> Picture | None:
    try:
        return picture(workspace, tables, instant)
    except NotEnoughData:  # a pipeline that has just begun
        return None


def _ageing(deals: pd.DataFrame) -> pd.DataFrame:
    """Per stage: stage, open_deals, median_days there, usual_days and long_days of stays that moved on, longer (deals), amount_longer."""
    rows = deals.assign(old=deals["amount"].astype("float64").where(deals["stalled"], 0.0))
    found = rows.groupby("stage").agg(
        stage_order=("stage_order", "min"), open_deals=("stage", "size"), median_days=("stage_days", "median"),
        usual_days=("usual_days", "first"), long_days=("long_days", "first"), longer=("stalled", "sum"), amount_longer=("old", "sum"),
    )  # fmt: skip
    return found.sort_values("stage_order").reset_index().drop(columns="stage_order")


def _sentence(company: pd.Series, currency: str, start: dt.date, end: dt.date) -> str:
    last = end - dt.timedelta(days=1)
    parts = f"{company['booked']:,.0f} booked, {company['expected']:,.0f} expected from open deals"
    if pd.notna(company["other"]):
        parts += f", {company['other']:,.0f} from elsewhere (deals not open yet, other orders)"
    told = (
        f"{start:%B} to {last:%B %Y} is expected to land at {company['lands']:,.0f} {currency}, 80 % interval {company['lo80']:,.0f} to "
        f"{company['hi80']:,.0f}: {parts}."
    )
    if pd.isna(company["other"]):
        told += " What comes from elsewhere is not known yet (four past quarters are needed), so this is a lower bound."
    if pd.isna(company["quota"]):
        return f"{told} No revenue quota is set for this quarter."
    told += f" The quota of {company['quota']:,.0f} is reached with a chance of {_percent(company['probability'])}."
    if pd.isna(company["coverage"]):
        return f"{told} It is booked already."
    needed = company["coverage_needed"]
    want = f"{needed:.1f} times" if pd.notna(needed) else "more than 40 times what is open"
    return f"{told} The open pipeline is {company['coverage']:.1f} times what is missing; for a chance of 80 % it takes {want}."


def _pace(speed: health.Velocity | None, currency: str) -> str:
    if speed is None:
        return "No deal opened in the past 365 days was won with an amount, so the pipeline's pace cannot be told."
    return (
        f"The pipeline turns about {speed.per_day:,.0f} {currency} a day into wins (90 % interval {speed.lo:,.0f} to {speed.hi:,.0f}): "
        f"{speed.open_deals:,} open deals × {speed.won_share:.0%} won × {speed.won_amount:,.0f} {currency} a win ÷ {speed.days:,.0f} days "
        f"open. In the past 91 days {speed.earned:,.0f} {currency} a day were won."
    )


def _landed_words(share: float) -> str:
    if share == 1:
        return "A win counts in full on the day it closes."
    return f"Of the amount of deals won from such a day on, {share:.0%} became revenue before the quarter ended; the rest came later."


def _shock_words(shock: quarter.Shock) -> str:
    if not shock.estimated:
        return (
            f"Intervals take deals to be independent, which understates them: {shock.quarters} past quarters are known, "
            f"{quarter.LEAST_FOR_SHOCK} are needed to see what deals share."
        )
    if not shock.size:
        return f"In {shock.quarters} past quarters deals did not win or lose together more than by chance."
    return f"Deals share {shock.size:.1%} of their luck, as {shock.quarters} past quarters missed together; intervals count it."


def _money_words(deals: pd.DataFrame, quotas: pd.DataFrame, currency: str, young: bool) -> str:
    told = []
    lacking, alone = int(deals["amount"].isna().sum()), int((quotas["other"].isna() & quotas["quota"].notna()).sum())
    if lacking:
        told.append(f"{lacking:,} open deals have no amount in {currency} and bring nothing here.")
    if alone:
        told.append(
            f"For {alone:,} quotas too little history is known: their chances count open deals and what is booked only."
        )
    if young:
        told.append(f"The quarter is younger than {BACK} days, so no fall of a chance can be told.")
    return " ".join(told)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else "over 99 %" if share > 0.99 else f"{share:.0%}"
