"""An executed notebook as one HTML file: no code, nothing fetched, readable at 360 px, on paper, by a screen reader."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from plotly.offline import get_plotlyjs

from salesml.reporting.glue import MIMETYPE as GLUE
from salesml.reporting.record import RunRecord
from salesml.workspace import Workspace

PAGE = Path(__file__).parent / "page"
PLOTLY = "application/vnd.plotly.v1+json"
CHART_HEIGHT_PX = 450
TABLE = ["table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"]
TEXT = ["a", "abbr", "b", "blockquote", "br", "code", "dd", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "hr", "i"]
MORE = ["li", "ol", "p", "pre", "small", "span", "strong", "sub", "sup", "ul", "details", "summary", "section"]
ATTRIBUTES = {
    "*": ["class", "id", "title", "lang", "role", "aria-label", "aria-hidden"],
    "a": ["href"],
    "th": ["scope", "colspan", "rowspan"],
    "td": ["colspan", "rowspan"],
}


def render(workspace: Workspace, notebook: NotebookNode, run: RunRecord) -> str:
    """The page: provenance, then prose and outputs in the notebook's order, its inputs and the title's rest last.

    HTML from outputs is sanitised, and a content security policy admits only the page's own two scripts.
    """
    first = notebook.cells[0] if notebook.cells and notebook.cells[0].cell_type == "markdown" else None
    _, _, about = first.source.partition("\n") if first else ("", "", "")  # the answer comes first
    inputs = [cell for cell in notebook.cells if "inputs" in cell.metadata.get("tags", [])]
    parts = [part for cell in notebook.cells if cell is not first and cell not in inputs for part in _parts(cell)]
    basis = [part for cell in inputs for part in _parts(cell)]
    charts = any(part["kind"] == "chart" for part in parts + basis)
    scripts = [get_plotlyjs(), (PAGE / "report.js").read_text(encoding="utf-8")] if charts else []
    pages = Environment(loader=FileSystemLoader(PAGE), autoescape=True)
    return pages.get_template("report.html.j2").render(
        language=notebook.metadata.get("language", "en"),
        title=_title(notebook, run),
        company=workspace.settings.name,
        provenance=_provenance(workspace, run),
        about=_markdown(about),
        parameters=run.parameters,
        parts=parts,
        basis=basis,
        policy=_policy(scripts),
        style=Markup((PAGE / "report.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
    )


def _parts(cell: NotebookNode) -> Iterator[dict[str, Any]]:
    if cell.cell_type == "markdown":
        yield {"kind": "prose", "html": _markdown(cell.source)}
    for output in cell.get("outputs", []):
        if output.output_type in ("display_data", "execute_result"):
            yield from _shown(output.data, output.get("metadata", {}))
        elif output.output_type == "stream" and output.name == "stdout":
            yield {"kind": "text", "text": output.text}


def _shown(data: NotebookNode, metadata: NotebookNode) -> Iterator[dict[str, Any]]:
    """The richest form of an output that needs no program to show it, charts apart."""
    if GLUE in data:
        return
    if PLOTLY in data:
        yield _chart(data[PLOTLY])
    elif "text/markdown" in data:
        yield {"kind": "prose", "html": _markdown(data["text/markdown"])}
    elif "text/html" in data:
        clean = _sanitised(data["text/html"])
        caption = re.search(r"<caption[^>]*>(.*?)</caption>", clean, re.DOTALL)
        label = Markup(caption[1]).striptags() if caption else "Table"
        yield {"kind": "table" if "<table" in clean else "prose", "html": Markup(clean), "label": label}
    elif "image/svg+xml" in data or "image/png" in data:
        kind = "image/svg+xml" if "image/svg+xml" in data else "image/png"
        content = data[kind] if kind == "image/png" else base64.b64encode(data[kind].encode()).decode()
        label = metadata.get(kind, {}).get("alt") or data.get("text/plain", "Image")
        yield {"kind": "image", "source": f"data:{kind};base64,{content.strip()}", "label": label}
    elif "text/plain" in data:
        yield {"kind": "text", "text": data["text/plain"]}


def _chart(figure: NotebookNode) -> dict[str, Any]:
    """A plotly figure; its text alternative is `layout.meta["alt"]`, else its title and the names of its traces."""
    layout = figure.get("layout", {})
    title = layout.get("title") or {}
    heading = Markup((title.get("text") if isinstance(title, dict) else title) or "Chart").striptags()
    meta = layout.get("meta")
    alt = meta.get("alt") if isinstance(meta, dict) else None
    names = [str(trace["name"]) for trace in figure["data"] if trace.get("name")]
    return {
        "kind": "chart",
        "title": heading,
        "caption": alt,
        "label": alt or ": ".join(filter(None, (heading, ", ".join(names)))),
        "height": int(layout.get("height") or CHART_HEIGHT_PX),
        "json": Markup(json.dumps({"data": figure["data"], "layout": layout}).replace("<", "\\u003c")),
    }


def _markdown(source: str) -> Markup:
    renderer = IPythonRenderer(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
    return Markup(_sanitised(MarkdownWithMath(renderer=renderer).render(source)))


def _sanitised(html: str) -> str:
    without = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", "", html)
    return SanitizeHTML(tags=TEXT + MORE + TABLE, attributes=ATTRIBUTES, strip=True).sanitize_html_tags(without)


def _provenance(workspace: Workspace, run: RunRecord) -> list[tuple[str, str]]:
    generated = dt.datetime.fromisoformat(run.started).astimezone(workspace.zone)
    glued = {name: result["value"] for name, result in run.results.items()}
    commit = run.code.get("code.commit", "")[:10]
    changed = " with uncommitted changes" if run.code.get("code.dirty") == "true" else ""
    return [
        ("Workspace", workspace.settings.name),
        ("As of", str(glued.get("as_of") or run.parameters.get("as_of") or f"{generated:%Y-%m-%d %H:%M} (now)")),
        ("Generated", f"{generated:%Y-%m-%d %H:%M %Z}"),
        ("Lake head", str(glued.get("lake_head", run.head))),
        ("Code", f"{run.code.get('code.version', 'unknown')}{' ' + commit if commit else ''}{changed}"),
    ]


def _title(notebook: NotebookNode, run: RunRecord) -> str:
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((line[2:].strip() for line in lines if line.startswith("# ")), run.notebook)


def _policy(scripts: list[str]) -> str:
    """Nothing is fetched, and only these scripts run: whatever data managed to say, it stays data."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"
