"""The look of the apps, and the small HTML pieces that all screens are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape, unescape
from pathlib import Path

HERE = Path(__file__).parent


def style() -> str:
    """The style sheet as an HTML element."""
    return f"<style>{(HERE / 'theme.css').read_text(encoding='utf-8')}</style>"


def plain(html: str) -> str:
    """What a piece of HTML says, without its marks."""
    joined = re.sub(r"</?(?:strong|a|span|code|em)\b[^>]*>", "", html)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", joined))).strip()


def notice(text: str) -> str:
    """Something the reader must know before the numbers; `text` is HTML."""
    return f'<p class="notice" role="note">{text}</p>'


def command(line: str) -> str:
    """A command to run."""
    return f"<code>{escape(line)}</code>"


def facts(pairs: Iterable[tuple[str, str, str]]) -> str:
    """Figures side by side: (name, value, remark); the value is shown large."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(remark)}</small>' if remark else ''}</dd></div>"
        for name, value, remark in pairs
    )
    return f'<dl class="facts">{"".join(cells)}</dl>'


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    foot: Sequence[str] = (),
    kind: str = "",
) -> str:
    """A table of HTML cells, the first of each row its head. `numbers` are columns aligned right, `foot` a row of sums.

    Rows of kind "cards" become cards on narrow screens; the roles keep it a table for those who hear it.
    """
    align = [' class="number"' if i in numbers else "" for i in range(len(heads))]
    head = "".join(
        f'<th role="columnheader" scope="col"{align[i]}>{escape(title)}</th>' for i, title in enumerate(heads)
    )
    body = "".join(f'<tr role="row">{_cells(row, heads, align)}</tr>' for row in rows)
    sums = f'<tfoot role="rowgroup"><tr role="row">{_cells(foot, heads, align)}</tr></tfoot>' if foot else ""
    name = f' class="{kind}"' if kind else ""
    return (
        f'<table role="table"{name}><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody>{sums}</table>'
    )


def _cells(row: Sequence[str], heads: Sequence[str], align: Sequence[str]) -> str:
    rest = (
        f'<td role="cell" data-label="{escape(heads[i])}"{align[i]}><span>{cell}</span></td>'
        for i, cell in enumerate(row)
        if i
    )
    return f'<th role="rowheader" scope="row">{row[0]}</th>{"".join(rest)}'
