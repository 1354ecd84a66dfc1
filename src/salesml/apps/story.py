"""The screen Deal story: where a deal stands, why it scores as it does (factors that add up), and what happened so far."""

from __future__ import annotations

import datetime as dt
import math
from html import escape
from typing import Any

import pandas as pd
from scipy.special import expit, logit

from salesml.apps import feature_words, theme
from salesml.apps import pipeline_words as words
from salesml.apps.data import Board, factors_of, records, story
from salesml.apps.deals import scores_worth
from salesml.apps.language import Language
from salesml.apps.overview_words import warnings
from salesml.apps.story_record import activities, stages, timeline
from salesml.figures.pipeline import push


def screen(board: Board, language: Language, opportunity_id: str | None) -> str:
    """Where one deal stands, as HTML: the answer first; what to do where none is chosen."""
    deal = chosen(board, opportunity_id)
    if deal is None:
        return f'<p class="answer">{language._("Choose a deal to read its story.")}</p>'
    return _head(board, language, deal) + _adjusted(board, language, deal)


def record(board: Board, language: Language, opportunity_id: str | None, names: dict[str, str]) -> str:
    """What is recorded of a deal, as HTML: the sum of its score's factors, its stages, what happened, its activities."""
    deal = chosen(board, opportunity_id)
    if deal is None:
        return ""
    changes, touches = story(board, deal.opportunity_id)
    left = _why(board, language, deal, names) + stages(board, language, changes)
    right = timeline(board, language, changes) + activities(board, language, touches)
    return f'<div class="columns"><section>{left}</section><section>{right}</section></div>'


def chosen(board: Board, opportunity_id: str | None) -> Any:
    """The deal's row of the board; None where it is not there."""
    found = board.deals[board.deals["opportunity_id"] == opportunity_id]
    return records(found)[0] if len(found) else None


def contributions(deal: Any) -> pd.DataFrame:
    """The score of a deal as a sum in log-odds. Columns: feature, value, effect; the effects add up to logit(P(win)).

    The first row (feature missing) is the start: the model's base and every factor weaker than those that were kept.
    """
    kept = factors_of(deal)
    start = float(logit(deal.probability)) - sum(one["effect"] for one in kept)
    rows = [{"feature": None, "value": None, "effect": start}, *kept]
    return pd.DataFrame(rows, columns=["feature", "value", "effect"])


def _head(board: Board, language: Language, deal: Any) -> str:
    _ = language._
    region = None if pd.isna(deal.region) else words.region(language, deal.region)
    who = " · ".join(escape(str(part)) for part in (deal.account, deal.owner, region) if not pd.isna(part))
    signs = "; ".join(warnings(language, deal))
    told = _("Warning signs: {signs}.", signs=escape(signs)) if signs else _("No warning sign.")
    closes = None if pd.isna(deal.close_date) else pd.Timestamp(deal.close_date).date()
    span = words.interval(language, deal.lo, deal.hi)
    weighted = "" if pd.isna(deal.at_stake) else _("{amount} weighted", amount=language.money(deal.at_stake, board.currency))
    moved = language.n_("moved {n} time", "moved {n} times", int(deal.close_date_changes))
    stage = _("(no stage)") if pd.isna(deal.stage) else str(deal.stage)
    since = "" if pd.isna(deal.stage_days) else language.n_("for {n} day", "for {n} days", math.floor(deal.stage_days))
    facts = [
        (_("Chance to win"), language.percent(deal.probability), _("90 % interval {interval}", interval=span) if span else ""),
        *_dated(board, language, deal),
        (_("Amount"), language.money(deal.amount, board.currency), weighted),
        (_("Stage"), stage, since),
        (_("Close date entered"), language.day(closes, short=True), moved),
        (_("Age"), words.days(language, deal.age_days), _("last activity {ago}", ago=words.ago(language, deal.days_since_activity))),
    ]
    name = escape(str(deal.name))
    return f'<h2 tabindex="-1" id="story">{name}</h2><p class="soft">{who}</p><p class="answer">{told}</p>{theme.facts(facts)}'


def _dated(board: Board, language: Language, deal: Any) -> list[tuple[str, str, str]]:
    if pd.isna(deal.p_quarter):
        return []
    end = language.day(board.quarter[1] - dt.timedelta(days=1), short=True)
    return [(language._("Won this quarter"), language.percent(deal.p_quarter), language._("by {day}", day=end))]


def _adjusted(board: Board, language: Language, deal: Any) -> str:
    """The adjustment in force beside the model's own number; nothing where there is none."""
    if not deal.adjusted:
        return ""
    _ = language._
    until = language.day(board.workspace.local_date(deal.adjusted_until.to_pydatetime()))
    who, share = escape(str(deal.adjusted_by)), language.percent(deal.adjusted_probability)
    told = _("{who} puts the chance to win at {share}, until before {day}:", who=who, share=share, day=until)
    own = "" if pd.isna(deal.probability) else _("The model's own number stays {share}.", share=language.percent(deal.probability))
    return theme.notice(f"<strong>{told}</strong> {escape(str(deal.adjusted_reason))}. {own}")


def _why(board: Board, language: Language, deal: Any, names: dict[str, str]) -> str:
    _ = language._
    title = f"<h2>{escape(_('Why this chance to win'))}</h2>"
    if pd.isna(deal.probability):
        soft = f'<p class="soft">{escape(_("The deal is not scored yet."))}</p>'
        return title + (scores_worth(board, language) if board.scores is None else soft)
    if not 0 < deal.probability < 1:
        return f'{title}<p class="soft">{escape(_("A probability of 0 or 100 % has no sum of factors."))}</p>'
    parts = contributions(deal)
    greatest = float(parts["effect"].iloc[1:].abs().max()) if len(parts) > 1 else 0.0
    running = parts["effect"].iloc[0]
    start = escape(_("Start: the usual deal and all weaker factors"))
    rows = [[start, "", words.signed(language, running), language.percent(float(expit(running)))]]
    for part in records(parts.iloc[1:]):
        running += part.effect
        told = escape(feature_words.factor(language, {"feature": part.feature, "value": part.value}, names, board.currency))
        way = escape(feature_words.direction(language, part.effect))
        so_far = language.percent(float(expit(running)))
        rows.append([f"{told}<small>{way}</small>", push(part.effect, greatest), words.signed(language, part.effect), so_far])
    foot = [_("Chance to win"), "", words.signed(language, parts["effect"].sum()), language.percent(deal.probability)]
    heads = [_("Factor"), _("Against | for"), _("Effect"), _("Chance so far")]
    worth = scores_worth(board, language) if board.scores and board.scores.baseline else ""
    caption = _("Effects in log-odds; they add up to the chance to win")
    return title + worth + theme.table(caption, heads, rows, numbers=(2, 3), foot=foot, kind="factors")
