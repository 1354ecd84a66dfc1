"""Whom a treatment changes: found where people differ, denied where they do not, refused where no lot decided; on files and on leads."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from conftest import shared_data
from typer.testing import CliRunner

from salesml.cli import uplift as commands
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.features.leads import LEADS
from salesml.lake import Lake, visible
from salesml.models import uplift as learners
from salesml.models.randomised import balance, filled_with_outcome
from salesml.models.uplift import UpliftModel, crossfitted
from salesml.workflows import uplift as workflow
from salesml.workflows import uplift_arm
from salesml.workflows.uplift import uplift_of_leads, uplift_study
from salesml.workflows.uplift_arm import Asked
from salesml.workflows.uplift_report import figures, write_uplift
from salesml.workspace import Workspace

ASKED = {"treatment": "segment", "control": "none", "outcome": "bought"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, members and resamples: what is tested does not depend on how many."""
    monkeypatch.setitem(learners.TREES, "iterations", 15)
    monkeypatch.setattr(uplift_arm, "MEMBERS", 2)
    monkeypatch.setattr(uplift_arm, "RESAMPLES", 100)


def people(rows: int = 3000, seed: int = 0, women: float = 0.30, men: float = 0.0) -> pd.DataFrame:
    """An experiment by lot: the mail adds so much to women's and men's chance of 0.2; age, town and a gap say nothing of the effect."""
    rng = np.random.default_rng(seed)
    woman, mailed = rng.random(rows) < 0.5, rng.random(rows) < 0.5
    age = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(40, 10, rows).round())
    chance = 0.2 + mailed * np.where(woman, women, men) + 0.05 * (np.nan_to_num(age, nan=40) > 45)
    return pd.DataFrame(
        {
            "sex": np.where(woman, "woman", "man"), "age": age, "town": rng.choice(["North", "South", "East"], rows),
            "segment": np.where(mailed, "mail", "none"), "bought": (rng.random(rows) < chance).astype(int),
        }
    )  # fmt: skip


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Covariates, treated, outcome."""
    return table[["sex", "age", "town"]], table["segment"].eq("mail").to_numpy("float64"), table["bought"].to_numpy("float64")


def test_people_who_differ_are_told_apart_and_their_uplift_is_true_in_size(quick):
    found = uplift_study(people(), **ASKED).arm()
    assert found.people_differ and found.more.lo > 0 and found.alike == 0
    assert found.average.lo < 0.15 < found.average.hi
    assert found.slope.lo < 1 < found.slope.hi and found.gaps_p > 0.01
    assert found.per_treatment.value == pytest.approx(2 * found.more.value)
    told = found.model.predict(pd.DataFrame({"sex": ["woman", "man"], "age": [40.0, 40], "town": ["North", "North"]}))
    assert told[0] == pytest.approx(0.30, abs=0.08) and told[1] == pytest.approx(0.0, abs=0.08)
    policies = found.policies.set_index("policy")
    assert policies.loc["best half", "gain"] > 1.5 * policies.loc["everybody", "gain"] / 2
    assert policies.loc["everybody", ["more", "more_lo", "more_hi"]].tolist() == [0, 0, 0]
    assert "People differ in the effect (p < 0.001)" in found.sentence and "agree with what is observed" in found.sentence


def test_where_people_do_not_differ_it_says_so_and_predicts_the_average(quick):
    found = uplift_study(people(women=0.15, men=0.15), **ASKED).arm()
    assert not found.people_differ and "Nothing shows that people differ" in found.sentence and "agree" not in found.sentence
    assert found.model.alike and found.more.lo <= 0 <= found.more.hi
    X, treated, y = split(people(women=0.15, men=0.15))
    model = UpliftModel.fit(X, treated, y)
    assert np.ptp(model.predict(X)) == 0 and model.predict(X)[0] == model.average
    assert model.average == pytest.approx(0.15, abs=4 * model.average_se)
    lo, hi = model.interval(X[:3], 0.95)
    assert hi - lo == pytest.approx(2 * 1.96 * model.average_se, rel=1e-3)


@pytest.mark.slow
def test_without_differences_at_least_nine_in_ten_models_say_that_all_are_alike(quick):
    alike = [UpliftModel.fit(*split(people(1000, seed, 0.1, 0.1))).alike for seed in range(40)]
    assert sum(alike) >= 34, "9 in 10 of 40, less two standard errors"


def test_the_same_data_give_the_same_model_and_each_row_is_judged_unseen(quick):
    X, treated, y = split(people(1200))
    folds = np.arange(1200) % 3
    told = crossfitted(X, treated, y, folds)
    pd.testing.assert_frame_equal(told, crossfitted(X, treated, y, folds))
    other = np.where(folds == 1, 1 - y, y)  # what happened to fold 1 must not matter to what is said of it
    again = crossfitted(X, treated, other, folds)
    pd.testing.assert_frame_equal(told[folds == 1], again[folds == 1])
    assert not np.allclose(told.loc[folds == 0, "mean_control"], again.loc[folds == 0, "mean_control"])


def test_intervals_widen_with_level_and_hold_the_prediction(quick):
    X, treated, y = split(people(2000))
    model = UpliftModel.fit(X, treated, y, members=3)
    told, (lo, hi), (low, high) = model.predict(X), model.interval(X, 0.5), model.interval(X, 0.95)
    assert len(model.members) == 3 and (low < lo).all() and (lo < told).all() and (told < hi).all() and (hi < high).all()


@pytest.mark.parametrize("shift", [0.0, -50.0])
def test_amounts_and_numbers_below_0_are_outcomes_too(quick, shift):
    table = people(4000, women=0.0)
    rng = np.random.default_rng(1)
    mailed = table["segment"].eq("mail") & table["sex"].eq("woman")
    table["bought"] = np.where(rng.random(4000) < 0.6, rng.gamma(2, 10, 4000) * np.where(mailed, 3, 1), 0.0).round(2) + shift
    found = uplift_study(table, **ASKED).arm()
    assert found.average.lo < 12 < found.average.hi and not found.chance and found.unit == "bought a head"
    assert found.people_differ and found.more.lo > 0


def test_a_lot_passes_and_a_choice_does_not():
    table = people(2000)
    X, treated, _ = split(table)
    good = balance(X, treated)
    assert good.verdict == "random" and good.told_apart.lo < 0.5 < good.told_apart.hi
    rng = np.random.default_rng(2)
    older = (rng.random(2000) < np.where(X["age"] > 45, 0.7, 0.5)).astype(float)
    bad = balance(X, older)
    assert bad.verdict == "not random" and bad.columns["column"].iloc[0] == "age" and bad.columns["difference"].iloc[0] > 0.1
    crossed = (rng.random(2000) < np.where(X["sex"].eq("woman") == (X["town"].eq("North") | X["age"].gt(40)), 0.7, 0.3)).astype(float)
    apart = balance(X, crossed)
    assert apart.verdict == "not random" and apart.told_apart.value > 0.55, "seen by the model, whatever single columns show"


def test_lots_are_called_odd_no_more_often_than_said():
    verdicts = []
    for seed in range(40):
        X, treated, _ = split(people(600, seed))
        verdicts.append(balance(X, treated).verdict)
    assert verdicts.count("not random") == 0 and verdicts.count("odd") <= 6


def test_a_table_where_somebody_chose_is_refused_with_the_column(quick):
    table = people()
    rng = np.random.default_rng(3)
    table["segment"] = np.where(rng.random(3000) < np.where(table["sex"].eq("woman"), 0.65, 0.4), "mail", "none")
    with pytest.raises(BadInput, match=r"mail and none are no groups made by lot.*most in sex, by 0\.4\d standard.*--drop"):
        uplift_study(table, **ASKED)


def test_columns_filled_in_with_the_outcome_are_left_out_unless_kept():
    table = people(3000)
    rng = np.random.default_rng(4)
    y = table["bought"].to_numpy()
    spend = np.where((y == 1) & (rng.random(3000) < 0.5), rng.gamma(2, 50, 3000).round(2), 0.0)
    came, reason = np.where(y == 1, 1, rng.random(3000) < 0.3).astype(int), np.where((y == 0) & (rng.random(3000) < 0.4), "price", None)
    X = table[["sex", "age", "town"]].assign(spend=spend, came=came, reason=reason, strong=y * 3 + rng.normal(0, 1, 3000))
    found = filled_with_outcome(X, y)
    assert set(found) == {"spend", "came", "reason"}
    assert "only where there is an outcome" in found["spend"] and "wherever" in found["came"] and "no outcome" in found["reason"]
    assert filled_with_outcome(table[["sex", "age", "town"]], spend) == {}
    study = workflow.uplift_study
    with pytest.MonkeyPatch.context() as patch:
        seen: list[list[str]] = []
        patch.setattr(workflow, "judge_arm", lambda X, *rest, **more: seen.append(list(X)))
        wide = table.assign(spend=spend, note="the same")
        told = study(wide, **ASKED, drop=["town"])
        study(wide, **ASKED, keep=["spend"])
    assert seen == [["sex", "age"], ["sex", "age", "town", "spend"]]
    assert told.left_out["town"] == "asked for with --drop" and told.left_out["note"] == "always the same" and "spend" in told.left_out


def test_the_order_of_rows_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    seen: list[pd.DataFrame] = []

    def judge(X, treated, y, keys, asked, **_):
        seen.append(X.assign(treated=treated, y=y, key=keys, fold=uplift_arm._folds(keys, 0)).sort_values("key", ignore_index=True))

    monkeypatch.setattr(workflow, "judge_arm", judge)
    table = people(3000).assign(id=[f"P{number}" for number in range(3000)])
    shuffled = table.sample(frac=1, random_state=1)
    for name in ("id", None):
        for rows in (table, shuffled, table[:2000]):
            uplift_study(rows if name else rows.drop(columns="id"), **ASKED, id=name)
    whole, again, part = seen[:3]
    pd.testing.assert_frame_equal(whole, again)
    assert part["fold"].tolist() == whole[whole["key"].isin(part["key"])]["fold"].tolist(), "nor do other rows, where rows have ids"
    pd.testing.assert_frame_equal(seen[3], seen[4])
    sizes = np.bincount(whole["fold"])
    assert len(sizes) == 5 and sizes.min() > 500


def test_each_treatment_stands_against_the_control(quick):
    table = people(3000)
    letter = (table["segment"] == "mail") & (np.arange(3000) % 2 == 0)
    table.loc[letter, "segment"] = "letter"
    table.loc[:9, "segment"] = None
    study = uplift_study(table, **ASKED)
    assert [arm.asked.arm for arm in study.arms] == ["letter", "mail"] and study.arm("mail").counts[1] == study.arm().counts[1]
    assert sum(arm.counts[0] for arm in study.arms) + study.arm().counts[1] == 2990
    assert "10 of 3,000 rows have no segment or no bought" in study.sentence
    with pytest.raises(UnknownName, match="letter, mail"):
        study.arm("post")


@pytest.mark.parametrize(
    ("change", "asked", "error", "told"),
    [
        ({}, {"treatment": "sgment"}, UnknownName, "sgment"),
        ({}, {"control": "nobody"}, UnknownName, "mail, none"),
        ({}, {"drop": ["hat"]}, UnknownName, "hat"),
        ({"bought": "often"}, {}, BadInput, "the outcome is no number"),
        ({"segment": "none"}, {}, NotEnoughData, "nobody was treated"),
        ({"bought": 0}, {}, NotEnoughData, "0 of them with another outcome"),
        ({"id": "P1"}, {"id": "id"}, BadInput, "missing or repeats"),
    ],
)
def test_what_cannot_be_answered_is_refused(quick, change, asked, error, told):
    with pytest.raises(error, match=told):
        uplift_study(people(600).assign(**change), **{**ASKED, **asked})


def test_models_refuse_what_is_no_experiment():
    X, treated, y = split(people(400))
    with pytest.raises(BadInput, match="treated must be 0 or 1"):
        UpliftModel.fit(X, treated + 1, y)
    with pytest.raises(NotEnoughData, match="50 rows are treated"):
        UpliftModel.fit(X, np.r_[np.ones(50), np.zeros(350)], y)


def test_cost_and_worth_decide_where_it_pays(quick):
    table = people(3000)
    policies = uplift_study(table, **ASKED, worth=100, cost=15).arm().policies.set_index("policy")
    assert 0.4 < policies.loc["where it pays", "share"] < 0.6
    assert policies.loc["where it pays", "net"] > policies.loc["everybody", "net"] + 5
    told = policies.loc["best half"]
    assert told["net"] == pytest.approx(100 * told["gain"] - 15 * told["share"])


def test_leads_count_from_the_lot_with_what_was_known_then(tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    seen: dict = {}

    def judge(X, treated, y, keys, asked, **_):
        seen.update(X=X, treated=treated, y=y, keys=keys, asked=asked)
        return seen

    monkeypatch.setattr(workflow, "judge_arm", judge)
    study = uplift_of_leads(tiny_workspace, "2026-03-01", within_days=40)
    tables = Lake(tiny_workspace).open()
    view = visible(tables, "2026-03-01")
    facts = view.frame(view.facts("lead"))
    made = facts[facts["custom"].notna()].set_index("lead_id")
    by_lot = made[made["custom"].map(lambda text: json.loads(text).get("by") == "lot")]
    old = by_lot[by_lot["known_at"] + pd.Timedelta(days=40) < pd.Timestamp("2026-03-01", tz="UTC")]
    assert sorted(seen["keys"]) == sorted(old.index) and 0 < len(old) < len(by_lot) < len(made)
    assert f"{len(by_lot) - len(old)} of {len(by_lot)} leads" in study.notes[0] and study.head_id == tables.head.id
    nurtured = old.loc[seen["keys"], "custom"].map(lambda text: json.loads(text)["nurture"] == "yes")
    assert (nurtured.to_numpy() == (seen["treated"] == 1)).all() and 0.3 < seen["treated"].mean() < 0.7
    became = facts[facts["status"] == "converted"].groupby("lead_id")["known_at"].min().reindex(seen["keys"])
    days = (became - old.loc[seen["keys"], "known_at"]).dt.total_seconds() / 86_400
    assert (seen["y"] == (days <= 40)).all() and 0 < seen["y"].sum() < days.notna().sum()
    place = int(np.flatnonzero(seen["X"].drop(columns="landing_page").notna().all(axis=1))[0])
    one = str(seen["keys"][place])
    arrived = made.loc[one, "known_at"] + dt.timedelta(microseconds=1)
    row = LEADS.frame(visible(tables, pd.DataFrame({"lead_id": [one], "as_of": [arrived]})))
    pd.testing.assert_frame_equal(seen["X"].iloc[[place]].reset_index(drop=True), row[list(seen["X"])], check_dtype=False)
    assert "age_days" in study.left_out and "source" in seen["X"] and seen["asked"] == Asked("nurture", "none", "conversions")


def test_leads_without_a_lot_are_refused(workspace: Workspace, tiny_workspace: Workspace):
    with pytest.raises(NotEnoughData, match="no lead is known for which a lot decided"):
        uplift_of_leads(workspace, "2026-01-01")
    with pytest.raises(BadParameter, match="within_days 0"):
        uplift_of_leads(tiny_workspace, within_days=0)


def test_commands_and_report(quick, tmp_path: Path, workspace: Workspace):
    path = tmp_path / "mailing.csv"
    people(1500).to_csv(path, index=False)
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)

    def run(*arguments: str):
        return CliRunner().invoke(app, ["uplift", *arguments], obj=str(workspace.root), env={"COLUMNS": "250"})

    done = run(str(path), "--treatment", "segment", "--control", "none", "--outcome", "bought", "--drop", "town")
    assert done.exit_code == 0, done.output
    folder = workspace.reports / "uplift" / "mailing_bought"
    told = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (arm,) = told["treatments"]
    assert told["left_out"]["town"] == "asked for with --drop" and arm["people"]["treated"] + arm["people"]["control"] == 1500
    assert arm["sentence"] in done.output and {row["policy"] for row in arm["policies"]} >= {"nobody", "everybody", "best half"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index("mail against none") < page.index("<h1>")
    shown = page[page.index("<main>") :]
    assert not re.search(r"(src|href)=.http", shown) and "<script src" not in page, "nothing is fetched"
    assert len(pd.read_csv(folder / "predictions.csv")) == 1500
    for wrong in (("--treatment", "segment"), (str(path), "--treatment", "segment"), (str(path), "--as-of", "2026-01-01")):
        refused = run(*wrong)
        assert refused.exit_code != 0 and isinstance(refused.exception, BadParameter)


@pytest.mark.slow
def test_leads_of_a_company_are_judged_and_written(quick, tiny_workspace: Workspace, tmp_path: Path):
    study = uplift_of_leads(tiny_workspace)
    arm = study.arm()
    assert arm.check.verdict != "not random" and arm.average.lo < arm.average.hi and arm.asked.outcome in arm.sentence
    assert write_uplift(study, tmp_path / "out").exists()
    assert json.dumps(figures(study), allow_nan=False)


@pytest.fixture(scope="module")
def hillstrom() -> Iterator[pd.DataFrame]:
    """64,000 customers: men's e-mail, women's e-mail or none by lot."""
    yield pd.read_csv(shared_data("hillstrom_email") / "hillstrom.csv.gz")
