"""Train the lead model: compared on later snapshots with what is usual today, registered, and promoted if the gate lets it pass."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from salesml.errors import GateRefused, NotEnoughData
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.calibration import Calibration, calibration, reliability
from salesml.evaluation.metrics import Measured, log_loss, log_loss_difference, measure, top_decile_lift
from salesml.features.leads import LEADS
from salesml.models.deals import Blocks, blocks
from salesml.models.lead_points import Scheme, usual
from salesml.models.logistic import Logistic
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.peers import OdooBayes
from salesml.models.rates import BaseRate, GroupRate
from salesml.workflows import lead_arrivals
from salesml.workflows.lead_arrivals import ArrivalTable, arrival_table
from salesml.workflows.leads import MODEL, LeadTable, lead_table
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.models.scorer import Scorer
    from salesml.registry.catalog import Version

BASE, SOURCE, POINTS, BAYES, LINE, TREES = "base rate", "source rate", "points", "naive Bayes", "logistic regression", "CatBoost"
BY_ROW = (SOURCE, BAYES)
"""Peers that count each entity once with its last row: here each row counts, since a score is asked of every week."""
LEVEL = 0.95
CANDIDATES = (Settings(), Settings(depth=4, learning_rate=0.05, l2=10.0, trees=800), Settings(depth=3, learning_rate=0.03, l2=20.0))
RESAMPLES = 400
POINTS_COLUMN = "points"


@dataclass(frozen=True)
class LeadTraining:
    """What a training found out; figures are on the test block: later snapshots than anything learnt from, resampled by lead.

    figures: one row per model and metric: model, metric, value, lo, hi (90 %). blocks: `Blocks.summary`. more: how many more of the
    leads in the best tenth converted than in the points scheme's best tenth (0.3: 30 % more). reliability: `calibration.reliability` of
    the lead model. importance: feature, mean_effect (log-odds) on the test rows, the strongest first.
    """

    as_of: dt.datetime
    horizon_days: int
    blocks: pd.DataFrame
    figures: pd.DataFrame
    calibration: Calibration
    reliability: pd.DataFrame
    importance: pd.DataFrame
    chosen: str
    baseline: str
    difference: Measured
    more: Measured
    verdict: str
    promoted: bool
    version: Version
    champion: Version
    sentence: str
    run_id: str
    head_id: int


@dataclass(frozen=True)
class Tested:
    """Every model fitted on what was known when the test began, and its probabilities of the test rows (`split.test`)."""

    split: Blocks
    scorers: dict[str, Scorer]
    told: dict[str, np.ndarray] = field(repr=False)
    chosen: str
    baseline: str

    @property
    def y(self) -> np.ndarray:
        return self.split.test["converted"].to_numpy()

    @property
    def leads(self) -> np.ndarray:
        return self.split.test["lead_id"].to_numpy()

    def importance(self, names: list[str]) -> pd.DataFrame:
        """feature, mean_effect (absolute, log-odds) of the lead model on the test rows, the strongest first."""
        _, effects = self.scorers[self.chosen].explain(self.split.test[names])
        mean = effects.abs().mean().sort_values(ascending=False)
        return mean.rename_axis("feature").rename("mean_effect").reset_index()


def train_leads(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    seed: int = 0,
    manipulable: bool = False,
    scheme: Scheme | None = None,
) -> LeadTraining:
    """Fit, compare on later snapshots, register, and promote what the gate lets pass.

    Compared on the same test rows, each fitted on what was known when the test began: base rate, source rate, points by `scheme`
    (default: the usual one; their probability by logistic regression), naive Bayes, logistic regression and CatBoost; of the last two
    the one that did better on the calibration rows is the lead model. What is registered was fitted again with the test rows for
    calibration. The better of base rate and source rate is registered too, and is the champion until something better comes.
    `manipulable`: go also by what a salesperson could set at will (calls made).

    Where the history is too short for snapshots a horizon apart, leads are judged on the day they come instead, week by week
    (`lead_arrivals`), and the lead model is the arrival line. Raises NotEnoughData where that cannot be done either.
    """
    from salesml.registry import tracking

    names = LEADS.names if manipulable else LEADS.hard_to_fake
    trial = _tried(workspace, as_of, within_days, names, seed, scheme)
    table, tested = trial.table, trial.tested
    params = {"as_of": table.cutoff.isoformat(), "horizon_days": trial.horizon_days, "seed": seed, "features": len(trial.names)}
    with tracking.run(workspace, "leads", params=params, head=table.tables.head) as run:
        figures = _figures(tested, seed)
        steady = calibration(tested.y, tested.told[tested.chosen], tested.leads, seed=seed)
        bins = reliability(tested.y, tested.told[tested.chosen], tested.leads)
        beside = tested.told[tested.chosen], tested.told[tested.baseline], tested.leads
        difference = log_loss_difference(tested.y, *beside, level=LEVEL, seed=seed)
        more = _more(tested, seed)
        names_of = figures["model"].str.replace(" ", "_") + "." + figures["metric"]
        told = {**dict(zip(names_of, figures["value"], strict=True)), "more_than_points": more.value}
        run.log_metrics({name: float(value) for name, value in told.items() if np.isfinite(value)})
        known, version = _register(workspace, run, trial, difference, steady)
        verdict, champion, promoted = _promote(workspace, version, known)
    sentence = _sentence(trial, figures, difference, more, promoted)
    return LeadTraining(
        table.cutoff, trial.horizon_days, tested.split.summary(), figures, steady, bins, tested.importance(trial.names), tested.chosen,
        tested.baseline, difference, more, verdict, promoted, version, champion, sentence, run.id, table.tables.head.id,
    )  # fmt: skip


@dataclass(frozen=True)
class _Trial:
    """Every model as tested on a table, the columns the lead model goes by, how to fit a model for use, and what was judged."""

    table: LeadTable | ArrivalTable
    horizon_days: int
    tested: Tested
    names: list[str]
    final: Callable[[str], Scorer]
    of_leads: str


def _tried(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None, within_days: int | None, names: list[str], seed: int,
    scheme: Scheme | None,
) -> _Trial:  # fmt: skip
    """By snapshots, or where they are too few, by leads as they came."""
    try:
        table = lead_table(workspace, as_of, within_days)
        tested = tested_on(table, names, seed, scheme)
    except NotEnoughData as few:
        try:
            return _by_arrival(workspace, as_of, within_days, seed, scheme)
        except NotEnoughData:
            raise few from None
    split, fits = tested.split, _fits(names)
    earlier = pd.concat([split.train, split.calibration], ignore_index=True).sort_values(["as_of", "lead_id"], ignore_index=True)

    def final(name: str) -> Scorer:
        return _fit(fits[name], earlier, split.test, seed, name in BY_ROW)

    return _Trial(table, table.horizon_days, tested, names, final, "of whose weekly snapshots")


def _by_arrival(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None, within_days: int | None, seed: int, scheme: Scheme | None
) -> _Trial:
    table = arrival_table(workspace, as_of)
    found = lead_arrivals.rolled(workspace, table, within_days, seed, scheme)
    test = found.rows["test"].to_numpy()
    before, judged = found.rows[~test].reset_index(drop=True), found.rows[test].reset_index(drop=True)
    earlier = table.before(before["as_of"].min())
    earlier = earlier.assign(converted=table.outcomes(earlier, found.horizon_days).astype("int64"))
    split = Blocks(earlier, before, judged, judged["as_of"].min(), entity="lead_id", outcome="converted")
    y = before["converted"].to_numpy()
    baseline = min((BASE, SOURCE), key=lambda name: (log_loss(y, found.told[name][~test]), name))
    told = {name: p[test] for name, p in found.told.items()}
    tested = Tested(split, found.last, told, lead_arrivals.LINE, baseline)

    def final(name: str) -> Scorer:
        return lead_arrivals.fitted(table, name, found.horizon_days, seed)

    names = [*lead_arrivals.TOLD, lead_arrivals.AGE]
    return _Trial(table, found.horizon_days, tested, names, final, "asked about on the day they came, of whom")


def tested_on(table: LeadTable, names: list[str], seed: int = 0, scheme: Scheme | None = None) -> Tested:
    """Fit everything on what was known before the last part of the snapshots and ask it about that part. Raises NotEnoughData."""
    scheme = scheme or usual()
    rows = table.labelled.assign(**{POINTS_COLUMN: scheme.score(table.labelled)[0]["composite"]})
    split = blocks(rows, entity="lead_id", outcome="converted")
    scorers, told = {}, {}
    for name, fit in _fits(names).items():
        try:
            scorers[name] = _fit(fit, split.train, split.calibration, seed, name in BY_ROW)
        except NotEnoughData:
            if name in (BASE, POINTS):
                raise
            continue
        told[name] = scorers[name].predict(split.test)
    if not {LINE, TREES} & set(told):
        raise NotEnoughData("nothing that is known of leads varies with whether they convert; import their sources or events")
    later, y = split.calibration, split.calibration["converted"].to_numpy()
    loss = {name: log_loss(y, one.predict(later)) for name, one in scorers.items()}
    chosen = min({LINE, TREES} & set(told), key=lambda name: (loss[name], name))
    baseline = min({BASE, SOURCE} & set(told), key=lambda name: (loss[name], name))
    return Tested(split, scorers, told, chosen, baseline)


def _fits(names: list[str]) -> dict[str, tuple[list[str], Callable[..., Any]]]:
    """Each model with the columns it goes by."""
    categorical = [name for name in LEADS.categorical if name in names]
    return {
        BASE: (names, BaseRate.fit),
        SOURCE: (names, partial(GroupRate.fit, column="source")),
        POINTS: ([POINTS_COLUMN], partial(Logistic.fit, categorical=[])),
        BAYES: (names, partial(OdooBayes.fit, stage=None, categorical=categorical)),
        LINE: (names, partial(Logistic.fit, categorical=categorical)),
        TREES: (names, partial(OutcomeModel.fit, categorical=categorical, candidates=CANDIDATES)),
    }


def _fit(how: tuple[list[str], Callable[..., Any]], train: pd.DataFrame, later: pd.DataFrame, seed: int, by_row: bool) -> Scorer:
    names, fit = how
    leads = {} if by_row else {"groups": train["lead_id"].to_numpy(), "calibration_groups": later["lead_id"].to_numpy()}
    made: Scorer = fit(
        train[names], train["converted"].to_numpy(), calibration=(later[names], later["converted"].to_numpy()),
        seed=seed, **leads,
    )  # fmt: skip
    return made


def _figures(tested: Tested, seed: int) -> pd.DataFrame:
    rows = []
    for name, p in tested.told.items():
        for metric, found in measure(tested.y, p, tested.told[BASE], tested.leads, resamples=RESAMPLES, seed=seed).items():
            rows.append((name, metric, found.value, found.lo, found.hi))
    return pd.DataFrame(rows, columns=["model", "metric", "value", "lo", "hi"])


def _more(tested: Tested, seed: int) -> Measured:
    """How many more of the best tenth converted than of the points scheme's best tenth, as a share; 90 % interval by lead."""
    y, mine, points = tested.y, tested.told[tested.chosen], tested.told[POINTS]
    draws = []
    for weights in row_weights(len(y), tested.leads, RESAMPLES, seed):
        drawn = np.repeat(np.arange(len(y)), weights.astype("int64"))
        draws.append(_ratio(top_decile_lift(y[drawn], mine[drawn]), top_decile_lift(y[drawn], points[drawn])))
    return Measured(_ratio(top_decile_lift(y, mine), top_decile_lift(y, points)), *percentile_interval(draws))


