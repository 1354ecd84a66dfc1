"""The manager's weekly brief: where the quarter lands, how sure that is, which deals need attention."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salesml.analytics import pipeline, revenue
from salesml.errors import NotEnoughData
from salesml.lake import Lake, View, visible
from salesml.workflows.overrides import with_overrides
from salesml.workflows.overview import champions, version_tags
from salesml.workspace import Workspace

MODEL = "deal_outcome"
DEAL_COLUMNS = ["deal", "why", "at_stake", "probability", "amount", "close_date", "stage", "owner"]


@dataclass(frozen=True)
class Brief:
    """What is told as of an instant.

    deals: `analytics.pipeline.attention`, probability missing where not scored; history: month, amount (the company's
    complete months); forecast: rows of that table, all levels; landing: None without a forecast of the
    quarter; tags: of the champion (empty without one); lacking: why something is missing, one sentence each; overrides: what
    people put in place of the model's revenue, one sentence each, which forecast and landing follow.
    """

    view: View
    deals: pd.DataFrame
    history: pd.DataFrame
    forecast: pd.DataFrame
    landing: pipeline.Landing | None
    tags: dict[str, str]
    lacking: tuple[str, ...]
    overrides: tuple[str, ...] = ()

    @property
    def currency(self) -> str:
        """The workspace's currency."""
        return self.view.tables.workspace.settings.currency

    @property
    def needy(self) -> pd.DataFrame:
        """The deals that show a warning sign, the most at stake first."""
        return self.deals[self.deals[list(pipeline.REASONS)].any(axis=1)]

    @property
    def company(self) -> pd.DataFrame:
        """The company's forecast: period_start, amount, lo80, hi80, lo95, hi95, one row a month."""
        return self.forecast[self.forecast["entity_type"] == "company"]


def brief(workspace: Workspace, as_of: dt.datetime) -> Brief:
    """The pipeline, the champion's scores and the revenue forecast as of an instant; computes and keeps what is missing.

    What there is too little data for is left out and named in `lacking`.
    """
    lacking: list[str] = []
    champion = dict(champions(workspace)).get(MODEL)
    scores = pd.DataFrame({"opportunity_id": pd.Series(dtype="object"), "probability": pd.Series(dtype="float64")})
    if champion is None:
        lacking.append("No deal model is registered yet (salesml train deals), so no deal has a probability.")
    else:
        scores = _scores(workspace, as_of, champion)
    history, forecast = pd.DataFrame({"month": [], "amount": []}), pd.DataFrame({"entity_type": []})
    overridden: tuple[str, ...] = ()
    try:
        forecast, overridden = with_overrides(_forecast(workspace, as_of), Lake(workspace).open(), as_of)
    except NotEnoughData as lack:
        lacking.append(f"Revenue is not forecast: {lack}.")
    view = visible(Lake(workspace).open(), as_of)
    if len(forecast):
        history = revenue.monthly(view).groupby("month")["amount"].agg(pipeline.total).reset_index()
    deals = pipeline.open_deals(view).merge(scores, "left", "opportunity_id").assign(probability_before=float("nan"))
    tags = version_tags(workspace, MODEL, str(champion)) if champion is not None else {}
    today = workspace.local_date(as_of)
    landing = _landing(workspace, today, history, forecast)
    return Brief(view, pipeline.attention(deals, today), history, forecast, landing, tags, tuple(lacking), overridden)


def answer(found: Brief) -> str:
    """Where the quarter lands and what the probabilities are worth; that there is no signal comes first."""
    told = [" ".join([_lands(found), *found.overrides]), worth(found)]
    return " ".join(told[::-1] if found.tags.get("baseline") == "true" else told)


def _lands(found: Brief) -> str:
    """Where the quarter lands, between which bounds, and what of it is booked; or why that is not known."""
    landing = found.landing
    if landing is None:
        return " ".join(found.lacking) or "The forecast does not reach into this quarter."
    last = landing.end - dt.timedelta(days=1)
    part = "" if landing.complete else f" (only until {last:%B}: the forecast ends there)"
    booked = f"{landing.booked:,.0f} is booked in months that are over" if landing.booked else "no month of it is over"
    interval = "80 % interval, from how far such sums were off" if landing.measured else "the 80 % intervals of its months added up"
    return (
        f"Revenue from {landing.start:%B} to {last:%B %Y}{part} lands at {landing.amount:,.0f} {found.currency}, likely "
        f"between {landing.lo80:,.0f} and {landing.hi80:,.0f} ({interval}); {booked}."
    )


