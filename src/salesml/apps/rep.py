"""A rep's day: what to do first, how the open deals stand, and where the rep stands beside the quota, himself before and the peers."""

from __future__ import annotations

import ipywidgets as widgets

from salesml.apps import overview_screens
from salesml.apps import rep_export as export
from salesml.apps import rep_screens as screens
from salesml.apps.placed import Placed
from salesml.apps.placed_live import show
from salesml.apps.rep_data import Day, day
from salesml.figures import movement
from salesml.workspace import Workspace

REP = Placed[Day](
    "rep",
    title=lambda language: language._("my day"),
    read=lambda workspace, as_of, place, _: day(workspace, as_of, place),
    answer=screens.answer,
    titles=screens.card_titles,
    cards={"today": screens.today, "deals": screens.deals, "standing": screens.standing, "week": overview_screens.why,
           "hints": screens.hints},
    parts={"today": export.today, "deals": export.deals, "standing": export.standing, "week": export.week, "hints": export.hints},
    style=movement.STYLE + screens.STYLE,
)  # fmt: skip


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the day of a rep of a workspace (default: the one salesml is called for)."""
    return show(REP, workspace)
