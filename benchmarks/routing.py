"""Ten thousand leads to five hundred reps, and one lead, beside the plain ways: every arc in one flow, one square assignment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from salesml.planning import routing_flow
from salesml.planning.routing import route, route_one
from salesml.planning.routing_flow import best_fair

LEADS, REPS, PLACES, AHEAD, SINGLE = 10_000, 500, 20, 300, 40
SQUARE_LEADS, SQUARE_REPS = 2_000, 100
BATCH_BAR, ONE_BAR = 20.0, 0.050


def run() -> dict[str, Any]:
    """Seconds of a batch with reasons and alternatives, by kind; of its plain ways; of one lead.

    open: anybody may take anything; regions: four of them; quotas: unequal shares and leads held before. The plain way of the flow takes
    all 5,000,000 arcs at once; that of the assignment has a column for each of a rep's places (scipy), on 2,000 leads × 100 reps.
    """
    batches = {name: _batch(name) for name in ("open", "regions", "quotas")}
    values = _values(LEADS, REPS)
    everybody = (np.ones((LEADS, REPS), dtype=bool), np.full(REPS, LEADS), np.zeros(REPS, dtype="int64"), np.ones(REPS))
    ours, mine = _timed(lambda: best_fair(values, *everybody))
    whole, plain = _whole_flow(values, everybody)
    square = _square()
    single = _single()
    worst = max(single)
    return {
        **{f"batch_seconds_{name}": round(seconds, 2) for name, seconds in batches.items()},
        "flow_seconds": round(ours, 2),
        "whole_flow_seconds": round(whole, 2),
        "flow_ratio": round(whole / ours, 2),
        "same_value_as_whole_flow": bool(abs(mine.value / plain.value - 1) < 1e-6),
        "optimality_gap": mine.gap,
        **square,
        "one_lead_milliseconds_median": round(1_000 * float(np.median(single)), 1),
        "one_lead_milliseconds_worst": round(1_000 * worst, 1),
        "bar": f"{LEADS:,} leads × {REPS} reps in at most {BATCH_BAR:.0f} s, one lead in at most {1_000 * ONE_BAR:.0f} ms",
        "met": max(batches.values()) <= BATCH_BAR and float(np.median(single)) <= ONE_BAR,
    }


def _values(leads: int, reps: int, seed: int = 0) -> np.ndarray:
    """Chance × amount × P(win) with a rep's effect on its log-odds."""
    rng = np.random.default_rng(seed)
    size = rng.beta(0.5, 5, leads) * np.exp(rng.normal(9, 0.9, leads))
    return size[:, None] / (1 + np.exp(-(rng.normal(-0.9, 0.3, leads)[:, None] + rng.normal(0, 0.3, reps))))


def _frames(leads: int, reps: int, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    lead = pd.DataFrame({"lead_id": [f"X{n}" for n in range(leads)], "chance": rng.beta(0.5, 5, leads)})
    rep = pd.DataFrame({"owner_id": [f"U{n}" for n in range(reps)]})
    if kind == "regions":
        lead["territories"] = [(region,) for region in rng.choice(list("NESW"), leads)]
        rep["territories"] = [(region,) for region in rng.choice(list("NESW"), reps)]
    if kind == "quotas":
        rep["weight"] = np.maximum(np.round(4 * rng.lognormal(0, 0.4, reps)) / 4, 0.25)
        rep["held"] = rng.integers(0, 5, reps)
    return lead, rep


def _batch(kind: str) -> float:
    leads, reps = _frames(LEADS, REPS, kind)
    values = _values(LEADS, REPS)
    seconds, made = _timed(lambda: route(leads, reps, values, currency="USD"))
    if made.unfair or len(made.assigned) != LEADS:
        raise AssertionError(f"the batch of kind {kind} is unfair or incomplete")
    return seconds


def _whole_flow(values: np.ndarray, rest: tuple[np.ndarray, ...]) -> tuple[float, routing_flow.Flow]:
    kept = routing_flow.WHOLE
    routing_flow.WHOLE = 10 * values.size
    try:
        return _timed(lambda: best_fair(values, *rest))
    finally:
        routing_flow.WHOLE = kept


def _square() -> dict[str, Any]:
    values = _values(SQUARE_LEADS, SQUARE_REPS)
    places = SQUARE_LEADS // SQUARE_REPS
    wide = np.repeat(values, places, axis=1)
    plain, found = _timed(lambda: linear_sum_assignment(wide, maximize=True))
    limits = (np.full(SQUARE_REPS, SQUARE_LEADS), np.zeros(SQUARE_REPS, dtype="int64"), np.ones(SQUARE_REPS))
    rest = (np.ones(values.shape, dtype=bool), *limits)
    ours, mine = _timed(lambda: best_fair(values, *rest))
    return {
        "square_assignment_seconds": round(plain, 2),
        "flow_seconds_on_the_same": round(ours, 2),
        "square_ratio": round(plain / ours, 2),
        "same_value_as_square": bool(abs(mine.value / float(wide[found].sum()) - 1) < 1e-6),
    }


def _single() -> list[float]:
    leads, reps = _frames(SINGLE, REPS, "open")
    values, ahead = _values(SINGLE, REPS, 2), _values(AHEAD, REPS, 3)
    route_one(leads.iloc[[0]], reps, values[[0]], ahead=ahead)
    return [_timed(lambda row=row: route_one(leads.iloc[[row]], reps, values[[row]], ahead=ahead))[0] for row in range(SINGLE)]


def _timed(call: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found
