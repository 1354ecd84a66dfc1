"""Nurture: decide what leads get next, list what is due, and say what it adds by who was held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, step, workspace_of

if TYPE_CHECKING:
    from salesml.models.nurture_programme import Programme
    from salesml.workspace import Workspace

nurture_app = typer.Typer(no_args_is_help=True, help="Nurture leads: what each gets next, what is due, what it adds (by a hold-out).")
AsOf = Annotated[str | None, typer.Option(help="First instant that is not known: 2017-06-30; default: the day after the last fact.")]
Within = Annotated[int | None, typer.Option(min=1, max=365, help="Days a lead has to convert in; default: the programme's, or 60.")]
File = Annotated[Path | None, typer.Option("--programme", help="A programme (YAML); default: the one that comes with salesml.")]
Name = Annotated[
    str | None,
    typer.Option(help='Programme by name; "recorded": the one in the leads\' custom fields; default: the one there is.'),
]  # fmt: skip
SHOWN = 15


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(nurture_app, name="nurture")
    nurture_app.command("plan")(plan)
    nurture_app.command("due")(show_due)
    nurture_app.command("effect")(show_effect)
    nurture_app.command("value")(show_value)


def plan(context: typer.Context, programme: File = None, as_of: AsOf = None) -> None:
    """Decide the next step of every open lead that is due one, and keep the decisions (table nurture). Nothing is sent."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("deciding what leads get next"):
        from salesml.workflows.nurture import plan_nurture

        made = plan_nurture(workspace, _read(programme), as_of)
    console.print(escape(made.sentence))
    table = Table("leads with nothing to do", "why", "leads", box=None)
    for row in made.others.head(SHOWN).to_dict("records"):
        table.add_row(row["what"], escape(row["why"]), f"{row['leads']:,}")
    console.print(table)
    console.print("List what is to be sent with: salesml nurture due --out FILE")


def show_due(
    context: typer.Context,
    days: Annotated[float, typer.Option(min=0.1, max=366, help="How many days from now on.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write all rows there, as CSV for the mail tool.")] = None,
    as_of: AsOf = None,
) -> None:
    """List what is to be sent; who has refused, replied or been judged since is left out."""
    from rich.markup import escape
    from rich.table import Table

    from salesml.workflows.nurture import due

    workspace = workspace_of(context)
    found = due(workspace, days, as_of, out)
    table = Table("lead", "step", "what", "channel", "when (UTC)", "mail", box=None)
    for row in found.head(SHOWN).to_dict("records"):
        mail = row["email"] if isinstance(row["email"], str) else "not known"
        texts = (row["lead_id"], str(row["step"]), row["content"], row["channel"], f"{row['send_at']:%Y-%m-%d %H:%M}", mail)
        table.add_row(*map(escape, texts))
    console.print(table)
    where = "" if out is None else f", all written to {out}"
    console.print(f"{len(found):,} to be sent, {min(SHOWN, len(found))} shown{where}; salesml sends nothing", markup=False)


def show_effect(context: typer.Context, name: Name = None, within_days: Within = None, programme: File = None, as_of: AsOf = None) -> None:
    """Say what a programme adds to conversion: leads drawn in against leads held out by lot, over all and by segment."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("comparing leads drawn in with leads held out"):
        from salesml.workflows.nurture_effect import nurture_effect

        found = nurture_effect(workspace, **_asked(workspace, name, within_days, programme, as_of))
    console.print(f"[bold]{escape(found.sentence)}[/]")
    table = Table("segment", "leads with, without", "converted with, without", "adds (points)", "drawn towards all", box=None)
    for row in found.effect.segments.to_dict("records"):
        leads, rates = f"{row['leads_with']:,}, {row['leads_without']:,}", f"{row['rate_with']:.1%}, {row['rate_without']:.1%}"
        table.add_row(
            escape(row["segment"]), leads, rates,
            *(_points(*(row[part] for part in parts)) for parts in (("difference", "lo", "hi"), ("shrunk", "shrunk_lo", "shrunk_hi"))),
        )  # fmt: skip
    console.print(table)
    if found.effect.differs_p == found.effect.differs_p:
        console.print(f"segments this different come by chance in {found.effect.differs_p:.1%} of cases; intervals 90 %")


def show_value(context: typer.Context, name: Name = None, within_days: Within = None, programme: File = None, as_of: AsOf = None) -> None:
    """Say what share of the leads would convert if everybody got it, nobody, or the segments that it surely helps."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("valuing policies from the leads drawn by lot"):
        from salesml.evaluation.off_policy import ROBUST
        from salesml.workflows.nurture_effect import nurture_value

        found = nurture_value(workspace, methods=(ROBUST,), **_asked(workspace, name, within_days, programme, as_of))
    table = Table("policy", "would convert", "90 % interval", "leads", "count as", box=None)
    for row in found.to_dict("records"):
        interval = f"{row['lo']:.2%} to {row['hi']:.2%}"
        table.add_row(escape(row["policy"]), f"{row['value']:.2%}", interval, f"{row['rows']:,}", f"{row['effective']:,.0f}")
    console.print(table)
    for note in sorted({note for notes in found["notes"] for note in notes}):
        console.print(escape(note))


def _read(path: Path | None) -> Programme:
    from salesml.models.nurture_programme import read_programme, usual

    return usual() if path is None else read_programme(path)


def _asked(workspace: Workspace, name: str | None, within_days: int | None, path: Path | None, as_of: str | None) -> dict:
    """What the effect is asked of: the programme named, the file's, or the only one there is; its days and its context."""
    from salesml.errors import BadParameter
    from salesml.workflows.nurture_effect import BY_SIZE, RECORDED, WITHIN_DAYS, programmes

    told = _read(path)
    if name is None:
        known = programmes(workspace, as_of)
        if path is None and len(known) > 1:
            raise BadParameter(f"there are programmes {', '.join(known)}; choose one with --name")
        name = told.name if path is not None else (known or [RECORDED])[0]
    own = name == told.name
    days = within_days or (told.within_days if own else WITHIN_DAYS)
    return {"programme": name, "as_of": as_of, "within_days": days, "context": told.context if own else BY_SIZE}


def _points(value: float, lo: float, hi: float) -> str:
    return f"{100 * value:+.1f} ({100 * lo:+.1f} to {100 * hi:+.1f})"
