"""A view as Excel, PowerPoint and PDF, read back: every number to the cent, charts native, hostile text harmless."""

from __future__ import annotations

import ctypes
import datetime as dt
import io
import re
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from openpyxl.worksheet.worksheet import Worksheet
from pptx import Presentation

from salesml.errors import BadInput, BadParameter
from salesml.reporting import chart_parts, formats, pdf_chart
from salesml.reporting.document import (
    COUNT,
    DATE,
    DAYS,
    SHARE,
    TEXT,
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Format,
    Grid,
    Heading,
    Paragraph,
    Part,
    Series,
    Value,
    money,
)
from salesml.reporting.to_excel import sheet_name, to_excel
from salesml.reporting.to_pdf import to_pdf
from salesml.reporting.to_powerpoint import to_powerpoint

MADE_AT = dt.datetime(2026, 7, 1, 6, tzinfo=dt.UTC)
EUR = money("EUR")
D = Decimal
HOSTILE = ["=cmd()", '=HYPERLINK("x")', "+1+1", "-2+3", "@SUM(A1)", "{=1}", "<b>Bob</b> & Sons", "#let x = 1", "$x^2$ *b* _i_"]
HOSTILE += ["mailto:x@example.invalid", "tab\there", "bell\x07 zero\x00", "half \ud800 pair", "internal:Sheet1!A1"]
HOSTILE += ["a]b[c:d*e?f/g\\h", "'quoted'"]
COLUMNS = (
    Column("Deal"),
    Column("Owner"),
    Column("Stage"),
    Column("Amount", EUR),
    Column("Probability", SHARE),
    Column("Expected close", DATE),
    Column("Age", DAYS),
    Column("Activities", COUNT),
)
EXPORTS: dict[str, Callable[[Document, Path], None]] = {"xlsx": to_excel, "pptx": to_powerpoint, "pdf": to_pdf}


def deals(number: int) -> Grid:
    """A table of deals with gaps, negative and odd amounts, and a total."""
    rows = tuple(
        (
            HOSTILE[place % len(HOSTILE)] if place % 3 == 0 else f"Großhandel Süd {place}",
            ("Zoë Müller", "François Lefèvre", "Ana Núñez")[place % 3],
            None if place % 7 == 6 else ("Qualify", "Propose")[place % 2],
            None if place % 5 == 4 else D("1234567.89") - D("98765.43") * place,
            None if place % 11 == 10 else (place % 17) / 17,
            dt.date(2026, 7, 1) + dt.timedelta(place),
            place * 3,
            place % 11,
        )
        for place in range(number)
    )
    total = sum((row[3] for row in rows if row[3] is not None), D(0))
    return Grid("Deals that need attention", COLUMNS, rows, ("Total", None, None, total, None, None, None, None))


LINE = Chart(
    "line",
    "Revenue by month",
    ("May", "June", "July", "August"),
    (
        Series("Booked", (D("1410000.10"), D("1500200.20"), None, None)),
        Series("Expected", (None, D("1500200.20"), D("1520000"), D("1490000")), (None, None, D("1350000"), D("1280000.5")),
               (None, None, D("1690000"), D("1720000.25")), "80 % interval", True),
    ),
    EUR,
    "Revenue is expected to stay near 1.5 million.",
)  # fmt: skip
FALL = Chart(
    "waterfall",
    "Pipeline from 1 June to 1 July",
    ("1 June", "Created", "Won", "1 July"),
    (Series("Change", (D("4200000"), D("950000.10"), D("-610000.10"), D("4540000.00"))),),
    EUR,
    "Pipeline rose by 0.34 million.",
    (0, 3),
)
REPS = ("Zoë Müller-Lüdenscheidt", "=1+1")
BARS = Chart("bar", "Win rate by rep", REPS, (Series("=SUM(A1)", (0.25, None)),), SHARE, "Zoë wins a quarter.")
PILED = Chart("stacked", "By stage", ("North", "South"), (Series("Early", (3, 4)), Series("Late", (2, None))), COUNT, "North is later.")
CHARTS = (LINE, FALL, BARS, PILED)
REVENUE = Figure("Revenue", D("7930700.55"), EUR, "six months")
FIGURES = Figures((REVENUE, Figure("Cycle", 43, DAYS), Figure("Attainment", None, SHARE, "no quota")))


