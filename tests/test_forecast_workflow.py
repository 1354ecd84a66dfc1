"""Revenue from the lake: exact sums, complete months only, coherent regions, nothing below zero."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from salesml.analytics.revenue import basis, monthly
from salesml.errors import BadInput, NotEnoughData
from salesml.lake import Lake, visible
from salesml.workflows.forecast import forecast_revenue
from salesml.workspace import Workspace


def invoices(amounts: dict[str, str], currency: str = "USD") -> dict[str, pa.Table]:
    rows = [
        {
            "revenue_id": str(number),
            "amount": Decimal(amount),
            "currency": currency,
            "kind": "invoice",
            "occurred_at": dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC),
        }
        for number, (day, amount) in enumerate(amounts.items())
    ]
    return {"revenue": pa.Table.from_pylist(rows)}


def test_monthly_revenue_equals_a_plain_sum(small_workspace: Workspace) -> None:
    tables = Lake(small_workspace).open()
    as_of = small_workspace.instant("2026-05-20")
    found = monthly(visible(tables, as_of))
    rows = tables.rows("revenue").to_pandas()
    rows = rows[(rows["known_at"] < as_of) & (rows["kind"] == "invoice") & (rows["occurred_at"] < "2026-05-01")]
    month = rows["occurred_at"].dt.strftime("%Y-%m")
    plain = rows.groupby(month)["amount"].sum()
    mine = found.groupby(found["month"].dt.strftime("%Y-%m"))["amount"].sum()
    assert mine.to_dict() == plain.to_dict(), "to the cent"
    assert found["month"].max() == pd.Timestamp("2026-04-01"), "May is not complete on the 20th"


def test_months_are_those_of_the_workspace_zone(tmp_path: object) -> None:
    workspace = Workspace.create(f"{tmp_path}/zone", time_zone="America/Chicago")
    days = {"2026-01-01T05:59:00": "10.00", "2026-01-01T06:00:00": "20.00", "2026-02-10T00:00:00": "5.00"}
    Lake(workspace).ingest(invoices(days), origin="t")
    found = monthly(visible(Lake(workspace).open(), "2026-03-01"))
    assert dict(zip(found["month"].dt.strftime("%Y-%m"), found["amount"], strict=True)) == {
        "2025-12": Decimal("10.00"),
        "2026-01": Decimal("20.00"),
        "2026-02": Decimal("5.00"),
    }


def test_won_deals_are_revenue_where_nothing_is_invoiced(workspace: Workspace) -> None:
    at = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    rows = [
        {"opportunity_id": "A", "change_id": "created", "occurred_at": at, "status": "open", "amount": None},
        {"opportunity_id": "A", "change_id": "closed", "occurred_at": at.replace(day=9), "status": "won", "amount": 7},
        {"opportunity_id": "B", "change_id": "created", "occurred_at": at, "status": "lost", "amount": 100},
    ]
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist(rows)}, origin="t")
    view = visible(Lake(workspace).open(), "2026-03-01")
    assert basis(view) == "won"
    assert monthly(view)["amount"].tolist() == [Decimal("7.00")]


def test_other_currencies_are_refused_with_their_count(workspace: Workspace) -> None:
    Lake(workspace).ingest(invoices({"2026-01-05": "1.00", "2026-01-06": "2.00"}, "EUR"), origin="t")
    with pytest.raises(BadInput, match="2 in EUR"):
        monthly(visible(Lake(workspace).open(), "2026-03-01"))


def test_without_a_complete_month_there_is_no_forecast(workspace: Workspace) -> None:
    Lake(workspace).ingest(invoices({"2026-01-05": "1.00"}), origin="t")
    with pytest.raises(NotEnoughData, match="no complete month"):
        forecast_revenue(workspace, "2026-01-20")
    with pytest.raises(NotEnoughData):
        forecast_revenue(workspace, "2026-02-02")


def test_published_regions_sum_to_the_company_and_bounds_are_ordered(small_workspace: Workspace) -> None:
    view = visible(Lake(small_workspace).open(), dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("forecast"))
    company = kept[kept["entity_type"] == "company"].set_index("period_start")["amount"]
    regions = kept[kept["entity_type"] == "region"].groupby("period_start")["amount"].sum()
    assert len(company) == 3 and company.to_dict() == regions.to_dict()
    assert (kept["lo95"] >= 0).all()
    for low, high in (("lo95", "lo80"), ("lo80", "amount"), ("amount", "hi80"), ("hi80", "hi95")):
        assert (kept[low] <= kept[high]).all()
    assert kept["run_id"].str.len().gt(0).all() and kept["author"].str.len().gt(0).all()


def test_running_totals_are_kept_with_an_interval_of_their_own(small_workspace: Workspace) -> None:
    view = visible(Lake(small_workspace).open(), dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("forecast")).sort_values("period_start")
    assert len(kept) > 3
    for _, rows in kept.groupby(["entity_type", "entity_id"]):
        totals = pd.DataFrame([json.loads(told)["total"] for told in rows["accuracy"]]).map(Decimal)
        assert totals["amount"].tolist() == rows["amount"].cumsum().tolist(), "to the cent"
        last, added = totals.iloc[-1].astype("float64"), rows[["lo80", "hi80"]].astype("float64").sum()
        assert 0 <= last["lo95"] <= last["lo80"] <= last["amount"] + 0.01 and last["amount"] - 0.01 <= last["hi80"] <= last["hi95"]
        assert last["hi80"] - last["lo80"] < 1.2 * (added["hi80"] - added["lo80"])


def test_months_below_zero_and_a_silent_last_month_are_told(workspace: Workspace) -> None:
    amounts = {f"2025-{month:02d}-10": "100.00" for month in range(1, 12)} | {"2025-06-11": "-500.00"}
    Lake(workspace).ingest(invoices(amounts), origin="t")
    result = forecast_revenue(workspace, "2026-01-05", months=2, prophet=False)
    assert any("below zero" in note for note in result.notes)
    assert any("no revenue in 2025-12" in note for note in result.notes)
    assert (result.forecast["amount"] >= 0).all()
    assert result.forecast["period_start"].tolist() == [dt.date(2026, 1, 1), dt.date(2026, 2, 1)]
