"""Activity analytics of a company or a rep: volume, cadence, response, coverage, what goes with wins, and hints that are sure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from salesml.analytics import activity as acts
from salesml.analytics import activity_hints, activity_outcomes, activity_response, pipeline, words
from salesml.analytics.activity_hints import Hint
from salesml.analytics.book import Book
from salesml.analytics.slices import Where, measure
from salesml.errors import BadParameter, UnknownName
from salesml.lake import Lake, Tables, visible
from salesml.workflows.activity_facts import Related, Worked, related, worked
from salesml.workflows.books import book_of
from salesml.workspace import WEEKDAYS, Workspace

WEEKS = 13
HELD = (
    "Correlational, not proof: compared at equal segment, product, source, type, amount, stage and rep; deals that go well are touched "
    "more."
)


@dataclass(frozen=True)
class Activity:
    """What was done in [since, as_of) and how open deals stand; money in `currency`, of one rep where `rep` is set.

    weeks: `activity.volume` by activity type and week; mix: by rep (of one rep: itself); stages, whole: `activity.standing`; by_rep: the
    same by rep with label, activities, a_week, and answered soon (soon, lo, hi); accounts: `activity.accounts` (touched since `quarter`);
    types, hours: `activity_response.response` and `by_hour`; waiting: conversations without an answer for over a day; bands, contrasts and
    windows (days): by landmark in days, of the whole company; rates, ratios: `activity_cadence.advancing`, too; gaps, hints:
    `activity_hints`; peers: reps at work with the group each is compared in; sentence, relation and notes in words.
    """

    as_of: dt.datetime
    since: dt.date
    quarter: dt.date
    currency: str
    time_zone: str
    rep: str | None
    weeks: pd.DataFrame
    mix: pd.DataFrame
    whole: pd.DataFrame
    stages: pd.DataFrame
    by_rep: pd.DataFrame
    work: pd.DataFrame
    accounts: pd.DataFrame
    types: pd.DataFrame
    hours: pd.DataFrame
    waiting: pd.DataFrame
    bands: dict[int, pd.DataFrame]
    contrasts: dict[int, pd.DataFrame]
    windows: dict[int, int]
    rates: pd.DataFrame
    ratios: pd.DataFrame
    gaps: pd.DataFrame
    peers: pd.DataFrame
    hints: tuple[Hint, ...]
    sentence: str
    relation: tuple[str, ...]
    notes: tuple[str, ...]
    head_id: int
    messages: pd.DataFrame = field(repr=False)

    @property
    def looked_at(self) -> tuple[str, ...]:
        """What hints are looked for in."""
        return tuple(title for title, _ in activity_hints.GAPS.values())

    def hours_by(self, block: int = 3) -> pd.DataFrame:
        """Response by weekday and block of hours."""
        return activity_response.by_hour(self.messages, block)


def activity(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, since: str | dt.date | None = None, rep: str | None = None,
    *, where: Where | None = None, tables: Tables | None = None,
) -> Activity:  # fmt: skip
    """Activity analytics as known as of an instant, of activities from `since` on (default: the 13 weeks before).

    rep: id or name of one rep; where: names allowed of region, team and rep instead; the relation to outcomes stays that of the company.
    Raises UnknownName, BadParameter, NotEnoughData.
    """
    tables = tables or Lake(workspace).open()
    instant = tables.instant(as_of)
    view, today = visible(tables, instant), workspace.local_date(instant)
    first = first_day(since, today, workspace.settings.week_start)
    book = book_of(workspace, instant, tables=tables)
    one = _rep(book, rep)
    who: Where | None = {"rep": [one]} if one else where
    period = (first, today + dt.timedelta(days=1) if workspace.instant(today) < instant else today)
    quarter, _ = pipeline.quarter(today - dt.timedelta(days=1), workspace.settings.fiscal_year_start)
    whole, outcomes = worked(view, book, first, quarter), related(view)
    mine = whole if who is None else _of(whole, book, who)
    hints = hints_of(whole, mine.gaps, book, lambda: outcomes)
    labels = dict(zip(book.names["rep"], book.labels["rep"], strict=True))
    waits = mine.waiting.assign(rep_name=mine.waiting["rep"].map(labels).fillna(mine.waiting["rep"]))
    mix, stands = acts.mix(book, period=period, where=who), acts.standing(mine.work)
    counted = measure(book, ["activities"], period=period, where=who)["activities"].iloc[0]
    return Activity(
        instant, first, quarter, book.currency, workspace.settings.time_zone, one,
        weeks=acts.volume(book, period=period, where=who), mix=mix.assign(label=mix["rep"].map(labels)), whole=stands,
        stages=acts.standing(mine.work, "stage"), by_rep=_by_rep(mine.work, mine.messages, mix, labels), work=mine.work,
        accounts=mine.owned, types=activity_response.response(mine.messages), hours=activity_response.by_hour(mine.messages), waiting=waits,
        bands=outcomes.bands, contrasts=outcomes.contrasts, windows=outcomes.windows, rates=outcomes.rates, ratios=outcomes.ratios,
        gaps=mine.gaps, peers=whole.there, hints=tuple(hints),
        sentence=_sentence(int(counted), period, stands.iloc[0], waits, hints, book.currency, labels.get(one) if one else None),
        relation=_relation(outcomes.contrasts, outcomes.ratios, outcomes.lacking),
        notes=_notes(mine.work, mine.messages, (int(mine.owned["touched"].sum()), len(mine.owned)), quarter, outcomes.lacking),
        head_id=tables.head.id, messages=mine.messages,
    )  # fmt: skip


def _of(whole: Worked, book: Book, who: Where) -> Worked:
    """What is in a slice of the book: deals by their own place, all else by the reps who have a deal or an activity there."""
    reps = {name for counted in ("deals_created", "activities") for name in measure(book, [counted], by=["rep"], where=who)["rep"]}
    work = whole.work[np.logical_and.reduce([whole.work[name].isin(list(names)) for name, names in who.items()])]
    names = ("messages", "owned", "waiting", "gaps")
    rest = {name: (rows := getattr(whole, name))[rows["rep"].isin(reps)].reset_index(drop=True) for name in names}
    return replace(whole, work=work.reset_index(drop=True), **rest)


def first_day(since: str | dt.date | None, today: dt.date, week_start: str, weeks: int = WEEKS) -> dt.date:
    """The day to count from: `since`, else the first day of the week so many weeks before. Raises BadParameter."""
    if since is None or since == "":
        back = today - dt.timedelta(weeks=weeks)
        return back - dt.timedelta(days=(back.weekday() - WEEKDAYS.index(week_start)) % 7)
    try:
        first = dt.date.fromisoformat(since) if isinstance(since, str) else since
    except ValueError as error:
        raise BadParameter(f"since {since!r} is not a day; write 2026-04-01") from error
    if first >= today:
        raise BadParameter(f"since {first} is not before {today}, the day asked as of")
    return first


def _rep(book: Book, rep: str | None) -> str | None:
    """The id of a rep given by id or by name."""
    if not rep:
        return None
    if rep in book.names["rep"]:
        return rep
    named = [one for one, label in zip(book.names["rep"], book.labels["rep"], strict=True) if label.casefold() == rep.casefold()]
    if len(named) > 1:
        raise BadParameter(f"{len(named)} reps are called {rep!r}; give the id: {', '.join(named)}")
    if not named:
        raise UnknownName("rep", rep, book.labels["rep"])
    return named[0]


def hints_of(whole: Worked, gaps: pd.DataFrame, book: Book, outcomes: Callable[[], Related]) -> list[Hint]:
    """The hints that follow from gaps of some reps (rows of the whole's); outcomes are asked for where a gap is sure."""
    if not gaps["sure"].any():
        return []
    concerned = activity_hints.concerned(whole.work, whole.waiting, whole.owned, pd.Timestamp(book.as_of))
    found = outcomes()
    return activity_hints.hints(gaps, whole.there.set_index("rep")["name"], concerned, evidence(found.contrasts, found.ratios))


def evidence(contrasts: dict[int, pd.DataFrame], ratios: pd.DataFrame) -> dict[str, str]:
    """What is known of each gap's relation to outcomes, in a sentence: `activity_outcomes.associations` by landmark, cadence ratios."""
    told = {"in_touch": _cadence_words(ratios), "accounts": "How touches of accounts go with their orders was not examined."}
    for gap, behaviour in (("answers", "answer_hours"), ("contacts", "contacts"), ("meetings", "meetings")):
        rows = [(days, row) for days, found in contrasts.items() for row in found.to_dict("records") if row["behaviour"] == behaviour]
        apart = [(days, row) for days, row in rows if row["told"]]
        if not rows:
            told[gap] = "Too few deals are known to say what goes with it."
        elif not apart:
            told[gap] = "Here deals with more and with less of it are not told apart by wins."
        else:
            days, row = apart[-1]
            words_ = _contrast_words(days, row)
            told[gap] = f"{words_[0].upper()}{words_[1:]}."
    return told


def _contrast_words(days: int, row: dict) -> str:
    unit = activity_outcomes.BEHAVIOURS[str(row["behaviour"])][1]
    name = f"{row['title'].lower()} in the first {days} days"
    low, high = (band.replace(f" {unit}", "") for band in (row["low"], row["high"]))
    return (
        f"{name}: {high} against {low}{f' {unit}' if unit == 'hours' else ''} go with {words.points(row['difference'])} of win rate "
        f"(90{words.NARROW}% interval {words.points(row['lo'])} to {words.points(row['hi'])})"
    )


def _cadence_words(ratios: pd.DataFrame) -> str:
    told = ratios[ratios["told"]]
    if ratios["ratio"].isna().all():
        return "Too few moves are known after short and after long silence to compare them."
    if told.empty:
        return "Deals touched within a week and deals silent for over two are not told apart by how soon they move on."
    parts = [f"{row['ratio']:.1f} times ({row['lo']:.1f} to {row['hi']:.1f}) as often in {row['stage']}" for row in told.to_dict("records")]
    return f"Deals touched within a week moved on {', '.join(parts)}, against deals silent for over two weeks."


def _relation(contrasts: dict[int, pd.DataFrame], ratios: pd.DataFrame, lacking: str) -> tuple[str, ...]:
    rows = [(days, row) for days, found in contrasts.items() for row in found.to_dict("records")]
    if not rows:
        return (lacking or "Too few deals are known to say what goes with wins.", _cadence_words(ratios))
    apart = [(days, row) for days, row in rows if row["told"]]
    left = sorted({str(row["title"]).lower() for _, row in rows} - {str(row["title"]).lower() for _, row in apart})
    told = [f"{_contrast_words(days, row)}; {_unseen(row)}" for days, row in apart] or ["no behaviour's bands are told apart"]
    parts = [f"{one[0].upper()}{one[1:]}." for one in told] + ([f"Not told apart: {', '.join(left)}."] if left and apart else [])
    return (HELD, *parts, _cadence_words(ratios), *_best_words(ratios))


def _best_words(ratios: pd.DataFrame) -> list[str]:
    """The silence at which deals moved on most often, where its interval lies above all others'."""
    sure = ratios[ratios["apart"].eq(True)]
    if sure.empty:
        return ["No cadence is surely the best: in every stage the intervals of silences overlap."]
    groups = sure.groupby("best", sort=True)
    parts = [f"{str(band).removesuffix(' ago')} after a touch in {', '.join(mine['stage'])}" for band, mine in groups]
    rest = "; in the other stages intervals overlap" if len(sure) < len(ratios) else ""
    return [f"As counted, most moves a week came {'; '.join(parts)}{rest}."]


def _unseen(row: dict) -> str:
    return (
        f"a cause nobody recorded would explain it only if it went with both by a factor of {row['e_value']:.1f} or more, and leave it "
        f"open from {row['e_value_lo']:.1f}"
    )


def _by_rep(work: pd.DataFrame, messages: pd.DataFrame, mix: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    stands, answers = acts.standing(work, "rep"), activity_response.response(messages, "rep")
    found = mix[["rep", "activities", "a_week"]].merge(stands, "outer", "rep").merge(answers.drop(columns="answered"), "left", "rep")
    found = found.assign(label=found["rep"].map(labels).fillna(found["rep"]))
    counts = {name: found[name].fillna(0).astype("int64") for name in ("activities", "deals", "in_touch", "quiet", "messages", "judged")}
    return found.assign(**counts).sort_values(["activities", "rep"], ascending=[False, True], kind="stable", ignore_index=True)


def _sentence(
    count: int, period: tuple[dt.date, dt.date], whole: pd.Series, waits: pd.DataFrame, hints: list[Hint], currency: str, name: str | None
) -> str:
    weeks, last = (period[1] - period[0]).days / 7, period[1] - dt.timedelta(days=1)
    told = f"{name}: " if name else ""
    told += f"{words.count(count, 'activity')} from {words.day(period[0])} to {words.day(last)}, {count / weeks:,.0f} a week. "
    if whole["deals"]:
        told += f"{words.percent(whole['in_touch_share'])} of {words.count(int(whole['deals']), 'open deal')} are in touch; "
        amount = f" ({words.money(whole['quiet_amount'], currency)})" if whole["quiet_amount"] else ""
        told += f"silent for over {acts.QUIET_DAYS} days: {words.count(int(whole['quiet']), 'deal')}{amount}. "
    else:
        told += "No deal is open. "
    told += f"Without an answer for over a day: {words.count(len(waits), 'conversation')}. "
    if not hints:
        return f"{told}No gap to the peers is sure, so there is no coaching hint."
    return f"{told}Coaching: {words.count(len(hints), 'hint')} for {words.count(len({hint.rep for hint in hints}), 'rep')}."


def _notes(work: pd.DataFrame, messages: pd.DataFrame, owned: tuple[int, int], quarter: dt.date, lacking: str) -> tuple[str, ...]:
    told = []
    if owned[1]:
        share = words.percent(owned[0] / owned[1])
        told.append(f"{owned[0]:,} of {owned[1]:,} accounts in somebody's charge ({share}) were touched since {words.day(quarter)}.")
    if len(work) and not work["contacts"].gt(0).any():
        told.append("Activities name no contacts, so nothing can be told of the buying group.")
    if messages.empty:
        told.append("No message of a customer is recorded in this time, so nothing can be told of answers.")
    return (*told, *([lacking] if lacking else []))
