"""Import speed: an event log of the size of bpic2012 through the packaged mapping, validated, into an empty lake."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVENTS = 158_706
FLOW = ("A_SUBMITTED", "A_PARTLYSUBMITTED", "W_Afhandelen leads", "A_PREACCEPTED", "W_Completeren aanvraag", "A_ACCEPTED",
        "O_SELECTED", "A_FINALIZED", "O_CREATED", "O_SENT", "W_Nabellen offertes", "W_Nabellen offertes", "O_SENT_BACK",
        "W_Valideren aanvraag", "O_ACCEPTED", "A_REGISTERED", "A_APPROVED", "A_ACTIVATED")  # fmt: skip
COLUMNS = (
    "case:REG_DATE",
    "case:concept:name",
    "case:AMOUNT_REQ",
    "org:resource",
    "lifecycle:transition",
    "concept:name",
    "time:timestamp",
)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "bpic2012"
IMPORT = """
import json, sys, time
from pathlib import Path
from salesml.sources.mapping import packaged_mapping
from salesml.workflows.ingest import import_export
from salesml.workspace import Workspace
report = import_export(Workspace.create(sys.argv[1]), packaged_mapping("bpic2012"), Path(sys.argv[2]))
print(json.dumps({"rows": report.rows, "seconds": report.seconds}))
"""


def run() -> dict[str, Any]:
    """Import the public event log if it is beside the checkout, else a made-up one of its size, in a fresh process.

    rows_per_second counts the import alone; wall_seconds includes starting Python and importing libraries.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = SHARED if SHARED.exists() else _made_up(Path(scratch) / "bpic2012")
        started = time.monotonic()
        output = subprocess.run(
            [sys.executable, "-c", IMPORT, f"{scratch}/workspace", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        wall = time.monotonic() - started
        measured = json.loads(output)
    return {
        "data": "bpic2012" if folder == SHARED else "made up, of the size of bpic2012",
        "rows": measured["rows"],
        "seconds": round(measured["seconds"], 3),
        "wall_seconds": round(wall, 3),
        "rows_per_second": round(measured["rows"] / measured["seconds"]),
        "rows_per_second_wall": round(measured["rows"] / wall),
        "bar_rows_per_second": 50_000,
    }


def _made_up(folder: Path) -> Path:
    folder.mkdir()
    chance = random.Random(1)
    with gzip.open(folder / "bpic2012_events.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        written, case = 0, 100_000
        while written < EVENTS:
            case += 1
            moment = begun = dt.datetime(2011, 10, 1, tzinfo=dt.UTC) + dt.timedelta(
                seconds=chance.randrange(14_000_000)
            )
            for event in FLOW[: min(chance.randrange(3, len(FLOW) + 1), EVENTS - written)]:
                moment += dt.timedelta(seconds=chance.randrange(200_000))
                who = f"{chance.randrange(60)}.0"
                writer.writerow(
                    [begun.isoformat(), case, 500 * chance.randrange(2, 90), who, "COMPLETE", event, moment.isoformat()]
                )
                written += 1
    return folder
