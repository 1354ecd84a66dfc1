"""A nurture programme: a sequence of steps with options to choose among, when each is due, what stops it, who is held out.

A programme is YAML (docs/leads.md has an example). Who is held out is drawn by a hash of lead and programme: a lead stays in or out
whatever happens and whoever asks, and a change of the steps changes nothing about it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import yaml

from salesml.errors import BadInput

USUAL = Path(__file__).with_name("nurture_usual.yaml")
NOT_KNOWN = "not known"
MOST_CONTEXT = 3
FIELDS = {
    "name", "within_days", "held_out", "explore", "oldest_days", "needs_consent", "context", "stop_on", "most", "quiet_hours", "time_zones",
    "steps",
}  # fmt: skip
RANGES = {"within_days": (1, 365), "held_out": (0, 0.9), "explore": (0.01, 1), "oldest_days": (1, 730)}
USUALLY = {"within_days": 60, "held_out": 0.2, "explore": 0.2, "oldest_days": 45}


@dataclass(frozen=True)
class Option:
    """One thing a step may do: content, channel, how many days it waits, and the hour it is sent at (the lead's; None: at once)."""

    name: str
    content: str
    channel: str
    wait_days: int = 0
    at: dt.time | None = None


@dataclass(frozen=True)
class Step:
    """A step, due `after_days` after the one before was (the first: after the lead came in).

    event: only once the lead did this since then. silent_days: only where the lead did nothing for so many days.
    """

    number: int
    after_days: float
    options: tuple[Option, ...]
    event: str | None = None
    silent_days: float | None = None


@dataclass(frozen=True)
class Banded:
    """A feature of `features.leads` that cuts leads into segments: a category, or a number by its bounds (each the least of a band)."""

    feature: str
    at_least: tuple[float, ...] = ()

    def label(self, values: pd.Series) -> pd.Series:
        """The segment of each value in words."""
        if not self.at_least:
            return self.feature + " " + values.astype("object").where(values.notna(), NOT_KNOWN).astype(str)
        edges = [f"{edge:,.12g}" for edge in self.at_least]
        names = [f"under {edges[0]}", *(f"{a} to under {b}" for a, b in pairwise(edges)), f"{edges[-1]} and more"]
        numbers = pd.to_numeric(values, errors="coerce").to_numpy("float64")
        place = np.where(np.isnan(numbers), len(names), np.searchsorted(self.at_least, numbers, side="right"))
        return pd.Series(np.array([*names, NOT_KNOWN], dtype=object)[place], index=values.index).radd(self.feature + " ")


@dataclass(frozen=True)
class Quiet:
    """Hours in which nothing is sent: from (included) until (excluded), over midnight where from is later; `weekend` too."""

    since: dt.time
    until: dt.time
    weekend: bool

    def holds(self, local: dt.datetime) -> bool:
        """Whether a wall-clock time lies in them."""
        at, over = local.time(), self.since > self.until
        within = (at >= self.since or at < self.until) if over else self.since <= at < self.until
        return within or (self.weekend and local.weekday() >= 5)


@dataclass(frozen=True)
class Programme:
    """A nurture programme as read; `held_out` and `explore` are shares (0..1), `most_sent` in `most_days` holds over all programmes."""

    name: str
    steps: tuple[Step, ...]
    within_days: int
    held_out: float
    explore: float
    oldest_days: float
    needs_consent: bool
    context: tuple[Banded, ...]
    stop_on: tuple[str, ...]
    most_sent: int
    most_days: float
    quiet: Quiet | None
    time_zones: Mapping[str, str]
    text: str

    @property
    def version(self) -> str:
        """The first twelve digits of the text's digest: another text is another version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def holds_out(self, leads: pd.Series) -> pd.Series:
        """Whether each lead (id) is drawn to get nothing; the same for ever, but where the share is raised."""
        drawn = [lot("held out", self.name, lead) < self.held_out for lead in leads]
        return pd.Series(drawn, index=leads.index, dtype="bool")

    def segment(self, features: pd.DataFrame) -> pd.Series:
        """The segment of each row by the programme's context; "all leads" without one."""
        return segment_of(features, self.context)


def lot(*parts: object) -> float:
    """A number from 0 to below 1 that these parts always draw (BLAKE2b)."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def segment_of(features: pd.DataFrame, context: tuple[Banded, ...]) -> pd.Series:
    """The segment of each row in words: one part a feature of the context, "all leads" without any."""
    parts = [one.label(features[one.feature]) for one in context]
    found = parts[0] if parts else pd.Series("all leads", index=features.index, dtype="object")
    for part in parts[1:]:
        found = found + ", " + part
    return found.astype("object")


def usual() -> Programme:
    """The programme that comes with salesml: an example to copy, its contents are only names."""
    return read_programme(USUAL)


def read_programme(path: Path) -> Programme:
    """The programme in a YAML file; BadInput names what is wrong, where, and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
        told = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"the programme cannot be read ({error})", file=str(path)) from error
    refuse = partial(_refuse, path.name)
    if not isinstance(told, dict) or set(told) - FIELDS:
        strange = ", ".join(sorted(map(str, set(told) - FIELDS))) if isinstance(told, dict) else told
        refuse(f"a programme has {', '.join(sorted(FIELDS))}, nothing else", None, strange)
    name = told.get("name")
    if not isinstance(name, str) or not name.strip() or set(name) & set("#@/:"):
        refuse("a programme has a name without # @ / :", "name", name)
    numbers = {key: _number(told.get(key, USUALLY[key]), key, *bounds, refuse) for key, bounds in RANGES.items()}
    steps = told.get("steps")
    if not isinstance(steps, list) or not steps:
        refuse("steps are a list of at least one", "steps", steps)
    quiet = _quiet(told.get("quiet_hours"), refuse)
    found = tuple(_step(number, one, quiet, refuse) for number, one in enumerate(steps, 1))
    consent, stops = told.get("needs_consent", False), told.get("stop_on") or []
    if not isinstance(consent, bool):
        refuse("needs_consent is true or false", "needs_consent", consent)
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        refuse("stop_on lists kinds of lead events, as [form, webinar]", "stop_on", stops)
    sent, days = _most(told.get("most", {"sent": 2, "days": 7}), refuse)
    context, zones = read_context(told.get("context") or [], refuse), _zones(told.get("time_zones") or {}, refuse)
    return Programme(
        name.strip(), found, int(numbers["within_days"]), numbers["held_out"], numbers["explore"], numbers["oldest_days"], consent,
        context, tuple(stops), sent, days, quiet, zones, text,
    )  # fmt: skip


