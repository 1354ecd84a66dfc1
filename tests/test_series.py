"""Forecasts of series: order of the ends, sign, determinism, and that nothing is learned from what is held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.evaluation.forecast_metrics import accuracy
from salesml.models import series_boosted, series_candidates
from salesml.models.series import backtest_series, forecast_series
from salesml.models.series_candidates import FORECASTERS, forecast_one
from salesml.models.series_pooled import FEWEST_ROWS, pooled_correction

QUICK = ["theta", "theta_shrunk", "aggregation", "seasonal_naive"]


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting workers takes longer than these tests; one test below asks for them."""
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)
    monkeypatch.setattr(series_boosted, "ORIGINS", 300)


def panel(histories: dict[str, list[float] | np.ndarray]) -> pd.DataFrame:
    parts = [pd.DataFrame({"unique_id": name, "index": np.arange(len(y)), "y": y}) for name, y in histories.items()]
    return pd.concat(parts, ignore_index=True)


def seasonal(count: int, length: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    t = np.arange(length)
    wave = 1 + 0.3 * np.sin(2 * np.pi * t / 12)
    return {f"s{i:03d}": (100 + t * draw.uniform(-0.5, 1)) * wave * draw.normal(1, 0.05, length) for i in range(count)}


values = st.floats(0, 1e6, allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(values, min_size=3, max_size=30), min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 4)
)
def test_ends_are_ordered_finite_and_not_negative_on_any_history(
    histories: list[list[float]], horizon: int, season: int
) -> None:
    found = forecast_series(panel({f"s{i}": y for i, y in enumerate(histories)}), horizon, season, QUICK)
    ends = found[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert np.isfinite(ends).all()
    assert (np.diff(ends, axis=1) >= 0).all()
    assert (ends >= 0).all()
    assert len(found) == len(histories) * horizon


def test_intervals_do_not_narrow_with_the_step() -> None:
    found = forecast_series(panel(seasonal(3, 60)), 8, 12, QUICK, nonnegative=False)
    for _, part in found.groupby("unique_id"):
        for low, high in (("lo80", "hi80"), ("lo95", "hi95")):
            assert (np.diff((part[high] - part[low]).to_numpy()) >= -1e-9).all()


def test_order_of_the_rows_does_not_matter_and_repeating_gives_the_same() -> None:
    frame = panel(seasonal(4, 50))
    once = forecast_series(frame, 6, 12, QUICK)
    pd.testing.assert_frame_equal(once, forecast_series(frame, 6, 12, QUICK))
    pd.testing.assert_frame_equal(once, forecast_series(frame.sample(frac=1, random_state=1), 6, 12, QUICK))


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = panel(seasonal(3, 40))
    alone = forecast_series(frame, 6, 12, QUICK)
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 0)
    seen: list[tuple[int, int]] = []
    pd.testing.assert_frame_equal(alone, forecast_series(frame, 6, 12, QUICK, progress=lambda *at: seen.append(at)))
    assert seen[-1][0] == seen[-1][1] > 0


def test_backtest_never_sees_what_it_holds_out() -> None:
    frame = panel(seasonal(5, 60))
    horizon = 6
    forecasts = ["yhat", "lo80", "hi80", "lo95", "hi95"]
    honest = backtest_series(frame, horizon, 12, 2, QUICK).set_index(["window", "unique_id", "step", "model"])
    corrupted = frame.assign(y=frame["y"].where(frame["index"] < 60 - horizon, 1e5))
    other = backtest_series(corrupted, horizon, 12, 2, QUICK).set_index(["window", "unique_id", "step", "model"])
    pd.testing.assert_frame_equal(honest[forecasts], other[forecasts])
    assert not honest["y"].equals(other["y"])
    earlier = frame.assign(y=frame["y"].where(frame["index"] < 60 - 2 * horizon, 1e5))
    other = backtest_series(earlier, horizon, 12, 2, QUICK).set_index(["window", "unique_id", "step", "model"])
    pd.testing.assert_frame_equal(honest.loc[2, forecasts], other.loc[2, forecasts])


def test_backtest_window_equals_a_forecast_made_at_the_time() -> None:
    frame = panel(seasonal(3, 60))
    tested = backtest_series(frame, 6, 12, 1, QUICK).query("model == 'ensemble'")
    made = forecast_series(frame[frame["index"] < 54], 6, 12, QUICK)
    for column in ("yhat", "lo80", "hi95"):
        np.testing.assert_allclose(tested[column].to_numpy(), made[column].to_numpy(), rtol=1e-12)


