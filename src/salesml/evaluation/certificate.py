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
from scipy.stats import t

from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.calibration import Calibration, calibration, reliability
from salesml.evaluation.metrics import Measured, log_loss, log_loss_difference, measure

FILE = "certificate.json"
LEVEL = 0.95
RESAMPLES = 200
LEAST_ENTITIES = 20
"""A segment, or time before the close, with fewer entities is not judged on its own."""
FALSE_ALARMS = 0.1
MISSING = "(missing)"
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
CLOSING = ("log_loss", "brier", "auc", "explained")
BEFORE_CLOSE = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 13), (13, 26), (26, 104))
"""Weeks before the close, half-open: known only afterwards, so these figures say when scores become good, not for whom."""


@dataclass(frozen=True)
class Certificate:
    """Figures on unseen later rows. Frames, one row each:

    figures: model, metric (log_loss, brier, auc, top_decile_lift, explained), value, lo, hi: the model beside its peers.
    differences: peer, value, lo, hi: log loss of the model minus the peer's, 95 % interval. reliability: ten bins.
    segments: by, value, rows, entities, predicted, observed, lo, hi, off: lo and hi bound observed - predicted so that about
    1 in 10 tables of a perfect model shows any `off`; amounts by quarter of the rows. before_close: weeks (half-open, those of
    104 or more left out), rows, entities, won, base_log_loss, and log_loss, brier, auc, explained, each with _lo and _hi (90 %).
    dated: figure, bin, rows, predicted, observed, lo, hi: chances of an event by a day that has come.

    by_amount: expected over actual won amount, 1 where neither too much nor too little money is expected; NaN without amounts.
    money: calibration with rows weighed by amount, which also tells what cancels out in that sum; None without amounts.
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
    money: Calibration | None
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
        """Write certificate.json into the folder of a saved model; what is not a number is null there."""
        content = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Certificate | None:
        """What `write` wrote; None where a folder holds none."""
        if not (folder / FILE).exists():
            return None
        c = json.loads((folder / FILE).read_text(encoding="utf-8"))
        for name in ("figures", "differences", "reliability", "segments", "before_close", "dated"):
            c[name] = pd.DataFrame(_numbers(c[name]))
        for name in ("calibration", "money"):
            c[name] = c[name] and _calibration(_numbers(c[name]))
        by_amount = Measured(**_numbers(c["by_amount"]))
        return cls(**{**c, "by_amount": by_amount, "peers": tuple(c["peers"]), "limits": tuple(c["limits"])})


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
    deals included. All intervals take the rows of an entity together.
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
    by_amount, money = _money(y, p, rows["amount"].to_numpy(dtype="float64"), entity)
    return Certificate(
        model, peers, len(rows), len(set(entity)), float(y.mean()), *tested, pd.DataFrame(figures), pd.DataFrame(differences),
        calibration(y, p, entity), by_amount, money, reliability(y, p, entity), _segments(rows, p, segments),
        _before_close(rows, p, predicted[base]), _dated(dated or {}), tuple(limits), data or {},
    )  # fmt: skip


def _money(y: np.ndarray, p: np.ndarray, amount: np.ndarray, entity: np.ndarray) -> tuple[Measured, Calibration | None]:
    """Expected over actual won amount with its interval, and calibration with rows weighed by amount."""
    money = np.nan_to_num(amount)
    if not money.sum() > 0:
        return Measured(*[float("nan")] * 3), None

    def ratio(w: np.ndarray) -> float:
        actual = float(w @ (money * y))
        return float(w @ (money * p)) / actual if actual > 0 else float("nan")

    draws = [ratio(w) for w in row_weights(len(y), entity, RESAMPLES, 0)]
    return Measured(ratio(np.ones(len(y))), *percentile_interval(draws)), calibration(y, p, entity, weights=money)


def _segments(rows: pd.DataFrame, p: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"won": rows["won"].to_numpy(), "p": p, "entity": rows["entity"].to_numpy()})
    labels = {name: rows[name].astype("string").fillna(MISSING) for name in names}
    labels["amount"] = pd.Series(_quarters(rows["amount"]))
    groups = [
        (name, str(label), part)
        for name, told in labels.items()
        for label, part in frame.groupby(told.reset_index(drop=True), observed=True)
        if part["entity"].nunique() >= LEAST_ENTITIES
    ]
    level = 1 - FALSE_ALARMS / max(1, len(groups))
    found = []
    for name, label, part in groups:
        gap = _gap(part["won"].to_numpy(), part["p"].to_numpy(), part["entity"].to_numpy(), level)
        found.append(
            {"by": name, "value": label, "rows": len(part), "entities": part["entity"].nunique(), "predicted": part["p"].mean(),
             "observed": part["won"].mean(), "lo": gap.lo, "hi": gap.hi, "off": bool(gap.lo > 0 or gap.hi < 0)}
        )  # fmt: skip
    columns = ["by", "value", "rows", "entities", "predicted", "observed", "lo", "hi", "off"]
    return pd.DataFrame(found, columns=columns)


def _quarters(amount: pd.Series) -> pd.Categorical:
    """The quarter of the rows each amount lies in; equal amounts in the same one."""
    share = amount.astype("float64").rank(method="average", pct=True)
    codes = np.where(share.isna(), len(QUARTERS), np.searchsorted([0.25, 0.5, 0.75], share.fillna(0)))
    names = [*QUARTERS, MISSING]
    return pd.Categorical(np.array(names)[codes], names, ordered=True)


def _gap(y: np.ndarray, p: np.ndarray, entity: np.ndarray, level: float) -> Measured:
    """Observed minus predicted with its interval from the spread of entities' sums (Student's t, ratio of means)."""
    codes = pd.factorize(entity)[0]
    sums, sizes = np.bincount(codes, y - p), np.bincount(codes)
    gap, count = float((y - p).mean()), len(sizes)
    spread = float(np.sqrt(np.sum((sums - gap * sizes) ** 2) * count / max(1, count - 1))) / len(y)
    half = float(t.ppf((1 + level) / 2, max(1, count - 1))) * spread
    return Measured(gap, gap - half, gap + half)


def _before_close(rows: pd.DataFrame, p: np.ndarray, base: np.ndarray) -> pd.DataFrame:
    weeks = (rows["closed_at"] - rows["as_of"]).dt.total_seconds().to_numpy() / (7 * 86_400)
    y, entity, found = rows["won"].to_numpy(dtype="float64"), rows["entity"].to_numpy(), []
    for start, end in BEFORE_CLOSE:
        part = (weeks >= start) & (weeks < end)
        if (count := len(set(entity[part]))) >= LEAST_ENTITIES:
            measured = measure(y[part], p[part], base[part], entity[part], resamples=RESAMPLES)
            told = {"weeks": f"{start} to under {end}", "rows": int(part.sum()), "entities": count, "won": float(y[part].mean()),
                    "base_log_loss": log_loss(y[part], base[part])}  # fmt: skip
            for metric in CLOSING:
                figure = measured[metric]
                told |= {metric: figure.value, f"{metric}_lo": figure.lo, f"{metric}_hi": figure.hi}
            found.append(told)
    bounds = [f"{metric}{end}" for metric in CLOSING for end in ("", "_lo", "_hi")]
    return pd.DataFrame(found, columns=["weeks", "rows", "entities", "won", "base_log_loss", *bounds])


def _dated(events: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["figure", "bin", "rows", "predicted", "observed", "lo", "hi"])]
    for name, (p, happened, entity) in events.items():
        if len(p):
            tables.append(reliability(happened, p, entity).assign(figure=name))
    return pd.concat(tables[1:] or tables, ignore_index=True)[list(tables[0].columns)]


def _calibration(told: Mapping[str, Any]) -> Calibration:
    return Calibration(bar=told["bar"], **{name: Measured(**told[name]) for name in ("ece", "slope", "intercept")})


def _plain(value: Any) -> Any:
    """As JSON can hold it: frames as column → list, what is not a number as null."""
    if isinstance(value, pd.DataFrame):
        return _plain(value.to_dict("list"))
    if isinstance(value, Measured | Calibration):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _numbers(value: Any) -> Any:
    """The other way: null is not a number."""
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return float("nan") if value is None else value
