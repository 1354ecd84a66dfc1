"""Drift: what is scored rests on outcomes known by then, alarms come early and seldom falsely, and no ranking is claimed by luck."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from scipy.special import expit, logit
from study_tables import write
from typer.testing import CliRunner

from salesml.errors import BadInput, BadParameter, NotEnoughData, SalesmlError, UnknownName
from salesml.evaluation.drift_watch import FalseAlarms, watch_inputs, watch_outcomes, watch_rate
from salesml.evaluation.metrics import log_loss
from salesml.evaluation.prequential import (
    Step,
    of_steps,
    rate_of,
    rate_ratio,
    steps,
    stretches,
    top_share,
    within_auc,
)
from salesml.models.recency import Memory, chosen, recalibrated, refit_lines, running_rate
from salesml.workflows import study_drift_series
from salesml.workflows.study import silent
from salesml.workflows.study_drift import Drifted, Plan, delay_of, study_drift
from salesml.workflows.study_drift_report import answer, comparison
from salesml.workflows.study_drift_series import (
    ADAPTIVE,
    METHODS,
    POINTS,
    PROVEN,
    RECENCY,
    ROLLING,
    RUNNING,
    STATIC,
    series,
    warm_and_judged,
)
from salesml.workflows.study_points import points_of, table_scheme
from salesml.workflows.study_prepare import Question

ASKED = Question("won", "yes", "drift", in_order=True, drop=("day",))
PLAN = Plan(block=250, delay="100", first=1000, shuffles=2)
SCHEME = """
name: guess
weights: {engagement: 0.4, intent: 0.35, fit: 0.25}
criteria:
  - {component: engagement, feature: size, each: 10}
  - {component: intent, feature: size, at_least: {0: 20, 1: 60}}
  - {component: fit, feature: source, values: {web: 10, fair: 60}}
