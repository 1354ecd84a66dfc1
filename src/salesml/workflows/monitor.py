"""The watch over the deal model: have its inputs moved, do its scores still mean what they say, is another version better?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.evaluation.drift import Signal
from salesml.evaluation.metrics import Measured
from salesml.features.deals import DEALS
from salesml.features.spines import CLOSED, deal_lives, weekly_spine
from salesml.lake import Lake, View, visible
from salesml.models.deals import settling_days
from salesml.workflows.deals import MODEL, score_deals
from salesml.workflows.monitor_figures import (
    as_shown,
    by_cohort,
    compare_inputs,
    judge_outcomes,
    settle,
    versus,
    with_a_day,
)
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.versions import Version

WEEKS = 13
TELLING = 0.55
"""Recent rows are called different only where the classifier's AUC is surely above this."""
MOST_CHALLENGERS = 3
CHALLENGERS = ["version", "kind", "rows", "deals", "difference", "lo", "hi", "better"]


@dataclass(frozen=True)
class DealMonitor:
    """What the watch saw, all as of one instant. Grain of the frames:

    inputs: one row per feature, and "score" (see `evaluation.drift.moved`); empty where the windows are too short or small.
    outcomes: one row per figure, live with its 90 % interval beside what the evidence promised at promotion. cohorts: one row
    per 4 weeks of scores. dated: one row per target with a horizon (such as won this quarter), whose outcomes are known on
    time. challengers: one row per version, its log loss minus the champion's. `signal` is None without settled outcomes.
    """

    as_of: dt.datetime
    champion: Version
    since: dt.datetime
    settling_days: int
    weeks: int
    inputs: pd.DataFrame
    telling: Measured | None
    outcomes: pd.DataFrame
    cohorts: pd.DataFrame
    dated: pd.DataFrame
    signal: Signal | None
    challengers: pd.DataFrame
    settled_before: int
    settled_since: int
    reasons: tuple[str, ...]
    sentence: str
    head_id: int

    @property
    def path(self) -> np.ndarray:
        """The evidence against the scores after each settled deal; empty where none is."""
        return np.array([]) if self.signal is None else self.signal.path

    @property
    def alarm(self) -> bool:
        """Whether something calls for a look, or a new training."""
        return bool(self.reasons)


