"""Why a deal scores as it does, and why it moved: effects in log-odds as points of probability and sentences with numbers.

Pure: what a feature means comes as the catalogue's frame (name, dtype, meaning, unit), past deals as a frame of snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from salesml.analytics.words import absent, count, heading, percent, points, stated, valued

LEAST_DEALS = 20
"""Past deals below which no share won is told."""
BAND = 0.1  # of the past snapshots on either side have a comparable value
REASONS = ["feature", "value", "usual", "effect", "points", "share", "deals", "sentence"]
CHANGES = ["part", "feature", "before", "after", "effect", "points", "sentence"]
TIME, RECORDED, INTERPLAY = "time", "recorded", "interplay"
REST = "Everything else"


@dataclass(frozen=True)
class Wording:
    """What turns features into words: the catalogue (name, dtype, meaning, unit), names by id, the currency."""

    catalogue: pd.DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    currency: str = ""

    def of(self, name: str) -> tuple[str, str]:
        """Meaning and unit of a feature; its name where the catalogue does not hold it."""
        return self._meanings.get(name, (name, ""))

    @cached_property
    def _meanings(self) -> dict[str, tuple[str, str]]:
        rows = self.catalogue
        return dict(zip(rows["name"], zip(rows["meaning"], rows["unit"], strict=True), strict=True))

    def state(self, name: str, value: Any) -> str:
        """The feature's value as the beginning of a sentence."""
        meaning, unit = self.of(name)
        return stated(name, meaning, unit, value, self.names, self.currency)

    def value(self, name: str, value: Any) -> str:
        """The value alone, with its unit."""
        return valued(value, self.of(name)[1], self.names, self.currency)

    def heading(self, name: str) -> str:
        """The short name of a feature, first letter large."""
        told = heading(name, self.of(name)[0])
        return told[0].upper() + told[1:]


def in_points(base: float, effects: pd.Series) -> pd.Series:
    """Points of probability (shares of 1) from effects in log-odds on top of a base; they add up to P - P(base).

    Along the straight line in log-odds from base to score every effect has its part of each step, so it has the same part of
    the whole (Aumann and Shapley 1974).
    """
    total = float(effects.sum())
    start = float(expit(base))
    slope = (float(expit(base + total)) - start) / total if abs(total) > 1e-9 else start * (1 - start)
    return effects * slope


def reasons(
    base: float, effects: pd.Series, values: Mapping[str, Any], past: pd.DataFrame, wording: Wording, most: int = 6
) -> pd.DataFrame:
    """The strongest factors of one deal, one sentence each, and everything else; effects and points add up to the score.

    effects: log-odds by feature; values: the deal's own; past: snapshots of decided deals known before as_of
    (opportunity_id, won 0/1, features). Columns: feature (missing for everything else), value, usual (median of past
    snapshots at the deal's stage; missing for categories), effect, points, share (won, of past deals with a comparable
    value) and deals (how many; both missing below 20), sentence.
    """
    gained = in_points(base, effects)
    order = effects.abs().sort_values(ascending=False, kind="stable").index
    told = [name for name in order[:most] if effects[name]]
    there, at_stage = _at_stage(past, values.get("stage"))
    rows = [
        _reason(name, values.get(name), effects[name], gained[name], past, there, at_stage, wording) for name in told
    ]
    rest = effects.index.difference(told)
    if len(rest):
        effect, worth = float(effects[rest].sum()), float(gained[rest].sum())
        rows.append({"effect": effect, "points": worth, "sentence": f"{REST}, {len(rest)} weaker factors: {points(worth)}."})
    return pd.DataFrame(rows, columns=REASONS)


def comparable(past: pd.DataFrame, name: str, value: Any) -> tuple[pd.DataFrame, str]:
    """Past snapshots whose value of a feature is like this one, and that value in words (bounds of a number are left to format).

    A category: the same; a number: a tenth of the snapshots on either side, ties included; missing: missing.
    """
    column = past[name]
    if absent(value):
        return past[column.isna()], "missing"
    if isinstance(value, str):
        return past[column == value], "same"
    known = np.sort(column.dropna().to_numpy("float64"))
    if not len(known):
        return past.iloc[:0], "missing"
    place, half = int(np.searchsorted(known, value)), max(1, round(BAND * len(known)))
    low, high = known[max(0, place - half)], known[min(len(known) - 1, place + half)]
    return past[column.between(min(low, value), max(high, value))], "near"


