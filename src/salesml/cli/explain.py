"""Explain: the story of one deal."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salesml.cli.common import console, step, workspace_of

explain_app = typer.Typer(no_args_is_help=True, help="Tell why a score is what it is.")


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(explain_app, name="explain")
    explain_app.command("deal")(explain_deal)


def explain_deal(
    context: typer.Context,
    deal: Annotated[str, typer.Argument(help="Id of the deal, as salesml score deals lists it.")],
    as_of: Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")] = None,
    model: Annotated[str, typer.Option(help="Version of the deal model.")] = "champion",
) -> None:
    """Why a deal scores as it does, what moved since last week, past deals like it, and the next step."""
    workspace = workspace_of(context)
    with step("reading the deal's story"):
        from salesml.workflows.explain_deals import explain_deal as explain

        story = explain(workspace, deal, as_of, int(model) if model.isdigit() else model)
    console.print(f"[bold]{_escaped(story.name)}[/]: {story.sentence}")
    for sentence in story.reasons["sentence"]:
        _say(f"  {sentence}")
    _say(story.change_words)
    for sentence in story.change.told if story.change else ():
        _say(f"  {sentence}")
    _say(story.likeness)
    _say(story.recommendation)
    if story.timing is not None:
        _say(_when(story.timing))
    day = workspace.local_date(story.as_of)
    _say(f"As of {day}, deal model version {story.version} ({story.kind.replace('_', ' ')}). Factors say what the score goes by.")


def _when(timing: Any) -> str:
    import pandas as pd

    from salesml.analytics.words import percent

    day = timing["close_expected"]
    told = "More than half of such deals are open beyond what can be told" if pd.isna(day) else f"Half of such deals are closed by {day}"
    return f"{told}; P(won this quarter) {percent(timing['p_quarter'])}."


def _say(line: str) -> None:
    console.print(line, markup=False)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
