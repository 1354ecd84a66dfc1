"""The notebooks keep to the conventions, and each runs from top to bottom on a small workspace."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from salesml.errors import BadParameter, UnknownName
from salesml.reporting import catalogue, parameters
from salesml.reporting.runner import run_notebook
from salesml.workspace import Workspace

NOTEBOOKS = sorted(catalogue.folder().glob("*.ipynb"))
ORDER = ("parameters", "setup", "inputs", "compute", "show", "results")
MOST_CELLS = MOST_LINES = 12
FORBIDDEN = {
    "def": (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    "loop": (ast.For, ast.AsyncFor, ast.While, ast.comprehension),
}
JOINS = {"merge", "merge_asof", "join", "concat"}


def violations(node: NotebookNode) -> list[str]:
    """What a notebook does against the conventions; empty for a good one."""
    found = _title(node.cells[0]) + _outline(node) + _parameters(node)
    for number, cell in enumerate(node.cells, start=1):
        if cell.cell_type == "code":
            found += [f"cell {number}: {fault}" for fault in _code(cell)]
            shows = "show" in cell.metadata.get("tags", [])
            if shows and node.cells[number - 2].cell_type != "markdown":
                found.append(f"cell {number}: no prose before it")
    if "widgets" in node.metadata or node.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("metadata: widget state, or a kernel other than python3")
    return found


def _title(cell: NotebookNode) -> list[str]:
    if cell.cell_type != "markdown" or cell.metadata.get("tags") != ["title"] or not cell.source.startswith("# "):
        return ["cell 1: no title"]
    items = ("Question", "Reader", "Inputs", "Outputs")
    return [f"cell 1: no {item}" for item in items if f"**{item}**" not in cell.source]


def _outline(node: NotebookNode) -> list[str]:
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    tags = [tuple(cell.metadata.get("tags", [])) for cell in code]
    found = [f"{len(code)} code cells"] if len(code) > MOST_CELLS else []
    if any(len(tag) != 1 or tag[0] not in ORDER for tag in tags):
        return [*found, f"code cells tagged {tags}"]
    places = [ORDER.index(tag[0]) for tag in tags]
    if places != sorted(places) or set(places) != set(range(len(ORDER))):
        found.append(f"tags out of order or missing: {tags}")
    return found


def _parameters(node: NotebookNode) -> list[str]:
    try:
        declared = parameters.declared(node)
    except BadParameter as error:
        return [str(error)]
    source = next((cell.source for cell in node.cells if "parameters" in cell.metadata.get("tags", [])), "")
    typed = re.findall(r"^\w+: ", source, re.MULTILINE)
    found = ["parameters: one lacks its type"] if len(typed) != len(declared) else []
    found += [f"parameter {p.name} lacks its comment" for p in declared.values() if not p.meaning]
    numbers = [p for p in declared.values() if p.base in ("int", "float")]
    return found + [f"parameter {p.name} lacks its range" for p in numbers if p.high == math.inf]


def _code(cell: NotebookNode) -> list[str]:
    tree = list(ast.walk(ast.parse(cell.source)))
    lines = cell.source.count("\n") + 1
    found = [f"{lines} lines"] if lines > MOST_LINES else []
    found += [f"{what} in it" for what, kinds in FORBIDDEN.items() if any(isinstance(part, kinds) for part in tree)]
    names = {part.attr for part in tree if isinstance(part, ast.Attribute)}
    found += [f"{name}() in it" for name in sorted(names & JOINS)]
    if any(isinstance(part, ast.Import | ast.ImportFrom) for part in tree) != (cell.metadata.get("tags") == ["setup"]):
        found.append("imports belong in setup, all of them")
    if cell.outputs or cell.execution_count is not None:
        found.append("outputs not stripped")
    if re.search(r"[\"'](/|~|[A-Z]:\\)", cell.source):
        found.append("a path of one machine")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_conventions(path):
    node = nbformat.read(path, as_version=4)
    nbformat.validate(node)
    assert violations(node) == []
    assert catalogue.NAME.fullmatch(path.stem), "named NN_topic.ipynb"
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n", "written as Jupyter writes it"


GOOD = [
    ("title", "# T\n\n**Question** Why?\n**Reader** me **Inputs** x **Outputs** y"),
    ("parameters", "n: int = 3  # rows, 1..9"),
    ("setup", "import salesml"),
    ("inputs", "rows = salesml.rows(n)"),
    ("compute", "answer = salesml.work(rows)"),
    ("", "What it says."),
    ("show", "answer.table()"),
    ("results", "glue('n', n, 'rows')"),
]


def built(cells: list[tuple[str, str]]) -> NotebookNode:
    """A notebook of (tag, source) cells; those tagged title or nothing are prose."""
    node = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for tag, source in cells:
        make = nbformat.v4.new_markdown_cell if tag in ("", "title") else nbformat.v4.new_code_cell
        node.cells.append(make(source, metadata={"tags": [tag]} if tag else {}))
    return node


@pytest.mark.parametrize(
    ("cell", "source", "fault"),
    [
        (0, "# T\n\n**Question** Why?", "cell 1: no Reader"),
        (0, "T", "cell 1: no title"),
        (1, "n: int = 3  # rows", "parameter n lacks its range"),
        (1, "n: int = 3", "parameter n lacks its comment"),
        (1, "n = 3  # rows, 1..9", "one lacks its type"),
        (1, "n: int = len('abc')  # rows, 1..9", "only `name: type = literal"),
        (3, "import os", "cell 4: imports belong in setup"),
        (4, "def f(): pass", "cell 5: def in it"),
        (4, "f = lambda: 1", "cell 5: def in it"),
        (4, "for x in y: pass", "cell 5: loop in it"),
        (4, "z = [x for x in y]", "cell 5: loop in it"),
        (4, "a.merge(b)", r"cell 5: merge\(\) in it"),
        (4, "open('/tmp/x')", "cell 5: a path of one machine"),
        (6, "\n".join(["x"] * 13), "cell 7: 13 lines"),
    ],
)
def test_each_rule_catches_its_fault(cell, source, fault):
    assert violations(built(GOOD)) == []
    cells = copy.copy(GOOD)
    cells[cell] = (cells[cell][0], source)
    assert re.search(fault, "\n".join(violations(built(cells))))


def test_rules_on_order_size_outputs_and_prose():
    swapped = [*GOOD[:3], GOOD[4], GOOD[3], *GOOD[5:]]
    assert any("out of order" in fault for fault in violations(built(swapped)))
    assert any("out of order or missing" in fault for fault in violations(built(GOOD[:-1])))
    assert any("tagged" in fault for fault in violations(built([*GOOD, ("extra", "1")])))
    assert "14 code cells" in violations(built([*GOOD[:6], *[GOOD[5], GOOD[6]] * 9, GOOD[7]]))
    assert "cell 6: no prose before it" in violations(built([*GOOD[:5], *GOOD[6:]]))
    ran = built(GOOD)
    ran.cells[3].outputs = [nbformat.v4.new_output("stream", text="x")]
    assert violations(ran) == ["cell 4: outputs not stripped"]


def test_reports_are_found_by_name(tmp_path):
    nbformat.write(built(GOOD), tmp_path / "20_deals.ipynb")
    nbformat.write(built(GOOD), tmp_path / "draft.ipynb")
    assert list(catalogue.reports(tmp_path)) == ["deals"]
    found = catalogue.find("deals", tmp_path)
    assert found == catalogue.find("20_deals", tmp_path)
    assert (found.title, found.question) == ("T", "Why?")
    for name in ("30_deals", "draft", "../20_deals", "deals.ipynb", ""):
        with pytest.raises(UnknownName, match=r"unknown report .*; valid: deals"):
            catalogue.find(name, tmp_path)


@pytest.fixture(scope="module")
def copied_workspace(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the tiny company, since reports write to their workspace; they run in order, so that models exist."""
    folder = tmp_path_factory.mktemp("copied") / "workspace"
    shutil.copytree(tiny_workspace.root, folder)
    return Workspace.open(folder)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_on_the_small_workspace(copied_workspace, path, request):
    chosen = {"results": str(request.getfixturevalue("judgement"))} if path.stem == "90_judge" else {}
    done = run_notebook(copied_workspace, path, chosen, timeout_s=300)
    assert (done.status, done.error) == ("ok", None)
    assert done.results["lake_head"]["value"] == done.head
    assert Path(done.html).stat().st_size < 6_000_000
