"""What a nurture programme adds, and what other policies of it would bring, judged against the true chances.

A simulated company runs its programme by lot in half of its campaigns and by choice in the others. Every lead converts with a known
chance with the programme and another without, so the true effect on any set of leads, and the true value of any policy, are sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.evaluation.off_policy import METHODS, ROBUST, policy_difference, policy_values
from salesml.features.leads import LEADS
from salesml.lake import Lake
from salesml.models.nurture_effect import LEVEL, effect
from salesml.models.nurture_programme import segment_of
from salesml.trial.case import Case, Figure, failed, figures
from salesml.workflows.nurture_effect import (
    BEST,
    BY_SIZE,
    EVERYBODY,
    NOBODY,
    RECORDED,
    best_segments,
    drawn_leads,
    features_at,
    logged,
    nurture_effect,
    share_policy,
)  # fmt: skip
from salesml.workspace import Workspace
from salesml.world import World

EFFECT, VALUE, GAIN = "nurture effect", "value of a nurture policy", "gain of a nurture policy"
WITHIN_DAYS = 120
"""Fewer than one conversion in a thousand comes later in a simulated company, so that the chance within the days is the chance."""
SMALL = "under 1,000 people"
POLICIES: dict[str, float | dict[str, float]] = {
    EVERYBODY: 1.0, NOBODY: 0.0, "every second": 0.5,
    SMALL: {"employees under 100": 1.0, "employees 100 to under 1,000": 1.0},
}  # fmt: skip
TABLES = ("lead", "lead_event", "campaign", "activity")


@contextmanager
def opened_leads(world: World) -> Iterator[Case]:
    """A case with the tables of leads alone, in a workspace that is removed afterwards; its day is the company's last."""
    with TemporaryDirectory(prefix="salesml-trial-") as folder:
        workspace = Workspace.create(Path(folder) / "workspace", currency=world.knobs.currency)
        Lake(workspace).ingest({name: world.reader(name) for name in TABLES}, origin="salesml.world")
        yield Case(world, workspace, pd.Timestamp(world.knobs.end, tz="UTC").to_pydatetime())


def lead_truth(world: World) -> pd.DataFrame:
    """The truth of leads alone, by lead_id: p_with, p_without, by_lot, treated and more."""
    part = next(tables for name, tables in world.truth_parts() if name == "lead")
    return next(iter(part)).to_pandas().set_index("lead_id")


def judge_nurture(case: Case, within_days: int = WITHIN_DAYS, level: float = LEVEL) -> list[Figure]:
    """The effect by lot and by choice, by segment, and the value of policies, each beside the truth of the same leads."""
    truth = lead_truth(case.world)
    drawn, _ = drawn_leads(case.tables, RECORDED, case.end, within_days)
    rows = drawn[drawn["by"] == "lot"].reset_index(drop=True)
    try:
        features = features_at(case.tables, rows)
        chances = truth[["p_with", "p_without"]].reindex(rows["lead_id"]).set_axis(rows.index)
        rows = rows.assign(segment=segment_of(features, BY_SIZE), **chances)
        return [*_effects(case, drawn, rows, truth, within_days, level), *_values(rows, features, within_days, level)]
    except NotEnoughData as lack:
        return failed(EFFECT, "by lot", str(lack)) + failed(VALUE, ROBUST, str(lack))


def _effects(
    case: Case, drawn: pd.DataFrame, rows: pd.DataFrame, truth: pd.DataFrame, within_days: int, level: float
) -> list[Figure]:
    told = nurture_effect(case.workspace, RECORDED, case.end, within_days, level=level)
    true = float((rows["p_with"] - rows["p_without"]).mean())
    found = _judged("by lot", told.effect.overall.value, told.effect.overall.lo, told.effect.overall.hi, true)
    found += figures(EFFECT, "by lot", {"leads": len(rows), "conversions": rows["converted"].sum()})
    if told.chosen is not None:
        mine = truth.reindex(drawn.loc[drawn["by"] == "choice", "lead_id"])
        found += _judged("by choice", told.chosen.value, told.chosen.lo, told.chosen.hi, float((mine["p_with"] - mine["p_without"]).mean()))
    table = effect(rows, level).segments.set_index("segment")
    gain = (rows["p_with"] - rows["p_without"]).groupby(rows["segment"]).mean()
    for name, prefix in (("by lot, a segment", ""), ("by lot, a segment, shrunken", "shrunk_")):
        middle = table["shrunk"] if prefix else table["difference"]
        inside = (table[f"{prefix}lo"] <= gain) & (gain <= table[f"{prefix}hi"])
        width = (table[f"{prefix}hi"] - table[f"{prefix}lo"]).mean()
        found += figures(EFFECT, name, {"covered": inside.mean(), "mae": (middle - gain).abs().mean(), "width": width})
    return found


def _values(rows: pd.DataFrame, features: pd.DataFrame, within_days: int, level: float) -> list[Figure]:
    log, known, segment = logged(rows), features[LEADS.names], rows["segment"]
    targets = {name: share_policy(segment, share) for name, share in POLICIES.items()}
    told = policy_values(log, targets, features=known, stratum=segment, level=level)
    found = _policies(told, rows, targets)
    gain = policy_difference(log, targets[EVERYBODY], targets[NOBODY], features=known, level=level)
    true = float((rows["p_with"] - rows["p_without"]).mean())
    found += _figures(GAIN, f"{EVERYBODY} less {NOBODY}, {ROBUST}", gain.value, gain.lo, gain.hi, true)
    best, later = best_segments(rows, within_days, level)
    part = segment.iloc[later]
    target = {BEST: share_policy(part, dict.fromkeys(best, 1.0))}
    told = policy_values(log.iloc[later], target, features=known.iloc[later], stratum=part, level=level)
    return found + _policies(told, rows.iloc[later], target)


def _policies(told: pd.DataFrame, rows: pd.DataFrame, targets: dict[str, pd.DataFrame]) -> list[Figure]:
    """Relative error, coverage, and the error that a perfect outcome model would still leave (`floor`, a standard error)."""
    found = []
    chance = rows["chance"].to_numpy("float64")
    p = np.column_stack([rows["p_with"], rows["p_without"]])
    for one in told.to_dict("records"):
        target = targets[one["policy"]].to_numpy()
        true = float((target * p).sum(axis=1).mean())
        spread = (target**2 * p * (1 - p) / np.column_stack([chance, 1 - chance])).sum(axis=1)
        method = f"{one['policy']}, {one['method']}"
        found += _figures(VALUE, method, one["value"], one["lo"], one["hi"], true)
        more = {"floor": np.sqrt(spread.mean() / len(rows)) / true, "relative_se": one["error"] / true, "leads": len(rows)}
        found += figures(VALUE, method, more)
    return found


def _figures(part: str, method: str, value: float, lo: float, hi: float, truth: float) -> list[Figure]:
    inside = float(lo <= truth <= hi)
    return figures(part, method, {"relative_error": value / truth - 1, "covered": inside, "estimate": value, "truth": truth})


def _judged(method: str, value: float, lo: float, hi: float, truth: float) -> list[Figure]:
    values = {"bias": value - truth, "covered": float(lo <= truth <= hi), "estimate": value, "truth": truth}
    return figures(EFFECT, method, values)


__all__ = ["METHODS", "judge_nurture", "lead_truth", "opened_leads"]
