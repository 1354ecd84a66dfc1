"""Every scorer keeps the protocol: calibrated, explained exactly, saved and loaded, fit for odd rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, Pool
from scipy.special import expit, logit

from salesml.errors import BadInput, NotEnoughData, UnknownName
from salesml.evaluation.metrics import log_loss
from salesml.models import scorer
from salesml.models.columns import MISSING, OTHER, extra_columns, level_codes, levels_of, numbers, text_of
from salesml.models.encoding import Encoder
from salesml.models.logistic import Logistic
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.rates import BaseRate, GroupRate
from salesml.models.tree_effects import TreeEffects

SMALL = (Settings(trees=120),)
FITS: dict[str, Callable[..., scorer.Scorer]] = {
    "base_rate": BaseRate.fit,
    "group_rate": lambda *a, **k: GroupRate.fit(*a, column="stage", **k),
    "logistic": Logistic.fit,
    "catboost": lambda *a, **k: OutcomeModel.fit(*a, candidates=SMALL, members=4, **k),
}


def drawn(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Features, outcomes, and the true probabilities they were drawn with."""
    rng = np.random.default_rng(seed)
    stages = rng.choice(["new", "demo", "offer"], rows, p=[0.5, 0.3, 0.2])
    X = pd.DataFrame(
        {
            "amount": rng.lognormal(8, 1, rows),
            "stage": stages,
            "touches": rng.poisson(4, rows).astype(float),
            "city": rng.choice([f"city {i}" for i in range(40)], rows),
            "returning": rng.random(rows) < 0.3,
        }
    )
    z = -1.2 + 0.5 * (np.log(X["amount"]) - 8) + np.where(stages == "offer", 1.2, 0) + 0.15 * (X["touches"] - 4)
    p = expit((z + 0.6 * X["returning"]).to_numpy())
    return X, (rng.random(rows) < p).astype(float), p


@pytest.fixture(scope="module")
def data() -> dict[str, tuple[pd.DataFrame, np.ndarray, np.ndarray]]:
    return {"train": drawn(3000, 1), "later": drawn(1000, 2), "test": drawn(1500, 3)}


@pytest.fixture(scope="module")
def models(data: dict) -> dict[str, scorer.Scorer]:
    (X, y, _), (Xc, yc, _) = data["train"], data["later"]
    return {kind: fit(X, y, calibration=(Xc, yc)) for kind, fit in FITS.items()}


@pytest.fixture(scope="module")
def odd(data: dict) -> pd.DataFrame:
    """Rows with unseen categories, missing values, infinities, texts for numbers, and columns too many."""
    X = data["test"][0].head(60).copy()
    X["stage"] = X["stage"].astype(object)
    X.loc[X.index[0], "stage"], X.loc[X.index[1], "stage"], X.loc[X.index[2], "city"] = "unheard of", None, np.nan
    X["amount"] = X["amount"].astype(object)
    X.loc[X.index[3], "amount"], X.loc[X.index[4], "amount"], X.loc[X.index[5], "amount"] = None, np.inf, "n/a"
    return X.assign(unused=1)[["unused", *reversed(X.columns)]]


@pytest.mark.parametrize("kind", FITS)
def test_protocol_and_sane_numbers(kind: str, models: dict, odd: pd.DataFrame) -> None:
    model = models[kind]
    assert isinstance(model, scorer.Scorer) and model.kind == kind
    p, (lo, hi), (base, effects) = model.predict(odd), model.interval(odd), model.explain(odd)
    assert ((p > 0) & (p < 1)).all() and len(p) == len(odd)
    assert ((lo <= p) & (p <= hi) & (lo > 0) & (hi < 1)).all()
    assert np.abs(base + effects.sum(axis=1).to_numpy() - logit(p)).max() < 1e-6
    assert list(effects.columns) == list(model.features) and effects.index.equals(odd.index)
    assert set(model.categorical) <= set(model.features)
    wide, narrow = model.interval(odd, 0.95), model.interval(odd, 0.5)
    assert (wide[0] <= narrow[0]).all() and (narrow[1] <= wide[1]).all()


@pytest.mark.parametrize("kind", FITS)
def test_saved_and_loaded_is_the_same(kind: str, models: dict, odd: pd.DataFrame, tmp_path: Path) -> None:
    model = models[kind]
    model.save(tmp_path)
    again = scorer.load(tmp_path)
    assert (again.features, again.categorical) == (model.features, model.categorical)
    assert (again.predict(odd) == model.predict(odd)).all()
    assert (again.interval(odd)[0] == model.interval(odd)[0]).all()
    pd.testing.assert_frame_equal(again.explain(odd)[1], model.explain(odd)[1])
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".cbm"}


@pytest.mark.parametrize("kind", FITS)
def test_a_row_is_scored_the_same_alone_and_in_a_frame(kind: str, models: dict, odd: pd.DataFrame) -> None:
    model, row = models[kind], odd.iloc[[7]]
    assert model.predict(row)[0] == pytest.approx(model.predict(odd)[7], abs=1e-12)
    assert model.interval(row)[0][0] == pytest.approx(model.interval(odd)[0][7], abs=1e-12)
    assert len(model.predict(odd.head(0))) == 0 and len(model.explain(odd.head(0))[1]) == 0


