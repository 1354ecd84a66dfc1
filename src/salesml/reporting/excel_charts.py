"""A chart as a native one of Excel, above the cells it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from xlsxwriter.chart import Chart as Drawn
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from salesml.reporting import chart_parts, formats
from salesml.reporting.document import TEXT, Chart, Document, Format, Value
from salesml.reporting.formats import BAND, INK, LINE, SOFT

ROWS_ABOVE = 25
SIZE_PX = {"width": 940, "height": 440}


class Pen(Protocol):
    """What writes cells in the workbook's looks."""

    document: Document

    def put(self, sheet: Worksheet, row: int, column: int, value: Value, form: Format, **more: Any) -> None:
        """A cell with its number format."""

    def header(self, sheet: Worksheet, row: int, names: list[str], numbers: list[bool]) -> None:
        """A row of headings."""


def write_chart(book: Workbook, sheet: Worksheet, chart: Chart, pen: Pen) -> None:
    """The chart below its title, beneath it the numbers: categories, each series with its bounds, then what only the drawing needs."""
    columns: list[tuple[str, Sequence[Any]]] = []
    where: dict[tuple[int, str], int] = {}
    for number, one in enumerate(chart.series):
        where[number, "values"] = len(columns) + 1
        columns.append((one.name, one.values))
        for side, mark in (("lower", "↓"), ("upper", "↑")) if one.lower else ():
            where[number, side] = len(columns) + 1
            columns.append((f"{one.band or one.name} {mark}", getattr(one, side)))
    helpers: list[tuple[str, Sequence[Any]]] = []
    if chart.kind == "waterfall":
        helpers = [*((stack.name, stack.values) for stack in chart_parts.stacks(chart)), ("⊤", chart_parts.tops(chart))]
    elif (bounded := chart_parts.banded(chart)) is not None:
        bottom, height = chart_parts.area(chart)
        helpers = [("▁", bottom), (bounded.band or bounded.name, height)]
    first_helper = len(columns) + 1
    _write_cells(sheet, chart, columns, helpers, pen)

    def refer(column: int, name: bool = False) -> Any:
        last = ROWS_ABOVE + max(len(chart.categories), 1)
        return [sheet.get_name(), ROWS_ABOVE, column] if name else [sheet.get_name(), ROWS_ABOVE + 1, column, last, column]

    if chart.kind == "waterfall":
        drawn = _waterfall(book, chart, refer, first_helper, pen.document.locale)
    elif chart.kind == "line":
        drawn = _lines(book, chart, refer, where, first_helper)
    else:
        drawn = _bars(book, chart, refer, where)
    _dress(drawn, chart, pen.document.locale)
    sheet.insert_chart(2, 0, drawn, {"description": formats.clean(chart.alt), "object_position": 2, "x_offset": 2})


def _write_cells(
    sheet: Worksheet, chart: Chart, columns: list[tuple[str, Sequence[Any]]], helpers: list[tuple[str, Sequence[Any]]], pen: Pen
) -> None:
    names = [" ", *(formats.clean(name) for name, _ in (*columns, *helpers))]
    pen.header(sheet, ROWS_ABOVE, names, [False] + [True] * (len(names) - 1))
    for place, category in enumerate(chart.categories):
        row = ROWS_ABOVE + 1 + place
        pen.put(sheet, row, 0, category, TEXT)
        for column, (_, values) in enumerate((*columns, *helpers), 1):
            colour = INK if column <= len(columns) else SOFT
            pen.put(sheet, row, column, values[place], chart.format, font_color=f"#{colour}")
    longest = max((len(category) for category in chart.categories), default=0)
    sheet.set_column(0, 0, min(max(longest + 2, 14), 60))
    sheet.set_column(1, len(names) - 1, 18)


def _line(colour: str, ahead: bool = False) -> dict[str, Any]:
    return {"color": f"#{colour}", "width": 2.25, **({"dash_type": "dash"} if ahead else {})}


