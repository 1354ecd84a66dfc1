"""Drift: figures against independent computations, alarms at the rate that is promised, real changes found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, ks_2samp

from salesml.errors import NotEnoughData
from salesml.evaluation.drift import gap, moved, one_each, sequential, shares, surprise, two_sample_auc
from salesml.evaluation.metrics import log_loss


def rows(count: int, seed: int, shift: float = 0.0, **replaced: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(8 + shift, 1, count),
            "calls": rng.integers(0, 6, count),
            "stage": rng.choice(["lead", "offer", "closing"], count),
            "silence": np.where(rng.random(count) < 0.2, np.nan, rng.exponential(10, count)),
        }
    )
    return frame.assign(**replaced)


def test_one_row_of_each_entity_in_one_window():
    reference = pd.DataFrame({"id": [f"d{n}" for n in range(400) for _ in range(3)], "week": 0})
    recent = pd.DataFrame({"id": [f"d{n}" for n in range(200, 600) for _ in range(2)], "week": 1})
    then, now = one_each(reference, recent, "id", seed=1)
    assert not set(then["id"]) & set(now["id"]) and len(then) + len(now) == 600 == then["id"].nunique() + now["id"].nunique()
    assert (then["week"] == 0).all() and (now["week"] == 1).all()
    both = now["id"].isin([f"d{n}" for n in range(200, 400)]).sum()
    assert binom.ppf(0.001, 200, 0.5) <= both <= binom.ppf(0.999, 200, 0.5)


def test_figures_are_those_of_an_independent_computation():
    then, now = rows(300, 1), rows(200, 2, shift=0.3)
    found = moved(then, now, ["stage"], draws=50).set_index("feature")
    pooled = pd.concat([then, now])["amount"]
    edges = [-np.inf, *pooled.quantile(np.arange(1, 10) / 10), np.inf]
    counts = [pd.cut(part["amount"], edges, right=False).value_counts(sort=False) + 0.5 for part in (now, then)]
    late, early = (part / part.sum() for part in counts)
    assert found.loc["amount", "psi"] == pytest.approx(float(((late - early) * np.log(late / early)).sum()))
    assert found.loc["amount", "distance"] == pytest.approx(ks_2samp(then["amount"], now["amount"]).statistic)
    below = (part["silence"].fillna(-1) for part in (then, now))
    assert found.loc["silence", "distance"] == pytest.approx(ks_2samp(*below).statistic)
    late, early = ((part["stage"].value_counts() + 0.5) / (len(part) + 1.5) for part in (now, then))
    assert found.loc["stage", "distance"] == pytest.approx(float((late - early).abs().sum() / 2))
    assert found.loc["silence", "missing_then"] == then["silence"].isna().mean()


def test_where_nothing_changed_a_column_is_called_moved_in_at_most_one_case_of_twenty():
    alarms = sum(moved(rows(80, 2 * seed), rows(60, 2 * seed + 1), ["stage"], draws=100, seed=seed)["moved"].any() for seed in range(60))
    assert alarms <= binom.ppf(0.99, 60, 0.05)


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("amount", lambda frame: frame.assign(amount=frame["amount"] * 2.5)),
        ("stage", lambda frame: frame.assign(stage=frame["stage"].mask(frame["calls"] > 2, "reopened"))),
        ("silence", lambda frame: frame.assign(silence=frame["silence"].mask(frame["calls"] > 2))),
    ],
)
def test_what_changed_is_found_and_named(column, changed):
    then, now = rows(250, 1), changed(rows(250, 2))
    found = moved(then, now, ["stage"])
    assert found.loc[found["moved"], "feature"].tolist() == [column]
    assert two_sample_auc(then, now, ["stage"]).lo > 0.55


def test_a_sure_but_small_change_is_not_called_moved():
    found = moved(rows(6000, 1), rows(6000, 2, shift=0.15), ["stage"], draws=100).set_index("feature")
    assert found.loc["amount", "q_value"] < 0.05 and 0 < found.loc["amount", "psi"] < 0.1 and not found.loc["amount", "moved"]


def test_the_classifier_cannot_tell_what_is_alike():
    found = [two_sample_auc(rows(150, 2 * seed), rows(100, 2 * seed + 1), ["stage"], seed=seed) for seed in range(6)]
    assert abs(np.mean([auc.value for auc in found]) - 0.5) < 0.05
    assert sum(auc.lo > 0.55 for auc in found) == 0 and all(auc.lo <= auc.value <= auc.hi for auc in found)


def test_empty_columns_and_new_categories_are_taken_and_few_rows_refused():
    then, now = rows(40, 1, empty=np.nan), rows(40, 2, empty=np.nan, stage=None)
    found = moved(then, now, ["stage"], draws=50).set_index("feature")
    assert found.loc["empty", "psi"] == 0 and not found.loc["empty", "moved"] and found.loc["stage", "moved"]
    assert 0.5 <= two_sample_auc(then, now, ["stage"]).value <= 1
    for work in (moved, two_sample_auc):
        with pytest.raises(NotEnoughData, match="has 29 rows; at least 30"):
            work(then, now.head(29), ["stage"])


def test_surprise_is_loss_less_entropy_and_nothing_for_true_probabilities():
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 5000)
    y = (rng.random(5000) < p).astype(float)
    found = surprise(y, p)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert found.value == pytest.approx(log_loss(y, p) - entropy) and found.lo < 0 < found.hi
    assert surprise(y, expit(2.5 * logit(p))).lo > 0, "overconfident scores lose more than they say"
    assert gap(y, p).lo < 0 < gap(y, p).hi and gap(y, p).value == pytest.approx(y.mean() - p.mean())
    told = shares(pd.Series(y), pd.Series(p), pd.Series(np.arange(5000) // 2))
    assert told["entities"] == 2500 and told["lo"] <= told["observed"] <= told["hi"] and told["observed"] == pytest.approx(y.mean())


def drawn(seed: int, count: int = 600) -> tuple[np.random.Generator, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    sections = pd.DataFrame({"source": rng.choice(["web", "fair", None], count), "rep": rng.integers(0, 8, count)})
    return rng, logit(rng.beta(3, 4, count)), sections


def test_false_alarms_of_the_sequential_test_stay_below_alpha_even_at_the_edge_of_the_tolerance():
    alarms, ends = 0, []
    for seed in range(120):
        rng, z, sections = drawn(seed)
        y = rng.random(len(z)) < expit(z + rng.choice([-0.2, 0.2]))
        found = sequential(y, expit(z), sections)
        alarms += found.alarm
        ends.append(found.path[-1])
    assert alarms <= binom.ppf(0.99, 120, 0.05)
    assert np.mean(ends) < 1.3, "no bet gains on average"


def test_scores_that_lost_their_meaning_are_found_as_a_whole_and_in_a_part():
    rng, z, sections = drawn(1, 1200)
    whole = sequential(rng.random(len(z)) < expit(z - 0.8), expit(z), sections)
    assert whole.alarm and whole.strongest == "all deals" and whole.at < 400
    offset = np.select([sections["source"] == "web", sections["source"] == "fair"], [1.0, -1.0], 0.0)
    part = sequential(rng.random(len(z)) < expit(z + offset), expit(z), sections)
    assert part.alarm and part.strongest == "source"


def test_the_sequential_test_bets_on_the_past_alone():
    rng, z, sections = drawn(2)
    y = (rng.random(len(z)) < expit(z + 0.5)).astype(float)
    later = np.append(y[:300], 1 - y[300:])
    first, second = (sequential(outcomes, expit(z), sections).path for outcomes in (y, later))
    np.testing.assert_array_equal(first[:300], second[:300])
    assert first[0] == 1.0 and not np.allclose(first[300:], second[300:])
    nothing = sequential(np.array([]), np.array([]), sections.head(0))
    assert not nothing.alarm and nothing.evidence == 1.0
