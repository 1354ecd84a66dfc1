"""A chart as a native one of PowerPoint, with the workbook that "edit data" opens."""

from __future__ import annotations

import copy
import datetime as dt
import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import xlsxwriter
from pptx.chart.chart import Chart as Drawn
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LEGEND_POSITION, XL_MARKER_STYLE, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_LINE
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn
from pptx.util import Pt

from salesml.reporting import chart_parts, formats
from salesml.reporting.document import Chart, Number
from salesml.reporting.formats import BAND, INK, LINE, SOFT
from salesml.reporting.to_excel import SAFE

NAMESPACE = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
Values = Sequence[Number | Decimal | None]


def add_chart(shapes: Any, chart: Chart, box: tuple[int, int, int, int], locale: str, made_at: dt.datetime) -> Any:
    """Draw the chart into a box (left, top, width, height; EMU) of a slide's shapes; returns the frame.

    Its data are the document's values, then the series that only the drawing needs, as in the workbook of `to_excel`.
    """
    columns = _columns(chart)
    data = CategoryChartData(number_format=formats.excel_code(chart.format, locale))
    data.categories = [formats.clean(name) for name in chart.categories]
    for name, values in columns:
        data.add_series(name, values)
    frame = shapes.add_chart(_type(chart), *box, data)
    drawn: Any = frame.chart
    drawn.part.chart_workbook.update_from_xlsx_blob(_workbook(chart, columns, locale, made_at))
    _dress(drawn, chart, locale)
    if chart.kind == "waterfall":
        _paint_waterfall(drawn, chart, locale)
    elif chart.kind == "line":
        _paint_lines(drawn, chart)
    else:
        _paint_bars(drawn, chart)
    return frame


def _columns(chart: Chart) -> list[tuple[str, Values]]:
    """What is drawn, in the order it is drawn: the area between bounds lies behind the lines."""
    if chart.kind == "waterfall":
        return [*((stack.name, stack.values) for stack in chart_parts.stacks(chart)), ("⊤", chart_parts.tops(chart))]
    found: list[tuple[str, Values]] = [(formats.clean(one.name), one.values) for one in chart.series]
    bounded = chart_parts.banded(chart)
    if bounded is None:
        return found
    bottom, height = chart_parts.area(chart)
    return [("▁", bottom), (formats.clean(bounded.band or bounded.name), height), *found]


def _type(chart: Chart) -> Any:
    if chart.kind == "line":
        return XL_CHART_TYPE.LINE_MARKERS
    if chart.kind == "waterfall":
        return XL_CHART_TYPE.COLUMN_STACKED
    stacked, lying = chart.kind == "stacked", chart_parts.lying(chart)
    if lying:
        return XL_CHART_TYPE.BAR_STACKED if stacked else XL_CHART_TYPE.BAR_CLUSTERED
    return XL_CHART_TYPE.COLUMN_STACKED if stacked else XL_CHART_TYPE.COLUMN_CLUSTERED


