"""Series of a hierarchy forecast at every node, made to add up, with intervals from what the added-up forecasts erred
at earlier origins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadParameter
from salesml.models.hierarchy import Tree, reconcile, tree
from salesml.models.intervals import Errors, error_quantiles, error_unit, with_intervals
from salesml.models.series import ENSEMBLE, LIKE_NOW, backtest_series
from salesml.models.series_input import SHORTEST

RECONCILED = "reconciled"
#: Earlier origins, a horizon apart, whose errors the intervals rest on.
CALIBRATION = 4
#: No node is taken for surer than this share of the most uncertain one's standard deviation.
LEAST_DOUBT = 1e-6
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Rolled:
    """Forecasts of N nodes from W origins, the latest first: `base` and `points` [W, N, horizon] before and after
    reconciling, `actual` with NaN where not known, `known` [W, N] periods known at the origin (0: not begun).
    """

    nodes: Tree
    histories: list[np.ndarray]
    season: int
    nonnegative: bool
    table: pd.DataFrame
    base: np.ndarray
    points: np.ndarray
    actual: np.ndarray
    known: np.ndarray


def forecast_hierarchy(
    frame: pd.DataFrame,
    parents: Mapping[str, str | None],
    horizon: int,
    season: int,
    models: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Forecast every node of a tree `horizon` periods on from its leaves' gapless series (`unique_id, index, y`).

    Returns one row per node and step: unique_id, level (0: root), index, yhat, lo80, hi80, lo95, hi95 (the series'
    unit); yhat adds up to 1e-9 and is not negative where no leaf ever was. `parents` names each node's parent (None:
    root). A leaf counts as 0 before it begins; all must end in the same period. Raises BadParameter, NotEnoughData,
    UnknownName.
    """
    rolled = _roll(frame, parents, horizon, season, 0, models, progress)
    return _answer(rolled, 0).drop(columns=["window", "step", "model", "y", "scale"])


