"""What the apps' pages have in common: rows of controls, dropdowns that keep a choice, the first screen before the widgets are there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import ipywidgets as widgets


def bar(*controls: widgets.Widget) -> widgets.Box:
    """Controls side by side, each below its label."""
    return widgets.Box(list(controls)).add_class("controls")


def offer(control: widgets.Dropdown, options: Sequence[tuple[str, object]], wanted: object) -> None:
    """Give a dropdown its options, keeping the wanted value if it is among them, else the first."""
    control.options = options
    values = [value for _, value in options]
    control.value = wanted if wanted in values else (values[0] if values else None)


def snapshot(
    heading: str, screens: Sequence[str], first: str, footing: str, *, shown: int = 0, links: Sequence[str] = (), above: str = ""
) -> str:
    """A screen as plain HTML, for the moments before the widgets are there.

    `first` is the screen numbered `shown`. Behind the front the tabs are `links` to the live page, and `above` (a form of filters)
    stands in place of the waiting line.
    """
    tabs = "".join(_tab(name, i == shown, links[i] if links else "") for i, name in enumerate(screens))
    tab_bar = f'<div class="lm-TabBar"><ul class="lm-TabBar-content">{tabs}</ul></div>'
    waiting = '<p class="soft controls" role="status">Getting ready…</p>'
    body = re.sub(r' id="\w+"', "", first)
    many = " many" if len(screens) > 3 else ""
    screen = f'<div class="widget-tab{many}">{tab_bar}<div class="widget-tab-contents">{body}</div></div>'
    return f'<div id="snapshot" class="app">{heading}{above or waiting}{screen}{footing}</div>'


def _tab(name: str, current: bool, link: str) -> str:
    told = f'<a class="live" href="{escape(link)}"{" aria-current=page" if current else ""}>{escape(name)}</a>' if link else escape(name)
    return f'<li class="lm-TabBar-tab{" lm-mod-current" if current else ""}">{told}</li>'
