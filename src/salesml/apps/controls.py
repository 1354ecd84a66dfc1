"""What the apps' pages have in common: rows of controls, dropdowns that keep a choice, the first screen before the widgets are there."""

from __future__ import annotations

import re
from collections.abc import Sequence

import ipywidgets as widgets


def bar(*controls: widgets.Widget) -> widgets.Box:
    """Controls side by side, each below its label."""
    return widgets.Box(list(controls)).add_class("controls")


def offer(control: widgets.Dropdown, options: Sequence[tuple[str, object]], wanted: object) -> None:
    """Give a dropdown its options, keeping the wanted value if it is among them, else the first."""
    control.options = options
    values = [value for _, value in options]
    control.value = wanted if wanted in values else (values[0] if values else None)


def snapshot(heading: str, screens: Sequence[str], first: str, footing: str) -> str:
    """The first screen as plain HTML, for the moments before the widgets are there."""
    tabs = "".join(
        f'<li class="lm-TabBar-tab{" lm-mod-current" if not i else ""}">{name}</li>' for i, name in enumerate(screens)
    )
    tab_bar = f'<div class="lm-TabBar"><ul class="lm-TabBar-content">{tabs}</ul></div>'
    waiting = '<p class="soft controls" role="status">Getting ready…</p>'
    body = re.sub(r' id="\w+"', "", first)
    screen = f'<div class="widget-tab">{tab_bar}<div class="widget-tab-contents">{body}</div></div>'
    return f'<div id="snapshot" class="app">{heading}{waiting}{screen}{footing}</div>'
