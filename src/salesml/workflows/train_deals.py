"""Training the deal model: fit on what was known, compare on later outcomes, certify, register, pass the gate."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from salesml.errors import GateRefused
from salesml.evaluation.calibration import Calibration
from salesml.evaluation.certificate import LEVEL, Certificate, certify
from salesml.evaluation.metrics import Measured
from salesml.features.deals import DEALS
from salesml.models.scorer import Scorer
from salesml.workflows.deals import MODEL, TrainingTable, training_table
from salesml.workflows.fit_deals import BASE, Fitted, fit_deals
from salesml.workflows.fit_deals import MODEL as DEAL_MODEL
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Version

USEFUL_AUC = 0.55
"""Where the AUC is not surely above this, winners cannot be told apart well enough to go by, however surely above 0.5."""
SEGMENTS = ("segment", "region", "type", "source", "product_id", "stage")
EXPLAINED_ROWS = 2_000


@dataclass(frozen=True)
class DealTraining:
    """What a training found out. Figures are on the test block: later snapshots than anything learnt from."""

    as_of: dt.datetime
    settling_days: int
    blocks: pd.DataFrame
    certificate: Certificate
    importance: pd.DataFrame
    baseline: str
    verdict: str
    promoted: bool
    version: Version
    champion: Version
    sentence: str
    run_id: str
    head_id: int

    @property
    def difference(self) -> Measured:
        """Log loss of the deal model minus that of the better baseline, 95 % interval."""
        return self.certificate.against(self.baseline)

    @property
    def calibration(self) -> Calibration:
        """Calibration of the deal model."""
        return self.certificate.calibration


def train_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    seed: int = 0,
    manipulable: bool = True,
) -> DealTraining:
    """Fit, compare on later snapshots, certify, register, and promote what the gate lets pass.

    Compared on the same test rows, each fitted on what was known when the test began: base rate, stage rate, naive Bayes
    and the deal model. What is registered is the same procedure run on everything known as of the cutoff. The better of
    base rate and stage rate is registered too, and is the champion until something better comes. `manipulable` False: the deal
    model goes by nothing that a rep could set at will (stage, amount, close date, call …).
    """
    from salesml.registry import tracking

    table = training_table(workspace, as_of)
    features = DEALS.names if manipulable else DEALS.hard_to_fake
    params = {"as_of": table.cutoff.isoformat(), "settling_days": table.settling_days, "seed": seed}
    params |= {"features": len(features), "manipulable": manipulable}
    with tracking.run(workspace, "deals", params=params, head=table.head) as run:
        fitted = fit_deals(table, seed, features)
        certificate = _certified(workspace, table, fitted)
        _log(run, fitted, certificate)
        tags = {"as_of": table.cutoff.isoformat(), "manipulable": manipulable}
        known, version = _register(workspace, run, table, fitted, certificate, tags)
        verdict, champion, promoted = _promote(workspace, version, known, certificate)
    rates = f"those of version {champion.number} ({champion.kind.replace('_', ' ')})"
    sentence = _sentence(certificate, fitted.baseline, "the deal model's" if promoted else rates, promoted)
    importance = _importance(fitted.final[DEAL_MODEL], fitted.split.test)
    return DealTraining(
        table.cutoff, table.settling_days, fitted.split.summary(), certificate, importance, fitted.baseline, verdict, promoted,
        version, champion, sentence, run.id, table.head.id,
    )  # fmt: skip


def _certified(workspace: Workspace, table: TrainingTable, fitted: Fitted) -> Certificate:
    test = fitted.split.test
    ends = table.lives_at(table.cutoff).set_index("opportunity_id")["closed_at"]
    rows = test.assign(entity=test["opportunity_id"], closed_at=test["opportunity_id"].map(ends))
    days = [
        workspace.local_date(moment.to_pydatetime()).isoformat() for moment in (test["as_of"].min(), test["as_of"].max())
    ]
    cutoff = workspace.local_date(table.cutoff)
    limits = (
        "P(win) is the chance to be won in the end, for deals open on the day; it was judged on weekly snapshots.",
        f"Snapshots younger than {table.settling_days} days, and deals still undecided before {cutoff}, are not in the figures of "
        "P(win); chances by the end of a quarter count them.",
        f"The model in use was fitted again on everything known before {cutoff}, with the settings found before the test.",
        "Factors say what the score goes by, not what would change the outcome.",
    )
    data = {"head": table.head.id, **{name: pin.version for name, pin in table.head.tables.items()}}
    return certify(
        rows, fitted.tested, model=DEAL_MODEL, base=BASE, segments=SEGMENTS, dated=fitted.dated, limits=limits, data=data,
        tested=(days[0], days[1]),
    )  # fmt: skip


def _log(run: Any, fitted: Fitted, certificate: Certificate) -> None:
    from salesml.figures.calibration import reliability_chart

    rows = certificate.figures
    names = rows["model"].str.replace(" ", "_") + "." + rows["metric"]
    run.log_metrics({name: value for name, value in zip(names, rows["value"], strict=True) if np.isfinite(value)})
    run.log_dict({"blocks": fitted.split.summary().astype(str).to_dict("records")}, "blocks.json")
    run.log_figure(reliability_chart(certificate.reliability), "reliability.html")
    with tempfile.TemporaryDirectory() as folder:
        certificate.write(Path(folder))
        run.log_artifacts(folder)


def _register(
    workspace: Workspace, run: Any, table: TrainingTable, fitted: Fitted, certificate: Certificate, tags: dict[str, Any]
) -> tuple[Version, Version]:
    """Register the baseline and the model, both taking the same columns; the model with its certificate."""
    from salesml.registry import catalog
    from salesml.registry.columns import columns_of

    columns, baseline = columns_of(table.X, DEALS.categorical), fitted.baseline

    def register(name: str, **facts: Any) -> Version:
        with tempfile.TemporaryDirectory() as folder:
            fitted.final[name].save(Path(folder))
            if name == DEAL_MODEL:
                certificate.write(Path(folder))
            metrics = {"log_loss": certificate.figure("log_loss", name).value}
            return catalog.register(
                workspace, MODEL, Path(folder), columns=columns, run=run, tags=tags, metrics=metrics, **facts
            )

    return register(baseline, baseline=True), register(DEAL_MODEL, evidence=_evidence(certificate, baseline))


def _evidence(certificate: Certificate, baseline: str) -> Any:
    from salesml.registry.gate import Evidence

    losses = [certificate.figure("log_loss", name).value for name in (DEAL_MODEL, baseline)]
    difference = certificate.against(baseline)
    return Evidence(
        baseline=baseline, n=certificate.rows, positives=round(certificate.won * certificate.rows), log_loss=losses[0],
        baseline_log_loss=losses[1], difference=losses[0] - losses[1], lo=difference.lo, hi=difference.hi,
        calibration_slope=certificate.calibration.slope.value, tested_from=certificate.tested_from,
        tested_until=certificate.tested_until, level=LEVEL, data=certificate.data,
    )  # fmt: skip


def _promote(
    workspace: Workspace, version: Version, baseline: Version, certificate: Certificate
) -> tuple[str, Version, bool]:
    from salesml.registry import catalog
    from salesml.state.users import current_user

    auc = certificate.figure("auc")
    try:
        if auc.lo <= USEFUL_AUC:
            raise GateRefused(f"refused: AUC {auc} is not surely above {USEFUL_AUC}; it is not put to the gate")
        promoted = catalog.promote(workspace, MODEL, version.number, by=current_user(workspace).name)
        return "passed the gate", promoted, True
    except GateRefused as refusal:
        champion = catalog.champion(workspace, MODEL)
        if champion is None or champion.baseline:  # a baseline of older data gives way to one of newer
            champion = catalog.promote(workspace, MODEL, baseline.number, by=current_user(workspace).name)
        return str(refusal), champion, False


def _importance(scorer: Scorer, test: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute effect per feature in log-odds on test rows, the greatest first."""
    sample = test[DEALS.names].sample(min(len(test), EXPLAINED_ROWS), random_state=0)
    effects = scorer.explain(sample)[1].abs().mean()
    return effects.sort_values(ascending=False).rename_axis("feature").reset_index(name="mean_effect")


def _sentence(certificate: Certificate, baseline: str, in_use: str, promoted: bool) -> str:
    auc, d = certificate.figure("auc"), certificate.against(baseline)
    size = f"on {certificate.entities:,} later deals, of whose weekly snapshots {certificate.won:.0%} were won in the end"
    beside = f"log loss {d.value:+.3f} against the {baseline} ({d.lo:+.3f} to {d.hi:+.3f})"
    figures = f"AUC {auc.value:.2f} ({auc.lo:.2f} to {auc.hi:.2f}), {beside}"
    if auc.lo <= USEFUL_AUC:
        return f"There is no usable signal about who wins in this data: {figures}, {size}. Scores are {in_use}."
    if d.hi >= 0:
        return f"The deal model is not surely better than the {baseline}: {figures}, {size}. Scores are {in_use}."
    if not promoted:
        return (
            f"There is signal about who wins, but the gate refused the model: {figures}, {size}. Scores are {in_use}."
        )
    return f"The deal model tells winners apart better than the {baseline}: {figures}, {size}."
