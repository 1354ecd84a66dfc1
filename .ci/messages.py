"""Bring the apps' translations in line with their sources: new sentences are added empty, those no longer said are removed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from salesml.apps.language import CODES, LOCALE, NAMES, catalogue

APPS = Path(__file__).resolve().parents[1] / "src" / "salesml" / "apps"
TEXTS = {"_": 1, "n_": 2}
"""How many of the first arguments are texts."""
HEADER = r"""# What the apps say, in {name}.
msgid ""
msgstr ""
"Language: {code}\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: {plural}\n"

"""


def said() -> Catalog:
    """Every sentence of the apps: the texts handed to `_` and `n_`, inside f-strings too (which Babel's own extraction passes over)."""
    found = Catalog(locale="en", fuzzy=False)
    for path in sorted(APPS.rglob("*.py")):
        for message in texts(path):
            found.add(message)
    return found


def texts(path: Path) -> Iterator[str | tuple[str, ...]]:
    """The sentences of a source file; SyntaxError where one is not written out, for then nobody could translate it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        if name in TEXTS:
            given = [part.value if isinstance(part, ast.Constant) else None for part in node.args[: TEXTS[name]]]
            if len(given) < TEXTS[name] or not all(isinstance(text, str) for text in given):
                raise SyntaxError(f"{path.name}, line {node.lineno}: hand {name}() its sentence written out, values by name")
            yield given[0] if len(given) == 1 else tuple(given)


def main() -> int:
    """Write the four files anew; 1 where a sentence is still without a translation."""
    template, lacking = said(), 0
    for code in CODES[1:]:
        path = LOCALE / code / "LC_MESSAGES" / "salesml.po"
        known = catalogue(code) if path.exists() else Catalog(locale=code)
        written = Catalog(locale=code, fuzzy=False)
        for message in template:
            if message.id:
                had = known.get(message.id)
                written.add(message.id, had.string if had else None, flags=message.flags)
                if not (had and (all(had.string) if isinstance(had.string, tuple) else had.string)):
                    lacking += 1
                    print(f"{code}: {message.id if isinstance(message.id, str) else message.id[0]!r} has no translation yet")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(HEADER.format(name=NAMES[code], code=code, plural=written.plural_forms).encode())
            write_po(file, written, width=0, sort_output=True, no_location=True, omit_header=True)
    return int(lacking > 0)


if __name__ == "__main__":
    sys.exit(main())
