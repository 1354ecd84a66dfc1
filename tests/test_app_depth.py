"""The deal desk: the story in words, the adjustment beside the model's number, what-ifs, the order of the list."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from deal_stories import DAY
from deal_versions import copied
from test_app import listed, words

from salesml.apps import deals, pipeline, story_words
from salesml.apps.language import CODES, Language
from salesml.apps.pipeline_words import points
from salesml.evaluation.calibration import Calibration
from salesml.evaluation.certificate import Certificate
from salesml.evaluation.metrics import Measured
from salesml.workflows.adjustments import adjust
from salesml.workflows.deal_frames import deal_frames
from salesml.workflows.deals import score_deals
from salesml.workflows.explain_deals import explain_deal
from salesml.workflows.what_if import choices, what_if
from salesml.workspace import Workspace


@pytest.fixture(scope="module")
def company(told_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company scored by a small deal model as of two days a week apart, the later one with an adjustment."""
    made = copied(told_workspace, tmp_path_factory.mktemp("desk") / "company")
    for day in ("2026-04-29", DAY):
        score_deals(made, day, 2)
    deal = deal_frames(made, DAY, 2).now.index[1]
    adjust(made, deal, 0.77, "met their new director", dt.date.today() + dt.timedelta(days=30))
    return made


@pytest.fixture(scope="module")
def app(company: Workspace) -> pipeline.PipelineApp:
    return pipeline.PipelineApp(company)


def test_a_story_tells_what_the_model_was_asked(app, company):
    deal = app.board.deals["opportunity_id"].iloc[0]
    app.choose(deal)
    shown, told = words(app.depth.value), explain_deal(company, deal, DAY, 2)
    english = Language()
    for make in (story_words.score, story_words.change, story_words.likeness, story_words.recommendation):
        assert words(make(english, told)) in shown
    assert f"The chance to win is {english.percent(told.probability)} (90 % interval {english.percent(told.lo)} to" in shown
    for row in told.reasons.itertuples():
        assert f"{points(english, row.points)}." in shown
        assert pd.isna(row.share) or f"{english.percent(row.share)} were won." in shown
    assert f"Of the {told.alike.deals} past deals most like it" in shown
    assert "Half of such" not in shown and "Chance to be won this quarter" in shown and "no certificate" in shown
    assert "Chance to win" in words(app.story.value)


@pytest.mark.parametrize("code", CODES)
def test_a_story_speaks_the_reader_s_language(app, company, code):
    language, deal = Language(code), app.board.deals["opportunity_id"].iloc[0]
    app.read(f"?screen=story&deal={deal}&lang={code}")
    shown, told = words(app.depth.value), explain_deal(company, deal, DAY, 2)
    for make in (story_words.score, story_words.change, story_words.likeness, story_words.recommendation):
        assert words(make(language, told)) in shown
        assert code == "en" or make(language, told) != make(Language(), told)
    assert words(story_words.caution(language)) in words(app.what_if.result.value)
    assert app.what_if.stage.description == language._("Stage") and app.tabs.titles[2] == language._("Deal story")
    if code != "en":
        for english in (told.sentence, told.likeness, told.change_words, "past deals", "Why, in words"):
            assert words(english) not in shown
    app.read("?lang=en")


def test_an_adjustment_stands_beside_the_model_s_own_number(app, company):
    row = app.board.deals[app.board.deals["adjusted"]].iloc[0]
    app.choose(row["opportunity_id"])
    shown = words(app.story.value)
    assert "puts the chance to win at 77%" in shown and "met their new director" in shown
    assert f"The model's own number stays {Language().percent(row['probability'])}" in shown
    app.show.value, app.rows.value = False, 100
    assert "adjusted to 77%" in words(app.list.value)


def test_a_what_if_scores_at_once_and_goes_back(app, company):
    deal = app.board.deals["opportunity_id"].iloc[2]
    app.choose(deal)
    panel, frames = app.what_if, deal_frames(company, DAY, 2)
    assert panel.root.layout.display == "" and "Nothing is changed yet" in panel.result.value
    new = next(stage for stage in choices(frames, "stage") if stage != panel.stage.value)
    panel.stage.value = new
    found = what_if(frames, deal, {"stage": new})
    assert words(story_words.what_if(Language(), found)) in words(panel.result.value)
    assert f"The model would score {Language().percent(found.after['probability'])}" in words(panel.result.value)
    assert "not what would happen" in panel.result.value
    panel.amount.value = panel.amount.value + 5_000
    both = what_if(frames, deal, {"stage": new, "amount": panel.amount.value})
    assert words(story_words.what_if(Language(), both)) in words(panel.result.value)
    panel.back.click()
    assert panel.stage.value == frames.now.loc[deal, "stage"] and "Nothing is changed yet" in panel.result.value


def test_the_list_can_be_ordered_by_the_quarter_and_by_what_moved(app):
    app.show.value, app.rows.value = False, 100
    known = app.board.deals.set_index("opportunity_id")
    amount = known["amount"].astype("float64")
    for by, share in ((deals.QUARTER, known["p_quarter"]), (deals.MOVED, (known["probability"] - known["probability_before"]).abs())):
        app.order.value = by
        worth = (amount * share)[listed(app)].dropna()
        assert len(worth) > 5 and worth.is_monotonic_decreasing
    app.order.value = deals.ATTENTION
    assert listed(app) == list(known.index)


def test_p_win_tells_its_change_and_the_quarter(app):
    app.show.value, app.rows.value, app.order.value = False, 100, deals.ATTENTION
    shown = words(app.list.value)
    assert "since the score before" in shown and "this quarter" in shown


def test_a_version_that_is_not_registered_tells_no_story(app, monkeypatch):
    from salesml.apps import depth

    monkeypatch.setattr(depth, "version_tags", lambda *_: {})
    app.choose(app.board.deals["opportunity_id"].iloc[3])
    assert app.depth.value == "" and app.what_if.root.layout.display == "none"


def test_a_certificate_in_words():
    figures = pd.DataFrame([{"model": "m", "metric": "auc", "value": 0.71, "lo": 0.69, "hi": 0.73}])
    calibration = Calibration(ece=Measured(0.012, 0.0, 0.02), slope=Measured(1.02, 0.9, 1.1), intercept=Measured(0, 0, 0), bar=0.02)
    empty = pd.DataFrame()
    told = Certificate(
        model="m", peers=(), rows=100, entities=42, won=0.4, tested_from="2026-01-05", tested_until="2026-03-02", figures=figures,
        differences=empty, calibration=calibration, by_amount=Measured(1, 1, 1), money=None, reliability=empty, segments=empty,
        before_close=empty, dated=empty,
    )  # fmt: skip
    assert words(story_words.certified(Language(), told)) == (
        "Judged on 42 later deals, 5 Jan 2026 to 2 Mar 2026. Of a won and a lost one the won had the higher chance in 71% of cases "
        "(a coin: 50%). Chances were off by 1.2 points on average per tenth of the scores; calibration slope 1.02 (0.90 to 1.10, ideal 1)."
    )
