"""The certificate of a probability model: what its figures were, as of the day each score was shown, on later outcomes.

Grain of what is certified: one row per entity and as_of, scored by a model fitted on what was known when the test began.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.calibration import Calibration, calibration, reliability
from salesml.evaluation.metrics import Measured, auc, brier, log_loss, log_loss_difference, measure

FILE = "certificate.json"
LEVEL = 0.95
RESAMPLES = 200
LEAST_ENTITIES = 20
"""A segment, or time before the close, with fewer entities is not judged on its own."""
BEFORE_CLOSE = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 13), (13, 26), (26, 104))
"""Weeks before the close, half-open: known only afterwards, so these figures say when scores become good, not for whom."""


@dataclass(frozen=True)
class Certificate:
    """Figures on unseen later rows. Frames, one row each:

    figures: model, metric (log_loss, brier, auc, top_decile_lift, explained), value, lo, hi: the model beside its peers.
    differences: peer, value, lo, hi: log loss of the model minus the peer's, 95 % interval. reliability: ten bins.
    segments: by, value, rows, entities, predicted, observed, lo, hi, off: lo and hi bound observed - predicted so that of all
    segments together 1 in 10 tables shows one `off` by chance. before_close: weeks, rows, entities, won, auc, brier, log_loss,
    base_log_loss. dated: figure, bin, rows, predicted, observed, lo, hi: chances of an event by a day that has come.
    """

    model: str
    peers: tuple[str, ...]
    rows: int
    entities: int
    won: float
    tested_from: str
    tested_until: str
    figures: pd.DataFrame
    differences: pd.DataFrame
    calibration: Calibration
    by_amount: Measured
    reliability: pd.DataFrame
    segments: pd.DataFrame
    before_close: pd.DataFrame
    dated: pd.DataFrame
    limits: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def figure(self, metric: str, model: str | None = None) -> Measured:
        """One figure of the model, or of a peer."""
        rows = self.figures[(self.figures["model"] == (model or self.model)) & (self.figures["metric"] == metric)]
        return Measured(*(float(rows[name].iloc[0]) for name in ("value", "lo", "hi")))

    def against(self, peer: str) -> Measured:
        """Log loss of the model minus that of a peer; below 0 the model is better."""
        rows = self.differences[self.differences["peer"] == peer]
        return Measured(*(float(rows[name].iloc[0]) for name in ("value", "lo", "hi")))

    def write(self, folder: Path) -> None:
        """Write certificate.json into the folder of a saved model."""
        content = {
            f.name: value.to_dict("records") if isinstance(value := getattr(self, f.name), pd.DataFrame) else value
            for f in fields(self)
        }
        content |= {"calibration": asdict(self.calibration), "by_amount": asdict(self.by_amount)}
        text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Certificate | None:
        """What `write` wrote; None where a folder holds none."""
        if not (folder / FILE).exists():
            return None
        c = json.loads((folder / FILE).read_text(encoding="utf-8"))
        for name in ("figures", "differences", "reliability", "segments", "before_close", "dated"):
            c[name] = pd.DataFrame(c[name])
        told = c["calibration"]
        measured = {name: Measured(**told[name]) for name in ("ece", "slope", "intercept")}
        c["calibration"] = Calibration(bar=told["bar"], **measured)
        return cls(**{**c, "by_amount": Measured(**c["by_amount"]), "peers": tuple(c["peers"]), "limits": tuple(c["limits"])})


def certify(
    rows: pd.DataFrame,
    predicted: Mapping[str, np.ndarray],
    *,
    model: str,
    base: str,
    segments: Sequence[str] = (),
    dated: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None,
    limits: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    tested: tuple[str, str] = ("", ""),
) -> Certificate:
    """Judge the `model` among `predicted` (name → probability per row) on `rows`: won, entity, closed_at, as_of, amount, segments.

    `base` names the base rate among them. `dated`: name → (probability, happened, entity) of rows whose day has come, open
    deals included. Intervals resample entities.
    """
    y, entity, p = rows["won"].to_numpy(dtype="float64"), rows["entity"].to_numpy(), predicted[model]
    figures = [
        {"model": name, "metric": metric, **asdict(figure)}
        for name, given in predicted.items()
        for metric, figure in measure(y, given, predicted[base], entity).items()
    ]
    peers = tuple(name for name in predicted if name != model)
    differences = [
        {"peer": name, **asdict(log_loss_difference(y, p, predicted[name], entity, level=LEVEL))} for name in peers
    ]
    return Certificate(
        model, peers, len(rows), len(set(entity)), float(y.mean()), *tested, pd.DataFrame(figures), pd.DataFrame(differences),
        calibration(y, p, entity), _by_amount(y, p, rows["amount"].to_numpy(dtype="float64"), entity), reliability(y, p),
        _segments(rows, p, segments), _before_close(rows, p, predicted[base]), _dated(dated or {}), tuple(limits), data or {},
    )  # fmt: skip


def _by_amount(y: np.ndarray, p: np.ndarray, amount: np.ndarray, entity: np.ndarray) -> Measured:
    """Expected over actual won amount, with its interval: 1 where money is as calibrated as deals; NaN without amounts."""
    money = np.nan_to_num(amount)

    def ratio(w: np.ndarray) -> float:
        actual = float(w @ (money * y))
        return float(w @ (money * p)) / actual if actual > 0 else float("nan")

    draws = [ratio(w) for w in row_weights(len(y), entity, RESAMPLES, 0)]
    return Measured(ratio(np.ones(len(y))), *percentile_interval(draws))


def _segments(rows: pd.DataFrame, p: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"won": rows["won"].to_numpy(), "p": p, "entity": rows["entity"].to_numpy()})
    groups: list[tuple[str, str, pd.DataFrame]] = []
    for name in names:
        values = rows[name].astype("string").fillna("(missing)").to_numpy()
        parts = [(name, str(value), part) for value, part in frame.groupby(values)]
        groups += [part for part in parts if part[2]["entity"].nunique() >= LEAST_ENTITIES]
    level = 1 - 0.1 / max(1, len(groups))
    found = []
    for name, label, part in groups:
        gap = _gap(part["won"].to_numpy(), part["p"].to_numpy(), part["entity"].to_numpy(), level)
        found.append(
            {"by": name, "value": label, "rows": len(part), "entities": part["entity"].nunique(), "predicted": part["p"].mean(),
             "observed": part["won"].mean(), "lo": gap.lo, "hi": gap.hi, "off": bool(gap.lo > 0 or gap.hi < 0)}
        )  # fmt: skip
    columns = ["by", "value", "rows", "entities", "predicted", "observed", "lo", "hi", "off"]
    return pd.DataFrame(found, columns=columns)


def _gap(y: np.ndarray, p: np.ndarray, entity: np.ndarray, level: float) -> Measured:
    """Observed minus predicted with its interval from the spread of entities' sums (normal, ratio of means)."""
    from scipy.stats import norm

    codes = pd.factorize(entity)[0]
    sums, sizes = np.bincount(codes, y - p), np.bincount(codes)
    gap, count = float((y - p).mean()), len(sizes)
    half = norm.ppf((1 + level) / 2) * float(np.sqrt(np.sum((sums - gap * sizes) ** 2) * count / max(1, count - 1))) / len(y)
    return Measured(gap, gap - half, gap + half)


