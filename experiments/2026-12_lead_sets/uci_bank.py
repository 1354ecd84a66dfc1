"""A phone campaign in time order: is its drift told early, and what keeps up with it?

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_lead_sets/uci_bank.py BANK.csv.gz OUT_FOLDER [SHUFFLES]
"""

from __future__ import annotations

import sys
from pathlib import Path

from salesml.workflows.study import silent
from salesml.workflows.study_drift import Plan, study_drift
from salesml.workflows.study_drift_report import answer, comparison
from salesml.workflows.study_prepare import Question

CALLS = Question("y", "yes", "bank", drop=("duration",), in_order=True)
POINTS = Path(__file__).with_name("uci_bank_points.yaml")

if __name__ == "__main__":
    shuffles = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    found = study_drift(Path(sys.argv[1]), CALLS, Plan(1000, "500", None, shuffles, POINTS), Path(sys.argv[2]), silent)
    for row in comparison(found):
        print(" | ".join(row.values()))
    print(found.figures.versus.to_string())
    for what, one in found.alarms.by.items():
        print(what, one, one.false.interval)
    print(answer(found))
