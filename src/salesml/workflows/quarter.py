"""The quarter as seen at one instant: what its open deals may bring, what comes from elsewhere, the chance of each quota."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.analytics import health, pipeline, quarter, revenue
from salesml.errors import NotEnoughData
from salesml.features.spines import deal_lives
from salesml.lake import Tables, View, visible
from salesml.workspace import Workspace

QUARTERS = 12
FIRST_QUARTER_DAYS = 91
LATELY = pd.Timedelta(days=182)


@dataclass(frozen=True)
class Picture:
    """The quarter as seen at one instant.

    deals: open deals with p_quarter; rates: of past quarters at the same day; words: where p_quarter comes from; quotas:
    `_chances`, with rate_probability (the chance if the deals had the rates' p_quarter); landing: draws of the company's;
    landed: share of a win's amount that becomes revenue within the quarter.
    """

    deals: pd.DataFrame
    rates: health.Rates
    words: str
    shock: quarter.Shock
    quotas: pd.DataFrame
    landing: np.ndarray = field(repr=False)
    landed: float


@dataclass(frozen=True)
class Books:
    """Revenue (`_revenue`); what past quarters brought beside their open deals, and the share of a win that lands in time (`_history`)."""

    entries: pd.DataFrame
    history: pd.DataFrame
    landed: float


def picture(workspace: Workspace, tables: Tables, instant: dt.datetime, scores: pd.DataFrame | None = None) -> Picture:
    """The quarter as known at an instant; `scores` as `workflows.health.pipeline_health` takes them, else rates of past quarters.

    Raises NotEnoughData where no deal is open or no past quarter is known.
    """
    view, today = visible(tables, instant), workspace.local_date(instant)
    quarters = _quarters(workspace, view, today)
    past = _past(tables, view, quarters)
    found = health.rates(past)
    deals = _open(view, quarters.iloc[0]["end"])
    if scores is not None:
        columns = [name for name in ("opportunity_id", "probability", "p_quarter") if name in scores]
        deals = deals.merge(scores[columns], "left", "opportunity_id")
    elif "probability" not in deals:
        deals = deals.assign(probability=np.nan)
    deals, words = health.with_chances(deals, found)
    shock = quarter.shock_size(_judged(past))
    entries = _revenue(view)
    books = Books(entries, *_history(entries, past, quarters))
    quotas = _quota_rows(view, quarters.iloc[0])
    rated = deals.assign(p_quarter=health.by_rates(deals, found))
    table, landing = _chances(deals, shock, books, quotas, quarters.iloc[0])
    same = np.allclose(rated["p_quarter"], deals["p_quarter"])
    by_rates = table if same else _chances(rated, shock, books, quotas, quarters.iloc[0])[0]
    return Picture(
        deals,
        found,
        words,
        shock,
        table.assign(rate_probability=by_rates["probability"].to_numpy()),
        landing,
        books.landed,
    )


def _quarters(workspace: Workspace, view: View, today: dt.date) -> pd.DataFrame:
    """The quarter of today and the past ones, newest first: start, end (days), begins, at (the same day in it), ends (UTC)."""
    start, end = pipeline.quarter(today, workspace.settings.fiscal_year_start)
    day, rows = (today - start).days, list[tuple[Any, ...]]()
    assert view.as_of is not None, "the quarters are asked of an instant"
    facts, as_of = view.facts("opportunity"), pd.Timestamp(view.as_of)
    first = view.frame(facts.aggregate(first=facts.known_at.min()))["first"].iloc[0]
    if pd.isna(first):
        raise NotEnoughData(f"no deal is known as of {today:%Y-%m-%d}; import deals, or choose a later day")
    while len(rows) <= QUARTERS and workspace.instant(start) >= first + pd.Timedelta(days=FIRST_QUARTER_DAYS):
        at = min(start + dt.timedelta(days=day), end - dt.timedelta(days=1))
        rows.append((start, end, *(pd.Timestamp(workspace.instant(when)) for when in (start, at, end))))
        start, end = pipeline.quarter(start - dt.timedelta(days=1), workspace.settings.fiscal_year_start)[0], start
    if len(rows) < 2:
        raise NotEnoughData("not one past quarter of deals is known; pipeline health needs one to tell what is usual")
    found = pd.DataFrame(rows, columns=["start", "end", "begins", "at", "ends"])
    found["at"] = found["at"].where(found.index > 0, as_of)
    return found


def _past(tables: Tables, view: View, quarters: pd.DataFrame) -> pd.DataFrame:
    """Deals open at the same day of past quarters, as known then, and what became of them.

    Columns: quarter (its start), opportunity_id, stage, due, amount, region, team, rep, won_in_quarter, won.
    """
    lives = view.frame(deal_lives(view))
    spine = lives.merge(quarters.iloc[1:][["start", "at", "ends"]], "cross")
    spine = spine[
        (spine["first_known_at"] < spine["at"]) & (spine["closed_at"].isna() | (spine["closed_at"] >= spine["at"]))
    ]
    if spine.empty:
        raise NotEnoughData(
            "no deal was open at this day of a past quarter; pipeline health needs some to tell what is usual"
        )
    then = visible(tables, spine[["opportunity_id", "at"]].rename(columns={"at": "as_of"}))
    quarter_of = quarters.set_index("at")
    deals = _placed(then)
    deals["quarter"] = deals["as_of"].map(quarter_of["start"])
    deals["due"] = health.due(deals["close_date"], deals["as_of"].map(quarter_of["end"]))
    ends = lives.set_index("opportunity_id").reindex(deals["opportunity_id"])
    won = ends["status"].eq("won").to_numpy()
    in_time = ends["closed_at"].to_numpy() < deals["as_of"].map(quarter_of["ends"]).to_numpy()
    return deals.assign(won=won, won_in_quarter=won & in_time)


def _placed(view: View) -> pd.DataFrame:
    """Open deals of a view with where they count: stage, amount (workspace currency), close_date, region, team, rep."""
    columns = ["status", "stage", "amount", "currency", "close_date", "owner_id", "account_id", "deleted"]
    rows = view.state("opportunity", columns)
    rows = rows.filter(rows.status == "open", ~ibis.coalesce(rows.deleted, False))
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region"], prefix="account_")
    own = ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True)
    found = rows.select(
        "opportunity_id", "as_of", "close_date", stage=ibis.coalesce(rows.stage, "(no stage)"),
        amount=ibis.ifelse(own, rows.amount, None).cast("float64"), rep=rows.owner_id, team=rows.user_team_id,
        region=ibis.coalesce(rows.user_region, rows.account_region, pipeline.NO_REGION),
    )  # fmt: skip
    return view.frame(found)


def _open(view: View, end: dt.date) -> pd.DataFrame:
    """`pipeline.open_deals` with rep, team and due; NotEnoughData where none is open."""
    deals = pipeline.open_deals(view)
    if deals.empty:
        raise NotEnoughData("no deal is open; there is no pipeline to look at")
    deals = deals.merge(_placed(view)[["opportunity_id", "rep", "team"]], "left", "opportunity_id")
    return deals.assign(stage=deals["stage"].fillna("(no stage)"), due=health.due(deals["close_date"], end))


def _judged(past: pd.DataFrame) -> pd.DataFrame:
    """Past deals with the chance that the other quarters' rates gave them: quarter, amount, chance, won (in the quarter)."""
    parts = []
    for name, rows in past.groupby("quarter"):
        rest = past[past["quarter"] != name]
        chance = (
            health.by_rates(rows, health.rates(rest))
            if len(rest)
            else np.full(len(rows), rows["won_in_quarter"].mean())
        )
        parts.append(rows.assign(chance=chance))
    judged = pd.concat(parts, ignore_index=True)
    return judged[["quarter", "amount", "chance"]].assign(won=judged["won_in_quarter"])


def _revenue(view: View) -> pd.DataFrame:
    """What counts as revenue, in the workspace's currency: opportunity_id, at, amount, region, team, rep."""
    rows = revenue.entries(view, revenue.basis(view))
    rows = rows.filter(ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True))
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region"], prefix="account_")
    found = rows.select(
        "opportunity_id", at=rows.occurred_at, amount=rows.amount.cast("float64"), rep=rows.owner_id, team=rows.user_team_id,
        region=ibis.coalesce(rows.user_region, rows.account_region, pipeline.NO_REGION),
    )  # fmt: skip
    return view.frame(found)


