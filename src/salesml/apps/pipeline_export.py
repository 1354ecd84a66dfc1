"""The pipeline app's screens as documents for Excel, PowerPoint and PDF: the same deals and numbers as the screen, exact."""

from __future__ import annotations

import datetime as dt
import re

import pandas as pd

from salesml.analytics import pipeline
from salesml.apps import deals, feature_words, landing, story, theme
from salesml.apps import pipeline_screens as screens
from salesml.apps import pipeline_words as words
from salesml.apps.data import Board, names, records, shelf
from salesml.apps.deals import Choice
from salesml.apps.language import Language
from salesml.apps.overview_export import months_of, plain
from salesml.apps.overview_words import warnings
from salesml.reporting.document import (
    COUNT,
    DATE,
    SHARE,
    Column,
    Document,
    Figure,
    Figures,
    Format,
    Grid,
    Heading,
    Part,
    money,
)
from salesml.workspace import Workspace

MOST = 1_000
EFFECT = Format("number", decimals=2)


def document(workspace: Workspace, language: Language, query: str) -> Document:
    """What the app shows at an address: the landing, the deals of the choice (MOST at most), or the story of a deal."""
    _, found = language._, shelf(workspace)
    at, asked = screens.look_up(workspace, found, query)
    choice, screen = screens.choice_of(asked.values), asked.values.get("screen", screens.NAMED[0])
    if screen == "deals":
        said, parts = deals.answer(at, language, choice), _deals(at, language, choice)
    elif screen == "story":
        known = screens.deal_options(at, language, choice, asked.values.get("deal"))
        deal = asked.values.get("deal") or next((one for _name, one in known), None)
        said, parts = story.screen(at, language, deal), _story(at, language, deal)
    else:
        said, parts = landing.screen(at, language, choice.region), _landing(at, language, choice.region)
    context = (
        _("Region") + f": {words.region(language, choice.region)}",
        _("Known up to the end of {day}.", day=language.until(at.as_of, workspace.zone)),
        _("Lake state {head}; all amounts in {currency}.", head=found.tables.head.id, currency=at.currency),
    )
    title = f"{workspace.settings.name} · {screens.titles(language)[screens.NAMED.index(screen)]}"
    return Document(title, _first(said), tuple(parts), dt.datetime.now(dt.UTC).replace(microsecond=0), context, language.code)


def _first(said: str) -> str:
    """The answer of a screen without its marks, else its first sentence."""
    found = re.search(r'<p class="answer">.*?</p>', said) or re.search(r"<p.*?</p>", said)
    return theme.plain(found[0] if found else said)


def _landing(at: Board, language: Language, region: str) -> list[Part]:
    _, (history, rows) = language._, at.series(region)
    parts: list[Part] = [Heading(_("Month by month")), *found] if (found := months_of(history, rows, at.currency, language)) else []
    open_ = at.deals_of(region)
    if len(open_):
        amounts = (Column(name, money(at.currency)) for name in (_("Amount"), _("Weighted")))
        columns = (Column(_("Stage")), Column(_("Deals"), COUNT), *amounts)
        stages = pipeline.by_stage(open_)
        lines = tuple((words.stage(language, row.stage), int(row.deals), plain(row.amount), plain(row.weighted)) for row in records(stages))
        total = (_("All stages"), len(open_), pipeline.total(open_["amount"]), plain(stages["weighted"].sum()))
        parts += [Heading(_("What the pipeline holds")), Grid(_("Open deals by stage"), columns, lines, total)]
    return parts


def _deals(at: Board, language: Language, choice: Choice) -> list[Part]:
    _ = language._
    listed = deals.ordered(deals.chosen(at, choice, choice.warned), choice.order).head(MOST)
    columns = (
        Column(_("Deal")), Column(_("Rep")), Column(_("Stage")), Column(_("Amount"), money(at.currency)), Column(_("Chance to win"), SHARE),
        Column("90 % –", SHARE), Column("90 % +", SHARE), Column(_("Won this quarter"), SHARE), Column(_("Close date entered"), DATE),
        Column(_("Warning signs")),
    )  # fmt: skip
    rows = tuple(
        (str(deal.name), plain(deal.owner), words.stage(language, deal.stage), plain(deal.amount), *map(plain, (deal.probability, deal.lo,
         deal.hi, deal.p_quarter)), None if pd.isna(deal.close_date) else pd.Timestamp(deal.close_date).date(),
         "; ".join(warnings(language, deal))) for deal in records(listed)
    )  # fmt: skip
    caption = language.n_("{shown} of {n} deal, {order}", "{shown} of {n} deals, {order}", len(deals.chosen(at, choice, choice.warned)),
                          shown=language.number(len(rows)), order=deals.orders(language)[choice.order])  # fmt: skip
    return [Grid(caption, columns, rows)] if rows else []


def _story(at: Board, language: Language, opportunity_id: str | None) -> list[Part]:
    _, deal = language._, story.chosen(at, opportunity_id)
    if deal is None:
        return []
    figures = [Figure(_("Amount"), plain(deal.amount), money(at.currency))]
    parts: list[Part] = [Heading(str(deal.name))]
    if pd.isna(deal.probability) or not 0 < deal.probability < 1:
        return [*parts, Figures(tuple(figures))]
    span = _("90 % interval {interval}", interval=words.interval(language, deal.lo, deal.hi)) if not pd.isna(deal.lo) else ""
    figures.append(Figure(_("Chance to win"), float(deal.probability), SHARE, span))
    found, known = story.contributions(deal), names(at)
    lines = [(_("Start: the usual deal and all weaker factors"), float(found["effect"].iloc[0]))]
    for row in records(found.iloc[1:]):
        lines.append((feature_words.factor(language, {"feature": row.feature, "value": row.value}, known, at.currency), float(row.effect)))
    columns = (Column(_("Factor")), Column(_("Effect"), EFFECT))
    total = (_("Chance to win"), float(found["effect"].sum()))
    why = Grid(_("Effects in log-odds; they add up to the chance to win"), columns, tuple(lines), total)
    return [*parts, Figures(tuple(figures)), Heading(_("Why this chance to win")), why]
