"""The activity app as HTML: are we in touch with the right customers, and do we answer in time?"""

from __future__ import annotations

from html import escape

import pandas as pd

from salesml.analytics.activity import QUIET_DAYS
from salesml.apps import activity_tables, activity_words, theme
from salesml.apps.activity_data import BLOCK, LEAST_MESSAGES, Touch
from salesml.apps.language import Language
from salesml.apps.placed import Ways
from salesml.figures.activity_weeks import KINDS, stacked
from salesml.workspace import WEEKDAYS

MOST, CONCERNED = 7, 5
SIZES = (("wide", 1000), ("middle", 600), ("narrow", 330))
STYLE = """
.app .heat { display: block; border-radius: 4px; padding: 2px 4px; text-align: center; min-width: 34px; }
.app .heat0 { background: #e3f0fb; color: #10202f; } .app .heat1 { background: #b7d5f0; color: #10202f; }
.app .heat2 { background: #82b4e0; color: #10202f; } .app .heat3 { background: #2f6aa5; color: #fff; }
.app .heat4 { background: #1f4f82; color: #fff; }
.app table.week :is(th, td) { padding: 4px 2px; text-align: center; } .app table.week { table-layout: fixed; max-width: 640px; }
"""


def card_titles(language: Language) -> dict[str, str]:
    """The cards there are, in the order they come without a layout."""
    _ = language._
    return {
        "volume": _("What was done"), "silent": _("Silent deals"), "waiting": _("Who waits for an answer"),
        "coverage": _("Accounts and people"), "response": _("How soon we answer"), "outcomes": _("What goes with wins"),
        "hints": _("Coaching"),
    }  # fmt: skip


def answer(at: Touch, language: Language, _ways: Ways) -> str:
    """Whether open deals are in touch, what is silent, who waits; then how soon messages are answered."""
    _, n_, stands = language._, language.n_, at.stands
    whose = escape(at.place.label) or _("The company")
    waits = n_("{n} conversation has waited for an answer for over a day", "{n} conversations have waited for an answer for over a day",
               len(at.done.waiting))  # fmt: skip
    if stands["deals"]:
        deals = n_("{n} open deal", "{n} open deals", int(stands["deals"]))
        share, amount = language.percent(stands["in_touch_share"]), language.money(stands["quiet_amount"], at.currency)
        first = _("{whose}: {share} of {deals} are in touch; {amount} has been silent for over {days} days; {waits}.",
                  whose=whose, share=f"<strong>{share}</strong>", deals=deals, days=QUIET_DAYS, amount=f"<strong>{amount}</strong>",
                  waits=f"<strong>{waits}</strong>")  # fmt: skip
    else:
        first = _("{whose}: no deal is open; {waits}.", whose=whose, waits=f"<strong>{waits}</strong>")
    count, *told = at.soon()
    if count:
        given = dict(zip(("share", "lo", "hi"), map(language.percent, told), strict=True))
        second = _("Of {n} messages from customers since {day}, {share} were answered within a day (90 % interval {lo} to {hi}).",
                   n=language.number(count), day=language.day(at.done.since), **given)  # fmt: skip
    else:
        second = _("No message of a customer is recorded since {day}.", day=language.day(at.done.since))
    until = _("Known up to the end of {day}.", day=language.until(at.book.as_of, at.workspace.zone))
    meaning = _("In touch: a call, mail, meeting or demo that we began, within the past {days} days.", days=QUIET_DAYS)
    return f'<p class="answer">{first}</p><p>{escape(second)}</p><p class="soft">{escape(meaning)} {escape(until)}</p>'


def by_week(at: Touch, language: Language) -> pd.DataFrame:
    """Activities by week and type, the most frequent first, at most six: the rest is added to the last."""
    wide = at.done.weeks.pivot_table("activities", "period", "activity_type", "sum", fill_value=0).sort_index().astype("int64")
    wide = wide[wide.sum().sort_values(ascending=False, kind="stable").index]
    kept = list(wide.columns[: KINDS - 1]) if len(wide.columns) > KINDS else list(wide.columns)
    names = activity_words.types(language)
    told = wide[kept].rename(columns=lambda name: names.get(str(name), str(name)))
    return told if len(kept) == len(wide.columns) else told.assign(**{language._("the rest"): wide.drop(columns=kept).sum(axis=1)})


def volume(at: Touch, language: Language, _ways: Ways) -> str:
    """Activities by week and type, as a picture and as numbers."""
    _ = language._
    if at.done.weeks.empty:
        return f'<p class="soft">{escape(_("No activity is recorded in this time."))}</p>'
    wide = by_week(at, language)
    titles, told = [str(name) for name in wide], volume_told(language, wide)
    drawn = "".join(f'<div class="{name}">{stacked(wide, titles, language.day_of_year, told, width)}</div>' for name, width in SIZES)
    legend = "".join(f'<li><span class="key kind{place}"></span>{escape(title)}</li>' for place, title in enumerate(titles))
    rows = [[language.day(day.date(), short=True), *map(language.number, row), language.number(sum(row))]
            for day, *row in wide.iloc[::-1].itertuples()]  # fmt: skip
    numbers = range(1, len(titles) + 2)
    table = theme.table(_("Activities by week and type"), [_("Week of"), *titles, _("In all")], rows, numbers=numbers, kind="cards")
    shown = f'<figure>{drawn}<ul class="legend" aria-hidden="true">{legend}</ul></figure>'
    return f"<p>{escape(told)}</p>{shown}<details><summary>{escape(_('Numbers of the chart'))}</summary>{table}</details>"


