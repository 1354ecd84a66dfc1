"""The bar on real series: accuracy on the last 18 months that are held out."""

from __future__ import annotations

import pytest
from conftest import shared_data

from salesml.evaluation.forecast_metrics import accuracy, wape_intervals
from salesml.models.series import backtest_series
from salesml.models.series_input import clean_series
from salesml.workflows.series import read_series


@pytest.mark.slow
def test_all_monthly_m3_series_are_forecast_well() -> None:
    file = shared_data("m3") / "m3_monthly.csv.gz"
    cleaned = clean_series(read_series(file, ("series", "t", "value")), file.name, season=12)
    tested = backtest_series(cleaned.frame, horizon=18, season=12, windows=1)
    found = wape_intervals(tested, ["seasonal_naive"]).set_index("model").loc["ensemble"]
    covered = accuracy(tested).set_index("model").loc["ensemble"]
    assert cleaned.rejected.empty
    assert found["to_seasonal_naive"] <= 0.80, found
    assert found["to_seasonal_naive_hi"] <= 0.85, found
    assert 0.75 <= covered["cover80"] <= 0.87 and 0.92 <= covered["cover95"] <= 0.98, covered