def document(*parts: Part, **more: Any) -> Document:
    """A small document around the parts."""
    answer = "The quarter lands at EUR 4.62 M; 12 deals need attention."
    context = ("As known at the end of 30 June 2026", "Region: North", "Data version 41")
    return Document("Pipeline review", answer, parts, MADE_AT, context, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One document with everything, in the three formats."""
    folder = tmp_path_factory.mktemp("exports")
    told = Paragraph("Three renewals decide it.\nTwo have not moved.")
    view = document(FIGURES, Heading("Where revenue lands"), told, *CHARTS, deals(40))
    for ending, write in EXPORTS.items():
        write(view, folder / f"view.{ending}")
    return {ending: folder / f"view.{ending}" for ending in EXPORTS}


def book(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return openpyxl.load_workbook(path)


def same(found: Any, value: Value) -> bool:
    """Whether a cell holds a value as a number, a date or text, to the cent."""
    if value is None:
        return found is None
    if isinstance(value, str):
        return bool(found == formats.clean(value))
    if isinstance(value, dt.date):
        return isinstance(found, dt.datetime) and found.date() == value
    return isinstance(found, int | float) and abs(formats.exact(found) - formats.exact(value)) < D("0.000001")


def plain(text: str) -> str:
    """Letters without gaps, as a PDF's text comes in pieces."""
    return re.sub(r"[\s\u200b\ufffe\u2011-]+", "", text)


def words(path: Path) -> list[str]:
    """The text of each page."""
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.get_textpage().get_text_bounded() for page in pdf]


# --- Excel -----------------------------------------------------------------------------------------------------------------------------


def test_every_cell_of_a_table_is_the_value_with_its_number_format(whole: dict[str, Path]) -> None:
    grid, sheet = deals(40), book(whole["xlsx"])["Deals that need attention"]
    heads = ["Deal", "Owner", "Stage", "Amount (EUR)", "Probability", "Expected close", "Age", "Activities"]
    assert [cell.value for cell in sheet[3]] == heads
    assert sheet.freeze_panes == "A4" and sheet.print_title_rows == "$3:$3"
    for row, values in zip(sheet.iter_rows(min_row=4, max_row=43), grid.rows, strict=True):
        for cell, value in zip(row, values, strict=True):
            assert same(cell.value, value), (cell.coordinate, cell.value, value)
            assert cell.data_type != "f"
    assert grid.total is not None and same(sheet["D44"].value, grid.total[3])
    codes = [sheet.cell(4, column).number_format for column in range(1, 9)]
    assert codes == ["@", "@", "@", "[$EUR] #,##0.00;-[$EUR] #,##0.00", "0.0%", "yyyy-mm-dd", '#,##0" days"', "#,##0"]
    assert next(iter(sheet.tables.values())).ref == "A3:H43"


def test_the_first_sheet_answers_and_leads_to_the_others(whole: dict[str, Path]) -> None:
    found = book(whole["xlsx"])
    front = found.worksheets[0]
    assert (front["A1"].value, front["A2"].value[:11], front["A3"].value) == (
        "Pipeline review",
        "The quarter",
        "As known at the end of 30 June 2026",
    )
    cells = {cell.value: cell for row in front.iter_rows() for cell in row if cell.value is not None}
    assert front.cell(cells["Revenue"].row, 2).value == 7930700.55
    assert front.cell(cells["Cycle"].row, 2).number_format == '#,##0" days"'
    assert front.cell(cells["Attainment"].row, 2).value is None
    links = [cell.hyperlink.location for row in front.iter_rows() for cell in row if cell.hyperlink is not None]
    targets = [link.split("!")[0].strip("'") for link in links]
    assert targets == [sheet.title for sheet in found.worksheets[1:]] and len(targets) == 5
    assert found.properties.title == "Pipeline review" and found.properties.created == MADE_AT.replace(tzinfo=None)


