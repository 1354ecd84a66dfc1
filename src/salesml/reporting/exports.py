"""A document as a file of the kind its name ends in: .xlsx, .pptx or .pdf."""

from __future__ import annotations

from pathlib import Path

from salesml.errors import BadParameter
from salesml.reporting.document import Document

KINDS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "pdf": "application/pdf",
}
"""The kinds there are, and what a server calls them."""


def check(path: Path) -> None:
    """Raises BadParameter for a name that ends in no kind there is."""
    if path.suffix.removeprefix(".") not in KINDS:
        raise BadParameter(f"{path.name} ends in none of {', '.join(f'.{kind}' for kind in KINDS)}")


def export(document: Document, path: Path) -> None:
    """Write the document, whole or not at all. Raises BadParameter for a name that ends in no kind there is."""
    check(path)
    if path.suffix == ".xlsx":
        from salesml.reporting.to_excel import to_excel

        to_excel(document, path)
    elif path.suffix == ".pptx":
        from salesml.reporting.to_powerpoint import to_powerpoint

        to_powerpoint(document, path)
    else:
        from salesml.reporting.to_pdf import to_pdf

        to_pdf(document, path)
