"""What became of deals by what was done in their first weeks: shares won by band, plain and adjusted, correlational.

Immortal time: a deal that lives long is touched often, whatever touches do. So every deal is taken at a landmark, so many days after it
came to be: only deals still open then count, behaviour is what was known before it, the outcome is a win in a window that begins there and
is of one length for all, and over for all. What nobody recorded still differs between deals: the E-value (VanderWeele and Ding 2017,
Annals of Internal Medicine 167) says how strong such a cause would have to be.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import false_discovery_control, norm

from salesml.analytics.activity import is_met, is_touch
from salesml.analytics.activity_response import share_of
from salesml.errors import BadParameter, NotEnoughData
from salesml.lake import View, visible

LABEL = "correlational"
LEVEL, FALSE = 0.9, 0.1
LEAST_BAND, LEAST_KIND = 30, 20
KNOWN = ("segment", "product_id", "source", "type", "stage", "owner_id")
"""What is held equal beside the band of the amount: as known at the landmark."""
BEHAVIOURS = {
    "touches": ("Touches", "touches"),
    "meetings": ("Meetings and demos held", "meetings"),
    "contacts": ("People of the customer in contact", "people"),
    "answer_hours": ("Wait of customers' messages", "hours"),
}
EDGES = {"meetings": (1, 2), "contacts": (2, 3), "answer_hours": (4, 24)}
"""Where bands begin, above the lowest; touches are divided into thirds."""
_DAY: Any = pd.Timedelta(days=1)
_HOUR: Any = pd.Timedelta(hours=1)


def landmark_deals(view: View, days: int = 14, window: int | None = None) -> pd.DataFrame:
    """Deals at their landmark, `days` after they came to be, and whether they were won in the window after it. Grain: one row per deal.

    window: days; without it nine in ten of the closed deals that reached the landmark had closed by then, in whole weeks. Deals count that
    are not deleted, were open at the landmark, as known then and as known now, and whose window is over. Columns: opportunity_id, won,
    window, KNOWN, amount_band (quarter of the amounts of its currency, unknown), and BEHAVIOURS known before the landmark: touches,
    meetings (that took place), contacts (people named; missing where the company names none), answer_hours (mean wait of messages,
    unanswered ones up to the landmark; missing without a message). Raises BadParameter, NotEnoughData.
    """
    assert view.as_of is not None
    if not 1 <= days <= 365:
        raise BadParameter(f"days {days} is outside 1..365")
    now = view.frame(view.state("opportunity", ["status", "deleted"], since=["status"]).drop("as_of"))
    now = now[~now["deleted"].eq(True)].reset_index(drop=True)
    now = now.assign(mark=now["created_at"] + days * _DAY)
    closed = now["status"].isin(["won", "lost", "no_decision"])
    after = (now["status_since"] - now["mark"]) / _DAY
    took = after[closed & (after >= 0)]
    if window is None and len(took) < LEAST_BAND:
        raise NotEnoughData(f"{len(took)} deals closed {days} days or more after they came to be; {LEAST_BAND} are needed")
    length = window or 7 * max(1, math.ceil(float(took.quantile(0.9)) / 7))
    judged = now[(now["mark"] + length * _DAY <= pd.Timestamp(view.as_of)) & ~(closed & (after < 0))]
    spine = judged.rename(columns={"mark": "as_of"})[["opportunity_id", "as_of"]].reset_index(drop=True)
    if spine.empty:
        raise NotEnoughData(f"no deal is older than {days + length} days: {days} to the landmark and {length} to win")
    then = visible(view.tables, spine)
    stood = then.frame(then.state("opportunity", ["status", "deleted", "amount", "currency", *KNOWN]))
    there = stood["status"].fillna("open").eq("open") & ~stood["deleted"].eq(True)
    won = pd.Series((judged["status"].eq("won") & (after[judged.index] < length)).to_numpy(), judged["opportunity_id"])
    deals = stood[there].sort_values("opportunity_id", ignore_index=True)
    amounts = deals["amount"].astype("float64")
    quarter = (4 * amounts.groupby(deals["currency"].fillna("")).rank(pct=True)).apply(np.ceil)
    band = quarter.astype("Int64").astype("string").fillna("unknown")
    deals = deals.assign(won=deals["opportunity_id"].map(won).astype("bool"), window=length, amount_band=band)
    deals = deals.merge(_behaviour(then, deals), "left", "opportunity_id")
    named = deals["contacts"].fillna(0).gt(0).any()
    for name in ("touches", "meetings", "contacts"):
        deals[name] = deals[name].astype("float64").fillna(0.0)
    deals["contacts"] = deals["contacts"] if named else np.nan
    return deals[["opportunity_id", "won", "window", *KNOWN, "amount_band", *BEHAVIOURS]]


def _behaviour(then: View, deals: pd.DataFrame) -> pd.DataFrame:
    """What was known of each deal's activities at its landmark, that happened before it."""
    facts = then.facts("activity")
    facts = facts.filter(facts.occurred_at < facts.as_of)
    asked = facts.select(
        "opportunity_id", "activity_id", "contact_id", "as_of", at=facts.occurred_at, touch=is_touch(facts), met=is_met(facts),
        inbound=ibis.coalesce(facts.direction, "outbound") == "inbound", outbound=ibis.coalesce(facts.direction, "") == "outbound",
    )  # fmt: skip
    rows = then.frame(asked)
    rows = rows[rows["opportunity_id"].isin(set(deals["opportunity_id"]))]
    rows = rows.sort_values(["opportunity_id", "at", "activity_id"], ignore_index=True)
    answered = rows["at"].where(rows["outbound"]).groupby(rows["opportunity_id"]).bfill().fillna(rows["as_of"])
    rows["wait"] = ((answered - rows["at"]) / _HOUR).where(rows["inbound"])
    found = rows.groupby("opportunity_id").agg(
        touches=("touch", "sum"), meetings=("met", "sum"), contacts=("contact_id", "nunique"), answer_hours=("wait", "mean")
    )
    return found.reset_index()


