"""Routing: open leads to reps by a policy; a lead to another rep by request and approval; what was assigned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, step, workspace_of

if TYPE_CHECKING:
    from salesml.workflows.routing import Routed

ROWS = 20
route_app = typer.Typer(help="Give leads to reps, each with its reason; ask for another rep, approve, list.")
By = Annotated[str | None, typer.Option("--by", help="Acting user; default: you.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(route_app, name="route")
    route_app.callback(invoke_without_command=True)(route)
    for command in (one, reassign, approve, refuse):
        route_app.command(command.__name__)(command)
    route_app.command("list")(show)


def route(
    context: typer.Context,
    policy: Annotated[str, typer.Option(help="optimal, rules, weighted or round_robin.")] = "optimal",
    lead: Annotated[list[str] | None, typer.Option(help="Id of an open lead, whoever has it; may be given again.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Also leads that the source gave to somebody in the last so many days.")] = None,
    reps: Annotated[Path | None, typer.Option(help="CSV: owner_id, and capacity, weight, territories, skills, available, …")] = None,
    most_open: Annotated[int | None, typer.Option(min=1, help="Most open leads and deals a rep may have; default: no limit.")] = None,
    within_hours: Annotated[float | None, typer.Option(help="Nobody who usually answers later gets a lead.")] = None,
    unfair: Annotated[bool, typer.Option("--unfair", help="Let the optimal policy give whom it likes.")] = False,
    explore: Annotated[float, typer.Option(help="Share of the leads given by lot, so that reps can be compared.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the lot.")] = 0,
    as_of: Annotated[str | None, typer.Option(help="First instant that is not known, to look only; default: the last fact.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show only; keep nothing.")] = False,
) -> None:
    """Give open leads that nobody who works here has to reps, and keep that in table `assignment`."""
    if context.invoked_subcommand is not None:
        return
    workspace = workspace_of(context)
    with step("weighing leads and reps"):
        from salesml.planning.routing import known
        from salesml.workflows.routing import desk
        from salesml.workflows.routing import route as give
        from salesml.workflows.routing_facts import read_reps

        known(policy)
        given = None if reps is None else read_reps(reps)
        there = desk(workspace, as_of, given=given, most_open=most_open, within_hours=within_hours)
        chosen = {"fair": not unfair, "explore": explore, "seed": seed, "dry_run": dry_run, "at": there}
        found = give(workspace, policy, as_of, lead or None, days=days, **chosen)  # type: ignore[arg-type]
    _print(found)


def one(
    context: typer.Context,
    lead: Annotated[str, typer.Argument(help="Id of an open lead.")],
    policy: Annotated[str, typer.Option(help="optimal, rules, weighted or round_robin.")] = "optimal",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show only; keep nothing.")] = False,
) -> None:
    """Give one lead to a rep, the best ones being kept for leads that are worth it."""
    workspace = workspace_of(context)
    with step("weighing the lead"):
        from salesml.workflows.routing import route_one

        found = route_one(workspace, lead, policy, dry_run=dry_run)
    _print(found)


def reassign(
    context: typer.Context,
    lead: Annotated[str, typer.Argument(help="Id of an open lead.")],
    to: Annotated[str, typer.Option(help="Id of the rep who is to have it.")],
    reason: Annotated[str, typer.Option(help="Why, in at least three words.")],
    by: By = None,
) -> None:
    """Ask that a lead be given to another rep. An admin or manager other than you has to approve it."""
    from salesml.workflows.reassignments import reassign as ask

    made = ask(workspace_of(context), lead, to, reason, by)
    worth = "" if made.expected_value is None else f"; expected to bring {made.expected_value:,.0f}"
    before = "" if made.previous_value is None else f" ({made.previous_value:,.0f} with {made.previous_owner_id})"
    told = f"{made.request_id}: lead {lead} from {made.previous_owner_id or 'nobody'} to {to}, asked by {made.author}{worth}{before}"
    console.print(told, markup=False)
    console.print(f"an admin or manager approves it: salesml route approve {made.request_id}", markup=False)


def approve(context: typer.Context, request: Annotated[str, typer.Argument(help="Id of an open request.")], by: By = None) -> None:
    """Approve a request that somebody else made: the lead is the other rep's from now."""
    from salesml.workflows.reassignments import approve as decide

    made = decide(workspace_of(context), request, by)
    console.print(f"lead {made.lead_id} is with {made.owner_id} now, approved by {made.decided_by}", markup=False)


