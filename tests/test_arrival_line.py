"""The line of leads on arrival: nobody is presumed to have failed, the level follows, rare values are drawn in, old leads count down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from salesml.errors import NotEnoughData
from salesml.evaluation.metrics import auc, log_loss
from salesml.models import scorer
from salesml.models.arrival_line import AGE, LATE, ArrivalLine, Timing, Watched, counted
from salesml.models.peers import OdooBayes

COLUMNS, PAIRS = ["source", "landing_page"], [("source", "landing_page")]
HORIZON = 42
RATE = np.array([0.02, 0.06, 0.12, 0.2])
PAGES = np.exp(np.linspace(-1, 1, 40))


def simulated(count: int, seed: int, level: float = 1.0, days: float = 300.0) -> tuple[pd.DataFrame, np.ndarray, Watched]:
    """Leads of the last `days` days whose chances are known, and what is known of them now; conversions take 14 days in the mean.

    The level was a tenth of today's until a hundred days ago.
    """
    rng = np.random.default_rng(seed)
    source, page = rng.integers(0, 4, count), rng.integers(0, 40, count)
    arrived = np.sort(rng.uniform(0, days, count))[::-1]
    chance = np.clip(RATE[source] * PAGES[page] * np.where(arrived > 100, level, 1.0), 0, 0.9)
    took = rng.exponential(14, count)
    took = np.where(took < HORIZON, took, took % HORIZON)
    happens = rng.random(count) < chance
    converted = np.where(happens & (took < arrived), took, np.nan)
    X = pd.DataFrame({"source": np.char.add("s", source.astype(str)), "landing_page": np.char.add("p", page.astype(str)), AGE: 0.0})
    return X, chance, Watched(arrived, converted, np.zeros(count, dtype=bool))


def fitted(X: pd.DataFrame, leads: Watched, members: int = 0) -> ArrivalLine:
    return ArrivalLine.fit(X, leads, horizon=HORIZON, categorical=COLUMNS, pairs=PAIRS, members=members)


@pytest.fixture(scope="module")
def drifted() -> tuple[pd.DataFrame, np.ndarray, Watched, ArrivalLine]:
    X, chance, leads = simulated(6_000, 1, level=0.1)
    return X, chance, leads, fitted(X, leads, members=4)


def test_the_timing_is_that_of_conversions_whose_time_has_come_and_not_of_their_number():
    expected = (1 - np.exp(-np.array([3, 7, 14, 28]) / 14)) / (1 - np.exp(-3))
    for level in (1.0, 0.02):
        _, _, leads = simulated(60_000, 2, level=level, days=120.0)
        young = leads.converted[leads.arrived < HORIZON]
        found = Timing.fit(leads, HORIZON)
        assert np.abs(found.by(np.array([3, 7, 14, 28])) - expected).max() < 0.06
        assert np.nanmean(young) < 0.9 * np.nanmean(leads.converted), "of young leads only quick conversions are known"
        assert found.by(np.array([0.0, HORIZON])).tolist() == [0.0, 1.0] and (np.diff(found.share) >= 0).all()


def test_an_open_lead_counts_for_the_days_it_has_lived():
    timing = Timing(np.array([0.0, 10.0, 42.0]), np.array([0.0, 0.5, 1.0]))
    leads = Watched(np.array([5.0, 10.0, 80.0, 5.0, 5.0]), np.array([np.nan, np.nan, np.nan, 2.0, np.nan]), np.array([0, 0, 0, 0, 1], bool))
    assert counted(leads, HORIZON, timing).tolist() == [0.25, 0.5, 1.0, 1.0, 1.0]


def test_chances_follow_the_level_of_today_and_rank_leads(drifted):
    _, _, _, line = drifted
    X, chance, _ = simulated(4_000, 9)
    p, y = line.predict(X), np.random.default_rng(0).random(4_000) < chance
    assert p.mean() == pytest.approx(chance.mean(), rel=0.15)
    assert auc(y, p) > 0.95 * auc(y, chance) and log_loss(y, p) < 0.97 * log_loss(y, np.full(len(y), y.mean()))


def test_presuming_that_open_leads_have_failed_is_worse(drifted):
    X, _, leads, line = drifted
    presumed = fitted(X, Watched(leads.arrived, leads.converted, np.ones(len(X), dtype=bool)))
    later, truth, _ = simulated(4_000, 9)
    off = [abs(one.predict(later).mean() / truth.mean() - 1) for one in (line, presumed)]
    assert off[0] < 0.15 < 0.25 < off[1]


def test_rare_values_are_drawn_toward_all_and_unknown_ones_are_scored(drifted):
    _, _, _, line = drifted
    odd = pd.DataFrame({"source": ["s1", "s1", None], "landing_page": ["p20", "never seen", None], AGE: [0.0, 0.0, np.nan]})
    p = line.predict(odd)
    assert ((p > 0.005) & (p < 0.3)).all()
    shrunk = fitted(*(lambda made: (made[0], made[2]))(simulated(300, 4)))
    weak = shrunk.predict(simulated(500, 5)[0])
    assert logit(weak).std() < logit(line.predict(simulated(500, 5)[0])).std(), "few leads, small effects"


def test_a_lead_counts_down_as_its_days_go_by(drifted):
    X, _, _, line = drifted
    row = X.iloc[[0] * 4].assign(**{AGE: [0.0, 7.0, 21.0, 300.0]})
    p = line.predict(row)
    left = 1 - line.timing.by(np.array([0.0, 7.0, 21.0, 42.0]))
    assert p == pytest.approx(expit(logit(p[0]) + np.log(np.maximum(left, LATE)))), "odds of who has not converted yet"
    first = p[0]
    assert p[1] == pytest.approx(first * left[1] / (1 - first * (1 - left[1]))), "Bayes' rule"


def test_effects_add_up_intervals_hold_the_chance_and_it_is_read_as_written(drifted, tmp_path: Path):
    X, _, _, line = drifted
    rows = X.tail(50).assign(**{AGE: np.linspace(0, 60, 50)})
    base, effects = line.explain(rows)
    assert base + effects.sum(axis=1).to_numpy() == pytest.approx(logit(line.predict(rows)), abs=1e-9)
    assert list(effects) == [*COLUMNS, AGE] and line.features == tuple(effects)
    lo, hi = line.interval(rows)
    assert (lo < line.predict(rows)).all() and (line.predict(rows) < hi).all()
    line.save(tmp_path)
    again = scorer.load(tmp_path)
    assert isinstance(again, scorer.Scorer) and again.kind == "arrival_line"
    assert again.predict(rows).tolist() == line.predict(rows).tolist() and again.interval(rows)[0].tolist() == lo.tolist()
    assert again.predict(rows.iloc[[7]])[0] == line.predict(rows)[7], "one lead's number is the same among others"


def test_too_little_to_learn_from_is_said():
    X, _, leads = simulated(60, 3)
    with pytest.raises(NotEnoughData, match="converted within 42 days; at least 10"):
        fitted(X, Watched(leads.arrived, np.full(60, np.nan), leads.ended))
    many, _, leads = simulated(500, 3)
    with pytest.raises(NotEnoughData, match="one value only"):
        fitted(many.assign(source="web", landing_page="/"), leads)


def test_shrunken_bayes_starts_each_value_at_the_rate_and_counts_in_part():
    X = pd.DataFrame({"page": ["a"] * 50 + ["b"] * 49 + ["c"]})
    y = np.array([1.0] * 10 + [0.0] * 40 + [1.0] * 2 + [0.0] * 47 + [1.0])
    odoo = OdooBayes.fit(X, y, stage=None, categorical=["page"])
    shrunk = OdooBayes.fit(X, y, stage=None, categorical=["page"], strength=40.0)
    asked = pd.DataFrame({"page": ["a", "b", "c", "new"]})
    assert odoo.predict(asked)[2] > 0.5 > shrunk.predict(asked)[2], "won once is not won always"
    assert abs(shrunk.predict(asked)[2] - shrunk.predict(asked)[3]) < 0.05
    twice = OdooBayes.fit(pd.concat([X, X]), np.r_[y, y], stage=None, categorical=["page"], strength=40.0)
    weighed = OdooBayes.fit(X, y, stage=None, categorical=["page"], strength=40.0, weights=np.full(100, 2.0))
    assert weighed.predict(asked) == pytest.approx(twice.predict(asked))
