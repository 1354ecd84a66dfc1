"""Forecast metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.evaluation.forecast_metrics import accuracy, scale, wape, wape_intervals


def test_wape_is_the_sum_of_errors_over_the_sum_of_actuals() -> None:
    assert wape(np.array([10.0, 0, -10]), np.array([8.0, 1, -13])) == pytest.approx(6 / 20)
    assert np.isnan(wape(np.zeros(2), np.ones(2)))


def test_scale_is_the_mean_seasonal_difference() -> None:
    assert scale(np.array([1.0, 5, 4, 9]), 2) == pytest.approx((3 + 4) / 2)
    assert scale(np.array([1.0, 5, 4]), 12) == pytest.approx((4 + 1) / 2)
    assert np.isnan(scale(np.array([2.0, 2, 2]), 1))
    assert np.isnan(scale(np.array([2.0]), 1))


def rows(model: str, yhat: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"unique_id": ["a", "a", "b", "b"], "window": 1, "y": [10.0, 20, 0, 40], "yhat": yhat})
    ends = {"lo80": frame.yhat - 1, "hi80": frame.yhat + 1, "lo95": frame.yhat - 5, "hi95": frame.yhat + 5}
    return frame.assign(model=model, scale=[2.0, 2, np.nan, np.nan], **ends)


def test_accuracy_by_hand() -> None:
    found = accuracy(rows("m", [11.0, 16, 0, 50])).iloc[0]
    assert found["n"] == 4
    assert found["wape"] == pytest.approx(15 / 70)
    assert found["mae"] == pytest.approx(15 / 4)
    assert found["mase"] == pytest.approx((0.5 + 2) / 2)
    assert found["smape"] == pytest.approx((2 / 21 + 8 / 36 + 0 + 20 / 90) / 4)
    assert found["bias"] == pytest.approx((1 - 4 + 10) / 70)
    assert (found["cover80"], found["cover95"]) == (0.5, 0.75)


def test_rows_without_interval_do_not_count_as_missed() -> None:
    frame = rows("m", [11.0, 16, 0, 50])
    frame.loc[1, ["lo80", "hi80"]] = np.nan
    assert accuracy(frame).loc[0, "cover80"] == pytest.approx(2 / 3)


def test_ratio_to_baseline_and_its_interval() -> None:
    draw = np.random.default_rng(0)
    y = draw.uniform(50, 100, 400)
    names = np.repeat([f"s{i}" for i in range(100)], 4)
    base = pd.DataFrame({"unique_id": names, "window": 1, "y": y})
    good, bad = (
        base.assign(model="good", yhat=y + draw.normal(0, 5, 400)),
        base.assign(model="bad", yhat=y + draw.normal(0, 10, 400)),
    )
    found = wape_intervals(pd.concat([good, bad]), ["bad"]).set_index("model")
    assert found.loc["bad", ["to_bad", "to_bad_lo", "to_bad_hi"]].tolist() == [1, 1, 1]
    assert found.loc["good", "to_bad_lo"] < 0.5 < found.loc["good", "to_bad_hi"]
    assert found.loc["good", "to_bad_hi"] - found.loc["good", "to_bad_lo"] < 0.2
    assert found.loc["good", "wape_lo"] < wape(y, good["yhat"]) < found.loc["good", "wape_hi"]


def test_one_series_and_one_window_have_no_interval() -> None:
    frame = rows("m", [11.0, 16, 0, 50]).assign(unique_id="a")
    found = wape_intervals(frame, ["m"]).iloc[0]
    assert np.isnan(found["wape_lo"]) and np.isnan(found["to_m_hi"])
    assert found["to_m"] == 1
