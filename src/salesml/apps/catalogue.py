"""The apps there are: each a name, a title, and the function that gives its picture as HTML without a kernel.

A new app is a line in APPS, a notebook of that name in notebooks/apps, and a picture: HTML as from `controls.snapshot`, which reads
its filters with `address.read`, offers them with `frame.form`, and leads to its live page by links of class "live" (`frame.live`)
and buttons whose data-* attributes name filters (`<button data-deal="D1">` opens the live page with deal=D1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from salesml.apps import forecast, leads, pipeline, pipeline_export
from salesml.apps.activity import ACTIVITY
from salesml.apps.language import Language
from salesml.apps.overview import OVERVIEW
from salesml.apps.placed import Placed
from salesml.apps.rep import REP
from salesml.apps.team import TEAM
from salesml.reporting.document import Document
from salesml.workspace import Workspace

Picture = Callable[[Workspace, Language, str], str]
"""What an app shows of a workspace, in a language, at a query ("?region=East"), as HTML."""
Told = Callable[[Workspace, Language, str], Document]
"""The same as a document, to be written as a file."""


@dataclass(frozen=True)
class App:
    """An app: its title in a language, its picture, whether its screens speak all languages (else English), and its document if any."""

    title: Callable[[Language], str]
    picture: Picture
    translated: bool = True
    document: Told | None = None


def _placed(title: Callable[[Language], str], app: Placed[Any]) -> App:
    return App(title, app.picture, document=app.document)


APPS = {
    "overview": _placed(lambda language: language._("Overview"), OVERVIEW),
    "pipeline": App(lambda language: language._("Pipeline"), pipeline.picture, document=pipeline_export.document),
    "forecast": App(lambda language: language._("Forecast"), forecast.picture, translated=False),
    "team": _placed(lambda language: language._("Team"), TEAM),
    "rep": _placed(lambda language: language._("My day"), REP),
    "activity": _placed(lambda language: language._("Activity"), ACTIVITY),
    "leads": App(lambda language: language._("Leads"), leads.picture, translated=False),
}
"""By the name of the notebook in notebooks/apps, in the order of the head of the pages; the first is where a visit begins."""

