"""Lead sources on the terminal: what converts, what it costs, what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.deals import AS_OF

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

ROWS = 20


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(sources)


def sources(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="source, campaign, channel, landing_page, first_touch or month.")] = "source",
    as_of: AS_OF = None,
    within_days: Annotated[int | None, typer.Option(min=1, help="Days within which a lead has to convert; default: found.")] = None,
    credit: Annotated[bool, typer.Option("--credit", help="Show also which channels the rules of attribution give the credit to.")] = False,
) -> None:
    """Show how leads convert by source, campaign or channel, what they cost and return, and what may be advised."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("looking at where leads come from"):
        from salesml.analytics.lead_sources import BY
        from salesml.workflows.lead_sources import lead_sources

        found = lead_sources(workspace, as_of, by, within_days)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    rows = found.rows.head(ROWS).to_dict("records")
    leads = Table(BY[by], "leads", "converted", "rate (90 %)", "won (90 %)", "days", box=None)
    for row in rows:
        rates = [_within(row, "rate", "lo", "hi", 100, ".1f", " %"), _within(row, "won_rate", "won_lo", "won_hi", 100, ".0f", " %")]
        days = _known(row["days_to_convert"], ".0f")
        leads.add_row(escape(str(row["label"])), f"{row['leads']:,}", f"{row['conversions']:,}", *rates, days)
    console.print(leads)
    money = Table(BY[by], "cost", "a lead", "a conversion", "revenue", "ROI (90 %)", box=None)
    for row in rows:
        cost = "unknown" if row["cost"] is None else f"{row['cost']:,.0f}"
        each, back = _within(row, *_ends("conversion_cost"), 1, ",.0f"), _within(row, *_ends("roi"), 1, ",.1f")
        money.add_row(escape(str(row["label"])), cost, _known(row["cost_per_lead"], ",.0f"), each, f"{row['revenue']:,.0f}", back)
    console.print(money)
    if len(found.rows) > ROWS:
        console.print(f"the {ROWS} with most leads of {len(found.rows):,}")
    console.print(
        f"money in {found.currency}; ROI in the end: ({found.basis} - cost) / cost; won: share of deals; days: until half of the "
        "conversions came; open leads and deals count by their age"
    )
    if credit:
        console.print(_credit(found.attribution))
    console.print(escape(found.comparison))
    console.print(escape(found.advice.replace("**", "")))
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/]")


def _credit(attribution: pd.DataFrame) -> Table:
    from rich.markup import escape
    from rich.table import Table

    models = list(dict.fromkeys(attribution["model"]))
    wide = attribution.pivot(index="channel", columns="model", values="share")[models].fillna(0.0).sort_values(models[-1], ascending=False)
    table = Table("credit for conversions", *models, box=None)
    for channel, row in wide.iterrows():
        table.add_row(escape(str(channel)), *(f"{row[name]:.1%}" for name in models))
    return table


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_lo", f"{name}_hi"


def _known(value: float, form: str) -> str:
    return "unknown" if value != value else format(value, form)


def _within(row: dict[Any, Any], value: str, lo: str, hi: str, times: int, form: str, unit: str = "") -> str:
    if row[value] != row[value]:
        return "unknown"
    middle, low, high = (format(times * row[name], form) for name in (value, lo, hi))
    return f"{middle}{unit} ({low} to {high})"
