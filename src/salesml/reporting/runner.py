"""Runs a parameterised notebook: parameters proved first, timeouts, own record, the last good output kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError

from salesml.errors import BadParameter
from salesml.lake import Lake
from salesml.registry import environment
from salesml.reporting import catalogue, glue, html, kernel, parameters, record
from salesml.reporting.record import RunRecord
from salesml.workspace import Workspace, write_atomically

TIMEOUT_S = 1800.0
CELL_TIMEOUT_S = 900.0
START_TIMEOUT_S = 60
Progress = Callable[[str], None]

logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it has to say is in the record


def run_notebook(
    workspace: Workspace,
    notebook: Path | str,
    params: Mapping[str, Any] | None = None,
    *,
    out: Path | str | None = None,
    timeout_s: float = TIMEOUT_S,
    cell_timeout_s: float = CELL_TIMEOUT_S,
    progress: Progress | None = None,
) -> RunRecord:
    """Execute a notebook for a workspace; write `out` (HTML, default <workspace>/reports/<topic>.html) and its record.

    The executed notebook is written beside it as .ipynb. Where the run does not end well, both stay as they were, the
    attempt is kept as <name>.failed.ipynb, and the record tells (see RunRecord.status); no exception is raised for it.
    Unknown or unusable parameters raise BadParameter before a kernel starts; an output that another run is producing
    raises WorkspaceError. `progress` is told each cell as it begins. Timeouts in seconds: the whole, and any one cell.
    """
    source = Path(notebook)
    node = _read(source)
    declared = parameters.declared(node)
    values = parameters.validated(workspace, declared, params or {})
    target = Path(out).resolve() if out else workspace.reports / f"{catalogue.topic(source.stem)}.html"
    if target.suffix != ".html" or target.with_suffix(".ipynb") == source.resolve():
        raise BadParameter(f"out {target} must end in .html and not lie beside a notebook of the same name")
    with record.alone(target):
        before = record.read(target)
        running = RunRecord(
            notebook=source.name,
            status="running",
            started=record.now(),
            parameters={**{name: p.default for name, p in declared.items()}, **values},
            code=environment.describe(),
            head=Lake(workspace).head().id,
            html=str(target),
            executed=str(target.with_suffix(".ipynb")),
            last_ok=before.last_ok if before else None,
        )
        record.write(running)
        return _run(workspace, running, source, values, (timeout_s, cell_timeout_s), progress)


def _run(
    workspace: Workspace,
    running: RunRecord,
    source: Path,
    values: dict[str, Any],
    limits: tuple[float, float],
    progress: Progress | None,
) -> RunRecord:
    """Execute into a temporary file, then publish it or keep it as the failed attempt; write the record in any case."""
    target = Path(running.html)
    temporary = target.with_name(f".{target.stem}.tmp.ipynb")
    began = time.monotonic()
    temporary.unlink(missing_ok=True)  # of a run that was killed
    outcome: dict[str, Any] = {}
    try:
        outcome = _execute(workspace, source, values, temporary, limits, progress)
        if outcome["status"] == "ok":
            outcome = _publish(workspace, running, temporary)
    except BaseException as error:
        outcome = {"status": "killed", "error": {"name": type(error).__name__, "message": str(error)}}
        raise
    finally:
        finished = replace(running, **outcome, ended=record.now(), seconds=round(time.monotonic() - began, 3))
        if finished.status != "ok" and temporary.exists():
            temporary.replace(target.with_suffix(".failed.ipynb"))
        temporary.unlink(missing_ok=True)
        record.write(finished)
    return finished


def _execute(
    workspace: Workspace,
    source: Path,
    values: dict[str, Any],
    output: Path,
    limits: tuple[float, float],
    progress: Progress | None,
) -> dict[str, Any]:
    """Run every cell; returns status and error for the record."""
    deadline = time.monotonic() + limits[0]
    at: dict[str, Any] = {"title": source.stem}

    def begin(cell: NotebookNode, cell_index: int) -> None:
        at.update(cell=cell_index + 1, title=_heading(cell) or at["title"])
        if progress and cell.cell_type == "code":
            progress(f"cell {cell_index + 1}: {', '.join([at['title'], *_tags(cell)])}")

    try:
        execute_notebook(
            _unformatted(source.resolve()),
            _unformatted(output),
            parameters=values,
            progress_bar=False,
            start_timeout=max(1, min(START_TIMEOUT_S, int(limits[0]))),
            execution_timeout=max(1, int(limits[1])),
            timeout_func=lambda cell: max(0.05, min(limits[1], deadline - time.monotonic())),
            iopub_timeout=30,
            force_raise_errors=True,
            on_cell_start=begin,
            **kernel.options(workspace, str(source.resolve().parent)),
        )
    except PapermillExecutionError as error:
        return {"status": "failed", "error": {**at, "name": error.ename, "message": error.evalue}}
    except CellTimeoutError:
        whole = time.monotonic() >= deadline
        limit = f"the whole run's {limits[0]:g} s" if whole else f"a cell's {limits[1]:g} s"
        return {"status": "timeout", "error": {**at, "name": "Timeout", "message": f"stopped after {limit}"}}
    except DeadKernelError:
        message = "the kernel died (killed, or out of memory)"
        return {"status": "killed", "error": {**at, "name": "DeadKernel", "message": message}}
    except RuntimeError as error:
        return {"status": "killed", "error": {"name": "NoKernel", "message": f"the kernel did not start: {error}"}}
    return _ended_early(output, at) or {"status": "ok", "error": None}


def _ended_early(output: Path, at: dict[str, Any]) -> dict[str, Any] | None:
    """papermill takes sys.exit() for success: a run is only good when every cell with code has been executed."""
    for position, cell in enumerate(nbformat.read(output, as_version=4).cells, start=1):
        ended = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        if ended or (cell.cell_type == "code" and cell.source.strip() and not cell.execution_count):
            message = f"{ended[0].ename} ended the notebook" if ended else "the cell was not executed"
            return {"status": "failed", "error": {**at, "cell": position, "name": "EndedEarly", "message": message}}
    return None


def _publish(workspace: Workspace, running: RunRecord, executed: Path) -> dict[str, Any]:
    """Render and put both files in place; a page that cannot be rendered is a failed run."""
    node = nbformat.read(executed, as_version=4)
    try:
        results = {name: asdict(result) for name, result in glue.read(node).items()}
        done = replace(running, status="ok", results=results)
        node.metadata["salesml"] = {"run": asdict(done)}
        page = html.render(workspace, node, done)
    except Exception as error:
        return {"status": "failed", "error": {"name": type(error).__name__, "message": f"rendering: {error}"}}
    write_atomically(Path(running.executed), nbformat.writes(node).encode())
    write_atomically(Path(running.html), page.encode())
    Path(running.html).with_suffix(".failed.ipynb").unlink(missing_ok=True)
    return {"status": "ok", "error": None, "results": results, "last_ok": running.started}


def _read(source: Path) -> NotebookNode:
    if source.suffix != ".ipynb" or not source.is_file():
        raise BadParameter(f"{source} is not a notebook (.ipynb)")
    try:
        return nbformat.read(source, as_version=4)
    except Exception as error:
        raise BadParameter(f"{source} cannot be read as a notebook: {error}") from error


def _heading(cell: NotebookNode) -> str | None:
    first = cell.source.strip().split("\n", 1)[0]
    return first.lstrip("# ") if cell.cell_type == "markdown" and first.startswith("#") else None


def _tags(cell: NotebookNode) -> list[str]:
    return [tag for tag in cell.metadata.get("tags", []) if not tag.startswith("papermill")]


def _unformatted(path: Path) -> str:
    """papermill runs str.format over paths; braces in a folder's name must survive it."""
    return str(path).replace("{", "{{").replace("}", "}}")
