"""The knobs of a simulated company: one dataclass, checked when it is made."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from salesml.errors import BadParameter

DEALS_PER_REP_AND_YEAR = 40
WARM_UP_WEEKS = 26
"""The CRM is this much older than the ledger, so that the first month of revenue meets a filled pipeline."""

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "reps": (1, 5_000),
    "years": (0.5, 20),
    "deals": (20, 2_000_000),
    "signal": (0, 3),
    "late": (0, 0.5),
}
EARLIEST, LATEST = dt.date(2001, 1, 1), dt.date(2100, 1, 1)


@dataclass(frozen=True)
class Knobs:
    """What a company is made from; `salesml.world.company` explains each. Raises BadParameter with the valid range."""

    seed: int = 7
    reps: int = 24
    years: float = 3.0
    deals: int | None = None
    end: dt.date = dt.date(2026, 7, 1)
    signal: float = 1.0
    late: float = 0.08
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if name == "deals" and value is None:
                continue
            whole = name in ("seed", "reps", "deals")
            number = isinstance(value, (int, np.integer) if whole else (int, float, np.number))
            if isinstance(value, bool) or not number or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise BadParameter(f"{name} {value!r} is not {kind} from {low:,} to {high:,}")
        if not isinstance(self.end, dt.date) or isinstance(self.end, dt.datetime) or not EARLIEST <= self.end <= LATEST:
            raise BadParameter(f"end {self.end!r} is not a date from {EARLIEST} to {LATEST}")
        if not (isinstance(self.currency, str) and re.fullmatch(r"[A-Z]{3}", self.currency)):
            raise BadParameter(f"currency {self.currency!r} is not a three-letter ISO 4217 code such as USD")

    @property
    def deal_count(self) -> int:
        """How many deals are opened in the company's life."""
        return self.deals or max(20, round(self.reps * (self.years + WARM_UP_WEEKS / 52) * DEALS_PER_REP_AND_YEAR))


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"reps": 6, "years": 1.5, "deals": 400},
    "demo": {"reps": 40, "years": 4.0},
}
