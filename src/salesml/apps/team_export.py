"""The team app's cards for Excel, PowerPoint and PDF: the same numbers as its screen, exact."""

from __future__ import annotations

from salesml.apps import overview_words, team_words
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.overview_export import format_of, plain
from salesml.apps.team_data import Team
from salesml.apps.team_screens import reasons
from salesml.reporting.document import COUNT, TEXT, Column, Format, Grid, Part, money


def quotas(at: Team, language: Language) -> list[Part]:
    """Each rep's revenue, landing and quota."""
    _, found = language._, at.quotas
    amounts = (_("Revenue so far"), _("forecast"), "80 % –", "80 % +", _("Quota"))
    columns = (Column(_("Rep")), *(Column(name, money(at.currency)) for name in amounts), Column(_("How it stands")))
    rows = tuple((str(row.label), plain(row.revenue), *map(plain, (row.amount, row.lo80, row.hi80, row.quota)),
                  team_words.stands(language, row.stands)) for row in records(found))  # fmt: skip
    return [Grid(language.span(*at.quarter), columns, rows)] if rows else []


def needs(at: Team, language: Language) -> list[Part]:
    """Whom to talk to, and why."""
    _, found = language._, at.needs
    columns = (Column(_("Rep")), Column(_("At stake"), money(at.currency)), Column(_("Deals"), COUNT), Column(_("Why"), TEXT))
    rows = tuple((str(row.label), float(row.at_stake), int(row.deals), "; ".join(reasons(at, language, row))) for row in records(found))
    return [Grid(_("Whom to talk to"), columns, rows)] if rows else []


def ranks(at: Team, language: Language) -> list[Part]:
    """Reps beside their peers."""
    _, found, shape = language._, at.ranks, format_of(at.name, at.currency)
    if found.empty:
        return []
    title = overview_words.titles(language)[at.name]
    columns = (Column(_("Rep")), Column(_("Peers")), Column(_("As counted"), shape), Column(_("counted from"), COUNT),
               Column(_("Beside the peers")),
               *(Column(name, shape) for name in (_("What can be believed"), "90 % –", "90 % +")))  # fmt: skip
    rows = tuple((str(row.name), team_words.peers(language, row.peers), plain(row.value), int(row.n),
                  team_words.verdict(language, row)[0], *map(plain, (row.shrunken, row.lo, row.hi))) for row in records(found))  # fmt: skip
    return [Grid(f"{title}, {language.span(*at.period)}", columns, rows)]


def trends(at: Team, language: Language) -> list[Part]:
    """Changes that are sure."""
    _, found, shape = language._, at.trends, format_of(at.name, at.currency)
    columns = (Column(_("Rep")), Column(overview_words.titles(language)[at.name]), Column(_("Before"), shape), Column(_("Since"), shape))
    rows = tuple((str(row.label), team_words.change(language, row.verdict), plain(row.before), plain(row.after)) for row in records(found))
    return [Grid(_("Changes of the last three years that are sure"), columns, rows)] if rows else []


def practices(at: Team, language: Language) -> list[Part]:
    """What the best do differently."""
    _ = language._
    if at.beside is None or at.beside.practices.empty:
        return []
    names, number = team_words.behaviours(language), Format("number", decimals=2)
    columns = (Column(_("Way of working")), *(Column(name, number) for name in (_("The best"), _("The others"), "90 % –", "90 % +")),
               Column(_("Sure?")))  # fmt: skip
    rows = tuple((names.get(row.behaviour, row.behaviour), plain(row.best), plain(row.rest), plain(row.lo), plain(row.hi),
                  _("sure") if row.told else _("not told apart")) for row in records(at.beside.practices))  # fmt: skip
    return [Grid(_("The quarter of all reps that wins most often, and the others"), columns, rows)]
