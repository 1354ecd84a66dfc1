"""The promotion gate: a model must beat its baseline on unseen later outcomes and mean what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from salesml.errors import BadParameter

SLOPES = (0.8, 1.2)
LEAST_LEVEL = 0.9
FEWEST = 10


@dataclass(frozen=True)
class Evidence:
    """How a model did out of time beside its baseline, on the same rows.

    `difference` is the mean log loss of the model minus the baseline's (below 0: the model is better), `lo, hi` its
    paired interval at `level`, resampled by entity. `calibration_slope` is the slope of the outcome's log-odds on the
    model's. `n` rows, `positives` of them with the outcome. The test block runs from the day `tested_from` to before
    `tested_until`; `data` holds the lake head and table versions, or the hash of the file.
    """

    baseline: str
    n: int
    positives: int
    log_loss: float
    baseline_log_loss: float
    difference: float
    lo: float
    hi: float
    calibration_slope: float
    tested_from: str
    tested_until: str
    level: float = 0.95
    data: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if abs(self.log_loss - self.baseline_log_loss - self.difference) > 1e-6:
            raise BadParameter("evidence: the difference is not the model's log loss minus the baseline's")
        if not 0 <= self.positives <= self.n:
            raise BadParameter(f"evidence: {self.positives} positives among {self.n} rows")

    def to_json(self) -> str:
        """The evidence as one line, for a tag."""
        return json.dumps(asdict(self), ensure_ascii=False, default=str)

    @classmethod
    def from_json(cls, text: str) -> Evidence:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Verdict:
    """The gate's answer: passed, or refused for the `reasons`; `figures` say on what grounds."""

    passed: bool
    reasons: tuple[str, ...]
    figures: str

    def __str__(self) -> str:
        return f"passed: {self.figures}" if self.passed else f"refused: {'; '.join(self.reasons)}. {self.figures}"


def judge(evidence: Evidence) -> Verdict:
    """Refuse a model that does not surely beat its baseline, or whose calibration slope is not from 0.8 to 1.2.

    Surely: the whole interval of the log-loss difference, of at least 90 %, lies below 0. Also refused are figures that
    are not numbers, and fewer than 10 rows with or without the outcome.
    """
    reasons = []
    if min(evidence.positives, evidence.n - evidence.positives) < FEWEST:
        reasons.append(f"fewer than {FEWEST} test rows with or without the outcome")
    if not evidence.level >= LEAST_LEVEL:
        reasons.append(f"the interval is at {evidence.level:.0%}, at least {LEAST_LEVEL:.0%} is needed")
    if not (-math.inf < evidence.lo <= evidence.hi < 0 and evidence.difference < 0):
        reasons.append(f"it does not surely beat {evidence.baseline} (the interval must lie below 0)")
    if not SLOPES[0] <= evidence.calibration_slope <= SLOPES[1]:
        reasons.append(f"its calibration slope is not from {SLOPES[0]} to {SLOPES[1]}")
    return Verdict(not reasons, tuple(reasons), _figures(evidence))


def _figures(e: Evidence) -> str:
    return (
        f"log loss {e.log_loss:.4f} against {e.baseline_log_loss:.4f} of {e.baseline}, difference {e.difference:+.4f} "
        f"({e.level:.0%} interval {e.lo:+.4f} to {e.hi:+.4f}), calibration slope {e.calibration_slope:.2f}, "
        f"on {e.n:,} rows ({e.positives:,} with the outcome) from {e.tested_from} until {e.tested_until}"
    )
