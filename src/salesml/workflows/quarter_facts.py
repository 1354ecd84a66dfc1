"""What the lake knows of a quarter, as of an instant: deals of past quarters and their ends, revenue, who is called what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.analytics import health, pipeline, quarter, revenue
from salesml.errors import NotEnoughData
from salesml.features.spines import deal_lives
from salesml.lake import Tables, View, visible
from salesml.workflows.deals import MODEL

LATELY = pd.Timedelta(days=182)
TARGETS = {"won": "probability", "won_in_quarter": "p_quarter"}
"""Targets of the deal model's predictions, and what they are called as scores."""


@dataclass(frozen=True)
class Books:
    """Revenue (`revenue_entries`); what past quarters brought beside their open deals, the share of a win that lands in time, and the share
    of what came from elsewhere that deals brought which were not open yet (`history`)."""

    entries: pd.DataFrame
    history: pd.DataFrame
    landed: float
    fresh: float


def lives(view: View) -> pd.DataFrame:
    """`deal_lives` of all deals with amount (workspace currency, the latest known)."""
    rows = view.state("opportunity", ["amount", "currency"])
    own = ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True)
    amounts = view.frame(rows.select("opportunity_id", amount=ibis.ifelse(own, rows.amount, None).cast("float64")))
    found = view.frame(deal_lives(view)).merge(amounts, "left", "opportunity_id")
    return found.sort_values("opportunity_id", ignore_index=True)


def past(tables: Tables, lives: pd.DataFrame, quarters: pd.DataFrame) -> pd.DataFrame:
    """Deals open at the same day of past quarters, as known then, and what became of them.

    Columns: quarter (its start), as_of, opportunity_id, stage, due, amount, region, team, rep, won_in_quarter, won, closed_at.
    """
    spine = lives.drop(columns="amount").merge(quarters.iloc[1:][["start", "at", "ends"]], "cross")
    spine = spine[
        (spine["first_known_at"] < spine["at"]) & (spine["closed_at"].isna() | (spine["closed_at"] >= spine["at"]))
    ]
    if spine.empty:
        raise NotEnoughData(
            "no deal was open at this day of a past quarter; pipeline health needs some to tell what is usual"
        )
    then = visible(tables, spine[["opportunity_id", "at"]].rename(columns={"at": "as_of"}))
    quarter_of = quarters.set_index("at")
    deals = placed(then).sort_values(["as_of", "opportunity_id"], ignore_index=True)  # sums of floats depend on the order
    deals["quarter"] = deals["as_of"].map(quarter_of["start"])
    deals["due"] = health.due(deals["close_date"], deals["as_of"].map(quarter_of["end"]))
    ends = lives.set_index("opportunity_id").reindex(deals["opportunity_id"])
    won = ends["status"].eq("won").to_numpy()
    in_time = ends["closed_at"].to_numpy() < deals["as_of"].map(quarter_of["ends"]).to_numpy()
    return deals.assign(won=won, won_in_quarter=won & in_time, closed_at=ends["closed_at"].to_numpy())


def placed(view: View) -> pd.DataFrame:
    """Open deals of a view with where they count: stage, call (the rep's), type, amount (workspace currency), close_date, region, team,
    rep, industry.
    """
    columns = ["status", "stage", "amount", "currency", "close_date", "forecast_category", "type", "owner_id", "account_id",
               "deleted"]  # fmt: skip
    rows = view.state("opportunity", columns)
    rows = rows.filter(rows.status == "open", ~ibis.coalesce(rows.deleted, False))
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region", "industry"], prefix="account_")
    own = ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True)
    found = rows.select(
        "opportunity_id", "as_of", "close_date", stage=ibis.coalesce(rows.stage, "(no stage)"), call=rows.forecast_category, type=rows.type,
        amount=ibis.ifelse(own, rows.amount, None).cast("float64"), rep=rows.owner_id, team=rows.user_team_id,
        region=ibis.coalesce(rows.user_region, rows.account_region, pipeline.NO_REGION), industry=rows.account_industry,
    )  # fmt: skip
    return view.frame(found)