def _refuse(file: str, reason: str, column: str | None, value: Any, mend: str = "docs/leads.md has an example.") -> NoReturn:
    raise BadInput(reason, file=file, column=column, value=str(value), mend=mend)


Refuse = Callable[..., NoReturn]


def read_context(told: Any, refuse: Refuse) -> tuple[Banded, ...]:
    """The features that leads are told apart by, from a list of {feature, at_least}."""
    from salesml.features.leads import LEADS

    if not isinstance(told, list) or len(told) > MOST_CONTEXT:
        refuse(f"context is a list of at most {MOST_CONTEXT} features", "context", told)
    found = []
    for number, one in enumerate(told, 1):
        place = f"context, number {number}"
        if not isinstance(one, dict) or set(one) - {"feature", "at_least"} or one.get("feature") not in LEADS.names:
            refuse("a context names a feature of leads, a number with its bounds", place, one, f"Features: {', '.join(LEADS.names)}.")
        bounds, numeric = one.get("at_least", []), one["feature"] not in LEADS.categorical
        good = isinstance(bounds, list) and all(_is_number(edge) for edge in bounds) and sorted(set(bounds)) == bounds
        if not good or bool(bounds) != numeric:
            refuse("a number takes at_least, bounds that rise, as [100, 1000]; a category takes none", place, one)
        found.append(Banded(one["feature"], tuple(map(float, bounds))))
    return tuple(found)


