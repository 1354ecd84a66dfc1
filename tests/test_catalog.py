"""Registering, loading and promoting models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from registry_models import GOOD, columns, folders, rows, scorer, workspace

from salesml.errors import BadParameter, GateRefused, UnknownName
from salesml.registry import catalog, tracking
from salesml.registry.columns import Column, columns_of
from salesml.state import audit, users


def base(name: str, **options) -> catalog.Version:
    return catalog.register(workspace(), name, folders()[0], columns=columns(), baseline=True, **options)


def model(name: str, **options) -> catalog.Version:
    return catalog.register(workspace(), name, folders()[1], columns=columns(), **options)


def test_the_baseline_is_champion_until_something_better_is_promoted():
    first = base("crowning")
    assert first.aliases == ("champion",)
    assert base("crowning").aliases == ()
    better = model("crowning", metrics={"log_loss": 0.5}, evidence=GOOD)
    assert better.aliases == ()
    assert catalog.champion(workspace(), "crowning").number == 1
    promoted = catalog.promote(workspace(), "crowning", better.number, by="ada")
    assert promoted.aliases == ("champion",)
    assert promoted.metrics == {"log_loss": 0.5}
    assert catalog.find(workspace(), "crowning", "previous").number == 1
    last = audit.entries(workspace(), action="promote", subject="model crowning version 3")[-1]
    assert (last.actor, last.details["before"]) == ("ada", 1)
    assert "log loss 0.5000 against 0.6100" in last.details["reason"]


def test_going_back_to_the_baseline_is_always_possible():
    base("retreat")
    catalog.promote(workspace(), "retreat", model("retreat", evidence=GOOD).number, by="ada")
    assert catalog.promote(workspace(), "retreat", 1, by="ada").aliases == ("champion",)
    assert catalog.find(workspace(), "retreat", "previous").number == 2


def test_a_refused_model_does_not_become_champion_and_the_refusal_is_recorded():
    import mlflow

    base("refusal")
    worse = model("refusal", evidence=replace(GOOD, hi=0.01))
    with pytest.raises(GateRefused, match=r"does not surely beat.*interval -0.1300 to \+0.0100.*1,000 rows"):
        catalog.promote(workspace(), "refusal", worse.number, by="bob")
    assert catalog.champion(workspace(), "refusal").number == 1
    assert audit.entries(workspace(), subject="model refusal version 2")[-1].action == "promotion refused"
    tags = mlflow.MlflowClient().get_model_version("refusal", "2").tags
    assert tags["gate.passed"] == "false"
    assert mlflow.get_run(worse.run_id).data.tags["gate"] == tags["gate"]


def test_a_model_without_evidence_is_refused_and_evidence_may_come_later():
    silent = model("silent")
    with pytest.raises(GateRefused, match="no evidence"):
        catalog.promote(workspace(), "silent", silent.number, by="ada")
    assert catalog.promote(workspace(), "silent", silent.number, by="ada", evidence=GOOD).evidence == GOOD


def test_a_model_cannot_pass_as_a_baseline():
    with pytest.raises(BadParameter, match="no baseline; valid: base_rate, group_rate"):
        model("disguise", baseline=True)


def test_a_study_is_champion_at_once_but_not_under_a_guarded_name():
    assert model("my-study_1.0", study=True).aliases == ("champion",)
    assert model("my-study_1.0", study=True).aliases == ("champion",)
    assert catalog.promote(workspace(), "my-study_1.0", 1, by="ada").number == 1
    base("guarded")
    with pytest.raises(BadParameter, match="guarded is taken by a gated model"):
        model("guarded", study=True)
    with pytest.raises(BadParameter, match="taken by a study"):
        base("my-study_1.0")


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "models:/x", "../x", "a b", "é", "x" * 101, "-x", "x\n", "x'y"])
def test_model_names_are_validated(name):
    with pytest.raises(BadParameter, match="model name"):
        model(name)


def test_unknown_models_and_versions_list_the_valid_ones():
    base("known")
    with pytest.raises(UnknownName, match=r"unknown model 'unknown'; valid: .*known"):
        catalog.load(workspace(), "unknown")
    with pytest.raises(UnknownName, match="'7'; valid: 1, champion"):
        catalog.load(workspace(), "known", 7)


def test_a_registered_model_never_promoted_has_no_champion():
    model("waiting")
    assert catalog.champion(workspace(), "waiting") is None
    with pytest.raises(UnknownName, match="'champion'; valid: 1"):
        catalog.load(workspace(), "waiting")


def test_a_scorer_without_features_needs_columns():
    with pytest.raises(BadParameter, match="reads no column"):
        catalog.register(workspace(), "bare", folders()[0], baseline=True)


def test_columns_must_hold_what_the_scorer_reads():
    with pytest.raises(BadParameter, match="columns lack what the scorer reads: amount, renewal, stage"):
        catalog.register(workspace(), "lacking", folders()[1], columns=[Column("calls", "integer")])


def test_native_and_pyfunc_predictions_equal_the_scorer_s():
    import mlflow

    with tracking.run(workspace(), "training", params={}) as run:
        version = model("equal", run=run, evidence=GOOD)
    catalog.promote(workspace(), "equal", version.number, by="ada")
    assert version.run_id == run.id
    X = rows(500, 9)
    native = catalog.load(workspace(), "equal")
    assert native.uri == "models:/equal/1"
    np.testing.assert_array_equal(native.predict(X), scorer().predict(X))
    given = X.assign(calls=X["calls"].astype(float), renewal=X["renewal"].map(str))
    for loaded in (catalog.load_pyfunc(workspace(), "equal"), mlflow.pyfunc.load_model("models:/equal@champion")):
        answer = loaded.predict(given, params={"interval": True, "factors": 2})
        np.testing.assert_array_equal(answer["probability"], scorer().predict(X))
        np.testing.assert_array_equal(answer[["lo", "hi"]].to_numpy().T, scorer().interval(X, 0.9))
    assert list(loaded.predict(given).columns) == ["probability"]


def test_factors_are_the_strongest_effects_and_hold_no_nan():
    model("factors", study=True)
    X = rows(40, 5)
    loaded = catalog.load(workspace(), "factors")
    effects = loaded.explain(X)[1]
    for row, factors in enumerate(loaded.predictions(X, factors=2)["factors"]):
        expected = effects.iloc[row].abs().sort_values(ascending=False)
        assert [abs(f["effect"]) for f in factors] == [e for e in expected.iloc[:2] if e]
        for factor in factors:
            assert factor["effect"] == effects.iloc[row][factor["feature"]]
            value = X[factor["feature"]].iloc[row]
            assert factor["value"] is None if pd.isna(value) else factor["value"] == value
    with pytest.raises(BadParameter, match="factors must be from 0"):
        loaded.predictions(X, factors=-1)


def test_an_optional_column_may_be_left_out_everywhere():
    model("optional", study=True)
    X = rows(20, 6)
    short, full = X.drop(columns="amount"), X.assign(amount=np.nan)
    loaded = catalog.load(workspace(), "optional")
    np.testing.assert_array_equal(loaded.predict(short), scorer().predict(full))
    given = short.assign(calls=X["calls"].astype(float), renewal=X["renewal"].map(str))
    pyfunc = catalog.load_pyfunc(workspace(), "optional")
    np.testing.assert_array_equal(pyfunc.predict(given)["probability"], scorer().predict(full))


def test_columns_are_described_from_a_training_frame():
    amount, calls, stage, renewal = columns()
    assert amount == Column("amount", "number", required=False)
    assert calls == Column("calls", "integer")
    assert stage == Column("stage", "text", known=("closing", "lead", "offer"))
    assert renewal.known == ("False", "True")
    assert columns_of(pd.DataFrame({"code": [1, 2]}), categorical=["code"])[0].known == ("1", "2")


def test_the_model_is_code_and_data_never_a_pickle():
    model("openness", study=True)
    folder = catalog.load(workspace(), "openness").folder.parents[1]
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"outcome_pyfunc.py", "model.json", "trees.cbm", "columns.json", "MLmodel"} <= names
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))}


def test_registration_leaves_the_scorer_s_folder_as_it_was():
    before = sorted(path.name for path in folders()[1].iterdir())
    model("untouched")
    assert sorted(path.name for path in folders()[1].iterdir()) == before


def test_the_first_baseline_is_somebody_s_promotion():
    base("signed")
    [entry] = audit.entries(workspace(), subject="model signed version 1")
    assert entry.actor == users.current_user(workspace()).name
