"""A rep's day as HTML: what to do first, and where the rep stands."""

from __future__ import annotations

from html import escape

import pandas as pd

from salesml.apps import activity_words, frame, overview_words, rep_words, theme
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.overview_data import FIGURES
from salesml.apps.placed import Ways
from salesml.apps.rep_data import DUE_DAYS, Day, Item

FIRST, MOST, DEALS, CONCERNED = 3, 10, 10, 5
STYLE = """
.app ol.todo { list-style: none; margin: 8px 0; padding: 0; display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.app ol.todo li { border: 1px solid var(--line); border-left: 4px solid var(--edge); border-radius: 8px; padding: 4px 14px 12px; overflow-wrap: anywhere; }
.app .answer a { text-decoration-thickness: 1px; }
.app ol.todo li.urgent { border-left-color: var(--accent); }
.app ol.todo a { display: flex; align-items: center; min-height: 48px; font-weight: 600; }
.app ol.todo .stake { display: block; font-variant-numeric: tabular-nums; } .app ol.todo .why { display: block; color: var(--soft); font-size: 14px; }
"""  # noqa: E501


def card_titles(language: Language) -> dict[str, str]:
    """The cards there are, in the order they come without a layout."""
    _ = language._
    return {"today": _("To do today"), "deals": _("Open deals"), "standing": _("Where I stand"), "week": _("What moved this week"),
            "hints": _("Coaching")}  # fmt: skip


def answer(at: Day, language: Language, ways: Ways) -> str:
    """What to do first, then where the quarter stands."""
    _ = language._
    told = [_thing(at, language, ways, item) for item in at.items[:FIRST]]
    if not told:
        nothing = _("Nothing is pressing today: no customer waits, no deal is due, none has a warning sign.")
        first = f'<p class="answer">{escape(nothing)}</p>'
    else:
        first = f'<p class="answer">{_("Today: {thing}.", thing=told[0])}</p>'
        first += f'<ol start="2">{"".join(f"<li>{one}</li>" for one in told[1:])}</ol>' if told[1:] else ""
    return first + "".join(f"<p>{one}</p>" for one in _stands(at, language)) + _known(at, language)


def _thing(at: Day, language: Language, ways: Ways, item: Item) -> str:
    """An action with its amount and the first reason."""
    why = [part for part in (rep_words.stake(language, item, at.currency), *rep_words.reasons(language, item)[:1]) if part]
    link = f'<a{_way(ways, item)}>{escape(rep_words.action(language, item))}</a>'
    return f"{link} ({escape('; '.join(why))})" if why else link


def _way(ways: Ways, item: Item) -> str:
    """Where an item leads: a deal's story, a lead's page; nowhere for others."""
    if item.about == "deal":
        return f' href="{escape(ways.app("pipeline", screen="story", deal=item.id))}"'
    if item.about == "lead" and item.stake is not None:
        return f' class="live" href="{escape(frame.live("leads", ways.app("", lead=item.id).removeprefix("/")))}"'
    return ""


def _stands(at: Day, language: Language) -> list[str]:
    """The quarter so far beside its quota, what open deals may add, and where it lands, in a sentence each."""
    _, stands, quota, missing = language._, at.stands, at.quota(), at.missing()

    def money(value: object) -> str:
        return f"<strong>{escape(language.money(value, at.currency))}</strong>"

    given = {"quarter": language.span(*at.quarter), "revenue": money(stands["revenue"])}
    if not quota:
        told = [_("{quarter}: {revenue} of revenue so far; no quota is set.", **given)]
    elif missing:
        told = [_("{quarter}: {revenue} of the quota of {quota} so far; {missing} is missing.", **given, quota=money(quota),
                  missing=money(missing))]  # fmt: skip
    else:
        told = [_("{quarter}: {revenue} so far; the quota of {quota} is reached.", **given, quota=money(quota))]
    bring, deals = at.expected["expected"], language.n_("{n} open deal", "{n} open deals", int(stands["open_deals"]))
    if bring.notna().any():
        told.append(_("{deals}, {pipeline} in all, are expected to bring {bring} in it; {due} is due in it.", deals=deals, bring=money(
            bring.sum()), pipeline=money(stands["pipeline"]), due=money(stands["pipeline_due"])))  # fmt: skip
    else:
        told.append(_("{deals}, {pipeline} in all; {due} is due in it.", deals=deals, pipeline=money(stands["pipeline"]),
                      due=money(stands["pipeline_due"])))  # fmt: skip
    landing = at.landing()
    if landing is not None:
        told.append(_("Forecast for the quarter: {amount}, most likely {lo} to {hi}.", amount=money(landing.amount),
                      lo=money(landing.lo80), hi=money(landing.hi80)))  # fmt: skip
    return [" ".join(told)]


def _known(at: Day, language: Language) -> str:
    until = language.until(at.book.as_of, at.workspace.zone)
    if at.landing() is None:
        told = language._("Known up to the end of {day}.", day=until)
    else:
        _ = language._
        told = _("Known up to the end of {day}. The range is an 80 % interval: four in five such quarters should land in it.", day=until)
    return f'<p class="soft">{escape(told)}</p>'


