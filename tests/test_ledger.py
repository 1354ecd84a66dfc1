"""The accuracy ledger: figures by hand, what counts as known, the alarm, the command."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import typer
from publishing import forecast, instant, month, put, sold
from typer.testing import CliRunner

from salesml.analytics import ledger
from salesml.cli import accuracy as command
from salesml.errors import BadInput, NotEnoughData
from salesml.figures.ledger import coverage_figure, horizon_figure, trend_figure
from salesml.workflows.ledger import accuracy_ledger
from salesml.workspace import Workspace


@pytest.fixture
def judged_workspace(workspace: Workspace) -> Workspace:
    """100 a month in 2025, then 100, 200; forecasts from January 2026 of January, February and March."""
    put(workspace, "revenue", [sold(n, 100 + n) for n in range(12)] + [sold(12, 100), sold(13, 200)])
    put(workspace, "forecast", [forecast(12, 12, 105), forecast(12, 13, 150), forecast(12, 14, 150)])
    return workspace


def test_figures_are_those_worked_out_by_hand(judged_workspace):
    found = accuracy_ledger(judged_workspace, "2026-03-01")
    assert (len(found.judged), found.waiting, found.last_month) == (2, 1, month(13))
    rows = found.table.set_index("horizon")
    assert rows.loc[1, "wape"] == pytest.approx(5 / 100) and rows.loc[2, "wape"] == pytest.approx(50 / 200)
    whole = rows.loc[0]
    assert (whole["n"], whole["mae"], whole["bias"]) == (2, 27.5, pytest.approx((5 - 50) / 300))
    assert (whole["cover80"], whole["cover95"]) == (0.5, 0.5)
    assert whole["naive_mae"] == pytest.approx((0 + 99) / 2), "January 2025 brought 100, February 101"
    assert whole["to_naive"] == pytest.approx(55 / 99)
    levels, ends = np.array([0.025, 0.1, 0.5, 0.9, 0.975]), np.array([85, 95, 105, 115, 125])
    gap = 100 - ends
    assert rows.loc[1, "pinball"] == pytest.approx(np.maximum(levels * gap, (levels - 1) * gap).mean())
    assert found.trend["month"].tolist() == [pd.Timestamp(month(12)), pd.Timestamp(month(13))]
    assert "2 published forecasts have come due" in found.sentence and "(WAPE) was 18.3%" in found.sentence


def test_a_month_is_known_when_it_is_over_and_revenue_has_come_in(judged_workspace):
    assert len(accuracy_ledger(judged_workspace, "2026-02-28").judged) == 1, "February is not over"
    late = accuracy_ledger(judged_workspace, "2026-06-01")
    assert (len(late.judged), late.waiting) == (2, 1), "March has no revenue, nor has any month after it"
    none = accuracy_ledger(judged_workspace, "2026-01-15")
    assert none.table.empty and not none.alarm and "none has come due" in none.sentence
    with pytest.raises(NotEnoughData, match="no monthly revenue forecast was published"):
        accuracy_ledger(judged_workspace, "2025-12-01")


def test_what_was_written_later_or_has_another_period_is_told(judged_workspace):
    late = forecast(12, 12, 99) | {"forecast_id": "late", "known_at": instant(month(16))}
    year = forecast(12, 12, 99) | {"forecast_id": "year", "period_end": month(24)}
    put(judged_workspace, "forecast", [late, year])
    found = accuracy_ledger(judged_workspace, "2026-03-01")
    assert found.left_out == 1 and found.judged["afterwards"].sum() == 1 and len(found.notes) == 2


def test_naive_knows_only_what_the_forecast_knew(judged_workspace):
    put(judged_workspace, "revenue", [sold(12, 9_999) | {"revenue_id": "correction", "known_at": instant(month(13))}])
    found = accuracy_ledger(judged_workspace, "2026-03-01").judged
    assert found["naive"].tolist() == [100.0, 101.0] and found["y"].tolist() == [10_099.0, 200.0]


def test_naive_goes_back_as_many_years_as_it_must():
    months = pd.to_datetime([month(n) for n in range(14)])
    history = pd.DataFrame({"level": "company", "name": "company", "month": months, "amount": [Decimal(n) for n in range(14)]})
    asked = pd.DataFrame({"level": "company", "name": "company", "month": pd.to_datetime([month(n) for n in (14, 25, 26, 30)])})
    assert ledger.naive(history, asked, months[-1]).tolist() == [2.0, 13.0, 2.0, 6.0]
    assert np.isnan(ledger.naive(history, asked.assign(name="West", level="region"), months[-1])).all()
    assert np.isnan(ledger.naive(history.iloc[10:], asked.iloc[:1], months[-1])).all(), "before its first month"


def judged(errors: list[float], promised: float = 0.1) -> pd.DataFrame:
    months = pd.to_datetime([month(n) for n in range(len(errors))])
    frame = pd.DataFrame({"level": "company", "name": "company", "month": months, "y": 100.0, "error": errors})
    return frame.assign(published_wape=promised, naive=np.nan)


def test_the_alarm_needs_errors_surely_above_those_published():
    worse = ledger.drift(judged([30, -28, 31, 29, -30, 32])).iloc[0]
    assert worse["alarm"] and worse["ratio"] == pytest.approx(3.0) and 2.5 < worse["ratio_lo"] < 3
    assert not ledger.drift(judged([30, 29, 31]))["alarm"].any(), "three months are too few"
    assert not ledger.drift(judged([9, -11, 10, 12, 8, -9]))["alarm"].any()
    assert not ledger.drift(judged([90, 1, 2, 1, -3, 1]))["alarm"].any(), "one bad month is not sure"
    assert not ledger.drift(judged([90] * 6 + [9, -11, 10, 12, 8, -9]))["alarm"].any(), "long ago"
    assert ledger.drift(judged([30.0] * 6, float("nan"))).empty, "published without an error"


def test_false_alarms_are_rare():
    rng = np.random.default_rng(1)
    raised = [bool(ledger.drift(judged(list(rng.normal(0, 12.5, 6)))).iloc[0]["alarm"]) for _ in range(120)]
    assert np.mean(raised) < 0.05


def test_a_forecast_without_an_amount_is_refused():
    rows = pd.DataFrame({"level": ["company"], "name": "company", "month": pd.Timestamp(month(0)), "amount": [None]})
    with pytest.raises(BadInput, match="row 1, column amount: a forecast has no amount"):
        ledger.judge(rows, judged([1.0]))


def test_the_command_tells_and_its_status_is_for_schedulers(judged_workspace, workspace):
    app = typer.Typer()
    command.register(app)
    run = CliRunner(env={"SALESML_WORKSPACE": str(workspace.root), "COLUMNS": "200"}).invoke
    calm = run(app, ["--as-of", "2026-03-01"])
    assert calm.exit_code == 0 and "published forecasts have come due" in calm.output and "company" in calm.output
    put(workspace, "revenue", [sold(n, 100) for n in range(14, 20)])
    put(workspace, "forecast", [forecast(n, n, 160 + n % 3) for n in range(14, 20)])
    alarmed = run(app, ["--as-of", "2026-09-01"])
    assert alarmed.exit_code == 1 and "salesml forecast revenue" in alarmed.output and "too high" in alarmed.output


def test_figures_say_what_they_show(judged_workspace):
    found = accuracy_ledger(judged_workspace, "2026-03-01")
    assert "company 5.0% at 1 months ahead, 25.0% at 2" in horizon_figure(found.table).layout.meta["alt"]
    assert "25.0%, was in February 2026" in trend_figure(found.trend).layout.meta["alt"]
    assert "company 50% and 50% of 2" in coverage_figure(found.table).layout.meta["alt"]
    none = accuracy_ledger(judged_workspace, "2026-01-15")
    for figure in (horizon_figure(none.table), trend_figure(none.trend), coverage_figure(none.table)):
        assert figure.layout.meta["alt"] == "No published forecast has come due yet."