def worth(found: Brief) -> str:
    """What the probabilities rest on: a model that passed the gate, or, for want of a signal, only a baseline."""
    if not found.tags:
        return "The deals have no probabilities."
    if found.tags.get("kind") == "handful":
        return (
            "Too few outcomes are known to test a model on later deals: the probabilities are what is usual, corrected by "
            "this company's own deals as far as these bear it."
        )
    if found.tags.get("baseline") == "true":
        return (
            "No model surely tells winners apart better than plain rates in what is known so far: the probabilities are "
            "how often deals like these were won before."
        )
    return (
        "The probabilities of a win come from a model that beat its baseline on later deals; how far they mean what they say is in "
        "the certificate (salesml certificate)."
    )


def open_deals(found: Brief) -> str:
    """One sentence: how many deals are open, what they are expected to bring, how many need attention."""
    if found.deals.empty:
        return "No deal is open."
    unknown = int(found.deals["amount"].isna().sum())
    without = f" ({unknown:,} of them without an amount)" if unknown else ""
    expected = found.deals["at_stake"]
    value = f", worth {expected.sum():,.0f} {found.currency} by probability" if expected.notna().any() else ""
    return f"{len(found.deals):,} deals are open{without}{value}; {len(found.needy):,} need attention."


def needy_deals(found: Brief) -> pd.DataFrame:
    """The deals that need attention and why, most at stake first.

    Columns: deal, why, at_stake (amount × probability; currency), probability, amount (currency), close_date, stage,
    owner.
    """
    rows = found.needy
    why = [_why(row) for row in rows.itertuples()]
    return rows.assign(deal=rows["name"], why=pd.Series(why, index=rows.index, dtype="object"))[DEAL_COLUMNS]


def _why(deal: Any) -> str:
    told = [
        (deal.overdue, lambda: f"should have closed {_days(deal.overdue_days)} ago"),
        (deal.quiet, lambda: "no activity lately"),
        (deal.stalled, lambda: f"in {deal.stage} for {_days(deal.stage_days)}, usual {deal.usual_stage_days:.0f}"),
        (deal.pushed, lambda: f"close date moved {deal.close_date_changes:.0f} times"),
    ]
    return "; ".join(words() for holds, words in told if holds)


def _days(number: float) -> str:
    return "1 day" if round(number) == 1 else f"{number:.0f} days"


def _scores(workspace: Workspace, as_of: dt.datetime, champion: int) -> pd.DataFrame:
    """opportunity_id and probability by the champion, scored now where they were not yet."""
    found = _kept(workspace, "prediction", as_of, MODEL, champion)
    if found.empty:
        from salesml.workflows.deals import score_deals

        score_deals(workspace, as_of)
        found = _kept(workspace, "prediction", as_of, MODEL, champion)
    won = found[(found["entity_type"] == "opportunity") & (found["target"] == "won")]
    return won[["entity_id", "point"]].rename(columns={"entity_id": "opportunity_id", "point": "probability"})


def _forecast(workspace: Workspace, as_of: dt.datetime) -> pd.DataFrame:
    """The newest forecast made for as_of, made now where there is none."""
    found = _kept(workspace, "forecast", as_of)
    if found.empty:
        from salesml.workflows.forecast import forecast_revenue

        forecast_revenue(workspace, as_of)
        found = _kept(workspace, "forecast", as_of)
    newest = found[found["run_id"] == found.sort_values("known_at")["run_id"].iloc[-1]]
    days = {name: pd.to_datetime(newest[name]).dt.date for name in ("period_start", "period_end")}
    return newest.assign(**days).sort_values(["entity_type", "entity_id", "period_start"], ignore_index=True)


def _kept(
    workspace: Workspace, name: str, as_of: dt.datetime, model: str | None = None, version: int | None = None
) -> pd.DataFrame:
    """Outputs computed for exactly as_of, by a model version where one is named."""
    view = visible(Lake(workspace).open(), dt.datetime.now(dt.UTC))
    rows = view.facts(name).filter(lambda facts: facts.as_of == as_of)
    if model is not None:
        rows = rows.filter(rows.model == model, rows.model_version == str(version))
    return view.frame(rows)


def _landing(
    workspace: Workspace, today: dt.date, history: pd.DataFrame, forecast: pd.DataFrame
) -> pipeline.Landing | None:
    if forecast.empty:
        return None
    company = forecast[forecast["entity_type"] == "company"]
    return pipeline.landing(history, company, pipeline.quarter(today, workspace.settings.fiscal_year_start))
