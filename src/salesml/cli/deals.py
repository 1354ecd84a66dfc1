"""Deals and revenue: train, and forecast. (`score deals` is part of `score`.)"""

from __future__ import annotations

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
    within: Annotated[
        int | None, typer.Option(min=1, help="Predict winning within so many days, not winning at all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Train the deal model on weekly snapshots of open deals."""
    workspace = workspace_of(context)
    with step("training the deal model"):
        from salesml.workflows.deals import train_deals as train

        result = train(workspace, as_of, within, seed)
    console.print(f"[bold]{result.sentence}[/]")
    console.print(
        f"calibration slope {result.calibration.slope}, error (ECE) {result.calibration.ece} with bar {result.calibration.bar:.3f}"
    )
    console.print(
        f"version {result.version.number}: {result.verdict}; champion is version {result.champion.number} ({result.champion.kind})"
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
        "strongest factor",
        box=None,
    )
    for row in scored.head(rows).itertuples():
        factor = row.factors[0] if row.factors else None
        why = f"{factor['feature']} = {_short(factor['value'])} ({factor['effect']:+.2f})" if factor else ""
        amount = f"{row.amount:,.0f}" if row.amount == row.amount else "unknown"
        texts = ["" if pd.isna(text) else escape(str(text)) for text in (row.opportunity_id, row.name, row.stage)]
        table.add_row(*texts, amount, f"{row.probability:.0%}", f"{row.lo:.0%} to {row.hi:.0%}", escape(why))
    console.print(table)
    console.print(
        f"{len(scored):,} open deals scored as of {workspace.local_date(scored['as_of'].iloc[0].to_pydatetime())}; table prediction"
    )


def forecast_revenue(
    context: typer.Context,
    as_of: AS_OF = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="Months ahead.")] = 6,
) -> None:
    """Forecast monthly revenue of the company and its regions, with measured intervals."""
    workspace = workspace_of(context)
    with step("forecasting revenue"):
        from salesml.workflows.forecast import forecast_revenue as forecast

        result = forecast(workspace, as_of, months)
    console.print(f"[bold]{result.sentence}[/]")
    console.print(result.table())


def _short(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
