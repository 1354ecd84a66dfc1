"""What the deal model is asked for about one deal, in the reader's language: score, change, deals like it, next steps, worth."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from salesml.analytics.words import absent
from salesml.apps import pipeline_words as words
from salesml.apps.language import Language

if TYPE_CHECKING:
    from salesml.evaluation.certificate import Certificate
    from salesml.workflows.explain_deals import DealStory
    from salesml.workflows.what_if import WhatIf


def score(language: Language, told: DealStory) -> str:
    """The chance to win with its interval, against the usual deal."""
    return language._(
        "The chance to win is {share} (90 % interval {interval}), {points} from the usual deal's {usual}.",
        share=language.percent(told.probability), interval=words.interval(language, told.lo, told.hi),
        points=words.points(language, told.probability - told.base), usual=language.percent(told.base),
    )  # fmt: skip


def change(language: Language, told: DealStory) -> str:
    """What the chance was a week ago."""
    if told.change is None:
        return language._("A week ago the deal was not open yet: there is no change to tell.")
    before = told.change.before
    moved = words.points(language, told.probability - before)
    return language._("A week ago the chance to win was {share}; it changed by {points}.", share=language.percent(before), points=moved)


def likeness(language: Language, told: DealStory) -> str:
    """What became of the past deals most like it."""
    _, alike = language._, told.alike
    if not told.similar["distance"].notna().any():
        return _("The score goes by no feature of a deal, so no past deal is more like this one than another.")
    if absent(alike.share):
        return language.n_("Only {n} past deal can be compared: too few for a share won.",
                           "Only {n} past deals can be compared: too few for a share won.", alike.deals)  # fmt: skip
    return language.n_(
        "Of the {n} past deal most like it at a comparable moment {share} were won (90 % interval {interval}).",
        "Of the {n} past deals most like it at a comparable moment {share} were won (90 % interval {interval}).", alike.deals,
        share=language.percent(alike.share), interval=words.interval(language, alike.lo, alike.hi),
    )  # fmt: skip


def outcomes(language: Language) -> dict[str, str]:
    """What became of a deal."""
    return {"won": language._("Won"), "lost": language._("Lost"), "no_decision": language._("No decision")}


def steps(language: Language) -> dict[str, tuple[str, str, str]]:
    """The steps of `workflows.advice` by name: the step, what counts as having taken it, why the difference is no effect."""
    from salesml.workflows.advice import MEET, REDATE, REPLY, SECOND

    _ = language._
    return {
        MEET.name: (_("Meet the customer"), _("A meeting or demo"), _("Reps meet better deals more, so the effect is smaller than that.")),
        REPLY.name: (_("Get the customer to answer"), _("An answer from the customer"),
                     _("Customers who want to buy answer more, so the effect is smaller than that.")),
        SECOND.name: (_("Involve a second contact"), _("A first activity with another contact"),
                      _("Better deals draw more people in, so the effect is smaller than that.")),
        REDATE.name: (_("Give the overdue close date a new day"), _("A new close date"),
                      _("Reps date anew what they believe in; a date wins no deal.")),
    }  # fmt: skip


def evidence(language: Language, row: Any) -> str:
    """What the records say for a step (a row of `workflows.advice.advice`)."""
    _, (_step, had, bias) = language._, steps(language)[row.step]
    if absent(row.difference):
        return _("Too few comparable past deals took this step, or did not: the records say nothing of it.")
    told = _(
        "{had} in two weeks: {share_with} of {n_with} comparable deals with it were won, {share_without} of {n_without} without it; with "
        "what the model knows held equal the difference is {points} (95 % interval {lo} to {hi}).",
        had=had, n_with=language.number(row.deals_with), n_without=language.number(row.deals_without),
        share_with=language.percent(row.share_with), share_without=language.percent(row.share_without),
        points=words.points(language, row.difference), lo=words.points(language, row.lo), hi=words.points(language, row.hi),
    )  # fmt: skip
    return f"{told} {bias}"


def recommendation(language: Language, told: DealStory) -> str:
    """The next step with its evidence, or that none stands out."""
    from salesml.workflows.advice import REDATE

    _, found = language._, told.advice
    if stands_out(told):
        best: Any = next(found.itertuples(index=False))
        step = _("Next step: {step}.", step=steps(language)[best.step][0])
        return f"{step} {evidence(language, best)} {_('Evidence class: correlational, for no experiment on deals is recorded.')}"
    said = _("The records of past deals favour no step for this one.")
    if REDATE.name in set(found["step"]):
        said += " " + _("Its close date has passed, though: give it a new day, so that the forecast counts the money in the right month.")
    return said


def stands_out(told: DealStory) -> bool:
    """Whether the records bear the first step out."""
    return bool(len(told.advice) and told.advice["lo"].iloc[0] > 0)


def certified(language: Language, found: Certificate) -> str:
    """A certificate in three sentences: on what it was judged, how it told deals apart, how far chances were off."""
    auc, slope, ece = found.figure("auc"), found.calibration.slope, found.calibration.ece
    first, last = (language.day(dt.date.fromisoformat(day), short=True) for day in (found.tested_from, found.tested_until))
    number = language.number
    return " ".join([
        language.n_("Judged on {n} later deal, {first} to {last}.", "Judged on {n} later deals, {first} to {last}.", found.entities,
                    first=first, last=last),
        language._("Of a won and a lost one the won had the higher chance in {share} of cases (a coin: {coin}).",
                   share=language.percent(auc.value), coin=language.percent(0.5)),
        language._("Chances were off by {points} on average per tenth of the scores; calibration slope {slope} ({lo} to {hi}, ideal 1).",
                   points=words.points(language, ece.value).removeprefix("+"), slope=number(slope.value, 2), lo=number(slope.lo, 2),
                   hi=number(slope.hi, 2)),
    ])  # fmt: skip


def limits(language: Language) -> list[str]:
    """Limits of every certificate of the deal model, as `workflows.train_deals` gives them, without days and counts."""
    _ = language._
    return [
        _("The chance to win is that of being won in the end, for deals open on the day; it was judged on weekly snapshots."),
        _("The youngest snapshots, and deals that were still undecided, are not in these figures."),
        _("The model in use was fitted again on everything known by then, with the settings found before the test."),
        _("Factors say what the score goes by, not what would change the outcome."),
    ]


def what_if(language: Language, found: WhatIf) -> str:
    """What the model would score, beside what it scores."""
    after, gained = found.after, found.after["probability"] - found.before["probability"]
    return language._(
        "The model would score {share} (90 % interval {interval}), {points} from now.", share=language.percent(after["probability"]),
        interval=words.interval(language, after["lo"], after["hi"]), points=words.points(language, gained),
    )  # fmt: skip


def caution(language: Language) -> str:
    """What a what-if is not."""
    return language._(
        "This is what the model would score if that were recorded now, not what would happen: changing a field does not change the deal."
    )
