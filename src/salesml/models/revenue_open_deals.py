"""What open deals say of the coming months, beside what the history of revenue says.

Revenue of a month = what the deals now open bring (and what is booked of it already) + the rest. The rest is a share of what the
history alone forecasts, learnt from earlier origins, so that it has its season. How much to trust the sum more than the history
alone is learnt per step ahead: much for the next months, little for those that today's deals hardly reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

LEAST_ORIGINS = 3
PRIOR = 2.0
"""Origins' worth of equal trust in both, and of the whole's share of the rest in a part's."""


@dataclass(frozen=True)
class OpenDeals:
    """By first forecast period, series × steps in currency units, of the bottom series (the only one, or the parts).

    brought: expected from deals then open, and booked already of the first period; missing where nothing is known. rest: what came
    beside what those deals and bookings brought; missing where the period is not over. by_rep: brought by (series, rep). parts: of the
    newest period, brought by (series, rep, what it comes of).
    """

    brought: Mapping[pd.Timestamp, pd.DataFrame]
    rest: Mapping[pd.Timestamp, pd.DataFrame]
    by_rep: Mapping[pd.Timestamp, pd.DataFrame] = field(default_factory=dict)
    parts: pd.DataFrame | None = None


@dataclass(frozen=True)
class Origin:
    """One origin on the grid, arrays [bottom series, step]: the history's forecast, what came (NaN: not yet), and what open deals told."""

    cut: int
    history: np.ndarray
    actual: np.ndarray
    brought: np.ndarray
    rest: np.ndarray


def with_open_deals(origins: list[Origin]) -> list[np.ndarray]:
    """Forecasts [bottom series, step] ≥ 0 at each origin, by number of known periods, from what earlier ones had shown by then.

    The history's own where fewer than three earlier origins tell of a step.
    """
    made: list[np.ndarray] = []
    sums: list[np.ndarray] = []
    for number, now in enumerate(origins):
        best, total = now.history.copy(), np.full_like(now.history, np.nan)
        for step in range(best.shape[1]):
            known = [place for place, past in enumerate(origins[:number]) if past.cut + step < now.cut]
            share = _rest([origins[place] for place in known], step)
            if share is None or np.isnan(now.brought[:, step]).any():
                break
            total[:, step] = np.maximum(now.brought[:, step] + share * now.history[:, step], 0)
            judged = [(origins[place], sums[place][:, step]) for place in known if np.isfinite(sums[place][:, step]).all()]
            trust = _trust(judged, step)
            best[:, step] += trust * (total[:, step] - best[:, step])
        made.append(best)
        sums.append(total)
    return made


def _rest(past: list[Origin], step: int) -> np.ndarray | None:
    """The rest as a share of the history's forecast, per series, drawn towards that of all."""
    told = [one for one in past if np.isfinite(one.rest[:, step]).all() and np.isfinite(one.brought[:, step]).all()]
    history = np.array([one.history[:, step] for one in told])
    if len(told) < LEAST_ORIGINS or not history.sum() > 0:
        return None
    rest, prior = np.array([one.rest[:, step] for one in told]), PRIOR * history.mean(axis=0)
    return (rest.sum(axis=0) + prior * rest.sum() / history.sum()) / np.maximum(history.sum(axis=0) + prior, 1e-12)


def _trust(judged: list[tuple[Origin, np.ndarray]], step: int) -> float:
    """The weight of the sum against the history, 0 to 1, by least squares over all series; a half without anything to go by."""
    apart = np.array([made - one.history[:, step] for one, made in judged])
    needed = np.array([(one.actual - one.history)[:, step] for one, _ in judged])
    square = float((apart**2).sum())
    prior = PRIOR * square / max(len(judged), 1)
    return float(np.clip(((apart * needed).sum() + prior / 2) / (square + prior), 0, 1)) if square > 0 else 0.5