def charted(sheet: Worksheet, reference: str) -> list[Any]:
    """The values of the cells a chart refers to, which must be of this very sheet."""
    name, area = reference.rsplit("!", 1)
    assert name.strip("'").replace("''", "'") == sheet.title
    cells = sheet[area.replace("$", "")]
    return [cell.value for row in cells for cell in row] if isinstance(cells, tuple) else [cells.value]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.kind)
def test_charts_of_excel_are_native_and_point_to_their_cells(whole: dict[str, Path], chart: Chart) -> None:
    sheet = book(whole["xlsx"])[chart.title]
    assert len(sheet._charts) == 1
    plots = [sheet._charts[0], *sheet._charts[0]._charts[1:]]
    series = [one for plot in plots for one in plot.series]
    drawn = {}
    for one in series:
        assert charted(sheet, one.cat.strRef.f) == list(chart.categories)
        drawn[charted(sheet, one.tx.strRef.f)[0]] = charted(sheet, one.val.numRef.f)
    rows = range(27, 27 + len(chart.categories))
    cells = {sheet.cell(26, column).value: [sheet.cell(row, column).value for row in rows] for column in range(2, 12)}
    for own in chart.series:
        assert all(same(found, value) for found, value in zip(cells[own.name], own.values, strict=True))
    if chart.kind == "waterfall":
        ends = [sum(drawn[name][place] or 0 for name in ("▁", "■", "▲", "▼")) for place in range(4)]
        assert ends == pytest.approx([4200000, 5150000.10, 5150000.10, 4540000], abs=0.001)
    else:
        assert {own.name for own in chart.series} <= set(drawn)
    if chart is LINE:
        assert [a + b for a, b in zip(drawn["▁"], drawn["80 % interval"], strict=True)] == [1410000.10, 1500200.20, 1690000, 1720000.25]


def test_charts_of_excel_have_a_text_alternative(whole: dict[str, Path]) -> None:
    with zipfile.ZipFile(whole["xlsx"]) as packed:
        drawings = [packed.read(name).decode() for name in packed.namelist() if re.fullmatch(r"xl/drawings/drawing\d+\.xml", name)]
    assert {re.search('descr="([^"]*)"', xml).group(1) for xml in drawings} == {chart.alt for chart in CHARTS}  # type: ignore[union-attr]


def test_hostile_text_stays_text_in_excel(tmp_path: Path) -> None:
    names = [Column(text) for text in (*HOSTILE, "same", "Same", "")]
    grid = Grid("=cmd()", tuple(names), (tuple(column.name for column in names),))
    chart = replace(BARS, title="=1+1", categories=("=1+1", "{=2}"))
    to_excel(document(grid, chart, Heading("=1"), Paragraph("=2"), Figures((Figure("=3", "=4", TEXT, "=5"),))), tmp_path / "hostile.xlsx")
    with zipfile.ZipFile(tmp_path / "hostile.xlsx") as packed:
        for name in packed.namelist():
            content = etree.fromstring(packed.read(name)) if name.endswith((".xml", ".rels")) else None
            assert content is not None and not content.findall(".//{*}c/{*}f"), name
            assert b'TargetMode="External"' not in packed.read(name)
    cells = [cell for sheet in book(tmp_path / "hostile.xlsx").worksheets for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells if cell.value is not None} <= {"s", "n"}
    assert {"=cmd()", "@SUM(A1)", "bell zero", "half  pair", "=1+1", "=4"} <= {cell.value for cell in cells}


