"""Hot, warm, cold: whether working a lead brings more than it costs, and whether there is time for it.

A lead is worth working when its chance to convert × what a converted lead brings exceeds what working it costs. Of those, as many are
hot as there is time for, the ones that bring most first; the others are warm: nurture them, or find more time. What costs more than it
brings is cold. (Priority by expected net value under a capacity: the fractional knapsack of Dantzig 1957, whose items cost the same
here.) It counts what a lead brings if worked against nothing if not: what leads bring unasked only an experiment could tell.

Rules are YAML; thresholds of one's own take the place of value and time:

    name: spring
    capacity_per_week: 120      # leads there is time for; default: as many as were worked in a usual week
    cost_per_hour: 60           # in the workspace's currency; the minutes a lead takes are measured
    cost_per_lead: 45           # instead of minutes × cost per hour
    hot_at: 0.20                # hot from this chance on, whatever the time
    warm_at: 0.05               # warm from this chance on, whatever the value
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import yaml
from scipy.special import logit
from scipy.stats import norm

from salesml.errors import BadInput, BadParameter

HOT, WARM, COLD = GRADES = ("hot", "warm", "cold")
COST_PER_HOUR = 60.0
"""What an hour of work costs where the rules do not say, in the workspace's currency: an assumption, said wherever it is used."""
INTERVAL_SDS = 2 * float(norm.ppf(0.95))
"""Width of a 90 % interval in standard deviations."""
_NUMBERS = ("capacity_per_week", "cost_per_hour", "cost_per_lead", "hot_at", "warm_at")


@dataclass(frozen=True)
class Rules:
    """What grades are drawn by; what is None is worked out from the history."""

    name: str = "usual"
    capacity_per_week: int | None = None
    cost_per_hour: float = COST_PER_HOUR
    cost_per_lead: float | None = None
    hot_at: float | None = None
    warm_at: float | None = None
    text: str = ""

    @property
    def version(self) -> str:
        """The first twelve digits of the text's digest: another text is another version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def read_rules(path: Path) -> Rules:
    """The rules in a YAML file; BadInput names what is wrong, where, and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
        told = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"the rules cannot be read ({error})", file=str(path)) from error
    if not isinstance(told, dict) or set(told) - {"name", *_NUMBERS}:
        _refuse(path, f"rules have name and any of {', '.join(_NUMBERS)}, nothing else", None, told)
    for name in set(told) & set(_NUMBERS):
        value, share = told[name], name.endswith("_at")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
            _refuse(path, "this is no number of 0 or more", name, value)
        if share and not 0 < value < 1:
            _refuse(path, "a threshold is a chance between 0 and 1, both excluded: 0.2 for 20 %", name, value)
        if name == "capacity_per_week" and value != int(value):
            _refuse(path, "a capacity is a whole number of leads", name, value)
    if told.get("hot_at", 1.0) < told.get("warm_at", 0.0):
        _refuse(path, "hot begins below warm", "hot_at", told["hot_at"])
    numbers = {name: float(told[name]) for name in _NUMBERS if name in told}
    if "capacity_per_week" in numbers:
        numbers["capacity_per_week"] = int(numbers["capacity_per_week"])
    return Rules(str(told.get("name") or path.stem), **numbers, text=text)  # type: ignore[arg-type]


def _refuse(path: Path, reason: str, column: str | None, value: Any) -> NoReturn:
    raise BadInput(reason, file=path.name, column=column, value=str(value), mend="docs/leads.md has an example.")


def grade(leads: pd.DataFrame, capacity: int, cost: float, rules: Rules | None = None) -> pd.DataFrame:
    """Grade leads. Grain: one row per lead, the order kept.

    leads: probability (to convert), lo, hi (its 90 % interval), worth (what it brings if it converts, currency). `capacity`: leads
    there is time for; `cost`: of working one, same currency. `rules` may hold thresholds of one's own.
    Adds expected_value (probability × worth), net (less the cost), place (1 = the most net; leads that bring the same by chance,
    then in the order given), hot_from and warm_from (the chances from which this lead would be hot, warm; above 1: from none),
    grade, confidence (chance that the grade is the one the lead's true chance would get, its uncertainty taken as normal in
    log-odds; hot_from, warm_from and worth taken as they are). BadParameter for a capacity or cost below 0.
    """
    rules = rules or Rules()
    if capacity < 0 or not 0 <= cost < np.inf:
        raise BadParameter(f"capacity {capacity!r} and cost {cost!r} are numbers of 0 or more")
    p, worth = leads["probability"].to_numpy("float64"), leads["worth"].to_numpy("float64")
    expected = p * worth
    net = expected - cost
    order = np.lexsort((-p, -net))
    place = np.empty(len(leads), dtype="int64")
    place[order] = np.arange(1, len(leads) + 1)
    last = net[order[capacity - 1]] if 0 < capacity <= len(leads) else -np.inf if capacity else np.inf
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pays_from = np.where(worth > 0, cost / worth, np.inf)
        time_from = np.where(worth > 0, (np.maximum(last, 0.0) + cost) / worth, np.inf)
    warm_from = np.full(len(leads), rules.warm_at) if rules.warm_at is not None else pays_from
    hot_from = np.full(len(leads), rules.hot_at) if rules.hot_at is not None else np.maximum(time_from, warm_from)
    warm = p >= warm_from if rules.warm_at is not None else net > 0
    hot = p >= hot_from if rules.hot_at is not None else (place <= capacity) & warm
    warm_from = np.minimum(warm_from, hot_from)  # a threshold of one's own for hot may lie below what pays
    given = np.where(hot, HOT, np.where(warm, WARM, COLD))
    return leads.assign(
        expected_value=expected, net=net, place=place, hot_from=hot_from, warm_from=warm_from, grade=given,
        confidence=_confidence(leads, given, hot_from, warm_from),
    )  # fmt: skip


def _confidence(leads: pd.DataFrame, given: np.ndarray, hot_from: np.ndarray, warm_from: np.ndarray) -> np.ndarray:
    p, lo, hi = (np.clip(leads[name].to_numpy("float64"), 1e-9, 1 - 1e-9) for name in ("probability", "lo", "hi"))
    sd = np.maximum((logit(hi) - logit(lo)) / INTERVAL_SDS, 1e-9)
    below_hot, below_warm = (
        norm.cdf((logit(np.clip(bound, 1e-12, 1 - 1e-12)) - logit(p)) / sd) for bound in (hot_from, warm_from)
    )
    return np.select([given == HOT, given == WARM], [1 - below_hot, below_hot - below_warm], below_warm)
