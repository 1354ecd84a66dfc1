"""The next step for a deal, with what the records can say for it: an association among past deals, never an effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from salesml.analytics.likeness import LEAST_DEALS, Association, association
from salesml.analytics.words import count, percent, points
from salesml.workflows.deal_frames import DealFrames

WITHIN = dt.timedelta(days=14)
EVIDENCE = "correlational"
"""Of randomised (drawn by lot), identified (a rule that decides like a lot) and correlational: no experiment on deals is recorded."""
CAUTION = "Evidence class: correlational, for no experiment on deals is recorded."
ADVICE = ["step", "evidence", "deals_with", "share_with", "deals_without", "share_without", "difference", "lo", "hi", "sentence"]


@dataclass(frozen=True)
class Step:
    """A step a rep can take: in words, what counts as having taken it, why its difference is no effect, when it is still open."""

    name: str
    had: str
    bias: str
    events: Callable[[DealFrames], pd.DataFrame]
    open_to: Callable[[DealFrames, pd.DataFrame], np.ndarray]


def _met(frames: DealFrames) -> pd.DataFrame:
    rows = frames.touches
    failed = rows["outcome"].fillna("").str.lower().str.contains("no.show|cancel")
    return rows[rows["type"].isin(["meeting", "demo"]) & ~failed]


def _answered(frames: DealFrames) -> pd.DataFrame:
    return frames.touches[frames.touches["direction"] == "inbound"]


def _people(frames: DealFrames) -> pd.DataFrame:
    rows = frames.touches.dropna(subset="contact_id").drop_duplicates(["opportunity_id", "contact_id"])
    return rows.assign(people=rows.groupby("opportunity_id").cumcount() + 1)


def _moved(frames: DealFrames) -> pd.DataFrame:
    return frames.dated


def _not_lately(events: Callable[[DealFrames], pd.DataFrame]) -> Callable[[DealFrames, pd.DataFrame], np.ndarray]:
    def quiet(frames: DealFrames, rows: pd.DataFrame) -> np.ndarray:
        last = _beside(rows, events(frames), "backward")["event_at"]
        return ~(rows["as_of"].to_numpy() - last.to_numpy() <= np.timedelta64(WITHIN))

    return quiet


def _overdue(frames: DealFrames, rows: pd.DataFrame) -> np.ndarray:
    return (pd.to_datetime(rows["close_date"]).dt.tz_localize("UTC") < rows["as_of"].dt.floor("D")).to_numpy()


def _one_person(frames: DealFrames, rows: pd.DataFrame) -> np.ndarray:
    return (_beside(rows, _people(frames), "backward")["people"] == 1).to_numpy()


SMALLER = "so the effect is smaller than that"
MEET = Step("Meet the customer", "a meeting or demo", f"Reps meet better deals more, {SMALLER}.", _met, _not_lately(_met))
REPLY = Step(
    "Get the customer to answer", "an answer from the customer", f"Customers who want to buy answer more, {SMALLER}.", _answered,
    _not_lately(_answered),
)  # fmt: skip
SECOND = Step(
    "Involve a second contact", "a first activity with another contact", f"Better deals draw more people in, {SMALLER}.", _people,
    _one_person,
)  # fmt: skip
REDATE = Step(
    "Give the overdue close date a new day", "a new close date", "Reps date anew what they believe in; a date wins no deal.", _moved,
    _overdue,
)  # fmt: skip
STEPS = (MEET, REPLY, SECOND, REDATE)


def advice(frames: DealFrames, deal: str) -> pd.DataFrame:
    """The steps that are still to be taken for a deal, the best borne out first: step, evidence, shares, difference, sentence.

    Compared are past snapshots at the deal's stage (all stages where that leaves fewer than 20 deals on a side) for which the
    step was still to be taken and which were open two weeks later: with the step in those two weeks, and without. difference:
    adjusted for what the model knows, in shares of 1, with 95 % interval lo, hi; missing where too few deals tell.
    """
    stage = frames.now.loc[deal, "stage"]
    rows = [_told(step, stage, _association(frames, step, stage)) for step in STEPS if _still_open(frames, step)[deal]]
    found = pd.DataFrame(rows, columns=ADVICE)
    keys = found.assign(sure=found["lo"] > 0).sort_values(["sure", "difference"], ascending=False, kind="stable")
    return keys.drop(columns="sure").reset_index(drop=True)


def recommendation(found: pd.DataFrame) -> str:
    """The next step in one sentence with its evidence class, or that none stands out."""
    if len(found) and found["lo"].iloc[0] > 0:
        return f"Next step: {found['step'].iloc[0].lower()}. {found['sentence'].iloc[0]} {CAUTION}"
    told = "The records of past deals favour no step for this one."
    if REDATE.name in set(found["step"]):
        told += " Its close date has passed, though: give it a new day, so that the forecast counts the money in the right month."
    return told


def _still_open(frames: DealFrames, step: Step) -> pd.Series:
    """For every open deal whether the step is still to be taken."""
    key = ("still open", step.name)
    if key not in frames.kept:
        rows = frames.now.reset_index(drop=True)
        frames.kept[key] = pd.Series(step.open_to(frames, rows), frames.now.index)
    return frames.kept[key]  # type: ignore[no-any-return]


def _association(frames: DealFrames, step: Step, stage: object) -> tuple[Association | None, bool]:
    """The association at a stage and True; of all stages and False where a side has too few deals."""
    key = ("advice", step.name, stage)
    if key not in frames.kept:
        past = frames.past
        open_to, taken = np.zeros(0, bool), np.zeros(0, bool)
        if len(past):
            later = (past["closed_at"] - past["as_of"] >= WITHIN).to_numpy()
            open_to = step.open_to(frames, past) & later
            ahead = _beside(past, step.events(frames), "forward")["event_at"]
            taken = (ahead.to_numpy() - past["as_of"].to_numpy()) < np.timedelta64(WITHIN)
        at_stage = open_to & (past["stage"] == stage).to_numpy(bool)
        found = None
        for chosen in (at_stage, open_to):
            if past.loc[chosen, "opportunity_id"].nunique() >= 2 * LEAST_DEALS and found is None:
                found = association(past[chosen], taken[chosen], frames.past_effects[chosen])
                at = chosen is at_stage
        frames.kept[key] = (found, found is not None and at)
    return frames.kept[key]  # type: ignore[no-any-return]


def _beside(rows: pd.DataFrame, events: pd.DataFrame, direction: Literal["backward", "forward"]) -> pd.DataFrame:
    """The event next to each row's as_of (backward: before it; forward: at or after it) of the same deal, in the rows' order."""
    wanted = rows[["opportunity_id", "as_of"]].assign(place=np.arange(len(rows))).sort_values("as_of")
    events = events.assign(event_at=events["occurred_at"].astype(wanted["as_of"].dtype)).sort_values("event_at")
    found = pd.merge_asof(
        wanted, events.drop(columns="occurred_at"), left_on="as_of", right_on="event_at", by="opportunity_id",
        direction=direction, allow_exact_matches=direction == "forward",
    )  # fmt: skip
    return found.sort_values("place", ignore_index=True)


def _told(step: Step, stage: object, found: tuple[Association | None, bool]) -> dict[str, object]:
    known, at_stage = found
    if known is None:
        lack = f"Fewer than {LEAST_DEALS} comparable past deals had {step.had}, or had none: the records say nothing of it."
        return {"step": step.name, "evidence": EVIDENCE, "sentence": lack}
    d = known.difference
    where = f"at stage {stage}" if at_stage else "at any stage"
    told = (
        f"Of {count(known.deals_with, 'comparable deal')} {where} that had {step.had} in the following two weeks "
        f"{percent(known.share_with)} were won, of {count(known.deals_without, 'such deal')} that had none "
        f"{percent(known.share_without)}; with what the model knows held equal the difference is {points(d.estimate)} "
        f"(95\N{NO-BREAK SPACE}% interval {points(d.lo)} to {points(d.hi)}). {step.bias}"
    )
    values = (known.deals_with, known.share_with, known.deals_without, known.share_without, d.estimate, d.lo, d.hi)
    return dict(zip(ADVICE, (step.name, EVIDENCE, *values, told), strict=True))