@pytest.mark.parametrize("kind", ["logistic", "catboost"])
def test_missing_columns_are_named(kind: str, models: dict, odd: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=r"missing 2 of the 5 columns.*amount, city") as caught:
        models[kind].predict(odd.drop(columns=["city", "amount"]))
    assert "stage" in str(caught.value)
    assert extra_columns(odd, models[kind].features) == ["unused"]


def test_models_beat_the_base_rate_where_there_is_signal(models: dict, data: dict) -> None:
    X, y, truth = data["test"]
    loss = {kind: log_loss(y, model.predict(X)) for kind, model in models.items()}
    assert loss["catboost"] < loss["group_rate"] < loss["base_rate"]
    assert loss["catboost"] - log_loss(y, truth) < 0.03 and loss["logistic"] - log_loss(y, truth) < 0.03


@pytest.mark.parametrize("kind", ["logistic", "catboost"])
def test_intervals_cover_most_true_probabilities(kind: str, models: dict, data: dict) -> None:
    X, _, truth = data["test"]
    lo, hi = models[kind].interval(X)
    assert 0.75 <= np.mean((lo <= truth) & (truth <= hi)) <= 1.0
    assert np.mean(hi - lo) < 0.4


def test_same_seed_same_model_other_seed_another(data: dict) -> None:
    (X, y, _), (Xc, yc, _), (Xt, _, _) = data.values()
    first, again = (FITS["catboost"](X, y, calibration=(Xc, yc), seed=5) for _ in range(2))
    assert (first.predict(Xt) == again.predict(Xt)).all() and (first.interval(Xt)[1] == again.interval(Xt)[1]).all()
    assert (FITS["catboost"](X, y, calibration=(Xc, yc), seed=6).predict(Xt) != first.predict(Xt)).any()


def test_repeated_entities_widen_the_interval(data: dict) -> None:
    (X, y, _), (Xc, yc, _), (Xt, _, _) = data.values()
    copies = np.repeat(np.arange(500), 4)
    many, groups = X.iloc[copies].reset_index(drop=True), copies
    blind = Logistic.fit(many, y[copies], calibration=(Xc, yc))
    aware = Logistic.fit(many, y[copies], calibration=(Xc, yc), groups=groups)
    width = {
        name: np.mean(np.subtract(*model.interval(Xt)[::-1])) for name, model in (("blind", blind), ("aware", aware))
    }
    assert width["aware"] > 1.3 * width["blind"]


def test_table_effects_are_catboosts_own_shap_values() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({f"n{i}": rng.normal(size=1500).astype("float32") for i in range(4)})
    X["few"] = pd.Categorical.from_codes(rng.integers(0, 4, 1500), list("abcd"))
    X.insert(1, "many", pd.Categorical.from_codes(rng.integers(0, 60, 1500), [f"v{i}" for i in range(60)]))
    y = (rng.random(1500) < expit(X["n0"] * X["n1"] + np.sin(X["many"].cat.codes) + (X["few"] == "a"))).astype(int)
    pool = Pool(X, y, cat_features=["many", "few"])
    trees = CatBoostClassifier(
        iterations=80, depth=5, one_hot_max_size=8, max_ctr_complexity=1, verbose=0, allow_writing_files=False
    ).fit(pool)
    expected = trees.get_feature_importance(pool, type="ShapValues")
    table = TreeEffects(trees)
    assert np.abs(table.effects(trees.calc_leaf_indexes(pool)) - expected[:, :-1]).max() < 1e-12
    assert table.base == pytest.approx(expected[0, -1], abs=1e-12)


def test_trees_without_a_split_have_no_effects() -> None:
    rng = np.random.default_rng(4)  # statistics of a category of pure chance: some trees find nothing to split by
    X = pd.DataFrame({"c": pd.Categorical.from_codes(rng.integers(0, 40, 400), [f"v{i}" for i in range(40)])})
    pool = Pool(X, rng.integers(0, 2, 400), cat_features=["c"])
    trees = CatBoostClassifier(
        iterations=30,
        depth=4,
        one_hot_max_size=8,
        max_ctr_complexity=1,
        random_seed=4,
        verbose=0,
        allow_writing_files=False,
    ).fit(pool)
    expected, table = trees.get_feature_importance(pool, type="ShapValues"), TreeEffects(trees)
    assert any(not entries for entries in table.tables)
    assert np.abs(table.effects(trees.calc_leaf_indexes(pool)) - expected[:, :-1]).max() < 1e-12


