"""The overview: where do we land, how do the figures stand, what moved, what needs me; for the company or a part of it."""

from __future__ import annotations

import ipywidgets as widgets

from salesml.apps import overview_export as export
from salesml.apps import overview_screens as screens
from salesml.apps.overview_data import FIGURES, Overview, overview
from salesml.apps.placed import Placed
from salesml.apps.placed_live import show
from salesml.figures import movement
from salesml.workspace import Workspace

OVERVIEW = Placed[Overview](
    "overview",
    title=lambda language: language._("overview"),
    read=lambda workspace, as_of, place, _: overview(workspace, as_of, place),
    answer=lambda at, language, _: screens.answer(at, language),
    titles=screens.card_titles,
    cards={"figures": screens.figures, "needs": screens.needs, "why": screens.why, "parts": screens.parts_of, "months": screens.months},
    parts={"figures": export.figures, "needs": export.needs, "why": export.why, "parts": export.parts_of, "months": export.months},
    opens={"figure": FIGURES},
    behind=screens.behind,
    style=movement.STYLE,
)


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the overview of a workspace (default: the one salesml is called for)."""
    return show(OVERVIEW, workspace)