def monitor_deals(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, *, keep: bool = False
) -> DealMonitor:
    """Watch the champion of the deal model as of an instant (default: the start of the day after the last fact).

    Inputs: the open deals of up to 13 weeks before as_of against as many before the champion's own as_of, no outcome needed.
    Outcomes: scores since then, one a week and deal, older than the settling time, whose deals are closed; kept predictions
    where there are, else what the version would have said (the same numbers, for features are as of their day). No outcome
    or score of before the version's as_of counts. `keep`: first score the open deals with champion and challengers, silently,
    and keep that. Raises NotEnoughData without a champion, BadParameter for an as_of before the champion's.
    """
    from salesml.registry import catalog

    champion = _champion(workspace)
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    since = _learnt_until(champion)
    if cutoff < since:
        raise BadParameter(f"version {champion.number} was trained as of {since:%Y-%m-%d}; watch it as of that day or later")
    others = _challengers(workspace, champion, cutoff)
    if keep:
        for version in (champion, *others):
            score_deals(workspace, cutoff, version.number)
        tables = Lake(workspace).open()
    view = visible(tables, cutoff)
    lives = view.frame(deal_lives(view))
    days = settling_days(lives, cutoff)
    weeks = min(WEEKS, (cutoff - since).days // 7)
    first = min(since - dt.timedelta(weeks=weeks), _tested_from(champion, since, workspace))
    spine = weekly_spine(view, workspace, first, cutoff)
    rows = DEALS.frame(visible(tables, spine)) if spine.num_rows else pd.DataFrame(columns=["status", "as_of", *DEALS.names])
    rows = rows[rows["status"] == "open"].reset_index(drop=True)
    scorer = catalog.load(workspace, MODEL, champion.number)
    rows = rows.assign(point=scorer.predict(rows[DEALS.names]) if len(rows) else [])
    inputs, telling = compare_inputs(rows, since, cutoff, weeks)
    then = rows[(rows["as_of"] >= _tested_from(champion, since, workspace)) & (rows["as_of"] < since)]
    promised = settle(then, lives, days, since)
    promised = promised[promised["known_by"] <= since]
    kept = _kept(workspace, champion, since, cutoff)
    settled = settle(as_shown(rows[rows["as_of"] >= since], kept), lives, days, cutoff)
    outcomes, signal = judge_outcomes(settled, promised, champion.evidence, lives, since)
    challengers = _compared(workspace, others, settled)
    before = lives.loc[lives["status"].isin(CLOSED), "closed_at"] < since
    reasons = _reasons(inputs, telling, signal, challengers)
    return DealMonitor(
        cutoff, champion, since, days, weeks, inputs, telling, outcomes, by_cohort(settled, since), with_a_day(kept, lives, cutoff), signal,
        challengers, int(before.sum()), int((~before).sum()), reasons,
        _sentence(champion, since, settled, inputs, signal, reasons), tables.head.id,
    )  # fmt: skip


def _champion(workspace: Workspace) -> Version:
    from salesml.registry import catalog

    try:
        found = catalog.champion(workspace, MODEL)
    except UnknownName:
        found = None
    if found is None:
        raise NotEnoughData("the deal model has no champion yet; train one with: salesml train deals")
    return found


def _learnt_until(version: Version) -> dt.datetime:
    """The as_of a version was trained with: it knows nothing from then on. Where it does not say, when it was registered."""
    return dt.datetime.fromisoformat(version.tags["as_of"]) if "as_of" in version.tags else version.created


def _tested_from(version: Version, since: dt.datetime, workspace: Workspace) -> dt.datetime:
    """From when on the version's scores before its own as_of were of deals it had not learnt from; without evidence 39 weeks."""
    return workspace.instant(version.evidence.tested_from) if version.evidence else since - dt.timedelta(weeks=39)


def _challengers(workspace: Workspace, champion: Version, cutoff: dt.datetime) -> list[Version]:
    """The newest versions that are not champion and were trained before the cutoff."""
    from salesml.registry import catalog

    found = [
        version
        for version in catalog.versions(workspace, MODEL)
        if version.number != champion.number and _learnt_until(version) < cutoff
    ]
    return found[-MOST_CHALLENGERS:]


def _compared(workspace: Workspace, others: list[Version], settled: pd.DataFrame) -> pd.DataFrame:
    """Each version beside the champion, on settled rows that neither has learnt from."""
    from salesml.registry import catalog

    rows = []
    for version in others:
        found = versus(catalog.load(workspace, MODEL, version.number).scorer, settled[settled["as_of"] >= _learnt_until(version)])
        rows += [{"version": version.number, "kind": version.kind, **found}] if found else []
    return pd.DataFrame(rows, columns=CHALLENGERS)


def _kept(workspace: Workspace, version: Version, since: dt.datetime, cutoff: dt.datetime) -> pd.DataFrame:
    """The version's kept predictions for instants from its training to the cutoff, whenever they were written.

    A score rests on what was known before its own as_of, so that one written later for an earlier day tells nothing new.
    """
    view: View = visible(Lake(workspace).open(), dt.datetime.now(dt.UTC))
    rows = view.facts("prediction")
    rows = rows.filter(rows.model == MODEL, rows.model_version == str(version.number), rows.as_of >= since, rows.as_of < cutoff)
    return view.frame(rows.select("as_of", "target", "horizon_days", "point", opportunity_id=rows.entity_id))


def _reasons(
    inputs: pd.DataFrame, telling: Measured | None, signal: Signal | None, challengers: pd.DataFrame
) -> tuple[str, ...]:
    found = []
    if telling is not None and telling.lo > TELLING and inputs["moved"].any():
        names = inputs.loc[inputs["moved"], "feature"].head(5)
        found.append(f"open deals look different (classifier AUC {telling}), most in {', '.join(names)}")
    if signal is not None and signal.alarm:
        found.append(f"scores no longer mean what they say (e-value {signal.evidence:,.0f}, most by {signal.strongest})")
    for row in challengers[challengers["better"].astype(bool)].itertuples():
        found.append(f"version {row.version} is surely better (log loss {row.difference:+.3f}, {row.lo:+.3f} to {row.hi:+.3f})")
    return tuple(found)


def _sentence(
    champion: Version, since: dt.datetime, settled: pd.DataFrame, inputs: pd.DataFrame, signal: Signal | None, reasons: tuple[str, ...]
) -> str:
    about = f"Version {champion.number} ({champion.kind.replace('_', ' ')}), trained as of {since:%Y-%m-%d}"
    if reasons:
        return f"{about}: {'; '.join(reasons)}."
    looked = [
        "open deals look as they did" if len(inputs) else "too early to compare open deals",
        f"scores of {settled['opportunity_id'].nunique():,} settled deals give no sign that they have lost their meaning"
        if signal
        else "no score has settled yet",
    ]
    return f"{about}: {'; '.join(looked)}."
