"""The screen Deals: which open deals need me, and what the probabilities are worth."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.words import MISSING
from salesml.apps import feature_words, theme
from salesml.apps import pipeline_words as words
from salesml.apps.data import ALL_REGIONS, MODEL, Board, factors_of, records
from salesml.apps.language import Language
from salesml.apps.overview_words import warnings

ATTENTION, QUARTER, MOVED = "attention", "quarter", "moved"
ORDERS = (ATTENTION, QUARTER, MOVED)
ROWS = (10, 25, 100)


@dataclass(frozen=True)
class Choice:
    """Which deals a reader wants: of a region, worth at least `minimum` (workspace currency), warned ones alone; how they are listed."""

    region: str = ALL_REGIONS
    minimum: int = 0
    warned: bool = True
    order: str = ATTENTION
    rows: int = ROWS[0]


def orders(language: Language) -> dict[str, str]:
    """What the orders of the list are called."""
    _ = language._
    return {ATTENTION: _("Attention"), QUARTER: _("This quarter"), MOVED: _("What moved")}


def chosen(board: Board, choice: Choice, warned: bool = False) -> pd.DataFrame:
    """The open deals of a choice, all or those with a warning sign, in the order of attention.

    A deal without a known amount is left out as soon as a minimum is set.
    """
    deals = board.deals_of(choice.region)
    if choice.minimum > 0:
        deals = deals[deals["amount"].astype("float64") >= choice.minimum]
    return deals[deals["warned"]] if warned else deals


def ordered(deals: pd.DataFrame, by: str) -> pd.DataFrame:
    """The deals by what is in question: as they stand (attention), amount × P(won this quarter), or amount × change of P(win)."""
    if by == ATTENTION:
        return deals
    share = deals["p_quarter"] if by == QUARTER else (deals["probability"] - deals["probability_before"].astype("float64")).abs()
    worth = deals["amount"].astype("float64") * share.astype("float64")
    return deals.assign(worth=worth).sort_values("worth", ascending=False, kind="stable", ignore_index=True).drop(columns="worth")


def screen(board: Board, language: Language, choice: Choice, names: dict[str, str]) -> tuple[str, str]:
    """The screen as HTML in two parts, between which the controls stand: the answer, and the list."""
    listed = ordered(chosen(board, choice, choice.warned), choice.order)
    return answer(board, language, choice) + scores_worth(board, language), listing(board, language, listed, names, choice)


def answer(board: Board, language: Language, choice: Choice) -> str:
    """The answer in one sentence or two: how many deals need somebody first, and what they are worth."""
    _, n_ = language._, language.n_
    deals = chosen(board, choice)
    warned = deals[deals["warned"]]
    limits = [] if choice.region == ALL_REGIONS else [escape(words.region(language, choice.region))]
    if choice.minimum > 0:
        limits.append(_("at least {amount}", amount=language.money(choice.minimum, board.currency)))
    only = f" ({', '.join(limits)})" if limits else ""
    if deals.empty:
        return f'<p class="answer">{_("No deal is open.")}{only}</p>'
    if warned.empty:
        told = n_("The {n} open deal shows no warning sign.", "None of the {n} open deals shows a warning sign.", len(deals))
        return f'<p class="answer">{told}{only}</p>'
    first = warned.head(choice.rows)
    worth = f"<strong>{language.money(pipeline.total(first['amount']), board.currency)}</strong>"
    told = n_("{n} deal needs you first, worth {amount}.", "{n} deals need you first, worth {amount}.", len(first), amount=worth)
    share = n_("{warned} of {n} open deal show a warning sign.", "{warned} of {n} open deals show a warning sign.", len(deals),
               warned=language.number(len(warned)))  # fmt: skip
    return f'<p class="answer">{told}</p><p>{share}{only}</p>'


def listing(board: Board, language: Language, deals: pd.DataFrame, names: dict[str, str], choice: Choice) -> str:
    """The first deals of `ordered` as a table, one row a deal, each with a button that opens its story."""
    if deals.empty:
        return ""
    _ = language._
    rows = [_row(board, language, deal, names) for deal in records(deals.head(choice.rows))]
    how = {
        QUARTER: _("by amount × chance to be won this quarter"), MOVED: _("by amount × change of the chance to win"),
        ATTENTION: _("warned ones first, then by amount × chance to win") if board.scores else _("warned ones first"),
    }[choice.order]  # fmt: skip
    caption = language.n_("{shown} of {n} deal, {order}", "{shown} of {n} deals, {order}", len(deals), shown=language.number(len(rows)),
                          order=how)  # fmt: skip
    heads = [_("Deal"), _("Chance to win"), _("Amount"), _("Age"), _("Last activity"), _("Warning signs"), _("Strongest factor")]
    meaning = _("The chance to win is the probability that the deal is won in the end, with its 90 % interval.") if board.scores else ""
    return theme.table(caption, heads, rows, numbers=(2,), kind="cards") + f'<p class="soft">{meaning}</p>'


def scores_worth(board: Board, language: Language) -> str:
    """What the reader must know of the probabilities: none, of no signal, of another day, or what they mean."""
    _, scores, told = language._, board.scores, []
    score = theme.command("salesml score deals")
    if scores is None:
        if _has_champion(board):
            return theme.notice(_("The deals have no chance to win as of this day. Run {score}", score=score))
        train = theme.command("salesml train deals")
        return theme.notice(_("The deals have no chance to win as of this day. Run {train}, then {score}", train=train, score=score))
    if scores.few:
        told.append(_("Too few outcomes are known to test a model on later deals: the chance to win is what is usual, corrected by this "
                      "company's own deals as far as these bear it."))  # fmt: skip
    elif scores.baseline:
        told.append(_("No model could prove that it tells winners apart better than plain rates: the chance to win is only how often deals "
                      "like these were won before. Among deals of one kind, go by amount, age and silence."))  # fmt: skip
    if scores.as_of != board.as_of:
        told.append(_("The chances to win are those known up to {day}.", day=language.until(scores.as_of, board.workspace.zone)))
    if scores.champion is not None and str(scores.champion) != scores.version:
        told.append(_("The chances to win are of model version {version}, the champion is version {champion} now. Run {score}",
                      version=escape(scores.version), champion=scores.champion, score=score))  # fmt: skip
    unscored = int(board.deals["probability"].isna().sum())
    if unscored:
        told.append(language.n_("{n} open deal of {all} has no score.", "{n} open deals of {all} have no score.", unscored,
                                all=language.number(len(board.deals))))  # fmt: skip
    return "".join(map(theme.notice, told))


def strongest(deal: Any, language: Language, names: dict[str, str], currency: str) -> str:
    """The strongest factor of a deal's score in words."""
    found = factors_of(deal)
    if not found:
        return MISSING
    first = max(found, key=lambda one: abs(one["effect"]))
    told, way = (escape(one) for one in (feature_words.factor(language, first, names, currency),
                                         feature_words.direction(language, first["effect"])))  # fmt: skip
    return f'{told} <small class="{"for" if first["effect"] >= 0 else "against"}">{way}</small>'


