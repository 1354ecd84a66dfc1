"""The team's one screen: who is heading for the quota, whom to talk to, who surely stands out, what changes, what the best do."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import pandas as pd

from salesml.analytics.benchmark import OPEN
from salesml.analytics.words import absent
from salesml.apps import overview_words, team_words, theme
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.placed import Ways
from salesml.apps.team_data import EITHER, HEADING, SHORT, Team
from salesml.figures.pipeline import strip

FIRST = 10
"""Reps shown at once; the others are a click away."""


def answer(at: Team, language: Language, _ways: Ways) -> str:
    """How many head for their quota, whether anybody surely stands out, whom to talk to first."""
    _, n_, quotas, ranks, needs = language._, language.n_, at.quotas, at.ranks, at.needs
    whose = escape(at.place.label) or (_("The company") if at.sees is None else _("You and those you lead"))
    counts = quotas["stands"].value_counts()
    if quotas["stands"].notna().any():
        some = n_("{n} rep with a quota", "{n} reps with a quota", len(quotas))
        first = _("{whose}: of {some}, {heading} will most likely reach it, {either} can go either way, {short} will likely miss it.",
                  whose=whose, some=some, heading=f"<strong>{counts.get(HEADING, 0)}</strong>", either=counts.get(EITHER, 0),
                  short=counts.get(SHORT, 0))  # fmt: skip
    else:
        first = _("{whose}: no rep has both a quota and a forecast for {quarter}.", whose=whose, quarter=language.span(*at.quarter))
    parts = [f'<p class="answer">{first}</p>']
    if len(needs):
        top = needs.iloc[0]
        deals = n_("{n} deal with a warning sign", "{n} deals with a warning sign", int(top["deals"]))
        given = {"name": escape(str(top["label"])), "deals": deals, "amount": _money(at, language, top["at_stake"])}
        told = _("Talk to {name} first: {deals}, {amount} at stake.", **given) if top["deals"] else _("Talk to {name} first.", **given)
        parts.append(f"<p>{told}</p>")
    title = overview_words.titles(language)[at.name]
    if len(ranks):
        apart = int((ranks["verdict"] != OPEN).sum())
        told = n_("{measure}: {n} rep surely stands apart from peers.", "{measure}: {n} reps surely stand apart from peers.", apart,
                  measure=title)  # fmt: skip
        if not apart:
            told = _("{measure}: nobody can be told apart from peers with 90 % certainty; such differences come by luck.", measure=title)
        parts.append(f"<p>{escape(told)}</p>")
    day = language.until(at.book.as_of, at.workspace.zone)
    return "".join([*parts, f'<p class="soft">{escape(_("Known up to the end of {day}.", day=day))}</p>'])


def quotas(at: Team, language: Language, ways: Ways) -> str:
    """Each rep's revenue of the quarter, landing and quota, those furthest from it first."""
    _, found = language._, at.quotas
    if found.empty:
        return _soft(_("No rep has a quota for {quarter}.", quarter=language.span(*at.quarter)))
    rows = []
    for row in records(found):
        kind = {HEADING: "for", SHORT: "against"}.get(row.stands, "")
        told = escape(team_words.stands(language, row.stands))
        known = not absent(row.amount)
        lands = "–" if not known else _money(at, language, row.amount)
        between = "" if not known else f"<small>{_money(at, language, row.lo80)} – {_money(at, language, row.hi80)}</small>"
        drawn = "" if not known else _beside(row.lo80, row.amount, row.hi80, row.quota)
        rows.append([_rep(row.rep, row.label, ways), _money(at, language, row.revenue), lands + between, _money(at, language, row.quota),
                     f'{drawn}<span class="{kind}">{told}</span>' if kind else drawn + told])  # fmt: skip
    heads = [_("Rep"), _("Revenue so far"), _("Heading for, 80 % interval"), _("Quota"), _("How it stands")]
    caption = _("{quarter}; furthest from the quota first; the dashed line is the quota", quarter=language.span(*at.quarter))
    return _first(caption, heads, rows, (1, 2, 3), language)


def needs(at: Team, language: Language, ways: Ways) -> str:
    """Reps with something to talk about, most at stake first."""
    _, found = language._, at.needs
    if found.empty:
        return _soft(_("Nobody has a deal with a warning sign, falls short for sure or is surely below the peers."))
    rows = [[_rep(row.rep, row.label, ways), _money(at, language, row.at_stake), escape("; ".join(reasons(at, language, row))),
             f'<a href="{escape(ways.app("overview", place=f"rep:{row.rep}"))}">{escape(_("The deals"))}</a>']
            for row in records(found.head(FIRST))]  # fmt: skip
    heads = [_("Rep"), _("At stake"), _("Why"), _("Look at")]
    return theme.table(_("The first {n}, most at stake first", n=language.number(len(rows))), heads, rows, numbers=(1,), kind="cards")


def reasons(at: Team, language: Language, row: Any) -> list[str]:
    """Why to talk to a rep, a phrase a reason."""
    _, title = language._, overview_words.titles(language)[at.name]
    told = [language.n_("{n} deal with a warning sign", "{n} deals with a warning sign", int(row.deals))] if row.deals else []
    told += [_("falls short of the quota even at the high end")] if row.short else []
    told += [_("{measure}: surely worse than the peers", measure=title)] if row.below else []
    return told + ([_("{measure}: surely worse than before", measure=title)] if row.worse else [])


