"""The pipeline app at an address: what may be asked for, what the controls offer, and its picture without a kernel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from html import escape
from typing import Any

from salesml.apps import address, controls, deals, frame, landing, story
from salesml.apps import pipeline_words as words
from salesml.apps.data import ALL_REGIONS, Board, Shelf, kept_board, names, records, shelf
from salesml.apps.deals import Choice
from salesml.apps.language import Language
from salesml.apps.within import within_sight
from salesml.workspace import Workspace

NAME = "pipeline"
NAMED = ("landing", "deals", "story")
"""The screens as an address names them."""
SHOWN = {True: "warned", False: "all"}
"""By whether deals with a warning sign are shown alone, how an address says it."""
MOST = 10**15


def titles(language: Language) -> tuple[str, ...]:
    """What the screens are called, in the order of NAMED."""
    _ = language._
    return _("Landing"), _("Deals"), _("Deal story")


def picture(workspace: Workspace, language: Language, query: str) -> str:
    """What the app shows at an address, as plain HTML and without a kernel."""
    found = shelf(workspace)
    at, asked = look_up(workspace, found, query)
    values, choice = asked.values, choice_of(asked.values)
    screen, deal = values.get("screen", NAMED[0]), values.get("deal")
    offered, typed = dict(common(at, found, language)), {}
    if screen == "deals":
        shown = "".join(deals.screen(at, language, choice, names(at)))
        offered |= of_list(language)
        typed = {"min": minimum(at, language)}
    elif screen == "story":
        known = deal_options(at, language, choice, deal)
        deal = deal or next((one for _, one in known), None)
        shown = story.screen(at, language, deal) + story.record(at, language, deal, names(at))
        offered |= {"deal": (language._("Deal"), known)} if known else {}
    else:
        shown = landing.screen(at, language, choice.region)
    filters = filters_of(at, found)
    links = [frame.live(NAME, address.write({**values, "screen": name}, filters, language.code)) for name in NAMED]
    kept = {name: value for name, value in values.items() if name not in offered and name not in typed}
    form = frame.form(offered, {**values, "as_of": at.as_of}, filters, language, kept, typed)
    above = frame.ignored(asked, language) + form
    files = frame.files(NAME, address.write(values, filters, language.code), language)
    made = (heading(at, language), titles(language), shown, files + footing(at, found, language))
    return controls.snapshot(*made, shown=NAMED.index(screen), links=links, above=above)


def filters_of(at: Board, found: Shelf) -> list[address.Filter]:
    """What an address may ask for, as of the instant of a board: nothing that its reader may not see."""
    return [
        address.choice("region", at.regions),
        address.instant("as_of", at.workspace, found.instants or [at.as_of]),
        address.choice("screen", NAMED),
        address.choice("deal", set(at.deals["opportunity_id"])),
        address.whole("min", 1, MOST),
        address.choice("show", list(SHOWN.values())),
        address.choice("order", deals.ORDERS),
        address.choice("rows", [str(number) for number in deals.ROWS]),
    ]


def look_up(workspace: Workspace, found: Shelf, query: str, shown: Board | None = None) -> tuple[Board, address.Asked]:
    """The board an address asks for (that `shown` if it is of the instant), and its filters, which depend on the instant."""
    instants = [address.instant("as_of", workspace, found.instants)]
    as_of = address.read(query, instants).values.get("as_of", next(iter(found.instants), None))
    at = shown if shown is not None and as_of in (None, shown.as_of) else within_sight(kept_board(workspace, found, as_of))
    return at, address.read(query, filters_of(at, found))


def choice_of(values: Mapping[str, Any]) -> Choice:
    """Which deals an address asks for."""
    warned = values.get("show") != SHOWN[False]
    order, rows = values.get("order", deals.ATTENTION), int(values.get("rows", deals.ROWS[0]))
    return Choice(values.get("region", ALL_REGIONS), values.get("min", 0), warned, order, rows)


def values_of(choice: Choice) -> dict[str, Any]:
    """A choice as an address says it: what is so by default is None."""
    usual = Choice()
    return {
        "region": None if choice.region == usual.region else choice.region, "min": choice.minimum or None,
        "show": None if choice.warned else SHOWN[False], "order": None if choice.order == usual.order else choice.order,
        "rows": None if choice.rows == usual.rows else str(choice.rows),
    }  # fmt: skip


def common(at: Board, found: Shelf, language: Language) -> frame.Offered:
    """The controls above all screens."""
    return {
        "as_of": (language._("Known up to the end of"), days(at, found, language)),
        "region": (language._("Region"), [(words.region(language, name), name) for name in (ALL_REGIONS, *at.regions)]),
    }


def of_list(language: Language) -> frame.Offered:
    """The controls of the list of deals that offer something to choose from."""
    _ = language._
    orders = [(told, name) for name, told in deals.orders(language).items()]
    shown = [(_("With a warning sign"), SHOWN[True]), (_("All open deals"), SHOWN[False])]
    rows = [(_("First {n}", n=language.number(number)), str(number)) for number in deals.ROWS]
    return {"show": (_("Show"), shown), "order": (_("Order by"), orders), "rows": (_("How many"), rows)}


def minimum(at: Board, language: Language) -> str:
    """The label of the control with the least amount."""
    return language._("Minimum amount ({currency})", currency=at.currency)


def deal_options(at: Board, language: Language, choice: Choice, deal: str | None = None) -> list[tuple[str, str]]:
    """The deals of a choice by name and amount, in the order of attention, with `deal` even where it is none of them."""
    listed = deals.chosen(at, choice)
    if deal is not None and deal not in set(listed["opportunity_id"]):
        listed = at.deals[at.deals["opportunity_id"].isin([deal, *listed["opportunity_id"]])]
    return [(f"{row.name} · {language.money(row.amount, at.currency)}", row.opportunity_id) for row in records(listed)]


def days(at: Board, found: Shelf, language: Language) -> list[tuple[str, dt.datetime]]:
    """The instants to choose from, newest first."""
    return [(language.until(moment, at.workspace.zone), moment) for moment in found.instants or [at.as_of]]


def heading(at: Board, language: Language) -> str:
    """The page's heading."""
    return f"<h1>{escape(at.workspace.settings.name)} · {escape(language._('pipeline and forecast'))}</h1>"


def footing(at: Board, found: Shelf, language: Language) -> str:
    """What the numbers rest on."""
    _, zone = language._, at.workspace.zone
    told = [_("Lake state {head}; all amounts in {currency}.", head=found.tables.head.id, currency=at.currency)]
    if at.scores:
        told.append(_("Scores of deal model version {version}, known up to the end of {day}.", version=at.scores.version,
                      day=language.until(at.scores.as_of, zone)))  # fmt: skip
    if at.forecast_as_of and len(at.forecast):
        told.append(_("Forecast known up to the end of {day}.", day=language.until(at.forecast_as_of, zone)))
    return f"<footer>{escape(' '.join(told))}</footer>"
