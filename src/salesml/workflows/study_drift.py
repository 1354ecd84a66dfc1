"""One ordered table, one question: does what was learnt early still hold later, when was it told, and what keeps up with it?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, NotEnoughData
from salesml.evaluation.drift import FEWEST_ROWS, Signal, moved
from salesml.evaluation.drift_watch import (
    FalseAlarms,
    InputWatch,
    RateWatch,
    false_alarms,
    watch_inputs,
    watch_outcomes,
    watch_rate,
)
from salesml.evaluation.leak_screen import screen
from salesml.evaluation.prequential import Step, of_steps, steps, stretches
from salesml.models.columns import infer_categorical
from salesml.models.scorer import Scorer
from salesml.workflows.study_drift_figures import Figures, judged_figures
from salesml.workflows.study_drift_series import Series, fit_static, series, warm_and_judged
from salesml.workflows.study_input import Sheet, read_table
from salesml.workflows.study_models import Progress
from salesml.workflows.study_points import points_of, table_scheme
from salesml.workflows.study_prepare import Prepared, Question, prepare

FIRST_SHARE = 0.2
LOOKS_A_BLOCK = 4
MOST_COMPARED = 2000


@dataclass(frozen=True)
class Plan:
    """How the rows are gone through: judged in blocks of `block` rows from row `first` on (None: a fifth of all), outcomes known
    `delay` later (rows, or days such as "30d" where rows are dated), false alarms counted on `shuffles` random orders; `points` is a scheme
    (YAML) on the table's columns to stand beside."""

    block: int
    delay: str
    first: int | None = None
    shuffles: int = 20
    points: Path | None = None


@dataclass(frozen=True)
class Told:
    """One watch: after how many outcomes (inputs: rows) of the judged rows it alarmed, `at`, and how many of them had come by then, `rows`
    (None: never); and its false alarms on random orders of the same rows."""

    at: int | None
    rows: int | None
    false: FalseAlarms


@dataclass(frozen=True)
class Alarms:
    """When drift was told: by the inputs, by the share of outcomes, and by what the static model's scores mean.

    `moved`: the columns that differ between the first rows and the newest at the alarm by inputs (at the end where there was none), see
    `evaluation.drift.moved`.
    """

    inputs: Told
    share: Told
    meaning: Told
    looks: InputWatch = field(repr=False)
    rate: RateWatch = field(repr=False)
    signal: Signal = field(repr=False)
    moved: pd.DataFrame = field(repr=False)

    @property
    def by(self) -> dict[str, Told]:
        """The watches by what they look at."""
        return {"inputs": self.inputs, "the share of outcomes": self.share, "the meaning of scores": self.meaning}


@dataclass(frozen=True)
class Drifted:
    """Everything the study found; `figures` are on rows from `steps[0].first` on, each scored before its outcome was known."""

    question: Question
    plan: Plan
    sheet: Sheet
    prepared: Prepared
    order: np.ndarray
    steps: tuple[Step, ...]
    series: Series
    figures: Figures
    alarms: Alarms
    folder: Path

    @property
    def y(self) -> np.ndarray:
        """Outcomes of the judged rows, in time order."""
        return self.prepared.y[self.order][self.steps[0].first :]


def study_drift(path: Path, question: Question, plan: Plan, folder: Path, progress: Progress) -> Drifted:
    """Go through the table in time order, test before train, and write report.html, drift.json, blocks.csv, predictions.csv.

    The question orders its rows by `time` or says `in_order`. Columns that the leak screen strongly suspects among the first rows are
    left out unless kept. Raises BadInput, UnknownName, BadParameter or NotEnoughData before anything is written.
    """
    from salesml.workflows.study_drift_report import write

    with progress(f"reading {path.name}"):
        sheet = read_table(path)
        prepared = prepare(sheet, question)
    if prepared.times is None:
        raise BadParameter("rows need an order: give --time COLUMN, or --in-order where the file has it already")
    order = np.argsort(prepared.times.to_numpy(), kind="stable")
    y, times = prepared.y[order], prepared.times.iloc[order].reset_index(drop=True)
    delay = delay_of(plan.delay, prepared.recipe.time_holds is not None and prepared.recipe.time_holds.kind == "date")
    first, found = _steps(plan, delay, times)
    warm, judged = warm_and_judged(found, first, y)
    points = points_of(table_scheme(plan.points, prepared.X), prepared.X)[order] if plan.points else None
    with progress(f"screening {len(prepared.X.columns)} columns for leaks"):
        prepared = _without_suspects(prepared, question, order[: judged[0].known])
    X = prepared.X.iloc[order].reset_index(drop=True)
    if not len(X.columns):
        raise NotEnoughData("no column is left to learn from.")
    categorical = infer_categorical(X)
    told = series(X, y, warm, judged, plan.block, categorical, question.seed, progress, points)
    with progress("watching inputs and outcomes for drift"):
        arrived = partial(_arrived, first=judged[0].first, delay=delay, times=times)
        alarms = _alarms(X, y, judged[0], told, plan, categorical, arrived, question.seed)
    with progress(f"judging {len(told.p)} methods on {judged[-1].stop - judged[0].first:,} later rows"):
        groups = stretches(judged[-1].stop - judged[0].first, plan.block)
        figures = judged_figures(y[judged[0].first :], told, judged, of_steps(judged), groups, question.seed)
    drifted = Drifted(question, plan, sheet, prepared, order, tuple(judged), told, figures, alarms, folder)
    with progress("writing the report"):
        write(drifted)
    return drifted


