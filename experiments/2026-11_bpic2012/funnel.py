"""Run the experiment: python funnel.py WORKSPACE, a workspace that `salesml import --mapping bpic2012` has filled. One MLflow run a cut."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from salesml.evaluation.calibration import calibration
from salesml.evaluation.metrics import log_loss_difference, measure
from salesml.evaluation.splits import by_time
from salesml.features.deals import DEALS
from salesml.models.competing_risks import CompetingRisks
from salesml.models.deals import label
from salesml.models.outcome import OutcomeModel, Settings
from salesml.registry import tracking
from salesml.workflows.deals import TrainingTable, training_table
from salesml.workflows.fit_deals import BASE, BAYES, MODEL, STAGE, fit_at, spells
from salesml.workspace import Workspace

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())


def outcome_model(known: pd.DataFrame) -> OutcomeModel:
    """CatBoost on labelled snapshots; the latest fifth calibrates, its deals kept out of the rest."""
    blocks = by_time(known["as_of"], known["opportunity_id"].to_numpy(), (0.8, 0.2, 0.0))
    early, late = known.iloc[blocks.train], known.iloc[blocks.calibration]
    return OutcomeModel.fit(
        early[DEALS.names], early["won"].to_numpy(), categorical=DEALS.categorical,
        calibration=(late[DEALS.names], late["won"].to_numpy()), groups=early["opportunity_id"].to_numpy(),
        calibration_groups=late["opportunity_id"].to_numpy(), candidates=[Settings(**s) for s in PARAMS["settings"]],
        seed=PARAMS["seed"], members=1,
    )  # fmt: skip


def fitted(table: TrainingTable, cut: pd.Timestamp) -> dict:
    """Every method as of a cut. Honest: "known" and MODEL kinds. "peeked" has seen the outcomes of later days: a warning."""
    rows = table.snapshots[table.snapshots["as_of"] < cut].reset_index(drop=True)
    then, end = table.lives_at(cut), table.lives_at(table.cutoff)
    models: dict = fit_at(table, cut, PARAMS["seed"], DEALS.names)
    recent = rows[rows["as_of"] >= cut - pd.Timedelta(days=PARAMS["recent_days"])]
    models["deal model, recent"] = CompetingRisks.fit(
        recent[DEALS.names], spells(table, recent, cut), cut, categorical=DEALS.categorical, trials=2, members=0, seed=PARAMS["seed"]
    )
    labels = {
        "CatBoost, settled": label(rows, then, PARAMS["settling_days"], cut.to_pydatetime()),
        "CatBoost, any known": label(rows, then, 0, cut.to_pydatetime()),
        "CatBoost, peeked": label(rows, end, 0, table.cutoff),
    }
    return models | {name: outcome_model(known.reset_index(drop=True)) for name, known in labels.items()}


def judged(later: pd.DataFrame, p: dict[str, np.ndarray]) -> pd.DataFrame:
    """Figures of every method: model, metric, value, lo, hi (90 %, by case)."""
    y, cases, rows = later["won"].to_numpy(), later["opportunity_id"].to_numpy(), []
    for model, given in p.items():
        quality = calibration(y, given, cases)
        figures = measure(y, given, p[BASE], cases) | {"ece": quality.ece, "slope": quality.slope}
        for peer in (STAGE, BAYES):
            figures[f"minus {peer}"] = log_loss_difference(y, given, p[peer], cases)
        rows += [{"model": model, "metric": metric, **vars(figure)} for metric, figure in figures.items()]
        rows.append({"model": model, "metric": "ece bar", "value": quality.bar})
    return pd.DataFrame(rows)


def by_age(later: pd.DataFrame, p: dict[str, np.ndarray]) -> pd.DataFrame:
    """AUC and Brier score by days since start, with intervals by case."""
    rows = []
    for first, last in zip(PARAMS["ages"], [*PARAMS["ages"][1:], 1_000], strict=True):
        inside = later["age_days"].between(first, last, inclusive="left").to_numpy()
        y, cases = later["won"].to_numpy()[inside], later["opportunity_id"].to_numpy()[inside]
        for model in (STAGE, MODEL):
            figures = measure(y, p[model][inside], p[BASE][inside], cases)
            size = {"from_day": first, "rows": len(y), "cases": len(set(cases)), "won": y.mean(), "model": model}
            rows += [{**size, "metric": metric, **vars(figures[metric])} for metric in ("auc", "brier")]
    return pd.DataFrame(rows)


def main(workspace: Workspace) -> None:
    """One run a cut: figures as metrics, both tables as artifacts."""
    table = training_table(workspace, every_days=PARAMS["every_days"], settling_days=PARAMS["settling_days"])
    for day in PARAMS["cuts"]:
        cut, rows = pd.Timestamp(workspace.instant(day)), table.snapshots
        later = label(rows[rows["as_of"] >= cut], table.lives_at(table.cutoff), 0, table.cutoff).reset_index(drop=True)
        with tracking.run(workspace, "bpic2012", params={**PARAMS, "cut": day}, head=table.head) as run:
            p = {name: model.predict(later[DEALS.names]) for name, model in fitted(table, cut).items()}
            figures = judged(later, p)
            run.log_metrics(
                {f"{row.model}.{row.metric}".replace(",", ""): row.value for row in figures.itertuples() if np.isfinite(row.value)}
            )
            run.log_dict({"rows": figures.to_dict("records")}, "figures.json")
            run.log_dict({"rows": by_age(later, p).to_dict("records")}, "by_age.json")
            print(day, run.id, len(later), figures.pivot(index="model", columns="metric", values="value").round(4), sep="\n")


if __name__ == "__main__":
    main(Workspace.open(Path(sys.argv[1])))
