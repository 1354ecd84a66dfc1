"""The figures of the watch over the deal model: inputs then and now, settled scores beside outcomes, version beside version."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logit

from salesml.errors import NotEnoughData
from salesml.evaluation.calibration import calibration
from salesml.evaluation.drift import MOVED, Signal, gap, moved, one_each, sequential, shares, surprise, two_sample_auc
from salesml.evaluation.metrics import Measured, log_loss_difference, measure
from salesml.features.deals import DEALS
from salesml.features.spines import CLOSED
from salesml.models.deals import label

if TYPE_CHECKING:
    from salesml.models.scorer import Scorer
    from salesml.registry.gate import Evidence

FEWEST_WEEKS = 4
FEWEST_DEALS, FEWEST_EACH = 30, 10
SECTIONS = ("source", "stage", "competitor_id", "region", "product_id", "segment", "type")
_SHARED = re.compile(r"(owner|account|product)_(?!changes|id)|is_customer")
OWN = [feature for feature in DEALS.features if feature.tables and not _SHARED.match(feature.name)]
"""What is a deal's own. The calendar moves on and is no drift; a record of a rep, account or product is one number for all its
deals at a time and grows, so that deals cannot be exchanged between two times: what it does shows in the outcomes."""
OUTCOME_COLUMNS = ["figure", "live", "lo", "hi", "promised"]
COHORTS = ["first", "rows", "entities", "predicted", "observed", "lo", "hi"]
DATED = ["target", "rows", "entities", "predicted", "observed", "lo", "hi"]


def compare_inputs(
    rows: pd.DataFrame, since: dt.datetime, cutoff: dt.datetime, weeks: int
) -> tuple[pd.DataFrame, Measured | None]:
    """`drift.moved` of what is a deal's own and of the score, and `drift.two_sample_auc`, one row per deal.

    rows: weekly open deals with features and point; the weeks before `since` against as many before the cutoff. Empty and None
    below 4 weeks, or 30 deals in a window.
    """
    if weeks < FEWEST_WEEKS:
        return pd.DataFrame(columns=MOVED), None
    window = dt.timedelta(weeks=weeks)
    names = [feature.name for feature in OWN]
    categorical = [feature.name for feature in OWN if feature.dtype == "category"]
    reference, recent = one_each(rows[rows["as_of"] < since], rows[rows["as_of"] >= cutoff - window], "opportunity_id")
    then, now = (part[names].assign(score=logit(part["point"])) for part in (reference, recent))
    try:
        return moved(then, now, categorical), two_sample_auc(reference[names], recent[names], categorical)
    except NotEnoughData:
        return pd.DataFrame(columns=MOVED), None


def as_shown(rows: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Weekly rows with the kept score in place of the version's own where one was kept for that deal and instant."""
    shown = kept[kept["target"] == "won"].drop_duplicates(["opportunity_id", "as_of"])[["opportunity_id", "as_of", "point"]]
    both = rows.merge(shown, "left", ["opportunity_id", "as_of"], suffixes=("", "_kept"))
    return both.assign(point=both["point_kept"].fillna(both["point"])).drop(columns="point_kept")


def settle(rows: pd.DataFrame, lives: pd.DataFrame, days: int, cutoff: dt.datetime) -> pd.DataFrame:
    """Rows old enough for their outcome to be known, with won and known_by, in the order it became known."""
    if rows.empty:
        return rows.assign(won=[], known_by=[])
    return label(rows, lives, days, cutoff).sort_values(["known_by", "as_of", "opportunity_id"], ignore_index=True)


def _enough(settled: pd.DataFrame) -> bool:
    won = settled["won"].sum()
    return settled["opportunity_id"].nunique() >= FEWEST_DEALS and min(won, len(settled) - won) >= FEWEST_EACH