def probability(deal: Any, language: Language) -> str:
    """P(win) with its interval, its change, the chance of this quarter, and the adjustment in force, each where known."""
    if pd.isna(deal.probability):
        return MISSING
    _, parts = language._, []
    if not pd.isna(deal.lo):
        parts.append(words.interval(language, deal.lo, deal.hi))
    if not pd.isna(deal.probability_before):
        parts.append(_("{points} since the score before", points=words.points(language, deal.probability - deal.probability_before)))
    if not pd.isna(deal.p_quarter):
        parts.append(_("this quarter {share}", share=language.percent(deal.p_quarter)))
    if deal.adjusted:
        share = language.percent(deal.adjusted_probability)
        parts.append(_("adjusted to {share} by {who}", share=share, who=escape(str(deal.adjusted_by))))
    return language.percent(deal.probability) + "".join(f" <small>{one}</small>" for one in parts)


def _has_champion(board: Board) -> bool:
    from salesml.workflows.overview import champions

    return MODEL in dict(champions(board.workspace))


def _row(board: Board, language: Language, deal: Any, names: dict[str, str]) -> list[str]:
    to = f'data-deal="{escape(deal.opportunity_id)}" data-screen="story"'
    button = f'<button type="button" class="open" {to}>{escape(str(deal.name))}</button>'
    account = " · ".join(escape(str(part)) for part in (deal.account, deal.owner) if not pd.isna(part))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in warnings(language, deal))
    return [
        f"{button}<small>{account}</small><small>{words.stage(language, deal.stage)}</small>",
        probability(deal, language),
        language.money(deal.amount, board.currency),
        words.days(language, deal.age_days),
        words.ago(language, deal.days_since_activity),
        f'<ul class="why">{reasons}</ul>' if reasons else language._("none"),
        strongest(deal, language, names, board.currency),
    ]
