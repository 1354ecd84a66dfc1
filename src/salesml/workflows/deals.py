"""Deals: the training table, training with a comparison on later deals, and scoring the open ones."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import logit

from salesml.errors import BadParameter, GateRefused, NotEnoughData
from salesml.evaluation.calibration import Calibration, calibration, reliability
from salesml.evaluation.metrics import Measured, log_loss, log_loss_difference, measure
from salesml.features.deals import DEALS
from salesml.features.spines import deal_lives, weekly_spine
from salesml.lake import Lake, Tables, visible
from salesml.models.deals import Blocks, blocks, label, settling_days
from salesml.models.scorer import Scorer
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered, Version

MODEL = "deal_outcome"
LEVEL = 0.95
SHOWN_FACTORS = 8
CANDIDATES: tuple[dict[str, Any], ...] = (
    {"depth": 4, "learning_rate": 0.04, "l2": 5.0},
    {"depth": 4, "learning_rate": 0.04, "l2": 50.0},
    {"depth": 6, "learning_rate": 0.08, "l2": 5.0},
)
"""Tree settings tried on the last part of the training block; a deal's snapshots are alike, so shallow trees come first."""


@dataclass(frozen=True)
class TrainingTable:
    """Snapshots of open deals with known outcomes. `X`, `y`, `as_of` and `groups` (deal ids) have the same rows, in time order."""

    X: pd.DataFrame
    y: pd.Series
    as_of: pd.Series
    groups: pd.Series
    settling_days: int
    labelled: pd.DataFrame = field(repr=False)
    head: Any = field(repr=False)


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


def latest_as_of(workspace: Workspace, tables: Tables | None = None) -> dt.datetime:
    """The start of the day after the last fact became known, in the workspace's time zone: everything is visible."""
    tables = tables or Lake(workspace).open()
    last = tables.last_known_at()
    if last is None:
        raise NotEnoughData("the lake is empty. Fill it with: salesml import NAME PATH, or salesml demo")
    return workspace.instant(workspace.local_date(last) + dt.timedelta(days=1))


def training_table(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, within_days: int | None = None
) -> TrainingTable:
    """Weekly snapshots of open deals and whether they were won eventually (or within so many days), all known before as_of.

    Grain: one row per deal and week while open, for snapshots older than the time in which 90 % of deals settle (than
    `within_days` where given).
    """
    tables = Lake(workspace).open()
    cutoff = workspace.instant(as_of) if as_of is not None else latest_as_of(workspace, tables)
    view = visible(tables, cutoff)
    lives = view.frame(deal_lives(view))
    if lives.empty:
        raise NotEnoughData(f"no deal is known as of {cutoff:%Y-%m-%d}; import deals, or choose a later day")
    if within_days is not None and within_days < 1:
        raise BadParameter(f"within_days {within_days!r} is not a positive number of days")
    horizon = within_days or settling_days(lives, cutoff)
    spine = weekly_spine(
        view, workspace, lives["first_known_at"].min().to_pydatetime(), cutoff - dt.timedelta(days=horizon)
    )
    if not spine.num_rows:
        raise NotEnoughData(
            f"no snapshot is {horizon} days older than {cutoff:%Y-%m-%d}; use a shorter horizon or more history"
        )
    rows = DEALS.frame(visible(tables, spine))
    labelled = label(rows[rows["status"] == "open"], lives, horizon, cutoff, within=within_days is not None)
    labelled = labelled.sort_values(["as_of", "opportunity_id"], ignore_index=True)
    return TrainingTable(
        labelled[DEALS.names],
        labelled["won"],
        labelled["as_of"],
        labelled["opportunity_id"],
        horizon,
        labelled,
        tables.head,
    )


def train_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    seed: int = 0,
) -> DealTraining:
    """Train on early deals, calibrate on younger ones, compare on later snapshots, register, and promote what the gate lets pass.

    Compared on the same test rows: base rate, stage rate, CatBoost. The better baseline of the calibration block is
    registered too, and is the champion until something better comes.
    """
    from salesml.registry import catalog, tracking
    from salesml.registry.columns import columns_of

    table = training_table(workspace, as_of, within_days)
    split = blocks(table.labelled)
    cutoff = workspace.instant(as_of) if as_of is not None else latest_as_of(workspace)
    params = {
        "as_of": cutoff.isoformat(),
        "within_days": within_days,
        "settling_days": table.settling_days,
        "seed": seed,
        "features": len(DEALS.names),
    }
    with tracking.run(workspace, "deals", params=params, head=table.head) as run:
        scorers = _fit(split, seed)
        baseline = _better_baseline(scorers, split)
        found = _compare(scorers, split, baseline)
        run.log_metrics(_flat(found["comparison"]))
        run.log_dict({"blocks": split.summary().astype(str).to_dict("records")}, "blocks.json")
        run.log_dict(found["reliability"].to_dict("list"), "reliability.json")
        _log_figures(run, found["reliability"])
        columns = columns_of(table.X, DEALS.categorical)
        common = {
            "columns": columns,
            "run": run,
            "tags": {"within_days": within_days or 0, "as_of": cutoff.isoformat()},
        }
        known = _register(
            catalog,
            workspace,
            scorers[baseline],
            baseline=True,
            metrics={"log_loss": found["losses"][baseline]},
            **common,
        )
        evidence = _evidence(found, split, baseline, table, workspace)
        version = _register(
            catalog,
            workspace,
            scorers["CatBoost"],
            metrics={"log_loss": found["losses"]["CatBoost"]},
            evidence=evidence,
            **common,
        )
        verdict, champion, promoted = _promote(catalog, workspace, version, known)
    in_use = (
        "the deal model's" if promoted else f"those of version {champion.number} ({champion.kind.replace('_', ' ')})"
    )
    return DealTraining(
        cutoff, table.settling_days, split.summary(), found["comparison"], found["difference"], found["calibration"],
        found["reliability"], _importance(scorers["CatBoost"], split.test), baseline, verdict, promoted, version, champion,
        _sentence(found, baseline, within_days, in_use, promoted), run.id, table.head.id,
    )  # fmt: skip