def _history(entries: pd.DataFrame, past: pd.DataFrame, quarters: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """What past quarters brought beside their open deals, and the share of a won deal's amount that became revenue in its quarter.

    The frame has level, name, quarter, other (revenue of the quarter's rest that its then open deals did not bring) and trailing
    (revenue of the 182 days before). Where revenue does not name its deals the share is 1, and won amounts are taken off instead.
    """
    first, parts, landed, won = entries["at"].min(), [], 0.0, 0.0
    named = bool(entries["opportunity_id"].notna().any())
    row: Any
    for row in quarters.iloc[1:].itertuples():
        if row.at - LATELY < first:
            break
        rest = entries[(entries["at"] >= row.at) & (entries["at"] < row.ends)]
        wins = past[(past["quarter"] == row.start) & past["won_in_quarter"]]
        brought = rest[rest["opportunity_id"].isin(wins["opportunity_id"])] if named else wins
        landed, won = landed + float(brought["amount"].sum()), won + float(wins["amount"].sum())
        trailing = entries[(entries["at"] >= row.at - LATELY) & (entries["at"] < row.at)]
        part = pd.DataFrame({"rest": _sums(rest), "brought": _sums(brought), "trailing": _sums(trailing)}).fillna(0.0)
        parts.append(part.reset_index().assign(other=(part["rest"] - part["brought"]).to_numpy(), quarter=row.start))
    columns = ["level", "name", "quarter", "other", "trailing"]
    share = landed / won if named and won > 0 else 1.0
    return (pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)), share