def volume_told(language: Language, wide: pd.DataFrame) -> str:
    """The weeks in a sentence."""
    total, first = wide.sum(axis=1), wide.columns[0]
    return language._(
        "{n} activities in {weeks} weeks, {lo} to {hi} a week; most often: {type}, {share}. The first and last week may be cut short.",
        n=language.number(total.sum()), weeks=len(wide), lo=language.number(total.min()), hi=language.number(total.max()), type=first,
        share=language.percent(float(wide[first].sum() / total.sum())),
    )  # fmt: skip


def silent(at: Touch, language: Language, ways: Ways) -> str:
    """Open deals silent for over 14 days, most at stake first."""
    (table,) = activity_tables.silent(at, language)
    nothing = language._("No open deal has been silent for over {days} days.", days=QUIET_DAYS)
    return table.html(language, ways, MOST) if table.rows else f'<p class="soft">{escape(nothing)}</p>'


def waiting(at: Touch, language: Language, ways: Ways) -> str:
    """Conversations without an answer."""
    (table,) = activity_tables.waiting(at, language)
    nothing = language._("No customer has waited for an answer for over a day.")
    return table.html(language, ways, MOST) if table.rows else f'<p class="soft">{escape(nothing)}</p>'


def coverage(at: Touch, language: Language, ways: Ways) -> str:
    """How many accounts were touched this quarter, how many people deals rest on, and the accounts left out."""
    _, owned, stands = language._, at.done.accounts, at.stands
    facts = []
    if len(owned):
        share = language.percent(float(owned["touched"].mean()))
        remark = _("{part} of {whole}, since {day}", part=language.number(owned["touched"].sum()), whole=language.number(len(owned)),
                   day=language.day(at.done.quarter, short=True))  # fmt: skip
        facts.append((_("Accounts touched"), share, remark))
    if pd.notna(stands["two_share"]):
        facts += [(_("Deals with two people or more"), language.percent(stands["two_share"]), _("of the customer, in contact")),
                  (_("With three or more"), language.percent(stands["three_share"]), "")]  # fmt: skip
    told = theme.facts(facts) if facts else ""
    if pd.isna(stands["two_share"]):
        told += f'<p class="soft">{escape(_("Activities name no contacts, so nothing can be told of the buying group."))}</p>'
    (table,) = activity_tables.coverage(at, language)
    return told + (table.html(language, ways, MOST) if table.rows else "")


def response(at: Touch, language: Language, ways: Ways) -> str:
    """Median hours to an answer by weekday and time of day, and by type of message."""
    _, heat = language._, at.heat()
    if heat.empty:
        return f'<p class="soft">{escape(_("No message of a customer is recorded in this time."))}</p>'
    edges = list(heat.stack().quantile([0.2, 0.4, 0.6, 0.8]))
    short = language.forms.days["stand-alone"]["abbreviated"]
    rows = []
    for hour, row in heat.iterrows():
        cells = [f"{hour}–{int(str(hour)) + BLOCK}"]
        for value in row:
            level = sum(value > edge for edge in edges)
            cells.append(f'<span class="heat heat{level}">{language.number(value)}</span>' if pd.notna(value) else "·")
        rows.append(cells)
    heads = [_("Hour"), *(short[WEEKDAYS.index(day)] for day in heat.columns)]
    caption = _("Median hours to an answer by when the message came ({zone}); darker is slower; fewer than {n} messages: ·",
                zone=at.done.time_zone, n=LEAST_MESSAGES)  # fmt: skip
    (table,) = activity_tables.response(at, language)
    return theme.table(caption, heads, rows, kind="week") + table.html(language, ways, MOST)


def outcomes(at: Touch, language: Language, ways: Ways) -> str:
    """What goes with wins in the whole company, with intervals, and why it proves nothing."""
    _, (behaviours, cadence) = language._, activity_tables.outcomes(at, language)
    told = f"<p>{escape(caution(language))}</p>"
    if not behaviours.rows and not cadence.rows:
        return f"{told}<p>{escape(_('Too few deals are known to say what goes with wins.'))}</p>"
    return told + "".join(one.html(language, ways, 3 * MOST) for one in (behaviours, cadence) if one.rows)


def caution(language: Language) -> str:
    """Why what goes with wins need not bring them."""
    return language._(
        "Of the whole company, and correlational, not proof: deals that go well anyway are touched more. Compared at equal segment, "
        "product, source, type, amount, stage and rep; what nobody recorded may still explain it."
    )


def hints(at: Touch, language: Language, ways: Ways) -> str:
    """Coaching hints that are sure."""
    return activity_words.hints(language, at.done.hints, at.currency, ways, CONCERNED, named=at.place.level != "rep")
