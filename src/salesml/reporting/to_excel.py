"""A document as an Excel workbook: a first sheet that answers, one sheet a table, one a chart with its numbers; real cells throughout."""

from __future__ import annotations

import datetime as dt
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format as Look
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from salesml.reporting import formats
from salesml.reporting.chart_parts import drawable
from salesml.reporting.document import TEXT, Chart, Document, Figures, Format, Grid, Heading, Paragraph, Value
from salesml.reporting.excel_charts import write_chart
from salesml.reporting.formats import ACCENT, GROUND, INK, LINE, SOFT

SAFE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
"""Options of a workbook in which text stays text, whatever it begins with."""
FIRST_DAY = dt.date(1900, 3, 1)
"""Excel counts a 29 February 1900; before this day its dates are not ours."""
MOST_LETTERS, MOST_DIGITS, SHEET_LETTERS, LINK_LETTERS = 32_000, 15, 31, 250
SUMMARY_WIDTHS = (38, 26, 56)
PAPER = {"a4": 9, "us-letter": 1}


def to_excel(document: Document, path: Path) -> None:
    """Write the document to an .xlsx file, whole or not at all.

    Amounts, counts, shares and dates are numbers with a format; one of more digits than Excel keeps (15) is written as text, so that no
    digit changes. Text never becomes a formula or a link. The same document gives the same bytes.
    """
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, **SAFE})
    book.set_properties(
        {
            "title": formats.clean(document.title)[:255],
            "subject": formats.clean(document.answer)[:255],
            "comments": formats.clean("\n".join(document.context))[:255],
            "author": "salesml",
            "created": document.made_at.astimezone(dt.UTC).replace(tzinfo=None),
        }
    )
    _Book(book, document).write()
    book.close()
    formats.write_whole(path, buffer.getvalue())


def sheet_name(title: str, taken: set[str]) -> str:
    """A name Excel accepts for a sheet, not in `taken` (lower case), to which it is added."""
    plain = re.sub(r"[\[\]:*?/\\\s]+", " ", formats.clean(title)).strip(" '")[:SHEET_LETTERS].strip(" '") or "–"
    name, number = plain, 1
    while name.lower() in taken or name.lower() == "history":
        number += 1
        tail = f" ({number})"
        name = plain[: SHEET_LETTERS - len(tail)].strip(" '") + tail
    taken.add(name.lower())
    return name


