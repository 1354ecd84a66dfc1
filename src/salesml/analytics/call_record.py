"""How good forecast calls were beside the model, and how far to trust whom: bias and weight learnt on earlier quarters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from salesml.evaluation.bootstrap import percentile_interval, row_weights

LEAST_QUARTERS = 4
PRIOR = 4
"""A person's bias and weight are drawn towards the level's as if by so many quarters more, a level's towards none and one half."""
RESAMPLES, SURE = 1000, 0.95
EVERYBODY = "everybody"
FIGURES = [
    "author", "level", "calls", "quarters", "wape", "bias", "model_wape", "model_bias", "added", "lo", "hi", "verdict",
]  # fmt: skip
TRUST = ["author", "level", "quarters", "bias", "factor", "weight"]
MIXES = ["author", "level", "calls", "quarters", "call_wape", "corrected_wape", "model_wape", "mix_wape", "verdict"]


def figures(judged: pd.DataFrame) -> pd.DataFrame:
    """Error, bias and forecast value added. Grain: one row per author and level, after everybody's of the level.

    judged: one row per author, node, quarter and week: author, level, name, quarter, week, call, model (may be missing), y (what the
    quarter brought), money in currency. Columns: calls (rows), quarters, wape (Σ|call - y| ÷ Σ|y|), bias (Σ(call - y) ÷ Σ|y|, above
    0: too high), model_wape and model_bias (of the rows with a model), added (mean of the model's absolute error less the
    caller's, currency: above 0 the person was nearer) with its 95 % interval lo, hi (whole quarters resampled), verdict in words;
    below 4 quarters no interval and "not enough".
    """
    return _by_author(judged, _figures, FIGURES)


def by_week(judged: pd.DataFrame) -> pd.DataFrame:
    """The columns of `figures` by week, everybody's together. Grain: one row per level and week of the quarter."""
    rows = [
        {"week": week, **_figures(EVERYBODY, str(level), part)}
        for (level, week), part in judged.groupby(["level", "week"], sort=True)
    ]
    return pd.DataFrame(rows, columns=["level", "week", *FIGURES[2:]])


def learn(judged: pd.DataFrame) -> pd.DataFrame:
    """Bias and trust weight of each person. Grain: one row per author and level, after the level's own (author "everybody").

    judged as `figures` takes it, rows without a model left out; each node's money is taken in units of its mean model number.
    Columns: quarters; factor: what the actual was per unit called, Σy ÷ Σcall; bias: 1 ÷ factor - 1 (above 0: calls too
    high); weight w in [0, 1]: the least-squares share of the corrected call (call × factor) in w × corrected + (1 - w) × model.
    Both are (quarters × own + 4 × the level's) ÷ (quarters + 4); the level's are drawn likewise towards 1 and 1/2.
    """
    rows = _scaled(judged[judged["model"].notna()])
    found: list[dict[str, Any]] = []
    for level, part in rows.groupby("level", sort=True):
        count = part["quarter"].nunique()
        usual = _drawn(_ratio(part["y"].sum(), part["call"].sum(), 1.0), count, 1.0)
        people = {author: _own(own, usual) for author, own in part.groupby("author", sort=True)}
        corrected = part["call"] * part["author"].map({author: factor for author, (_, factor) in people.items()})
        share = _drawn(_share(corrected, part["model"], part["y"], 0.5), count, 0.5)
        found.append(_trust(EVERYBODY, level, count, usual, share))
        for author, (quarters, factor) in people.items():
            mine = part[part["author"] == author]
            weight = _drawn(_share(mine["call"] * factor, mine["model"], mine["y"], share), quarters, share)
            found.append(_trust(author, level, quarters, factor, weight))
    return pd.DataFrame(found, columns=TRUST)


def mix(rows: pd.DataFrame, learnt: pd.DataFrame) -> pd.DataFrame:
    """`rows` (author, level, call, model) with corrected (the call less the learnt bias), weight and mix of corrected and model.

    Somebody not seen before has the level's; a level not seen before, or a row without a model, has none (missing).
    """
    table = learnt.set_index(["author", "level"])[["factor", "weight"]]
    own = table.reindex(pd.MultiIndex.from_frame(rows[["author", "level"]])).set_axis(rows.index)
    general = table.reindex(pd.MultiIndex.from_arrays([[EVERYBODY] * len(rows), rows["level"]])).set_axis(rows.index)
    chosen = own.fillna(general).astype("float64")
    corrected = rows["call"].astype("float64") * chosen["factor"]
    mixed = chosen["weight"] * corrected + (1 - chosen["weight"]) * rows["model"].astype("float64")
    return rows.assign(corrected=corrected, weight=chosen["weight"], mix=mixed)


def out_of_sample(judged: pd.DataFrame) -> pd.DataFrame:
    """`mix` of each quarter as learnt on the earlier quarters only; those before which nothing was learnt are left out."""
    parts = []
    for quarter in sorted(judged["quarter"].unique()):
        earlier = judged[judged["quarter"] < quarter]
        if len(earlier):
            parts.append(mix(judged[judged["quarter"] == quarter], learn(earlier)))
    nothing = judged.head(0).assign(corrected=0.0, weight=0.0, mix=0.0)
    found = pd.concat(parts, ignore_index=True) if parts else nothing
    return found[found["mix"].notna()].reset_index(drop=True)