def banded(values: pd.Series, name: str) -> pd.Series:
    """The band each value lies in, as an ordered category; bands of fewer than 30 deals join the next lower one. Missing stays missing."""
    known = values.dropna()
    edges = list(EDGES.get(name, sorted({math.ceil(known.quantile(share)) for share in (1 / 3, 2 / 3)} if len(known) else ())))
    edges = [edge for edge in edges if known.lt(edge).any() and known.ge(edge).any()]
    while edges:
        sizes = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
        small = [place for place, size in enumerate(sizes) if size < LEAST_BAND]
        if not small:
            break
        del edges[max(small[0] - 1, 0)]
    unit = BEHAVIOURS[name][1]
    labels = _labels(edges, unit)
    codes = np.where(values.notna(), np.searchsorted(edges, values.fillna(0), side="right"), -1)
    named = [labels[code] if code >= 0 else None for code in codes]
    return pd.Series(pd.Categorical(named, labels, ordered=True), values.index)


def _labels(edges: list[int], unit: str) -> list[str]:
    if unit == "hours":
        between = [f"{low} to {high} hours" for low, high in pairwise(edges)]
        return [f"under {edges[0]} hours", *between, f"{edges[-1]} hours or more"] if edges else ["any"]
    if not edges:
        return ["any"]
    spans = [(0, edges[0]), *pairwise(edges)]
    told = [f"{low}" if low == high - 1 else f"{low} to {high - 1}" for low, high in spans]
    return [*told, f"{edges[-1]} or more"]


