"""`salesml backtest revenue`: how forecasts of the past would have fared, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.series import backtest_app

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add this module's command to the group `backtest`, which `cli.series` adds to the app."""
    backtest_app.command("revenue")(backtest_revenue)


def backtest_revenue(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")] = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="Months ahead.")] = 6,
    prophet: Annotated[bool, typer.Option(help="Let Prophet take part; without it the run is faster.")] = True,
) -> None:
    """Forecast revenue from earlier months and compare with what happened, beside seasonal naive; nothing is published."""
    workspace = workspace_of(context)
    with step("backtesting the revenue forecast"):
        from salesml.workflows.backtest import backtest_revenue as backtest

        found = backtest(workspace, as_of, months, prophet)
    console.print(f"[bold]{found.sentence}[/]")
    months_ahead = _table(found.table[found.table["step"] == 0], ("level", "model"), "MASE")
    console.print(f"single months, 1 to {months} ahead together" if months > 1 else "the month ahead", months_ahead)
    if len(found.quarters):
        console.print("three months together", _table(found.quarters, ("level", "model")))
    champion = found.table[(found.table["model"] == "champion") & (found.table["level"] == "company") & (found.table["step"] > 0)]
    console.print("the champion of the company by months ahead", _table(champion, ("step",), "MASE"))
    told = "champion: what would have been chosen at each origin, by errors known then; × naive: WAPE over seasonal naive's"
    for line in (told, *found.notes):
        console.print(line, markup=False)


def _table(rows: pd.DataFrame, names: tuple[str, ...], *more: str) -> Table:
    """Figures of each row, named by `names`; `more` are further figures."""
    from rich.table import Table

    shown = Table(*names, "n", "WAPE", "× naive (95 %)", *more, "bias", "in 80 %", "in 95 %", box=None)
    for row in rows.to_dict("records"):
        named = [str(row[name]).replace("_", " ") for name in names]
        inside = [f"{row[name]:.0%}" for name in ("cover80", "cover95")]
        shown.add_row(*named, *_error(row), *(f"{row[name.lower()]:.2f}" for name in more), f"{row['bias']:+.1%}", *inside)
    return shown


def _error(row: Any) -> list[str]:
    """n, WAPE, and its ratio to seasonal naive's with the interval where there is one."""
    ratio, low, high = (row[f"to_seasonal_naive{end}"] for end in ("", "_lo", "_hi"))
    interval = "" if low != low else f" ({low:.2f} to {high:.2f})"
    return [f"{row['n']:,}", f"{row['wape']:.1%}", f"{ratio:.2f}{interval}"]