def test_ensemble_beats_seasonal_naive_and_covers_as_promised() -> None:
    tested = backtest_series(panel(seasonal(40, 72)), 6, 12, 2, QUICK)
    table = accuracy(tested).set_index("model")
    assert table.loc["ensemble", "wape"] < 0.85 * table.loc["seasonal_naive", "wape"]
    assert table.loc["ensemble", "cover80"] == pytest.approx(0.80, abs=0.07)
    assert table.loc["ensemble", "cover95"] == pytest.approx(0.95, abs=0.035)


def test_constant_zero_and_short_series_have_their_own_rules() -> None:
    frame = panel({"flat": [7.0] * 20, "none": [0.0] * 20, "short": [3.0, 5.0, 4.0], "usual": seasonal(1, 40)["s000"]})
    found = forecast_series(frame, 3, 12, QUICK).set_index("unique_id")
    assert (found.loc["flat", ["yhat", "lo95", "hi95"]] == 7).all(axis=None)
    assert (found.loc["none", ["yhat", "lo95", "hi95"]] == 0).all(axis=None)
    assert found.loc["short", "yhat"].tolist() == [4, 4, 4]
    assert found["model"].groupby(level=0).first().to_dict() == {
        "flat": "constant", "none": "constant", "short": "naive", "usual": "ensemble"
    }  # fmt: skip


def test_three_observations_alone_get_a_wide_interval() -> None:
    found = forecast_series(panel({"a": [10.0, 12.0, 9.0]}), 2, 12, nonnegative=False)
    assert (found["hi95"] - found["yhat"] > 3 * 3).all()  # the largest step ever seen is 3


def test_negative_history_may_be_forecast_below_zero_unless_told() -> None:
    frame = panel({"a": np.linspace(50, -50, 40)})
    assert (forecast_series(frame, 4, 1, ["theta"])["yhat"] < 0).all()
    assert (forecast_series(frame, 4, 1, ["theta"], nonnegative=True)[["lo95", "yhat"]] == 0).all(axis=None)


def test_a_model_that_runs_away_or_fails_gives_way_to_seasonal_naive(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.arange(1.0, 25.0)
    monkeypatch.setitem(FORECASTERS, "ets", lambda y, horizon, season: np.full(horizon, 1e9))
    assert forecast_one(y, "ets", 3, 4).tolist() == [21, 22, 23]

    def fails(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
        raise ZeroDivisionError

    monkeypatch.setitem(FORECASTERS, "ets", fails)
    assert forecast_one(y, "ets", 3, 4).tolist() == [21, 22, 23]


def test_pooled_correction_learns_a_common_error_and_needs_enough_rows() -> None:
    draw = np.random.default_rng(0)
    past = [draw.uniform(80, 120, 30) for _ in range(1_000)]
    made = np.full((1_000, 2, 6), 100.0)
    actual = np.full((1_000, 6), 110.0)
    found = pooled_correction(past, made, actual, past[:5], made[:5], 12)
    assert found is not None
    np.testing.assert_allclose(found, 5.0, atol=1.0)  # half of the error of 10 is applied
    few = FEWEST_ROWS // 6
    assert pooled_correction(past[:few], made[:few], actual[:few], past[:5], made[:5], 12) is None


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"horizon": 0}, BadParameter, "horizon 0"),
        ({"season": 0}, BadParameter, "season 0"),
        ({"models": ["magic"]}, UnknownName, "valid: aggregation, arima"),
    ],
)
def test_wrong_parameters_are_refused(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        forecast_series(panel({"a": [1.0, 2.0, 3.0]}), **{"horizon": 2, "season": 1, **arguments})


def test_holding_out_more_than_there_is_names_the_number_needed() -> None:
    with pytest.raises(NotEnoughData, match="takes a series of 9; the longest has 5"):
        backtest_series(panel({"a": [1.0, 2, 3, 4, 5]}), 6, 1, 1)
    with pytest.raises(BadParameter, match="windows 0"):
        backtest_series(panel({"a": [1.0, 2, 3, 4, 5]}), 1, 1, 0)
