"""The bars of lead scores on real tables, computed afresh: leads without time, out of fold; a phone campaign whose ground moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import shared_data

from salesml.evaluation.prequential import rate_ratio, top_share
from salesml.workflows.study import silent
from salesml.workflows.study_drift import Drifted, Plan, study_drift
from salesml.workflows.study_drift_report import answer
from salesml.workflows.study_drift_series import ADAPTIVE, POINTS, PROVEN, RATE, RECALIBRATED, RECENCY, ROLLING, STATIC
from salesml.workflows.study_folds import OutOfFold, out_of_fold
from salesml.workflows.study_input import read_table
from salesml.workflows.study_points import points_of, table_scheme
from salesml.workflows.study_prepare import Prepared, Question, prepare

pytestmark = pytest.mark.slow
SETS = Path(__file__).resolve().parents[1] / "experiments" / "2026-12_lead_sets"
LISTED = (  # with the data, as filled after contact
    "Tags", "Lead Quality", "Last Activity", "Asymmetrique Activity Index", "Asymmetrique Profile Index", "Asymmetrique Activity Score",
    "Asymmetrique Profile Score",
)  # fmt: skip
AS_LATE = ("Lead Profile", "Last Notable Activity")  # by what they mean
FIRST, DELAY = 4942, 500


def scored(drop: tuple[str, ...]) -> tuple[Prepared, OutOfFold]:
    table = shared_data("x_education_leads") / "Leads.csv.gz"
    prepared = prepare(read_table(table), Question("Converted", "1", "leads", id="Prospect ID", drop=drop))
    return prepared, out_of_fold(prepared, repeats=1, progress=silent)


def beside_points(prepared: Prepared, told: OutOfFold) -> tuple[float, float]:
    """How many times as often the model's best tenth converts as that by points, and the lower end of its interval."""
    points = points_of(table_scheme(SETS / "x_education_points.yaml", prepared.X), prepared.X)
    whole = np.zeros(len(told.y), dtype="int64")
    found = rate_ratio(told.y, top_share(told.p[0], whole), top_share(points, whole), told.entities)
    return found.value, found.lo


def test_leads_without_what_is_listed_as_filled_after_contact() -> None:
    prepared, told = scored(LISTED)
    figures, steady = told.figures(), told.calibration()
    print({name: str(figure) for name, figure in figures.items()}, steady)
    assert figures["auc"].value >= 0.88 and figures["log_loss"].value <= 0.42
    assert steady.ece.value <= steady.bar
    ratio, least = beside_points(prepared, told)
    assert ratio > 1 and least > 1


def test_leads_without_two_more_columns_that_were_as_late() -> None:
    """The stricter reading falls short of an AUC of 0.88 and a log loss of 0.42, by less than the interval is wide."""
    prepared, told = scored((*LISTED, *AS_LATE))
    figures, steady = told.figures(), told.calibration()
    print({name: str(figure) for name, figure in figures.items()}, steady)
    assert figures["auc"].hi >= 0.88 > figures["auc"].value >= 0.87
    assert figures["log_loss"].lo <= 0.42 and figures["log_loss"].value <= 0.43
    assert steady.ece.value <= steady.bar
    ratio, least = beside_points(prepared, told)
    assert ratio > 1 and least > 1


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Drifted:
    table = shared_data("uci_bank_marketing") / "bank-additional-full.csv.gz"
    asked = Question("y", "yes", "bank", drop=("duration",), in_order=True)
    plan = Plan(1000, str(DELAY), FIRST, 20, SETS / "uci_bank_points.yaml")
    return study_drift(table, asked, plan, tmp_path_factory.mktemp("bank"), silent)


def test_the_drift_of_the_campaign_is_told_early(campaign: Drifted) -> None:
    alarms = campaign.alarms
    print(answer(campaign))
    assert alarms.inputs.at is not None and alarms.inputs.at <= 1000
    assert alarms.share.at is not None and alarms.share.at <= len(campaign.y) / 2
    assert alarms.share.rows == alarms.share.at + DELAY
    assert all(one.false.alarms <= 3 for one in alarms.by.values()), "5 % of 20 shuffles, within chance"


def test_recalibration_keeps_up_with_the_campaign(campaign: Drifted) -> None:
    for method in (RECALIBRATED, RECENCY, ROLLING, ADAPTIVE):
        assert campaign.figures.of(method, "ece").value <= 0.03, method
    assert campaign.figures.beside(RECALIBRATED, STATIC, "log_loss").hi < 0


def test_drift_aware_training_surely_beats_static_on_the_campaign(campaign: Drifted) -> None:
    figures = campaign.figures
    for method in (RECENCY, ROLLING):
        assert figures.beside(method, STATIC, "log_loss").hi < 0, method
        assert figures.of(method, "log_loss").value < figures.of(RATE, "log_loss").value


def test_no_ranking_is_claimed_on_the_campaign(campaign: Drifted) -> None:
    static = campaign.figures.of(STATIC, "auc")
    assert 0.47 <= static.value <= 0.56 and not campaign.figures.ranks(STATIC)
    said = answer(campaign)
    for method in (STATIC, RECENCY, ROLLING):
        auc = campaign.figures.of(method, "within_auc")
        claimed = f"{method} {auc}" in said.split("rank better than chance")[-1].split("No skill")[0] and "rank better" in said
        assert claimed == (auc.lo > 0.5), method


def test_the_campaign_is_never_worked_worse_than_by_points(campaign: Drifted) -> None:
    ratio = campaign.figures.beside(PROVEN, POINTS, "top_tenth")
    print(campaign.figures.beside(ADAPTIVE, POINTS, "top_tenth"), ratio)
    assert ratio.value >= 1 and ratio.lo >= 1
    assert campaign.figures.beside(ADAPTIVE, POINTS, "top_tenth").hi > 1
