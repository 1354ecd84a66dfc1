"""The scorer for few outcomes: its posterior against plain computation, its abstention, its honesty where there is nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm

from salesml.errors import BadInput, NotEnoughData
from salesml.models import handful, scorer
from salesml.models.handful import FAVOUR, Evidence, Handful
from salesml.models.laplace import laplace

EXPECTED = {"step": 0.8}


def drawn(n: int, seed: int, slope: float = 1.5) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "step": rng.normal(size=n),
            "noise": rng.normal(size=n),
            "kind": rng.choice(["a", "b", "c"], n),
            "gappy": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
        }
    )
    return X, (rng.random(n) < expit(slope * X["step"].to_numpy())).astype(float)


@pytest.fixture(scope="module")
def model() -> Handful:
    X, y = drawn(60, 1)
    return Handful.fit(X, y, expected=EXPECTED)


def test_marginal_likelihood_and_mode_against_quadrature() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(40, 1)), rng.choice([0.5, 1.0], 40)
    y = (rng.random(40) < expit(0.7 * x[:, 0])).astype(float)
    centre, precision = np.array([0.4]), np.array([4.0])

    def joint(b: float) -> float:
        z = b * x[:, 0]
        return math.exp(w @ (y * z - np.logaddexp(0, z)) + 25) * norm.pdf(b, 0.4, 0.5)

    exact = quad(joint, -3, 3)[0]
    mean = quad(lambda b: b * joint(b), -3, 3)[0] / exact
    mode, curvature, evidence = laplace(x, y, w, centre, precision)
    assert evidence == pytest.approx(math.log(exact) - 25, abs=0.02)
    assert mode[0] == pytest.approx(minimize_scalar(lambda b: -joint(b), bounds=(-1, 2), method="bounded").x, abs=1e-4)
    spread = math.sqrt(quad(lambda b: (b - mean) ** 2 * joint(b), -3, 3)[0] / exact)
    assert curvature[0, 0] ** -0.5 == pytest.approx(spread, rel=0.05)


def test_left_out_gain_is_that_of_refits_by_hand() -> None:
    X, y = drawn(12, 4)
    X, y = X[["step"]], np.where(np.arange(12) == 0, 1.0, np.where(np.arange(12) == 1, 0.0, y))
    found = Handful.fit(X, y, expected=EXPECTED).evidence
    low, middle, high = np.quantile(X["step"], [0.25, 0.5, 0.75])
    x = np.clip((X["step"].to_numpy() - middle) / ((high - low) / 1.349), -2.5, 2.5)
    x = (x - x.mean()) / x.std()
    gains = []
    for i in range(12):
        rest = np.arange(12) != i
        rate = (y[rest].sum() + 0.5) / 12
        parts, weights = [], []
        for step, spread in enumerate(handful.SPREADS):  # trust and own effect act on one column: one normal prior together
            variance = 0.3**2 * 0.8**2 + spread**2
            fit = laplace(
                np.c_[np.ones(11), x[rest]], y[rest], np.ones(11), np.array([logit(rate), 0.8]), np.array([0.25, 1 / variance])
            )
            parts.append(fit[0])
            weights.append(math.exp(fit[2]) / 4**step)
        intercept, slope = np.average(parts, axis=0, weights=weights)
        p = expit(intercept + slope * x[i])
        gains.append(math.log((p if y[i] else 1 - p) / (rate if y[i] else 1 - rate)))
    assert found.gain == pytest.approx(np.mean(gains), abs=1e-6)
    assert found.deviation == pytest.approx(np.std(gains, ddof=1), abs=1e-6)


def test_outcomes_needed_give_the_power_they_promise() -> None:
    evidence = Evidence(40, 20, 0.02, 0.2)
    assert not evidence.enough and evidence.needed is not None
    rng = np.random.default_rng(0)
    totals = rng.normal(0.02, 0.2, (4000, evidence.needed)).sum(axis=1)
    assert (totals >= FAVOUR).mean() == pytest.approx(0.8, abs=0.025)
    assert f"until about {evidence.needed - 40} more outcomes" in evidence.sentence()
    none = Evidence(40, 20, -0.01, 0.2)
    assert none.needed is None and "no number of outcomes can be named" in none.sentence()
    sure = Evidence(40, 20, 0.05, 0.2)
    assert sure.enough and "7.39 : 1; as they are few, a score is 29 % model" in sure.sentence()  # e^2
    assert evidence.share == 0 and sure.share == pytest.approx(2 / 7) and Evidence(9900, 99, 0.05, 0.2).share == pytest.approx(0.99)


def test_scores_are_averaged_with_the_base_rate_by_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = drawn(40, 9)
    part = Handful.fit(X, y, expected=EXPECTED)
    monkeypatch.setattr(handful, "CREDIBILITY", 0)
    whole = Handful.fit(X, y, expected=EXPECTED)
    assert not part.abstains and whole.evidence.share == 1
    base = logit((y.sum() + 0.5) / 41)
    assert logit(part.predict(X)) - base == pytest.approx((logit(whole.predict(X)) - base) * 2 / 7)
    apart = logit(whole.predict(X)) - base
    spread = [((logit(hi) - logit(lo)) / 2 / norm.ppf(0.95)) ** 2 for lo, hi in (m.interval(X) for m in (part, whole))]
    assert spread[0] == pytest.approx(spread[1] + (5 / 7 * apart) ** 2)  # mean squared deviation from the score


def test_what_is_expected_helps_when_outcomes_are_few_and_gives_way_when_they_are_many() -> None:
    asked = pd.DataFrame({"step": [-1.0, 1.0]})
    gains = {"expected": 0.0, "open": 0.0}
    for seed in range(8):
        X, y = drawn(20, seed, slope=0.8)
        for name, hope in (("expected", EXPECTED), ("open", None)):
            gains[name] += Handful.fit(X[["step"]], y, expected=hope).evidence.gain
    assert gains["expected"] > gains["open"] + 8 * 0.01
    X, y = drawn(3000, 8, slope=-1.0)  # the opposite of what was expected
    wrong = Handful.fit(X[["step"]], y, expected=EXPECTED)
    assert wrong.predict(asked) == pytest.approx(expit([1.0, -1.0]), abs=0.03)


@pytest.mark.slow
def test_nothing_to_know_means_the_base_rate_for_all() -> None:
    claims = 0
    for seed in range(30):
        X, y = drawn(40, seed, slope=0.0)
        X = X[["step", "noise"]]
        y[:2] = 0.0, 1.0
        model = Handful.fit(X, y, expected=EXPECTED)
        claims += not model.abstains
        if model.abstains:
            rate = (y.sum() + 0.5) / 41
            assert model.predict(X) == pytest.approx(rate) and model.explain(X)[1].to_numpy().any() == False  # noqa: E712
            lo, hi = model.interval(X)
            assert lo[0] == pytest.approx(expit(logit(rate) - 1.645 / math.sqrt(41 * rate * (1 - rate))), abs=1e-4) and hi[0] > rate
    assert claims <= 4


def test_snapshots_of_one_deal_count_as_one_deal() -> None:
    X, y = drawn(40, 9)
    once = Handful.fit(X, y, groups=np.arange(40), expected=EXPECTED)
    often = Handful.fit(pd.concat([X] * 3), np.tile(y, 3), groups=np.tile(np.arange(40), 3), expected=EXPECTED)
    assert often.evidence.entities == 40 and often.evidence.positives == pytest.approx(y.sum())
    assert often.evidence.gain == pytest.approx(once.evidence.gain, abs=0.03)  # a level's three rows may now be one deal


def test_calibration_rows_are_learnt_from_too() -> None:
    X, y = drawn(60, 1)
    whole = Handful.fit(X, y, expected=EXPECTED)
    parted = Handful.fit(X[:40], y[:40], calibration=(X[40:], y[40:]), expected=EXPECTED)
    assert (parted.predict(X) == whole.predict(X)).all() and parted.evidence == whole.evidence


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    asked, inside = pd.DataFrame({"step": np.linspace(-1.5, 1.5, 7)}), []
    for seed in range(30):
        X, y = drawn(40, 100 + seed, slope=0.8)
        model = Handful.fit(X[["step"]], y, expected=EXPECTED)
        if not model.abstains:
            lo, hi = model.interval(asked)
            truth = expit(0.8 * asked["step"].to_numpy())
            inside.append((lo <= truth) & (truth <= hi))
    assert len(inside) > 12 and 0.85 < np.mean(inside) <= 1


def test_it_is_a_scorer(model: Handful, tmp_path: Path) -> None:
    odd = pd.DataFrame(
        {"kind": ["a", "never seen", None], "noise": [np.inf, 0.0, "n/a"], "step": [9.0, np.nan, -1.0], "gappy": [None, 1.0, 2.0],
         "more": 1}, index=[7, 8, 9],
    )  # fmt: skip
    assert isinstance(model, scorer.Scorer) and not model.abstains
    p, (lo, hi), (base, effects) = model.predict(odd), model.interval(odd), model.explain(odd)
    assert ((lo < p) & (p < hi) & (lo > 0) & (hi < 1)).all()
    assert np.abs(base + effects.sum(axis=1).to_numpy() - logit(p)).max() < 1e-9
    assert list(effects.columns) == list(model.features) and effects.index.equals(odd.index)
    model.save(tmp_path)
    again = scorer.load(tmp_path)
    assert (again.predict(odd) == p).all() and (again.interval(odd)[0] == lo).all() and again.evidence == model.evidence
    assert model.predict(odd.iloc[[1]])[0] == pytest.approx(p[1], abs=1e-12)
    assert len(model.predict(odd.head(0))) == 0 == len(model.explain(odd.head(0))[1])
    with pytest.raises(BadInput, match=r"missing 1 of the 4 columns.*step"):
        model.predict(odd.drop(columns="step"))


def test_one_outcome_of_a_kind_is_too_few_and_a_column_that_does_not_vary_tells_nothing() -> None:
    X, y = drawn(20, 2)
    with pytest.raises(NotEnoughData, match="1 training rows of the rarer outcome"):
        Handful.fit(X, np.where(np.arange(20) == 3, 1.0, 0.0))
    flat = Handful.fit(X.assign(step=1.0, noise=np.nan), y, expected=EXPECTED)
    alike = X.head(3).assign(noise=[5.0, np.nan, 1.0], gappy=0.0, kind="a", step=1.0)
    assert np.ptp(flat.predict(alike)) < 1e-9
