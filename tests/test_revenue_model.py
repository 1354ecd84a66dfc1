"""Revenue forecast: regions sum to the company, nothing is learned from the future, short histories are honest."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.models import revenue, series_candidates
from salesml.models.revenue import RevenueForecast, forecast_revenue
from salesml.models.revenue_input import revenue_history
from salesml.models.revenue_levels import reconcile, round_to_cents

REGIONS = ("region/East", "region/North", "region/West")
LEVELS = dict.fromkeys(REGIONS, "company")
MODELS = {"average", "blend", "champion", "ensemble", "prophet", "seasonal_naive"}


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)


def history(months: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    t = np.arange(months)
    dates = pd.date_range("2015-01-01", periods=months, freq="MS")
    wave = 1 + 0.3 * np.sin(t / 6 * np.pi)
    parts = [
        pd.DataFrame(
            {"unique_id": name, "ds": dates, "y": ((100 + size * t) * wave * draw.normal(1, 0.08, months)).round(2)}
        )
        for size, name in enumerate(REGIONS, start=1)
    ]
    return pd.concat(parts, ignore_index=True)


def run(frame: pd.DataFrame, horizon: int = 3, prophet: bool = False) -> RevenueForecast:
    return forecast_revenue(frame, horizon, "MS", LEVELS, prophet=prophet)


def test_regions_sum_to_the_company_and_ends_are_ordered() -> None:
    found = run(history(48)).frame
    assert found["ds"].unique().tolist() == pd.date_range("2019-01-01", periods=3, freq="MS").tolist()
    points = found.pivot(index="ds", columns="unique_id", values="yhat")
    np.testing.assert_allclose(points[list(REGIONS)].sum(axis=1), points["company"], rtol=1e-12)
    ends = found[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all() and (ends >= 0).all()


def test_backtest_names_every_model_level_and_step_beside_seasonal_naive() -> None:
    found = run(history(48), prophet=True)
    table = found.backtest.set_index(["model", "level", "step"])
    assert set(table.index.get_level_values("model")) == MODELS
    assert set(table.index.get_level_values("step")) == {0, 1, 2, 3}
    assert (table.loc["seasonal_naive", "to_seasonal_naive"] == 1).all()
    assert table.loc[("ensemble", "company", 0), "to_seasonal_naive_hi"] < 1
    assert table.loc[("champion", "region", 0), "n"] == 3 * table.loc[("champion", "company", 0), "n"]
    assert found.chosen in MODELS - {"champion"}
    assert found.frame["model"].unique().tolist() == [found.chosen]


def test_coverage_is_near_what_is_promised() -> None:
    tables = [run(history(48, seed)).backtest for seed in range(4)]
    every = pd.concat(tables).query("model == 'champion' and step == 0").groupby("level")[["cover80", "cover95"]].mean()
    assert every["cover80"].between(0.70, 0.93).all(), every
    assert every["cover95"].between(0.90, 1.0).all(), every


def test_backtest_never_sees_what_it_holds_out() -> None:
    frame = history(40)
    corrupted = frame.assign(y=frame["y"].where(frame["ds"] < "2018-02-01", 1e6))
    judged = []
    for known in (frame, corrupted):
        data = revenue_history(known, "MS", LEVELS, None)
        origins = revenue._origins(40, 3, 4)
        found = revenue._candidates(data, [*origins, 40], 3, False, None)
        rows, _ = revenue._judge(data, found, origins)
        judged.append(rows[rows["window"] <= 37].drop(columns="y").reset_index(drop=True))
    assert judged[0]["window"].nunique() > 5
    pd.testing.assert_frame_equal(*judged)


def test_order_of_the_rows_does_not_matter_and_repeating_gives_the_same() -> None:
    once, again = run(history(20)), run(history(20).sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(once.frame, again.frame)
    pd.testing.assert_frame_equal(once.backtest, again.backtest)


def test_ten_months_give_wide_intervals_and_say_why() -> None:
    found = run(history(10))
    assert "under two seasons" in found.frame["note"].iloc[0]
    company = found.frame.query("unique_id == 'company'")
    assert ((company["hi95"] - company["lo95"]) > 0.3 * company["yhat"]).all()
    assert found.notes == tuple(found.frame["note"].iloc[0].split("; "))


def test_three_months_without_any_backtest_still_answer() -> None:
    found = run(history(3))
    assert found.backtest.empty
    assert found.chosen == "average"
    expected = history(3).groupby("ds")["y"].sum().mean()
    assert found.frame.query("unique_id == 'company'")["yhat"].tolist() == pytest.approx([expected] * 3)


def test_months_without_sales_are_zero_and_a_region_may_be_new_or_dead() -> None:
    frame = history(36)
    frame = frame[~((frame["unique_id"] == "region/West") & (frame["ds"] < "2017-06-01"))]
    frame = frame[~((frame["unique_id"] == "region/East") & (frame["ds"] >= "2015-04-01"))]
    found = run(frame).frame.groupby("unique_id")["yhat"].sum()
    assert found["region/East"] < 0.05 * found["company"]
    assert found["region/West"] > 0


def test_nothing_ever_sold_is_forecast_as_zero() -> None:
    found = run(history(12).assign(y=0.0))
    assert (found.frame[["yhat", "lo95", "hi95"]] == 0).all(axis=None)
    assert "never was any revenue" in found.notes[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(y=f["y"].where(f.index != 4, -1.0)), r"row 5, column y: negative revenue \(value '-1.0'\)"),
        (lambda f: f.assign(y=f["y"].where(f.index != 4)), "row 5, column y: not a finite amount"),
        (lambda f: f.assign(ds=f["ds"] + pd.Timedelta(days=1)), "row 1, column ds: not the first day of a MS period"),
        (lambda f: pd.concat([f, f.head(1)], ignore_index=True), "has this period twice"),
        (lambda f: f.assign(unique_id=f["unique_id"].replace("region/West", "region/Wst")), "'region/Wst'"),
        (lambda f: f.rename(columns={"y": "sales"}), "column y is missing; found: unique_id, ds, sales"),
        (
            lambda f: pd.concat([f, f.head(1).assign(unique_id="company", y=5.0)], ignore_index=True),
            r"the parts sum to \+",
        ),
    ],
)
def test_bad_history_is_located(change: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        run(change(history(12)))  # type: ignore[operator]


def test_an_unfinished_period_and_too_little_history_are_refused() -> None:
    frame = history(12)
    with pytest.raises(BadInput, match=r"row 12, column ds: the period is not over as of 2015-12-20"):
        forecast_revenue(frame, 3, "MS", LEVELS, as_of=pd.Timestamp("2015-12-20"))
    forecast_revenue(frame, 3, "MS", LEVELS, as_of=pd.Timestamp("2016-01-01"), prophet=False)
    with pytest.raises(NotEnoughData, match="2 complete periods"):
        run(history(2))
    with pytest.raises(NotEnoughData, match="no revenue yet"):
        run(history(2).head(0))
    with pytest.raises(BadParameter, match="MS, QS"):
        forecast_revenue(frame, 3, "daily", LEVELS)
    with pytest.raises(BadParameter, match="horizon 0"):
        run(frame, 0)


amounts = arrays.arrays("float64", (4, 3), elements=st.floats(0, 1e9))


@given(amounts)
def test_reconciled_parts_sum_to_the_whole_without_going_negative(made: np.ndarray) -> None:
    found = reconcile(made, np.array([1, 2, 3]), 0, np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(found[1:].sum(axis=0), found[0], rtol=1e-12)
    np.testing.assert_allclose(found[0], (made[0] + made[1:].sum(axis=0)) / 2, rtol=1e-9, atol=1e-9)
    assert (found >= 0).all()


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
def test_cents_are_never_lost(values: list[float]) -> None:
    found = round_to_cents(values)
    exact = sum(map(Decimal, map(repr, values)), Decimal(0))
    assert abs(sum(found, Decimal(0)) - exact) <= Decimal("0.005")
    assert all(abs(cents - Decimal(repr(value))) <= Decimal("0.01") for cents, value in zip(found, values, strict=True))
    assert all(cents == cents.quantize(Decimal("0.01")) and cents >= 0 for cents in found)


def test_cents_go_to_the_largest_remainder_and_a_far_total_is_refused() -> None:
    assert round_to_cents([1 / 3, 1 / 3, 1 / 3], 1) == [Decimal("0.34"), Decimal("0.33"), Decimal("0.33")]
    assert round_to_cents([0.001, 0.009, 0.005], Decimal("0.01")) == [Decimal("0.00"), Decimal("0.01"), Decimal("0.00")]
    with pytest.raises(ValueError, match="not to 5"):
        round_to_cents([1.0, 1.0], 5)


@pytest.mark.parametrize(
    ("misses", "chosen"),
    [
        ([2.0, 2.5, 1.5, 2.0], "average"),
        ([2.0, 8.0, 12.0, 9.0], "ensemble_and_open_deals"),
        ([2.0, 2.0], "ensemble_and_open_deals"),
    ],
    ids=["surely better", "better by luck", "too few origins"],
)
def test_the_usual_model_is_left_for_a_surely_better_one_only(misses: list[float], chosen: str) -> None:
    data = revenue_history(history(48), "MS", LEVELS, None)
    origins = [30 + at for at in range(len(misses))]
    actual = {cut: data.values[:, cut : cut + 3] for cut in origins}
    found = {
        "average": {cut: actual[cut] * (1 + miss / 100) for cut, miss in zip(origins, misses, strict=True)},
        **{name: {cut: actual[cut] * 1.1 for cut in origins} for name in ("ensemble", "ensemble_and_open_deals")},
    }
    assert revenue._choose(data, found, origins, 48) == chosen
