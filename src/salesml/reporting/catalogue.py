"""The reports there are: one for each notebooks/NN_topic.ipynb of the checkout that salesml runs from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import salesml
from salesml.errors import UnknownName, WorkspaceError

NAME = re.compile(r"\d\d_(?P<topic>[a-z0-9_]+)")
QUESTION = re.compile(r"\*\*Question\*\*:? *(.+)")


@dataclass(frozen=True)
class Report:
    """A report by topic: its notebook, its title, and the question it answers."""

    name: str
    notebook: Path
    title: str
    question: str


def folder() -> Path:
    """The checkout's notebooks/; WorkspaceError where salesml was installed without its checkout."""
    found = Path(salesml.__file__).resolve().parents[2] / "notebooks"
    if not found.is_dir():
        raise WorkspaceError(
            f"no notebooks at {found}: they come with the source checkout. Install salesml from it: pip install -e ."
        )
    return found


def reports(notebooks: Path | None = None) -> dict[str, Report]:
    """The reports by name, in the order of their numbers."""
    found = {}
    for path in sorted((notebooks or folder()).glob("*.ipynb")):
        if NAME.fullmatch(path.stem):
            found[topic(path.stem)] = Report(topic(path.stem), path, *_headline(path))
    return found


def find(name: str, notebooks: Path | None = None) -> Report:
    """The report of that name, with or without its number; UnknownName lists the valid ones."""
    known = reports(notebooks)
    found = known.get(topic(name))
    if found is None or name not in (found.name, found.notebook.stem):
        raise UnknownName("report", name, known)
    return found


def topic(stem: str) -> str:
    """A notebook's name without its number: deals of 20_deals."""
    match = NAME.fullmatch(stem)
    return match["topic"] if match else stem


def _headline(path: Path) -> tuple[str, str]:
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    source = cells[0].source if cells else ""
    title, question = re.match(r"# *(.+)", source), QUESTION.search(source)
    return (title[1].strip() if title else path.stem), (question[1].strip() if question else "")
