"""The story of one deal: why it scores as it does, what moved since last week, past deals like it, and what to do next."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit

from salesml.analytics.likeness import Alike, alike, nearest
from salesml.analytics.reasons import changes, reasons
from salesml.analytics.words import count, percent, points
from salesml.errors import BadParameter
from salesml.features.deals import DEALS
from salesml.workflows.advice import advice, recommendation
from salesml.workflows.deal_frames import DealFrames, deal_frames
from salesml.workflows.deals import timing
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.evaluation.certificate import Certificate

TELLING = 0.001
SIMILAR = ["opportunity_id", "name", "as_of", "outcome", "days", "amount", "distance"]


@dataclass(frozen=True)
class Change:
    """P(win) a week ago and the parts of its change (see `analytics.reasons.changes`); by_feature: time and recorded effects.

    by_feature has one row per feature: feature, then, idle, now (values), time, recorded (log-odds); all of them add up.
    """

    before: float
    parts: pd.DataFrame
    by_feature: pd.DataFrame = field(repr=False)

    @property
    def told(self) -> list[str]:
        """The sentences of the parts that are worth telling: a tenth of a point or more."""
        return self.parts.loc[self.parts["points"].abs() >= TELLING, "sentence"].tolist()


@dataclass(frozen=True)
class DealStory:
    """What is known of one open deal as of an instant, scored by one version of the model.

    base: P of the usual deal, where factors start; reasons: see `analytics.reasons.reasons` (points add up to probability -
    base); change: None without a score a week ago, `change_words` says why; similar: the past deals most like it, nearest
    first: opportunity_id, name, as_of (the comparable moment), outcome, days (from then to the close), amount, distance
    (log-odds); advice: see `workflows.advice.advice`; timing: p_month, p_quarter, close_early, close_expected, close_late, slip;
    None for a version that knows nothing of time; values: the features.
    """

    deal: str
    name: str
    as_of: dt.datetime
    version: int
    kind: str
    baseline: bool
    probability: float
    lo: float
    hi: float
    base: float
    reasons: pd.DataFrame = field(repr=False)
    change: Change | None = field(repr=False)
    change_words: str
    similar: pd.DataFrame = field(repr=False)
    alike: Alike
    advice: pd.DataFrame = field(repr=False)
    recommendation: str
    timing: pd.Series | None = field(repr=False)
    certificate: Certificate | None = field(repr=False)
    values: pd.Series = field(repr=False)

    @property
    def sentence(self) -> str:
        """P(win) with its interval, against the usual deal."""
        told = f"P(win) is {percent(self.probability)} (90\N{NO-BREAK SPACE}% interval {percent(self.lo)} to {percent(self.hi)})"
        return f"{told}, {points(self.probability - self.base)} from the usual deal's {percent(self.base)}."

    @property
    def likeness(self) -> str:
        """What became of the past deals most like it, in words."""
        if not self.similar["distance"].notna().any():
            return "The score goes by no feature of a deal, so no past deal is more like this one than another."
        if np.isnan(self.alike.share):
            return f"Only {count(self.alike.deals, 'past deal')} can be compared: too few for a share won."
        return (
            f"Of the {count(self.alike.deals, 'past deal')} most like it at a comparable moment {percent(self.alike.share)} were won "
            f"(90\N{NO-BREAK SPACE}% interval {percent(self.alike.lo)} to {percent(self.alike.hi)})."
        )


def explain_deal(
    workspace: Workspace, deal: str, as_of: str | dt.date | dt.datetime | None = None, model: str | int = "champion"
) -> DealStory:
    """Tell the story of a deal open as of an instant (default: the day after the last fact) by a version of the deal model.

    Outcomes of other deals count only where they were known before as_of. Frames that hold for all deals are made once per
    as_of and kept. Reads only. BadParameter for a deal that is not known, deleted, or not open then.
    """
    return tell(deal_frames(workspace, as_of, model), deal)


def tell(frames: DealFrames, deal: str) -> DealStory:
    """The story of a deal from frames that are at hand."""
    row, scorer = open_deal(frames, deal), frames.scorer
    values = row.iloc[0]
    rows = pd.concat([row, *_week_ago(frames, deal)], ignore_index=True)
    base, effects = frames.effects(rows)
    own = effects.iloc[0]
    lo, hi = scorer.interval(row[DEALS.names])
    known = {name: _plain(values[name]) for name in DEALS.names}
    found = reasons(base, own, known, frames.past, frames.wording)
    change, words = _change(frames, deal, base, effects, rows)
    like = _similar(frames, deal, own)
    steps = advice(frames, deal)
    outlook = scorer.outlook(row[DEALS.names])
    when = None if outlook is None else timing(row.reset_index(drop=True), outlook, frames.workspace, frames.instant).iloc[0]
    version = scorer.version
    return DealStory(
        deal, str(frames.states.loc[deal, "name"]), frames.instant, version.number, version.kind, version.baseline,
        float(expit(base + own.sum())), float(lo[0]), float(hi[0]), float(expit(base)), found, change, words, like, alike(
            like.assign(won=like["outcome"].eq("won"))), steps, recommendation(steps), when, scorer.certificate, values,
    )  # fmt: skip


def open_deal(frames: DealFrames, deal: str) -> pd.DataFrame:
    """The one row of features of a deal open as of the frames' instant; BadParameter where there is none."""
    if deal not in frames.now.index:
        day, states = frames.workspace.local_date(frames.instant), frames.states
        if deal not in states.index or states.loc[deal, "deleted"] is True:
            raise BadParameter(f"deal {deal!r} is not known as of {day}; give its id, as salesml score deals lists it")
        raise BadParameter(f"deal {deal!r} is {states.loc[deal, 'status']!s} as of {day}; only an open deal has a story")
    return frames.now.loc[[deal]]