def _before_close(rows: pd.DataFrame, p: np.ndarray, base: np.ndarray) -> pd.DataFrame:
    weeks = (rows["closed_at"] - rows["as_of"]).dt.total_seconds().to_numpy() / (7 * 86_400)
    y, entity, found = rows["won"].to_numpy(), rows["entity"].to_numpy(), []
    for start, end in BEFORE_CLOSE:
        part = (weeks >= start) & (weeks < end)
        if len(set(entity[part])) >= LEAST_ENTITIES:
            found.append(
                {"weeks": f"{start} to under {end}", "rows": int(part.sum()), "entities": len(set(entity[part])),
                 "won": float(y[part].mean()), "auc": auc(y[part], p[part]), "brier": brier(y[part], p[part]),
                 "log_loss": log_loss(y[part], p[part]), "base_log_loss": log_loss(y[part], base[part])}
            )  # fmt: skip
    columns = ["weeks", "rows", "entities", "won", "auc", "brier", "log_loss", "base_log_loss"]
    return pd.DataFrame(found, columns=columns)


def _dated(events: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    found = []
    for name, (p, happened, entity) in events.items():
        order = np.argsort(p, kind="stable")
        for number, part in enumerate(np.array_split(order, 10) if len(p) >= 10 * LEAST_ENTITIES else [order], 1):
            if len(part):
                gap = _gap(happened[part], p[part], entity[part], 0.9)
                observed, expected = float(happened[part].mean()), float(p[part].mean())
                found.append(
                    {"figure": name, "bin": number, "rows": len(part), "predicted": expected, "observed": observed,
                     "lo": max(0.0, expected + gap.lo), "hi": min(1.0, expected + gap.hi)}
                )  # fmt: skip
    return pd.DataFrame(found, columns=["figure", "bin", "rows", "predicted", "observed", "lo", "hi"])
