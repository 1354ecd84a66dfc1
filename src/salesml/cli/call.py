"""The forecast call: submit a number for a quarter, see everybody's beside the model, see how good they were."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of

call_app = typer.Typer(
    no_args_is_help=True, help="The forecast call: your number for the quarter beside the model's, the gaps, the record."
)
AsOf = Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(call_app, name="call")
    for command in (submit, show, record):
        call_app.command(command.__name__)(command)


def submit(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="company, region/NAME, team/NAME or rep/NAME (id, name or e-mail).")],
    period: Annotated[str, typer.Argument(help="First month of the fiscal quarter, as 2026-07.")],
    amount: Annotated[str, typer.Argument(help="Revenue of the whole quarter in the workspace's currency, as 1250000.50.")],
    note: Annotated[str, typer.Option(help="What stands behind it.")] = "",
) -> None:
    """Call a quarter: what it will bring in all. A later call of yours replaces it; the earlier one stays in the record."""
    from salesml.workflows.calls import submit_call

    made = submit_call(workspace_of(context), node, period, amount, note)
    told = f"{made.call_id}: {made.node} ({made.label}) {made.start:%Y-%m} called at {made.amount:,.2f} {made.currency} by {made.author}"
    console.print(told, markup=False)


def show(context: typer.Context, as_of: AsOf = None) -> None:
    """Calls of the quarter beside the model and the quota, from the company down, what needs a word, and the tie-out to finance."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("putting calls beside the model"):
        from salesml.analytics.calls import PARTS
        from salesml.workflows.calls import forecast_call

        found = forecast_call(workspace, as_of)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    heads = ("call", "by", "below", "calls", "model", "80 % interval", "- model", "- below", "quota", "to quota", "booked")
    table = Table("node", *heads, box=None)
    for row in found.rows.to_dict("records"):
        counts = f"{row['below_calls']} of {row['below_nodes']}" if row["below_nodes"] else ""
        interval = f"{row['lo80']:,.0f} to {row['hi80']:,.0f}" if row["lo80"] == row["lo80"] else ""
        author = escape(row["author"]) if isinstance(row["author"], str) else ""
        gaps = [_money(row[name], "+") for name in ("gap_model", "gap_below")]
        ends = [_money(row["quota"]), _money(row["gap_quota"], "+"), _money(row["booked"])]
        name = "  " * row["depth"] + escape(row["label"])
        table.add_row(name, _money(row["call"]), author, _money(row["below"]), counts, _money(row["model"]), interval, *gaps, *ends)
    console.print(table)
    if len(found.tie_out):
        company = found.tie_out.iloc[0]
        told = ", ".join(f"{words} {company[name]:+,.2f}" for name, words in PARTS.items() if company[name])
        console.print(
            f"tie-out: {company['crm']:,.2f} {found.currency} won by CRM, {company['finance']:,.2f} booked by finance, difference "
            f"{company['difference']:+,.2f}{': ' + told if told else ''}", markup=False,
        )  # fmt: skip
    for line in (*found.attention, *found.notes):
        console.print(line, markup=False)


def record(context: typer.Context, as_of: AsOf = None) -> None:
    """How good past calls were beside the model, what each person added, and how far each is trusted."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("judging calls of ended quarters"):
        from salesml.workflows.call_record import call_record

        found = call_record(workspace, as_of)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    if len(found.figures):
        heads = ("calls", "quarters", "WAPE", "bias", "model's WAPE", f"added ({found.currency} a call)", "95 % interval", "")
        table = Table("level", "by", *heads, box=None)
        for row in found.figures.to_dict("records"):
            counts = [f"{row['calls']:,}", str(row["quarters"])]
            errors = [_share(row["wape"]), _share(row["bias"], "+"), _share(row["model_wape"])]
            interval = "" if row["lo"] != row["lo"] else f"{row['lo']:+,.0f} to {row['hi']:+,.0f}"
            table.add_row(row["level"], escape(row["author"]), *counts, *errors, _money(row["added"], "+"), interval, row["verdict"])
        console.print(table)
        beside = {(row["level"], row["author"]): row for row in found.mixes.to_dict("records")}
        trust = Table("level", "by", "bias learnt", "weight", "call", "model", "mix", "on quarters not learnt from", box=None)
        for row in found.trust.to_dict("records"):
            tried = beside.get((row["level"], row["author"]), {})
            errors = [_share(tried.get(name, float("nan"))) for name in ("call_wape", "model_wape", "mix_wape")]
            told = [row["level"], escape(row["author"]), _share(row["bias"], "+"), f"{row['weight']:.0%}"]
            trust.add_row(*told, *errors, tried.get("verdict", ""))
        console.print(trust)
    for line in found.notes:
        console.print(line, markup=False)


def _money(value: float, sign: str = "") -> str:
    return "" if value != value else f"{value:{sign},.0f}"


def _share(value: float, sign: str = "") -> str:
    return "" if value != value else f"{value:{sign}.1%}"
