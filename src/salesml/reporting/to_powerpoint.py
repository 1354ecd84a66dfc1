"""A document as PowerPoint slides: the answer on the first, then figures, native charts and native tables."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Emu, Inches, Pt

from salesml.reporting import formats
from salesml.reporting.chart_parts import drawable
from salesml.reporting.document import Chart, Document, Figures, Grid, Heading, Paragraph
from salesml.reporting.formats import ACCENT, GROUND, INK, LINE, SOFT
from salesml.reporting.powerpoint_charts import add_chart

WIDTH, HEIGHT, MARGIN = Inches(13.333), Inches(7.5), Inches(0.6)
BODY_TOP, BODY_HEIGHT = Inches(1.35), Inches(5.45)
TITLE_ONLY = 5  # the library's own layouts by number
CELL_POINTS, LINE_INCHES, CELL_INCHES = 12, 0.2, 0.14
FIGURES_A_SLIDE, FIGURES_A_ROW, TEXT_LETTERS, CELL_LETTERS = 6, 3, 700, 160
NARROWER = 0.92  # a slide's font against the generous measure of `width_em`
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
Line = tuple[str, float, str, bool]
"""Text, points, colour, bold."""


def to_powerpoint(document: Document, path: Path) -> None:
    """Write the document to a .pptx file, whole or not at all.

    Charts and tables are PowerPoint's own and can be edited; a long table goes on over slides named 1 / 3, 2 / 3, …; a cell's text is
    cut after 160 letters with …. Each slide's notes hold the context. The same document gives the same bytes.
    """
    deck = Presentation()
    deck.slide_width, deck.slide_height = WIDTH, HEIGHT
    told = deck.core_properties
    told.title, told.subject = formats.clean(document.title)[:255], formats.clean(document.answer)[:255]
    told.author, told.last_modified_by, told.language = "salesml", "salesml", document.locale
    told.created = told.modified = document.made_at.astimezone(dt.UTC).replace(tzinfo=None)
    _Deck(deck, document).write()
    buffer = io.BytesIO()
    deck.save(buffer)
    formats.write_whole(path, _dated(buffer.getvalue()))


def _dated(packed: bytes) -> bytes:
    """The same zip with one fixed time on every entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(zipfile.ZipInfo(entry.filename, ZIP_TIME), source.read(entry), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


class _Deck:
    """The presentation being written."""

    def __init__(self, deck: Any, document: Document) -> None:
        self.deck, self.document = deck, document
        self.layout = deck.slide_layouts[TITLE_ONLY]
        for shapes in (deck.slide_master.placeholders, self.layout.placeholders):
            for shape in list(shapes):
                if shape.placeholder_format.type is not None and shape.placeholder_format.idx >= 10:
                    shape._element.getparent().remove(shape._element)  # date, footer and number of a 4:3 page
        self.heading = document.title

    def write(self) -> None:
        """One slide after another, in the document's order; texts under one heading share a slide."""
        self._first()
        texts: list[str] = []
        for part in self.document.parts:
            if isinstance(part, Paragraph):
                if texts and sum(map(len, texts)) + len(part.text) > TEXT_LETTERS:
                    self._text(texts)
                    texts = []
                texts.append(part.text)
                continue
            if texts:
                self._text(texts)
                texts = []
            if isinstance(part, Heading):
                self.heading = part.text
            elif isinstance(part, Figures):
                for start in range(0, len(part.items), FIGURES_A_SLIDE):
                    self._figures(Figures(part.items[start : start + FIGURES_A_SLIDE]))
            elif isinstance(part, Chart):
                self._chart(part)
            else:
                self._grid(part)
        if texts:
            self._text(texts)
        self._finish()

    def slide(self, title: str, more: str = "", size: float = 26) -> Any:
        """A slide with its title, and the document's context in its notes."""
        slide = self.deck.slides.add_slide(self.layout)
        shape = slide.shapes.title
        shape.left, shape.top, shape.width, shape.height = MARGIN, Inches(0.4), WIDTH - 2 * MARGIN, Inches(0.85)
        _say(shape.text_frame, [(title, size, INK, True)])
        shape.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
        notes = [self.document.title, self.document.answer, *self.document.context, *([more] if more else [])]
        slide.notes_slide.notes_text_frame.text = formats.clean("\n".join(notes))
        return slide

    def _first(self) -> None:
        slide = self.slide(self.document.answer, size=36 if len(self.document.answer) <= 140 else 28)
        title = slide.shapes.title
        title.top, title.height = Inches(1.9), Inches(2.5)
        title.text_frame.paragraphs[0].runs[0].font.color.rgb = RGBColor.from_string(ACCENT)
        _box(slide, MARGIN, Inches(1.2), WIDTH - 2 * MARGIN, Inches(0.6), [(self.document.title, 20, SOFT, True)])
        lines = [(line, 16, SOFT, False) for line in self.document.context]
        _box(slide, MARGIN, Inches(4.7), WIDTH - 2 * MARGIN, Inches(2), lines or [(" ", 16, SOFT, False)])

    def _text(self, texts: list[str]) -> None:
        slide = self.slide(self.heading)
        lines = [(line, 20, INK, False) for text in texts for line in text.split("\n")]
        _box(slide, MARGIN, BODY_TOP, Inches(10.5), BODY_HEIGHT, lines, space=10)

    def _figures(self, part: Figures) -> None:
        slide = self.slide(self.heading)
        width, height = (WIDTH - 2 * MARGIN) // FIGURES_A_ROW, Inches(2.3)
        values = [formats.told(figure.value, figure.format, self.document.locale) for figure in part.items]
        longest = max(map(len, values), default=0)
        size = 32 if longest <= 12 else 24 if longest <= 18 else 18
        for place, (figure, value) in enumerate(zip(part.items, values, strict=True)):
            left, top = MARGIN + width * (place % FIGURES_A_ROW), BODY_TOP + Inches(0.2) + height * (place // FIGURES_A_ROW)
            lines = [(figure.name, 16, SOFT, False), (value, size, INK, True), (figure.remark or " ", 14, SOFT, False)]
            _box(slide, left, top, width - Inches(0.3), height, lines)

    def _chart(self, part: Chart) -> None:
        slide = self.slide(part.title, part.alt)
        box = (MARGIN, BODY_TOP, WIDTH - 2 * MARGIN, BODY_HEIGHT)
        frame = add_chart(slide.shapes, drawable(part), box, self.document.locale, self.document.made_at)
        _describe(frame, part.title, part.alt)

    def _grid(self, part: Grid) -> None:
        texts = formats.cells(part, self.document.locale)
        texts = [[cell if len(cell) <= CELL_LETTERS else cell[: CELL_LETTERS - 1] + "…" for cell in row] for row in texts]
        room = (WIDTH - 2 * MARGIN) / Pt(CELL_POINTS) / NARROWER
        widths, _ = formats.column_widths(texts, [column.format.kind == "text" for column in part.columns], room, part.total is not None)
        pages = list(_pages(texts, [width * room / sum(widths) for width in widths]))
        for number, rows in enumerate(pages, 1):
            title = f"{part.caption}  {number} / {len(pages)}" if len(pages) > 1 else part.caption
            slide = self.slide(title)
            closing = number == len(pages) and part.total is not None
            frame = _table(slide, part, [texts[0], *rows], widths, closing)
            _describe(frame, title, part.caption)

    def _finish(self) -> None:
        """Number the slides, and say in what language their texts are."""
        language = str(formats.locale_of(self.document.locale)).replace("_", "-")
        total = len(self.deck.slides)
        for number, slide in enumerate(self.deck.slides, 1):
            text = (f"{number} / {total}", 11, SOFT, False)
            foot = _box(slide, WIDTH - MARGIN - Inches(2), Inches(6.95), Inches(2), Inches(0.35), [text])
            foot.text_frame.paragraphs[0].alignment = PP_ALIGN.RIGHT
            for properties in slide._element.iter(qn("a:rPr")):
                properties.set("lang", language)


def _say(frame: Any, lines: Sequence[Line], space: float = 2) -> None:
    """Put lines (text, points, colour, bold) into a text frame; they wrap and start at the left."""
    frame.word_wrap = True
    for number, (text, size, colour, bold) in enumerate(lines):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.alignment, paragraph.space_after = PP_ALIGN.LEFT, Pt(space)
        run = paragraph.add_run()
        run.text = formats.clean(text).replace("\n", " ")
        run.font.size, run.font.bold, run.font.color.rgb = Pt(size), bold, RGBColor.from_string(colour)


def _box(slide: Any, left: int, top: int, width: int, height: int, lines: Sequence[Line], space: float = 2) -> Any:
    box = slide.shapes.add_textbox(Emu(int(left)), Emu(int(top)), Emu(int(width)), Emu(int(height)))
    _say(box.text_frame, lines, space)
    return box


def _describe(frame: Any, name: str, alt: str) -> None:
    """The name and alternative text of a chart's or table's frame."""
    properties = frame._element.nvGraphicFramePr.cNvPr
    properties.set("name", formats.clean(name))
    properties.set("descr", formats.clean(alt))


def _lines(row: list[str], widths: list[float]) -> int:
    """How many lines the tallest cell of a row takes."""
    room = [max(width - formats.CELL_PADDING_EM, 1.0) for width in widths]
    return max(-(-int(formats.width_em(cell) * 10) // int(space * 10)) or 1 for cell, space in zip(row, room, strict=True))


def _pages(texts: list[list[str]], widths: list[float]) -> Iterator[list[list[str]]]:
    """The rows below the headings in portions that fit a slide; one portion, a dash, where there are none."""
    body = texts[1:] or [[formats.MISSING] + [""] * (len(texts[0]) - 1)]
    start = _lines(texts[0], widths) * LINE_INCHES + CELL_INCHES
    page: list[list[str]] = []
    used = start
    for row in body:
        height = _lines(row, widths) * LINE_INCHES + CELL_INCHES
        if page and used + height > BODY_HEIGHT / Inches(1):
            yield page
            page, used = [], start
        page.append(row)
        used += height
    yield page


def _table(slide: Any, grid: Grid, rows: list[list[str]], widths: list[float], closing: bool) -> Any:
    """A table with a header row, hairlines and numbers to the right; `closing` sets the last row apart."""
    whole = WIDTH - 2 * MARGIN
    frame = slide.shapes.add_table(len(rows), len(widths), MARGIN, BODY_TOP, whole, Inches(0.34) * len(rows))
    table = frame.table
    table.horz_banding = False
    table._tbl.tblPr.find(qn("a:tableStyleId")).text = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # no style, no grid
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Emu(int(whole * width / sum(widths)))
    numbers = [column.format.kind != "text" for column in grid.columns]
    for place, (cells, row) in enumerate(zip(rows, table.rows, strict=True)):
        row.height = Inches(LINE_INCHES + CELL_INCHES)
        head, last = place == 0, closing and place == len(rows) - 1
        for cell, text, number in zip(row.cells, cells, numbers, strict=True):
            _cell(cell, text, number, SOFT if head else INK, head or last, head)
    return frame


def _cell(cell: Any, text: str, number: bool, colour: str, bold: bool, head: bool) -> None:
    cell.margin_top = cell.margin_bottom = Inches(0.05)
    cell.margin_left = cell.margin_right = Inches(0.08)
    cell.vertical_anchor = MSO_ANCHOR.BOTTOM if head else MSO_ANCHOR.TOP
    paragraph = cell.text_frame.paragraphs[0]
    paragraph.alignment = PP_ALIGN.RIGHT if number else PP_ALIGN.LEFT
    run = paragraph.add_run()
    run.text = text.replace("\n", " ")
    run.font.size, run.font.bold, run.font.color.rgb = Pt(CELL_POINTS), bold, RGBColor.from_string(colour)
    line = f'<a:solidFill><a:srgbClr val="{SOFT if head else LINE}"/></a:solidFill>'
    fill = f'<a:solidFill><a:srgbClr val="{GROUND}"/></a:solidFill>' if head else "<a:noFill/>"
    properties = cell._tc.get_or_add_tcPr()
    properties.append(parse_xml(f'<a:lnB {nsdecls("a")} w="9525">{line}</a:lnB>'))
    properties.append(parse_xml(fill.replace(">", f" {nsdecls('a')}>", 1) if head else f'<a:noFill {nsdecls("a")}/>'))
