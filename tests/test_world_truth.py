"""The simulated company's truth agrees with what happened, and the difficulty is as stated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from salesml import world

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def companies() -> list[world.World]:
    return [world.company(seed=seed, reps=40, years=3, deals=4_000) for seed in SEEDS]


@pytest.fixture(scope="module")
def deals(companies: list[world.World]) -> pd.DataFrame:
    frames = [company.truth["deal"].to_pandas().assign(seed=company.knobs.seed) for company in companies]
    return pd.concat(frames, ignore_index=True).assign(won=lambda f: f["outcome"] == "won")


def p_value(probability: pd.Series, happened: pd.Series, bins: int = 10) -> float:
    """Chi-square test that events happen as often as stated in each of equal-count bins."""
    groups = np.array_split(np.argsort(probability.to_numpy()), bins)
    p, y = probability.to_numpy(), happened.to_numpy()
    z = [(y[g] - p[g]).sum() / np.sqrt((p[g] * (1 - p[g])).sum()) for g in groups]
    return float(stats.chi2.sf(np.square(z).sum(), bins))


def test_win_probability_at_creation_is_calibrated(deals: pd.DataFrame) -> None:
    assert p_value(deals["p_win"], deals["won"]) > 0.005


def test_the_calibration_test_has_power(deals: pd.DataFrame) -> None:
    wrong = 1 / (1 + np.exp(-1.2 * np.log(deals["p_win"] / (1 - deals["p_win"])) - 0.2))
    assert p_value(wrong, deals["won"]) < 1e-6


@pytest.mark.parametrize("age", [3, 8, 15])
def test_win_probability_at_an_age_is_calibrated(companies: list[world.World], age: int) -> None:
    parts = []
    for company in companies:
        weeks = company.truth["deal_week"].to_pandas()
        weeks = weeks[weeks.groupby("opportunity_id").cumcount() == age]
        outcome = company.truth["deal"].to_pandas().set_index("opportunity_id")["outcome"]
        parts.append(weeks.assign(won=weeks["opportunity_id"].map(outcome) == "won"))
    open_then = pd.concat(parts)
    assert len(open_then) > 1_500
    assert p_value(open_then["p_win"], open_then["won"]) > 0.005


@pytest.mark.parametrize("outcome", ["won", "lost", "no_decision"])
def test_weekly_hazards_are_what_happens(companies: list[world.World], outcome: str) -> None:
    parts = []
    for company in companies:
        weeks = company.truth["deal_week"].to_pandas()
        deal = company.truth["deal"].to_pandas().set_index("opportunity_id")
        closes = weeks["opportunity_id"].map(deal["closed_at"]) < weeks["as_of"] + pd.Timedelta(days=7)
        parts.append(weeks.assign(happened=closes & (weeks["opportunity_id"].map(deal["outcome"]) == outcome)))
    every = pd.concat(parts)
    assert p_value(every[f"p_{outcome}_this_week"], every["happened"]) > 0.005


def test_difficulty_and_shape_are_as_stated(companies: list[world.World], deals: pd.DataFrame) -> None:
    for seed, of_seed in deals.groupby("seed"):
        assert 0.70 <= roc_auc_score(of_seed["won"], of_seed["p_win_mid_life"]) <= 0.80, seed
        assert 0.25 <= of_seed["won"].mean() <= 0.35, seed
    for company in companies:
        changes = company.tables["opportunity"].to_pandas()
        created = changes[changes["change_id"] == "created"].set_index("opportunity_id")["occurred_at"]
        closed = changes[changes["change_id"] == "closed"].set_index("opportunity_id")["occurred_at"]
        assert 60 <= (closed - created).dt.days.median() <= 80
        assert 7 <= len(changes) / len(created) <= 9
        assert 11.5 <= company.tables["activity"].num_rows / len(created) <= 15


def test_causes_add_up_to_the_score(deals: pd.DataFrame) -> None:
    causes = ["rep_skill", "rep_diligence", "product_fit", "segment", "source", "expansion", "competitor", "amount"]
    total = deals[[*causes, "quality"]].sum(axis=1).clip(-4, 4)
    np.testing.assert_allclose(total, deals["score"], atol=1e-12)


def answers_before_week(company: world.World, weeks: int) -> pd.DataFrame:
    """Deals still open after some weeks, the customer's mails and calls until then, and the outcome."""
    first = company.truth["deal_week"].to_pandas().groupby("opportunity_id")["as_of"]
    until = (first.min() + pd.Timedelta(weeks=weeks)).rename("until")
    deal = company.truth["deal"].to_pandas().set_index("opportunity_id").join(until)
    deal = deal[deal["closed_at"] >= deal["until"]]
    activity = company.tables["activity"].to_pandas()
    inbound = activity[activity["direction"] == "inbound"]
    early = inbound[inbound["occurred_at"] < inbound["opportunity_id"].map(until)]
    return deal.assign(answers=early.groupby("opportunity_id").size().reindex(deal.index).fillna(0))


def test_answers_tell_of_a_deal_only_where_there_is_signal(companies: list[world.World]) -> None:
    with_signal = pd.concat([answers_before_week(company, 5) for company in companies])
    assert roc_auc_score(with_signal["outcome"] == "won", with_signal["answers"]) > 0.55
    silent = world.company(seed=1, reps=40, years=3, deals=8_000, signal=0.0)
    without = answers_before_week(silent, 5)
    auc = roc_auc_score(without["outcome"] == "won", without["answers"])
    assert abs(auc - 0.5) < 0.025  # three standard errors at this size


def test_no_signal_leaves_stage_and_calendar(companies: list[world.World]) -> None:
    weeks = world.company(seed=1, reps=10, years=1, signal=0.0).truth["deal_week"].to_pandas()
    assert weeks.groupby(["as_of", "stage"])["p_win"].agg(np.ptp).max() < 1e-12
    assert companies[0].truth["deal_week"].to_pandas().groupby(["as_of", "stage"])["p_win"].agg(np.ptp).max() > 0.3
