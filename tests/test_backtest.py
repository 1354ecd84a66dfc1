"""The revenue backtest: sums of three months and their own intervals, nothing from later, the choice as it would have been made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import typer
from publishing import put, sold
from typer.testing import CliRunner

from salesml.analytics.backtest import quarters, winners
from salesml.cli import backtest as command
from salesml.errors import BadParameter, NotEnoughData
from salesml.evaluation.backtest import by_step
from salesml.figures import backtest as figures
from salesml.lake import Lake
from salesml.models import revenue, series_candidates
from salesml.models.revenue_input import RevenueHistory
from salesml.workflows.backtest import BacktestRun, backtest_revenue
from salesml.workspace import Workspace

MONTHS, UNKNOWN = 30, 4
KEYS = ["model", "unique_id", "origin"]


def amounts(months: int = MONTHS) -> np.ndarray:
    wave = 1 + 0.2 * np.sin(np.arange(months) / 6 * np.pi)
    return (10_000 * wave * np.random.default_rng(4).normal(1, 0.1, months)).round()


def company(folder: object, sales: np.ndarray) -> Workspace:
    made = Workspace.create(f"{folder}/w")
    put(made, "revenue", [sold(number, int(amount)) for number, amount in enumerate(sales)])
    return made


def as_of(months: int) -> str:
    return f"{2025 + months // 12}-{months % 12 + 1:02d}-01"


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return company(tmp_path_factory.mktemp("sales"), amounts())


@pytest.fixture(scope="module")
def run(sales: Workspace) -> BacktestRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_candidates, "WORTH_WORKERS", 10_000)
        return backtest_revenue(sales, as_of(MONTHS), months=3, prophet=False)


def test_sums_of_three_months_are_the_months_added_up_and_their_intervals_are_not(run: BacktestRun) -> None:
    months = run.judged.groupby(KEYS).agg(n=("y", "size"), y=("y", "sum"), yhat=("yhat", "sum"), lo=("lo80", "sum"), hi=("hi80", "sum"))
    both = run.sums.set_index(KEYS).join(months, rsuffix="_added")
    assert set(run.sums["model"]) == {"champion", "seasonal_naive", "average", "ensemble"} and (both["n"] == 3).all()
    np.testing.assert_allclose(both["y"], both["y_added"], rtol=1e-12)
    np.testing.assert_allclose(both["yhat"], both["yhat_added"], rtol=1e-12)
    late = both[both["window"] >= MONTHS - 9]
    assert (late["hi80"] - late["lo80"]).mean() < 0.9 * (late["hi"] - late["lo"]).mean()
    ends = both[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all() and (ends >= 0).all()


def test_figures_of_the_quarters_are_those_of_the_sums(run: BacktestRun) -> None:
    row = run.quarters.set_index("model").loc["champion"]
    mine = run.sums[run.sums["model"] == "champion"]
    assert row["n"] == len(mine) == run.sums["origin"].nunique() == run.winners["origin"].nunique() - 2, "two origins lack a third month"
    assert row["wape"] == pytest.approx((mine["y"] - mine["yhat"]).abs().sum() / mine["y"].sum())
    assert row["cover80"] == pytest.approx(((mine["y"] >= mine["lo80"]) & (mine["y"] <= mine["hi80"])).mean())
    naive = run.quarters.set_index("model").loc["seasonal_naive"]
    assert row["to_seasonal_naive"] == pytest.approx(row["wape"] / naive["wape"]) and naive["to_seasonal_naive"] == 1
    assert run.quarters["model"].tolist()[:2] == ["champion", "seasonal_naive"], "the champion first, its baselines beside it"


def test_what_came_later_changes_no_earlier_origin(tmp_path: object, run: BacktestRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)
    other = amounts()
    other[-UNKNOWN:] *= 9
    again = backtest_revenue(company(tmp_path, other), as_of(MONTHS), months=3, prophet=False)
    for name in ("judged", "sums"):
        early = [rows[rows["window"] <= MONTHS - UNKNOWN].drop(columns="y") for rows in (getattr(run, name), getattr(again, name))]
        assert early[0]["window"].nunique() > 4 and "chosen" in early[0]
        pd.testing.assert_frame_equal(*(rows.reset_index(drop=True) for rows in early))
    late = [rows.query("model == 'ensemble' and window == @MONTHS - 1")["yhat"].sum() for rows in (run.judged, again.judged)]
    assert late[1] > 1.5 * late[0], "while a later one does change"


def test_nothing_is_published(sales: Workspace, run: BacktestRun) -> None:
    tables = Lake(sales).open()
    assert tables.head.id == run.head_id and "forecast" not in tables.head.tables


def one_series(values: np.ndarray) -> RevenueHistory:
    dates = pd.date_range("2015-01-01", periods=values.shape[1], freq="MS")
    ids = ["company", *(f"region/{number}" for number in range(1, len(values)))]
    return RevenueHistory(ids, values, dates, np.arange(1, len(values)), 0, 12)


def test_the_choice_at_an_origin_rests_on_errors_known_by_then() -> None:
    length, horizon, turn = 40, 3, 30
    data = one_series(np.full((1, length), 100.0))
    origins = list(range(20, length))
    periods = {cut: np.arange(cut, cut + horizon)[None] for cut in origins}
    found = {
        "ensemble": {cut: np.where(at < turn, 100.0, 200.0) for cut, at in periods.items()},  # right until the turn, then far off
        "average": {cut: np.where(at < turn, 110.0, 100.0) for cut, at in periods.items()},
    }
    rows, now = revenue._judge(data, found, origins)
    chosen = rows[rows["model"] == "champion"].groupby("window")["chosen"].first()
    assert (chosen.loc[:22] == "average").all(), "below two seasons the mean of the last one is usual, below three origins nothing is sure"
    assert (chosen.loc[23:turn] == "ensemble").all(), "at the turn nothing is known of it yet"
    first = int(chosen.index[(chosen == "average")].max())
    assert now == "average" and first == length - 1
    told = winners(rows, "company", "average").set_index("origin")
    at = data.dates[turn]
    assert told.loc[at, ["chosen", "best", "wape", "best_wape"]].tolist() == ["ensemble", "average", 1.0, 0.0]


def simulated(seed: int, length: int = 60, horizon: int = 6) -> tuple[RevenueHistory, dict[int, np.ndarray], list[int]]:
    """Five regions whose season is known exactly, their level from the last 6 months, with noise of 15 % each and 10 % shared."""
    draw, months = np.random.default_rng(seed), np.arange(length + horizon)
    season = draw.uniform(100, 150, (5, 1)) * (1 + 0.3 * np.sin(months / 6 * np.pi))
    came = season * (draw.normal(1, 0.15, season.shape) + draw.normal(0, 0.1, len(months)))
    cuts = revenue._origins(length, horizon, 6)
    parts = {cut: season[:, cut : cut + horizon] * (came / season)[:, cut - 6 : cut].mean(axis=1, keepdims=True) for cut in cuts}
    data = one_series(np.vstack([came.sum(axis=0), came])[:, :length])
    return data, {cut: np.vstack([made.sum(axis=0), made]) for cut, made in parts.items()}, cuts


def test_coverage_of_sums_is_near_what_is_promised_and_bounds_added_up_are_too_wide() -> None:
    sums, added = [], []
    for seed in range(12):
        data, made, cuts = simulated(seed)
        totals, months = (revenue._judge(data, {"ensemble": made}, cuts, each)[0] for each in (True, False))
        totals, months = (rows[rows["model"] == "ensemble"] for rows in (totals, months))
        sums.append(totals[(totals["step"] == 3) & (totals["window"] >= cuts[3])])
        quarter = months[(months["step"] <= 3) & (months["window"] >= cuts[3])].groupby(["unique_id", "window"])
        added.append(quarter[["y", "lo80", "hi80"]].sum()[quarter.size() == 3])
    table = by_step(pd.concat(sums).assign(level="all"), "ensemble").set_index("step").loc[3]
    assert table["n"] > 400
    assert 0.76 <= table["cover80"] <= 0.87 and 0.92 <= table["cover95"] <= 0.99, table
    wide = pd.concat(added)
    assert ((wide["y"] >= wide["lo80"]) & (wide["y"] <= wide["hi80"])).mean() > 0.9


def test_one_earlier_origin_leaves_no_side_without_an_interval() -> None:
    data, made, cuts = simulated(0)
    low = {cuts[0]: np.zeros_like(made[cuts[0]])}  # far too low
    for totals in (True, False):
        ends = revenue.with_measured_intervals(data, made[cuts[3]], low, cuts[3], totals)
        assert ((ends["lo80"] < ends["yhat"]).all() and (ends["hi80"] > ends["yhat"]).all()) == totals


def test_pinball_and_binomial_interval_by_hand() -> None:
    y = np.array([100.0] * 8 + [300.0] * 2)
    named = {"model": "m", "level": "company", "unique_id": "c", "window": range(10), "step": 1, "scale": 1.0}
    rows = pd.DataFrame({**named, "y": y, "yhat": 110.0})
    table = by_step(rows.assign(lo80=90.0, hi80=120.0, lo95=80.0, hi95=140.0), "m").set_index("step").loc[1]
    inside = (0.025 * 20 + 0.1 * 10 + 0.5 * 10 + 0.1 * 20 + 0.025 * 40) / 5
    beyond = (0.025 * 220 + 0.1 * 210 + 0.5 * 190 + 0.9 * 180 + 0.975 * 160) / 5
    assert table["pinball"] == pytest.approx((8 * inside + 2 * beyond) / 10)
    assert (table["cover80"], round(table["cover80_lo"], 3), round(table["cover80_hi"], 3)) == (0.8, 0.490, 0.943)


def test_the_command_answers_in_a_sentence_and_tables(run: BacktestRun, sales: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salesml.workflows.backtest.backtest_revenue", lambda *_: run)
    monkeypatch.setattr(command, "workspace_of", lambda context: sales)
    app = typer.Typer()
    app.command()(command.backtest_revenue)
    told = CliRunner().invoke(app, ["--months", "3"], env={"COLUMNS": "140"})
    assert told.exit_code == 0, told.output
    assert "Forecast from 12 months of the past since" in told.output and "three months together" in told.output
    lines = [line.split()[:2] for line in told.output.splitlines()]
    assert lines.index(["company", "champion"]) + 1 == lines.index(["company", "seasonal"])
    whole = run.table.query("model == 'champion' and step == 0").iloc[0]
    assert f"{whole['wape']:.1%}" in told.output and f"{whole['cover80']:.0%} of {whole['n']} outcomes" in told.output


def test_pictures_say_what_they_show(run: BacktestRun) -> None:
    alts = [
        figures.steps_figure(run.table).layout.meta["alt"], figures.coverage_steps_figure(run.table).layout.meta["alt"],
        figures.winners_figure(run.winners).layout.meta["alt"], figures.sums_figure(run.sums, "USD").layout.meta["alt"],
        figures.paths_figure(run.judged, run.history, "USD").layout.meta["alt"],
    ]  # fmt: skip
    assert alts[0].startswith("Error (WAPE) of company") and "seasonal naive" in alts[0]
    assert "80 % is within the binomial interval at" in alts[1] and f"of {len(run.winners)} times" in alts[2]
    held = round(run.quarters["cover80"].iloc[0] * run.quarters["n"].iloc[0])
    assert alts[3] == f"Of {len(run.winners) - 2} sums of three months {held} lay in the 80 % interval."
    assert alts[4].startswith(f"{len(run.winners)} forecasts over actual revenue; the greatest miss is ")
    assert figures.sums_figure(pd.DataFrame(), "USD").layout.meta["alt"] == figures.NO_SUMS


def test_too_short_a_history_says_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)
    made = company(tmp_path, amounts(4))
    with pytest.raises(NotEnoughData, match=r"3 complete months of revenue known; .* four months\. Import more history"):
        backtest_revenue(made, as_of(3), months=1, prophet=False)
    four = backtest_revenue(made, as_of(4), months=3, prophet=False)
    assert four.quarters.empty and four.winners["origin"].tolist() == [pd.Timestamp("2025-04-01")]
    assert any("nothing can be said of quarters" in note for note in four.notes) and four.sentence.endswith("outcomes.")
    assert any("make no quarter" in note for note in backtest_revenue(made, as_of(4), months=1, prophet=False).notes)
    with pytest.raises(BadParameter, match="months 25"):
        backtest_revenue(made, months=25)
    assert quarters(pd.DataFrame(), "seasonal_naive").empty