def _firsts(settled: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Outcome, score and sections of each deal's first score, in the order the outcomes became known."""
    first = settled.sort_values("as_of", kind="stable").drop_duplicates("opportunity_id").sort_values("known_by", kind="stable")
    sections = first[list(SECTIONS)].assign(score=np.floor(first["point"].astype("float64") * 5))
    return first["won"].to_numpy("float64"), first["point"].to_numpy("float64"), sections


def judge_outcomes(
    settled: pd.DataFrame, promised: pd.DataFrame, promise: Evidence | None, lives: pd.DataFrame, since: dt.datetime
) -> tuple[pd.DataFrame, Signal | None]:
    """Figures on settled scores beside the promise, and the sequential test on each deal's first score."""
    if settled.empty:
        return pd.DataFrame(columns=OUTCOME_COLUMNS), None
    signal = sequential(*_firsts(settled), promise=_firsts(promised))
    if not _enough(settled):
        return pd.DataFrame(columns=OUTCOME_COLUMNS), signal
    y, p, groups = (settled[name].to_numpy() for name in ("won", "point", "opportunity_id"))
    known = lives[lives["status"].isin(CLOSED) & (lives["closed_at"] < since)]
    share = promise.positives / promise.n if promise else (known["status"].eq("won").sum() + 1) / (len(known) + 2)
    base = np.full(len(y), share)
    figures, found = measure(y, p, base, groups), calibration(y, p, groups)
    rows: list[tuple[str, Measured, float]] = [
        ("log loss", figures["log_loss"], promise.log_loss if promise else np.nan),
        ("log loss minus the base rate's", log_loss_difference(y, p, base, groups), np.nan),
        ("log loss minus what was to be expected", surprise(y, p, groups), 0.0),
        ("calibration slope", found.slope, promise.calibration_slope if promise else 1.0),
        ("calibration error (ECE)", found.ece, found.bar),
        ("AUC", figures["auc"], np.nan),
        ("share won minus mean probability", gap(y, p, groups), 0.0),
    ]
    return pd.DataFrame([(name, live.value, live.lo, live.hi, said) for name, live, said in rows], columns=OUTCOME_COLUMNS), signal


def by_cohort(settled: pd.DataFrame, since: dt.datetime) -> pd.DataFrame:
    """Mean probability and share won of scores by the 4 weeks they were made in; lo, hi: 90 % interval of the share, by deal."""
    if settled.empty:
        return pd.DataFrame(columns=COHORTS)
    number = (settled["as_of"] - pd.Timestamp(since)) // pd.Timedelta(weeks=4)
    cohorts = [part for _, part in settled.groupby(number)]
    return pd.DataFrame([_shares(part) | {"first": part["as_of"].min()} for part in cohorts], columns=COHORTS)


def with_a_day(kept: pd.DataFrame, lives: pd.DataFrame, cutoff: dt.datetime) -> pd.DataFrame:
    """Kept predictions of winning within a horizon that is over: every deal counts, those still open as not won."""
    horizon = pd.to_timedelta(pd.to_numeric(kept["horizon_days"]), unit="D")
    over = kept[kept["as_of"] + horizon <= pd.Timestamp(cutoff)]
    won = lives[lives["status"] == "won"].set_index("opportunity_id")["closed_at"].reindex(over["opportunity_id"]).set_axis(over.index)
    over = over.assign(won=won < over["as_of"] + horizon[over.index])
    return pd.DataFrame([_shares(part) | {"target": target} for target, part in over.groupby("target")], columns=DATED)


def _shares(part: pd.DataFrame) -> dict[str, Any]:
    return shares(part["won"], part["point"], part["opportunity_id"])


def versus(scorer: Scorer, settled: pd.DataFrame) -> dict[str, Any] | None:
    """A scorer beside the champion's point on the same settled rows; None where they are too few."""
    if not _enough(settled):
        return None
    point, groups = scorer.predict(settled[DEALS.names]), settled["opportunity_id"].to_numpy()
    found = log_loss_difference(settled["won"].to_numpy(), point, settled["point"].to_numpy(), groups)
    return {"rows": len(settled), "deals": len(set(groups)), "difference": found.value, "lo": found.lo, "hi": found.hi,
            "better": found.hi < 0}  # fmt: skip
