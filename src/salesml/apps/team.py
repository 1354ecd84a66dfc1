"""The team: how are my people doing, who is surely good at what, who needs me and for what."""

from __future__ import annotations

import ipywidgets as widgets

from salesml.apps import overview_words
from salesml.apps import team_export as export
from salesml.apps import team_screens as screens
from salesml.apps import team_words as words
from salesml.apps.language import Language
from salesml.apps.placed import Choice, Placed
from salesml.apps.placed_live import show
from salesml.apps.team_data import COMPARED, Team, team
from salesml.workspace import Workspace


def choices(language: Language) -> tuple[Choice, ...]:
    """By which measure reps are compared, and in which period."""
    titles = overview_words.titles(language)
    return (
        Choice("measure", language._("Compared by"), [(titles[name], name) for name in COMPARED]),
        Choice("period", language._("Period"), words.periods(language)),
    )


TEAM = Placed[Team](
    "team",
    title=lambda language: language._("team"),
    read=team,
    answer=screens.answer,
    titles=words.card_titles,
    cards={name: getattr(screens, name) for name in ("quotas", "needs", "ranks", "trends", "practices")},
    parts={name: getattr(export, name) for name in ("quotas", "needs", "ranks", "trends", "practices")},
    choices=choices,
)


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the team app of a workspace (default: the one salesml is called for)."""
    return show(TEAM, workspace)