def _lines(book: Workbook, chart: Chart, refer: Any, where: dict[tuple[int, str], int], helper: int) -> Drawn:
    lines = book.add_chart({"type": "line"})
    for number, (one, colour) in enumerate(zip(chart.series, chart_parts.colours(chart), strict=True)):
        column = where[number, "values"]
        dot = {"type": "circle", "size": 5, "fill": {"color": f"#{colour}"}, "border": {"color": f"#{colour}"}}
        marker = dot if chart_parts.dotted(chart) else {"type": "none"}
        series = {"name": refer(column, True), "categories": refer(0), "values": refer(column), "marker": marker}
        lines.add_series(series | {"line": _line(colour, one.ahead)})
    if chart_parts.banded(chart) is None:
        return lines
    area = book.add_chart({"type": "area", "subtype": "stacked"})
    for column, fill in ((helper, {"none": True}), (helper + 1, {"color": f"#{BAND}"})):
        area.add_series(
            {"name": refer(column, True), "categories": refer(0), "values": refer(column), "fill": fill, "border": {"none": True}}
        )
    area.combine(lines)
    return area


def _bars(book: Workbook, chart: Chart, refer: Any, where: dict[tuple[int, str], int]) -> Drawn:
    options = {"type": "bar" if chart_parts.lying(chart) else "column", **({"subtype": "stacked"} if chart.kind == "stacked" else {})}
    drawn = book.add_chart(options)
    for number, colour in enumerate(chart_parts.colours(chart)):
        column = where[number, "values"]
        series = {"name": refer(column, True), "categories": refer(0), "values": refer(column), "fill": {"color": f"#{colour}"}, "gap": 60}
        if chart.kind == "bar" and len(chart.series) == 1:
            code = formats.axis_code(chart.format, chart_parts.largest(chart))
            series["data_labels"] = {"value": True, "num_format": code, "font": {"color": f"#{INK}", "size": 10}}
        drawn.add_series(series)
    return drawn


def _waterfall(book: Workbook, chart: Chart, refer: Any, helper: int, locale: str) -> Drawn:
    """Stacked columns, and an unseen line along their tops that carries the labels."""
    drawn, tops = book.add_chart({"type": "column", "subtype": "stacked"}), book.add_chart({"type": "line"})
    found = chart_parts.stacks(chart)
    for column, stack in enumerate(found, helper):
        fill = {"none": True} if stack.colour is None else {"color": f"#{stack.colour}"}
        series = {"name": refer(column, True), "categories": refer(0), "values": refer(column), "fill": fill, "gap": 40}
        drawn.add_series(series | {"border": {"none": True}})
    labels = {"value": True, "position": "above", "font": {"color": f"#{INK}", "size": 10}}
    labels["custom"] = [{"value": text} for text in chart_parts.step_labels(chart, locale)]
    column = helper + len(found)
    series = {"name": refer(column, True), "categories": refer(0), "values": refer(column), "line": {"none": True}}
    tops.add_series(series | {"data_labels": labels})
    drawn.combine(tops)
    return drawn


def _dress(drawn: Drawn, chart: Chart, locale: str) -> None:
    """Calm axes, a title from the sheet's first cell, a legend only where there is something to tell apart."""
    lying = chart_parts.lying(chart)
    font = {"color": f"#{SOFT}", "size": 10}
    name = formats.unit(chart.format, locale)
    numbers: dict[str, Any] = {
        "num_format": formats.axis_code(chart.format, chart_parts.largest(chart)),
        "num_font": font,
        "line": {"none": True},
        "major_gridlines": {"visible": True, "line": {"color": f"#{LINE}", "width": 0.75}},
        **({"major_unit": 1} if chart_parts.whole_steps(chart) else {}),
        **({"name": name, "name_font": {**font, "bold": False}} if name else {}),
    }
    names: dict[str, Any] = {"num_font": font, "line": {"color": f"#{LINE}"}, "label_position": "low", "reverse": lying}
    names["major_gridlines"] = {"visible": False}
    drawn.set_x_axis(numbers if lying else names)
    drawn.set_y_axis(names if lying else numbers)
    drawn.set_title({"none": True})
    drawn.show_blanks_as("gap")
    drawn.set_chartarea({"border": {"none": True}, "fill": {"color": "#FFFFFF"}})
    drawn.set_size(SIZE_PX)
    if chart.kind == "waterfall" or (len(chart.series) == 1 and chart_parts.banded(chart) is None):
        drawn.set_legend({"none": True})
    else:
        hidden = {"delete_series": [0]} if chart_parts.banded(chart) is not None else {}
        drawn.set_legend({"position": "top", "font": font, **hidden})
