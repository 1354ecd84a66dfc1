"""Deals: labels, blocks, training behind the gate, scores that add up, a stranger's estimator."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deal_stories import GROWTH
from scipy.special import logit

import salesml
from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.features.deals import DEALS
from salesml.lake import Lake, visible
from salesml.models import competing_risks
from salesml.models.deals import blocks, label, settling_days
from salesml.workflows.deals import MODEL, score_deals, training_table
from salesml.workflows.train_deals import train_deals
from salesml.workspace import Workspace


def at(day: int) -> pd.Timestamp:
    return pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=day)


def test_label_keeps_only_what_was_known_and_old_enough() -> None:
    lives = pd.DataFrame(
        {
            "opportunity_id": ["quick", "slow", "lost", "open"],
            "first_known_at": [at(0)] * 4,
            "status": ["won", "won", "lost", "open"],
            "closed_at": [at(5), at(40), at(20), pd.NaT],
        }
    )
    rows = pd.DataFrame({"opportunity_id": lives["opportunity_id"].repeat(2), "as_of": [at(1), at(35)] * 4})
    eventually = label(rows, lives, 10, at(44).to_pydatetime())
    assert set(zip(eventually["opportunity_id"], eventually["won"], strict=True)) == {
        ("quick", 1),
        ("slow", 1),
        ("lost", 0),
    }
    assert (eventually["as_of"] == at(1)).all(), "the snapshots of day 35 are younger than the horizon"
    assert eventually.set_index("opportunity_id").loc["slow", "known_by"] == at(40)
    within = label(rows, lives, 10, at(44).to_pydatetime(), within=True).set_index("opportunity_id")
    assert within["won"].to_dict() == {"quick": 1, "slow": 0, "lost": 0, "open": 0}


def test_blocks_are_in_time_order_and_labels_known_before_the_next(small_workspace: Workspace) -> None:
    table = training_table(small_workspace)
    split = blocks(table.labelled)
    assert split.train["as_of"].max() < split.calibration["as_of"].min()
    assert split.calibration["as_of"].max() < split.test["as_of"].min()
    assert split.train["known_by"].max() <= split.calibration["as_of"].min()
    assert split.calibration["known_by"].max() <= split.tested_from
    assert not set(split.train["opportunity_id"]) & set(split.test["opportunity_id"])
    cutoff = pd.Timestamp(Lake(small_workspace).open().instant())
    assert table.labelled["known_by"].max() <= cutoff


def test_settling_days_respect_censoring() -> None:
    closed = pd.DataFrame({"first_known_at": [at(0)] * 40, "closed_at": [at(10)] * 30 + [pd.NaT] * 10})
    assert settling_days(closed, at(20).to_pydatetime()) == 7, "capped at a sixth of the history, at least a week"
    with pytest.raises(NotEnoughData, match="19 closed deals are known; at least 20"):
        settling_days(closed.head(19), at(20).to_pydatetime())


def test_training_table_is_what_was_known(tiny_workspace: Workspace) -> None:
    table = training_table(tiny_workspace, "2026-03-02")
    assert list(table.X.columns) == DEALS.names
    assert len(table.X) == len(table.y) == len(table.as_of) == len(table.groups)
    assert table.as_of.max() + pd.Timedelta(days=table.settling_days) <= pd.Timestamp("2026-03-02", tz="UTC")
    with pytest.raises(BadParameter, match="within_days 0"):
        training_table(tiny_workspace, within_days=0)
    with pytest.raises(BadParameter, match="settling_days -1 is below 0"):
        training_table(tiny_workspace, settling_days=-1)
    with pytest.raises(NotEnoughData, match="no deal is known as of 1999"):
        training_table(tiny_workspace, "1999-01-01")


def test_settling_days_of_0_take_every_outcome_known_by_then(tiny_workspace: Workspace) -> None:
    settled, every = (training_table(tiny_workspace, "2026-03-02", settling_days=days).labelled for days in (56, 0))
    assert (every["known_by"] < pd.Timestamp("2026-03-02", tz="UTC")).all() and (every["known_by"] >= every["as_of"]).all()
    old = every[every["as_of"] + pd.Timedelta(days=56) <= pd.Timestamp("2026-03-02", tz="UTC")]
    pd.testing.assert_frame_equal(
        settled.drop(columns=["known_by", "horizon"]), old.drop(columns=["known_by", "horizon"]).reset_index(drop=True)
    )
    assert len(every) > len(old)


def test_scores_lie_in_their_interval_and_factors_add_up(small_workspace: Workspace) -> None:
    from salesml.registry import catalog

    tables = Lake(small_workspace).open()
    view = visible(tables, dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("prediction"))
    assert len(kept) and kept["point"].between(0, 1).all()
    won = kept[kept["target"] == "won"]
    assert (won["lo"] <= won["point"]).all() and (won["point"] <= won["hi"]).all()
    assert kept["run_id"].str.len().gt(0).all() and kept["head_id"].gt(0).all()
    cutoff = tables.instant()
    rows = DEALS.frame(visible(tables, cutoff))
    rows = rows[rows["status"] == "open"]
    assert len(rows) == (kept["target"] == "won").sum()
    for version in catalog.versions(small_workspace, MODEL):
        scorer = catalog.load(small_workspace, MODEL, version.number)
        base, effects = scorer.explain(rows[DEALS.names])
        np.testing.assert_allclose(base + effects.sum(axis=1), logit(scorer.predict(rows[DEALS.names])), atol=1e-6)
    assert json.loads(won["factors"].iloc[0]) is not None


def test_scoring_twice_changes_nothing(small_workspace: Workspace) -> None:
    before = Lake(small_workspace).head().id
    again = score_deals(small_workspace)
    assert Lake(small_workspace).head().id == before
    assert again["probability"].is_monotonic_decreasing


def test_the_certificate_holds_what_was_measured_and_travels_with_the_version(small_workspace: Workspace) -> None:
    from salesml.registry import catalog

    version = next(v for v in catalog.versions(small_workspace, MODEL) if v.kind == "competing_risks")
    loaded = catalog.load(small_workspace, MODEL, version.number)
    certificate = loaded.certificate
    assert certificate is not None and version.evidence is not None
    assert set(certificate.peers) == {"base rate", "stage rate", "naive Bayes"}
    assert certificate.figure("log_loss").value == pytest.approx(version.evidence.log_loss)
    assert certificate.against(version.evidence.baseline).hi == pytest.approx(version.evidence.hi)
    assert certificate.figure("explained", "base rate").value == pytest.approx(0)
    assert len(certificate.reliability) == 10 and certificate.tested_from == version.evidence.tested_from
    assert (certificate.segments["lo"] <= certificate.segments["hi"]).all() and len(certificate.before_close) > 3
    assert set(certificate.dated["figure"]) == {"closed by quarter end", "won by quarter end"}
    baseline = next(v for v in catalog.versions(small_workspace, MODEL) if v.baseline)
    assert catalog.load(small_workspace, MODEL, baseline.number).certificate is None


@pytest.mark.slow
def test_a_variant_goes_by_nothing_that_a_rep_could_set(
    tiny_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from salesml.registry import catalog

    monkeypatch.setattr(competing_risks, "tuned", lambda *_: dict.fromkeys(competing_risks.HEADS, GROWTH))
    workspace = Workspace.create(tmp_path / "variant")
    tables = Lake(tiny_workspace).open()
    Lake(workspace).ingest({name: tables.rows(name) for name in ("opportunity", "activity", "account", "user")}, origin="t")
    trained = train_deals(workspace, manipulable=False)
    features = set(catalog.load(workspace, MODEL, trained.version.number).features)
    marked = {feature.name for feature in DEALS.features if feature.manipulable}
    assert features == set(DEALS.names) - marked and {"stage", "amount", "forecast_category", "crm_probability"} <= marked
    assert trained.version.tags["manipulable"] == "false"


def test_timing_agrees_with_the_score(small_workspace: Workspace) -> None:
    from salesml.registry import catalog

    number = next(v for v in catalog.versions(small_workspace, MODEL) if v.kind == "competing_risks").number
    scored = score_deals(small_workspace, model=number)
    assert (scored["p_month"] <= scored["p_quarter"] + 1e-9).all() and (scored["p_quarter"] <= scored["probability"] + 1e-9).all()
    assert scored["slip"].dropna().between(0, 1).all()
    known = scored.dropna(subset=["close_early", "close_expected"])
    assert len(known) and (known["close_early"] <= known["close_expected"]).all()
    view = visible(Lake(small_workspace).open(), dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("prediction"))
    dated = kept[(kept["target"] == "won_in_quarter") & (kept["model_version"] == str(number))].set_index("entity_id")["point"]
    expected = scored.set_index("opportunity_id")["p_quarter"]
    np.testing.assert_allclose(dated.loc[expected.index], expected)


def test_the_endpoint_s_answer_can_hold_the_timing(small_workspace: Workspace) -> None:
    from salesml.registry import catalog

    rows = DEALS.frame(visible(Lake(small_workspace).open(), Lake(small_workspace).open().instant()))
    rows = rows[rows["status"] == "open"][DEALS.names].head(20)
    versions = catalog.versions(small_workspace, MODEL)
    timed = catalog.load(small_workspace, MODEL, next(v.number for v in versions if v.kind == "competing_risks"))
    found = timed.predictions(rows, timing=True)
    assert (found["won_30d"] <= found["won_90d"]).all() and (found["won_90d"] <= found["closed_90d"]).all()
    assert (found["won_90d"] <= found["probability"] + 1e-9).all()
    assert json.loads(json.dumps(found.to_dict("records"), allow_nan=False)), "what lies too far ahead is null"
    plain = catalog.load(small_workspace, MODEL, next(v.number for v in versions if v.baseline))
    with pytest.raises(BadInput, match="knows nothing of time"):
        plain.predictions(rows, timing=True)


def test_baseline_is_registered_and_something_is_champion(small_workspace: Workspace) -> None:
    from salesml.registry import catalog

    versions = catalog.versions(small_workspace, MODEL)
    assert {version.kind for version in versions} >= {"competing_risks"} and any(version.baseline for version in versions)
    champion = catalog.champion(small_workspace, MODEL)
    assert champion is not None
    model = next(version for version in versions if version.kind == "competing_risks")
    if not champion.baseline:
        assert model.evidence is not None and model.evidence.hi < 0


@pytest.mark.slow
def test_without_signal_the_gate_refuses_and_says_so(tiny_workspace: Workspace, tmp_path: Path) -> None:
    """Outcomes dealt anew to the deals, whatever they did: nothing can be learnt, and nothing must be claimed."""
    workspace = Workspace.create(tmp_path / "noise")
    tables = Lake(tiny_workspace).open()
    staged = {name: tables.rows(name) for name in ("opportunity", "activity", "account", "user")}
    changes = staged["opportunity"].to_pandas()
    deals = changes["opportunity_id"].unique()
    drawn = dict(zip(deals, np.where(np.random.default_rng(0).random(len(deals)) < 0.4, "won", "lost"), strict=True))
    closed = changes["status"].isin(["won", "lost", "no_decision"])
    changes["status"] = changes["status"].where(~closed, changes["opportunity_id"].map(drawn))
    place = staged["opportunity"].schema.get_field_index("status")
    staged["opportunity"] = staged["opportunity"].set_column(place, "status", pa.array(changes["status"], pa.string()))
    Lake(workspace).ingest(staged, origin="t")
    result = train_deals(workspace)
    assert not result.promoted and result.champion.baseline
    assert result.sentence.startswith("There is no usable signal")


def test_any_estimator_can_be_judged(small_workspace: Workspace) -> None:
    class Base:
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> Base:
            self.rate = y.mean()
            return self

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
            return np.tile([1 - self.rate, self.rate], (len(X), 1))

    found = salesml.judge(small_workspace, Base()).set_index(["model", "metric"])
    assert found.loc[("yours", "auc"), "value"] == pytest.approx(0.5)
    assert ("yours", "log_loss_difference") in found.index and ("champion", "log_loss") in found.index