def _week_ago(frames: DealFrames, deal: str) -> tuple[pd.DataFrame, ...]:
    """Features a week ago, and now if nothing had been recorded since; nothing where the deal was not open then."""
    then = frames.then
    if deal not in then.index:
        return ()
    return then.loc[[deal]], frames.idle.loc[[deal]]


def _change(
    frames: DealFrames, deal: str, base: float, effects: pd.DataFrame, rows: pd.DataFrame
) -> tuple[Change | None, str]:
    if len(effects) < 3:
        return None, "A week ago the deal was not open yet: there is no change to tell."
    now, then, idle = (effects.iloc[place] for place in range(3))
    values = pd.DataFrame({name: rows.iloc[place][DEALS.names] for name, place in (("then", 1), ("idle", 2), ("now", 0))})
    values = values.map(_plain)
    parts = changes(base, then, idle, now, values, frames.wording)
    by_feature = values.reindex(now.index).assign(time=idle - then, recorded=now - idle)
    before, after = float(expit(base + then.sum())), float(expit(base + now.sum()))
    told = f"A week ago P(win) was {percent(before)}; it changed by {points(after - before)}."
    return Change(before, parts, by_feature.rename_axis("feature").reset_index()), told


def _similar(frames: DealFrames, deal: str, own: pd.Series) -> pd.DataFrame:
    past = frames.past
    others = (past["opportunity_id"] != deal).to_numpy(bool)
    if not len(own.index) or not others.any():
        return pd.DataFrame(columns=SIMILAR)
    found = nearest(own.to_numpy("float64"), frames.past_effects[others], past.loc[others, ["opportunity_id", "as_of", "won", "closed_at"]])
    state = frames.states.reindex(found["opportunity_id"])
    return found.assign(
        name=state["name"].to_numpy(), amount=state["amount"].to_numpy(), outcome=state["status"].to_numpy(),
        days=(found["closed_at"] - found["as_of"]).dt.total_seconds() / 86_400,
    )[SIMILAR]  # fmt: skip


def _plain(value: Any) -> Any:
    """A value of a feature frame as Python's own; None where it is missing."""
    if value is None or pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
