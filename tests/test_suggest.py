"""A draft for files never seen: it validates, imports as it is, and dates nothing earlier than it was known."""

from __future__ import annotations

import datetime as dt

import pytest
from conftest import shared_data
from importing import believed, bring_in, put, rejected

from salesml.errors import BadInput
from salesml.sources.mapping import parse_mapping
from salesml.sources.suggest import suggest_mapping

DEALS = """Deal ID;Deal Owner;Company;Deal Stage;Deal Value;Create Date;Close Date;Mood
D-1;Ann;Acme;Closed Won;1.200,50;13.01.2024;20.02.2024;sunny
D-2;Bob;Blue;Closed Lost;900,00;14.01.2024;21.02.2024;grey
D-3;Ann;Cora;Negotiation;2.000,00;15.01.2024;;sunny
"""
ORDERS = "Order No,Order Date,Customer ID,Customer Name,SKU,Category,Qty,Unit Price\n" + "".join(
    f"O{i // 2},2024-03-{i + 1:02d},C{i % 3},Customer {i % 3},P{i % 2},Kind {i % 2},{i + 1},2.50\n" for i in range(8)
)


def draft_and_import(workspace, folder):
    draft = suggest_mapping(folder)
    return draft, bring_in(workspace, folder, mapping=parse_mapping(draft.text, "draft.yaml"))


def test_a_file_of_deals_becomes_changes_known_when_they_happened(workspace, tmp_path):
    draft, report = draft_and_import(workspace, put(tmp_path / "in", DEALS, "crm export.csv"))
    assert report.counts["opportunity"]["added"] == 8 and rejected(workspace) == []
    rows = {(row["opportunity_id"], row["change_id"]): row for row in believed(workspace)}
    won = rows["D-1", "closed"]
    assert (won["status"], str(won["amount"]), won["occurred_at"].date()) == ("won", "1200.50", dt.date(2024, 2, 20))
    created = rows["D-1", "created"]
    assert (created["owner_id"], created["account_id"], created["amount"], created["status"]) == (
        "Ann",
        "Acme",
        None,
        "open",
    )
    later = rows["D-3", "export"]
    assert str(later["amount"]) == "2000.00" and later["custom"] == '{"Mood":"sunny"}'
    assert later["occurred_at"] > max(row["occurred_at"] for row in rows.values() if row["change_id"] == "closed")
    assert "-- Deal Owner -> owner_id (sure); 2 values" in draft.text and "-- Mood -> not mapped" in draft.text
    assert any("tried: 8 opportunity rows; 0 rejected" in note for note in draft.notes)


def test_order_lines_become_revenue_customers_and_products(workspace, tmp_path):
    _, report = draft_and_import(workspace, put(tmp_path / "in", ORDERS, "orders.csv"))
    assert {name: counts["added"] for name, counts in report.counts.items()} == {
        "revenue": 8,
        "account": 3,
        "product": 2,
    }
    assert str(sum(row["amount"] for row in believed(workspace, "revenue"))) == "90.00"
    assert {row["name"] for row in believed(workspace, "account")} == {"Customer 0", "Customer 1", "Customer 2"}
    assert report.issues == []


def test_leads_without_dates_are_known_from_the_export(workspace, tmp_path):
    leads = "Prospect ID,Lead Source,Converted,Pages\np1,web,1,5\np2,mail,0,2\np3,web,0,1\n"
    draft_and_import(workspace, put(tmp_path / "in", leads, "leads.csv"))
    status = {(r["lead_id"], r["change_id"]): r["status"] for r in believed(workspace, "lead")}
    assert status["p1", "export"] == "converted" and status["p2", "export"] == "open"
    assert all(row["known_at_assumed"] for row in believed(workspace, "lead"))


def test_dates_that_cannot_be_told_are_left_to_the_reader(tmp_path):
    draft = suggest_mapping(
        put(tmp_path / "in", "deal id,amount,created,stage\n1,5,01/02/2024,new\n2,6,03/04/2024,old\n")
    )
    assert "# dates: dmy" in draft.text and any("day and month cannot be told apart" in note for note in draft.notes)


def test_files_that_fit_nothing_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"no table fits these columns \(deals.csv: x, y\)"):
        suggest_mapping(put(tmp_path / "in", "x,y\n1,2\n"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("olist_marketing_funnel", {"opportunity", "lead"}),
        ("adventureworks_sales", {"revenue", "account", "product", "user", "quota", "territory"}),
        ("x_education_leads", {"lead"}),
    ],
)
def test_public_files_import_as_drafted(workspace, name, expected):
    folder = shared_data(name)
    _, report = draft_and_import(workspace, folder)
    assert set(report.counts) == expected
    assert rejected(workspace) == [] and all(counts["added"] for counts in report.counts.values())
