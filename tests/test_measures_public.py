"""Measures on public sales data equal what SQL makes of the very files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from conftest import shared_data

from salesml.analytics.book import Book
from salesml.analytics.slices import measure
from salesml.sources.mapping import read_mapping
from salesml.workflows.books import book_of
from salesml.workflows.ingest import import_export
from salesml.workspace import Workspace

pytestmark = pytest.mark.slow
MAPPINGS = Path(__file__).parent / "mappings"


def imported(name: str, folder: str, factory: pytest.TempPathFactory) -> tuple[Book, Path]:
    there = shared_data(folder)
    workspace = Workspace.create(factory.mktemp(name) / name)
    report = import_export(workspace, read_mapping(MAPPINGS / f"{name}.yaml"), there)
    assert not report.issues, report.issues
    return book_of(Workspace.open(workspace.root)), there


@pytest.fixture(scope="module")
def superstore(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Path]:
    return imported("superstore", "superstore", tmp_path_factory)


@pytest.fixture(scope="module")
def adventureworks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Path]:
    return imported("adventureworks", "adventureworks_sales", tmp_path_factory)


def test_revenue_of_the_superstore_by_quarter_family_and_region(superstore):
    book, folder = superstore
    orders = f"read_csv('{folder}/Orders.csv.gz', all_varchar=true)"
    lines = f"""
      select date_trunc('quarter', "Order Date"::date) as period, "Category" as family, first_region as region,
        round("Sales"::double, 2)::decimal(18,2) as amount
      from {orders} join (
        select "Customer ID", arg_min("Region", "Order Date" || "Row ID") as first_region from {orders} group by 1
      ) using ("Customer ID")"""
    for keys, every in ((["family", "region"], "quarter"), (["family"], None), ([], "quarter"), ([], None)):
        by = [*keys, *(["period"] if every else [])]
        grouped = f"group by {', '.join(by)}" if by else ""
        told = duckdb.sql(f"select {', '.join([*by, 'sum(amount) as revenue'])} from ({lines}) {grouped}").df()
        found = measure(book, ["revenue"], by=keys, every=every)
        mine = {tuple(row[:-1]): row[-1] for row in found.itertuples(index=False)}
        theirs = {tuple(row[:-1]): Decimal(str(row[-1])).quantize(Decimal("0.01")) for row in told.itertuples(index=False)}
        assert mine == theirs


def test_attainment_of_salespeople_by_month_and_of_all(adventureworks):
    book, folder = adventureworks
    files = ("Sales.csv.gz", "Salesperson.csv", "Targets.csv")
    sales, people, targets = (f"read_csv('{folder}/{name}', all_varchar=true, delim='|')" for name in files)
    months = duckdb.sql(f"""
      with sold as (select EmployeeKey as rep, date_trunc('month', replace(OrderDate, '/', '-')::date) as period,
                    sum(replace(replace(Sales, '$', ''), ',', '')::decimal(18,2)) as revenue from {sales} group by 1, 2),
      asked as (select EmployeeKey as rep, replace(TargetMonth, '/', '-')::date as period, sum(TargetAmount::decimal(18,2)) as quota
                from {targets} join {people} using (EmployeeID) group by 1, 2)
      select rep, coalesce(sold.period, asked.period) as period, coalesce(revenue, 0) as revenue, quota
      from sold full join asked using (rep, period)""").df()  # fmt: skip
    found = measure(book, ["revenue", "quota", "quota_attainment"], by=["rep"], every="month")
    both = found.merge(months.assign(period=pd.to_datetime(months["period"]).astype(found["period"].dtype)), "outer", ["rep", "period"],
                       suffixes=("", "_sql"), indicator=True)  # fmt: skip
    assert (both["_merge"] == "both").all() and len(both) > 500
    assert (both["revenue"].astype("float64") == both["revenue_sql"].astype("float64")).all()
    assert both["quota"].astype("float64").equals(both["quota_sql"].astype("float64"))
    asked = both[both["quota_sql"].notna()]
    expected = asked["revenue_sql"].astype("float64") / asked["quota_sql"].astype("float64")
    assert asked["quota_attainment"].to_numpy() == pytest.approx(expected.to_numpy())
    assert measure(book, ["revenue"])["revenue"].iloc[0] == sum(found["revenue"])
