"""What a registered scorer answers, wherever it is called: in a batch, as a pyfunc, behind the scoring server."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salesml.errors import BadParameter
from salesml.models.scorer import Scorer
from salesml.registry.columns import Column, complete

LEVEL = 0.9
MOST_FACTORS = 1000


def predictions(
    scorer: Scorer, frame: pd.DataFrame, columns: Sequence[Column], *, interval: bool = False, factors: int = 0
) -> pd.DataFrame:
    """One row per input row: `probability`; with `interval` also `lo`, `hi`; with `factors` that many, as a list.

    `lo`, `hi` bound the calibrated probability at 90 %. A factor is {feature, value, effect}, its effect in log-odds,
    the strongest first. BadParameter for a number of factors that is not from 0 to 1000.
    """
    if not 0 <= factors <= MOST_FACTORS:
        raise BadParameter(f"factors must be from 0 to {MOST_FACTORS}, not {factors}")
    frame = complete(frame, columns)
    answer = pd.DataFrame({"probability": scorer.predict(frame)})
    if interval:
        answer["lo"], answer["hi"] = scorer.interval(frame, LEVEL)
    if factors:
        answer["factors"] = pd.Series(_strongest(scorer, frame, factors), dtype=object)
    return answer


def _strongest(scorer: Scorer, frame: pd.DataFrame, count: int) -> list[list[dict[str, object]]]:
    """Per row, the `count` features with the greatest absolute effect; none of effect zero."""
    effects = scorer.explain(frame)[1]
    table = effects.to_numpy(dtype="float64")
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, :count]
    names = list(effects.columns)
    values = [_plain(frame[name]) for name in names]
    chosen = np.take_along_axis(table, order, axis=1).tolist()
    return [
        [
            {"feature": names[i], "value": values[i][row], "effect": effect}
            for i, effect in zip(features, strengths, strict=True)
            if effect
        ]
        for row, (features, strengths) in enumerate(zip(order.tolist(), chosen, strict=True))
    ]


def _plain(column: pd.Series) -> list[object]:
    """The column's values as JSON can hold them: a missing value is None."""
    return column.astype(object).where(column.notna(), None).tolist()