def mix_figures(held: pd.DataFrame) -> pd.DataFrame:
    """Errors of call, corrected call, model and mix on the same rows (`out_of_sample`). Grain: one row per author and level.

    Columns: calls, quarters, call_wape, corrected_wape, model_wape, mix_wape (Σ|e| ÷ Σ|y|), verdict: the nearest in words, from 4
    quarters on.
    """
    return _by_author(held, _mixes, MIXES)


def _by_author(rows: pd.DataFrame, figure: Any, columns: list[str]) -> pd.DataFrame:
    every = pd.concat([rows.assign(author=EVERYBODY, first=False), rows.assign(first=True)], ignore_index=True)
    groups: Any = every.groupby(["first", "level", "author"], sort=True)
    return pd.DataFrame([figure(author, level, part) for (_, level, author), part in groups], columns=columns)


def _figures(author: str, level: str, part: pd.DataFrame) -> dict[str, Any]:
    known = part[part["model"].notna()]
    missed, model_missed = part["call"] - part["y"], known["model"] - known["y"]
    gain = (model_missed.abs() - (known["call"] - known["y"]).abs()).to_numpy("float64")
    quarters, (lo, hi) = known["quarter"].nunique(), (float("nan"), float("nan"))
    verdict = f"not enough: {quarters} of {LEAST_QUARTERS} quarters"
    if quarters >= LEAST_QUARTERS:
        drawn = [w @ gain / w.sum() for w in row_weights(len(gain), known["quarter"].to_numpy(), RESAMPLES, seed=0)]
        lo, hi = percentile_interval(drawn, SURE)
        verdict = "better than the model" if lo > 0 else "worse than the model" if hi < 0 else "no sure difference"
    size, model_size = part["y"].abs().sum(), known["y"].abs().sum()
    return {
        "author": author, "level": level, "calls": len(part), "quarters": part["quarter"].nunique(),
        "wape": _ratio(missed.abs().sum(), size), "bias": _ratio(missed.sum(), size),
        "model_wape": _ratio(model_missed.abs().sum(), model_size), "model_bias": _ratio(model_missed.sum(), model_size),
        "added": float(gain.mean()) if len(gain) else float("nan"), "lo": lo, "hi": hi, "verdict": verdict,
    }  # fmt: skip


def _mixes(author: str, level: str, part: pd.DataFrame) -> dict[str, Any]:
    size, quarters = part["y"].abs().sum(), part["quarter"].nunique()
    error = {name: _ratio((part[name] - part["y"]).abs().sum(), size) for name in ("call", "corrected", "model", "mix")}
    nearest = {"call": "the call", "corrected": "the corrected call", "model": "the model", "mix": "the mix"}[
        min(error, key=lambda name: (np.isnan(error[name]), error[name]))
    ]
    verdict = f"nearest: {nearest}" if quarters >= LEAST_QUARTERS else f"not enough: {quarters} of {LEAST_QUARTERS} quarters"
    wapes = {f"{name}_wape": value for name, value in error.items()}
    return {"author": author, "level": level, "calls": len(part), "quarters": quarters, **wapes, "verdict": verdict}


def _scaled(rows: pd.DataFrame) -> pd.DataFrame:
    """Money in units of each node's mean model number, so that no large node outweighs the others of its level."""
    rows = rows.astype({"call": "float64", "model": "float64", "y": "float64"})
    unit = rows.groupby(["author", "level", "name"])["model"].transform("mean").abs()
    unit = unit.where(unit > 0, 1.0)
    return rows.assign(call=rows["call"] / unit, model=rows["model"] / unit, y=rows["y"] / unit)


def _own(rows: pd.DataFrame, usual: float) -> tuple[int, float]:
    quarters = rows["quarter"].nunique()
    return quarters, _drawn(_ratio(rows["y"].sum(), rows["call"].sum(), usual), quarters, usual)


def _share(corrected: pd.Series, model: pd.Series, y: pd.Series, without: float) -> float:
    """The least-squares share of the corrected call, in [0, 1]; `without` where call and model never differ."""
    apart = (corrected - model).to_numpy("float64")
    return float(np.clip(_ratio(float(apart @ (y - model).to_numpy("float64")), float(apart @ apart), without), 0, 1))


def _drawn(own: float, quarters: int, towards: float) -> float:
    return (quarters * own + PRIOR * towards) / (quarters + PRIOR)


def _trust(author: Any, level: Any, quarters: int, factor: float, weight: float) -> dict[str, Any]:
    bias = _ratio(1.0, factor) - 1
    return {"author": author, "level": level, "quarters": quarters, "bias": bias, "factor": factor, "weight": weight}


def _ratio(part: float, whole: float, without: float = float("nan")) -> float:
    return float(part / whole) if whole > 0 else without
