"""Levers of a scenario: what a sales leader may turn, what each turn means, and the refusal of what cannot be."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from salesml.errors import BadParameter, UnknownName

AREAS = ("region", "industry")
LIMITS = {"win_rate": (-1, 4), "cycle": (-0.9, 9), "price": (-0.9, 9), "creation": (-1, 9), "quota": (-0.9, 9), "market": (-1, 4)}
MOST_REPS, MOST_MONTHS = 100_000, 60
ORDER = ("cycle", "win_rate", "market", "price", "creation", "headcount", "quota")
"""The levers in the order in which they are turned; `headcount` goes with ramp_months, `quota` with quota_amount."""


@dataclass(frozen=True)
class Levers:
    """What is different from today until the quarter ends. Shares: 0.1 is a tenth more, -0.1 a tenth less; 0 is no change.

    win_rate: so many more deals won, by the one factor on every open deal's odds that makes the expected number of wins so much
    greater; revenue of deals not open yet follows in the same share. cycle: deals take so much longer (below 0: shorter); each
    deal's chance is that of closing within the time left ÷ (1 + cycle). price: amounts of open deals and of deals not open yet; it
    loses no deal (turn win_rate for that). creation: revenue of deals not open yet. headcount: reps who join (below 0: leave)
    today; creation follows, one who joins being as productive as the others after ramp_months, in equal steps until then. quota:
    of every quota, or quota_amount, the company's, all others in proportion. market: "region/West" or "industry/Retail" to the
    share more (below 0: fewer) won there, as win_rate. Raises BadParameter with the range of what is out of it.
    """

    win_rate: float = 0.0
    cycle: float = 0.0
    price: float = 0.0
    creation: float = 0.0
    headcount: int = 0
    ramp_months: float = 3.0
    quota: float = 0.0
    quota_amount: float | None = None
    market: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "market", _market(self.market))
        for name in ("win_rate", "cycle", "price", "creation", "quota"):
            object.__setattr__(self, name, _share(name, getattr(self, name), name))
        if not _number(self.headcount) or self.headcount != int(self.headcount) or abs(self.headcount) > MOST_REPS:
            raise BadParameter(f"headcount {self.headcount!r} is not a whole number of reps; give 5 for five more, -2 for two fewer")
        object.__setattr__(self, "headcount", int(self.headcount))
        if not _number(self.ramp_months) or not 0 <= self.ramp_months <= MOST_MONTHS:
            raise BadParameter(f"ramp_months {self.ramp_months!r} is not a number of months from 0 to {MOST_MONTHS}")
        if self.quota_amount is not None and (not _number(self.quota_amount) or not 0 < self.quota_amount < 1e15):
            raise BadParameter(f"quota_amount {self.quota_amount!r} is not an amount above 0; give the company's new quota, as 1250000")
        if self.quota and self.quota_amount is not None:
            raise BadParameter("quota and quota_amount both change the quota; give one of them")

    @property
    def turned(self) -> tuple[str, ...]:
        """The levers that change something, in their order."""
        on = {name: bool(getattr(self, name)) for name in ORDER}
        on["quota"] = bool(self.quota) or self.quota_amount is not None
        return tuple(name for name in ORDER if on[name])

    def only(self, name: str) -> Levers:
        """These levers with all but one back at no change."""
        kept = {"headcount": ("headcount", "ramp_months"), "quota": ("quota", "quota_amount")}.get(name, (name,))
        return Levers(**{one: getattr(self, one) for one in kept})

    def told(self) -> str:
        """The levers in words: "win rate +10 %, 5 reps more (3 months to full productivity)"; "no change"."""
        return ", ".join(self._told(name) for name in self.turned) or "no change"

    def _told(self, name: str) -> str:
        if name == "market":
            return ", ".join(f"{area} {_signed(share)} won" for area, share in self.market)
        if name == "headcount":
            more, count = ("more", self.headcount) if self.headcount > 0 else ("fewer", -self.headcount)
            ramp = f" ({self.ramp_months:g} months to full productivity)" if self.headcount > 0 else ""
            return f"{count:,} rep{'' if count == 1 else 's'} {more}{ramp}"
        if self.quota_amount is not None and name == "quota":
            return f"quota {self.quota_amount:,.0f}"
        return f"{name.replace('_', ' ')} {_signed(getattr(self, name))}"

    def as_dict(self) -> dict[str, Any]:
        """What differs from no change, as JSON can hold it; `Levers.of` reads it."""
        kept = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        return {**kept, "market": dict(self.market)} if self.market else kept

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Levers:
        """Levers by name; UnknownName lists those there are."""
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownName("lever", str(name), known)
        return cls(**values)


def share_of(text: str) -> float:
    """The share a text means: "10%", "-10 %" or "0.1"; BadParameter for anything else."""
    number = str(text).strip()
    try:
        return float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        raise BadParameter(f"{text!r} is not a share; give 10% or 0.1 for a tenth more, -10% for a tenth less") from None


def market_of(texts: Iterable[str]) -> dict[str, float]:
    """Markets with their shares from texts such as "region/West=-20%"; BadParameter for one written otherwise or named twice."""
    found: dict[str, float] = {}
    for text in texts:
        area, equals, share = str(text).rpartition("=")
        if not equals:
            raise BadParameter(f"market {text!r} has no share; give, for example, region/West=-20%")
        if area in found:
            raise BadParameter(f"market {area!r} is named twice; give it once")
        found[area] = share_of(share)
    return found


def _market(given: Any) -> tuple[tuple[str, float], ...]:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        found = {str(area): _share("market", share, f"market {area}") for area, share in pairs}
    except (TypeError, ValueError) as error:
        raise BadParameter(f"market {given!r} does not name areas with shares; give {{'region/West': -0.2}}") from error
    for area in found:
        kind, slash, name = area.partition("/")
        if kind not in AREAS or not slash or not name:
            raise BadParameter(f"market {area!r} is neither region/NAME nor industry/NAME; give, for example, region/West")
    return tuple(sorted((area, share) for area, share in found.items() if share))


def _share(name: str, value: Any, shown: str) -> float:
    low, high = LIMITS[name]
    if not _number(value) or not low <= value <= high:
        raise BadParameter(f"{shown} {value!r} is not a share from {low:g} to {high:g}; give 0.1 for a tenth more, -0.1 for a tenth less")
    return float(value)


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _signed(share: float) -> str:
    return f"{100 * share:+.4g} %"
