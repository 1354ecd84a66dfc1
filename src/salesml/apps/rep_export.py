"""A rep's day as a document for Excel, PowerPoint and PDF: the same numbers as its screen, exact."""

from __future__ import annotations

import pandas as pd

from salesml.apps import activity_words, overview_export, overview_words, rep_screens, rep_words
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.overview_export import plain
from salesml.apps.rep_data import Day, chance
from salesml.reporting.document import SHARE, Column, Format, Grid, Paragraph, Part, money

DATE = Format("date")


def today(at: Day, language: Language) -> list[Part]:
    """Everything to do, first things first."""
    _ = language._
    rows = [
        (
            rep_words.action(language, item), None if item.row is None or item.about != "deal" else plain(item.row.amount),
            chance(item.row) if item.about == "deal" else None, item.stake, "; ".join(rep_words.reasons(language, item)),
        )
        for item in at.items
    ]  # fmt: skip
    columns = (Column(_("What to do")), Column(_("Amount"), money(at.currency)), Column(_("Chance to win"), SHARE),
               Column(_("At stake"), money(at.currency)), Column(_("Why")))  # fmt: skip
    return [Grid(_("To do today"), columns, tuple(rows)), Paragraph(rep_screens.rule(language))] if rows else []


def deals(at: Day, language: Language) -> list[Part]:
    """Open deals by what they are expected to bring in the quarter."""
    _, found = language._, at.expected
    rows = []
    for deal in records(found):
        closes = None if pd.isna(deal.close_date) else pd.Timestamp(deal.close_date).date()
        signs = "; ".join(overview_words.warnings(language, deal)) or _("none")
        rows.append((str(deal.name), plain(deal.account), plain(deal.amount), plain(deal.p_quarter), plain(deal.expected), str(deal.stage),
                     closes, signs))  # fmt: skip
    amount = money(at.currency)
    columns = (Column(_("Deal")), Column(_("Account")), Column(_("Amount"), amount), Column(_("Chance this quarter"), SHARE),
               Column(_("Expected"), amount), Column(_("Stage")), Column(_("Close date"), DATE), Column(_("Warning signs")))  # fmt: skip
    caption = _("Most expected in {quarter} first: amount × chance to be won in it", quarter=language.span(*at.quarter))
    return [Grid(caption, columns, tuple(rows))] if rows else []


def standing(at: Day, language: Language) -> list[Part]:
    """His figures beside his own before, and beside the middle of the peers."""
    _, titles, middles = language._, overview_words.titles(language), at.middles()
    rows = [
        (
            titles[row.measure], *(overview_words.value(language, row.measure, one, at.currency)
                                   for one in (row.now, row.before, row.year, middles.get(row.measure))),
        )
        for row in records(at.figures())
    ]  # fmt: skip
    heads = (_("Figure"), language.span(*at.period), _("The quarter before"), _("A year before"), _("Middle of the peers"))
    return [Grid(rep_screens.peers(at, language), tuple(Column(one) for one in heads), tuple(rows))]


def week(at: Day, language: Language) -> list[Part]:
    """How his open pipeline moved in a week."""
    return overview_export.why(at, language)


def hints(at: Day, language: Language) -> list[Part]:
    """Coaching hints that are sure."""
    return activity_words.hint_parts(language, at.hints, at.currency, named=False)
