"""The lake: idempotent ingest, corrections, undo, pinned readers, one writer, crashes."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from salesml.contracts import table
from salesml.errors import BadInput, SalesmlError, UnknownName, WorkspaceError
from salesml.lake import Lake, visible
from salesml.workspace import Workspace


def day(n: int, month: int = 1) -> dt.datetime:
    return dt.datetime(2026, month, n, tzinfo=dt.UTC)


def deal(deal_id: str, change: str, at: dt.datetime, known: dt.datetime | None = None, **values: object) -> dict:
    row = dict.fromkeys(("amount", "stage", "status", "owner_id"))
    return {**row, "opportunity_id": deal_id, "change_id": change, "occurred_at": at, "known_at": known, **values}


FIRST = [
    deal("A", "created", day(1), stage="Qualify", status="open", owner_id="u1"),
    deal("A", "closed", day(10), day(12), status="won", amount=5),
    deal("B", "created", day(2), stage="Qualify", status="open", owner_id="u1"),
]


def staged(rows: list[dict]) -> dict[str, pa.Table]:
    return {"opportunity": pa.Table.from_pylist(rows)}


def state(workspace: Workspace, as_of: dt.datetime, head: int | None = None) -> dict[str, dict]:
    view = visible(Lake(workspace).open(head), as_of)
    frame = view.frame(view.state("opportunity", ["status", "stage", "amount", "owner_id"]))
    return {row["opportunity_id"]: row for row in frame.astype(object).where(frame.notna(), None).to_dict("records")}


def test_the_same_rows_twice_change_nothing(workspace: Workspace) -> None:
    lake = Lake(workspace)
    first = lake.ingest(staged(FIRST), origin="t")
    again = lake.ingest(staged(FIRST), origin="t")
    assert first.changed and not again.changed
    assert again.counts["opportunity"].unchanged == 3
    assert lake.head().id == first.head.id


def test_a_corrected_row_is_a_change_known_from_the_load(workspace: Workspace) -> None:
    lake = Lake(workspace)
    lake.ingest(staged(FIRST), origin="t")
    corrected = [*FIRST[:1], deal("A", "closed", day(10), day(12), status="lost", amount=5), FIRST[2]]
    done = lake.ingest(staged(corrected), origin="t", loaded_at=day(1, 3))
    assert vars(done.counts["opportunity"]) == {"added": 0, "corrected": 1, "retracted": 0, "unchanged": 2}
    assert state(workspace, day(20))["A"]["status"] == "won", "as of January it was believed won"
    assert state(workspace, day(2, 3))["A"]["status"] == "lost", "as of March the correction is known"


def test_a_change_that_vanished_from_a_complete_export_is_withdrawn(workspace: Workspace) -> None:
    lake = Lake(workspace)
    lake.ingest(staged(FIRST), origin="t")
    done = lake.ingest(staged(FIRST[:1]), origin="t", complete={"opportunity"}, loaded_at=day(1, 3))
    assert done.counts["opportunity"].retracted == 1, "only A was in the export, so only A's close is withdrawn"
    assert state(workspace, day(20))["A"]["status"] == "won"
    later = state(workspace, day(2, 3))
    assert later["A"]["status"] == "open" and later["B"]["status"] == "open"


def test_a_workspace_may_have_spaces_and_percents_in_its_name(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "our company, 5 % up")
    Lake(workspace).ingest(staged(FIRST), origin="t")
    assert not Lake(workspace).ingest(staged(FIRST), origin="t").changed
    assert set(state(workspace, day(20))) == {"A", "B"}


def test_sparse_changes_keep_what_they_do_not_mention(workspace: Workspace) -> None:
    Lake(workspace).ingest(staged(FIRST), origin="t")
    closed = state(workspace, day(13))["A"]
    assert closed["owner_id"] == "u1" and closed["stage"] == "Qualify" and closed["status"] == "won"


def test_visible_is_half_open(workspace: Workspace) -> None:
    Lake(workspace).ingest(staged(FIRST), origin="t")
    assert "B" not in state(workspace, day(2)), "known_at == as_of is not visible"
    assert "B" in state(workspace, day(2) + dt.timedelta(microseconds=1))
    assert state(workspace, day(12))["A"]["status"] == "open", "closed on the 10th, entered on the 12th"


def test_assumed_known_at_is_flagged(workspace: Workspace) -> None:
    Lake(workspace).ingest(staged(FIRST), origin="t")
    rows = Lake(workspace).open().rows("opportunity").to_pylist()
    assert {(row["change_id"], row["known_at_assumed"]) for row in rows} == {("created", True), ("closed", False)}


def test_undo_goes_back_one_import_and_import_works_again(workspace: Workspace) -> None:
    lake = Lake(workspace)
    one = lake.ingest(staged(FIRST[:1]), origin="t").head
    lake.ingest(staged(FIRST), origin="t")
    head, dropped = lake.undo()
    assert [d.id for d in dropped] == [2] and head.tables == one.tables
    assert lake.open().rows("opportunity").num_rows == 1
    lake.ingest(staged(FIRST), origin="t")
    assert lake.open().rows("opportunity").num_rows == 3
    lake.undo()
    lake.undo()
    assert lake.open().rows("opportunity").num_rows == 0
    with pytest.raises(SalesmlError, match="no import to undo"):
        lake.undo()


def test_a_pinned_reader_does_not_see_later_commits(workspace: Workspace) -> None:
    lake = Lake(workspace)
    lake.ingest(staged(FIRST[:1]), origin="t")
    pinned = lake.open()
    lake.ingest(staged(FIRST), origin="t")
    assert pinned.rows("opportunity").num_rows == 1
    assert lake.open(1).rows("opportunity").num_rows == 1
    with pytest.raises(UnknownName, match="lake head '7'"):
        lake.open(7)


def test_bad_staged_rows_are_refused_and_leave_no_trace(workspace: Workspace) -> None:
    lake = Lake(workspace)
    with pytest.raises(BadInput, match="more than once"):
        lake.ingest(staged([FIRST[0], FIRST[0]]), origin="t")
    with pytest.raises(BadInput, match="outside its contract: colour"):
        lake.ingest({"opportunity": pa.Table.from_pylist([{**FIRST[0], "colour": "red"}])}, origin="t")
    with pytest.raises(UnknownName, match="valid: account"):
        lake.ingest({"oportunity": pa.Table.from_pylist(FIRST)}, origin="t")
    assert lake.head().id == 0


def batches(count: int, *, twice: bool = False, fails: bool = False) -> pa.RecordBatchReader:
    """Activities in batches of 100 with dictionary columns, each batch with dictionaries of its own."""

    def batch(n: int) -> pa.RecordBatch:
        rows = range(100 * n, 100 * n + 100)
        return pa.record_batch(
            {
                "activity_id": pa.array([f"a{row}" for row in rows]),
                "type": pa.array([("call", None, f"demo {n}")[row % 3] for row in rows]).dictionary_encode(),
                "subject": pa.array(["wörd", f"batch {n}"] * 50, pa.large_string()).dictionary_encode(),
                "duration_minutes": pa.array([15.0, None] * 50).dictionary_encode(),
                "occurred_at": pa.array([day(1 + n)] * 100, pa.timestamp("us", tz="UTC")),
            }
        )

    def made() -> Iterator[pa.RecordBatch]:
        for n in range(count):
            yield batch(n)
        if twice:
            yield batch(0).slice(42, 1)
        if fails:
            raise RuntimeError("the source broke off")

    return pa.RecordBatchReader.from_batches(batch(0).schema, made())


def stored_activities(lake: Lake) -> list[dict]:
    rows = lake.open().rows("activity")
    return rows.drop_columns("import_id").sort_by("activity_id").to_pylist()


def test_a_stream_with_dictionary_columns_stores_what_a_plain_table_does(tmp_path: Path) -> None:
    """On a first load, on a later load beside stored rows, and when the same rows come again."""
    streamed, plain = (Lake(Workspace.create(tmp_path / name)) for name in ("streamed", "plain"))
    for count in (3, 5):
        rows = batches(count).read_all()
        decoded = {name: rows[name].combine_chunks() for name in rows.column_names}
        decoded = {n: c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for n, c in decoded.items()}
        one = streamed.ingest({"activity": batches(count)}, origin="t")
        other = plain.ingest({"activity": pa.table(decoded)}, origin="t")
        assert one.counts == other.counts and one.changed
        assert streamed.open().rows("activity").schema == table("activity").schema
        assert stored_activities(streamed) == stored_activities(plain)
    assert streamed.head().tables["activity"].rows == 500
    assert not streamed.ingest({"activity": batches(5)}, origin="t").changed


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize(
    ("spoiled", "error", "message"),
    [({"twice": True}, BadInput, "'a42'.* more than once"), ({"fails": True}, Exception, "the source broke off")],
)
def test_a_stream_refused_at_its_end_changes_nothing(
    workspace: Workspace, spoiled: dict, error: type[Exception], message: str, filled: bool
) -> None:
    """HEAD, also of a table streamed before in the same ingest, and the data files; a later ingest works."""
    lake = Lake(workspace)
    if filled:
        lake.ingest({"activity": batches(1)}, origin="t")
    head, kept = lake.head(), set(workspace.lake.glob("activity/*.parquet"))
    with pytest.raises(error, match=message):
        lake.ingest({**staged(FIRST), "activity": batches(30, **spoiled)}, origin="t")
    assert lake.head() == head
    assert lake.open().rows("opportunity").num_rows == 0
    assert set(workspace.lake.glob("activity/*.parquet")) == kept
    lake.ingest({**staged(FIRST), "activity": batches(2)}, origin="t")
    assert lake.open().rows("activity").num_rows == 200 and lake.open().rows("opportunity").num_rows == 3


def test_a_withdrawn_row_that_comes_back_is_compared_with_its_newest_state(workspace: Workspace) -> None:
    lake = Lake(workspace)
    for rows, month in ((FIRST, 2), (FIRST[:1], 3), (FIRST, 4), (FIRST, 5)):
        done = lake.ingest(staged(rows), origin="t", complete={"opportunity"}, loaded_at=day(1, month))
    assert not done.changed and done.counts["opportunity"].unchanged == 3
    assert lake.open().corrections("opportunity") == 2, "withdrawn in March, back in April"
    assert state(workspace, day(2, 3))["A"]["status"] == "open"
    assert state(workspace, day(2, 4))["A"]["status"] == "won"


def test_a_stream_without_rows_leaves_the_table_unnamed(workspace: Workspace) -> None:
    lake = Lake(workspace)
    assert not lake.ingest({"activity": batches(0)}, origin="t").changed
    assert lake.head().tables == {}
    assert lake.ingest({"activity": batches(1)}, origin="t").counts["activity"].added == 100


def _hold(path: str, ready: object, release: object) -> None:
    with Lake(Workspace.open(path)).heads.writer():
        ready.set()  # type: ignore[attr-defined]
        release.wait(20)  # type: ignore[attr-defined]


def test_one_writer_at_a_time_and_the_other_is_named(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(workspace.root), ready, release))
    holder.start()
    try:
        assert ready.wait(20)
        with pytest.raises(WorkspaceError, match=f"process {holder.pid}"):
            Lake(workspace).ingest(staged(FIRST), origin="t")
    finally:
        release.set()
        holder.join(20)
    assert Lake(workspace).ingest(staged(FIRST), origin="t").changed


WRITER = """
import sys, pyarrow as pa, datetime as dt
from salesml.lake import Lake
from salesml.workspace import Workspace
at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
lake = Lake(Workspace.open(sys.argv[1]))
for batch in range(1000):
    rows = pa.table({"opportunity_id": [f"{batch}-{i}" for i in range(50)], "change_id": ["created"] * 50, "occurred_at": [at] * 50})
    acts = pa.table({"activity_id": [f"{batch}-{i}" for i in range(50)], "type": ["call"] * 50, "occurred_at": [at] * 50})
    lake.ingest({"opportunity": rows, "activity": acts}, origin="t")
    print(batch, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_instant_leaves_before_or_after(workspace: Workspace) -> None:
    """Kill -9 a writer at 12 moments: both tables always hold the same whole batches, and writing goes on."""
    for attempt in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(workspace.root)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.011 * attempt)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        tables = Lake(workspace).open()
        deals, activities = (
            {row.split("-")[0] for row in tables.rows(name)[key].to_pylist()}
            for name, key in (("opportunity", "opportunity_id"), ("activity", "activity_id"))
        )
        assert deals == activities
        assert tables.rows("opportunity").num_rows == 50 * len(deals)
