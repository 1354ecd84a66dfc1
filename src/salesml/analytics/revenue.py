"""Revenue by period and region: the series that forecasts are made of and judged against."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import ibis
import pandas as pd

from salesml.analytics.quarter import COMPANY, LEVELS
from salesml.errors import BadInput, NotEnoughData
from salesml.lake import View
from salesml.lake.asof import local_time

Basis = Literal["invoice", "order", "booking", "won"]
NO_REGION = "(no region)"


def basis(view: View) -> Basis:
    """What counts as revenue here: invoices where present, else orders, else bookings, else won amounts at their close date."""
    facts = view.facts("revenue")
    kinds = set(view.frame(facts.select("kind").distinct())["kind"])
    return next((kind for kind in ("invoice", "order", "booking") if kind in kinds), "won")  # type: ignore[return-value]


def monthly(view: View, by: Basis | None = None) -> pd.DataFrame:
    """Revenue known to an instant's view. Grain: one row per region and complete month with any revenue.

    Columns: region (the rep's, else the account's), month (its first day), amount (exact decimal, workspace currency).
    Months are of the workspace's time zone; the month as_of lies in is left out because it is not complete. Raises
    NotEnoughData without revenue, BadInput for amounts in another currency.
    """
    found = _complete_months(view, by, ["region"])
    return found.sort_values(["region", "month"], ignore_index=True)


def monthly_by_rep(view: View, by: Basis | None = None) -> pd.DataFrame:
    """`monthly` by region, team and rep (missing where revenue has none): region, team, rep, month, amount. Raises as `monthly`."""
    return _complete_months(view, by, ["region", "team", "rep"])


def monthly_by_level(view: View, by: Basis | None = None) -> pd.DataFrame:
    """`monthly` for every level. Grain: one row per level, name and complete month with any revenue: level, name, month, amount.

    Levels are company (name "company"), region, team, rep; revenue without a rep or team is in none of theirs. Raises as `monthly`.
    """
    rows = monthly_by_rep(view, by)
    parts = [rows.assign(level=level, name=COMPANY if level == COMPANY else rows[level]) for level in LEVELS]
    every = pd.concat(parts, ignore_index=True).dropna(subset=["name"])
    return every.groupby(["level", "name", "month"])["amount"].agg(_exact_sum).reset_index()


def _exact_sum(amounts: pd.Series) -> Any:
    return sum(amounts, Decimal(0))


def _complete_months(view: View, by: Basis | None, keys: list[str]) -> pd.DataFrame:
    """Exact sums by `keys` (of region, team, rep) and complete month, raising as `monthly` says."""
    workspace = view.tables.workspace
    assert view.as_of is not None, "monthly revenue is asked of an instant"
    rows = entries(view, by or basis(view))
    _refuse_other_currencies(view, rows, workspace.settings.currency)
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region"], prefix="account_")
    local = local_time(rows.occurred_at, workspace.settings.time_zone)
    rows = rows.select(
        region=ibis.coalesce(rows.user_region, rows.account_region, NO_REGION),
        team=rows.user_team_id,
        rep=rows.owner_id,
        month=local.truncate("M").date(),
        amount=rows.amount,
    )
    this_month = workspace.local_date(view.as_of).replace(day=1)
    rows = rows.filter(rows.month < this_month)
    frame = view.frame(rows.group_by([*keys, "month"]).aggregate(amount=rows.amount.sum()))
    if frame.empty:
        raise NotEnoughData("no complete month with revenue is known; import revenue or won deals first")
    return frame.assign(month=pd.to_datetime(frame["month"]))


def entries(view: View, by: Basis) -> Any:
    """Ibis rows of what counts as revenue: opportunity_id, account_id, owner_id, amount, currency, occurred_at (of a win: its close)."""
    if by != "won":
        facts = view.facts("revenue")
        return facts.filter(facts.kind == by).select(
            "opportunity_id", "account_id", "owner_id", "amount", "currency", "occurred_at", "as_of"
        )
    deals = view.state("opportunity", ["status", "amount", "currency", "owner_id", "account_id"], since=["status"])
    won = deals.filter(deals.status == "won", deals.amount.notnull())
    return won.select("opportunity_id", "account_id", "owner_id", "amount", "currency", "as_of", occurred_at=won.status_since)


def _refuse_other_currencies(view: View, rows: Any, currency: str) -> None:
    others = rows.filter(rows.currency.notnull() & (rows.currency != currency))
    counts = view.frame(others.group_by("currency").aggregate(rows=others.count()))
    if len(counts):
        listed = ", ".join(f"{row.rows} in {row.currency}" for row in counts.itertuples())
        raise BadInput(
            f"amounts are not all in the workspace's currency {currency}: {listed}",
            column="currency",
            mend="Convert them in the mapping, or set currency in workspace.toml.",
        )
