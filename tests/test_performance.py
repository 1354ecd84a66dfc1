"""Performance of a period in a report and in the terminal: the measures' own numbers."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from salesml.analytics.measures import MEASURES
from salesml.analytics.slices import measure, previous
from salesml.cli import measure as commands
from salesml.errors import BadParameter, UnknownName
from salesml.figures import performance as shown
from salesml.workflows.books import book_of
from salesml.workflows.performance import performance


@pytest.fixture(scope="module")
def found(tiny_workspace):
    return performance(tiny_workspace, months=6)


def test_every_measure_is_beside_the_period_before_now_and_then(found, tiny_workspace):
    assert found.figures["measure"].tolist() == list(MEASURES)
    here = measure(found.book, ["bookings", "pipeline"], period=found.period).iloc[0]
    assert found.now("bookings") == float(here["bookings"]) and found.now("pipeline") == float(here["pipeline"])
    then = book_of(tiny_workspace, found.period[0])
    figures = found.figures.set_index("measure")
    assert figures.loc["pipeline", "then"] == float(measure(then, ["pipeline"])["pipeline"].iloc[0])
    assert pd.isna(figures.loc["pipeline", "before"])
    earlier = measure(then, ["bookings"], period=previous(found.period)).iloc[0]
    assert figures.loc["bookings", "then"] == float(earlier["bookings"])
    assert len(found.months) <= 6 and found.months["period"].max() < pd.Timestamp(found.book.day.replace(day=1))
    assert sum(found.slices["bookings"]) == here["bookings"]


def test_the_tables_say_what_the_frames_hold(found):
    names = shown.Names(found.meanings, found.currency)
    table = shown.figures_table(found.figures, names).html
    assert f"{found.now('bookings'):,.0f}" in table and "as it looked then" in table
    assert all(one.formula.split(",")[0] in shown.meanings_table(names).html.replace("&#x27;", "'") for one in MEASURES.values())
    assert str(found.period[0]) in found.sentence
    for one in (shown.slices_table(found.slices, found.by, names), shown.months_table(found.months, names)):
        assert found.currency in one.html


def test_a_period_or_dimension_there_is_not_is_refused(tiny_workspace):
    with pytest.raises(BadParameter, match="is no period"):
        performance(tiny_workspace, period="last spring")
    with pytest.raises(BadParameter, match="has no dimension 'colour'"):
        performance(tiny_workspace, by="colour")


def test_the_command_prints_slices_and_writes_them_exactly(tiny_workspace, tmp_path):
    app = typer.Typer()
    commands.register(app)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["measure", *words], obj=str(tiny_workspace.root), env={"COLUMNS": "200"})
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    assert "win_rate" in run() and "Deals won / deals closed" in run()
    book = book_of(tiny_workspace)
    whole = (dt.date(book.day.year - 1, 1, 1), dt.date(book.day.year, 1, 1))
    told = measure(book, ["bookings"], by=["region"], period=whole)
    out = tmp_path / "regions.csv"
    printed = run("bookings", "--by", "region", "--period", str(book.day.year - 1), "--out", str(out))
    assert all(f"{amount:,.2f}" in printed for amount in told["bookings"])
    written = pd.read_csv(out, dtype=str)
    assert written["bookings"].tolist() == [str(amount) for amount in told["bookings"]]
    assert "2,024" not in run("deals_won", "--every", "year")
    with pytest.raises(BadParameter, match="is not NAME=VALUE"):
        run("bookings", "--where", "region")
    with pytest.raises(UnknownName, match="measure 'turnover'"):
        run("turnover")
