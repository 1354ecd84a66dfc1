"""Leads: train the model, score the open ones by it or by a points scheme. (`score leads` is part of `score`.)"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.deals import AS_OF, train_app
from salesml.errors import BadParameter

ROWS = 15


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    train_app.command("leads")(train_leads)


def train_leads(
    context: typer.Context,
    as_of: AS_OF = None,
    within_days: Annotated[int | None, typer.Option(min=1, help="Days within which a lead has to convert; default: found.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    manipulable: Annotated[bool, typer.Option(help="Go also by what a salesperson could set at will: calls made.")] = False,
    scheme: Annotated[Path | None, typer.Option(help="A points scheme (YAML) to compare with; default: the usual one.")] = None,
) -> None:
    """Train the lead model on weekly snapshots of leads that nobody had judged yet."""
    from rich.table import Table

    workspace = workspace_of(context)
    with step("training the lead model, beside base rate, source rate, points, naive Bayes"):
        from salesml.models.lead_points import read_scheme
        from salesml.workflows.train_leads import train_leads as train

        found = train(workspace, as_of, within_days, seed, manipulable, None if scheme is None else read_scheme(scheme))
    console.print(f"[bold]{found.sentence}[/]")
    table = Table("model", "log loss", "AUC", "best tenth, times the mean", box=None)
    wide = found.figures.pivot(index="model", columns="metric", values="value").sort_values("log_loss")
    for name, row in wide.iterrows():
        table.add_row(str(name), f"{row['log_loss']:.4f}", f"{row['auc']:.3f}", f"{row['top_decile_lift']:.2f}")
    console.print(table)
    console.print(f"calibration slope {found.calibration.slope}, error (ECE) {found.calibration.ece} with bar {found.calibration.bar:.3f}")
    console.print(
        f"version {found.version.number} ({found.chosen}): {found.verdict}; champion is version {found.champion.number} "
        f"({found.champion.kind.replace('_', ' ')})"
    )


def show_scores(
    context: typer.Context, as_of: str | None, scheme: Path | None, lead: str | None = None, changed: bool = False
) -> None:
    """Score the open leads, or those with new facts, and print the best; or print one lead with all its reasons."""
    import pandas as pd
    from rich.markup import escape
    from rich.table import Table

    if sum((scheme is not None, lead is not None, changed)) > 1:
        raise BadParameter("--scheme, --lead and --changed are three ways to score leads; give one of them")
    if lead is not None:
        _show_lead(context, as_of, lead)
        return
    from salesml.workflows.leads import OLDEST, score_by_points, score_leads

    workspace = workspace_of(context)
    with step("scoring leads with new facts" if changed else "scoring open leads"):
        if scheme is not None:
            from salesml.models.lead_points import read_scheme

            scored = score_by_points(workspace, read_scheme(scheme), as_of)
        elif changed:
            from salesml.workflows.rescore_leads import rescore_leads

            scored = rescore_leads(workspace, as_of)
        else:
            scored = score_leads(workspace, as_of)
    if scored.empty:
        told = "has new facts since the last scoring" if changed else f"of at most {OLDEST.days} days is known then"
        console.print(f"no open lead {told}")
        return
    parts = ["engagement", "intent", "fit"]
    beside = ["points"] if "points" in scored else []
    table = Table("lead", "source", "title", "days old", "score", *parts, *beside, "strongest reason", box=None)
    for row in scored.head(ROWS).to_dict("records"):
        texts = ["" if pd.isna(row[name]) else escape(str(row[name])) for name in ("lead_id", "source", "title")]
        numbers = [f"{row['age_days']:,.0f}", *(f"{row[name]:.0f}" for name in ["composite", *parts, *beside])]
        reason = row["factors"][0] if row["factors"] else None
        table.add_row(*texts, *numbers, "" if reason is None else escape(f"{reason['feature']} = {_short(reason['value'])}"))
    console.print(table)
    day = workspace.local_date(scored["as_of"].iloc[0].to_pydatetime())
    what = "score: chance to convert in 100" if scheme is None else "score: points"
    console.print(f"{len(scored):,} open leads scored as of {day}, the best {min(ROWS, len(scored))} shown; {what}; table lead_score")


def _show_lead(context: typer.Context, as_of: str | None, lead: str) -> None:
    """Print one lead's score, its components and all that speaks for and against it; nothing is written."""
    from rich.markup import escape
    from rich.table import Table

    from salesml.features.leads import FEATURES

    workspace = workspace_of(context)
    with step(f"scoring lead {escape(lead)}"):
        from salesml.workflows.lead_live import score_one

        found = score_one(workspace, lead, as_of)
    if found.probability is None or found.components is None:
        raise BadParameter(f"{found.why_not}; only open leads of at most 26 weeks are scored")
    console.print(
        f"[bold]lead {escape(lead)}: {found.probability:.1%} chance to convert[/] (90 % interval {found.lo:.1%} to {found.hi:.1%}) as of "
        f"{workspace.local_date(found.as_of)}; by points {found.points:.0f} of 100"
    )
    console.print("components, 50 says nothing either way: " + ", ".join(f"{name} {value:.0f}" for name, value in found.components.items()))
    meaning = {feature.name: feature.meaning for feature in FEATURES}
    table = Table("effect, log-odds", "reason", "value", "meaning", box=None)
    for reason in found.factors:
        value = "missing" if reason["value"] is None else _short(reason["value"])
        table.add_row(f"{reason['effect']:+.3f}", escape(str(reason["feature"])), escape(value), meaning.get(reason["feature"], ""))
    console.print(table)


def _short(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
