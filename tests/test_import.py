"""Imports are idempotent, corrections are corrections, and the state is the one before or the one after."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import random
import time
from pathlib import Path

import pytest
from importing import GOOD, HEADER, believed, bring_in, deals_mapping, put, rejected
from typer.testing import CliRunner

from salesml.errors import BadParameter, SalesmlError, WorkspaceError
from salesml.lake import Lake
from salesml.workflows.ingest import undo_import
from salesml.workspace import Workspace


def status_of(workspace: Workspace, deal: str) -> set[str]:
    return {row["status"] for row in believed(workspace) if row["opportunity_id"] == deal}


def test_the_same_files_twice_change_nothing(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD.replace("ann", "").replace("bob", ""))
    first, again = bring_in(workspace, folder), bring_in(workspace, folder)
    assert again.already and again.head.id == first.head.id == 1
    assert [p.name for p in workspace.raw.iterdir()] == [first.head.note["raw"]]
    renamed = bring_in(workspace, put(tmp_path / "other", (folder / "deals.csv").read_bytes(), "deals (2).csv"))
    assert not renamed.already and not renamed.changed and Lake(workspace).head().id == 1
    assert len(list(workspace.raw.iterdir())) == 1


def test_the_files_are_kept_as_received_with_the_mapping(workspace, tmp_path):
    report = bring_in(workspace, put(tmp_path / "in", HEADER + GOOD))
    kept = workspace.raw / report.head.note["raw"]
    assert {p.name for p in kept.iterdir()} == {"deals.csv", "deals.yaml"}
    assert (kept / "deals.csv").read_text() == HEADER + GOOD
    assert report.head.note["files"][0]["rows"] == 3


def test_a_corrected_file_adds_corrections_known_from_its_load(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    between = dt.datetime.now(dt.UTC)
    report = bring_in(workspace, put(folder, HEADER + GOOD.replace("100.50", "200.75")))
    assert report.counts["opportunity"] == {"added": 0, "corrected": 1, "retracted": 0, "unchanged": 4}
    amounts = {str(r["amount"]) for r in believed(workspace) if r["status"] == "won"}
    before = {str(r["amount"]) for r in believed(workspace, as_of=between) if r["status"] == "won"}
    assert (amounts, before) == ({"200.75"}, {"100.50"})


def test_a_change_missing_from_a_complete_export_is_withdrawn_and_comes_back(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    reopened = GOOD.replace("won,100.50,2024-01-05,2024-02-01", "open,,2024-01-05,")
    assert bring_in(workspace, put(folder, HEADER + reopened)).counts["opportunity"]["retracted"] == 1
    assert status_of(workspace, "007") == {"open"}
    bring_in(workspace, put(folder, HEADER + GOOD))
    assert status_of(workspace, "007") == {"open", "won"}


def test_nothing_is_withdrawn_where_rows_were_rejected(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    report = bring_in(workspace, put(folder, HEADER + GOOD.replace("2024-02-01", "2024-02-31")))
    assert status_of(workspace, "007") == {"open", "won"} and len(rejected(workspace)) == 1
    assert any("were not withdrawn" in note for note in report.notes)


def test_nothing_is_withdrawn_where_rows_of_the_file_could_not_be_read(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    reopened = GOOD.replace("won,100.50,2024-01-05,2024-02-01", "open,,2024-01-05,")
    report = bring_in(workspace, put(folder, HEADER + reopened + "a,b\n"))
    assert report.counts["opportunity"]["retracted"] == 0 and status_of(workspace, "007") == {"open", "won"}


def test_rows_without_a_date_are_known_from_the_export_and_do_not_move_with_later_ones(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    put(folder, "id,name\nann,Ann\nbob,Bob\n", "people.csv")
    bring_in(workspace, folder)
    (ann, _) = sorted(believed(workspace, "user"), key=lambda row: row["user_id"])
    assert ann["occurred_at"] == dt.datetime(2024, 3, 2, tzinfo=dt.UTC) and ann["known_at_assumed"]
    report = bring_in(workspace, put(folder, HEADER + GOOD + "010,ann,open,,2024-05-05,\n"))
    assert report.counts["user"] == {"added": 0, "corrected": 0, "retracted": 0, "unchanged": 2}


def test_export_date_and_the_workspace_zone_decide_undated_and_bare_dates(tmp_path):
    workspace = Workspace.create(tmp_path / "ws", time_zone="America/New_York")
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, put(folder, "id,name\nann,Ann\nbob,Bob\n", "people.csv"), export_date="2024-06-01")
    assert {row["occurred_at"] for row in believed(workspace, "user")} == {dt.datetime(2024, 6, 1, 4, tzinfo=dt.UTC)}
    assert min(row["occurred_at"] for row in believed(workspace)) == dt.datetime(2024, 1, 5, 5, tzinfo=dt.UTC)


def test_an_export_date_in_the_future_is_refused(workspace, tmp_path):
    with pytest.raises(BadParameter, match="export date 2999-01-01 is in the future"):
        bring_in(workspace, put(tmp_path / "in", HEADER + GOOD), export_date="2999-01-01")


def test_settings_of_a_mapping_count_in_an_empty_workspace_only(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder, mapping=deals_mapping(settings="{currency: EUR}"))
    settled = Workspace.open(workspace.root)
    assert settled.settings.currency == "EUR"
    assert {row["currency"] for row in believed(workspace) if row["amount"]} == {"EUR"}
    report = bring_in(
        settled,
        put(folder, HEADER + GOOD + "1,ann,open,,2024-01-01,\n"),
        mapping=deals_mapping(settings="{currency: USD}"),
    )
    assert Workspace.open(workspace.root).settings.currency == "EUR"
    assert any("suggests currency USD; the workspace has EUR" in note for note in report.notes)


def test_undo_goes_back_one_import_and_the_files_can_come_again(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    bring_in(workspace, put(folder, HEADER + GOOD + "010,ann,open,,2024-04-01,\n"))
    undo_import(workspace)
    assert status_of(workspace, "010") == set() and status_of(workspace, "007") == {"open", "won"}
    assert not bring_in(workspace, folder).already
    assert status_of(workspace, "010") == {"open"}
    undo_import(workspace)
    undo_import(workspace)
    with pytest.raises(SalesmlError, match="no import to undo"):
        undo_import(workspace)


def test_a_second_writer_is_told_to_wait_and_leaves_nothing(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD)
    with Lake(workspace).heads.writer(), pytest.raises(WorkspaceError, match="is being written by process"):
        bring_in(workspace, folder)
    assert list(workspace.raw.iterdir()) == []


def test_the_command_line_from_init_to_undo(tmp_path):
    from salesml.cli import app as whole
    from salesml.cli import data

    data.register(whole)
    root = str(tmp_path / "ws")
    folder = put(tmp_path / "in", HEADER + GOOD + "1,ann,won,x,2024-01-01,2024-02-01\n")
    (tmp_path / "deals.yaml").write_text(deals_mapping().text)

    def run(*args: str) -> str:
        result = CliRunner().invoke(whole, ["--workspace", root, *args], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "workspace Acme" in run("init", "--name", "Acme", "--currency", "GBP")
    assert "The lake is empty" in run("status")
    printed = run("import", "--mapping", str(tmp_path / "deals.yaml"), str(folder))
    assert "rows/s" in printed and "opportunity: 5 added" in printed
    assert "amount is not an amount (1 rows; first: deals.csv, row 4, column amount, value 'x')" in printed
    assert "imported already" in run("import", "--mapping", str(tmp_path / "deals.yaml"), str(folder))
    shown = run("status")
    assert "opportunity" in shown and "1 rejected" in shown and "champions: none yet" in shown
    assert "undone: HEAD 1" in run("import", "--undo")


def import_in_child(workspace: Workspace, folder: Path) -> multiprocessing.process.BaseProcess:
    """Start an import in a process of its own, forked from a server that has the libraries loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["importing", "duckdb", "deltalake", "pyarrow.csv"])
    child = context.Process(target=bring_in, args=(workspace, folder))
    child.start()
    return child


