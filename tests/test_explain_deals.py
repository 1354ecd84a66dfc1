"""Stories of deals: sums that hold, shares counted again by hand, nothing from the future, words for what is not known."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from deal_stories import DAY
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from salesml.analytics.likeness import alike, association, nearest, slope
from salesml.analytics.reasons import INTERPLAY, RECORDED, TIME, Wording, changes, comparable, in_points, reasons
from salesml.analytics.words import points, stated
from salesml.errors import BadParameter
from salesml.features.deals import DEALS
from salesml.lake import Lake, Tables, visible
from salesml.workflows.advice import STEPS, advice, recommendation
from salesml.workflows.deal_frames import WEEK, DealFrames, deal_frames
from salesml.workflows.explain_deals import explain_deal, tell
from salesml.workspace import Workspace


@pytest.fixture
def company(told_workspace: Workspace) -> Workspace:
    return told_workspace


@pytest.fixture(scope="module")
def frames(told_workspace: Workspace) -> DealFrames:
    return deal_frames(told_workspace, DAY, 2)


def wording(**units: str) -> Wording:
    rows = [{"name": name, "meaning": f"the {name}, in short", "unit": unit} for name, unit in units.items()]
    return Wording(pd.DataFrame(rows), {"P1": "Lamp"}, "EUR")


def past_of(stages: list[str], silence: list[float], won: list[int]) -> pd.DataFrame:
    ids = [f"D{i}" for i in range(len(won))]
    return pd.DataFrame({"opportunity_id": ids, "stage": stages, "days_since_inbound": silence, "won": won})


@given(st.floats(-6, 6), st.lists(st.floats(-3, 3), min_size=1, max_size=8))
def test_points_add_up_and_keep_the_order_of_effects(base, effects):
    given_effects = pd.Series(effects)
    found = in_points(base, given_effects)
    assert found.sum() == pytest.approx(expit(base + given_effects.sum()) - expit(base), abs=1e-9)
    assert (np.sign(found) * np.sign(given_effects) >= 0).all()


def test_a_sentence_tells_the_value_what_is_usual_the_share_and_the_points():
    won = [1] * 9 + [0] * 21 + [1] * 20
    past = past_of(["Offer"] * 30 + ["Talk"] * 20, [10.0] * 30 + [1.0] * 20, won)
    effects = pd.Series({"days_since_inbound": -1.0, "stage": 0.25})
    found = reasons(0.0, effects, {"days_since_inbound": 23.4, "stage": "Offer"}, past, wording(days_since_inbound="days", stage="name"))
    assert found["points"].sum() == pytest.approx(expit(-0.75) - 0.5)
    silence, stage = (plain(text) for text in found["sentence"])
    assert silence == (
        "No reply from the customer for 23 days (usual at this stage: 10 days): −24 points. "
        "Of 30 past deals at this stage with 10 days 30 % were won."
    )
    assert stage == "In stage Offer: +6 points. Of 30 past deals like it 30 % were won."
    assert found["deals"].tolist() == [30, 30] and found["usual"].iloc[0] == 10


def test_no_share_is_told_below_twenty_deals_and_the_rest_is_kept():
    past = past_of(["Offer"] * 19, [10.0] * 19, [1] * 19)
    effects = pd.Series({"days_since_inbound": 0.5, "stage": 0.2, "other": -0.1})
    values = {"days_since_inbound": None, "stage": "Offer", "other": 4.0}
    found = reasons(-1.0, effects, values, past, wording(days_since_inbound="days", stage="name", other=""), most=2)
    assert found["share"].isna().all() and not found["sentence"].str.contains("were won").any()
    assert found["feature"].isna().tolist() == [False, False, True]
    assert found["sentence"].iloc[0].startswith("The customer has started nothing so far: ")
    assert found["effect"].sum() == pytest.approx(effects.sum())
    assert plain(found["sentence"].iloc[2]).startswith("Everything else, 1 weaker factor")


def test_comparable_values_are_a_tenth_on_either_side_with_ties():
    past = pd.DataFrame({"x": [float(n) for n in range(100)] + [np.nan] * 5, "kind": ["a"] * 100 + ["b"] * 5})
    assert comparable(past, "x", 50.0)[0]["x"].tolist() == [float(n) for n in range(40, 61)]
    assert comparable(past, "x", 1e6)[0]["x"].min() == 90.0
    assert len(comparable(past, "x", None)[0]) == 5 and len(comparable(past, "kind", "b")[0]) == 5
    ties = pd.DataFrame({"x": [0.0] * 80 + [1.0] * 20})
    assert len(comparable(ties, "x", 0)[0]) == 80


def test_parts_of_a_change_add_up_and_name_both_values():
    then, idle, now = (pd.Series(e, index=["age", "silence", "size"]) for e in ([0.1, 0.2, 0.3], [0.0, -0.2, 0.3], [0.0, 0.6, 0.2]))
    values = pd.DataFrame({"then": [7, 3, 5], "idle": [14, 10, 5], "now": [14, 1, 5]}, index=then.index)
    found = changes(-0.5, then, idle, now, values, wording(age="days", silence="days", size="currency")).set_index("part")
    assert found["effect"].round(9).to_dict() == {TIME: -0.5, RECORDED: 0.8, INTERPLAY: -0.1}
    assert found["points"].sum() == pytest.approx(expit(-0.5 + now.sum()) - expit(-0.5 + then.sum()))
    assert plain(found.loc[RECORDED, "sentence"]).startswith("The silence: 1 day, not 10 days: +")


def test_nearest_deals_come_once_each_the_latest_of_equals():
    days = pd.to_datetime(["2026-01-05", "2026-01-12", "2026-01-05", "2026-01-05"], utc=True)
    past = pd.DataFrame({"opportunity_id": ["A", "A", "B", "C"], "as_of": days, "won": [1, 1, 0, 1]})
    found = nearest(np.array([0.0, 0.0]), np.array([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0], [9.0, 9.0]]), past, most=2)
    assert found["opportunity_id"].tolist() == ["B", "A"] and found["distance"].tolist() == [1.0, 5.0]
    assert found["as_of"].iloc[1] == days[1]
    assert np.isnan(alike(found).share) and alike(found).deals == 2
    many = alike(pd.DataFrame({"won": [1] * 15 + [0] * 35}))
    assert (many.share, round(many.lo, 3), round(many.hi, 3)) == (0.3, 0.206, 0.415)  # Wilson by hand, z = 1.645


def test_an_association_counts_deals_once_and_holds_what_is_known_equal():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(4000, 1))
    taken = rng.random(4000) < expit(quality[:, 0])
    won = (rng.random(4000) < np.clip(0.4 + 0.1 * quality[:, 0] + 0.05 * taken, 0, 1)).astype(int)
    past = pd.DataFrame({"opportunity_id": [f"D{i}" for i in range(4000)], "won": won})
    found = association(past, taken, np.column_stack([quality, np.zeros(4000)]))
    assert found.deals_with == taken.sum() and found.share_with == pytest.approx(won[taken].mean())
    assert abs(found.difference.estimate - 0.05) < found.difference.hi - found.difference.lo  # within four standard errors
    assert found.share_with - found.share_without > 0.12 > found.difference.estimate, "better deals are not the step"
    twice = pd.concat([past, past], ignore_index=True)
    again = association(twice, np.tile(taken, 2), np.tile(quality, (2, 1)))
    assert (again.deals_with, again.difference.estimate) == (found.deals_with, pytest.approx(slope_of(taken, won, quality)))
    assert again.difference.lo == pytest.approx(association(past, taken, quality).difference.lo), "copies of a deal tell nothing new"
    assert association(past, np.arange(4000) < 19, quality) is None


def slope_of(taken: np.ndarray, won: np.ndarray, covariates: np.ndarray) -> float:
    return slope(taken.astype(float), won.astype(float), covariates, np.arange(len(won))).estimate


def test_a_story_s_numbers_add_up(company, frames):
    X = frames.now[DEALS.names]
    p = frames.scorer.predict(X)
    earlier = DEALS.frame(visible(Lake(company).open(), frames.instant - WEEK)).set_index("opportunity_id")
    with_change = 0
    for place in range(0, len(X), 6):
        story = tell(frames, X.index[place])
        assert story.probability == pytest.approx(p[place], abs=1e-9) and story.lo <= story.probability <= story.hi
        assert story.base + story.reasons["points"].sum() == pytest.approx(p[place], abs=1e-9)
        assert logit(story.base) + story.reasons["effect"].sum() == pytest.approx(logit(p[place]), abs=1e-6)
        if story.change is not None:
            with_change += 1
            before = frames.scorer.predict(earlier.loc[[X.index[place]], DEALS.names])[0]
            moved = logit(p[place]) - logit(before)
            assert story.change.before == pytest.approx(before, abs=1e-9)
            assert story.change.parts["effect"].sum() == pytest.approx(moved, abs=1e-6)
            assert story.change.by_feature[["time", "recorded"]].to_numpy().sum() == pytest.approx(moved, abs=1e-6)
            assert story.change.parts["points"].sum() == pytest.approx(p[place] - before, abs=1e-9)
    assert with_change >= 3


def test_idle_features_are_those_of_a_lake_that_ends_a_week_ago(company, frames):
    tables, then = Lake(company).open(), pd.Timestamp(frames.instant - WEEK)
    names = sorted({name for feature in DEALS.features for name in feature.tables})
    ended = {name: rows.filter(pc.less(rows["known_at"], then)) for name in names if (rows := tables.rows(name)) is not None}
    expected = DEALS.frame(visible(Tables.of(company, ended), frames.instant)).set_index("opportunity_id")
    pd.testing.assert_frame_equal(frames.idle[DEALS.names], expected.loc[frames.idle.index, DEALS.names])
    assert (frames.idle["age_days"] - frames.then.loc[frames.idle.index, "age_days"]).round(6).eq(7).all()


def test_a_story_knows_nothing_of_what_came_after(company, frames):
    tables = Lake(company).open()
    instant = pd.Timestamp(frames.instant)
    ended = {name: (rows := tables.rows(name)).filter(pc.less(rows["known_at"], instant)) for name in tables.head.tables}
    assert sum(rows.num_rows for rows in ended.values()) < sum(tables.rows(name).num_rows for name in tables.head.tables)
    cut = DealFrames(company, Tables.of(company, ended), frames.instant, frames.scorer)
    deal = frames.now.index[4]
    with_future, without = tell(frames, deal), tell(cut, deal)
    assert with_future.reasons["sentence"].tolist() == without.reasons["sentence"].tolist()
    assert with_future.change_words == without.change_words and with_future.recommendation == without.recommendation
    pd.testing.assert_frame_equal(with_future.similar, without.similar)


def test_past_deals_were_decided_before_and_are_counted_right(company, frames):
    past, ends = frames.past, Lake(company).open().rows("opportunity").to_pandas()
    ends = ends[ends["status"].isin(["won", "lost", "no_decision"]) & (ends["known_at"] < pd.Timestamp(frames.instant))]
    last = ends.sort_values(["occurred_at", "known_at"]).groupby("opportunity_id")["status"].last()
    assert len(past) and (past["closed_at"] < pd.Timestamp(frames.instant)).all()
    assert (past["won"] == past["opportunity_id"].map(last).eq("won")).all()
    story = tell(frames, frames.now.index[4])
    assert story.similar["opportunity_id"].is_unique and story.similar["distance"].is_monotonic_increasing
    assert story.alike.won == story.similar["outcome"].eq("won").sum()
    assert (story.similar["days"] >= 0).all()


def test_advice_compares_like_with_like_and_claims_no_effect(frames):
    story_of = {deal: advice(frames, deal) for deal in frames.now.index[:12]}
    told = pd.concat(story_of)
    assert set(told["step"]) <= {step.name for step in STEPS} and (told["evidence"] == "correlational").all()
    overdue = pd.to_datetime(frames.now["close_date"]).dt.tz_localize("UTC") < pd.Timestamp(DAY, tz="UTC")
    for deal, steps in story_of.items():
        assert ("Give the overdue close date a new day" in set(steps["step"])) == overdue[deal]
        first = recommendation(steps)
        assert ("Evidence class: correlational" in first) == (len(steps) > 0 and steps["lo"].iloc[0] > 0)


def test_shares_of_a_step_are_those_counted_by_hand(company, frames):
    deal = next(d for d in frames.now.index if "Meet the customer" in set(advice(frames, d)["step"]))
    row = advice(frames, deal).set_index("step").loc["Meet the customer"]
    past, rows = frames.past, Lake(company).open().rows("activity").to_pandas()
    rows = rows[(rows["known_at"] < pd.Timestamp(frames.instant)) & rows["type"].isin(["meeting", "demo"])]
    rows = rows[~rows["outcome"].fillna("").str.contains("no.show|cancel", case=False)]
    held = rows.groupby("opportunity_id")["occurred_at"].apply(list).to_dict()
    fortnight, sides = pd.Timedelta(days=14), {True: {}, False: {}}
    for one in past.itertuples():
        times = held.get(one.opportunity_id, [])
        lately = any(one.as_of - fortnight <= t < one.as_of for t in times)
        if not lately and one.closed_at - one.as_of >= fortnight:
            met = any(one.as_of <= t < one.as_of + fortnight for t in times)
            sides[met].setdefault(one.stage, {})[one.opportunity_id] = one.won
    stage = frames.now.loc[deal, "stage"]
    here = {met: found.get(stage, {}) for met, found in sides.items()}
    if min(map(len, here.values())) < 20:
        here = {met: {k: v for part in found.values() for k, v in part.items()} for met, found in sides.items()}
    assert min(map(len, here.values())) >= 20, "the tiny company has enough to compare"
    assert (row["deals_with"], row["deals_without"]) == (len(here[True]), len(here[False]))
    assert row["share_with"] == pytest.approx(np.mean(list(here[True].values())))


def test_a_baseline_has_one_factor_and_a_plain_rate_none(company, frames):
    by_stage = explain_deal(company, frames.now.index[0], DAY)
    assert by_stage.baseline and by_stage.kind == "group_rate" and by_stage.timing is None
    assert by_stage.reasons["feature"].dropna().tolist() == ["stage"] and len(by_stage.similar)
    plain_rate = explain_deal(company, by_stage.deal, DAY, model=3)
    assert plain_rate.reasons.empty and plain_rate.similar.empty
    assert plain_rate.probability == pytest.approx(plain_rate.base)
    assert "The score goes by no feature" in plain_rate.likeness


def test_deals_without_a_story_are_named(frames):
    with pytest.raises(BadParameter, match="deal 'D-none' is not known as of 2026-05-06"):
        tell(frames, "D-none")
    closed = frames.states.index[frames.states["status"].eq("won")][0]
    with pytest.raises(BadParameter, match=f"deal '{closed}' is won as of 2026-05-06; only an open deal"):
        tell(frames, closed)


def test_without_decided_deals_the_story_says_so(company):
    view = visible(Lake(company).open(), "2026-05-06")
    first = view.frame(view.facts("opportunity").aggregate(first=view.facts("opportunity").known_at.min()))["first"][0]
    early = (first + pd.Timedelta(days=20)).to_pydatetime()
    made = deal_frames(company, early, 2)
    story = tell(made, made.now.index[0])
    assert made.past.empty and story.similar.empty and story.reasons["share"].isna().all()
    assert "too few" in story.likeness or "no past deal" in story.likeness
    assert story.recommendation.startswith("The records of past deals favour no step")


def test_the_command_tells_the_story(company, frames):
    deal = frames.now.index[0]
    line = [sys.executable, "-m", "salesml.cli", "-w", str(company.root), "explain", "deal", deal, "--as-of", DAY, "--model", "2"]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    story = tell(frames, deal)
    for told in (story.sentence, *story.reasons["sentence"], story.change_words, story.likeness, story.recommendation):
        assert plain(told) in plain(shown)
    assert "P(won this quarter)" in plain(shown)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (points(0.0632), "+6 points"), (points(-0.004), "−0.4 points"), (points(0.0), "0.0 points"), (points(-0.0104), "−1.0 point"),
        (stated("days_to_close_date", "", "days", -3.0, {}, ""), "The close date passed 3 days ago"),
        (stated("close_date_changes", "", "changes", 2, {}, ""), "The close date was moved twice"),
        (stated("competitor_id", "main competitor", "name", None, {}, ""), "No competitor is known"),
        (stated("product_id", "main product", "name", "P1", {"P1": "Lamp"}, ""), "Main product: Lamp"),
        (stated("new_thing", "how new it is; more", "ratio", 1.5, {}, ""), "How new it is: ×1.50"),
    ],
)  # fmt: skip
def test_values_in_words(told, expected):
    assert plain(told) == expected


def plain(shown: str) -> str:
    return re.sub(r"\s+", " ", shown)
