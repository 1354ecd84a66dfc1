"""Training the deal model: fit on early deals, calibrate on later ones, compare on still later ones, register, pass the gate."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from salesml.errors import GateRefused
from salesml.evaluation.calibration import Calibration, calibration, reliability
from salesml.evaluation.metrics import Measured, log_loss, log_loss_difference, measure
from salesml.features.deals import DEALS
from salesml.models.deals import Blocks, blocks
from salesml.models.scorer import Scorer
from salesml.workflows.deals import MODEL, TrainingTable, training_table
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Version

LEVEL = 0.95
CLEAR_AUC = 0.6
"""Where the AUC is surely above this, winners can be told apart, though a plain rate may do it as well."""
CANDIDATES: tuple[dict[str, Any], ...] = (
    {"depth": 4, "learning_rate": 0.04, "l2": 5.0},
    {"depth": 4, "learning_rate": 0.04, "l2": 50.0},
    {"depth": 6, "learning_rate": 0.08, "l2": 5.0},
)
"""Tree settings tried on the last part of the training block; a deal's snapshots are alike, so shallow trees come first."""


@dataclass(frozen=True)
class DealTraining:
    """What a training found out. Figures are on the test block: later snapshots than anything learnt from."""

    as_of: dt.datetime
    settling_days: int
    blocks: pd.DataFrame
    comparison: pd.DataFrame
    difference: Measured
    calibration: Calibration
    reliability: pd.DataFrame
    importance: pd.DataFrame
    baseline: str
    verdict: str
    promoted: bool
    version: Version
    champion: Version
    sentence: str
    run_id: str
    head_id: int


def train_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    seed: int = 0,
) -> DealTraining:
    """Train on early deals, calibrate on later ones, compare on later snapshots, register, and promote what the gate lets pass.

    Compared on the same test rows: base rate, stage rate, CatBoost. The better baseline of the calibration block is
    registered too, and is the champion until something better comes.
    """
    from salesml.registry import tracking

    table = training_table(workspace, as_of, within_days)
    split = blocks(table.labelled)
    params = {"as_of": table.cutoff.isoformat(), "within_days": within_days, "settling_days": table.settling_days}
    with tracking.run(
        workspace, "deals", params={**params, "seed": seed, "features": len(DEALS.names)}, head=table.head
    ) as run:
        scorers = fit_scorers(split, seed)
        baseline = _better_baseline(scorers, split)
        found = _compare(scorers, split, baseline)
        _log(run, split, found)
        known, version = _register(workspace, run, table, split, scorers, baseline, found, within_days)
        verdict, champion, promoted = _promote(workspace, version, known)
    rates = f"those of version {champion.number} ({champion.kind.replace('_', ' ')})"
    sentence = _sentence(found, baseline, within_days, "the deal model's" if promoted else rates, promoted)
    return DealTraining(
        table.cutoff, table.settling_days, split.summary(), found["comparison"], found["difference"], found["calibration"],
        found["reliability"], _importance(scorers["CatBoost"], split.test), baseline, verdict, promoted, version, champion,
        sentence, run.id, table.head.id,
    )  # fmt: skip


def fit_scorers(split: Blocks, seed: int) -> dict[str, Scorer]:
    """The models that are compared, fitted on the training block and calibrated on the next: base rate, stage rate, CatBoost."""
    from salesml.models.outcome import OutcomeModel, Settings
    from salesml.models.rates import BaseRate, GroupRate

    known: dict[str, Any] = {
        "calibration": (split.calibration[DEALS.names], split.calibration["won"].to_numpy()),
        "groups": split.train["opportunity_id"].to_numpy(),
        "calibration_groups": split.calibration["opportunity_id"].to_numpy(),
        "seed": seed,
    }
    X, y = split.train[DEALS.names], split.train["won"].to_numpy()
    fitted: dict[str, Any] = {
        "base rate": BaseRate.fit(X, y, **known),
        "stage rate": GroupRate.fit(X, y, column="stage", **known),
        "CatBoost": OutcomeModel.fit(
            X, y, categorical=DEALS.categorical, candidates=[Settings(**chosen) for chosen in CANDIDATES], **known
        ),
    }
    return fitted


def _better_baseline(scorers: dict[str, Scorer], split: Blocks) -> str:
    y = split.calibration["won"].to_numpy()
    losses = {
        name: log_loss(y, scorers[name].predict(split.calibration[DEALS.names])) for name in ("base rate", "stage rate")
    }
    return min(losses, key=lambda name: losses[name])


def _compare(scorers: dict[str, Scorer], split: Blocks, baseline: str) -> dict[str, Any]:
    y, groups = split.test["won"].to_numpy(), split.test["opportunity_id"].to_numpy()
    p = {name: scorer.predict(split.test[DEALS.names]) for name, scorer in scorers.items()}
    rows = []
    for name, predicted in p.items():
        figures = measure(y, predicted, p["base rate"], groups)
        rows += [{"model": name, "metric": metric, **vars(figure)} for metric, figure in figures.items()]
    return {
        "comparison": pd.DataFrame(rows),
        "losses": {name: log_loss(y, predicted) for name, predicted in p.items()},
        "difference": log_loss_difference(y, p["CatBoost"], p[baseline], groups, level=LEVEL),
        "calibration": calibration(y, p["CatBoost"], groups),
        "reliability": reliability(y, p["CatBoost"]),
        "auc": next(r for r in rows if r["model"] == "CatBoost" and r["metric"] == "auc"),
        "base": float(y.mean()),
        "deals": len(set(groups)),
    }


