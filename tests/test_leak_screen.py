"""The screen finds what was filled in after the outcome, keeps honest columns, and counts its false alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.evaluation.leak_screen import Screen, screen

ROWS = 4000


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """Honest columns, a strong but honest one among them, and the outcome they cause."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "strong": rng.normal(size=ROWS),
            "weak": rng.choice(["a", "b", "c"], ROWS),
            "count": rng.poisson(3, ROWS),
            "noise": rng.normal(size=ROWS),
            "gappy": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(size=ROWS)),
            "name": [f"row {i}" for i in range(ROWS)],
        }
    )
    z = -1 + 1.1 * X["strong"] + 0.4 * (X["weak"] == "a") + 0.2 * (X["count"] - 3)
    return X, (rng.random(ROWS) < 1 / (1 + np.exp(-z))).to_numpy().astype(float)


def verdict(found: Screen, column: str) -> str:
    return found.columns.set_index("column").loc[column, "verdict"]  # type: ignore[return-value]


def test_honest_columns_stay_and_shuffled_outcomes_raise_no_alarm(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    found = screen(*table)
    assert found.flagged("strong") == [] and found.flagged("moderate") == []
    assert found.false_alarms == 0 and found.tried == 20 * 6
    figures = found.columns.set_index("column")
    assert figures.loc["strong", "auc"] > 0.7 and abs(figures.loc["noise", "auc"] - 0.5) < 0.03
    assert figures.loc["name", "explained"] < 0.01


def _status(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(y == 1, "signed", "dead")


def _nearly(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(ROWS) < 0.003, 1 - y, y) + rng.normal(0, 0.05, ROWS)


def _only_won(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where((y == 1) & (rng.random(ROWS) < 0.1), rng.random(ROWS), np.nan)


def _reason_lost(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    reasons = rng.choice(["price", "timing"], ROWS).astype(object)
    return np.where((y == 0) & (rng.random(ROWS) < 0.3), reasons, None)


@pytest.mark.parametrize("leak", [_status, _nearly, _only_won, _reason_lost])
def test_strong_leaks_are_found(table: tuple[pd.DataFrame, np.ndarray], leak) -> None:  # type: ignore[no-untyped-def]
    X, y = table
    found = screen(X.assign(leak=leak(y, np.random.default_rng(1))), y)
    assert found.flagged("strong") == ["leak"] and found.flagged("moderate") == []


def test_an_unusually_telling_column_is_warned_of_and_kept(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = table
    talk = 3 * y + np.random.default_rng(2).normal(0, 1.2, ROWS)  # the length of a call that ended well
    found = screen(X.assign(talk=talk), y)
    assert verdict(found, "talk") == "moderate" and found.flagged("strong") == []


def test_dates_after_the_rows_time_are_strong_and_earlier_ones_are_not(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = table
    rng = np.random.default_rng(3)
    before, after = -rng.integers(0, 300, ROWS).astype(float), rng.integers(-5, 60, ROWS).astype(float)
    typing_error = before.copy()
    typing_error[:10] = 400.0
    days = {"signup": before, "closed": after, "birthday": typing_error}
    found = screen(X.assign(**days), y, days_after=days)
    assert found.flagged("strong") == ["closed"]
    assert "days (median)" in found.columns.set_index("column").loc["closed", "reason"]


def test_no_alarm_on_few_rows_without_any_signal() -> None:
    flagged = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame({f"c{i}": rng.choice(list("abcdefgh"), 60) for i in range(6)})
        found = screen(X, (rng.random(60) < 0.4).astype(float), seed=seed)
        flagged += len(found.flagged("strong")) + len(found.flagged("moderate")) + found.false_alarms
    assert flagged <= 3  # of 5 × 6 columns and 600 shuffled screenings


def test_rows_of_one_entity_do_not_vouch_for_each_other() -> None:
    rng = np.random.default_rng(0)
    account = np.repeat(np.arange(200), 10)
    y = (rng.random(200) < 0.3).astype(float)[account]
    X = pd.DataFrame({"account": [f"account {code}" for code in account]})
    assert verdict(screen(X, y), "account") == "strong"
    assert verdict(screen(X, y, entities=account), "account") == "clear"