class _Book:
    """The workbook being written: its looks, made once each, and the names of its sheets."""

    def __init__(self, book: Workbook, document: Document) -> None:
        self.book, self.document = book, document
        self.taken: set[str] = set()
        self.looks: dict[tuple[tuple[str, Any], ...], Look] = {}

    def look(self, **properties: Any) -> Look:
        """A cell's format; the same properties give the same one."""
        key = tuple(sorted(properties.items()))
        if key not in self.looks:
            self.looks[key] = self.book.add_format({"font_color": f"#{INK}", "font_size": 11, "valign": "top", **properties})
        return self.looks[key]

    def sheet(self, title: str, landscape: bool) -> Worksheet:
        """A new sheet, set up for print: one page wide, numbered."""
        sheet = self.book.add_worksheet(sheet_name(title, self.taken))
        sheet.hide_gridlines(2)
        sheet.set_paper(PAPER[self.document.paper])
        sheet.fit_to_pages(1, 0)
        sheet.set_margins(left=0.5, right=0.5, top=0.6, bottom=0.7)
        sheet.set_footer("&C&9&P / &N")
        if landscape:
            sheet.set_landscape()
        return sheet

    def put(self, sheet: Worksheet, row: int, column: int, value: Value, form: Format, **more: Any) -> None:
        """A cell with its number format; blank where there is no value."""
        look = {"num_format": formats.excel_code(form, self.document.locale), **more}
        if form.kind != "text":
            look.setdefault("align", "right")
        if value is None:
            sheet.write_blank(row, column, None, self.look(**look))
        elif isinstance(value, str):
            sheet.write_string(row, column, formats.clean(value)[:MOST_LETTERS], self.look(**look))
        elif isinstance(value, dt.date):
            if value >= FIRST_DAY:
                sheet.write_datetime(row, column, dt.datetime(value.year, value.month, value.day), self.look(**look))
            else:
                sheet.write_string(row, column, value.isoformat(), self.look(**look))
        elif _keeps(value):
            sheet.write_number(row, column, float(value), self.look(**look))
        else:
            sheet.write_string(row, column, format(formats.exact(value).normalize(), "f"), self.look(**look))

    def write(self) -> None:
        """The summary in the document's order, and behind it a sheet for each table and chart."""
        front = self.sheet(self.document.title, landscape=False)
        front.set_first_sheet()
        front.activate()
        for column, width in enumerate(SUMMARY_WIDTHS):
            front.set_column(column, column, width)
        self._wide(front, 0, self.document.title, 18, bold=True)
        self._wide(front, 1, self.document.answer, 14, font_color=f"#{ACCENT}", bold=True)
        row = 2
        for line in self.document.context:
            row = self._wide(front, row, line, 10, font_color=f"#{SOFT}")
        row += 1
        for part in self.document.parts:
            if isinstance(part, Heading):
                row = self._wide(front, row + 1, part.text, 13, bold=True)
            elif isinstance(part, Paragraph):
                row = self._wide(front, row, part.text, 11)
            elif isinstance(part, Figures):
                row = self._figures(front, row, part)
            else:
                row = self._link(front, row, part.caption if isinstance(part, Grid) else part.title, self._behind(part))

    def _wide(self, sheet: Worksheet, row: int, text: str, size: float, **more: Any) -> int:
        """A line over all columns of the summary, as high as it needs; returns the next row."""
        letters = sum(SUMMARY_WIDTHS) * 11 / size
        lines = sum(max(1, -(-len(line) // int(letters * 0.92))) for line in formats.clean(text).split("\n"))
        sheet.set_row(row, min(lines * size * 1.4 + 3, 400))
        sheet.merge_range(row, 0, row, len(SUMMARY_WIDTHS) - 1, "")
        self.put(sheet, row, 0, text, TEXT, text_wrap=True, font_size=size, **more)
        return row + 1

    def _figures(self, sheet: Worksheet, row: int, part: Figures) -> int:
        for figure in part.items:
            line = {"bottom": 1, "bottom_color": f"#{LINE}"}
            self.put(sheet, row, 0, figure.name, TEXT, text_wrap=True, font_color=f"#{SOFT}", **line)
            self.put(sheet, row, 1, figure.value, figure.format, align="right", bold=True, **line)
            self.put(sheet, row, 2, figure.remark or None, TEXT, text_wrap=True, align="left", indent=2, font_color=f"#{SOFT}", **line)
            row += 1
        return row + 1

    def _link(self, sheet: Worksheet, row: int, title: str, name: str) -> int:
        target = "internal:'" + name.replace("'", "''") + "'!A1"
        text = formats.clean(title)[:LINK_LETTERS]
        sheet.write_url(row, 0, target, self.look(font_color=f"#{ACCENT}", underline=1), f"→ {text}")
        return row + 1

    def _behind(self, part: Grid | Chart) -> str:
        """Write a table's or chart's own sheet; returns its name."""
        title = part.caption if isinstance(part, Grid) else part.title
        sheet = self.sheet(title, landscape=isinstance(part, Chart) or len(part.columns) > 5)
        self.put(sheet, 0, 0, title, TEXT, bold=True, font_size=14)
        if isinstance(part, Grid):
            self._grid(sheet, part)
        else:
            write_chart(self.book, sheet, drawable(part), self)
        return str(sheet.get_name())

    def header(self, sheet: Worksheet, row: int, names: list[str], numbers: list[bool]) -> None:
        """A row of headings, those of numbers to the right."""
        for column, (name, number) in enumerate(zip(names, numbers, strict=True)):
            self.put(sheet, row, column, name, TEXT, **self.header_look(number))

    @staticmethod
    def header_look(number: bool) -> dict[str, Any]:
        """How a heading looks."""
        return {
            "bold": True,
            "text_wrap": True,
            "valign": "vcenter",
            "font_color": f"#{SOFT}",
            "bg_color": f"#{GROUND}",
            "bottom": 2,
            "bottom_color": f"#{SOFT}",
            "align": "right" if number else "left",
        }

    def _grid(self, sheet: Worksheet, grid: Grid) -> None:
        top, rows, columns = 2, max(len(grid.rows), 1), len(grid.columns)
        numbers = [column.format.kind != "text" for column in grid.columns]
        texts = formats.cells(grid, self.document.locale)
        names = _distinct(texts[0])
        body = {"bottom": 1, "bottom_color": f"#{LINE}", "text_wrap": True}
        looks = [self.look(**self.header_look(number)) for number in numbers]
        heads = [{"header": name, "header_format": look} for name, look in zip(names, looks, strict=True)]
        sheet.add_table(top, 0, top + rows, columns - 1, {"columns": heads, "style": None})
        sheet.set_row(top, 32)
        widths = _widths(texts, grid)
        for place, values in enumerate(grid.rows, top + 1):
            sheet.set_row(place, _row_points(texts[place - top], widths))
            for column, (value, kind) in enumerate(zip(values, grid.columns, strict=True)):
                self.put(sheet, place, column, value, kind.format, **body)
        if grid.total is not None:
            for column, (value, kind) in enumerate(zip(grid.total, grid.columns, strict=True)):
                self.put(sheet, top + rows + 1, column, value, kind.format, bold=True, top=2, top_color=f"#{SOFT}")
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.freeze_panes(top + 1, 0)
        sheet.repeat_rows(top)


def _keeps(value: int | Decimal | float) -> bool:
    """Whether Excel keeps every digit: a float as it is, an exact number of up to 15 digits."""
    return isinstance(value, float) or len(formats.exact(value).normalize().as_tuple().digits) <= MOST_DIGITS


def _widths(texts: list[list[str]], grid: Grid) -> list[float]:
    """Column widths in Excel's letters: what is shown, currencies and the filter's button included, at most 60."""
    found = []
    for place, column in enumerate(grid.columns):
        name = texts[0][place]
        head = (len(name) if len(name) <= 16 else max(len(word) for word in name.split())) + 4
        longest = max((len(line) for row in texts[1:] for line in row[place].split("\n")), default=0)
        longest += 5 if column.format.kind == "money" else 2
        found.append(float(min(max(head, longest, 11 if column.format.kind == "date" else 8), 60)))
    return found


def _row_points(cells: list[str], widths: list[float]) -> float:
    """How high a row must be for its wrapped texts (points; Excel knows at most 409)."""
    lines = max(sum(max(1, -(-len(line) // int(width))) for line in cell.split("\n")) for cell, width in zip(cells, widths, strict=True))
    return float(min(15 * lines + 2, 405))


def _distinct(names: list[str]) -> list[str]:
    """Headings as a table of Excel's needs them: none empty, no two alike."""
    taken: set[str] = set()
    found = []
    for name in names:
        plain = re.sub(r"\s+", " ", name)[:240].strip() or "–"
        fresh, number = plain, 1
        while fresh.lower() in taken:
            number += 1
            fresh = f"{plain} ({number})"
        taken.add(fresh.lower())
        found.append(fresh)
    return found