@given(st.lists(st.text(max_size=60), max_size=12))
@settings(max_examples=60, deadline=None)
def test_sheet_names_are_what_excel_accepts(titles: list[str]) -> None:
    taken: set[str] = set()
    names = [sheet_name(title, taken) for title in [*titles, "History", "x" * 40, "X" * 40, "''", "a/b"]]
    assert len({name.lower() for name in names}) == len(names) and "history" not in {name.lower() for name in names}
    for name in names:
        assert 0 < len(name) <= 31 and not re.search(r"[\[\]:*?/\\]", name) and name.strip("'") == name


def test_numbers_of_more_digits_than_excel_keeps_are_written_out(tmp_path: Path) -> None:
    rows = ((D("9999999999999.99"),), (D("12345678901234567.89"),), (D("100000000000000000.00"),), (D("-0.01"),), (D("0.10"),))
    to_excel(document(Grid("Digits", (Column("Amount", EUR),), rows)), tmp_path / "d.xlsx")
    sheet = book(tmp_path / "d.xlsx")["Digits"]
    assert [sheet.cell(row, 1).value for row in range(4, 9)] == [9999999999999.99, "12345678901234567.89", 1e17, -0.01, 0.1]


def test_a_date_before_excels_calendar_is_text(tmp_path: Path) -> None:
    to_excel(document(Grid("Dates", (Column("Day", DATE),), ((dt.date(1899, 12, 31),), (dt.date(1900, 3, 1),)))), tmp_path / "d.xlsx")
    sheet = book(tmp_path / "d.xlsx")["Dates"]
    assert sheet["A4"].value == "1899-12-31" and sheet["A5"].value == dt.datetime(1900, 3, 1)


# --- PowerPoint ------------------------------------------------------------------------------------------------------------------------


def test_slides_say_the_answer_first_and_hold_the_context(whole: dict[str, Path]) -> None:
    deck = Presentation(str(whole["pptx"]))
    slides = list(deck.slides)
    assert slides[0].shapes.title.text == "The quarter lands at EUR 4.62 M; 12 deals need attention."
    for slide in slides:
        assert slide.shapes.title.text.strip() and "Data version 41" in slide.notes_slide.notes_text_frame.text
    texts = [shape.text_frame.text for shape in slides[1].shapes if shape.has_text_frame]
    assert any("EUR\u00a07,930,700.55" in text and "six months" in text for text in texts) and any("43 days" in text for text in texts)
    assert any("–" in text and "no quota" in text for text in texts)
    assert deck.core_properties.title == "Pipeline review" and deck.core_properties.created == MADE_AT.replace(tzinfo=None)


def pictured(path: Path, title: str) -> Any:
    """The frame of the chart on the slide of that title."""
    slides = [slide for slide in Presentation(str(path)).slides if slide.shapes.title.text == title]
    return next(shape for shape in slides[0].shapes if shape.has_chart)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.kind)
def test_charts_of_powerpoint_are_native_with_the_documents_numbers(whole: dict[str, Path], chart: Chart) -> None:
    frame = pictured(whole["pptx"], chart.title)
    assert frame._element.nvGraphicFramePr.cNvPr.get("descr") == chart.alt
    drawn = {series.name: list(series.values) for plot in frame.chart.plots for series in plot.series}
    assert list(frame.chart.plots[0].categories) == list(chart.categories)
    edit = openpyxl.load_workbook(io.BytesIO(frame.chart.part.chart_workbook.xlsx_part.blob))["Sheet1"]
    heads = [cell.value for cell in edit[1]][1:]
    columns = {name: [edit.cell(row, heads.index(name) + 2) for row in range(2, len(chart.categories) + 2)] for name in heads}
    assert [edit.cell(row, 1).value for row in range(2, len(chart.categories) + 2)] == list(chart.categories)
    assert set(drawn) == set(heads)
    for name, values in drawn.items():
        assert all(cell.data_type != "f" for cell in columns[name]) and edit.cell(1, heads.index(name) + 2).data_type == "s"
        assert [cell.value for cell in columns[name]] == values
    if chart.kind == "waterfall":
        ends = [sum(drawn[name][place] or 0 for name in ("▁", "■", "▲", "▼")) for place in range(4)]
        assert ends == pytest.approx([4200000, 5150000.10, 5150000.10, 4540000], abs=0.001)
        labels = frame.chart.plots[1].series[0].points
        assert [labels[n].data_label.text_frame.text for n in range(4)] == ["4.2M", "+950K", "−610K", "4.5M"]
    else:
        for own in chart.series:
            assert all(same(found, value) for found, value in zip(drawn[own.name], own.values, strict=True))
    if chart is LINE:
        assert [type(plot).__name__ for plot in frame.chart.plots] == ["AreaPlot", "LinePlot"]


