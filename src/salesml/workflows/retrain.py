"""Training the deal model anew when there is a reason to, and writing down why it was done or not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from salesml.errors import NotEnoughData
from salesml.state import audit
from salesml.state.users import current_user
from salesml.workflows.deals import MODEL
from salesml.workflows.monitor import DealMonitor, monitor_deals
from salesml.workflows.overview import champions
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.workflows.train_deals import DealTraining

NEW_SHARE = 0.25
"""Deals closed since the champion was trained, over those closed before: from here on a new training is worth its time."""


@dataclass(frozen=True)
class Retraining:
    """Whether the deal model was trained anew, why or why not, and what came of it (None where it was not)."""

    reasons: tuple[str, ...]
    training: DealTraining | None
    watched: DealMonitor | None
    sentence: str

    @property
    def trained(self) -> bool:
        """Whether a challenger was trained and registered."""
        return self.training is not None

    @property
    def promoted(self) -> bool:
        """Whether it is the champion now: the gate let it pass."""
        return self.training is not None and self.training.promoted


def retrain_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    *,
    force: bool = False,
    new_share: float = NEW_SHARE,
) -> Retraining:
    """Train a challenger of the deal model as of an instant where there is a reason; the gate decides whether it is used.

    Reasons: there is no champion, the watch gives an alarm (`monitor_deals`), deals closed since the champion's training are at
    least `new_share` of those closed before, or `force`. Either way the decision is written to the audit log.
    """
    from salesml.workflows.train_deals import train_deals

    watched = monitor_deals(workspace, as_of) if MODEL in dict(champions(workspace)) else None
    reasons = _reasons(watched, new_share, force)
    by, subject = current_user(workspace).name, f"model {MODEL}"
    if watched is not None and not reasons:
        sentence = f"Not trained anew: {watched.sentence} {_settled(watched)}, less than {new_share:.0%}."
        audit.record(workspace, by, "not retrained", subject, {"why": sentence, "as_of": watched.as_of})
        return Retraining((), None, watched, sentence)
    try:
        training = train_deals(workspace, as_of)
    except NotEnoughData as lack:
        audit.record(workspace, by, "not retrained", subject, {"why": f"{'; '.join(reasons)}; but {lack}"})
        raise
    outcome = "is the champion now" if training.promoted else f"is not used: {training.verdict}"
    sentence = f"Trained anew, because {'; '.join(reasons)}. Version {training.version.number} {outcome}."
    details = {"why": "; ".join(reasons), "outcome": outcome, "as_of": training.as_of, "promoted": training.promoted}
    audit.record(workspace, by, "retrained", f"{subject} version {training.version.number}", details)
    return Retraining(reasons, training, watched, sentence)


def _reasons(watched: DealMonitor | None, new_share: float, force: bool) -> tuple[str, ...]:
    asked = ("it was asked for",) if force else ()
    if watched is None:
        return (*asked, "there is no champion yet")
    grown = watched.settled_since >= new_share * max(watched.settled_before, 1)
    return (*asked, *watched.reasons, *((_settled(watched),) if grown else ()))


def _settled(watched: DealMonitor) -> str:
    share = watched.settled_since / max(watched.settled_before, 1)
    return f"{watched.settled_since:,} deals closed since its training, {share:.0%} of the {watched.settled_before:,} before"
