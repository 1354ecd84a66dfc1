"""The packaged mappings on the public data they are for: every row is accounted for."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pandas as pd
import pyarrow.csv as pacsv
import pytest
from conftest import shared_data
from importing import believed, rejected

from salesml.sources.mapping import packaged_mapping
from salesml.workflows.ingest import import_export
from salesml.workspace import Workspace


def read(folder, name):
    return pacsv.read_csv(folder / name).to_pylist()


def bring_in(workspace, name, folder):
    return import_export(workspace, packaged_mapping(name), folder)


def test_maven_deals_revenue_and_references_are_complete(workspace):
    folder = shared_data("maven_crm")
    deals = read(folder, "sales_pipeline.csv.gz")
    report = bring_in(workspace, "maven", folder)
    closed = [deal for deal in deals if deal["deal_stage"] in ("Won", "Lost")]
    assert report.counts["opportunity"]["added"] == len(deals) + len(closed)
    assert report.issues == [], "GTXPro and GTX Pro are one product, so every reference is known"
    booked = sum(row["amount"] for row in believed(workspace, "revenue"))
    assert booked == sum(Decimal(deal["close_value"]) for deal in closed if deal["deal_stage"] == "Won")
    undated = [row for row in believed(workspace) if row["stage"] == "Prospecting"]
    newest = max(row["occurred_at"] for row in believed(workspace) if row["stage"] != "Prospecting")
    assert len(undated) == sum(deal["deal_stage"] == "Prospecting" for deal in deals)
    assert all(row["occurred_at"] > newest and row["known_at_assumed"] for row in undated)


def test_bpic2012_has_every_event_once_and_keeps_their_order(workspace):
    folder = shared_data("bpic2012")
    events = read(folder, "bpic2012_events.csv.gz")
    report = bring_in(workspace, "bpic2012", folder)
    work = sum(event["concept:name"].startswith("W_") for event in events)
    assert report.counts["activity"]["added"] == work
    assert report.counts["opportunity"]["added"] == len(events) - work
    assert report.issues == [] and report.rows == len(events)
    assert Workspace.open(workspace.root).settings.time_zone == "Europe/Amsterdam"
    case = str(events[0]["case:concept:name"])
    given = [
        e["concept:name"]
        for e in events
        if str(e["case:concept:name"]) == case and not e["concept:name"].startswith("W_")
    ]
    rows = sorted((r for r in believed(workspace) if r["opportunity_id"] == case), key=lambda row: row["occurred_at"])
    assert [row["stage"] for row in rows] == given
    assert len({row["occurred_at"] for row in rows}) == len(rows)


@pytest.mark.slow
def test_bpic2012_owners_change_and_work_lasts_as_the_log_says(workspace):
    folder = shared_data("bpic2012")
    events = [e for e in read(folder, "bpic2012_events.csv.gz") if int(e["case:concept:name"]) % 20 == 0]
    events.sort(key=lambda e: pd.Timestamp(e["time:timestamp"]))  # stable: events of one instant keep the file's order
    bring_in(workspace, "bpic2012", folder)
    owners, started, minutes = defaultdict(list), {}, 0.0
    for event in events:
        case, name, step = (event[key] for key in ("case:concept:name", "concept:name", "lifecycle:transition"))
        if not name.startswith("W_"):
            who = f"{event['org:resource']:.0f}"
            owners[str(case)] += [who] if owners[str(case)][-1:] != [who] else []
            continue
        moment = pd.Timestamp(event["time:timestamp"])
        if step == "COMPLETE" and (case, name) in started:
            minutes += (moment - started[case, name]).total_seconds() / 60
        started.pop((case, name), None)
        if step == "START":
            started[case, name] = moment
    changes = [r for r in believed(workspace) if r["opportunity_id"] in owners and r["owner_id"]]
    changes.sort(key=lambda row: row["occurred_at"])
    found = {deal: [r["owner_id"] for r in changes if r["opportunity_id"] == deal] for deal in list(owners)[:50]}
    assert found == {deal: owners[deal] for deal in found}
    worked = [r["duration_minutes"] for r in believed(workspace, "activity") if r["opportunity_id"] in owners]
    assert sum(m for m in worked if m) == pytest.approx(minutes, rel=1e-9) and len(owners) > 300


@pytest.mark.slow
def test_iowa_keeps_the_revenue_of_stores_missing_from_the_list(workspace):
    folder = shared_data("iowa_liquor_b2b")
    orders = read(folder, "store_order_days.csv.gz")
    listed = {row["store_number"] for row in read(folder, "stores.csv")}
    report = bring_in(workspace, "iowa", folder)
    assert report.counts["revenue"]["added"] == len(orders)
    missing = [order for order in orders if order["store_number"] not in listed]
    assert {row[3] for row in rejected(workspace, "warning")} == {str(order["store_number"]) for order in missing}
    (line,) = report.issues
    assert (line.rows, line.severity) == (len(missing), "warning")
    regions = {row["region"] for row in believed(workspace, "account")}
    assert len(regions) > 10 and all(len(region) == 3 for region in regions)
