"""`salesml forecast series` and `salesml backtest series`: one file of series, one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console
from salesml.errors import BadParameter

if TYPE_CHECKING:
    from salesml.workflows.series import SeriesOptions, SeriesRun

forecast_app = typer.Typer(no_args_is_help=True, help="Forecast revenue, or any file of series.")
backtest_app = typer.Typer(no_args_is_help=True, help="Measure forecasts on held-out periods.")

SourceFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, gz, Parquet or Excel, one row per series and period.")
]
Horizon = Annotated[int, typer.Option(help="Periods to forecast.", min=1)]
Season = Annotated[
    int | None, typer.Option(help="Periods in a season, 1 for none [default: from the calendar, 12 for months].")
]
Nonnegative = Annotated[
    bool | None,
    typer.Option("--nonnegative/--any-sign", help="Never below zero [default: where the history never was]."),
]
Models = Annotated[str | None, typer.Option(help="Models to combine, by comma [default: all quick ones].")]
Prophet = Annotated[bool, typer.Option("--prophet", help="Also combine Prophet (about 0.2 s a series and origin).")]
Gaps = Annotated[str, typer.Option(help="Missing periods: previous (short gaps only), zero, or error.")]
IdColumn = Annotated[str, typer.Option(help="Column that names the series.")]
TimeColumn = Annotated[str, typer.Option(help="Column of the period.")]
ValueColumn = Annotated[str, typer.Option(help="Column of the value.")]


def register(app: typer.Typer) -> None:
    """Add the groups `forecast` and `backtest` to `app`."""
    app.add_typer(forecast_app, name="forecast")
    app.add_typer(backtest_app, name="backtest")


@forecast_app.command("series")
def forecast_series(
    file: SourceFile,
    horizon: Horizon,
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    season: Season = None,
    nonnegative: Nonnegative = None,
    models: Models = None,
    prophet: Prophet = False,
    gaps: Gaps = "previous",
    id_column: IdColumn = "unique_id",
    time_column: TimeColumn = "ds",
    value_column: ValueColumn = "y",
) -> None:
    """Forecast every series of FILE (columns unique_id, ds, y) with 80 and 95 % intervals."""
    from salesml.workflows.series import forecast_file

    options = _options(horizon, season, nonnegative, models, prophet, gaps, (id_column, time_column, value_column))
    with _progress("forecasting") as progress:
        run = forecast_file(file, out, options, progress)
    _tell(run, f"{len(run.table)} forecasts of {run.table['unique_id'].nunique()} series in {out}")


@backtest_app.command("series")
def backtest_series(
    file: SourceFile,
    horizon: Horizon,
    out: Annotated[Path, typer.Option(help="JSON to write.")],
    windows: Annotated[int, typer.Option(help="Origins, each a horizon before the next.", min=1)] = 1,
    season: Season = None,
    nonnegative: Nonnegative = None,
    models: Models = None,
    prophet: Prophet = False,
    gaps: Gaps = "previous",
    id_column: IdColumn = "unique_id",
    time_column: TimeColumn = "ds",
    value_column: ValueColumn = "y",
) -> None:
    """Forecast FILE from earlier origins and compare with what happened, beside the naive forecasts."""
    from rich.table import Table

    from salesml.workflows.series import backtest_file

    options = _options(horizon, season, nonnegative, models, prophet, gaps, (id_column, time_column, value_column))
    with _progress("backtesting") as progress:
        run = backtest_file(file, out, windows, options, progress)
    shown = Table("model", "WAPE", "to seasonal naive (95 %)", "MASE", "bias", "in 80 %", "in 95 %")
    for row in run.table.sort_values("wape").itertuples():
        ratio = f"{row.to_seasonal_naive:.3f} ({row.to_seasonal_naive_lo:.3f} to {row.to_seasonal_naive_hi:.3f})"
        shown.add_row(
            str(row.model),
            f"{row.wape:.2%}",
            ratio,
            f"{row.mase:.3f}",
            f"{row.bias:+.2%}",
            f"{row.cover80:.1%}",
            f"{row.cover95:.1%}",
        )
    console.print(shown)
    _tell(run, f"accuracy by model, step, window and series in {out}")


def _options(
    horizon: int,
    season: int | None,
    nonnegative: bool | None,
    models: str | None,
    prophet: bool,
    gaps: str,
    columns: tuple[str, str, str],
) -> SeriesOptions:
    from salesml.models.series_candidates import COMBINED, DEFAULT
    from salesml.workflows.series import SeriesOptions

    names = [name.strip() for name in models.split(",") if name.strip()] if models is not None else list(DEFAULT)
    if not names:
        raise BadParameter(f"--models names no model; for example: {','.join(COMBINED)}")
    chosen = list(dict.fromkeys([*names, *(["prophet"] if prophet else [])]))
    return SeriesOptions(horizon, season, chosen, nonnegative, gaps, columns)


@contextmanager
def _progress(text: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(run: SeriesRun, last: str) -> None:
    for line in run.summary:
        console.print(line, markup=False)
    console.print(f"[green]done[/] {last}")
