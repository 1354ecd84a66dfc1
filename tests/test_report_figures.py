"""Tables and forecast charts: what they say in words, and that data stays data."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from salesml.errors import UnknownName
from salesml.figures import forecast
from salesml.figures.comparison import calibration_figure, comparison_table, importance_figure
from salesml.figures.drift import cohorts_figure
from salesml.figures.tables import table


def test_table_is_readable_and_escaped():
    frame = pd.DataFrame(
        {
            "deal": ["<b>A</b>", "B"],
            "amount": [1234567.8, np.nan],
            "win_rate": [0.256, 0.5],
            "deals": [12345, 3],
            "won": [Decimal("0.10"), Decimal("1000000.00")],
            "closes": [pd.Timestamp("2024-03-01"), pd.NaT],
            "open": [True, False],
            "day": [dt.date(2024, 1, 2), None],
        }
    )
    html = table(frame, "Deals & more", units={"amount": "USD"}, formats={"win_rate": ".0%"}).html
    assert "<caption>Deals &amp; more</caption>" in html
    assert '<th scope="col" class="number">amount <small>(USD)</small></th>' in html
    first, second = html.split("<tbody>")[1].split("</tr>")[:2]
    assert first.startswith('<tr><th scope="row">&lt;b&gt;A&lt;/b&gt;</th><td class="number">1,234,568</td>')
    for cell in ("26%", "12,345", "0", "2024-03-01", "yes", "2024-01-02"):
        assert f">{cell}</td>" in first
    assert '<td class="number">1,000,000</td>' in second
    for missing in ('<td class="number">–</td>', '<td class="day">–</td>', "<td>–</td>"):
        assert missing in html
    assert "nan" not in html.lower()


def test_table_says_what_it_leaves_out():
    html = table(pd.DataFrame({"n": range(1200)}), "Many", rows=10).html
    assert "Many (first 10 of 1,200 rows)" in html and html.count("<tr>") == 11


def test_fan_tells_the_forecast_in_words():
    months = pd.to_datetime(["2024-02-01", "2024-01-01"])
    amounts = [Decimal(2000), Decimal(1500)]
    ahead = pd.DataFrame({"period_start": months, "amount": amounts, "lo80": [1500, 1200], "hi80": [2500, 1800]})
    ahead = ahead.assign(lo95=ahead.lo80 - 300, hi95=ahead.hi80 + 300)
    past = pd.DataFrame({"month": pd.to_datetime(["2023-12-01"] * 2), "amount": [Decimal(900), Decimal(500)]})
    figure = forecast.fan(past, ahead, "USD")
    alt = figure.layout.meta["alt"]
    assert alt.startswith("From 1,500 USD in January 2024 to 2,000 USD in February 2024;")
    assert alt.endswith("80 % interval of the last: 1,500 to 2,500 USD.")
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == [
        "95 % interval", "80 % interval", "actual", "forecast",
    ]  # fmt: skip
    assert list(figure.data[0].y) == [2100.0, 2800.0]  # in the order of time
    assert list(figure.data[4].y) == [1400.0]


def test_backtest_charts_name_best_and_baseline():
    scores = pd.DataFrame(
        {
            "model": ["naive", "ensemble"], "n": [36, 36], "wape": [0.2, 0.1], "wape_lo": [0.15, np.nan],
            "wape_hi": [0.3, np.nan], "cover80": [0.5, 0.75], "cover95": [0.75, 1.0],
        }
    )  # fmt: skip
    errors = forecast.errors(scores, baseline="naive")
    told = "ensemble erred least, by 10.0% of what was booked; the baseline naive by 20.0%."
    assert errors.layout.meta["alt"] == told
    assert errors.layout.shapes[0].x0 == 0.2
    held = forecast.coverage(scores)
    assert "naive 50% and 75% of 36 outcomes; ensemble 75% and 100% of 36 outcomes" in held.layout.meta["alt"]
    assert [shape.x0 for shape in held.layout.shapes] == [0.8, 0.95]
    with pytest.raises(UnknownName, match="unknown model 'absent'; valid: ensemble, naive"):
        forecast.errors(scores, baseline="absent")
    for untested in (forecast.errors(scores.iloc[:0], baseline="naive"), forecast.coverage(scores.iloc[:0])):
        assert "too short" in untested.layout.meta["alt"]


def test_models_side_by_side():
    names = ["model", "metric", "value", "lo", "hi"]
    naive = [("naive", "auc", 0.5, 0.5, 0.5), ("naive", "log_loss", 0.69, 0.6, 0.7)]
    frame = pd.DataFrame([*naive, ("model", "auc", 0.61234, 0.5, 0.7)], columns=names)
    html = comparison_table(frame, "Side by side").html
    assert html.index("naive") < html.index("model</th>", html.index("naive"))
    assert "<td>0.500</td><td>0.690 (0.600 to 0.700)</td>" in html
    assert "<td>0.612 (0.500 to 0.700)</td><td>–</td>" in html


def test_calibration_and_importance_are_told_in_words():
    reliability = pd.DataFrame({"predicted": [0.1, 0.6], "observed": [0.15, 0.5], "lo": [0.1, 0.4], "hi": [0.2, 0.6]})
    assert "10% were predicted and 15% observed" in calibration_figure(reliability).layout.meta["alt"]
    importance = pd.DataFrame({"feature": list("abcd"), "mean_effect": [0.1, 0.4, 0.3, 0.2]})
    assert "the greatest: b 0.40, c 0.30, d 0.20." in importance_figure(importance).layout.meta["alt"]


def test_without_rows_a_table_says_so_and_a_figure_has_no_axes() -> None:
    assert '<tr><td colspan="2">None so far.</td></tr>' in table(pd.DataFrame({"a": [], "b": []}), "Nothing").html
    bare = cohorts_figure(pd.DataFrame(columns=["first", "predicted", "observed", "lo", "hi"]))
    assert bare.layout.height < 100 and not bare.layout.xaxis.visible and bare.layout.meta["alt"] == "No score has settled yet."
