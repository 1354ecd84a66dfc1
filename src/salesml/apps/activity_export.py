"""What of the activity app is no table, for Excel, PowerPoint and PDF: the weeks as a chart, and the hints."""

from __future__ import annotations

from salesml.apps import activity_screens, activity_words
from salesml.apps.activity_data import Touch
from salesml.apps.language import Language
from salesml.reporting.document import COUNT, Chart, Column, Grid, Part, Series, Value


def volume(at: Touch, language: Language) -> list[Part]:
    """Activities by week and type: a chart and its numbers."""
    if at.done.weeks.empty:
        return []
    wide, title = activity_screens.by_week(at, language), language._("Activities by week and type")
    weeks = tuple(language.day(day.date(), short=True) for day in wide.index)
    series = tuple(Series(str(name), tuple(int(count) for count in wide[name])) for name in wide)
    columns = (Column(language._("Week of")), *(Column(str(name), COUNT) for name in wide))
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (week, *map(int, row)) for week, row in zip(weeks, wide.itertuples(index=False), strict=True)
    )
    return [Chart("stacked", title, weeks, series, COUNT, activity_screens.volume_told(language, wide)), Grid(title, columns, rows)]


def hints(at: Touch, language: Language) -> list[Part]:
    """Coaching hints that are sure."""
    return activity_words.hint_parts(language, at.done.hints, at.currency, named=at.place.level != "rep")