def _workbook(chart: Chart, columns: list[tuple[str, Values]], locale: str, made_at: dt.datetime) -> bytes:
    """The chart's own workbook as the chart refers to it; ours, because in the library's own a name like =cmd() is a formula."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, **SAFE})
    book.set_properties({"created": made_at.astimezone(dt.UTC).replace(tzinfo=None)})
    sheet = book.add_worksheet("Sheet1")
    look = book.add_format({"num_format": formats.excel_code(chart.format, locale)})
    sheet.set_column(0, len(columns), 20)
    for row, category in enumerate(chart.categories, 1):
        sheet.write_string(row, 0, formats.clean(category))
    for column, (name, values) in enumerate(columns, 1):
        sheet.write_string(0, column, name)
        for row, value in enumerate(values, 1):
            if value is not None:
                sheet.write_number(row, column, float(value), look)
    book.close()
    return buffer.getvalue()


def _colour(code: str) -> RGBColor:
    return RGBColor.from_string(code)


def _dress(drawn: Drawn, chart: Chart, locale: str) -> None:
    """Calm axes, a legend only where there is something to tell apart."""
    drawn.font.size, drawn.font.color.rgb = Pt(14), _colour(SOFT)
    drawn.has_title = False
    numbers, names = drawn.value_axis, drawn.category_axis
    numbers.has_major_gridlines = True
    numbers.major_gridlines.format.line.color.rgb = _colour(LINE)
    numbers.format.line.fill.background()
    numbers.tick_labels.number_format = formats.axis_code(chart.format, chart_parts.largest(chart))
    numbers.tick_labels.number_format_is_linked = False
    if chart_parts.whole_steps(chart):
        numbers.major_unit = 1
    names.format.line.color.rgb = _colour(LINE)
    names.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    names.reverse_order = chart_parts.lying(chart)
    names.has_major_gridlines = False
    unit = formats.unit(chart.format, locale)
    if unit:
        numbers.axis_title.text_frame.text = unit
        numbers.axis_title.text_frame.paragraphs[0].font.size = Pt(12)
        numbers.axis_title.text_frame.paragraphs[0].font.bold = False
    drawn.has_legend = chart.kind != "waterfall" and (len(chart.series) > 1 or chart_parts.banded(chart) is not None)
    if drawn.has_legend:
        drawn.legend.position = XL_LEGEND_POSITION.TOP
        drawn.legend.include_in_layout = False


def _paint_bars(drawn: Drawn, chart: Chart) -> None:
    plot = drawn.plots[0]
    plot.gap_width = 60
    for series, colour in zip(plot.series, chart_parts.colours(chart), strict=True):
        _fill(series, colour)
    if chart.kind == "bar" and len(chart.series) == 1:
        plot.has_data_labels = True
        plot.data_labels.number_format = formats.axis_code(chart.format, chart_parts.largest(chart))
        plot.data_labels.number_format_is_linked = False
        plot.data_labels.font.size, plot.data_labels.font.color.rgb = Pt(14), _colour(INK)


def _fill(series: Any, colour: str | None) -> None:
    series.invert_if_negative = False
    if colour is None:
        series.format.fill.background()
    else:
        series.format.fill.solid()
        series.format.fill.fore_color.rgb = _colour(colour)


def _paint_lines(drawn: Drawn, chart: Chart) -> None:
    found = list(drawn.plots[0].series)
    lines = found[-len(chart.series) :]
    for series, one, colour in zip(lines, chart.series, chart_parts.colours(chart), strict=True):
        series.smooth = False
        series.format.line.color.rgb, series.format.line.width = _colour(colour), Pt(2.5)
        if one.ahead:
            series.format.line.dash_style = MSO_LINE.DASH
        if not chart_parts.dotted(chart):
            series.marker.style = XL_MARKER_STYLE.NONE
            continue
        series.marker.style, series.marker.size = XL_MARKER_STYLE.CIRCLE, 7
        series.marker.format.fill.solid()
        series.marker.format.fill.fore_color.rgb = _colour(colour)
        series.marker.format.line.color.rgb = _colour(colour)
    if chart_parts.banded(chart) is not None:
        _apart(drawn, found[:2], "areaChart", '<c:grouping val="stacked"/>')
        for series, fill in zip(found[:2], (None, BAND), strict=True):
            for name in ("c:marker", "c:smooth"):
                for element in series._element.findall(qn(name)):
                    series._element.remove(element)
            series.format.line.fill.background()
            if fill is None:
                series.format.fill.background()
            else:
                series.format.fill.solid()
                series.format.fill.fore_color.rgb = _colour(fill)
        legend = drawn.legend._element
        legend.find(qn("c:legendPos")).addnext(parse_xml(f'<c:legendEntry {NAMESPACE}><c:idx val="0"/><c:delete val="1"/></c:legendEntry>'))


def _paint_waterfall(drawn: Drawn, chart: Chart, locale: str) -> None:
    plot = drawn.plots[0]
    plot.gap_width = 40
    found, stacks = list(plot.series), chart_parts.stacks(chart)
    for series, stack in zip(found, stacks, strict=False):
        _fill(series, stack.colour)
    tops = found[-1]
    _apart(drawn, [tops], "lineChart", '<c:grouping val="standard"/>', behind=False)
    for element in tops._element.findall(qn("c:invertIfNegative")):
        tops._element.remove(element)
    line = drawn.plots[1].series[0]
    line.format.line.fill.background()
    line.marker.style = XL_MARKER_STYLE.NONE
    for place, text in enumerate(chart_parts.step_labels(chart, locale)):
        label = line.points[place].data_label
        label.text_frame.text = text
        label.text_frame.paragraphs[0].font.size = Pt(14)
        label.text_frame.paragraphs[0].font.color.rgb = _colour(INK if place in chart.totals else SOFT)
        label._get_or_add_dLbl().get_or_add_dLblPos().set("val", "t")


def _apart(drawn: Drawn, series: list[Any], tag: str, grouping: str, behind: bool = True) -> None:
    """Move series into a plot of another type on the same axes, which the library has no call for."""
    plot = drawn.plots[0]._element
    other = parse_xml(f'<c:{tag} {NAMESPACE}>{grouping}<c:varyColors val="0"/></c:{tag}>')
    for one in series:
        other.append(one._element)
    for axis in plot.findall(qn("c:axId")):
        other.append(copy.deepcopy(axis))
    (plot.addprevious if behind else plot.addnext)(other)