def _sums(rows: pd.DataFrame) -> pd.Series:
    """Amounts by (level, name)."""
    member = quarter.memberships(rows)
    amounts = rows["amount"].astype("float64").fillna(0.0).to_numpy()[member["row"]]
    return member.assign(amount=amounts).groupby(["level", "name"])["amount"].sum()


def _quota_rows(view: View, now: pd.Series) -> pd.DataFrame:
    """Revenue targets of exactly this quarter: level, name, label, quota; the company first, its quota missing where none is set."""
    rows = view.frame(
        view.state("quota", ["entity_type", "entity_id", "period_start", "period_end", "target", "amount", "currency"])
    )
    days = {name: pd.to_datetime(rows[name]).dt.date for name in ("period_start", "period_end")}
    own = rows["currency"].isna() | (rows["currency"] == view.tables.workspace.settings.currency)
    this = (
        own
        & rows["target"].fillna("revenue").eq("revenue")
        & days["period_start"].eq(now["start"])
        & days["period_end"].eq(now["end"])
    )
    rows = rows[this].rename(columns={"entity_type": "level", "entity_id": "name", "amount": "quota"})
    rows["quota"] = rows["quota"].astype("float64")
    rows.loc[rows["level"] == quarter.COMPANY, "name"] = quarter.COMPANY
    if not rows["level"].eq(quarter.COMPANY).any():
        rows = pd.concat(
            [rows, pd.DataFrame({"level": [quarter.COMPANY], "name": [quarter.COMPANY], "quota": [np.nan]})]
        )
    names = {quarter.COMPANY: "the company"}
    for table in ("user", "team"):
        known = view.frame(view.state(table, ["name"]))
        names |= dict(zip(known[f"{table}_id"], known["name"].fillna(known[f"{table}_id"]), strict=True))
    rows["label"] = rows["name"].map(names).fillna(rows["name"])
    order = rows["level"].map({level: place for place, level in enumerate(quarter.LEVELS)})
    rows = rows.assign(order=order).sort_values(["order", "label", "name"], ignore_index=True)
    return rows[["level", "name", "label", "quota"]]


def _chances(
    deals: pd.DataFrame, shock: quarter.Shock, books: Books, quotas: pd.DataFrame, now: pd.Series
) -> tuple[pd.DataFrame, np.ndarray]:
    """`quotas` with booked, open_amount and `quarter.chance_of_quota`, and the draws of the company's landing."""
    entries, landing_deals = books.entries, deals.assign(amount=deals["amount"].astype("float64") * books.landed)
    drawn = quarter.simulate(landing_deals, shock.size)
    booked = _sums(entries[(entries["at"] >= now["begins"]) & (entries["at"] < now["at"])])
    trailing = _sums(entries[(entries["at"] >= now["at"] - LATELY) & (entries["at"] < now["at"])])
    parts, landing = [], np.zeros(0)
    row: Any
    for place, row in enumerate(quotas.itertuples()):
        key = (row.level, row.name)
        mine = landing_deals if row.level == quarter.COMPANY else landing_deals[deals[row.level] == row.name]
        won = drawn[key].to_numpy() if key in drawn else np.zeros(quarter.DRAWS)
        other = quarter.others(books.history, *key, trailing=float(trailing.get(key, 0.0)), seed=place + 1)
        so_far, open_amount = float(booked.get(key, 0.0)), float(deals["amount"].astype("float64")[mine.index].sum())
        shared = quarter.shared_variance(mine, shock.size)
        found = quarter.chance_of_quota(won, other, so_far, row.quota, open_amount, shared)
        parts.append({"booked": so_far, "open_amount": open_amount, **found})
        if row.level == quarter.COMPANY:
            landing = so_far + won + (0.0 if other is None else other)
    return pd.concat([quotas, pd.DataFrame(parts)], axis=1), landing