def tables(path: Path) -> list[tuple[str, list[list[str]]]]:
    """Title and cells of each table of a deck."""
    found = []
    for slide in Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_table:
                rows = [[cell.text_frame.text for cell in row.cells] for row in shape.table.rows]
                found.append((slide.shapes.title.text, rows))
    return found


def test_a_long_table_goes_on_over_numbered_slides(whole: dict[str, Path]) -> None:
    found, grid = tables(whole["pptx"]), deals(40)
    assert len(found) > 1
    assert [title for title, _ in found] == [f"{grid.caption}  {number} / {len(found)}" for number in range(1, len(found) + 1)]
    head, *body = formats.cells(grid, "en")
    assert all(rows[0] == head for _, rows in found)
    assert [[plain(cell) for cell in row] for _, rows in found for row in rows[1:]] == [[plain(cell) for cell in row] for row in body]
    bottom = max(shape.top + shape.height for slide in Presentation(str(whole["pptx"])).slides for shape in slide.shapes)
    assert bottom <= Presentation(str(whole["pptx"])).slide_height


# --- PDF -------------------------------------------------------------------------------------------------------------------------------


def test_the_pdf_is_tagged_titled_and_in_its_language(tmp_path: Path) -> None:
    to_pdf(document(FIGURES, *CHARTS, deals(3), locale="de"), tmp_path / "v.pdf")
    pdf = pypdfium2.PdfDocument(tmp_path / "v.pdf")
    assert pdfium.FPDFCatalog_IsTagged(pdf)
    assert pdf.get_metadata_dict()["Title"] == "Pipeline review" and pdf.get_metadata_dict()["CreationDate"].startswith("D:20260701060000")
    raw = (tmp_path / "v.pdf").read_bytes()
    assert b"/Lang(de)" in raw.replace(b" ", b"") and b"pdfuaid:part" in raw
    alternatives, kinds = structure(pdf)
    assert alternatives == {chart.alt for chart in CHARTS}
    assert {"H1", "Table", "TH", "TD", "Figure"} <= kinds
    fonts = {name for page in pdf for name in page_fonts(page)}
    assert fonts and all("DejaVuSans" in name and embedded for name, embedded in fonts)


def page_fonts(page: Any) -> set[tuple[str, bool]]:
    """Name of each font on a page, and whether it is in the file."""
    found = set()
    for item in page.get_objects([pdfium.FPDF_PAGEOBJ_TEXT]):
        font = pdfium.FPDFTextObj_GetFont(item)
        buffer = ctypes.create_string_buffer(200)
        pdfium.FPDFFont_GetBaseFontName(font, buffer, 200)
        found.add((buffer.value.decode(), pdfium.FPDFFont_GetIsEmbedded(font) == 1))
    return found