def ranks(at: Team, language: Language, ways: Ways) -> str:
    """Each rep's level among peers with its interval; who has few deals is drawn towards them."""
    _, found, name = language._, at.ranks, at.name
    if found.empty or found["shrunken"].isna().all():
        return _soft(_("Nothing is known of it in this period, so nobody can be compared."))
    low, high = float(found["lo"].min()), float(found["hi"].max())
    rows = []
    for row in records(found):
        told, kind = team_words.verdict(language, row)
        level = team_words.figure(language, name, row.shrunken, at.currency)
        between = f"{team_words.figure(language, name, row.lo, at.currency)} – {team_words.figure(language, name, row.hi, at.currency)}"
        counted = team_words.figure(language, name, row.value, at.currency)
        n = f"<small>{escape(language._('from {n}', n=language.number(row.n)))}</small>" if row.n else ""
        drawn = strip(row.lo, row.shrunken, row.hi, row.peer_median, low, high)
        rows.append([_rep(row.rep, row.name, ways) + f"<small>{escape(team_words.peers(language, row.peers))}</small>",
                     escape(counted) + n, f"{escape(level)}<small>{escape(between)}</small>",
                     drawn + (f'<span class="{kind}">{escape(told)}</span>' if kind else escape(told))])  # fmt: skip
    heads = [_("Rep"), _("As counted"), _("What can be believed, 90 % interval"), _("Beside the peers")]
    caption = _("{measure}, {period}; the best first; the dashed line is the middle of the peers",
                measure=overview_words.titles(language)[name], period=language.span(*at.period))  # fmt: skip
    meaning = overview_words.meanings(language)[name]
    held = _("Peers are reps of like tenure and territory. A figure of few deals is drawn towards them, so that nobody leads by luck; "
             "a verdict is given where its side is at least 90 % sure.")  # fmt: skip
    more = f"<details><summary>{escape(_('What this means'))}</summary><p>{escape(meaning)}</p><p>{escape(held)}</p></details>"
    return _first(caption, heads, rows, (1, 2), language) + more


def trends(at: Team, language: Language, ways: Ways) -> str:
    """The changes that are sure; most months of most people are noise."""
    _, found, title = language._, at.trends, overview_words.titles(language)[at.name]
    if at.beside is None or not at.beside.trends["months"].gt(0).any():
        return _soft(_("{measure} has no monthly trend.", measure=title))
    if found.empty:
        return _soft(_("{measure}: no change of the last three years is sure among these reps.", measure=title))
    rows = [[_rep(row.name, row.label, ways), escape(team_words.change(language, row.verdict)),
             *(escape(team_words.figure(language, at.name, value, at.currency)) for value in (row.before, row.after)),
             "–" if row.at is None else escape(language.month(row.at))] for row in records(found)]  # fmt: skip
    heads = [_("Rep"), title, _("Before"), _("Since"), _("From when")]
    return theme.table(_("Changes of the last three years that are sure"), heads, rows, numbers=(2, 3), kind="cards")


def practices(at: Team, language: Language, _ways: Ways) -> str:
    """How the quarter of reps that wins most often works otherwise: correlational, and mostly not sure."""
    _ = language._
    if at.beside is None or at.beside.practices.empty:
        return _soft(_("Too few deals closed in this period to tell."))
    names, rows = team_words.behaviours(language), []
    for row in records(at.beside.practices):
        values = (row.best, row.rest, row.difference, row.lo, row.hi)
        best, rest, gap, lo, hi = (team_words.practice(language, row, value) for value in values)
        sure = _("sure") if row.told else _("not told apart")
        rows.append([escape(names.get(row.behaviour, row.behaviour)), best, rest, f"{gap}<small>{lo} – {hi}</small>", escape(sure)])
    heads = [_("Way of working"), _("The best"), _("The others"), _("Difference, 90 % interval"), _("Sure?")]
    table = theme.table(_("The quarter of all reps that wins most often, and the others"), heads, rows, numbers=(1, 2, 3), kind="cards")
    held = _("Correlational, not proof: compared at the same mix of deals, but nobody was told by lot to work this way.")
    return f'{table}<p class="soft">{escape(held)}</p>'


def _first(caption: str, heads: list[str], rows: list[list[str]], numbers: tuple[int, ...], language: Language) -> str:
    """The first rows at once, the others a click away."""
    shown = theme.table(caption, heads, rows[:FIRST], numbers=numbers, kind="cards")
    if len(rows) <= FIRST:
        return shown
    rest = theme.table(caption, heads, rows[FIRST:], numbers=numbers, kind="cards")
    told = language.n_("{n} more rep", "{n} more reps", len(rows) - FIRST)
    return f"{shown}<details><summary>{escape(told)}</summary>{rest}</details>"


def _rep(rep: str, label: str, ways: Ways) -> str:
    return f'<a href="{escape(ways.here(place=f"rep:{rep}"))}">{escape(str(label))}</a>'


def _beside(low: Any, value: Any, high: Any, quota: Any) -> str:
    least, most = float(min(low, quota)), float(max(high, quota))
    room = max((most - least) * 0.08, 1.0)
    return strip(float(low), float(value), float(high), float(quota), least - room, most + room)


def _money(at: Team, language: Language, value: Any) -> str:
    return escape(language.money(value, at.currency)) if value is not None and not (pd.isna(value) or math.isinf(value)) else "–"


def _soft(told: str) -> str:
    return f'<p class="soft">{escape(told)}</p>'
