"""The model of all series of a file: what it needs, what it learns, and that it sees nothing later than the origin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.models import series_boosted, series_candidates
from salesml.models.series import backtest_series, forecast_series
from salesml.models.series_boosted import FEWEST_SERIES, boosted_forecast


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)
    monkeypatch.setattr(series_boosted, "ORIGINS", 300)


def reverting(count: int, length: int) -> list[np.ndarray]:
    """Series that keep a level and jump away from it for one period now and then."""
    draw = np.random.default_rng(0)
    return [draw.uniform(50, 500) * (1 + 2 * (draw.random(length) < 0.15)) for _ in range(count)]


def test_it_learns_a_peak_that_short_series_share() -> None:
    draw = np.random.default_rng(0)
    peak = np.where(np.arange(15) % 4 == 3, 3.0, 1.0)
    every = [draw.uniform(50, 500) * peak * draw.normal(1, 0.05, 15) for _ in range(60)]
    histories, later = [y[:11] for y in every], np.array([y[11:] for y in every])
    made = boosted_forecast(histories, np.zeros(60, dtype="int64"), 4, 4)
    theta = np.array([series_candidates.forecast_one(y, "theta_shrunk", 4, 4) for y in histories])
    assert made is not None
    found, _ = made
    assert np.abs(found - later).sum() < 0.7 * np.abs(theta - later).sum()


def test_too_few_series_are_left_alone_and_a_constant_one_keeps_its_value() -> None:
    histories = reverting(FEWEST_SERIES, 20)
    assert boosted_forecast(histories[1:], np.zeros(FEWEST_SERIES - 1, dtype="int64"), 3, 1) is None
    found = boosted_forecast([*histories, np.full(20, 7.0)], np.zeros(FEWEST_SERIES + 1, dtype="int64"), 3, 1)
    assert found is not None and found[0][-1].tolist() == [7, 7, 7]


def test_with_it_a_window_still_equals_a_forecast_made_at_the_time() -> None:
    parts = [
        pd.DataFrame({"unique_id": f"s{i}", "index": np.arange(len(y)), "y": y})
        for i, y in enumerate([*reverting(22, 30), np.array([1.0, 2, 5, 9, 9, 9])])
    ]
    frame = pd.concat(parts, ignore_index=True)
    tested = backtest_series(frame, 3, 4, 1, ["theta", "seasonal_naive"]).query("model == 'ensemble'")
    known = frame[frame["index"] < frame.groupby("unique_id")["index"].transform("max") - 2]
    made = forecast_series(known, 3, 4, ["theta", "seasonal_naive"])
    np.testing.assert_allclose(tested["yhat"].to_numpy(), made["yhat"].to_numpy(), rtol=1e-12)
    short = made[made["unique_id"] == "s22"]
    assert short["yhat"].tolist() == pytest.approx([5, 5, 5]) and set(short["model"]) == {"naive"}