def revenue_entries(view: View) -> pd.DataFrame:
    """What counts as revenue, in the workspace's currency: opportunity_id, at, amount, region, team, rep, industry."""
    rows = revenue.entries(view, revenue.basis(view))
    rows = rows.filter(ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True))
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region", "industry"], prefix="account_")
    found = rows.select(
        "opportunity_id", at=rows.occurred_at, amount=rows.amount.cast("float64"), rep=rows.owner_id, team=rows.user_team_id,
        region=ibis.coalesce(rows.user_region, rows.account_region, pipeline.NO_REGION), industry=rows.account_industry,
    )  # fmt: skip
    return view.frame(found).sort_values(["at", "opportunity_id", "rep", "amount"], ignore_index=True)  # one order, one sum


def history(
    entries: pd.DataFrame, past: pd.DataFrame, lives: pd.DataFrame, quarters: pd.DataFrame
) -> tuple[pd.DataFrame, float, float]:
    """What past quarters brought beside their open deals, and two shares.

    The frame has level, name, quarter, other (revenue of the quarter's rest that its then open deals did not bring) and trailing
    (revenue of the 182 days before). The shares: of a won deal's amount, what became revenue in its quarter; of `other`, what deals
    brought that came after that day. Where revenue does not name its deals the first is 1, and won amounts stand for what they brought.
    """
    first, parts, landed, won, fresh, other = entries["at"].min(), [], 0.0, 0.0, 0.0, 0.0
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
        part = pd.DataFrame({"rest": sums(rest), "brought": sums(brought), "trailing": sums(trailing)}).fillna(0.0)
        parts.append(part.reset_index().assign(other=(part["rest"] - part["brought"]).to_numpy(), quarter=row.start))
        later = lives[lives["first_known_at"] >= row.at]
        in_time = later["status"].eq("won") & (later["closed_at"] < row.ends)
        new = rest[rest["opportunity_id"].isin(later["opportunity_id"])] if named else later[in_time]
        fresh, other = fresh + float(new["amount"].sum()), other + float(rest["amount"].sum() - brought["amount"].sum())
    columns = ["level", "name", "quarter", "other", "trailing"]
    share = landed / won if named and won > 0 else 1.0
    frame = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    return frame, share, float(np.clip(fresh / other, 0, 1)) if other > 0 else 0.0


def sums(rows: pd.DataFrame) -> pd.Series:
    """Amounts by (level, name)."""
    member = quarter.memberships(rows)
    amounts = rows["amount"].astype("float64").fillna(0.0).to_numpy()[member["row"]]
    return member.assign(amount=amounts).groupby(["level", "name"])["amount"].sum()


def predictions(view: View) -> Any:
    """Ibis rows of the deal model's kept predictions in TARGETS; of `won`, those of the end, not within some days."""
    rows = view.facts("prediction")
    return rows.filter(rows.model == MODEL, rows.target.isin(list(TARGETS)), rows.horizon_days.isnull() | (rows.target != "won"))


def as_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Predictions (opportunity_id, target, point; one a deal and target) as scores: opportunity_id, probability, p_quarter or missing."""
    wide = rows.pivot(index="opportunity_id", columns="target", values="point").rename_axis(columns=None)
    return wide.reindex(columns=list(TARGETS)).rename(columns=TARGETS).dropna(subset="probability").reset_index()


def labels(view: View) -> dict[str, str]:
    """What reps, teams and the company are called."""
    names = {quarter.COMPANY: "the company"}
    for table in ("user", "team"):
        known = view.frame(view.state(table, ["name"]))
        names |= dict(zip(known[f"{table}_id"], known["name"].fillna(known[f"{table}_id"]), strict=True))
    return names


def this_quarter(entries: pd.DataFrame, now: pd.Series) -> pd.DataFrame:
    """Revenue of the quarter so far."""
    return entries[(entries["at"] >= now["begins"]) & (entries["at"] < now["at"])]


def lately(entries: pd.DataFrame, now: pd.Series) -> pd.DataFrame:
    """Revenue of the 182 days before."""
    return entries[(entries["at"] >= now["at"] - LATELY) & (entries["at"] < now["at"])]