def score_deals(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, model: str | int = "champion"
) -> pd.DataFrame:
    """Score every deal open as of an instant with a version of the deal model (default: the champion) and keep the predictions.

    Grain: one row per open deal, the most probable first: opportunity_id, name, stage, owner_id, amount, probability, lo, hi
    (90 % interval), factors. Writes table `prediction`; scoring again with the same version and day changes nothing.
    """
    from salesml.registry import catalog

    tables = Lake(workspace).open()
    cutoff = workspace.instant(as_of) if as_of is not None else latest_as_of(workspace, tables)
    view = visible(tables, cutoff)
    rows = DEALS.frame(view)
    rows = rows[rows["status"] == "open"].reset_index(drop=True)
    names = view.frame(view.state("opportunity", ["name"])).set_index("opportunity_id")["name"]
    rows = rows.assign(name=rows["opportunity_id"].map(names))
    scorer = catalog.load(workspace, MODEL, model)
    if rows.empty:
        return rows.assign(probability=[], lo=[], hi=[], factors=[])
    scored = scorer.predictions(rows[DEALS.names], interval=True, factors=SHOWN_FACTORS)
    rows = rows[["opportunity_id", "as_of", "name", "stage", "owner_id", "account_id", "amount", "close_date"]].join(
        scored
    )
    _keep(workspace, rows, scorer, tables.head.id)
    return rows.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def _fit(split: Blocks, seed: int) -> dict[str, Scorer]:
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


def _log_figures(run: Any, table: pd.DataFrame) -> None:
    from salesml.figures.calibration import reliability_chart

    run.log_figure(reliability_chart(table), "reliability.html")


def _register(catalog: Any, workspace: Workspace, scorer: Scorer, **facts: Any) -> Version:
    with tempfile.TemporaryDirectory() as folder:
        scorer.save(Path(folder))
        return catalog.register(workspace, MODEL, Path(folder), **facts)


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


def _promote(catalog: Any, workspace: Workspace, version: Version, baseline: Version) -> tuple[str, Version, bool]:
    from salesml.state.users import current_user

    try:
        champion = catalog.promote(workspace, MODEL, version.number, by=current_user(workspace).name)
        return "passed the gate", champion, True
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
    if d.hi >= 0:
        return f"There is no usable signal about who wins in this data: {figures}, {size}. Scores are {in_use}."
    if not promoted:
        return (
            f"There is signal about who wins, but the gate refused the model: {figures}, {size}. Scores are {in_use}."
        )
    return f"The deal model tells winners apart better than the {baseline}: {figures}, {size}."


def _keep(workspace: Workspace, rows: pd.DataFrame, scorer: Registered, head_id: int) -> None:
    now = dt.datetime.now(dt.UTC)
    stamp = rows["as_of"].dt.strftime("%Y%m%dT%H%M%SZ")
    version = str(scorer.version.number)
    frame = pd.DataFrame(
        {
            "prediction_id": f"{MODEL}:{version}:" + stamp + ":" + rows["opportunity_id"],
            "entity_type": "opportunity", "entity_id": rows["opportunity_id"], "target": "won",
            "horizon_days": int(json.loads(scorer.version.tags.get("within_days", "0"))) or None,
            "point": rows["probability"], "lo": rows["lo"], "hi": rows["hi"],
            "factors": [json.dumps(factors, default=str, ensure_ascii=False) for factors in rows["factors"]],
            "as_of": rows["as_of"], "model": MODEL, "model_version": version, "run_id": scorer.version.run_id,
            "head_id": head_id, "occurred_at": pd.Timestamp(now),
        }
    )  # fmt: skip
    staged = {"prediction": pa.Table.from_pandas(frame, preserve_index=False)}
    Lake(workspace).ingest(
        staged, origin="score deals", kind="predictions", note={"as_of": rows["as_of"].iloc[0].isoformat()}
    )


def log_odds(probability: pd.Series | np.ndarray) -> np.ndarray:
    """The scale on which factors add up."""
    return logit(np.asarray(probability, dtype="float64"))
