"""Overrides: a person's own revenue for a node and a month beside the model's, with a reason, an approver and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, workspace_of

if TYPE_CHECKING:
    import pandas as pd

override_app = typer.Typer(
    no_args_is_help=True, help="Put your own revenue for a node and a month beside the model's: with a reason and a record."
)


MOST_MOVED = 12
"""Rows of teams and reps that are shown, those that moved most."""


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(override_app, name="override")
    override_app.command("revenue")(revenue)
    override_app.command("list")(show)
    override_app.command("withdraw")(withdraw)


def revenue(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="company, region/NAME, team/ID or rep/ID.")],
    period: Annotated[str, typer.Argument(help="Month of the newest forecast, as 2026-07, or its first and last, as 2026-07..2026-09.")],
    amount: Annotated[str, typer.Argument(help="Revenue of that period in the workspace's currency, as 1250000.50.")],
    reason: Annotated[str, typer.Option(help="What you know and the model does not, in at least three words.")],
    until: Annotated[str | None, typer.Option(help="First day it no longer holds, YYYY-MM-DD; default: no end.")] = None,
    approved_by: Annotated[str | None, typer.Option(help="Admin or manager who approved it; default: you, where you may.")] = None,
) -> None:
    """Override the forecast of a node and a month, or of several. It holds when the forecast is made again; the model's number stays
    beside it. What is known of a longer period counts towards its amount.
    """
    from salesml.workflows.overrides import current_forecast, override_period, override_revenue

    workspace = workspace_of(context)
    first, several, last = period.partition("..")
    said = (amount, reason, until, approved_by)
    every = override_period(workspace, node, first, last, *said) if several else [override_revenue(workspace, node, first, *said)]
    for made in every:
        console.print(
            f"{made.override_id}: {node} {made.month:%Y-%m} at {made.amount:,.2f} {made.currency}, the model says "
            f"{made.model_amount:,.2f}; by {made.author}, approved by {made.approver}", markup=False,
        )  # fmt: skip
    frame = current_forecast(workspace).frame
    _months(frame[frame["month"].dt.date.isin([made.month for made in every])], every[0].currency)


def show(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option(help="First instant that is not known; default: now.")] = None,
) -> None:
    """List the overrides in force, and what the newest forecast becomes with them."""
    from rich.markup import escape
    from rich.table import Column, Table

    from salesml.workflows.overrides import current_forecast, label

    workspace = workspace_of(context)
    found = current_forecast(workspace, as_of)
    if found.held.empty:
        console.print("no override of revenue is in force then")
        return
    whole = Column("id", no_wrap=True, overflow="ignore", min_width=16)  # it is what `withdraw` takes
    table = Table(whole, "node", "month", f"amount ({found.currency})", "by", "approved by", "until before", "reason", box=None)
    for row in found.held.to_dict("records"):
        ends = "" if row["expires_at"] != row["expires_at"] else str(workspace.local_date(row["expires_at"].to_pydatetime()))
        people, said = [escape(str(row[name])) for name in ("author", "approver")], f"{row['amount']:,.2f}"
        table.add_row(row["override_id"], escape(label(row)), f"{row['month']:%Y-%m}", said, *people, ends, escape(row["reason"]))
    console.print(table)
    _months(found.frame[found.frame["month"].isin(found.held["month"])], found.currency)
    if found.lacking:
        console.print(f"not in the newest forecast, and without effect: {', '.join(found.lacking)}")


def withdraw(
    context: typer.Context,
    override: Annotated[str, typer.Argument(help="Id of an override in force, as `override list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why, in at least three words.")],
) -> None:
    """Take an override back; it held until now, and still counts in the record."""
    from salesml.workflows.overrides import withdraw as take_back

    take_back(workspace_of(context), override, reason)
    console.print(f"{override} is withdrawn", markup=False)


def _months(frame: pd.DataFrame, currency: str) -> None:
    """Forecast rows: what holds, what the model said, how far it moved; of teams and reps those that moved most."""
    from rich.markup import escape
    from rich.table import Table

    from salesml.workflows.overrides import label

    table = Table("month", "node", f"forecast ({currency})", "model", "moved", "", box=None)
    size = frame["moved"].astype("float64").abs()
    most = (size.rank(ascending=False) <= MOST_MOVED) & size.gt(0)
    shown = frame["level"].isin(["company", "region"]) | frame["override_id"].notna() | most
    for row in frame[shown].sort_values(["month", "level", "name"]).to_dict("records"):
        money = [f"{row['amount']:,.2f}", f"{row['model_amount']:,.2f}", f"{row['moved']:+,.2f}"]
        table.add_row(f"{row['month']:%Y-%m}", escape(label(row)), *money, "override" if isinstance(row["override_id"], str) else "")
    console.print(table)
    if not shown.all():
        console.print(f"{int((~shown).sum()):,} rows of teams and reps that moved less are not shown")
