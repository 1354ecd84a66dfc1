"""The part of a deal's story that the model has to be asked for: reasons in words, what moved, the next step, deals like it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from salesml.apps import feature_words, story_words, theme
from salesml.apps import pipeline_words as words
from salesml.apps.data import MODEL, Board, records
from salesml.apps.language import Language
from salesml.errors import SalesmlError
from salesml.figures.pipeline import push
from salesml.workflows.overview import version_tags

if TYPE_CHECKING:
    from salesml.workflows.deal_frames import DealFrames
    from salesml.workflows.explain_deals import DealStory
    from salesml.workflows.what_if import WhatIf

SHOWN = 6


def waiting(language: Language) -> str:
    """The line that stands there while the model is asked."""
    told = language._("Reading past deals to compare with (a few seconds the first time)…")
    return f'<p class="soft" role="status">{escape(told)}</p>'


def frames_of(board: Board) -> DealFrames | None:
    """What stories are told from, with the version and instant of the scores shown; None where that version is not registered."""
    if board.scores is None or not version_tags(board.workspace, MODEL, board.scores.version):
        return None
    from salesml.workflows.deal_frames import deal_frames

    return deal_frames(board.workspace, board.scores.as_of, int(board.scores.version))


def depth(board: Board, language: Language, frames: DealFrames, opportunity_id: str) -> str:
    """Everything the model is asked for about one deal, as HTML; a notice where there is no story to tell."""
    from salesml.workflows.explain_deals import tell

    try:
        told = tell(frames, opportunity_id)
    except SalesmlError as error:
        return theme.notice(escape(str(error)))
    left = [_step(told, language), _reasons(told, language, frames), _change(told, language, frames)]
    right = [_when(board, told, language), _similar(board, told, language, frames), _worth(told, language)]
    return f'<div class="columns"><section>{"".join(left)}</section><section>{"".join(right)}</section></div>'


def what_if_result(board: Board, language: Language, found: WhatIf) -> str:
    """What the model would score beside what it scores, with its caution, as HTML."""
    _ = language._
    caution = escape(story_words.caution(language))
    if found.moved.empty:
        return f'<p class="soft">{escape(_("Nothing is changed yet."))} {caution}</p>'
    both = (found.before, found.after)
    rows = [[_("Chance to win"), *(_chance(language, one) for one in both)]]
    if "p_quarter" in found.after:
        rows.append([_("Chance to be won this quarter"), *(language.percent(one.p_quarter) for one in both)])
        rows.append([_("Half of such deals are closed by"), *(_day(language, one.close_expected) for one in both)])
    version = _("Deal model version {version}", version=board.scores.version if board.scores else "")
    shown = theme.table(version, ["", _("As it is"), _("What if")], rows)
    return f'<p class="answer" role="status">{escape(story_words.what_if(language, found))}</p>{shown}<p class="soft">{caution}</p>'


def _step(told: DealStory, language: Language) -> str:
    _, title = language._, story_words.steps(language)
    others = records(told.advice)[1 if story_words.stands_out(told) else 0 :]
    items = "".join(
        f"<li><strong>{escape(title[row.step][0])}.</strong> {escape(story_words.evidence(language, row))}</li>" for row in others
    )
    summary = f"<summary>{escape(_('Other steps that are still open'))}</summary>"
    more = f'<details>{summary}<ul class="why">{items}</ul></details>' if items else ""
    return f"<h2>{escape(_('What to do next'))}</h2><p>{escape(story_words.recommendation(language, told))}</p>{more}"


def _reasons(told: DealStory, language: Language, frames: DealFrames) -> str:
    wording, greatest = frames.wording, float(told.reasons["points"].abs().max()) if len(told.reasons) else 0.0
    items = "".join(
        f"<li>{push(row.points, greatest)}{escape(feature_words.reason(language, row, wording.names, wording.currency))}</li>"
        for row in records(told.reasons)
    )
    plain = escape(language._("The score is the plain rate of all deals: it goes by no factor."))
    title, said = escape(language._("Why, in words")), escape(story_words.score(language, told))
    return f'<h2>{title}</h2><p>{said}</p><ul class="reasons">{items or f"<li>{plain}</li>"}</ul>'


def _change(told: DealStory, language: Language, frames: DealFrames) -> str:
    from salesml.workflows.explain_deals import TELLING

    wording, parts = frames.wording, told.change.parts if told.change else pd.DataFrame({"points": []})
    items = "".join(
        f"<li>{escape(feature_words.change(language, row, wording.names, wording.currency))}</li>"
        for row in records(parts[parts["points"].abs() >= TELLING].head(SHOWN))
    )
    shown = f'<ul class="why">{items}</ul>' if items else ""
    return f"<h2>{escape(language._('Since last week'))}</h2><p>{escape(story_words.change(language, told))}</p>{shown}"


def _when(board: Board, told: DealStory, language: Language) -> str:
    _, t = language._, told.timing
    title = f"<h2>{escape(_('When'))}</h2>"
    if t is None:
        return f'{title}<p class="soft">{escape(_("This version of the model knows nothing of time."))}</p>'
    early, late = _day(language, t["close_early"]), _day(language, t["close_late"])
    end = language.day(board.quarter[1] - pd.Timedelta(days=1), short=True)
    half = _("half of such deals; 1 in 10 by {early}, 9 in 10 by {late}", early=early, late=late)
    figures = [
        (_("Closed by, as the model sees it"), _day(language, t["close_expected"]), half),
        (_("Chance to be won this quarter"), language.percent(t["p_quarter"]), _("by {day}", day=end)),
    ]
    if not pd.isna(t["slip"]):
        figures.append((_("Slip risk"), language.percent(t["slip"]), _("not closed by its close date")))
    return f"{title}{theme.facts(figures)}"


def _similar(board: Board, told: DealStory, language: Language, frames: DealFrames) -> str:
    """What became of deals like it; by name only those that the reader may see."""
    _, outcomes = language._, story_words.outcomes(language)
    rows = []
    for row in records(_seen(board, told.similar, frames).head(SHOWN)):
        then = escape(_("as of {day}", day=language.day(row.as_of.date(), short=True)))
        outcome, took = escape(outcomes.get(str(row.outcome), str(row.outcome))), words.days(language, row.days)
        rows.append([f"{escape(str(row.name))}<small>{then}</small>", outcome, took, language.money(row.amount, board.currency)])
    heads = [_("Deal"), _("Became"), _("Took"), _("Amount")]
    shown = theme.table(_("The nearest, by what the score goes by"), heads, rows, numbers=(3,)) if rows else ""
    return f"<h2>{escape(_('Past deals like it'))}</h2><p>{escape(story_words.likeness(language, told))}</p>{shown}"


def _seen(board: Board, similar: pd.DataFrame, frames: DealFrames) -> pd.DataFrame:
    if board.sees is None:
        return similar
    owners = frames.view.frame(frames.view.state("opportunity", ["owner_id"]))
    return similar[similar["opportunity_id"].isin(owners.loc[owners["owner_id"].isin(board.sees), "opportunity_id"])]


def _worth(told: DealStory, language: Language) -> str:
    _ = language._
    title = f"<h2>{escape(_('How good such scores are'))}</h2>"
    if told.certificate is None:
        return f'{title}<p class="soft">{escape(_("This version has no certificate: it is a plain rate."))}</p>'
    items = "".join(f"<li>{escape(limit)}</li>" for limit in story_words.limits(language))
    limits = f'<details><summary>{escape(_("Limits"))}</summary><ul class="why">{items}</ul></details>' if told.certificate.limits else ""
    return f"{title}<p>{escape(story_words.certified(language, told.certificate))}</p>{limits}"


def _chance(language: Language, one: Any) -> str:
    return f"{language.percent(one.probability)} <small>{words.interval(language, one.lo, one.hi)}</small>"


def _day(language: Language, value: Any) -> str:
    return language._("too far to tell") if pd.isna(value) else language.day(pd.Timestamp(value).date(), short=True)
