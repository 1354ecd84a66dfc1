"""The screen Deals: which open deals need me, and what the probabilities are worth."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from salesml.analytics import pipeline
from salesml.apps import text, theme
from salesml.apps.data import ALL_REGIONS, MODEL, Board, factors_of, records

ATTENTION, QUARTER, MOVED = "attention", "quarter", "moved"
ORDERS = (("Attention", ATTENTION), ("This quarter", QUARTER), ("What moved", MOVED))
HEADS = ["Deal", "P(win)", "Amount", "Age", "Last activity", "Warning signs", "Strongest factor of P(win)"]


def chosen(board: Board, region: str, minimum: float, warned: bool) -> pd.DataFrame:
    """The open deals of a region worth at least `minimum`, all or those with a warning sign, in the order of attention.

    A deal without a known amount is left out as soon as a minimum is set.
    """
    deals = board.deals_of(region)
    if minimum > 0:
        deals = deals[deals["amount"].astype("float64") >= minimum]
    return deals[deals["warned"]] if warned else deals


def ordered(deals: pd.DataFrame, by: str) -> pd.DataFrame:
    """The deals by what is in question: as they stand (attention), amount × P(won this quarter), or amount × change of P(win)."""
    if by == ATTENTION:
        return deals
    share = deals["p_quarter"] if by == QUARTER else (deals["probability"] - deals["probability_before"].astype("float64")).abs()
    worth = deals["amount"].astype("float64") * share.astype("float64")
    return deals.assign(worth=worth).sort_values("worth", ascending=False, kind="stable", ignore_index=True).drop(columns="worth")


def answer(board: Board, region: str = ALL_REGIONS, minimum: float = 0, rows: int = 10) -> str:
    """The answer in one sentence: how many deals need somebody first, and what they are worth."""
    deals = chosen(board, region, minimum, warned=False)
    warned = deals[deals["warned"]]
    whose = "" if region == ALL_REGIONS else f" in {escape(region)}"
    above = f" of at least {text.money(minimum, board.currency)}" if minimum > 0 else ""
    if deals.empty:
        return f'<p class="answer">No deal{above} is open{whose}.</p>'
    if warned.empty:
        return f'<p class="answer">None of the {text.count(len(deals), "open deal")}{above}{whose} shows a warning sign.</p>'
    first = warned.head(rows)
    worth = text.money(pipeline.total(first["amount"]), board.currency)
    verb = "needs" if len(first) == 1 else "need"
    told = f"<strong>{text.count(len(first), 'deal')}</strong>{whose} {verb} you first, worth <strong>{worth}</strong>"
    share = f"{len(warned):,} of {text.count(len(deals), 'open deal')}{above} show a warning sign."
    return f'<p class="answer">{told}: {share}</p>'


def listing(board: Board, deals: pd.DataFrame, names: dict[str, str], rows: int = 10, by: str = ATTENTION) -> str:
    """The first deals of `ordered` as a table, one row a deal, each with a button that opens its story."""
    if deals.empty:
        return ""
    shown = [_row(board, deal, names) for deal in records(deals.head(rows))]
    order = "warned ones first, then by what is at stake: amount × P(win)" if board.scores else "warned ones first"
    order = {QUARTER: "by amount × P(won this quarter)", MOVED: "by amount × change of P(win)"}.get(by, order)
    caption = f"{min(rows, len(deals)):,} of {text.count(len(deals), 'deal')}, {order}"
    meaning = "P(win) is the probability that the deal is won in the end, with its 90 % interval." if board.scores else ""
    heads = [f"{name} ({board.currency})" if name == "Amount" else name for name in HEADS]
    return theme.table(caption, heads, shown, numbers=(2,), kind="cards") + f'<p class="soft">{meaning}</p>'


def scores_worth(board: Board) -> str:
    """What the reader must know of the probabilities: none, of no signal, of another day, or what they mean."""
    scores, told = board.scores, []
    if scores is None:
        known = board.workspace
        first = "" if _has_champion(known) else f"{theme.command('salesml train deals')}, then "
        return theme.notice(
            f"The deals have no P(win) as of this day. Run {first}{theme.command('salesml score deals')}"
        )
    if scores.few:
        told.append(
            "Too few outcomes are known to test a model on later deals: P(win) is what is usual, corrected by this company's own "
            "deals as far as these bear it."
        )
    elif scores.baseline:
        told.append(
            "No model could prove that it tells winners apart better than plain rates: P(win) is only how often deals like these "
            "were won before. Among deals of one kind, go by amount, age and silence."
        )
    if scores.as_of != board.as_of:
        told.append(f"P(win) is as known at {text.known(scores.as_of, board.workspace.zone)}.")
    if scores.champion is not None and str(scores.champion) != scores.version:
        told.append(
            f"P(win) is of model version {escape(scores.version)}, the champion is version {scores.champion} now. "
            f"Run {theme.command('salesml score deals')}"
        )
    unscored = int(board.deals["probability"].isna().sum())
    if unscored:
        told.append(f"{text.count(unscored, 'open deal')} of {len(board.deals):,} without a score.")
    return "".join(map(theme.notice, told))


def strongest(deal: Any, names: dict[str, str], currency: str) -> str:
    """The strongest factor of a deal's score in words."""
    found = factors_of(deal)
    if not found:
        return text.MISSING
    first = max(found, key=lambda one: abs(one["effect"]))
    told = escape(text.factor(first, names, currency))
    return f'{told} <small class="{"for" if first["effect"] >= 0 else "against"}">{text.direction(first["effect"])}</small>'


def probability(deal: Any) -> str:
    """P(win) with its interval, its change, the chance of this quarter, and the adjustment in force, each where known."""
    if pd.isna(deal.probability):
        return text.MISSING
    told = text.percent(deal.probability)
    if not pd.isna(deal.lo):
        told += f" <small>{text.percent(deal.lo)} to {text.percent(deal.hi)}</small>"
    if not pd.isna(deal.probability_before):
        told += f"<small>{text.points(deal.probability - deal.probability_before)} since the score before</small>"
    if not pd.isna(deal.p_quarter):
        told += f"<small>this quarter {text.percent(deal.p_quarter)}</small>"
    if deal.adjusted:
        told += f"<small>adjusted to {text.percent(deal.adjusted_probability)} by {escape(str(deal.adjusted_by))}</small>"
    return told


def _has_champion(workspace: Any) -> bool:
    from salesml.workflows.overview import champions

    return MODEL in dict(champions(workspace))


def _row(board: Board, deal: Any, names: dict[str, str]) -> list[str]:
    button = f'<button type="button" class="open" data-deal="{escape(deal.opportunity_id)}">{escape(str(deal.name))}</button>'
    account = " · ".join(escape(str(part)) for part in (deal.account, deal.owner) if not pd.isna(part))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in text.warnings(deal))
    return [
        f"{button}<small>{account}</small><small>{escape(str(deal.stage))}</small>",
        probability(deal),
        text.amount(deal.amount),
        text.days(deal.age_days),
        text.ago(deal.days_since_activity),
        f'<ul class="why">{reasons}</ul>' if reasons else "none",
        strongest(deal, names, board.currency),
    ]
