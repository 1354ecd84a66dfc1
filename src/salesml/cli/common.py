"""What the command modules share: opening the workspace, showing progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from salesml.workspace import Workspace

console = Console(soft_wrap=True, highlight=False)


def workspace_of(context: typer.Context) -> Workspace:
    """The workspace chosen by --workspace, $SALESML_WORKSPACE, or the checkout."""
    return Workspace.open(context.find_root().obj)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show a spinner while a step runs (a plain line where there is no terminal) and its duration when it is done."""
    started = time.monotonic()
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        console.print(f"{text} …")
        yield
    console.print(f"[green]done[/] {text} ({time.monotonic() - started:.1f} s)")
