"""A document as a tagged PDF: headings, tables and charts that a screen reader finds, fonts embedded, pages numbered."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import typst

from salesml.reporting import formats, pdf_chart
from salesml.reporting.chart_parts import drawable
from salesml.reporting.document import Chart, Document, Figures, Grid, Heading, Paragraph, Part

TEMPLATE = Path(__file__).parent / "page" / "export.typ"
PAPER_PT = {"a4": (595.28, 841.89), "us-letter": (612.0, 792.0)}
MARGIN_PT, TYPE_PT = 40.0, 8.5


def to_pdf(document: Document, path: Path) -> None:
    """Write the document to a .pdf file, whole or not at all.

    The file conforms to PDF/UA-1. Pages lie on their side where a table is too wide to stand, and grow wider where it would not even
    fit then; no column is cut off. Letters that the embedded font lacks come from the machine's fonts, or are shown as the box of their
    script. The same document gives the same bytes on the same machine.
    """
    data = json.dumps(_data(document), ensure_ascii=False)
    made_at = document.made_at.astimezone(dt.UTC)
    content = typst.compile(
        str(TEMPLATE), sys_inputs={"document": data}, font_paths=_fonts(), format="pdf", pdf_standards="ua-1", timestamp=made_at
    )
    assert isinstance(content, bytes)  # a PDF is one file
    formats.write_whole(path, content)


@cache
def _fonts() -> typst.Fonts:
    """DejaVu Sans as the matplotlib wheel ships it; the machine's fonts stand in only for letters it lacks."""
    found = importlib.util.find_spec("matplotlib")
    assert found is not None and found.submodule_search_locations is not None  # a dependency of ours
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return typst.Fonts(include_system_fonts=True, include_embedded_fonts=False, font_paths=[folder])


def _data(document: Document) -> dict[str, Any]:
    locale = formats.locale_of(document.locale)
    grids = {id(part): _Fitted(part, document) for part in document.parts if isinstance(part, Grid)}
    narrow, long = PAPER_PT[document.paper]
    widest = max((grid.least_pt for grid in grids.values()), default=0.0) + 2 * MARGIN_PT
    width, height = (narrow, long) if widest <= narrow else (max(long, widest), narrow)
    return {
        "title": formats.clean(document.title),
        "answer": formats.clean(document.answer),
        "context": [formats.clean(line) for line in document.context],
        "language": locale.language,
        "region": locale.territory,
        "width": width,
        "height": height,
        "parts": [_part(part, document, grids, width - 2 * MARGIN_PT) for part in document.parts],
    }


def _part(part: Part, document: Document, grids: dict[int, _Fitted], room_pt: float) -> dict[str, Any]:
    if isinstance(part, Heading):
        return {"kind": "heading", "text": formats.clean(part.text)}
    if isinstance(part, Paragraph):
        return {"kind": "paragraph", "text": formats.breakable(formats.clean(part.text))}
    if isinstance(part, Figures):
        told = [formats.told(one.value, one.format, document.locale) for one in part.items]
        items = [(formats.clean(one.name), value, formats.clean(one.remark)) for one, value in zip(part.items, told, strict=True)]
        return {"kind": "figures", "items": [dict(zip(("name", "value", "remark"), item, strict=True)) for item in items]}
    if isinstance(part, Chart):
        alt, drawn = formats.clean(part.alt), pdf_chart.shapes(drawable(part), document.locale)
        return {"kind": "chart", "title": formats.clean(part.title), "alt": alt, "shapes": drawn}
    return grids[id(part)].laid_out(room_pt)


class _Fitted:
    """A table as text, and the least width (points) it needs in its usual type size."""

    def __init__(self, grid: Grid, document: Document) -> None:
        self.grid = grid
        self.texts = formats.cells(grid, document.locale)
        self.text_columns = [column.format.kind == "text" for column in grid.columns]
        self.least_pt = self._widths(0.0)[1] * TYPE_PT

    def _widths(self, most_em: float) -> tuple[list[float], float]:
        return formats.column_widths(self.texts, self.text_columns, most_em, self.grid.total is not None)

    def laid_out(self, room_pt: float) -> dict[str, Any]:
        """The table for the template, with widths in points that fit the room; empty, it shows one dash."""
        widths, _ = self._widths(room_pt / TYPE_PT)
        wide = [[formats.breakable(cell) for cell in row] for row in self.texts]
        body = wide[1:-1] if self.grid.total is not None else wide[1:]
        return {
            "kind": "grid",
            "caption": formats.clean(self.grid.caption),
            "size": TYPE_PT,
            "widths": [round(width * TYPE_PT, 2) for width in widths],
            "numbers": [not text for text in self.text_columns],
            "head": wide[0],
            "rows": body or [[formats.MISSING] + [""] * (len(wide[0]) - 1)],
            "total": wide[-1] if self.grid.total is not None else None,
        }
