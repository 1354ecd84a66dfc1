"""Leads: snapshots whose failure is not presumed, the model beside its peers, scores that add up, points by a scheme."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from app_rows import copied
from scipy.special import expit, logit
from typer.testing import CliRunner

from salesml.cli import study
from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.features.leads import BUYING, COUNTS, ENGAGEMENT, INTENT, KINDS, LEADS, OLD
from salesml.features.spines import lead_lives
from salesml.lake import Lake, visible
from salesml.models.lead_points import read_scheme, usual
from salesml.workflows.leads import COMPONENTS, MODEL, OLDEST, conversion_days, lead_table, score_by_points, score_leads
from salesml.workflows.train_leads import train_leads
from salesml.workspace import Workspace

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def company(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return copied(small_workspace, tmp_path_factory.mktemp("leads"))


@pytest.fixture(scope="module")
def table(company):
    return lead_table(company)


@pytest.fixture(scope="module")
def trained(company):
    return train_leads(company)


@pytest.fixture(scope="module")
def scored(company, trained) -> pd.DataFrame:
    return score_leads(company)


def test_counts_and_points_are_those_of_the_events_themselves(company):
    tables = Lake(company).open()
    instant = tables.instant(None) - 40 * DAY
    found = LEADS.frame(visible(tables, instant)).set_index("lead_id")
    events = tables.rows("lead_event").to_pandas()
    events = events[events["known_at"] < pd.Timestamp(instant)]
    days = (pd.Timestamp(instant) - events["known_at"]) / DAY
    events = events.assign(
        buying=events["content"].str.contains(BUYING, case=False, na=False),
        weight=np.select([days <= 7, days <= 28], [OLD["7d"], OLD["28d"]], OLD["before"]), recent=days <= 7,
    )  # fmt: skip
    kind = {name: events["type"].isin(kinds) for name, kinds in KINDS.items()} | {"buying": events["buying"]}
    assert set(kind) | {"events"} == set(COUNTS)
    for name in ("visits", "replies", "buying"):
        plain = events[kind[name]].groupby("lead_id").size().reindex(found.index).fillna(0)
        assert found[name].tolist() == plain.tolist(), name
    lately = events[kind["visits"] & events["recent"]].groupby("lead_id").size().reindex(found.index).fillna(0)
    assert found["visits_7d"].tolist() == lately.tolist()
    for column, scheme in (("engagement_points", ENGAGEMENT), ("intent_points", INTENT)):
        worth = sum(each * events["weight"] * kind[name] for name, each in scheme.items())
        plain = worth.groupby(events["lead_id"]).sum().reindex(found.index).fillna(0)
        assert found[column].to_numpy() == pytest.approx(plain.to_numpy()), column
    assert found["engagement_points"].max() > 0 and found["source_conversion"].between(0, 1).all()


def test_a_snapshot_counts_only_when_its_days_are_over(company, table):
    rows, lives = table.labelled, visible(table.tables, table.cutoff)
    lives = lives.frame(lead_lives(lives)).set_index("lead_id")
    horizon = pd.Timedelta(days=table.horizon_days)
    assert (rows["as_of"] + horizon <= pd.Timestamp(table.cutoff)).all() and (rows["known_by"] == rows["as_of"] + horizon).all()
    assert (rows["status"] == "open").all() and (rows["age_days"] <= OLDEST / DAY).all()
    ends = rows["lead_id"].map(lives["closed_at"])
    converted = rows["lead_id"].map(lives["status"]).eq("converted") & (ends < rows["as_of"] + horizon)
    assert rows["converted"].tolist() == converted.astype(int).tolist() and 0 < rows["converted"].mean() < 0.5
    alive = rows["lead_id"].map(lives["status"]).eq("open")
    assert alive.any() and not rows.loc[alive, "converted"].any(), "who is open still did not convert within the days"


def test_the_horizon_is_where_nine_in_ten_conversions_have_come():
    cutoff = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    first = pd.Timestamp("2025-01-01", tz="UTC")
    ends = [first + pd.Timedelta(days=n) for n in range(1, 101)]
    lives = pd.DataFrame({"first_known_at": first, "status": "converted", "closed_at": ends})
    assert conversion_days(lives, cutoff) == 91, "90 days in whole weeks"
    assert conversion_days(lives.head(10), cutoff) == 28, "never below four weeks"
    young = lives.assign(first_known_at=pd.Timestamp(cutoff) - pd.Timedelta(days=20))
    with pytest.raises(NotEnoughData, match="known for 26 weeks"):
        conversion_days(young, cutoff)
    with pytest.raises(BadParameter, match="not a positive number"):
        lead_table(Workspace("nowhere", None), within_days=0)


def test_training_compares_later_snapshots_and_promotes_by_the_gate(trained):
    blocks = trained.blocks.set_index("block")
    horizon = pd.Timedelta(days=trained.horizon_days)
    assert blocks.loc["train", "last"] + horizon <= blocks.loc["calibration", "first"]
    assert blocks.loc["calibration", "last"] + horizon <= blocks.loc["test", "first"]
    wide = trained.figures.pivot(index="model", columns="metric", values="value")
    assert {"base rate", "source rate", "points", "naive Bayes", "logistic regression", "CatBoost"} >= set(wide.index)
    assert wide.loc["base rate", "auc"] == 0.5 and wide.loc[trained.chosen, "auc"] > 0.6
    assert trained.promoted == (trained.champion.number == trained.version.number)
    assert f"within {trained.horizon_days} days" in trained.sentence and "best tenth" in trained.sentence
    assert trained.more.lo <= trained.more.value <= trained.more.hi


def test_scores_are_probabilities_whose_reasons_add_up(company, scored):
    assert (scored["composite"] == 100 * scored["probability"]).all() and scored["composite"].is_monotonic_decreasing
    assert (scored["age_days"] <= OLDEST / DAY).all() and scored["lead_id"].is_unique
    assert (scored[list(COMPONENTS)].min() >= 0).all() and (scored[list(COMPONENTS)].max() <= 100).all()
    one = score_leads(company, leads=[scored["lead_id"].iloc[3]])
    assert one["probability"].iloc[0] == pytest.approx(scored["probability"].iloc[3], abs=1e-12)
    from salesml.registry import catalog

    tables = Lake(company).open()
    rows = LEADS.frame(visible(tables, tables.instant(None)))
    rows = rows[rows["lead_id"].isin(scored["lead_id"])].set_index("lead_id").loc[scored["lead_id"]].reset_index()
    base, effects = catalog.load(company, MODEL).explain(rows[LEADS.names])
    assert base + effects.sum(axis=1).to_numpy() == pytest.approx(logit(scored["probability"].to_numpy()), abs=1e-6)
    apart = effects[[name for name in effects if name in COMPONENTS["behavioural"] | COMPONENTS["fit"]]]
    assert apart.shape[1] == effects.shape[1], "behaviour and fit between them speak of every feature"
    both = logit(scored["behavioural"] / 100) + logit(scored["fit"] / 100)
    assert expit(base + both).to_numpy() == pytest.approx(scored["probability"].to_numpy(), abs=1e-6)


def test_scores_are_kept_once(company, scored):
    view = visible(Lake(company).open(), dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("lead_score").filter(lambda rows: rows.model == MODEL))
    assert len(kept) == len(scored) and (kept["valid_until"] > kept["scored_at"]).all()
    told = kept.set_index("lead_id")["composite"].loc[scored["lead_id"]]
    assert told.to_numpy() == pytest.approx(scored["composite"].to_numpy())
    score_leads(company)
    again = visible(Lake(company).open(), dt.datetime.now(dt.UTC))
    assert len(again.frame(again.facts("lead_score").filter(lambda rows: rows.model == MODEL))) == len(kept)


def test_points_add_up_and_are_kept_as_their_own_version(company, scored):
    scheme = usual()
    found = score_by_points(company, scheme)
    assert set(found["lead_id"]) == set(scored["lead_id"])
    weighted = 0.40 * found["engagement"] + 0.35 * found["intent"] + 0.25 * found["fit"]
    assert found["composite"].to_numpy() == pytest.approx(weighted.to_numpy())
    sums = [sum(one["effect"] for one in factors) for factors in found["factors"]]
    assert sums == pytest.approx(found["composite"].tolist())
    beside = scored.set_index("lead_id")["points"].loc[found["lead_id"]]
    assert beside.to_numpy() == pytest.approx(found["composite"].to_numpy())
    view = visible(Lake(company).open(), dt.datetime.now(dt.UTC))
    kept = view.frame(view.facts("lead_score").filter(lambda rows: rows.model == f"points/{scheme.name}"))
    assert set(kept["model_version"]) == {scheme.version} and json.loads(kept["factors"].iloc[0]) is not None


def test_criteria_read_each_kind_of_rule(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "weights: {engagement: 0.5, intent: 0.25, fit: 0.25}\ncriteria:\n"
        "  - {component: engagement, feature: opens, each: 30}\n"
        "  - {component: intent, feature: employees, at_least: {50: 20, 500: 60}}\n"
        "  - {component: fit, feature: source, values: {referral: 40, paid: -10}}\n"
    )
    rows = pd.DataFrame({"opens": [0, 2, 9, 1], "employees": [49, 50, 5000, np.nan], "source": ["referral", "paid", None, "fair"]})
    scores, effects = read_scheme(path).score(rows)
    assert scores["engagement"].tolist() == [0, 60, 100, 30] and scores["intent"].tolist() == [0, 20, 60, 0]
    assert scores["fit"].tolist() == [40, 0, 0, 0], "kept within 0 to 100"
    assert scores["composite"].tolist() == [10, 35, 65, 15] and effects.sum(axis=1).tolist() == [10, 35, 65, 15]
    assert read_scheme(path).name == "mine" and read_scheme(path).version != usual().version


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("engagement: 0.40", "engagement: 0.50"), r"sum to 1"),
        (("feature: engagement_points", "feature: engagement_pints"), r"no feature of leads \(value 'engagement_pints'\). Valid:"),
        (("component: fit, feature: employees", "component: money, feature: employees"), r"number 4: the component is one of"),
        (("at_least: {50: 20", "at_least: {fifty: 20"), r"at_least takes a number"),
        (("source, values", "source, each"), r"each takes a number"),
        (("name: usual points", "title: usual points"), r"name, weights and criteria, nothing else"),
        (("criteria:", "criteria: ["), r"cannot be read"),
    ],
)  # fmt: skip
def test_a_scheme_that_says_nonsense_is_refused_with_the_place(tmp_path: Path, change, told):
    path = tmp_path / "odd.yaml"
    path.write_text(usual().text.replace(*change))
    with pytest.raises(BadInput, match=told) as refused:
        read_scheme(path)
    assert refused.value.file in (path.name, str(path))


def test_without_leads_there_is_nothing_to_learn(workspace: Workspace):
    with pytest.raises(NotEnoughData):
        lead_table(workspace, "2026-01-01")


def test_the_commands_train_score_and_compare_a_scheme(company, trained, tmp_path: Path):
    app = typer.Typer()
    study.register(app)

    def run(*arguments: str):
        return CliRunner().invoke(app, ["score", *arguments], obj=str(company.root), env={"COLUMNS": "200"})

    scored = run("leads")
    assert scored.exit_code == 0 and "chance to convert in 100; table lead_score" in " ".join(scored.output.split())
    path = tmp_path / "flat.yaml"
    path.write_text(usual().text.replace("usual points", "flat").replace("each: 8}", "each: 1}"))
    points = run("leads", "--scheme", str(path))
    assert points.exit_code == 0 and "score: points; table lead_score" in " ".join(points.output.split())
    wrong = run("deals", "--scheme", str(path))
    assert wrong.exit_code != 0 and isinstance(wrong.exception, BadParameter)
    mine = train_leads(company, scheme=read_scheme(path))
    wide = [one.figures.set_index(["model", "metric"])["value"] for one in (trained, mine)]
    assert wide[0]["points", "auc"] != wide[1]["points", "auc"] and wide[0]["CatBoost", "auc"] == wide[1]["CatBoost", "auc"]
