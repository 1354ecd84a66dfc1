"""What a converted lead brings as of a day, read from the lake."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import ibis
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.features.spines import deal_lives
from salesml.lake import Lake, View, visible
from salesml.lake.asof import Totals
from salesml.models.lead_value import LEAD, LeadValue
from salesml.workspace import Workspace

MEETINGS = Totals(
    "activity", by="opportunity_id", sums={"meetings": lambda rows: rows.type.isin(["meeting", "demo"]).fill_null(False).cast("int64")}
)
_DEAL = ["status", "owner_id", "lead_id", "account_id", "amount", "currency", "type", "segment", "product_id", "source", "deleted"]


def lead_value(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> LeadValue:
    """What a converted lead brings, in the workspace's currency, learnt from deals whose outcome was known before `as_of`.

    Raises NotEnoughData below 10 won and 10 other closed deals of leads.
    """
    tables = Lake(workspace).open()
    return lead_value_of(visible(tables, tables.instant(as_of)))


def lead_value_of(view: View) -> LeadValue:
    """The same from the view of one instant."""
    assert view.as_of is not None
    deals = deals_of_leads(view)
    if deals.empty:
        raise NotEnoughData(f"no deal is known as of {view.as_of:%Y-%m-%d}; import deals, or choose a later day")
    users = view.frame(view.state("user", ["hired_on"]))
    return LeadValue.fit(deals, users.set_index("user_id")["hired_on"], view.as_of, view.tables.workspace.settings.currency)


def deals_of_leads(view: View) -> pd.DataFrame:
    """Every deal known to an instant's view as `LeadValue.fit` takes it. Grain: one row per deal.

    Amounts are in the workspace's currency, those in another one by the latest rate known, missing where there is none.
    """
    rows = view.state("opportunity", _DEAL, first=["owner_id", "amount"])
    rows = rows.filter(~ibis.coalesce(rows.deleted, False)).drop("deleted")
    rows = view.with_state(rows, "account", "account_id", ["industry", "country", "employees"], prefix="account_")
    rows = view.with_state(rows, "lead", "lead_id", list(LEAD), prefix="lead_")
    rows = rows.left_join(deal_lives(view).select("opportunity_id", "closed_at"), "opportunity_id")
    rows = view.with_totals(rows, MEETINGS, "opportunity_id")
    own = partial(ibis.coalesce, rows.owner_id_first)
    found = view.frame(
        rows.select(
            "opportunity_id", "lead_id", "status", "type", "segment", "product_id", "source", "created_at", "closed_at", "currency",
            "meetings", owner_id=own(rows.owner_id), amount=rows.amount.cast("float64"), first_amount=rows.amount_first.cast("float64"),
            **{name: rows[f"account_{name}"] for name in ("industry", "country", "employees")},
            **{f"lead_{name}": rows[f"lead_{name}"] for name in LEAD},
        )
    ).sort_values("opportunity_id", ignore_index=True)  # fmt: skip
    rate = _rates(view, found["currency"])
    return found.assign(amount=found["amount"] * rate, first_amount=found["first_amount"] * rate).drop(columns="currency")


def _rates(view: View, currency: pd.Series) -> Any:
    """Units of the workspace's currency for one of each row's; missing where no rate is known, 1 where no currency is."""
    own = view.tables.workspace.settings.currency
    facts = view.facts("fx_rate")
    rates = view.frame(facts.filter(facts.to_currency == own).select("from_currency", "rate", "occurred_at"))
    latest = rates.sort_values("occurred_at", kind="stable").drop_duplicates("from_currency", keep="last") if len(rates) else rates
    known = dict(zip(latest["from_currency"], latest["rate"], strict=True)) if len(latest) else {}
    return currency.map({**known, own: 1.0}).where(currency.notna(), 1.0).astype("float64")
