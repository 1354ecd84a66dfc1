"""`python -m salesml.apps.overview_file`: the overview as a sentence, and as a file where one is asked for (`salesml overview`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from salesml.apps import address
from salesml.apps.language import CODES, Language
from salesml.apps.overview import OVERVIEW
from salesml.errors import BadParameter, SalesmlError
from salesml.reporting.document import Document
from salesml.reporting.exports import check, export
from salesml.workspace import Workspace


def write(workspace: Workspace, language: str, place: str, as_of: str | None, out: Path | None) -> Document:
    """The overview's document, written to `out` where given. Raises BadParameter for a language, kind of file or place there is not."""
    if language not in CODES:
        raise BadParameter(f"language {language!r} is not one of {', '.join(CODES)}")
    if out is not None:
        check(out)
    filters = OVERVIEW.filters(workspace)
    asked = {"place": place or None, "as_of": workspace.instant(as_of) if as_of else None}
    made = OVERVIEW.document(workspace, Language(language), address.write(asked, filters), strict=True)
    if out is not None:
        export(made, out)
    return made


def main() -> int:
    """Options as one JSON object: language, place, as_of, out."""
    console, asked = Console(soft_wrap=True, highlight=False), json.loads(sys.argv[1])
    out = Path(asked["out"]) if asked["out"] else None
    try:
        made = write(Workspace.open(), asked["language"], asked["place"], asked["as_of"], out)
    except SalesmlError as error:
        Console(stderr=True, soft_wrap=True).print(f"error {error}", markup=False, highlight=False)
        return 2
    console.print(made.answer, markup=False, style="bold")
    for line in made.context:
        console.print(line, markup=False, style="dim")
    if out is not None:
        console.print(f"written: {out}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