def test_shared_values_of_a_number_are_learned_without_the_rows_own_entity() -> None:
    price = np.r_[np.full(40, 5000.0), np.full(30, 99.5), np.arange(1000, 1060) + 0.25]
    X = pd.DataFrame({"price": price})
    encoder = Encoder.fit(X, (), with_repeats=True)
    trained = encoder.encode(X, trained_on=True)
    later = encoder.encode(pd.DataFrame({"price": [5000.0, 99.5, 7.0, 120_000.0, np.nan]}))
    assert (
        trained["price: how common"].iloc[0] == pytest.approx(np.log1p(39))
        and trained["price: how common"].iloc[-1] == 0
    )
    assert np.allclose(later["price: how common"], np.log1p([40, 30, 0, 0, 0]))
    assert later["price: how round"].tolist()[:4] == [3, -1, 0, 4]
    assert Encoder.from_json(encoder.to_json()).encode(X).equals(encoder.encode(X))
    halves = Encoder.fit(X, (), with_repeats=True, groups=np.repeat(np.arange(65), 2)).repeats["price"]
    assert halves.counts.tolist() == [15, 20]  # an entity counts once


def test_settings_are_chosen_on_the_last_training_rows() -> None:
    rng = np.random.default_rng(0)
    habit = rng.random(3000) < 0.5
    X = pd.DataFrame(
        {"price": np.where(habit, rng.choice(np.arange(1, 40) * 137.0, 3000), rng.uniform(137, 5300, 3000))}
    )
    y = (rng.random(3000) < np.where(habit, 0.7, 0.1)).astype(float)
    both = (Settings(trees=100), Settings(trees=100, repeats=True))
    model = OutcomeModel.fit(X[:2400], y[:2400], calibration=(X[2400:], y[2400:]), candidates=both, members=2)
    losses = [trial.log_loss for trial in model.trials]
    assert losses[1] < losses[0] and "price" in model.encoder.repeats
    base, effects = model.explain(X)
    assert list(effects.columns) == ["price"]
    assert np.abs(base + effects["price"] - logit(model.predict(X))).max() < 1e-6


def test_group_rate_shrinks_small_groups_to_the_base() -> None:
    X = pd.DataFrame({"stage": ["a"] * 500 + ["b"] * 500 + ["c"] * 3})
    y = np.r_[np.ones(400), np.zeros(100), np.ones(100), np.zeros(400), np.ones(3)]
    model = GroupRate.fit(X, y, column="stage")
    a, b, c = model.predict(pd.DataFrame({"stage": ["a", "b", "c"]}))
    assert a == pytest.approx(0.8, abs=0.01) and b == pytest.approx(0.2, abs=0.01) and 0.5 < c < 0.97
    lo, hi = model.interval(pd.DataFrame({"stage": ["a", "c"]}))
    assert hi[1] - lo[1] > 3 * (hi[0] - lo[0])


def test_certainty_of_rates_counts_entities_not_rows() -> None:
    X, y = pd.DataFrame({"stage": ["a"] * 1000}), np.tile(np.r_[np.ones(1), np.zeros(3)], 250)
    rows, entities = BaseRate.fit(X, y), BaseRate.fit(X, y, groups=np.repeat(np.arange(100), 10))
    assert rows.rate == pytest.approx(entities.rate, abs=0.01)
    widths = [np.subtract(*model.interval(X.head(1))[::-1])[0] for model in (rows, entities)]
    assert widths[1] > 2.5 * widths[0]


def test_features_that_never_vary_are_refused() -> None:
    X, y = pd.DataFrame({"a": [1.0] * 60, "b": ["x"] * 60}), np.tile([0.0, 1.0], 30)
    with pytest.raises(NotEnoughData, match="every feature has one value only"):
        OutcomeModel.fit(X, y, calibration=(X, y))
    late = X.assign(a=np.r_[np.zeros(52), np.arange(8)])  # varies only where the number of trees is chosen
    assert len(OutcomeModel.fit(late, y, calibration=(late, y), members=2).predict(late)) == 60


def test_too_few_or_wrong_outcomes_are_refused() -> None:
    X = pd.DataFrame({"a": np.arange(30.0)})
    with pytest.raises(NotEnoughData, match="at least 10 of each"):
        OutcomeModel.fit(X, np.r_[np.ones(4), np.zeros(26)], calibration=(X, np.zeros(30)))
    with pytest.raises(BadInput, match="0 or 1"):
        Logistic.fit(X, np.arange(30) % 3, calibration=(X, np.zeros(30)))


def test_columns_as_models_read_them() -> None:
    assert numbers(pd.Series(["1", "x", None, "inf"], dtype=object)).tolist()[0] == 1
    assert np.isnan(numbers(pd.Series(["x", None, "inf"], dtype=object))).all()
    levels = levels_of(pd.Series(["a", "a", "b", None, 1.0, 1]))
    assert levels == tuple(sorted(("a", "1", MISSING, OTHER)))
    codes = level_codes(pd.Series(["1", 1.0, "zzz", None], dtype=object), levels)
    assert [levels[code] for code in codes] == ["1", "1", OTHER, MISSING]
    assert (text_of(2.0), text_of(2), text_of("2"), text_of(2.5)) == ("2", "2", "2", "2.5")


def test_loading_what_is_no_scorer(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no model\.json"):
        scorer.load(tmp_path)
    (tmp_path / "model.json").write_text('{"kind": "oracle"}')
    with pytest.raises(UnknownName, match=r"oracle.*base_rate, catboost"):
        scorer.load(tmp_path)