def _ratio(mine: float, theirs: float) -> float:
    return mine / theirs - 1 if theirs > 0 else float("nan")


def _register(workspace: Workspace, run: Any, trial: _Trial, difference: Measured, steady: Calibration) -> tuple[Version, Version]:
    """Register baseline and model, fitted again for use."""
    from salesml.registry import catalog
    from salesml.registry.columns import columns_of

    table, tested = trial.table, trial.tested
    columns = columns_of(table.labelled[LEADS.names], LEADS.categorical)
    tags = {"as_of": table.cutoff.isoformat(), "horizon_days": trial.horizon_days}
    loss = {name: log_loss(tested.y, p) for name, p in tested.told.items()}

    def made(name: str, **facts: Any) -> Version:
        with tempfile.TemporaryDirectory() as folder:
            trial.final(name).save(Path(folder))
            return catalog.register(
                workspace, MODEL, Path(folder), columns=columns, run=run, tags=tags, metrics={"log_loss": loss[name]}, **facts
            )

    known = made(tested.baseline, baseline=True)
    return known, made(tested.chosen, evidence=_evidence(workspace, trial, difference, steady))


def _evidence(workspace: Workspace, trial: _Trial, difference: Measured, steady: Calibration) -> Any:
    from salesml.registry.gate import Evidence

    tested = trial.tested
    losses = [log_loss(tested.y, tested.told[name]) for name in (tested.chosen, tested.baseline)]
    as_of = tested.split.test["as_of"]
    days = [workspace.local_date(moment.to_pydatetime()).isoformat() for moment in (as_of.min(), as_of.max())]
    head = trial.table.tables.head
    return Evidence(
        baseline=tested.baseline, n=len(tested.y), positives=int(tested.y.sum()), log_loss=losses[0], baseline_log_loss=losses[1],
        difference=losses[0] - losses[1], lo=difference.lo, hi=difference.hi, calibration_slope=steady.slope.value, tested_from=days[0],
        tested_until=days[1], level=LEVEL, data={"head": head.id, **{name: pin.version for name, pin in head.tables.items()}},
    )  # fmt: skip


