"""Activity: are we in touch with the right customers, and do we answer in time? For the company or a part of it."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from salesml.apps import activity_export as export
from salesml.apps import activity_screens as screens
from salesml.apps import activity_tables as tables
from salesml.apps.activity_data import WEEKS, Touch, touch
from salesml.apps.language import Language
from salesml.apps.placed import Choice, Placed
from salesml.apps.placed_live import show
from salesml.figures import activity_weeks
from salesml.workspace import Workspace


def _choices(language: Language) -> Sequence[Choice]:
    options = [(language.n_("Last {n} week", "Last {n} weeks", int(weeks)), weeks) for weeks in WEEKS]
    return (Choice("weeks", language._("Activities of"), options),)


ACTIVITY = Placed[Touch](
    "activity",
    title=lambda language: language._("activity"),
    read=lambda workspace, as_of, place, chosen: touch(workspace, as_of, place, chosen["weeks"]),
    answer=screens.answer,
    titles=screens.card_titles,
    cards={"volume": screens.volume, "silent": screens.silent, "waiting": screens.waiting, "coverage": screens.coverage,
           "response": screens.response, "outcomes": screens.outcomes, "hints": screens.hints},
    parts={"volume": export.volume, **{name: tables.parts(name) for name in ("silent", "waiting", "coverage", "response", "outcomes")},
           "hints": export.hints},
    choices=_choices,
    style=activity_weeks.STYLE + screens.STYLE,
)  # fmt: skip


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the activity of a workspace (default: the one salesml is called for)."""
    return show(ACTIVITY, workspace)