@pytest.mark.slow
def test_kill_9_at_any_instant_leaves_the_state_before_or_after(workspace, tmp_path):
    """20 kills at random instants of a second import; the state is one of two, and importing again ends well."""
    folder = put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, folder)
    many = "".join(f"x{i},ann,won,{i},2024-01-05,2024-02-01\n" for i in range(3000))
    put(folder, HEADER + GOOD.replace("100.50", "200.75") + many)
    import_in_child(workspace, folder).join()
    undo_import(workspace)
    started = time.monotonic()
    import_in_child(workspace, folder).join()
    takes = time.monotonic() - started
    undo_import(workspace)
    chance, killed = random.Random(5), 0
    while killed < 20:
        child = import_in_child(workspace, folder)
        child.join(chance.uniform(0.0, takes))
        killed += child.is_alive()
        child.kill()
        child.join()
        rows = believed(workspace)
        deals = len({row["opportunity_id"] for row in rows})
        won = {str(row["amount"]) for row in rows if row["opportunity_id"] == "007" and row["status"] == "won"}
        assert (deals, won) in [(3, {"100.50"}), (3003, {"200.75"})]
        if deals == 3003:
            undo_import(workspace)
    bring_in(workspace, folder)
    assert len({row["opportunity_id"] for row in believed(workspace)}) == 3003
    assert not [p for p in workspace.raw.iterdir() if p.name.startswith(".incoming")]