def _promote(workspace: Workspace, version: Version, baseline: Version) -> tuple[str, Version, bool]:
    from salesml.registry import catalog
    from salesml.state.users import current_user

    try:
        return "passed the gate", catalog.promote(workspace, MODEL, version.number, by=current_user(workspace).name), True
    except GateRefused as refusal:
        champion = catalog.champion(workspace, MODEL)
        if champion is None or champion.baseline:  # a baseline of older data gives way to one of newer
            champion = catalog.promote(workspace, MODEL, baseline.number, by=current_user(workspace).name)
        return str(refusal), champion, False


def _sentence(trial: _Trial, figures: pd.DataFrame, difference: Measured, more: Measured, promoted: bool) -> str:
    tested = trial.tested
    auc = figures[(figures["model"] == tested.chosen) & (figures["metric"] == "auc")].iloc[0]
    leads, rate = len(np.unique(tested.leads)), tested.y.mean()
    size = f"on {leads:,} later leads, {trial.of_leads} {rate:.1%} converted within {trial.horizon_days} days"
    beside = f"log loss {difference.value:+.4f} against the {tested.baseline} ({difference.lo:+.4f} to {difference.hi:+.4f})"
    told = f"AUC {auc['value']:.2f} ({auc['lo']:.2f} to {auc['hi']:.2f}), {beside}, {size}"
    tenth = f" In its best tenth {more.value:+.0%} convert against the points scheme's best tenth ({more.lo:+.0%} to {more.hi:+.0%})."
    tenth = tenth if np.isfinite(more.value) else " Nobody in the points scheme's best tenth converted."
    if difference.hi >= 0:
        return f"The lead model is not surely better than the {tested.baseline}: {told}. Scores are the {tested.baseline}'s.{tenth}"
    if not promoted:
        return f"There is signal about which leads convert, but the gate refused the model: {told}.{tenth}"
    return f"The lead model tells converters apart better than the {tested.baseline}: {told}.{tenth}"
