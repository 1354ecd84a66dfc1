"""What stands around every app: the way to the other apps and languages, the filters of a snapshot, and the snapshot's whole page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from salesml.apps import address, theme
from salesml.apps.address import Asked, Filter
from salesml.apps.language import CODES, NAMES, Language

Offered = Mapping[str, tuple[str, Sequence[tuple[str, Any]]]]
"""By a filter's name its label and the (text, value) pairs to choose from, the first the default."""
FILES = (("xlsx", "Excel"), ("pptx", "PowerPoint"), ("pdf", "PDF"))
LIVE = "/live/"
"""Where the live pages are, behind the front."""


def live(app: str, query: str = "") -> str:
    """The address of an app's live page."""
    return f"{LIVE}voila/render/{app}.ipynb{query}"


def ignored(asked: Asked, language: Language) -> str:
    """What an address asks for in vain, as a note; "" where nothing."""
    if not asked.ignored:
        return ""
    told = ", ".join(f"{name}={text}" for name, text in asked.ignored)
    return theme.notice(escape(language._("The address asks for what is not here, which is left out: {told}", told=told)))


def files(app: str, query: str, language: Language) -> str:
    """The ways to a view as a file, of the front alone: a live page has no server that makes them."""
    links = ", ".join(f'<a href="{escape(f"/{app}/file.{kind}{query}")}">{name}</a>' for kind, name in FILES)
    return f'<p class="soft">{escape(language._("This view as a file:"))} {links}</p>'


def form(
    options: Offered,
    values: Mapping[str, Any],
    filters: Sequence[Filter],
    language: Language,
    keep: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> str:
    """The filters of a snapshot as a form that needs no kernel.

    `keep` are filters that stay as they are and are not shown; `typed` are labels of those that take a whole number. Labels and texts are
    not yet HTML.
    """
    write = {one.name: one.write for one in filters}
    hidden = {name: write[name](value) for name, value in (keep or {}).items()} | {address.LANGUAGE: language.code}
    parts = [f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in hidden.items()]
    for name, (label, offered) in options.items():
        chosen = values.get(name, offered[0][1])
        lines = "".join(
            f'<option value="{escape(write[name](value)) if i else ""}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
            for i, (text, value) in enumerate(offered)
        )
        parts.append(f'<label>{escape(label)}<select name="{escape(name)}">{lines}</select></label>')
    for name, label in (typed or {}).items():
        number = escape(write[name](values[name])) if name in values else ""
        field = f'<input type="number" name="{escape(name)}" min="0" step="any" inputmode="numeric" value="{number}">'
        parts.append(f"<label>{escape(label)}{field}</label>")
    show = f'<button type="submit">{escape(language._("Show"))}</button>'
    return f'<form class="controls filters" method="get">{"".join(parts)}{show}</form>'


def header(app: str, titles: Mapping[str, str], language: Language, query: str, idle: float) -> str:
    """The head of every page behind the front: the apps by name and title, the languages; `idle` are seconds a live page rests."""
    _ = language._
    apps = "".join(
        f'<li><a href="/{name}?lang={language.code}"{" aria-current=page" if name == app else ""}>{escape(title)}</a></li>'
        for name, title in titles.items()
    )
    languages = "".join(
        f'<li><a data-keep href="/{app}{escape(address.in_language(query, code))}" lang="{code}" hreflang="{code}" title="{NAMES[code]}"'
        f'{" aria-current=true" if code == language.code else ""}>'
        f'<span class="word">{NAMES[code]}</span><span class="code">{code.upper()}</span></a></li>'
        for code in CODES
    )
    return (
        f'<style>{(theme.HERE / "frame.css").read_text(encoding="utf-8")}</style>'
        f'<header class="frame" data-home="/{app}" data-idle="{idle:g}"><a class="skip" href="#screen">{escape(_("To the content"))}</a>'
        f'<nav aria-label="{escape(_("Apps"))}"><ul>{apps}</ul></nav>'
        f'<nav aria-label="{escape(_("Language"))}"><ul class="languages">{languages}</ul></nav></header>'
    )


def page(title: str, head: str, picture: str, language: Language, live_link: str, *, own: bool, tag: str) -> str:
    """A snapshot as a whole page: no kernel behind it, renewed by itself when the lake changes. `own`: the picture speaks the language.

    What the reader does beyond filters, tabs and details leads to `live_link`; `tag` changes when the picture does.
    """
    _ = language._
    told = {
        "renewed": _("The figures were renewed."),
        "lost": _("The server does not answer; the figures may be old."),
        "going": _("The working page is getting ready…"),
    }
    data = "".join(f' data-{name}="{escape(text)}"' for name, text in told.items())
    return (
        f'<!DOCTYPE html><html lang="{language.code}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">{theme.style()}<style>body {{ margin: 0; }}</style>'
        f'<script src="/front.js" defer></script></head><body>{head}<p class="news" role="status"{data}></p>'
        f'<main id="screen" tabindex="-1" data-tag="{tag}" data-live="{escape(live_link)}"{"" if own else " lang=en"}>{picture}'
        f'<p class="frame-open"><a class="live" href="{escape(live_link)}" lang="{language.code}">'
        f"{escape(_('Open the working page'))}</a></p></main></body></html>"
    )
