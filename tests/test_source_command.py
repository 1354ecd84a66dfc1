"""The command `sources`: tables, words, refusals."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from salesml.cli import sources
from salesml.errors import BadParameter, UnknownName
from salesml.workflows.lead_sources import lead_sources
from salesml.workspace import Workspace


def run(workspace: Workspace, *arguments: str) -> str:
    app = typer.Typer()

    @app.callback()
    def _root(context: typer.Context) -> None:
        context.obj = str(workspace.root)

    sources.register(app)
    done = CliRunner().invoke(app, ["sources", *arguments])
    if done.exception:
        raise done.exception
    return done.output


@pytest.fixture(autouse=True)
def _wide(monkeypatch) -> None:
    monkeypatch.setattr(sources.console, "width", 200)


def test_the_command_prints_what_the_workflow_found(tiny_workspace):
    found = lead_sources(tiny_workspace)
    shown = run(tiny_workspace)
    assert found.sentence in shown and found.comparison in shown
    row = found.rows.set_index("group").loc["referral"]
    line = next(text for text in shown.splitlines() if text.strip().startswith("referral"))
    assert f"{row['leads']:,}" in line and f"{100 * row['rate']:.1f} % ({100 * row['lo']:.1f} to {100 * row['hi']:.1f})" in line
    assert f"{row['revenue']:,.0f}" in shown and f"{row['roi']:,.1f} ({row['roi_lo']:,.1f} to {row['roi_hi']:,.1f})" in shown
    assert "position-based" not in shown and all(note in shown for note in found.notes)


def test_campaigns_credit_and_a_horizon_of_ones_own(tiny_workspace):
    shown = run(tiny_workspace, "--by", "campaign", "--within-days", "60", "--credit", "--as-of", "2026-06-01")
    found = lead_sources(tiny_workspace, "2026-06-01", "campaign", 60)
    assert "convert within 60 days" in shown and "position-based" in shown
    assert str(found.rows["label"].iloc[0]) in shown and "unknown" in shown, "a campaign that runs has no cost yet"
    assert f"the {sources.ROWS} with most leads of {len(found.rows)}" in shown


def test_what_it_refuses(tiny_workspace):
    with pytest.raises(UnknownName, match=r"unknown grouping of leads 'colour'; valid: campaign, channel"):
        run(tiny_workspace, "--by", "colour")
    with pytest.raises(BadParameter, match="is not a date"):
        run(tiny_workspace, "--as-of", "tomorrow!!")
    with pytest.raises(SystemExit):
        run(tiny_workspace, "--within-days", "0")