def structure(pdf: Any) -> tuple[set[str], set[str]]:
    """The alternative texts and the kinds of elements in the tags of all pages."""
    alternatives, kinds = set(), set()

    def text(element: Any, read: Any) -> str:
        size = read(element, None, 0)
        buffer = ctypes.create_string_buffer(max(size, 2))
        read(element, buffer, size)
        return buffer.raw[: max(size - 2, 0)].decode("utf-16-le")

    def walk(element: Any) -> None:
        kinds.add(text(element, pdfium.FPDF_StructElement_GetType))
        alternatives.add(text(element, pdfium.FPDF_StructElement_GetAltText))
        for number in range(pdfium.FPDF_StructElement_CountChildren(element)):
            child = pdfium.FPDF_StructElement_GetChildAtIndex(element, number)
            if child:
                walk(child)

    for page in pdf:
        tree = pdfium.FPDF_StructTree_GetForPage(page)
        for number in range(pdfium.FPDF_StructTree_CountChildren(tree)):
            walk(pdfium.FPDF_StructTree_GetChildAtIndex(tree, number))
        pdfium.FPDF_StructTree_Close(tree)
    return alternatives - {""}, kinds


def test_the_pdf_shows_every_number_and_repeats_the_headings(tmp_path: Path) -> None:
    grid = deals(90)
    to_pdf(document(grid), tmp_path / "v.pdf")
    pages = words(tmp_path / "v.pdf")
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert "Amount (EUR)" in page and "Activities" in page and f"{number} / {len(pages)}" in page
    whole_text = plain("".join(pages))
    for row in formats.cells(grid, "en"):
        for cell in row:
            assert plain(cell) in whole_text, cell


def inside(path: Path, margin: float) -> None:
    """No letter lies outside its page's margins, and no text lies on another."""
    with pypdfium2.PdfDocument(path) as pdf:
        for page in pdf:
            width, height = page.get_size()
            bounds = [item.get_bounds() for item in page.get_objects([pdfium.FPDF_PAGEOBJ_TEXT])]
            for left, bottom, right, top in bounds:
                assert left >= margin - 1 and right <= width - margin + 1 and 0 <= bottom <= top <= height, (left, right, width)
            for number, (left, bottom, right, top) in enumerate(bounds):
                for other in bounds[:number]:
                    wide, high = min(right, other[2]) - max(left, other[0]), min(top, other[3]) - max(bottom, other[1])
                    assert wide < 1 or high < 2, (left, bottom, right, top, other)