"""


def leads(rows: int, drift: str, seed: int = 0) -> pd.DataFrame:
    """A simulated ordered table. drift: "none", "flip" (what spoke for a win speaks against it later), "level" (more are won later),
    "chance" (nothing tells anything, but more are won later) or "inputs" (only the columns change, of which none tells anything)."""
    rng = np.random.default_rng(seed)
    late = np.arange(rows) >= 0.45 * rows
    size = rng.normal(size=rows) + (1.0 * late if drift == "inputs" else 0.0)
    other, source = rng.normal(size=rows), rng.choice(["web", "fair", "mail"], rows)
    told = 0.0 if drift in ("chance", "inputs") else 1.3 * size + 0.8 * (source == "fair")
    level = -1.4 + 1.2 * late if drift in ("level", "chance") else -1.4
    p = expit(level + np.where(late, -1, 1) * told if drift == "flip" else level + told)
    won = np.where(rng.random(rows) < p, "yes", "no")
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) // 10, unit="D")
    return pd.DataFrame({"day": day.strftime("%Y-%m-%d"), "size": size, "other": other, "source": source, "won": won})


def run(folder: Path, drift: str, question: Question = ASKED, plan: Plan = PLAN, rows: int = 3500) -> Drifted:
    return study_drift(write(leads(rows, drift), folder / "leads.csv"), question, plan, folder / "out", silent)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Fewer half-lives, windows and penalties to try: what is tested here does not depend on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_drift_series, "LIVES", (0.5, None))
        patch.setattr(study_drift_series, "WINDOWS", (2,))
        patch.setattr(study_drift_series, "PENALTIES", (1.0, 100.0))
        yield


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Drifted:
    folder = tmp_path_factory.mktemp("flip")
    (folder / "points.yaml").write_text(SCHEME, encoding="utf-8")
    return run(folder, "flip", plan=Plan(250, "100", 1000, 2, folder / "points.yaml"))


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory: pytest.TempPathFactory) -> Drifted:
    return run(tmp_path_factory.mktemp("chance"), "chance")


def test_steps_know_what_was_known_half_open() -> None:
    assert steps(10, 4, 2, 2) == (Step(2, 6, 0), Step(6, 10, 4))
    assert steps(11, 4, 2, 0)[-1] == Step(6, 11, 6), "a last block of less than half the size joins the one before"
    days = pd.Series(pd.to_datetime(["2024-01-01"] * 3 + ["2024-01-03"] * 2 + ["2024-01-04"] * 3))
    found = steps(8, 2, 4, pd.Timedelta(days=2), days)
    assert [(step.first, step.stop) for step in found] == [(3, 5), (5, 8)], "rows of one day are not parted"
    assert [step.known for step in found] == [0, 3], "what becomes known at the instant a block begins is not known to it"
    assert of_steps(found).tolist() == [0, 0, 1, 1, 1]


def test_auc_within_blocks_is_that_of_all_pairs_of_a_block() -> None:
    rng = np.random.default_rng(0)
    y, p, block = rng.integers(0, 2, 300).astype(float), rng.integers(0, 9, 300) / 10, np.arange(300) // 75
    pairs = [(p[i], p[j]) for i, j in product(range(300), repeat=2) if block[i] == block[j] and y[i] > y[j]]
    brute = np.mean([(a > b) + (a == b) / 2 for a, b in pairs])
    found = within_auc(y, p, block, np.arange(300) // 10)
    assert found.value == pytest.approx(brute)
    assert found.measured.lo < found.value < found.measured.hi
    moved = within_auc(y, p + block, block, np.arange(300) // 10)
    assert moved.value == found.value and moved.minus(found).hi == 0, "the level of a block does not count"


def test_intervals_are_resampled_by_stretches() -> None:
    assert len(np.unique(stretches(6000, 100))) == 60 and len(np.unique(stretches(6000, 1000))) == 30
    with pytest.raises(NotEnoughData, match="300 are needed"):
        stretches(250, 100)


def test_the_best_share_of_each_block_takes_ties_in_part() -> None:
    p, block = np.array([0.9, 0.5, 0.5, 0.1, 0.1, 0.2, 0.3, 0.4]), np.repeat([0, 1], 4)
    assert top_share(p, block, 0.5).tolist() == [1, 0.5, 0.5, 0, 0, 0, 1, 1]
    y, groups = np.array([1, 1, 0, 0, 0, 0, 1, 0.0]), np.arange(8)
    assert rate_of(y, top_share(p, block, 0.5), groups).value == pytest.approx(2.5 / 4)
    assert rate_ratio(y, top_share(p, block, 0.5), np.ones(8), groups).value == pytest.approx(2.5 / 4 / (3 / 8))


def test_memories_weigh_by_age() -> None:
    assert Memory(2.0).weights(3).tolist() == pytest.approx([0.5, 0.5**0.5, 1.0])
    assert len(Memory(None, 5).weights(9)) == 5 and len(Memory().weights(9)) == 9
    assert len(Memory(1.0).weights(1000)) == 10, "what weighs less than a thousandth is left out"


def test_a_running_rate_follows_the_level_and_lines_forget() -> None:
    y = np.repeat([0.0, 1.0], 500)
    found = steps(1000, 100, 300, 0)
    quick, slow = (expit(running_rate(y, found, Memory(life)))[-1] for life in (50.0, None))
    assert quick > 0.95 and 0.4 < slow < 0.5
    X, y = leads(3000, "flip"), (leads(3000, "flip")["won"] == "yes").to_numpy(float)
    found = steps(3000, 300, 900, 0)
    lines = refit_lines(X[["size", "source"]], y, found, [Memory(150.0), Memory()], ["source"])
    late = slice(-900, None)
    assert log_loss(y[late], expit(lines[0, late])) < log_loss(y[late], expit(lines[1, late])) - 0.1


def test_recalibration_follows_and_few_outcomes_do_not_overshoot() -> None:
    rng = np.random.default_rng(1)
    said = rng.normal(-2, 1, 4000)
    y = (rng.random(4000) < expit(said + 1.0)).astype(float)
    found = steps(4000, 200, 0, 100)
    mended = recalibrated(said, y, found, 800.0)
    assert (mended[:200] == said[:200]).all(), "nothing is known yet"
    assert abs(expit(mended[-1000:]).mean() - y[-1000:].mean()) < 0.03 < abs(expit(said[-1000:]).mean() - y[-1000:].mean())
    right = recalibrated(said, (rng.random(4000) < expit(said)).astype(float), found, 800.0)
    assert np.abs(right - said).mean() < 0.25


def test_a_candidate_is_chosen_by_earlier_known_outcomes_only() -> None:
    y = np.r_[np.zeros(200), np.ones(400)]
    low, high = np.full(600, -2.0), np.full(600, 2.0)
    _, which = chosen(np.array([high, low]), y, steps(600, 100, 0, 100), 50.0)
    assert which.tolist() == [0, 0, 1, 1, 0, 0], "known are 0, 0, 100, 200, 300, 400 outcomes; the last ones count most"


def test_scores_rest_on_outcomes_known_by_then() -> None:
    """Every outcome that a step does not know may be anything: what the step says stays the same, bit for bit."""
    table = leads(2400, "flip")
    X, y = table[["size", "other", "source"]], (table["won"] == "yes").to_numpy(float)
    warm, judged = warm_and_judged(steps(2400, 300, 450, 120), 1050, y)
    points = np.linspace(0, 100, 2400)

    def told(y: np.ndarray) -> dict[str, np.ndarray]:
        return series(X, y, warm, judged, 300, ["source"], 0, silent, points).p

    before = told(y)
    for step in (judged[0], judged[2]):
        after = told(np.r_[y[: step.known], 1 - y[step.known :]])
        seen = slice(0, step.stop - judged[0].first)
        for method in METHODS:
            assert (before[method][seen] == after[method][seen]).all(), method
    assert any((before[method] != after[method]).any() for method in METHODS), "later steps do learn from them"


def test_a_change_of_share_is_told_soon_and_seldom_falsely() -> None:
    rng = np.random.default_rng(0)
    false, waits = 0, []
    for _ in range(200):
        earlier, stream = (rng.random(rows) < 0.1 for rows in (1500, 4000))
        false += watch_rate(earlier, stream).at is not None
        stream[1000:] = rng.random(3000) < 0.2
        waits.append(watch_rate(earlier, stream).at or 9999)
    assert false <= 200 * 0.05 + 6, "at most 5 %, within chance"
    assert 1000 < np.median(waits) < 1600
    with pytest.raises(NotEnoughData, match="all alike"):
        watch_rate(np.zeros(50), np.ones(50))


def test_other_inputs_are_told_soon_and_seldom_falsely() -> None:
    still, moving = leads(2600, "none")[["size", "source"]], leads(2600, "inputs")[["size", "source"]]
    alarms = [
        watch_inputs(mixed.iloc[:1000], mixed.iloc[1000:], ["source"], 100, until_alarm=True).at is not None
        for mixed in (still.sample(frac=1, random_state=seed) for seed in range(30))
    ]
    assert sum(alarms) <= 5
    found = watch_inputs(moving.iloc[:1000], moving.iloc[1000:], ["source"], 100)
    assert found.at is not None and 170 < found.at <= 600, "the change comes 170 rows into the stream"
    assert not found.looks["alarm"].iloc[0] and found.looks["auc"].iloc[-1] > 0.6
    with pytest.raises(NotEnoughData, match="at least 100"):
        watch_inputs(moving.iloc[:50], moving.iloc[50:], ["source"], 100)


def test_scores_that_lose_their_meaning_are_told_by_fifths() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(0, 1.5, 3000)
    promise = (rng.random(1000) < expit(z[:1000])).astype(float), expit(z[:1000])
    right, wrong = ((rng.random(2000) < expit(sign * z[1000:])).astype(float) for sign in (1, -1))
    assert watch_outcomes(right, expit(z[1000:]), promise).at is None
    signal = watch_outcomes(wrong, expit(z[1000:]), promise)
    assert signal.at is not None and signal.at < 200 and signal.strongest == "fifth of the score"


def test_false_alarm_rates_have_intervals() -> None:
    none, some = FalseAlarms(0, 20), FalseAlarms(3, 20)
    assert none.interval[0] == 0 < none.interval[1] < 0.1 and some.interval[0] < some.rate < some.interval[1]


def test_refits_surely_beat_the_static_model_where_what_tells_flips(flipped: Drifted) -> None:
    figures = flipped.figures
    for method in (RECENCY, ROLLING):
        assert figures.beside(method, STATIC, "log_loss").hi < 0 and figures.beside(method, STATIC, "within_auc").lo > 0
        assert figures.ranks(method)
    assert not figures.ranks(STATIC) and "static model 0." in answer(flipped).split("No skill in ranking is claimed of:")[1]
    alarms = flipped.alarms
    late = int(0.45 * 3500) - flipped.steps[0].first
    assert alarms.meaning.at is not None and late < alarms.meaning.at < late + 400
    assert alarms.meaning.rows == alarms.meaning.at + 100, "known 100 rows later"
    assert alarms.inputs.at is None


def test_points_rule_until_they_are_surely_beaten(flipped: Drifted) -> None:
    p, choices = flipped.series.p, flipped.series.choices[PROVEN]
    places = of_steps(flipped.steps)
    for number, method in enumerate(choices):
        assert (p[PROVEN][places == number] == p[method][places == number]).all()
    assert set(choices) <= {POINTS, ADAPTIVE} and choices[-1] == ADAPTIVE, "in the end the flipped points are beaten"
    assert flipped.figures.beside(ADAPTIVE, POINTS, "top_tenth").lo > 1
    assert "times as often as that by points" in answer(flipped)


def test_no_ranking_is_claimed_where_there_is_none(by_chance: Drifted) -> None:
    said = answer(by_chance)
    assert "these rank better than chance" not in said and said.count("No skill in ranking is claimed of:") == 1
    figures = by_chance.figures
    assert by_chance.alarms.share.at is not None and f"by the share of outcomes after {by_chance.alarms.share.at:,}" in said
    assert figures.beside(RUNNING, STATIC, "log_loss").hi < 0, "the level is what there is to know"
    assert figures.of(STATIC, "ece").value > max(figures.bar(STATIC), 2 * figures.of(RUNNING, "ece").value)


def test_the_study_is_written_and_can_be_had_again(by_chance: Drifted) -> None:
    folder = by_chance.folder
    saved = json.loads((folder / "drift.json").read_text(encoding="utf-8"))
    assert saved["answer"] == answer(by_chance) and saved["delay"] == "100" and saved["first_judged_row"] == 1000
    assert {row["metric"] for row in saved["methods"]} >= {"log_loss", "auc", "within_auc", "ece", "top_tenth"}
    rows = pd.read_csv(folder / "predictions.csv")
    assert (rows["row"] == np.arange(1000, 3500)).all() and (rows["known"] <= rows["row"] - 100).all()
    last = by_chance.figures.of(STATIC, "log_loss").value
    assert log_loss(rows["y"], rows[STATIC]) == pytest.approx(last)
    page = (folder / "report.html").read_text(encoding="utf-8")
    body = page[page.index("<body>") :]
    assert body.index(answer(by_chance)[:40]) < body.index("What keeps up") and page.count("Plotly.newPlot(") == 3
    assert "src=" not in body and "@" not in comparison(by_chance)[0]["method"]


def test_dated_rows_wait_for_days(tmp_path: Path) -> None:
    asked = Question("won", "yes", "drift", time="day")
    shuffled = leads(2400, "none").sample(frac=1, random_state=3)
    path = write(shuffled, tmp_path / "leads.csv")
    found = study_drift(path, asked, Plan(300, "7d", 800, 1), tmp_path / "out", silent)
    days = pd.to_datetime(shuffled["day"]).sort_values(ignore_index=True)
    for step in found.steps:
        assert days[step.first - 1] < days[step.first], "rows of one day are not parted"
        assert days[step.known - 1] + pd.Timedelta(days=7) < days[step.first] <= days[step.known] + pd.Timedelta(days=7)


WRONG: list[tuple[dict, dict, type[SalesmlError], str]] = [
    ({"in_order": False}, {}, BadParameter, "give --time COLUMN, or --in-order"),
    ({}, {"delay": "30d"}, BadParameter, "no dates"),
    ({}, {"delay": "soon"}, BadParameter, "neither a number of rows"),
    ({}, {"block": 5}, BadParameter, "--block 5"),
    ({}, {"first": 9000}, BadParameter, "--first 9,000"),
    ({}, {"shuffles": 0}, BadParameter, "--shuffles 0"),
    ({}, {"first": 60}, NotEnoughData, "too few known outcomes"),
    ({"target": "Outcome"}, {}, UnknownName, "'Outcome'"),
    ({"drop": ("size", "other", "source", "day")}, {}, NotEnoughData, "no column is left"),
]


@pytest.mark.parametrize(("asked", "plan", "error", "message"), WRONG)
def test_wrong_questions_are_refused_plainly(asked: dict, plan: dict, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path, "none", Question(**{**vars(ASKED), **asked}), Plan(**{**vars(PLAN), **plan}), rows=1500)
    assert not (tmp_path / "out").exists()


def test_a_delay_is_rows_or_days() -> None:
    assert delay_of("500", False) == 500 and delay_of("30d", True) == pd.Timedelta(days=30)


def test_points_on_a_table_of_ones_own(tmp_path: Path) -> None:
    path, table = tmp_path / "points.yaml", leads(50, "none")
    path.write_text(SCHEME, encoding="utf-8")
    found = points_of(table_scheme(path, table), table)
    first = table.iloc[0]
    engagement, intent = np.clip(10 * first["size"], 0, 100), 60 * (first["size"] >= 1) or 20 * (first["size"] >= 0)
    fit = {"web": 10, "fair": 60}.get(first["source"], 0)
    assert found[0] == pytest.approx(0.4 * engagement + 0.35 * intent + 0.25 * fit)
    for old, new, error, message in (
        ("feature: source", "feature: colour", UnknownName, "'colour'"),
        ("values: {web: 10, fair: 60}", "each: 3", BadInput, "text, which takes values"),
        ("each: 10", "values: {a: 1}", BadInput, "numbers, which take each or at_least"),
        ("intent: 0.35", "intent: 0.5", BadInput, "sum to 1"),
        ("component: fit", "component: charm", BadInput, "a criterion has component"),
        ("criteria:", "rules:", BadInput, "no points scheme"),
    ):
        path.write_text(SCHEME.replace(old, new), encoding="utf-8")
        with pytest.raises(error, match=message):
            table_scheme(path, table)


def test_the_command_answers(tmp_path: Path) -> None:
    from salesml.cli import drift, study

    app = typer.Typer()
    study.register(app)
    drift.register(app)
    path = write(leads(1600, "level"), tmp_path / "leads.csv")
    options = ["--target", "won", "--positive", "yes", "--time", "day", "--delay", "10d", "--block", "200", "--first", "600"]
    told = CliRunner().invoke(app, ["study", "drift", str(path), *options, "--shuffles", "1", "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    assert "Refits:" in told.output and "report:" in told.output
    assert (tmp_path / "out" / "report.html").exists()


def test_logits_and_probabilities_agree_at_the_edges() -> None:
    from salesml.models.recency import probabilities

    assert probabilities(np.array([-1e3, 0.0, 1e3])).tolist() == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert np.isfinite(logit(probabilities(np.array([-1e3, 1e3])))).all()