def refuse(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="Id of an open request.")],
    reason: Annotated[str, typer.Option(help="Why, in at least three words.")],
    by: By = None,
) -> None:
    """Refuse a request, or take back one's own; the lead stays where it is."""
    from salesml.workflows.reassignments import refuse as decide

    made = decide(workspace_of(context), request, reason, by)
    told = f"{made.request_id} is refused by {made.decided_by}; lead {made.lead_id} stays with {made.previous_owner_id}"
    console.print(told, markup=False)


def show(context: typer.Context, rows: Annotated[int, typer.Option(min=1, help="How many assignments, the latest first.")] = ROWS) -> None:
    """Open requests, and the latest assignments."""
    from rich.markup import escape
    from rich.table import Column, Table

    from salesml.state.reassignments import listed
    from salesml.workflows.routing import assignments

    workspace = workspace_of(context)
    asked = listed(workspace)
    if asked:
        whole = Column("request", no_wrap=True, overflow="ignore", min_width=12)
        table = Table(whole, "lead", "from", "to", "asked by", "on", "reason", box=None)
        for request in asked:
            told = (request.request_id, request.lead_id, request.previous_owner_id or "", request.owner_id, request.author)
            table.add_row(*map(escape, told), str(workspace.local_date(request.created_at)), escape(request.reason))
        console.print(table)
    found = assignments(workspace)
    if found.empty:
        console.print("no request is open and nothing was assigned yet" if not asked else "nothing was assigned yet")
        return
    whole = Column("lead", no_wrap=True, overflow="ignore", min_width=max(len(one) for one in found["lead_id"].head(rows)))
    table = Table(whole, "rep", "before", "policy", "chance", "expected", "by", "approved by", "on", "still", box=None)
    for row in found.head(rows).to_dict("records"):
        texts = [_text(row[name]) for name in ("lead_id", "owner_id", "previous_owner_id", "policy")]
        value = "" if row["expected_value"] is None else f"{row['currency']} {row['expected_value']:,.0f}"
        chance = "" if row["propensity"] != row["propensity"] else f"{row['propensity']:.1%}"
        people = [_text(row[name]) for name in ("author", "approver")]
        day = str(workspace.local_date(row["known_at"].to_pydatetime()))
        table.add_row(*texts, chance, value, *people, day, "yes" if row["standing"] else "no")
    console.print(table)
    console.print(f"{len(found):,} assignments; chance: with which the policy chose the rep")


def _print(found: Routed) -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    made, names = found.routing, found.routing.reps.set_index("owner_id")["name"]
    if len(made.assigned):
        whole = Column("lead", no_wrap=True, overflow="ignore", min_width=max(len(one) for one in made.assigned["lead_id"].head(ROWS)))
        table = Table(whole, "rep", f"expected, {found.currency}", "why", "best other", box=None)
        for row in made.assigned.head(ROWS).to_dict("records"):
            other = row["alternative"]
            against = "" if other is None else f"{names[other['owner_id']]} ({other['expected_value']:,.0f}): {other['reason']}"
            table.add_row(escape(row["lead_id"]), escape(str(names[row["owner_id"]])), f"{row['expected_value']:,.0f}",
                          escape(row["reason"]), escape(against))  # fmt: skip
        console.print(table)
    if len(made.unassigned):
        table = Table("lead", "why nobody has it", box=None)
        for row in made.unassigned.head(ROWS).to_dict("records"):
            table.add_row(escape(row["lead_id"]), escape(row["reason"]))
        console.print(table)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    if len(made.assigned) > ROWS:
        rest = f"; all: salesml route list --rows {len(made.assigned)}" if found.written else ""
        console.print(f"the first {ROWS} are shown{rest}")


def _text(value: object) -> str:
    from rich.markup import escape

    return escape(value) if isinstance(value, str) else ""