def share_won(past: pd.DataFrame) -> tuple[float, int]:
    """Share won of the deals in past snapshots, each counted once, and how many; NaN below 20."""
    deals = past.groupby("opportunity_id")["won"].first()
    return (float(deals.mean()) if len(deals) >= LEAST_DEALS else float("nan")), len(deals)


def changes(
    base: float, then: pd.Series, idle: pd.Series, now: pd.Series, values: pd.DataFrame, wording: Wording
) -> pd.DataFrame:
    """Why a score moved: parts whose effects add up to log-odds now minus log-odds then, and points to the change of P.

    then, now: effects a week ago and now; idle: those the deal would have now if nothing had been recorded since; values:
    features × (then, idle, now). One row `time` (idle - then: nothing but time has passed), one `recorded` per feature that
    what was recorded moved (before: then, after: now), one `interplay`: what did not move weighs differently beside it.
    """
    time, recorded = idle - then, now - idle
    moved = [name for name in now.index if not _same(values.loc[name, "idle"], values.loc[name, "now"])]
    order = recorded[moved].abs().sort_values(ascending=False, kind="stable").index
    rows: list[dict[str, Any]] = [{"part": TIME, "effect": float(time.sum())}]
    rows += [
        {"part": RECORDED, "feature": name, "before": values.loc[name, "then"], "after": values.loc[name, "now"],
         "effect": float(recorded[name])}
        for name in order
    ]  # fmt: skip
    rows.append({"part": INTERPLAY, "effect": float(recorded.drop(moved).sum())})
    found = pd.DataFrame(rows, columns=CHANGES)
    found["points"] = in_points(base + float(then.sum()), found["effect"])
    found["sentence"] = [_changed(row, values, wording) for _, row in found.iterrows()]
    return found


def _changed(row: pd.Series, values: pd.DataFrame, wording: Wording) -> str:
    if row["part"] == TIME:
        told = "A week has passed"
    elif row["part"] == INTERPLAY:
        told = "The other facts weigh differently beside these"
    else:
        name = row["feature"]
        then, idle, now = (wording.value(name, values.loc[name, when]) for when in ("then", "idle", "now"))
        told = f"{wording.heading(name)}: from {then} to {now}" if then == idle else f"{wording.heading(name)}: {now}, not {idle}"
    return f"{told}: {points(row['points'])}."


def _reason(
    name: str, value: Any, effect: float, gained: float, past: pd.DataFrame, there: pd.DataFrame, at_stage: bool, wording: Wording
) -> dict[str, Any]:
    where = " at this stage" if at_stage and name != "stage" else ""
    usual, like, share, deals, how = float("nan"), there, float("nan"), 0, ""
    if name in past:
        like, how = comparable(there, name, value)
        share, deals = share_won(like)
        if np.isnan(share) and at_stage:
            like, how = comparable(past, name, value)
            share, deals = share_won(like)
            where = "" if not np.isnan(share) else where
        if not isinstance(value, str) and there[name].notna().any() and pd.api.types.is_numeric_dtype(there[name]):
            usual = float(there[name].median())
    told = wording.state(name, value)
    if not np.isnan(usual) and not absent(value):
        told += f" (usual{' at this stage' if at_stage else ''}: {wording.value(name, usual)})"
    told += f": {points(gained)}."
    if not np.isnan(share):
        alike = ""
        if how == "near":
            low, high = (wording.value(name, like[name].agg(end)) for end in ("min", "max"))
            alike = f" with {low} to {high}" if low != high else f" with {low}"
        told += f" Of {count(deals, 'past deal')}{where}{alike or ' like it'} {percent(share)} were won."
    known = deals if not np.isnan(share) else None
    return dict(zip(REASONS, (name, value, usual, float(effect), float(gained), share, known, told), strict=True))


def _at_stage(past: pd.DataFrame, stage: Any) -> tuple[pd.DataFrame, bool]:
    """Past snapshots at the deal's stage and True; all of them where these are of fewer than 20 deals."""
    if "stage" in past and not absent(stage):
        there = past[past["stage"] == stage]
        if there["opportunity_id"].nunique() >= LEAST_DEALS:
            return there, True
    return past, False


def _same(one: Any, other: Any) -> bool:
    if absent(one) or absent(other):
        return absent(one) and absent(other)
    return bool(one == other) if isinstance(one, str) else bool(np.isclose(float(one), float(other), rtol=1e-9, atol=1e-9))