def _step(number: int, told: Any, quiet: Quiet | None, refuse: Refuse) -> Step:
    place = f"steps, number {number}"
    if not isinstance(told, dict) or set(told) - {"after_days", "event", "silent_days", "options"}:
        refuse("a step has after_days, options and, if it waits for something, event or silent_days", place, told)
    after = _number(told.get("after_days"), place, 0 if number == 1 else 1, 365, refuse)
    event, silent = told.get("event"), told.get("silent_days")
    if event is not None and (not isinstance(event, str) or not event):
        refuse("event is a kind of lead event, as download", place, event)
    if event is not None and silent is not None:
        refuse("a step waits for an event or for silence, not for both", place, told)
    options = told.get("options")
    if not isinstance(options, list) or not options:
        refuse("options are a list of at least one", place, options)
    found = tuple(_option(one, quiet, place, refuse) for one in options)
    if len({one.name for one in found}) < len(found):
        refuse("two options of a step have the same name", place, ", ".join(one.name for one in found))
    return Step(number, after, found, event, None if silent is None else _number(silent, place, 0, 365, refuse))


def _option(told: Any, quiet: Quiet | None, place: str, refuse: Refuse) -> Option:
    texts = ("name", "content", "channel")
    if not isinstance(told, dict) or set(told) - {*texts, "wait_days", "at"}:
        refuse("an option has name, content, channel and, if you like, wait_days and at", place, told)
    if not all(isinstance(told.get(one), str) and told[one].strip() for one in texts) or set(told["name"]) & set("#@/:"):
        refuse("name, content and channel of an option are text, the name without # @ / :", place, told)
    wait = _number(told.get("wait_days", 0), place, 0, 30, refuse)
    if wait != int(wait):
        refuse("wait_days are whole days", place, wait)
    at = None if told.get("at") is None else _time(told["at"], place, refuse)
    if at and quiet and quiet.holds(dt.datetime.combine(dt.date(2024, 1, 3), at)):
        refuse("an option's hour lies in the quiet hours", place, told["at"], "Give an hour outside them.")
    name, content, channel = (told[one].strip() for one in texts)
    return Option(name, content, channel, int(wait), at)


def _quiet(told: Any, refuse: Refuse) -> Quiet | None:
    if told is None:
        return None
    if not isinstance(told, dict) or set(told) - {"from", "until", "weekend"} or not isinstance(told.get("weekend", False), bool):
        refuse('quiet_hours have from, until and weekend, as {from: "18:00", until: "08:00", weekend: true}', "quiet_hours", told)
    since, until = (_time(told.get(name), "quiet_hours", refuse) for name in ("from", "until"))
    if since == until:
        refuse("quiet_hours last all day", "quiet_hours", told)
    return Quiet(since, until, told.get("weekend", False))


def _most(told: Any, refuse: Refuse) -> tuple[int, float]:
    if not isinstance(told, dict) or set(told) != {"sent", "days"}:
        refuse("most has sent and days, as {sent: 2, days: 7}", "most", told)
    sent, days = _number(told["sent"], "most", 1, 100, refuse), _number(told["days"], "most", 1, 365, refuse)
    if sent != int(sent):
        refuse("most sent is a whole number", "most", sent)
    return int(sent), days


def _zones(told: Any, refuse: Refuse) -> dict[str, str]:
    if not isinstance(told, dict):
        refuse("time_zones give an IANA zone by country, as {Spain: Europe/Madrid}", "time_zones", told)
    for country, zone in told.items():
        try:
            ZoneInfo(zone)
        except Exception:
            refuse("this is no IANA time zone", f"time_zones, {country}", zone, "Give one such as Europe/Berlin.")
    return {str(country): str(zone) for country, zone in told.items()}


def _time(told: Any, place: str, refuse: Refuse) -> dt.time:
    """A time of day; YAML reads an unquoted 18:00 as 1080 minutes."""
    try:
        text = f"{told // 60:02d}:{told % 60:02d}" if isinstance(told, int) and not isinstance(told, bool) else told
        return dt.time.fromisoformat(text)
    except (TypeError, ValueError):
        refuse('an hour is written as "09:00"', place, told)


def _number(told: Any, place: str, low: float, high: float, refuse: Refuse) -> float:
    if not _is_number(told) or not low <= told <= high:
        refuse(f"this is no number from {low:g} to {high:g}", place, told)
    return float(told)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