def win_rates(deals: pd.DataFrame, name: str) -> tuple[pd.DataFrame, dict[str, object]] | None:
    """Shares won by band of a behaviour, and the highest band beside the lowest; None with fewer than two bands of 30 deals.

    deals: `landmark_deals`. Bands: behaviour, band, deals, won, share, lo, hi (Wilson), adjusted, adjusted_lo, adjusted_hi: the share had
    all deals been in the band, at the mix of all (logistic, ridge, standardised; errors robust to its shape, the deal is the unit).
    Contrast: behaviour, title, low, high (bands), deals, plain (difference of shares), difference, lo, hi (adjusted), p_value, ratio,
    e_value, e_value_lo (1 where the interval of the ratio holds 1), label. Intervals 90 %.
    """
    known = deals[deals[name].notna()].reset_index(drop=True)
    bands = banded(known[name], name)
    count = len(bands.cat.categories)
    if count < 2 or known["won"].nunique() < 2:
        return None
    code, won = bands.cat.codes.to_numpy(), known["won"].to_numpy("float64")
    p, gradient, spread = standardised(code, count, _known(known), won)
    z = norm.ppf((1 + LEVEL) / 2)
    rows = []
    for band, label in enumerate(bands.cat.categories):
        mine = won[code == band]
        share, lo, hi = share_of(int(mine.sum()), len(mine))
        error = math.sqrt(gradient[band] @ spread @ gradient[band])
        rows.append({
            "behaviour": name, "band": label, "deals": len(mine), "won": int(mine.sum()), "share": share, "lo": lo, "hi": hi,
            "adjusted": p[band], "adjusted_lo": max(p[band] - z * error, 0.0), "adjusted_hi": min(p[band] + z * error, 1.0),
        })  # fmt: skip
    slope = gradient[-1] - gradient[0]
    error = math.sqrt(slope @ spread @ slope)
    gap = float(p[-1] - p[0])
    tilt = gradient[-1] / p[-1] - gradient[0] / p[0]
    log, log_error = math.log(p[-1] / p[0]), math.sqrt(tilt @ spread @ tilt)
    contrast: dict[str, object] = {
        "behaviour": name, "title": BEHAVIOURS[name][0], "low": rows[0]["band"], "high": rows[-1]["band"], "deals": len(known),
        "plain": rows[-1]["share"] - rows[0]["share"], "difference": gap, "lo": gap - z * error, "hi": gap + z * error,
        "p_value": float(2 * norm.sf(abs(gap) / error)), "ratio": math.exp(log), "e_value": e_value(math.exp(log)),
        "e_value_lo": e_value(math.exp(_nearest_to_none(log - z * log_error, log + z * log_error))), "label": LABEL,
    }  # fmt: skip
    return pd.DataFrame(rows), contrast


def associations(deals: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`win_rates` of all behaviours that can be told: bands, and contrasts with `told` (interval without 0, and at most 10 % of all told
    are expected false: Benjamini-Hochberg)."""
    found = [told for name in BEHAVIOURS if (told := win_rates(deals, name)) is not None]
    if not found:
        return pd.DataFrame(), pd.DataFrame()
    contrasts = pd.DataFrame([contrast for _, contrast in found])
    fair = false_discovery_control(contrasts["p_value"].to_numpy("float64")) <= FALSE
    apart = (contrasts["lo"] > 0) | (contrasts["hi"] < 0)
    return pd.concat([bands for bands, _ in found], ignore_index=True), contrasts.assign(told=fair & apart)


def e_value(ratio: float) -> float:
    """How strongly (as a ratio) an unseen cause would have to go with both sides to make a ratio of shares alone; 1 for no ratio."""
    above = max(ratio, 1 / ratio)
    return above + math.sqrt(above * (above - 1))


def _nearest_to_none(lo: float, hi: float) -> float:
    return 0.0 if lo <= 0 <= hi else min(lo, hi, key=abs)


def _known(deals: pd.DataFrame) -> np.ndarray:
    """What is held equal as columns of 0 and 1 less their means; kinds of fewer than 20 deals are one kind."""
    parts = []
    for name in (*KNOWN, "amount_band"):
        kinds = deals[name].astype("object").fillna("unknown").astype("str")
        kinds = kinds.where(kinds.map(kinds.value_counts()) >= LEAST_KIND, "(other)")
        parts.append(pd.get_dummies(kinds, drop_first=True, dtype="float64").to_numpy())
    held = np.column_stack(parts)
    return held - held.mean(axis=0)


def standardised(code: np.ndarray, bands: int, held: np.ndarray, won: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean chance to win had all deals been in each band: chances, their gradients, and the coefficients' covariance (sandwich).

    Logistic regression on the band and what is held equal, with a ridge of 1 on the latter and 0.1 on the bands' differences.
    """
    design = np.column_stack([np.ones(len(won)), np.eye(bands)[code][:, 1:], held])
    ridge = np.r_[0.0, np.full(bands - 1, 0.1), np.full(held.shape[1], 1.0)]
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        chance = expit(design @ beta)
        hessian = design.T @ (design * (chance * (1 - chance))[:, None]) + np.diag(ridge) + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, design.T @ (won - chance) - ridge * beta)
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    chance = expit(design @ beta)
    bread = np.linalg.inv(hessian)
    score = design * (won - chance)[:, None]
    spread = bread @ (score.T @ score) @ bread
    chances, gradients = np.zeros(bands), np.zeros((bands, len(beta)))
    for band in range(bands):
        as_if = design.copy()
        as_if[:, 1:bands] = np.eye(bands)[band, 1:]
        there = expit(as_if @ beta)
        chances[band] = there.mean()
        gradients[band] = (as_if * (there * (1 - there))[:, None]).mean(axis=0)
    return chances, gradients, spread
