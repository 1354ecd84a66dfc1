"""Adjustments: a person's own probability beside the model's, with a reason, an end and a record."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, workspace_of

adjust_app = typer.Typer(
    no_args_is_help=True, help="Put your own probability beside the model's: with a reason, an end and a record."
)
AsOf = Annotated[str | None, typer.Option(help="First instant that is not known; default: now.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(adjust_app, name="adjust")
    adjust_app.command("deal")(adjust_deal)
    adjust_app.command("withdraw")(withdraw)
    adjust_app.command("list")(show)
    adjust_app.command("record")(record)


def adjust_deal(
    context: typer.Context,
    deal: Annotated[str, typer.Argument(help="Id of an open deal.")],
    probability: Annotated[float, typer.Option(help="Probability that it is won in the end, between 0 and 1.")],
    reason: Annotated[str, typer.Option(help="What you know and the model does not, in at least three words.")],
    until: Annotated[str, typer.Option(help="First day it no longer holds, YYYY-MM-DD, at most 180 days away.")],
) -> None:
    """Adjust the probability of an open deal. The model's own number stays as it is."""
    from salesml.workflows.adjustments import adjust

    workspace = workspace_of(context)
    made = adjust(workspace, deal, probability, reason, until)
    ends = workspace.local_date(made.expires_at)
    console.print(f"{made.override_id}: deal {deal} at {probability:.0%} until before {ends}, by {made.author}", markup=False)


def withdraw(
    context: typer.Context,
    adjustment: Annotated[str, typer.Argument(help="Id of an adjustment in force, as `adjust list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why, in at least three words.")] = "no reason given",
) -> None:
    """Take an adjustment back; it held until now, and still counts in the record."""
    from salesml.workflows.adjustments import withdraw as take_back

    take_back(workspace_of(context), adjustment, reason)
    console.print(f"{adjustment} is withdrawn", markup=False)


def show(context: typer.Context, as_of: AsOf = None) -> None:
    """List the adjustments in force."""
    from rich.markup import escape
    from rich.table import Column, Table

    from salesml.lake import Lake
    from salesml.workflows.adjustments import in_force

    workspace = workspace_of(context)
    held = in_force(Lake(workspace).open(), as_of or _now())
    if held.empty:
        console.print("no adjustment is in force then")
        return
    whole = Column("id", no_wrap=True, overflow="ignore", min_width=16)  # it is what `withdraw` takes
    table = Table(whole, "deal", "probability", "by", "since", "until before", "reason", box=None)
    for row in held.to_dict("records"):
        days = [str(workspace.local_date(row[name].to_pydatetime())) for name in ("known_at", "expires_at")]
        texts = [escape(str(row[name])) for name in ("override_id", "opportunity_id")]
        table.add_row(*texts, f"{row['probability']:.0%}", escape(row["author"]), *days, escape(row["reason"]))
    console.print(table)


def record(context: typer.Context, as_of: AsOf = None) -> None:
    """How well adjustments did beside the model, on deals closed since."""
    from rich.markup import escape
    from rich.table import Table

    from salesml.workflows.adjustments import record_of

    found = record_of(workspace_of(context), as_of or _now())
    if found.empty:
        console.print("no adjusted deal with a score of the model beside it has closed yet")
        return
    table = Table("author", "adjustments", "deals", "log loss", "model's", "difference (90 %)", "shrunk", "", box=None)
    for row in found.to_dict("records"):
        interval = f"{row['difference']:+.3f} ({row['lo']:+.3f} to {row['hi']:+.3f})"
        counts = [f"{row[name]:,}" for name in ("adjustments", "deals")]
        losses = [f"{row[name]:.3f}" for name in ("log_loss", "model_log_loss")]
        table.add_row(escape(row["author"]), *counts, *losses, interval, f"{row['shrunk']:+.3f}", row["verdict"])
    console.print(table)
    console.print("difference below 0: people were better; shrunk: drawn toward everybody's by 20 deals")


def _now() -> str:
    import datetime as dt

    return dt.datetime.now(dt.UTC).isoformat()
