"""The notebook runner: what it refuses before a kernel starts, how runs end, what stays behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salesml.errors import BadParameter, WorkspaceError
from salesml.reporting import glue, kernel, parameters, record
from salesml.reporting.runner import run_notebook
from salesml.workspace import Workspace

PARAMETERS = """\
as_of: str = ""  # first day that is not known, YYYY-MM-DD; empty: now
months: int = 6  # months ahead, 1..24
level: float = 0.8  # share of outcomes inside the interval, 0.5..0.99
region: str = "all"  # where: one of all, north; all adds them up
reps: list[str] = []  # only these reps
limit: int | None = None  # rows shown, 1..1000
detail: bool = False  # show all
note = "none"  # printed in the report
"""


def notebook(folder: Path, *cells: str, name: str = "10_probe.ipynb", declared: str = PARAMETERS) -> Path:
    """A notebook with a title, a parameters cell and these code cells."""
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Probe\n\nDoes it run?")])
    node.cells.append(nbformat.v4.new_code_cell(declared, metadata={"tags": ["parameters"]}))
    node.cells += [nbformat.v4.new_code_cell(cell, metadata={"tags": ["compute"]}) for cell in cells]
    folder.mkdir(exist_ok=True)
    nbformat.write(node, folder / name)
    return folder / name


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w {braces} 100%", name="Probe & Sons")


@pytest.fixture
def no_kernel(monkeypatch):
    """Fails the test if anything tries to start a kernel."""
    started = []

    async def start(self, **options):
        started.append(options)
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(kernel.OwnKernel, "start_kernel", start)
    yield
    assert started == []


class Hostile(str):
    def __repr__(self):
        return "__import__('os').system('touch /tmp/pwned')"


REFUSED = [
    ({"month": 3}, "unknown parameter 'month'; valid: as_of"),
    ({"x = 1; import os": 3}, "unknown parameter"),
    ({"months\n": 3}, "unknown parameter"),
    ({"__class__": 3}, "unknown parameter"),
    ({"class": 3}, "unknown parameter"),
    ({"": 3}, "unknown parameter ''"),
    ({7: 3}, "unknown parameter 7"),
    ({Hostile("months"): 3}, "unknown parameter"),
    ({"months": "6"}, "months .int, 1..24. cannot be '6'"),
    ({"months": 6.0}, "cannot be 6.0"),
    ({"months": True}, "cannot be True"),
    ({"months": None}, "cannot be None"),
    ({"months": 0}, r"outside 1\.\.24"),
    ({"months": 25}, r"outside 1\.\.24"),
    ({"months": 2**70}, "cannot be"),
    ({"level": float("nan")}, "cannot be nan"),
    ({"level": float("inf")}, "cannot be inf"),
    ({"level": 1.0}, "outside"),
    ({"level": "0.8"}, "cannot be"),
    ({"region": "south"}, "one of all, north"),
    ({"reps": "kim"}, "is a list"),
    ({"reps": ["kim", 3]}, "cannot be 3"),
    ({"reps": ["x"] * 1001}, "1001 items"),
    ({"limit": 0}, "outside"),
    ({"detail": 1}, "cannot be 1"),
    ({"note": "x" * 1001}, "1001 characters"),
    ({"note": "\ud800"}, "not valid Unicode"),
    ({"note": Hostile("x")}, "cannot be a Hostile"),
    ({"note": object()}, "cannot be a object"),
    ({"note": ["x"]}, "cannot be a list"),
    ({"note": Path("/")}, "cannot be a PosixPath"),
    ({"note": b"x"}, "cannot be a bytes"),
    ({"as_of": "yesterday"}, "is not a date"),
    ({"as_of": "2024-02-30"}, "is not a date"),
]


@pytest.mark.parametrize(("params", "message"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_refused_before_a_kernel_starts(workspace, tmp_path, no_kernel, params, message):
    with pytest.raises(BadParameter, match=message):
        run_notebook(workspace, notebook(tmp_path / "n", "1"), params)
    assert not workspace.reports.exists()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("import os", "line 1: only `name: type = literal"),
        ("n = 3\nm = n + 1", "line 2: only"),
        ("n = open('x')", "line 1: only"),
        ("a, b = 1, 2", "line 1: only"),
        ("a = b = 1", "line 1: only"),
        ("a.b = 1", "line 1: only"),
        ("n: int", "line 1: only"),
        ("n = None", "needs a type"),
        ("n = [1, 'x']", "needs a type"),
        ("n: dict = {}", "needs a type"),
        ("n: int = 'x'", "cannot be 'x'"),
        ("n: int = 30  # 1..24", "outside"),
        ("n = 1\nn = 2", "assigns 'n' twice"),
        ("n = (", "not Python"),
    ],
)
def test_parameters_cell_that_is_more_than_literals(workspace, tmp_path, no_kernel, declared, message):
    with pytest.raises(BadParameter, match=message):
        run_notebook(workspace, notebook(tmp_path / "n", "1", declared=declared), {})


def test_what_is_no_notebook(workspace, tmp_path, no_kernel):
    (tmp_path / "broken.ipynb").write_text("{")
    for path in (tmp_path / "none.ipynb", tmp_path, tmp_path / "broken.ipynb", "/etc/passwd"):
        with pytest.raises(BadParameter, match="notebook"):
            run_notebook(workspace, path)
    source = notebook(tmp_path / "n", "1")
    for out in (tmp_path / "x.pdf", source.with_suffix(".html")):
        with pytest.raises(BadParameter, match=r"must end in \.html and not lie beside"):
            run_notebook(workspace, source, out=out)


def test_parameters_from_the_command_line():
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
    known = parameters.declared(node)
    texts = {"months": "12", "level": "0.9", "reps": "kim, lee", "limit": "none", "detail": "TRUE", "note": "'; x"}
    meant = {"months": 12, "level": 0.9, "reps": ["kim", "lee"], "limit": None, "detail": True, "note": "'; x"}
    assert {name: known[name].from_text(text) for name, text in texts.items()} == meant
    for name, text in (("months", "six"), ("detail", "yes"), ("limit", "")):
        with pytest.raises(BadParameter, match=name):
            known[name].from_text(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(note=st.text(max_size=60), reps=st.lists(st.text(max_size=20), max_size=3), level=st.floats(0.5, 0.99))
def test_any_text_is_injected_as_data(workspace, note, reps, level):
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
    given = {"note": note, "reps": reps, "level": level}
    assert parameters.validated(workspace, parameters.declared(node), given) == given


ATTACKS = ["'; exit() #", '"""\nraise SystemExit("x")\n"""', "\\", "{months}", "\x00\x85\u2028\r\n", "$HOME"]
GOOD = """\
import os, sys
from salesml.reporting.glue import glue
glue("kernel", sys.executable, "path"); glue("folder", os.getcwd(), "path")
glue("workspace", os.environ["SALESML_WORKSPACE"], "path"); glue("months", months, "months")
"""


def test_a_good_run(workspace, tmp_path, monkeypatch):
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "x", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    told: list[str] = []
    source = notebook(tmp_path / "n {0}", GOOD, f"assert reps == {ATTACKS!r}")
    done = run_notebook(workspace, source, {"months": 12, "reps": ATTACKS}, progress=told.append)
    assert (done.status, done.error) == ("ok", None)
    places = {"kernel": sys.executable, "folder": str(source.parent), "workspace": str(workspace.root)}
    assert {name: result["value"] for name, result in done.results.items()} == {**places, "months": 12}
    assert done.parameters["months"] == 12 and done.parameters["level"] == 0.8
    assert told[-1] == "cell 5: Probe, compute"
    assert record.read(Path(done.html)) == done
    assert Path(done.html).parent == workspace.reports and "Probe" in Path(done.html).read_text()
    assert glue.read(done.executed)["months"] == glue.Result("months", 12, "months")
    left = sorted(path.name for path in workspace.reports.iterdir())
    assert left == [".probe.lock", "probe.html", "probe.ipynb", "probe.status.json"]


LEFTOVER = "import subprocess; child = subprocess.Popen(['sleep', '300']); print(child.pid)\n"


@pytest.mark.parametrize(
    ("cell", "limits", "status", "name"),
    [
        ("1 / 0", {}, "failed", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", {}, "failed", "EndedEarly"),
        pytest.param("input('?')", {}, "failed", "StdinNotImplementedError", marks=pytest.mark.slow),
        ("import time; time.sleep(600)", {"cell_timeout_s": 1}, "timeout", "Timeout"),
        pytest.param("import time; time.sleep(600)", {"timeout_s": 4}, "timeout", "Timeout", marks=pytest.mark.slow),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, "killed", "DeadKernel"),
    ],
    ids=["error", "exit", "input", "cell-timeout", "whole-timeout", "killed"],
)
def test_bad_ends_keep_the_last_good_report(workspace, tmp_path, cell, limits, status, name):
    html = workspace.reports / "probe.html"
    workspace.reports.mkdir()
    html.write_text("the last good one")
    source = notebook(tmp_path / "n", LEFTOVER, cell, "print('not reached')")
    began = time.monotonic()
    done = run_notebook(workspace, source, **limits)
    assert time.monotonic() - began < 300, "ended by its limit, not by itself"
    assert (done.status, done.error["name"]) == (status, name)
    assert done.error["cell"] == 4 and done.error["title"] == "Probe"
    assert html.read_text() == "the last good one"
    assert record.read(html) == done
    failed = nbformat.read(html.with_suffix(".failed.ipynb"), as_version=4)
    child = next(int(o.text) for c in failed.cells for o in c.get("outputs", []) if o.output_type == "stream")
    assert _gone(child) and "not reached" not in str([c.get("outputs") for c in failed.cells])


def _gone(pid: int) -> bool:
    """Whether a process has ended (an orphan that nobody reaps stays as a zombie)."""
    for _ in range(30):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have told us to ignore it
from salesml.reporting.runner import run_notebook
from salesml.workspace import Workspace
run_notebook(Workspace.open(sys.argv[1]), sys.argv[2], {})
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_killed_runner_reads_as_killed_and_takes_its_kernel_along(workspace, tmp_path, how):
    pid_file = tmp_path / "pid"
    cell = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    source = notebook(tmp_path / "n", cell)
    html = workspace.reports / "probe.html"
    process = subprocess.Popen([sys.executable, "-c", RUN, workspace.root, source])
    for _ in range(300):
        if pid_file.exists() and pid_file.read_text():
            break
        time.sleep(0.1)
    running = record.read(html)
    assert running is not None and (running.status, running.pid) == ("running", process.pid)
    with pytest.raises(WorkspaceError, match="being produced by another run"):
        run_notebook(workspace, source)
    process.send_signal(how)
    process.wait()
    assert record.read(html).status == "killed"
    assert _gone(int(pid_file.read_text()))
    assert run_notebook(workspace, source, cell_timeout_s=0.2).status == "timeout"  # leftovers do not hinder


@pytest.mark.slow
def test_from_a_thread_beside_another_run(workspace, tmp_path):
    done = []
    cells = {"10_one.ipynb": "shared = 1", "20_two.ipynb": "shared"}
    sources = [notebook(tmp_path / "n", cell, name=name) for name, cell in cells.items()]
    threads = [threading.Thread(target=lambda s=s: done.append(run_notebook(workspace, s))) for s in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {(r.notebook, r.status) for r in done} == {("10_one.ipynb", "ok"), ("20_two.ipynb", "failed")}
