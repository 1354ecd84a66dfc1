"""Deals and revenue: train, and forecast. (`score deals` is part of `score`.)"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of

AS_OF = Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")]
train_app = typer.Typer(
    no_args_is_help=True, help="Train a model on what was known, compare it on later outcomes, register it."
)


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    from salesml.cli.series import forecast_app

    app.add_typer(train_app, name="train")
    train_app.command("deals")(train_deals)
    forecast_app.command("revenue")(forecast_revenue)


def train_deals(
    context: typer.Context,
    as_of: AS_OF = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    manipulable: Annotated[
        bool, typer.Option(help="Go also by what a rep could set at will: stage, amount, close date, call.")
    ] = True,
) -> None:
    """Train the deal model on weekly snapshots of open deals."""
    workspace = workspace_of(context)
    with step("training the deal model"):
        from salesml.workflows.train_deals import DealTraining
        from salesml.workflows.train_few import train_what_fits

        result = train_what_fits(workspace, as_of, seed, manipulable)
    console.print(f"[bold]{result.sentence}[/]")
    verdict = "too few outcomes to hold some back for a test"
    if isinstance(result, DealTraining):
        verdict, found = result.verdict, result.calibration
        console.print(f"calibration slope {found.slope}, error (ECE) {found.ece} with bar {found.bar:.3f}")
    console.print(
        f"version {result.version.number}: {verdict}; champion is version {result.champion.number} ({result.champion.kind})"
    )


def show_scores(context: typer.Context, as_of: str | None, rows: int = 15) -> None:
    """Score the open deals and print the most valuable ones."""
    import pandas as pd
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("scoring open deals"):
        from salesml.workflows.deals import score_deals

        scored = score_deals(workspace, as_of)
    if scored.empty:
        console.print("no deal is open then")
        return
    table = Table(
        "deal",
        "name",
        "stage",
        f"amount {workspace.settings.currency}",
        "P(win)",
        "90 % interval",
        "won this quarter",
        "closes about",
        "strongest factor",
        box=None,
    )
    for row in scored.head(rows).to_dict("records"):
        texts = ["" if pd.isna(row[name]) else escape(str(row[name])) for name in ("opportunity_id", "name", "stage")]
        amount = "unknown" if pd.isna(row["amount"]) else f"{row['amount']:,.0f}"
        interval = f"{row['lo']:.0%} to {row['hi']:.0%}"
        beside = f" ({row['adjusted_by']}: {row['adjusted_probability']:.0%})" if row["adjusted"] else ""
        told = [f"{row['probability']:.0%}{escape(beside)}", interval, *_when(row)]
        table.add_row(*texts, amount, *told, escape(_strongest(row["factors"])))
    console.print(table)
    console.print(
        f"{len(scored):,} open deals scored as of {workspace.local_date(scored['as_of'].iloc[0].to_pydatetime())}; table prediction"
    )


def _when(row: dict) -> list[str]:
    """P(won this quarter) and the day by which half of such deals are closed, where the model knows of time."""
    import pandas as pd

    if "p_quarter" not in row:
        return ["", ""]
    closes = row["close_expected"]
    return [f"{row['p_quarter']:.0%}", "later" if pd.isna(closes) else f"{closes:%d %b %Y}"]


def forecast_revenue(
    context: typer.Context,
    as_of: AS_OF = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="Months ahead.")] = 6,
) -> None:
    """Forecast monthly revenue of the company, its regions, teams and reps, with measured intervals."""
    workspace = workspace_of(context)
    with step("forecasting revenue"):
        from salesml.workflows.forecast import forecast_revenue as forecast

        result = forecast(workspace, as_of, months)
    console.print(f"[bold]{result.sentence}[/]")
    console.print(result.table())
    console.print(result.made_of())
    from salesml.lake import Lake
    from salesml.workflows.overrides import with_overrides

    for told in with_overrides(result.forecast, Lake(workspace).open(), dt.datetime.now(dt.UTC))[1]:
        console.print(told, markup=False)


def _strongest(factors: list[dict]) -> str:
    if not factors:
        return ""
    name, value, effect = (factors[0][part] for part in ("feature", "value", "effect"))
    return f"{name} = {f'{value:,.4g}' if isinstance(value, float) else value} ({effect:+.2f})"
