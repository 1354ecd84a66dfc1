"""The part of a deal's story that the model has to be asked for: reasons in words, what moved, the next step, deals like it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from salesml.apps import text, theme
from salesml.apps.data import MODEL, Board, records
from salesml.errors import SalesmlError
from salesml.figures.pipeline import push
from salesml.workflows.overview import version_tags

if TYPE_CHECKING:
    from salesml.evaluation.certificate import Certificate
    from salesml.workflows.deal_frames import DealFrames
    from salesml.workflows.explain_deals import DealStory
    from salesml.workflows.what_if import WhatIf

WAITING = '<p class="soft" role="status">Reading past deals to compare with (a few seconds the first time)…</p>'
SHOWN = 6


def frames_of(board: Board) -> DealFrames | None:
    """What stories are told from, with the version and instant of the scores shown; None where that version is not registered."""
    if board.scores is None or not version_tags(board.workspace, MODEL, board.scores.version):
        return None
    from salesml.workflows.deal_frames import deal_frames

    return deal_frames(board.workspace, board.scores.as_of, int(board.scores.version))


def depth(board: Board, frames: DealFrames, opportunity_id: str) -> str:
    """Everything the model is asked for about one deal, as HTML; a notice where there is no story to tell."""
    from salesml.workflows.explain_deals import tell

    try:
        told = tell(frames, opportunity_id)
    except SalesmlError as error:
        return theme.notice(escape(str(error)))
    left = [_step(told), _reasons(told), _change(told)]
    right = [_when(board, told), _similar(board, told), _worth(told)]
    return f'<div class="columns"><section>{"".join(left)}</section><section>{"".join(right)}</section></div>'


def what_if_result(board: Board, found: WhatIf) -> str:
    """What the model would score beside what it scores, with its caution, as HTML."""
    from salesml.workflows.what_if import CAUTION

    if found.moved.empty:
        return f'<p class="soft">Nothing is changed yet. {CAUTION}</p>'
    rows = [["P(win)", *(_chance(s.probability, s.lo, s.hi) for s in (found.before, found.after))]]
    if "p_quarter" in found.after:
        rows.append(["P(won this quarter)", *(text.percent(s.p_quarter) for s in (found.before, found.after))])
        rows.append(["Half of such deals are closed by", *(_day(s.close_expected) for s in (found.before, found.after))])
    shown = theme.table(f"Deal model version {board.scores.version if board.scores else ''}", ["", "As it is", "What if"], rows)
    return f'<p class="answer" role="status">{escape(found.sentence)}</p>{shown}<p class="soft">{CAUTION}</p>'


def _step(told: DealStory) -> str:
    others = told.advice["sentence"].iloc[1 if told.recommendation.startswith("Next step") else 0 :]
    steps = told.advice["step"].loc[others.index]
    items = "".join(f"<li><strong>{escape(step)}.</strong> {escape(said)}</li>" for step, said in zip(steps, others, strict=True))
    more = f'<details><summary>Other steps that are still open</summary><ul class="why">{items}</ul></details>' if items else ""
    return f"<h2>What to do next</h2><p>{escape(told.recommendation)}</p>{more}"


def _reasons(told: DealStory) -> str:
    greatest = float(told.reasons["points"].abs().max()) if len(told.reasons) else 0.0
    items = "".join(
        f"<li>{push(row.points, greatest)}{escape(row.sentence)}</li>" for row in records(told.reasons)
    )
    if not items:
        items = "<li>The score is the plain rate of all deals: it goes by no factor.</li>"
    return f'<h2>Why, in words</h2><p>{escape(told.sentence)}</p><ul class="reasons">{items}</ul>'


def _change(told: DealStory) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in (told.change.told[:SHOWN] if told.change else ()))
    return f'<h2>Since last week</h2><p>{told.change_words}</p><ul class="why">{items}</ul>'


def _when(board: Board, told: DealStory) -> str:
    if told.timing is None:
        return '<h2>When</h2><p class="soft">This version of the model knows nothing of time.</p>'
    t = told.timing
    early, late = _day(t["close_early"]), _day(t["close_late"])
    figures = [
        ("Closed by, as the model sees it", _day(t["close_expected"]), f"half of such deals; 1 in 10 by {early}, 9 in 10 by {late}"),
        ("P(won this quarter)", text.percent(t["p_quarter"]), f"by the end of {board.quarter[1] - pd.Timedelta(days=1):%B}"),
    ]
    if not pd.isna(t["slip"]):
        figures.append(("Slip risk", text.percent(t["slip"]), "not closed by its close date"))
    return f"<h2>When</h2>{theme.facts(figures)}"


def _similar(board: Board, told: DealStory) -> str:
    rows = [
        [escape(str(row.name)) + f"<small>as of {text.short_day(row.as_of.date())}</small>", escape(str(row.outcome).replace("_", " ")),
         text.days(row.days), text.amount(row.amount)]
        for row in records(told.similar.head(SHOWN))
    ]  # fmt: skip
    heads = ["Deal", "Became", "Took", f"Amount ({board.currency})"]
    shown = theme.table("The nearest, by what the score goes by", heads, rows, numbers=(3,)) if rows else ""
    return f"<h2>Past deals like it</h2><p>{told.likeness}</p>{shown}"


def _worth(told: DealStory) -> str:
    title = "<h2>How good such scores are</h2>"
    if told.certificate is None:
        return f'{title}<p class="soft">This version has no certificate: it is a plain rate.</p>'
    items = "".join(f"<li>{escape(limit)}</li>" for limit in told.certificate.limits)
    limits = f'<details><summary>Limits</summary><ul class="why">{items}</ul></details>' if items else ""
    return f"{title}<p>{certified(told.certificate)}</p>{limits}"


def certified(found: Certificate) -> str:
    """A certificate in two sentences: on what it was judged, how it told deals apart, how far P(win) was off."""
    auc, slope, ece = found.figure("auc"), found.calibration.slope, found.calibration.ece
    judged = f"On {text.count(found.entities, 'later deal')} ({found.tested_from} to {found.tested_until})"
    pairs = f"of a won and a lost one the won had the higher P(win) in {text.percent(auc.value)} of cases (a coin: 50{text.NARROW}%)"
    off = f"P(win) was off by {text.points(ece.value).removeprefix('+')} on average per tenth of the scores"
    return f"{judged} {pairs}. {off}; calibration slope {slope.value:.2f} ({slope.lo:.2f} to {slope.hi:.2f}, ideal 1)."


def _chance(p: Any, lo: Any, hi: Any) -> str:
    return f"{text.percent(p)} <small>{text.percent(lo)} to {text.percent(hi)}</small>"


def _day(value: Any) -> str:
    return "too far to tell" if pd.isna(value) else text.short_day(pd.Timestamp(value).date())
