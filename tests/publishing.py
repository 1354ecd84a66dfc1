"""What the tests of published forecasts share: months, revenue and forecasts as rows of the lake."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa

from salesml.contracts import table
from salesml.lake import Lake
from salesml.workspace import Workspace


def month(number: int) -> dt.date:
    """The first day of a month, 0 being January 2025."""
    return dt.date(2025 + number // 12, number % 12 + 1, 1)


def put(workspace: Workspace, name: str, rows: list[dict]) -> None:
    schema = pa.schema([field for field in table(name).schema if field.name in {key for row in rows for key in row}])
    Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="t")


def instant(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


def sold(number: int, amount: int) -> dict:
    at = instant(month(number).replace(day=10))
    return {"revenue_id": f"r{number}", "amount": Decimal(amount), "currency": "USD", "kind": "invoice", "occurred_at": at}


def forecast(made: int, of: int, amount: int, half: int = 10, wape: float | None = 0.1) -> dict:
    kept = {"lo95": amount - 2 * half, "lo80": amount - half, "hi80": amount + half, "hi95": amount + 2 * half}
    return {
        "forecast_id": f"{made}:{of}", "entity_type": "company", "entity_id": "company", "period_start": month(of),
        "period_end": month(of + 1), "amount": Decimal(amount), "currency": "USD", **{k: Decimal(v) for k, v in kept.items()},
        "accuracy": json.dumps(None if wape is None else {"wape": wape}), "as_of": instant(month(made)), "model": "revenue",
        "model_version": "ensemble", "occurred_at": instant(month(made)), "known_at": instant(month(made)),
    }  # fmt: skip
