"""Scenarios: turn levers on the quarter, save them, put them side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, step, workspace_of

if TYPE_CHECKING:
    import pandas as pd

scenario_app = typer.Typer(no_args_is_help=True, help="What if: turn levers on this quarter, save scenarios, put them side by side.")
AsOf = Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(scenario_app, name="scenario")
    for name, command in (("run", run), ("list", show), ("compare", compare), ("remove", remove)):
        scenario_app.command(name)(command)


def run(
    context: typer.Context,
    win_rate: Annotated[str, typer.Option(help="More deals won, as 10% or 0.1; -10% for fewer.")] = "0",
    cycle: Annotated[str, typer.Option(help="Deals take longer, as 10%; -10% for shorter.")] = "0",
    price: Annotated[str, typer.Option(help="Higher amounts of what is not won yet, as 5%; loses no deal of itself.")] = "0",
    creation: Annotated[str, typer.Option(help="More revenue of deals not open yet, as 20%.")] = "0",
    headcount: Annotated[int, typer.Option(help="Reps who join today; below 0: leave.")] = 0,
    ramp_months: Annotated[float, typer.Option(help="Months until a rep who joins is as productive as the others.")] = 3.0,
    quota: Annotated[str, typer.Option(help="Higher quotas, as 5%.")] = "0",
    quota_amount: Annotated[float | None, typer.Option(help="The company's quota instead; all others in proportion.")] = None,
    market: Annotated[list[str] | None, typer.Option(help="More won in a region or industry, as region/West=-20%; repeatable.")] = None,
    save: Annotated[str | None, typer.Option(help="Keep the levers under this name.")] = None,
    as_of: AsOf = None,
) -> None:
    """Recompute this quarter with levers turned; without any, three joint scenarios. As a page: salesml report scenarios."""
    from rich.table import Table

    from salesml.analytics.levers import Levers, market_of, share_of

    shares = {name: share_of(text) for name, text in {"win_rate": win_rate, "cycle": cycle, "price": price, "creation": creation}.items()}
    levers = Levers(
        **shares, headcount=headcount, ramp_months=ramp_months, quota=share_of(quota), quota_amount=quota_amount,
        market=tuple(market_of(market or []).items()),
    )  # fmt: skip
    workspace = workspace_of(context)
    with step("simulating the quarter"):
        from salesml.state.scenarios import checked
        from salesml.workflows import scenarios

        if save is not None:
            checked(save)
        found = scenarios.scenario(workspace, levers, as_of)
    if save is not None:
        scenarios.save(workspace, save, levers, found.case.as_of)
    console.print(f"[bold]{_plain(found.sentence)}[/]")
    currency = found.case.currency
    if levers.turned:
        table = Table("lever", f"expected ({currency})", "chance of quota", box=None)
        for row in found.outcome.parts[found.outcome.parts["level"] == "company"].to_dict("records"):
            points = "–" if row["probability"] != row["probability"] else f"{100 * row['probability']:+.1f} points"
            table.add_row(row["lever"].replace("_", " "), f"{row['expected']:+,.0f}", points)
        console.print(table)
    _three(found.outcome.joint, currency)
    console.print(found.need, markup=False)
    console.print(found.notes, markup=False)
    if save is not None:
        console.print(f"saved as {save}", markup=False)


def show(context: typer.Context) -> None:
    """List the saved scenarios."""
    from rich.table import Table

    from salesml.analytics.levers import Levers
    from salesml.workflows.scenario_words import lever_words
    from salesml.workflows.scenarios import saved

    workspace = workspace_of(context)
    found = saved(workspace)
    if not found:
        console.print("no scenario is saved; save one with: salesml scenario run --win-rate 10% --save NAME")
        return
    table = Table("name", "levers", "by", "saved", "as of", box=None)
    for one in found:
        told = lever_words(Levers.of(one.levers), workspace.settings.currency)
        days = [str(workspace.local_date(at)) for at in (one.created_at, one.as_of)]
        table.add_row(*map(_plain, (one.name, told, one.author, *days)))
    console.print(table)


def compare(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Saved scenarios.")],
    as_of: AsOf = None,
) -> None:
    """Recompute saved scenarios as of one instant and put them beside how things stand."""
    from rich.table import Table

    workspace = workspace_of(context)
    with step("simulating the quarter"):
        from salesml.workflows import scenarios

        case, sides = scenarios.compare(workspace, names, as_of)
    for level in ("company", "region"):
        rows = sides[sides["level"] == level]
        title = None if level == "company" else "by region"
        columns = ["scenario", f"expected ({case.currency})", "80 % interval", "quota", "chance", "missing if missed"]
        columns[1:1] = ["region"] if level == "region" else []
        table = Table(*columns, title=title, title_justify="left", box=None)
        for row in rows.to_dict("records"):
            whose = [_plain(row["label"])] if level == "region" else []
            interval = f"{row['lo80']:,.0f} to {row['hi80']:,.0f}"
            chance = "–" if row["probability"] != row["probability"] else f"{row['probability']:.0%}"
            money = [_money(row[name]) for name in ("quota", "shortfall")]
            table.add_row(_plain(row["scenario"]), *whose, _money(row["expected"]), interval, money[0], chance, money[1])
        console.print(table)
    for name, told in dict(zip(sides["scenario"], sides["levers"], strict=True)).items():
        console.print(f"{name}: {told}", markup=False)


def remove(context: typer.Context, name: Annotated[str, typer.Argument(help="A saved scenario.")]) -> None:
    """Remove a saved scenario; its levers stay in the audit log."""
    from salesml.workflows import scenarios

    scenarios.remove(workspace_of(context), name)
    console.print(f"{name} is removed", markup=False)


def _three(joint: pd.DataFrame, currency: str) -> None:
    from rich.table import Table

    names = ("pessimistic", "realistic", "optimistic")
    table = Table(f"joint scenarios ({currency})", *names, box=None)
    for row in joint[joint["level"].isin(["company", "region"])].to_dict("records"):
        table.add_row(_plain(row["label"]), *(f"{row[name]:,.0f}" for name in names))
    console.print(table)


def _money(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}"


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
