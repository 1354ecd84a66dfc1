"""A watched folder: what is dropped is imported once it stops growing; a bad file is reported once."""

from __future__ import annotations

import threading
import time

import pytest
from importing import GOOD, HEADER, believed, deals_mapping, put

from salesml.errors import BadInput
from salesml.workflows.watch import watch_folder


def look_once(workspace, folder, mapping=None):
    outcomes = []
    failures = watch_folder(workspace, folder, mapping or deals_mapping(), outcomes.append, every=0.05, once=True)
    return outcomes, failures


def test_what_is_there_is_imported_and_nothing_is_moved(workspace, tmp_path):
    folder = put(tmp_path / "drop", HEADER + GOOD)
    outcomes, failures = look_once(workspace, folder)
    assert failures == 0 and outcomes[0].files == ["deals.csv"] and len(believed(workspace)) == 5
    assert [p.name for p in folder.iterdir()] == ["deals.csv"]
    assert look_once(workspace, folder) == ([], 0)


def test_later_exports_of_the_same_file_are_imported_in_the_order_they_came(workspace, tmp_path):
    folder = put(tmp_path / "drop", HEADER + GOOD, "deals_2.csv")
    time.sleep(0.02)
    put(folder, HEADER + GOOD.replace("100.50", "300.00"), "deals_1.csv")
    outcomes, _ = look_once(workspace, folder)
    assert [outcome.files for outcome in outcomes] == [["deals_2.csv"], ["deals_1.csv"]]
    assert {str(row["amount"]) for row in believed(workspace) if row["status"] == "won"} == {"300.00"}
    assert look_once(workspace, folder) == ([], 0)


def test_a_bad_file_is_reported_and_does_not_stop_the_others(workspace, tmp_path):
    folder = put(tmp_path / "drop", b"", "people.csv")
    put(folder, HEADER + GOOD)
    outcomes, failures = look_once(workspace, folder)
    assert failures == 1 and "people.csv: the file is empty" in outcomes[0].error
    assert outcomes[1].report.changed and len(believed(workspace)) == 5


def test_a_bad_file_is_not_tried_again_until_it_changes(workspace, tmp_path):
    folder = put(tmp_path / "drop", HEADER.replace("amount", "value") + GOOD)
    outcomes, looks = [], []
    deadline = time.monotonic() + 20

    def show(outcome):
        outcomes.append(outcome)

    def stop():
        looks.append(len(outcomes))
        if len(looks) == 6:
            put(folder, HEADER + GOOD)
        return any(outcome.report for outcome in outcomes) or time.monotonic() > deadline

    watch_folder(workspace, folder, deals_mapping(), show, every=0.05, stop=stop)
    assert [bool(outcome.error) for outcome in outcomes] == [True, False] and looks[:6] == [1] * 6
    assert len(believed(workspace)) == 5


def test_a_file_that_still_grows_is_left_alone(workspace, tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    stop = threading.Event()

    def grow():
        with (folder / "deals.csv").open("w") as file:
            file.write(HEADER)
            while not stop.is_set():
                file.write(GOOD)
                file.flush()
                time.sleep(0.01)

    helper = threading.Thread(target=grow)
    helper.start()
    time.sleep(0.05)
    try:
        assert look_once(workspace, folder) == ([], 0)
    finally:
        stop.set()
        helper.join()


def test_without_a_mapping_the_packaged_ones_are_tried(workspace, tmp_path):
    events = (
        "case:concept:name,case:AMOUNT_REQ,org:resource,lifecycle:transition,concept:name,time:timestamp\n"
        "1,5000,112.0,COMPLETE,A_SUBMITTED,2011-10-01T00:38:44.546+02:00\n"
        "1,5000,112.0,COMPLETE,A_DECLINED,2011-10-01T00:38:44.546+02:00\n"
    )
    outcomes: list = []
    assert (
        watch_folder(workspace, put(tmp_path / "drop", events, "log.csv"), None, outcomes.append, every=0.05, once=True)
        == 0
    )
    rows = sorted(believed(workspace), key=lambda row: row["occurred_at"])
    assert [(row["change_id"], row["status"], row["owner_id"]) for row in rows] == [
        ("created", "open", "112"),
        ("A_DECLINED:1", "lost", None),
    ]
    assert rows[0]["occurred_at"] < rows[1]["occurred_at"]


def test_a_folder_that_is_not_there_is_named(workspace, tmp_path):
    with pytest.raises(BadInput, match="is not a folder"):
        watch_folder(workspace, tmp_path / "nowhere", None, print)