def today(at: Day, language: Language, ways: Ways) -> str:
    """The list of things to do as cards, the action first, and the rule that orders it."""
    _ = language._
    cards = []
    for item in at.items[:MOST]:
        link = _way(ways, item)
        name = escape(rep_words.action(language, item))
        head = f"<a{link}>{name}</a>" if link else f"<strong>{name}</strong>"
        stake, why = rep_words.stake(language, item, at.currency), "; ".join(rep_words.reasons(language, item))
        worth = f'<span class="stake">{escape(stake)}</span>' if stake else ""
        cards.append(f'<li{" class=urgent" if item.urgent else ""}>{head}{worth}<span class="why">{escape(why)}</span></li>')
    listed = f'<ol class="todo">{"".join(cards)}</ol>' if cards else f'<p class="soft">{escape(_("Nothing to do is known."))}</p>'
    left = len(at.items) - MOST
    more = f'<p class="soft">{escape(language.n_("{n} more stands lower.", "{n} more stand lower.", left))}</p>' if left > 0 else ""
    return f"{listed}{more}<details><summary>{escape(_('How the list is ordered'))}</summary><p>{escape(rule(language))}</p></details>"


def rule(language: Language) -> str:
    """The rule that orders the list, in words."""
    return language._(
        "First what cannot wait: customers without an answer for over a day, deals overdue or due within {n} days, hot leads nobody has "
        "called; then deals with a warning sign. Within each, most at stake first: amount × chance to win, of a lead its expected value. "
        "What to do follows from the sign, by the usual rules of the trade; it is not a measured effect.", n=DUE_DAYS,
    )  # fmt: skip


def deals(at: Day, language: Language, ways: Ways) -> str:
    """Open deals by what they are expected to bring in the quarter."""
    _, found = language._, at.expected
    if found.empty:
        return f'<p class="soft">{escape(_("No deal is open."))}</p>'
    rows = []
    for deal in records(found.head(DEALS)):
        name = f'<a href="{escape(ways.app("pipeline", screen="story", deal=deal.opportunity_id))}">{escape(str(deal.name))}</a>'
        who = "" if pd.isna(deal.account) else f"<small>{escape(str(deal.account))}</small>"
        closes = None if pd.isna(deal.close_date) else pd.Timestamp(deal.close_date).date()
        rows.append([
            name + who, language.money(deal.amount, at.currency), language.percent(deal.p_quarter),
            language.money(deal.expected, at.currency), escape(str(deal.stage)), language.day(closes, short=True),
            escape("; ".join(overview_words.warnings(language, deal)) or _("none")),
        ])  # fmt: skip
    heads = [_("Deal"), _("Amount"), _("Chance this quarter"), _("Expected"), _("Stage"), _("Close date"), _("Warning signs")]
    caption = _("Most expected in {quarter} first: amount × chance to be won in it", quarter=language.span(*at.quarter))
    left = len(found) - DEALS
    more = f'<p class="soft">{escape(language.n_("{n} more stands lower.", "{n} more stand lower.", left))}</p>' if left > 0 else ""
    return theme.table(caption, heads, rows, numbers=(1, 2, 3), kind="cards") + more


def standing(at: Day, language: Language, _ways: Ways) -> str:
    """His figures beside his own before, and beside the middle of his peers."""
    _, titles, meanings = language._, overview_words.titles(language), overview_words.meanings(language)
    middles, rows = at.middles(), []
    for row in records(at.figures()):
        told, kind = overview_words.change(language, row.measure, row)
        shown, year, middle = (overview_words.value(language, row.measure, one, at.currency)
                               for one in (row.now, row.year, middles.get(row.measure)))  # fmt: skip
        mark = f'<small><span class="{kind}">{escape(told)}</span></small>' if kind else f"<small>{escape(told)}</small>"
        rows.append([escape(titles[row.measure]), escape(shown) + mark, escape(middle), escape(year)])
    heads = [_("Figure"), language.span(*at.period), _("Middle of the peers"), _("A year before")]
    caption = _("In {currency}; below a figure how it stands beside the quarter before; what is better is green", currency=at.currency)
    shown = theme.table(caption, heads, rows, numbers=(1, 2, 3), kind="beside")
    listed = "".join(f"<dt>{escape(titles[name])}</dt><dd>{escape(meanings[name])}</dd>" for name in FIGURES)
    return (
        f'{shown}<p class="soft">{escape(peers(at, language))}</p>'
        f"<details><summary>{escape(_('What the figures mean'))}</summary><dl>{listed}</dl></details>"
    )


def peers(at: Day, language: Language) -> str:
    """Who the peers are, without a name."""
    if not at.peers:
        return language._("No peers are known to compare with.")
    return language.n_("Middle: the median of {n} peer.", "Middle: the median of {n} peers.", len(at.peers))


def hints(at: Day, language: Language, ways: Ways) -> str:
    """Coaching hints that are sure, with what they rest on; what was looked at where there is none."""
    return activity_words.hints(language, at.hints, at.currency, ways, CONCERNED, named=False)

