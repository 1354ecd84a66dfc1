"""What a registered scorer answers, wherever it is called: in a batch, as a pyfunc, behind the scoring server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter
from salesml.models.scorer import Bounded, LaysOut, Scorer, Timed
from salesml.registry.columns import Column, complete

LEVEL = 0.9
MOST_FACTORS = 1000
FEW_ROWS = 1000
"""Up to so many rows are laid out once for all that is asked of them."""
TIMING_DAYS, TIMING_SHARES = (30, 90), (10, 50, 90)


def predictions(
    scorer: Scorer,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    interval: bool = False,
    factors: int = 0,
    timing: bool = False,
) -> pd.DataFrame:
    """One row per input row: `probability`; with `interval` also `lo`, `hi`; with `factors` that many, as a list.

    `lo`, `hi` bound the calibrated probability at 90 %. A factor is {feature, value, effect}, its effect in log-odds,
    the strongest first. `timing` adds won_30d, won_90d, closed_30d, closed_90d (chances by then) and closes_in_10, _50, _90
    (days by which so many per cent of such deals are closed; null beyond what the model can tell).
    BadParameter for a number of factors that is not from 0 to 1000, BadInput for the timing of a scorer that knows none.
    """
    if not 0 <= factors <= MOST_FACTORS:
        raise BadParameter(f"factors must be from 0 to {MOST_FACTORS}, not {factors}")
    frame = complete(frame, columns)
    X: Any = scorer.laid_out(frame) if isinstance(scorer, LaysOut) and len(frame) <= FEW_ROWS else frame
    answer: dict[str, Any] = {}
    if interval:
        found = scorer.bounded(X, LEVEL) if isinstance(scorer, Bounded) else (scorer.predict(X), *scorer.interval(X, LEVEL))
        answer = dict(zip(("probability", "lo", "hi"), found, strict=True))
    else:
        answer["probability"] = scorer.predict(X)
    if timing:
        if not isinstance(scorer, Timed):
            raise BadInput(f"a model of kind {scorer.kind} knows nothing of time", mend="Ask without timing.")
        outlook = scorer.outlook(X)
        for days in TIMING_DAYS:
            answer |= {f"won_{days}d": outlook.by(days, "won"), f"closed_{days}d": outlook.by(days)}
        spans = pd.DataFrame({f"closes_in_{share}": outlook.closes_in(share / 100) for share in TIMING_SHARES})
        answer |= dict(zip(map(str, spans), _plain(spans).T, strict=True))
    if factors:
        answer["factors"] = pd.Series(_strongest(scorer.explain(X)[1], frame, factors), dtype=object)
    return pd.DataFrame(answer)


def _strongest(effects: pd.DataFrame, frame: pd.DataFrame, count: int) -> list[list[dict[str, object]]]:
    """Per row, the `count` features with the greatest absolute effect; none of effect zero."""
    table = effects.to_numpy(dtype="float64")
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, :count]
    names = list(effects.columns)
    used = np.unique(order)
    values = dict(zip(used.tolist(), _plain(frame[[names[place] for place in used]]).T, strict=True))
    chosen = np.take_along_axis(table, order, axis=1).tolist()
    return [
        [
            {"feature": names[i], "value": values[i][row], "effect": effect}
            for i, effect in zip(features, strengths, strict=True)
            if effect
        ]
        for row, (features, strengths) in enumerate(zip(order.tolist(), chosen, strict=True))
    ]


def _plain(frame: pd.DataFrame) -> np.ndarray:
    """The frame's values, rows × columns, as JSON can hold them: a missing value is None."""
    return frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object)
