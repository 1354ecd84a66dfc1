"""The peers against figures worked out by hand, and as scorers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from salesml.errors import BadInput, NotEnoughData
from salesml.models import scorer
from salesml.models.peers import LOWEST, OdooBayes, StageWeighted

# Seven closed deals, three won. d1, d2 and d5 have two snapshots: the last one counts (the furthest, for stage rates).
ROWS = [
    ("d1", "A", 1, "ads", 1), ("d2", "B", 2, "ads", 1), ("d3", "A", 1, "ref", 1), ("d4", "A", 1, "web", 0),
    ("d5", "C", 3, "ads", 0), ("d6", "A", 1, None, 0), ("d7", "A", 1, "ref", 0), ("d1", "B", 2, "web", 1),
    ("d2", "C", 3, "web", 1), ("d5", "B", 2, "ref", 0),
]  # fmt: skip
FRAME = pd.DataFrame(ROWS, columns=["deal", "stage", "stage_order", "source", "won"]).assign(amount=1000.0)
X, Y, DEALS = FRAME[["stage", "stage_order", "source", "amount"]], FRAME["won"].to_numpy(), FRAME["deal"].to_numpy()
OPEN = pd.DataFrame(
    {"stage": ["B", "A", "C", None, "Z"], "source": ["web", None, "ref", "web", "unheard of"], "more": 1}, index=[5, 6, 7, 8, 9]
)


@pytest.fixture
def odoo() -> OdooBayes:
    return OdooBayes.fit(X, Y, groups=DEALS)


@pytest.fixture
def staged() -> StageWeighted:
    return StageWeighted.fit(X, Y, groups=DEALS)


def test_odoo_bayes_by_hand(odoo: OdooBayes) -> None:
    # last values: won d1 (B, web), d2 (C, web), d3 (A, ref); lost d4 (A, web), d5 (B, ref), d6 (A, -), d7 (A, ref)
    # stage: won 3.1 in each; lost A 4.1, B 1.1, C 0.1; source: web 2.1 won 1.1 lost, ref 1.1 won 2.1 lost, of 3.2 and 3.2
    won = [3.1 / 7.2 * 3.1 / 3.1 * 2.1 / 3.2, 3.1 / 7.2, 3.1 / 7.2 * 1.1 / 3.2, 3.1 / 7.2 * 2.1 / 3.2, 3.1 / 7.2]
    lost = [4.1 / 7.2 * 1.1 / 4.1 * 1.1 / 3.2, 4.1 / 7.2, 0.1 / 7.2 * 2.1 / 3.2, 4.1 / 7.2 * 1.1 / 3.2, 4.1 / 7.2]
    expected = np.array(won) / (np.array(won) + np.array(lost))
    assert expected[0] == pytest.approx(0.843264, abs=1e-6) and expected[2] == pytest.approx(0.941988, abs=1e-6)
    assert odoo.predict(OPEN) == pytest.approx(expected, abs=1e-12)
    assert odoo.features == ("stage", "source")  # categories only: no amount, no stage_order
    base, effects = odoo.explain(OPEN)
    assert base == pytest.approx(np.log(3.1 / 4.1)) and effects.loc[5, "source"] == pytest.approx(np.log(2.1 / 1.1))
    assert effects.loc[9].tolist() == [0.0, 0.0] and effects.loc[6, "source"] == 0


def test_stage_rates_by_hand(staged: StageWeighted) -> None:
    # ever in A 7, in B or beyond: 3 won and d5 (which was in C once); in C the same four
    assert staged.predict(OPEN) == pytest.approx([3 / 4, 3 / 7, 3 / 4, 3 / 7, 3 / 7])
    base, effects = staged.explain(OPEN)
    assert base == pytest.approx(logit(3 / 7)) and effects["stage"].tolist()[1] == pytest.approx(0, abs=1e-12)


def test_probability_entered_in_the_crm_goes_first(tmp_path: Path) -> None:
    model = StageWeighted.fit(X.assign(probability=0.5), Y, groups=DEALS, probability="probability")
    rows = OPEN.assign(probability=[0.2, np.nan, 1.0, 0.0, np.nan])
    assert model.predict(rows) == pytest.approx([0.2, 3 / 7, 1 - LOWEST, LOWEST, 3 / 7])
    lo, hi = model.interval(rows)
    assert (lo[0], hi[0]) == pytest.approx((0.2, 0.2)) and lo[1] < 3 / 7 < hi[1]
    assert model.explain(rows)[1].loc[5].tolist() == pytest.approx([0, logit(0.2) - logit(3 / 7)])
    model.save(tmp_path)
    assert (scorer.load(tmp_path).predict(rows) == model.predict(rows)).all()
    with pytest.raises(BadInput, match=r"column probability.*not a share from 0 to 1.*'20"):
        model.predict(OPEN.assign(probability=20.0))


def test_calibration_rows_are_counted_too_and_continue_a_deal() -> None:
    early, later = slice(0, 7), slice(7, 10)
    parts = {"calibration": (X[later], Y[later]), "groups": DEALS[early], "calibration_groups": DEALS[later]}
    for kind in (OdooBayes, StageWeighted):
        whole = kind.fit(X, Y, groups=DEALS).predict(OPEN)
        assert (kind.fit(X[early], Y[early], **parts).predict(OPEN) == whole).all()


def test_the_order_of_stages_may_be_given_and_must_be_known() -> None:
    bare = X.drop(columns="stage_order")
    given = OdooBayes.fit(bare, Y, groups=DEALS, stages=["A", "B", "C"])
    assert (given.predict(OPEN) == OdooBayes.fit(X, Y, groups=DEALS).predict(OPEN)).all()
    for kind in (OdooBayes, StageWeighted):
        with pytest.raises(BadInput, match=r"order of stages is not known.*stage_order"):
            kind.fit(bare, Y, groups=DEALS)
        with pytest.raises(NotEnoughData):
            kind.fit(X, np.ones(len(X)), groups=DEALS)


def test_without_a_stage_the_prior_is_won_against_lost() -> None:
    model = OdooBayes.fit(X[["source"]], Y, groups=DEALS, stage=None)
    assert model.predict(OPEN)[1] == pytest.approx(3.1 / 7.2) and model.features == ("source",)


def test_odoo_bayes_is_held_at_its_bounds_and_still_adds_up() -> None:
    n, names = 400, [f"c{i}" for i in range(12)]
    won = np.repeat([1.0, 0.0], n // 2)
    frame = pd.DataFrame({name: np.where(won == 1, "x", "y") for name in names})  # twelve copies of the answer
    model = OdooBayes.fit(frame, won, stage=None)
    p, (base, effects) = model.predict(frame), model.explain(frame)
    assert p.max() == pytest.approx(1 - LOWEST) and p.min() == pytest.approx(LOWEST)
    assert np.abs(base + effects.sum(axis=1).to_numpy() - logit(p)).max() < 1e-9
    assert model.interval(frame)[1].max() <= 1 - LOWEST + 1e-12


@pytest.mark.parametrize("kind", ["odoo_bayes", "stage_weighted"])
def test_they_are_scorers(kind: str, odoo: OdooBayes, staged: StageWeighted, tmp_path: Path) -> None:
    model = odoo if kind == "odoo_bayes" else staged
    assert isinstance(model, scorer.Scorer) and model.kind == kind
    p, (lo, hi), (base, effects) = model.predict(OPEN), model.interval(OPEN), model.explain(OPEN)
    assert ((lo <= p) & (p <= hi) & (lo > 0) & (hi < 1)).all() and (hi - lo).min() > 0.05
    assert np.abs(base + effects.sum(axis=1).to_numpy() - logit(p)).max() < 1e-12
    assert list(effects.columns) == list(model.features) and effects.index.equals(OPEN.index)
    model.save(tmp_path)
    again = scorer.load(tmp_path)
    assert (again.predict(OPEN) == p).all() and (again.interval(OPEN)[0] == lo).all()
    assert len(model.predict(OPEN.head(0))) == 0 == len(model.explain(OPEN.head(0))[1])
    with pytest.raises(BadInput, match="missing"):
        model.predict(OPEN.drop(columns="stage"))


def test_the_interval_of_odoo_bayes_is_about_right_where_columns_are_independent() -> None:
    rng = np.random.default_rng(5)
    rates = {1: [0.6, 0.3, 0.1], 0: [0.3, 0.4, 0.3]}
    asked = pd.DataFrame({"a": ["x", "y", "z"], "b": ["z", "y", "x"]})
    truth = [(rates[1][i] * rates[1][2 - i]) / (rates[1][i] * rates[1][2 - i] + rates[0][i] * rates[0][2 - i]) for i in range(3)]
    held = []
    for _ in range(200):
        won = np.repeat([1, 0], 150)
        draws = {name: np.r_[rng.choice(list("xyz"), 150, p=rates[1]), rng.choice(list("xyz"), 150, p=rates[0])] for name in "ab"}
        lo, hi = OdooBayes.fit(pd.DataFrame(draws), won.astype(float), stage=None).interval(asked)
        held.append((lo <= truth) & (truth <= hi))
    assert 0.86 < np.mean(held) < 0.97