@pytest.mark.parametrize("columns", [1, 8, 16])
def test_no_column_is_cut_off(tmp_path: Path, columns: int) -> None:
    kinds = [Column(f"Erwarteter Betrag {n}", EUR) if n % 3 else Column(f"Begründung {n}") for n in range(columns)]
    row = tuple(D("-123456789.01") if n % 3 else "Ein langer Satz darüber, warum das so ist, und " + "x" * 70 for n in range(columns))
    to_pdf(document(Grid("Wide", tuple(kinds), (row,) * 5), locale="de"), tmp_path / "v.pdf")
    inside(tmp_path / "v.pdf", 40)
    assert "".join(words(tmp_path / "v.pdf")).count("123.456.789,01") == 5 * (columns - (columns + 2) // 3)  # none is broken over lines


def test_hostile_text_is_set_as_it_is_in_the_pdf(tmp_path: Path) -> None:
    parts = [Paragraph(text) for text in HOSTILE] + [Heading("#heading(1) *x*"), replace(BARS, title="#let a", alt="#alt $x$")]
    to_pdf(document(*parts, deals(20)), tmp_path / "v.pdf")
    shown = plain("".join(words(tmp_path / "v.pdf")))
    for text in [*HOSTILE, "#heading(1) *x*", "#let a"]:
        assert plain(formats.clean(text)) in shown


# --- all three -------------------------------------------------------------------------------------------------------------------------

EMPTY = document(
    Grid("No rows", (Column("Deal"), Column("Amount", EUR)), ()),
    Chart("bar", "No categories", (), (Series("x", ()),), COUNT, "Nothing."),
    Chart("line", "No values", ("A", "B"), (Series("x", (None, None)),), EUR, "Nothing known."),
    Chart("waterfall", "No steps", (), (Series("x", ()),), EUR, "Nothing moved."),
    Chart("stacked", "Nought", ("A",), (Series("x", (0,)),), COUNT, "Nought."),
    Figures(()),
    Paragraph(""),
)


@pytest.mark.parametrize("ending", EXPORTS)
def test_empty_tables_and_charts_still_make_a_file(tmp_path: Path, ending: str) -> None:
    EXPORTS[ending](EMPTY, tmp_path / f"v.{ending}")
    if ending == "xlsx":
        assert book(tmp_path / "v.xlsx")["No rows"]["A3"].value == "Deal"
    elif ending == "pptx":
        assert tables(tmp_path / "v.pptx") == [("No rows", [["Deal", "Amount (EUR)"], ["–", ""]])]
    else:
        assert "No rows" in "".join(words(tmp_path / "v.pdf"))


@pytest.mark.parametrize("ending", EXPORTS)
def test_the_same_document_is_the_same_file_and_nothing_is_left_beside_it(tmp_path: Path, ending: str) -> None:
    view, path = document(FIGURES, *CHARTS, deals(12)), tmp_path / f"v.{ending}"
    path.write_bytes(b"the old one")
    EXPORTS[ending](view, path)
    first = path.read_bytes()
    EXPORTS[ending](view, path)
    assert path.read_bytes() == first != b"the old one"
    if ending != "pdf":
        with zipfile.ZipFile(path) as packed:
            assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", EXPORTS)
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"v.{ending}"
    path.write_bytes(b"the old one")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        EXPORTS[ending](document(FIGURES), path)
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("ending", ["xlsx", "pdf", pytest.param("pptx", marks=pytest.mark.slow)])
def test_a_thousand_rows_all_arrive(tmp_path: Path, ending: str) -> None:
    grid, path = deals(1000), tmp_path / f"v.{ending}"
    EXPORTS[ending](document(grid), path)
    amounts = [row[3] for row in grid.rows]
    if ending == "xlsx":
        sheet = book(path)["Deals that need attention"]
        assert all(same(sheet.cell(4 + n, 4).value, amount) for n, amount in enumerate(amounts))
    elif ending == "pptx":
        shown = [row[3] for _, rows in tables(path) for row in rows[1:]]
        assert shown[:-1] == [formats.told(amount, EUR, "en", False) for amount in amounts]
    else:
        text = plain("".join(words(path)))
        assert all(plain(formats.told(amount, EUR, "en", False)) in text for amount in amounts)


@pytest.mark.slow
def test_libreoffice_opens_all_three_and_shows_the_numbers(whole: dict[str, Path], tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice (soffice) is not installed")
    for ending, path in whole.items():
        profile, out = (tmp_path / "profile").as_uri(), tmp_path / ending
        command = [office, f"-env:UserInstallation={profile}", "--headless", "--convert-to", "pdf", "--outdir", str(out), str(path)]
        if ending == "pdf":
            command[3:3] = ["--infilter=draw_pdf_import"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert ran.returncode == 0 and (out / "view.pdf").exists(), ran.stderr + ran.stdout
        text = plain("".join(words(out / "view.pdf")))
        for shown in ("7,930,700.55", "1,234,567.89", "Zoë Müller", "Revenue by month", "Pipeline from 1 June to 1 July", "=cmd()"):
            assert plain(shown) in text, (ending, shown)
        inside(out / "view.pdf", 20)


# --- the model and its words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form"),
    [(float("nan"), EUR), (True, COUNT), (1, TEXT), ("1", COUNT), (dt.datetime(2026, 1, 1), DATE), (D("Infinity"), EUR)],
)
def test_values_that_do_not_go_with_their_format_are_named(value: Any, form: Format) -> None:
    with pytest.raises(BadInput, match=r"Deals, row 2, column Amount: not a value of kind"):
        Grid("Deals", (Column("Amount", form),), ((None,), (value,)))


def test_a_waterfall_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(BadInput, match=r"1 July is 4540000.01, what stands before it adds up to 4540000.00"):
        replace(FALL, series=(Series("Change", (D("4200000"), D("950000.10"), D("-610000.10"), D("4540000.01"))),))


def test_other_faults_are_named() -> None:
    with pytest.raises(BadInput, match="currency"):
        Format("money", 'EUR"] evil')
    with pytest.raises(BadInput, match="bounds from 3 to 2"):
        Chart("line", "t", ("a",), (Series("s", (1,), (3,), (2,)),), COUNT, "alt")
    with pytest.raises(BadInput, match="2 values for 1 categories"):
        Chart("line", "t", ("a",), (Series("s", (1, 2)),), COUNT, "alt")
    with pytest.raises(BadInput, match="cannot see"):
        Chart("line", "t", ("a",), (Series("s", (1,)),), COUNT, " ")
    with pytest.raises(BadInput, match="1 values for 2 columns"):
        Grid("t", (Column("a"), Column("b")), (("x",),))
    with pytest.raises(BadParameter, match="locale 'xx_nowhere'"):
        document(locale="xx_nowhere")
    with pytest.raises(BadInput, match="without a zone"):
        Document("t", "a", (), dt.datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("locale", "amount", "share", "days"),
    [
        ("en", "EUR\u00a0-1,234,567.50", "12.3%", "43 days"),
        ("de", "-1.234.567,50\u00a0EUR", "12,3\u00a0%", "43 Tage"),
        ("fr", "-1\u202f234\u202f567,50\u00a0EUR", "12,3\u202f%", "43 jours"),
        ("es", "-1.234.567,50\u00a0EUR", "12,3\u00a0%", "43 días"),
        ("pt-BR", "EUR\u00a0-1.234.567,50", "12,3%", "43 dias"),
    ],
)
def test_numbers_are_told_as_the_reader_writes_them(locale: str, amount: str, share: str, days: str) -> None:
    told = [formats.told(value, form, locale) for value, form in ((D("-1234567.5"), EUR), (0.1234, SHARE), (43, DAYS))]
    gap = str.maketrans("\u202f\u00a0", "  ")
    assert [text.translate(gap) for text in told] == [text.translate(gap) for text in (amount, share, days)]


@given(
    st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=1, max_size=8),
    st.decimals(-(10**6), 10**6, places=2),
)
@settings(max_examples=80, deadline=None)
def test_stacked_bars_of_a_waterfall_end_where_its_steps_do(changes: list[Decimal], start: Decimal) -> None:
    """Positive parts pile up, negative parts pile down; a bar's ends are the levels before and after it."""
    values = (start, *changes, start + sum(changes, D(0)))
    names = tuple(str(n) for n in range(len(values)))
    chart = Chart("waterfall", "t", names, (Series("s", values),), EUR, "alt", (0, len(values) - 1))
    base, *parts = chart_parts.stacks(chart)
    level = D(0)
    for place, value in enumerate(values):
        before, after = (D(0), value) if place in chart.totals else (level, level + value)
        level = after
        under = base.values[place] or D(0)
        up = sum((part.values[place] or D(0) for part in parts if (part.values[place] or 0) > 0), D(0))
        down = sum((part.values[place] or D(0) for part in parts if (part.values[place] or 0) < 0), D(0))
        assert max(under, D(0)) + up == max(before, after, D(0)) and min(under, D(0)) + down == min(before, after, D(0))


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
@settings(max_examples=80, deadline=None)
def test_ticks_are_round_and_reach_over_all_values(one: float, other: float) -> None:
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    marks = pdf_chart.ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-3)
    assert marks[0] <= low + slack and marks[-1] >= high - slack and 2 <= len(marks) <= 9
    assert any(abs(mark) <= slack for mark in marks)
