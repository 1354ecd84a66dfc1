"""Small files that the tests of studies share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def deals(rows: int = 900, seed: int = 0, signal: float = 1.0) -> pd.DataFrame:
    """A closed-deal table as exported: texts, money, dates, an id with leading zeros; `signal` 0 makes it pure chance."""
    rng = np.random.default_rng(seed)
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 500, rows)), unit="D")
    region = rng.choice(["North", "South", "None"], rows)
    amount = rng.lognormal(9, 1, rows).round(2)
    first_call = created - pd.to_timedelta(rng.integers(0, 30, rows), unit="D")
    closed = created + pd.to_timedelta(rng.integers(1, 90, rows), unit="D")
    z = -0.5 + signal * (1.2 * (region == "North") - 0.9 * (np.log(amount) - 9))
    won = rng.random(rows) < 1 / (1 + np.exp(-z))
    return pd.DataFrame(
        {
            "Deal": [f"{number:06d}" for number in range(rows)],
            "Created": created.strftime("%Y-%m-%d"),
            "First call": first_call.strftime("%Y-%m-%d"),
            "Region": region,
            "Amount": [f"${value:,.2f}" for value in amount],
            "Touches": np.where(rng.random(rows) < 0.1, "", rng.poisson(4, rows).astype(str)),
            "Closed": closed.strftime("%Y-%m-%d"),
            "Result": np.where(won, "Won", "Lost"),
        }
    )


def write(table: pd.DataFrame, path: Path, **options: object) -> Path:
    """The table as a CSV file."""
    table.to_csv(path, index=False, **options)  # type: ignore[call-overload]
    return path
