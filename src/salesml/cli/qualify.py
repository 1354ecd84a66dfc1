"""Qualification: grade the open leads, put one's own grade beside, see how grades moved and whether they held."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of

ROWS = 12
AsOf = Annotated[str | None, typer.Option(help="First instant that is not known; default: the day after the last fact.")]
Reason = Annotated[str, typer.Option(help="What you know and the score does not, in at least three words.")]
qualify_app = typer.Typer(
    invoke_without_command=True, help="Grade leads hot, warm or cold by chance, worth and time; your own grade beside; the record."
)


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(qualify_app, name="qualify")
    qualify_app.callback()(qualify_leads)
    qualify_app.command("lead")(grade)
    qualify_app.command("withdraw")(withdraw)
    qualify_app.command("list")(show)
    qualify_app.command("trend")(trend)


def qualify_leads(
    context: typer.Context,
    as_of: AsOf = None,
    rules: Annotated[Path | None, typer.Option(help="Rules (YAML): time, cost, thresholds of your own; docs/leads.md.")] = None,
    lead: Annotated[str | None, typer.Option(help="Show the evidence of this lead.")] = None,
) -> None:
    """Grade every open lead with the champion's chances and keep the grades (table lead_grade)."""
    if context.invoked_subcommand:
        return
    from rich.markup import escape

    from salesml.planning.lead_grades import GRADES, read_rules
    from salesml.workflows.qualify import qualify

    workspace = workspace_of(context)
    with step("grading open leads"):
        found = qualify(workspace, as_of, None if rules is None else read_rules(rules))
    console.print(f"[bold]{escape(found.sentence)}[/]")
    for name in ("capacity", "cost"):
        said = f"{found.capacity:,} leads a week" if name == "capacity" else f"{found.cost:,.2f} {found.currency} a lead"
        how = "as worked in the 13 weeks before" if name in found.measured else f"by rules {escape(found.rules.name)}"
        how += f", {found.rules.cost_per_hour:,.0f} {found.currency} an hour" if name == "cost" and name in found.measured else ""
        console.print(f"{'time' if name == 'capacity' else name}: {said} ({how})")
    if lead is not None:
        _evidence(found.leads, lead)
        return
    console.print(_table(found, list(GRADES)))
    console.print(f"{min(ROWS, len(found.leads)):,} of {len(found.leads):,} shown, those that bring most first; table lead_grade")


def _table(found: object, grades: list[str]) -> object:
    import pandas as pd
    from rich.markup import escape
    from rich.table import Table

    table = Table("lead", "source", "title", "chance", "worth", "expected", "grade", "sure", "your own", box=None)
    for row in found.leads.head(ROWS).to_dict("records"):  # type: ignore[attr-defined]
        texts = ["" if pd.isna(row[name]) else escape(str(row[name])) for name in ("lead_id", "source", "title")]
        numbers = [f"{row['probability']:.1%}", f"{row['worth']:,.0f}", f"{row['expected_value']:,.0f}"]
        own = "" if pd.isna(row["own_grade"]) else f"{row['own_grade']} ({escape(str(row['own_author']))})"
        table.add_row(*texts, *numbers, row["grade"], f"{row['confidence']:.0%}", own)
    return table


def _evidence(leads: object, lead: str) -> None:
    from salesml.errors import UnknownName

    rows = leads[leads["lead_id"] == lead].to_dict("records")  # type: ignore[index]
    if not rows:
        raise UnknownName("open lead", lead, list(leads["lead_id"].head(5)))  # type: ignore[index]
    console.print(f"{lead}: {rows[0]['grade']}", markup=False)
    for sentence in rows[0]["evidence"]:
        console.print(f"  {sentence}", markup=False)


def grade(
    context: typer.Context,
    lead: Annotated[str, typer.Argument(help="Id of an open lead.")],
    as_grade: Annotated[str, typer.Option("--as", help="hot, warm or cold.")],
    reason: Reason,
    until: Annotated[str, typer.Option(help="First day it no longer holds, YYYY-MM-DD, at most 90 days away.")],
) -> None:
    """Put your own grade for a lead beside the one worked out."""
    from salesml.workflows.grade_overrides import grade_lead

    workspace = workspace_of(context)
    made = grade_lead(workspace, lead, as_grade, reason, until)
    ends = workspace.local_date(made.expires_at)
    console.print(f"{made.grade_override_id}: lead {lead} {made.grade} until before {ends}, by {made.author}", markup=False)


def withdraw(
    context: typer.Context,
    override: Annotated[str, typer.Argument(help="Id of a grade in force, as `qualify list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why, in at least three words.")],
) -> None:
    """Take a grade of a person back; it held until now, and still counts in the record."""
    from salesml.workflows.grade_overrides import withdraw as take_back

    take_back(workspace_of(context), override, reason)
    console.print(f"{override} is withdrawn", markup=False)


def show(context: typer.Context, as_of: AsOf = None) -> None:
    """List the grades of persons that are in force."""
    from rich.markup import escape
    from rich.table import Column, Table

    from salesml.lake import Lake
    from salesml.workflows.grade_overrides import in_force
    from salesml.workflows.signed import now

    workspace = workspace_of(context)
    held = in_force(Lake(workspace).open(), as_of or now())
    if held.empty:
        console.print("no grade of a person is in force then")
        return
    whole = Column("id", no_wrap=True, overflow="ignore", min_width=16)  # it is what `withdraw` takes
    table = Table(whole, "lead", "grade", "by", "since", "until before", "reason", box=None)
    for row in held.to_dict("records"):
        days = [str(workspace.local_date(row[name].to_pydatetime())) for name in ("known_at", "expires_at")]
        texts = [escape(str(row[name])) for name in ("grade_override_id", "lead_id", "grade", "author")]
        table.add_row(*texts, *days, escape(row["reason"]))
    console.print(table)


def trend(context: typer.Context, as_of: AsOf = None) -> None:
    """How grades moved, and what became of the leads since."""
    from rich.table import Table

    from salesml.workflows.grade_trend import grade_trend

    workspace = workspace_of(context)
    found = grade_trend(workspace, as_of)
    console.print(f"[bold]{found.sentence}[/]")
    table = Table("graded as of", "grade", "leads", "expected", "outcome known", "converted", "rate (90 %)", box=None)
    for row in found.days.to_dict("records"):
        rate = f"{row['rate']:.1%} ({row['lo']:.1%} to {row['hi']:.1%})" if row["ripe"] else "too early"
        counts = [f"{row['leads']:,}", f"{row['expected']:,.1f}", f"{row['ripe']:,}", f"{row['converted']:,}"]
        table.add_row(str(workspace.local_date(row["as_of"].to_pydatetime())), str(row["grade"]), *counts, rate)
    console.print(table)
