"""The knobs of a simulated company: one dataclass, checked when it is made; presets, and families of worlds."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from salesml.errors import BadParameter, UnknownName

LAW = 1
"""Version of the laws in this package: raised whenever the same knobs give another company."""
DEALS_PER_REP_AND_YEAR = 40
LEADS_PER_DEAL = 3.3
WARM_UP_WEEKS = 26
"""The CRM is this much older than the ledger, so that the first month of revenue meets a filled pipeline."""
CURRENCIES = ("EUR", "GBP", "CAD", "USD", "CHF")
"""What foreign regions sell in, the company's own currency left out."""

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "reps": (1, 5_000),
    "years": (0.5, 20),
    "deals": (20, 2_000_000),
    "leads": (0, 10_000_000),
    "signal": (0, 3),
    "confounding": (0, 3),
    "effect": (0, 2),
    "drift": (0, 3),
    "tails": (0, 1),
    "late": (0, 0.5),
    "faults": (0, 3),
    "currencies": (1, 4),
}
WHOLE = ("seed", "reps", "deals", "leads", "currencies")
EARLIEST, LATEST = dt.date(2001, 1, 1), dt.date(2100, 1, 1)


@dataclass(frozen=True)
class Knobs:
    """What a company is made from; `salesml.world.company` explains each. Raises BadParameter with the valid range."""

    seed: int = 7
    reps: int = 24
    years: float = 3.0
    deals: int | None = None
    leads: int | None = None
    end: dt.date = dt.date(2026, 7, 1)
    signal: float = 1.0
    confounding: float = 1.0
    effect: float = 1.0
    drift: float = 0.3
    tails: float = 0.0
    late: float = 0.08
    faults: float = 1.0
    currencies: int = 1
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if name in ("deals", "leads") and value is None:
                continue
            whole = name in WHOLE
            number = isinstance(value, (int, np.integer) if whole else (int, float, np.number))
            if isinstance(value, bool) or not number or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise BadParameter(f"{name} {value!r} is not {kind} from {low:,} to {high:,}")
        if not isinstance(self.end, dt.date) or isinstance(self.end, dt.datetime) or not EARLIEST <= self.end <= LATEST:
            raise BadParameter(f"end {self.end!r} is not a date from {EARLIEST} to {LATEST}")
        if not (isinstance(self.currency, str) and re.fullmatch(r"[A-Z]{3}", self.currency)):
            raise BadParameter(f"currency {self.currency!r} is not a three-letter ISO 4217 code such as USD")

    @classmethod
    def of(cls, **chosen: Any) -> Knobs:
        """Knobs by name; UnknownName lists them."""
        valid = [field.name for field in fields(cls)]
        for name in chosen:
            if name not in valid:
                raise UnknownName("knob of the world", name, valid)
        return cls(**chosen)

    @property
    def deal_count(self) -> int:
        """How many new deals are opened in the company's life; renewals come on top."""
        return self.deals or max(20, round(self.reps * (self.years + WARM_UP_WEEKS / 52) * DEALS_PER_REP_AND_YEAR))

    @property
    def lead_count(self) -> int:
        """How many leads come in."""
        return round(self.deal_count * LEADS_PER_DEAL) if self.leads is None else self.leads

    @property
    def money(self) -> tuple[str, ...]:
        """The currencies regions sell in, the company's own first."""
        foreign = [code for code in CURRENCIES if code != self.currency]
        return (self.currency, *foreign[: self.currencies - 1])


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"reps": 6, "years": 1.5, "deals": 400},
    "demo": {"reps": 40, "years": 4.0},
    "enterprise": {"reps": 500, "years": 5.0, "deals": 315_000, "leads": 1_040_000, "currencies": 4},
}
"""Frozen: methods are compared on these. A change of a preset is a change of LAW."""

FAMILIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "weak": {"signal": 0.4},
    "no_signal": {"signal": 0.0},
    "confounded": {"confounding": 2.0},
    "no_effect": {"effect": 0.0},
    "drifting": {"drift": 2.0},
    "heavy_tails": {"tails": 1.0},
    "faulty": {"faults": 3.0, "late": 0.3},
    "handful": {"reps": 3, "years": 1.0, "deals": 70},
}
"""Changes to a preset that make a family of worlds; `handful` leaves about 20 won and 20 lost deals."""