def _flat(comparison: pd.DataFrame) -> dict[str, float]:
    names = comparison["model"].str.replace(" ", "_").str.lower() + "." + comparison["metric"]
    return {name: value for name, value in zip(names, comparison["value"], strict=True) if np.isfinite(value)}


def _log(run: Any, split: Blocks, found: dict[str, Any]) -> None:
    from salesml.figures.calibration import reliability_chart

    run.log_metrics(_flat(found["comparison"]))
    run.log_dict({"blocks": split.summary().astype(str).to_dict("records")}, "blocks.json")
    run.log_figure(reliability_chart(found["reliability"]), "reliability.html")


def _register(
    workspace: Workspace,
    run: Any,
    table: TrainingTable,
    split: Blocks,
    scorers: dict[str, Scorer],
    baseline: str,
    found: dict[str, Any],
    within_days: int | None,
) -> tuple[Version, Version]:
    """Register the baseline and the model, both taking the same columns; the model with its evidence."""
    from salesml.registry import catalog
    from salesml.registry.columns import columns_of

    columns = columns_of(table.X, DEALS.categorical)
    tags = {"within_days": within_days or 0, "as_of": table.cutoff.isoformat()}

    def register(name: str, **facts: Any) -> Version:
        with tempfile.TemporaryDirectory() as folder:
            scorers[name].save(Path(folder))
            metrics = {"log_loss": found["losses"][name]}
            return catalog.register(
                workspace, MODEL, Path(folder), columns=columns, run=run, tags=tags, metrics=metrics, **facts
            )

    known = register(baseline, baseline=True)
    return known, register("CatBoost", evidence=_evidence(found, split, baseline, table, workspace))


def _evidence(found: dict[str, Any], split: Blocks, baseline: str, table: TrainingTable, workspace: Workspace) -> Any:
    from salesml.registry.gate import Evidence

    days = [
        workspace.local_date(moment.to_pydatetime()).isoformat()
        for moment in (split.test["as_of"].min(), split.test["as_of"].max())
    ]
    return Evidence(
        baseline=baseline, n=len(split.test), positives=int(split.test["won"].sum()),
        log_loss=found["losses"]["CatBoost"], baseline_log_loss=found["losses"][baseline],
        difference=found["losses"]["CatBoost"] - found["losses"][baseline],
        lo=found["difference"].lo, hi=found["difference"].hi, calibration_slope=found["calibration"].slope.value,
        tested_from=days[0], tested_until=days[1], level=LEVEL,
        data={"head": table.head.id, **{name: pin.version for name, pin in table.head.tables.items()}},
    )  # fmt: skip


def _promote(workspace: Workspace, version: Version, baseline: Version) -> tuple[str, Version, bool]:
    from salesml.registry import catalog
    from salesml.state.users import current_user

    try:
        promoted = catalog.promote(workspace, MODEL, version.number, by=current_user(workspace).name)
        return "passed the gate", promoted, True
    except GateRefused as refusal:
        champion = catalog.champion(workspace, MODEL)
        if champion is None or champion.baseline:  # a baseline of older data gives way to one of newer
            champion = catalog.promote(workspace, MODEL, baseline.number, by=current_user(workspace).name)
        return str(refusal), champion, False


def _importance(scorer: Scorer, test: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute effect per feature in log-odds on test rows, the greatest first."""
    effects = scorer.explain(test[DEALS.names].head(5_000))[1].abs().mean()
    return effects.sort_values(ascending=False).rename_axis("feature").reset_index(name="mean_effect")


def _sentence(found: dict[str, Any], baseline: str, within: int | None, in_use: str, promoted: bool) -> str:
    auc, d = found["auc"], found["difference"]
    won = f"won within {within} days" if within else "won in the end"
    size = f"on {found['deals']:,} later deals, of whose weekly snapshots {found['base']:.0%} were {won}"
    beside = f"log loss {d.value:+.3f} against the {baseline} ({d.lo:+.3f} to {d.hi:+.3f})"
    figures = f"AUC {auc['value']:.2f} ({auc['lo']:.2f} to {auc['hi']:.2f}), {beside}"
    if d.hi >= 0 and auc["lo"] > CLEAR_AUC:
        return f"The deal model is not surely better than the {baseline}: {figures}, {size}. Scores are {in_use}."
    if d.hi >= 0:
        return f"There is no usable signal about who wins in this data: {figures}, {size}. Scores are {in_use}."
    if not promoted:
        return (
            f"There is signal about who wins, but the gate refused the model: {figures}, {size}. Scores are {in_use}."
        )
    return f"The deal model tells winners apart better than the {baseline}: {figures}, {size}."
