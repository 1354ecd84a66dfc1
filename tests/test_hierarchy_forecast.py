"""Forecasts of every node of a tree: sums, order of the ends, nothing learned from what is held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.errors import BadParameter
from salesml.models import series_candidates
from salesml.models.hierarchy import tree
from salesml.models.hierarchy_forecast import backtest_hierarchy, forecast_hierarchy

QUICK = ["theta", "seasonal_naive"]
PARENTS = {"all": None, "n": "all", "s": "all", "n1": "n", "n2": "n", "s1": "s", "s2": "s", "s3": "s"}


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)


def leaves(length: int = 48, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    wave = 1 + 0.3 * np.sin(2 * np.pi * np.arange(length) / 4)
    parts = [
        pd.DataFrame({"unique_id": name, "index": np.arange(length), "y": size * wave * draw.gamma(20, 1 / 20, length)})
        for name, size in {"n1": 100, "n2": 5, "s1": 40, "s2": 1, "s3": 300}.items()
    ]
    return pd.concat(parts, ignore_index=True)


def assert_adds_up(table: pd.DataFrame) -> None:
    nodes = tree(PARENTS)
    wide = table.pivot(index="unique_id", columns="index", values="yhat").reindex(nodes.names).to_numpy()
    np.testing.assert_allclose(nodes.add_up(wide), wide, rtol=1e-9)


def test_forecasts_add_up_and_their_ends_are_ordered_and_not_negative() -> None:
    found = forecast_hierarchy(leaves(), PARENTS, 4, 4, QUICK)
    assert len(found) == len(PARENTS) * 4
    assert found.groupby("level")["unique_id"].nunique().to_dict() == {0: 1, 1: 2, 2: 5}
    assert found["index"].min() == 48
    assert_adds_up(found)
    ends = found[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all() and (ends >= 0).all()


def test_a_window_equals_a_forecast_made_at_the_time_and_sees_nothing_later() -> None:
    frame = leaves()
    tested = backtest_hierarchy(frame, PARENTS, 4, 4, 2, QUICK)
    assert set(tested["model"]) == {"ensemble", "reconciled"}
    latest = tested.query("model == 'reconciled' and window == 1").sort_values(["unique_id", "index"])
    assert_adds_up(latest)
    made = forecast_hierarchy(frame[frame["index"] < 44], PARENTS, 4, 4, QUICK).sort_values(["unique_id", "index"])
    for column in ("yhat", "lo80", "hi95"):
        np.testing.assert_allclose(latest[column].to_numpy(), made[column].to_numpy(), rtol=1e-9)


def test_a_leaf_that_begins_late_counts_as_zero_before() -> None:
    frame = leaves()
    frame = frame[(frame["unique_id"] != "s3") | (frame["index"] >= 40)]
    found = forecast_hierarchy(frame, PARENTS, 4, 4, QUICK)
    assert_adds_up(found)
    assert np.isfinite(found[["yhat", "lo95", "hi95"]].to_numpy()).all()
    tested = backtest_hierarchy(frame, PARENTS, 4, 4, 3, QUICK).query("unique_id == 's3'")
    assert sorted(tested["window"].unique()) == [1]


def test_wrong_input_is_refused() -> None:
    frame = leaves()
    with pytest.raises(BadParameter, match="'s4' is a leaf without a series"):
        forecast_hierarchy(frame, {**PARENTS, "s4": "s"}, 4, 4, QUICK)
    with pytest.raises(BadParameter, match="'n1' is not a leaf"):
        forecast_hierarchy(frame, {name: above for name, above in PARENTS.items() if name != "n1"}, 4, 4, QUICK)
    with pytest.raises(BadParameter, match="'s2' ends before others"):
        forecast_hierarchy(frame[(frame["unique_id"] != "s2") | (frame["index"] < 47)], PARENTS, 4, 4, QUICK)
    with pytest.raises(BadParameter, match="windows 0"):
        backtest_hierarchy(frame, PARENTS, 4, 4, 0, QUICK)