def backtest_hierarchy(
    frame: pd.DataFrame,
    parents: Mapping[str, str | None],
    horizon: int,
    season: int,
    windows: int,
    models: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Forecast a tree from `windows` origins, each `horizon` periods before the next, as `forecast_hierarchy` would
    have done at the time.

    Returns one row per node, window (1 is the latest), step and model (`ensemble`: each node by itself; `reconciled`):
    unique_id, level, window, index, step, model, y, yhat, lo80, hi80, lo95, hi95, scale. Raises as `forecast_hierarchy`.
    """
    if windows < 1:
        raise BadParameter(f"windows {windows!r} is not a whole number from 1")
    rolled = _roll(frame, parents, horizon, season, windows, models, progress)
    alone = rolled.table[rolled.table["window"] <= windows]
    alone = alone.assign(level=rolled.nodes.depth[alone["node"].to_numpy()]).drop(columns="node")
    found = [_answer(rolled, window) for window in range(1, windows + 1) if (rolled.known[window] > 0).any()]
    return pd.concat([alone, *found], ignore_index=True)[found[0].columns]


def _roll(
    frame: pd.DataFrame,
    parents: Mapping[str, str | None],
    horizon: int,
    season: int,
    windows: int,
    models: Sequence[str] | None,
    progress: Progress | None,
) -> _Rolled:
    nodes = tree(parents)
    summed, histories = _node_series(frame, nodes)
    nonnegative = bool(frame["y"].min() >= 0)
    count, back = len(nodes.names), windows + CALIBRATION
    table = backtest_series(summed, horizon, season, back, models, nonnegative, progress, latest=min(windows, 1))
    table = table[table["model"] == ENSEMBLE]
    row = {name: at for at, name in enumerate(nodes.names)}
    table = table.assign(node=table["unique_id"].map(row).to_numpy("int64"))
    place = (table["window"].to_numpy(), table["node"].to_numpy(), table["step"].to_numpy() - 1)
    base, doubt = np.zeros((2, back + 1, count, horizon))
    actual = np.full(base.shape, np.nan)
    base[place], actual[place] = table["yhat"], table["y"]
    doubt[place] = table["hi80"] - table["yhat"]
    lengths = np.array([len(y) for y in histories])
    known = lengths - horizon * np.arange(back + 1)[:, None]
    known = np.where(known >= SHORTEST, known, 0)
    points = np.zeros(base.shape)
    for window in np.unique(table["window"]):
        size = doubt[window].mean(axis=1)
        # Deviations, not their squares: errors of children go together, so their deviations add up, not their variances.
        doubts = np.maximum(size, max(LEAST_DOUBT * size.max(), np.finfo("float32").tiny))
        points[window] = reconcile(nodes, base[window], doubts, nonnegative=nonnegative)
    return _Rolled(nodes, histories, season, nonnegative, table, base, points, actual, known)


def _node_series(frame: pd.DataFrame, nodes: Tree) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Every node's series in a long frame, and as arrays in the order of the nodes."""
    names = np.array(nodes.names, dtype=object)
    leaves = set(names[nodes.leaves])
    given = set(frame["unique_id"])
    if leaves != given:
        odd = sorted(map(str, leaves ^ given))[0]
        raise BadParameter(f"{odd!r} is {'not a leaf of the hierarchy' if odd in given else 'a leaf without a series'}")
    wide = frame.pivot(index="unique_id", columns="index", values="y").reindex(names)
    late = wide.index[nodes.leaves & wide.iloc[:, -1].isna().to_numpy()]
    if len(late):
        raise BadParameter(f"series {late[0]!r} ends before others do; give all series the same last period")
    begun = nodes.add_up(wide.notna().to_numpy("float64")) > 0
    values = nodes.add_up(wide.fillna(0.0).to_numpy())
    start = begun.argmax(axis=1)
    histories = [values[at, first:] for at, first in enumerate(start)]
    parts = [
        pd.DataFrame({"unique_id": name, "index": wide.columns[first:], "y": y})
        for name, first, y in zip(names, start, histories, strict=True)
    ]
    return pd.concat(parts, ignore_index=True), histories


def _answer(rolled: _Rolled, window: int) -> pd.DataFrame:
    """The reconciled forecasts from one origin, intervals from the errors that were known then, level by level."""
    horizon = rolled.points.shape[2]
    parts = []
    for level, rows in enumerate(rolled.nodes.levels):
        own = rows[rolled.known[window, rows] > 0]
        if not len(own):
            continue
        found = _intervals(rolled, window, own)
        keys = {"node": np.repeat(own, horizon), "step": np.tile(np.arange(1, horizon + 1), len(own)), "level": level}
        parts.append(pd.DataFrame({**keys, **{name: values.ravel() for name, values in found.items()}}))
    table = rolled.table[rolled.table["window"] == window]
    kept = table[["unique_id", "node", "window", "index", "step", "y", "scale"]]
    answer = kept.merge(pd.concat(parts), on=["node", "step"]).assign(model=RECONCILED)
    columns = ["unique_id", "level", "window", "index", "step", "model", "y", "yhat", "lo80", "hi80", "lo95", "hi95"]
    return answer[[*columns, "scale"]]


def _intervals(rolled: _Rolled, window: int, rows: np.ndarray) -> dict[str, np.ndarray]:
    lengths = rolled.known[window, rows]
    past, place = np.nonzero(rolled.known[window + 1 :, rows] >= LIKE_NOW * lengths)
    past = past + window + 1
    origin = rolled.known[past, rows[place]]
    histories = [rolled.histories[row] for row in rows]
    unit = np.array([error_unit(histories[at][:cut], rolled.season) for at, cut in zip(place, origin, strict=True)])
    error = rolled.actual[past, rows[place]] - rolled.points[past, rows[place]]
    units = np.array([error_unit(y[:cut], rolled.season) for y, cut in zip(histories, lengths, strict=True)])
    quantiles = error_quantiles(Errors(error, place, origin, unit), units, lengths)
    return with_intervals(rolled.points[window, rows], quantiles, np.full(len(rows), rolled.nonnegative))