def _steps(plan: Plan, delay: int | pd.Timedelta, times: pd.Series) -> tuple[int, tuple[Step, ...]]:
    """The first judged row, and steps from half-way before it to the end."""
    rows = len(times)
    first = int(FIRST_SHARE * rows) if plan.first is None else plan.first
    if not 10 <= plan.block <= rows // 4:
        raise BadParameter(f"--block {plan.block:,} is not between 10 and a quarter of the {rows:,} rows")
    if not 0 < first < rows:
        raise BadParameter(f"--first {first:,} is not between 1 and the {rows:,} rows")
    if plan.shuffles < 1:
        raise BadParameter(f"--shuffles {plan.shuffles} is not 1 or more")
    warm_blocks = max(1, first // (2 * plan.block))
    found = steps(rows, plan.block, max(1, first - warm_blocks * plan.block), delay, times)
    first = next((step.first for step in found if step.first >= first), rows)
    return first, found


def delay_of(text: str, dated: bool) -> int | pd.Timedelta:
    """How late outcomes are known: "500" rows, or "30d" days where rows are dated. Raises BadParameter."""
    match = re.fullmatch(r"(\d+)(d?)", text.strip())
    if not match:
        raise BadParameter(f"--delay {text!r} is neither a number of rows (500) nor of days (30d)")
    if match[2] and not dated:
        raise BadParameter(f"--delay {text!r} is in days, and the rows have no dates; give a number of rows, or a date column as --time")
    return pd.Timedelta(days=int(match[1])) if match[2] else int(match[1])


def _without_suspects(prepared: Prepared, question: Question, rows: np.ndarray) -> Prepared:
    """The table without columns that the first rows strongly suspect of a leak."""
    days = {name: values[rows] for name, values in prepared.days_after().items()}
    screened = screen(prepared.X.iloc[rows], prepared.y[rows], days_after=days, entities=prepared.entities[rows], seed=question.seed)
    reasons = screened.columns.set_index("column")["reason"]
    suspects = {name: f"suspected leak: {reasons[name]}" for name in screened.flagged("strong") if name not in question.keep}
    X = prepared.X.drop(columns=list(suspects))
    notes = [
        f"{row.column} is unusually telling alone ({row.reason}); is it known only with the outcome?"
        for row in screened.columns[screened.columns["verdict"] == "moderate"].itertuples()
        if row.column not in question.keep
    ]
    recipe = prepared.recipe.only(list(X.columns))
    return replace(prepared, X=X, recipe=recipe, left_out={**prepared.left_out, **suspects}, notes=(*prepared.notes, *notes))


def _alarms(
    X: pd.DataFrame, y: np.ndarray, begin: Step, told: Series, plan: Plan, categorical: Sequence[str],
    arrived: Callable[[int | None], int | None], seed: int,
) -> Alarms:  # fmt: skip
    """Watch the rows after the first; then again in random orders, with a line fitted anew to what comes first there."""
    first, static = begin.first, told.static
    look, unseen = max(FEWEST_ROWS, plan.block // LOOKS_A_BLOCK), slice(static.cut, static.known)

    def watched(X: pd.DataFrame, y: np.ndarray, scorer: Scorer, once: bool) -> tuple[InputWatch, RateWatch, Signal]:
        promise = y[unseen], scorer.predict(X.iloc[unseen])
        looks = watch_inputs(X.iloc[:first], X.iloc[first:], categorical, look, seed=seed, until_alarm=once)
        return looks, watch_rate(y[:first], y[first:]), watch_outcomes(y[first:], scorer.predict(X.iloc[first:]), promise)

    def shuffled(rng: np.random.Generator) -> list[bool]:
        mixed = rng.permutation(len(X))
        rows, outcomes = X.iloc[mixed].reset_index(drop=True), y[mixed]
        looks, rate, signal = watched(rows, outcomes, fit_static(rows, outcomes, begin.known, categorical, seed, trees=False).scorer, True)
        return [looks.at is not None, rate.at is not None, signal.alarm]

    looks, rate, signal = watched(X, y, static.scorer, False)
    false = false_alarms(shuffled, plan.shuffles, seed)
    at = len(X) - first if looks.at is None else looks.at
    newest = X.iloc[max(first, first + at - plan.block) : first + at]
    drawn = X.iloc[:first].sample(min(first, MOST_COMPARED), random_state=seed)
    meaning = None if signal.at is None else signal.at + 1
    return Alarms(
        Told(looks.at, looks.at, false[0]), Told(rate.at, arrived(rate.at), false[1]), Told(meaning, arrived(meaning), false[2]),
        looks, rate, signal, moved(drawn, newest, categorical, seed=seed),
    )  # fmt: skip


def _arrived(at: int | None, first: int, delay: int | pd.Timedelta, times: pd.Series) -> int | None:
    """How many judged rows had come when the `at`-th outcome among them was known."""
    if at is None:
        return None
    if isinstance(delay, pd.Timedelta):
        return int(times.searchsorted(times.iloc[first + at - 1] + delay, side="right")) - first
    return min(at + delay, len(times) - first)
