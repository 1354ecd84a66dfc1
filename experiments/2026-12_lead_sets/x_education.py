"""A table of leads without time, scored out of fold, with and without the columns whose moment is in doubt, beside points.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_lead_sets/x_education.py LEADS.csv.gz OUT.json [REPEATS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from salesml.evaluation.metrics import Measured
from salesml.evaluation.prequential import rate_of, rate_ratio, top_share
from salesml.workflows.study import silent
from salesml.workflows.study_folds import out_of_fold
from salesml.workflows.study_input import read_table
from salesml.workflows.study_points import points_of, table_scheme
from salesml.workflows.study_prepare import Question, prepare

AFTER_CONTACT = (
    "Tags", "Lead Quality", "Last Activity", "Asymmetrique Activity Index", "Asymmetrique Profile Index", "Asymmetrique Activity Score",
    "Asymmetrique Profile Score",
)  # fmt: skip
PROFILE, NOTABLE = "Lead Profile", "Last Notable Activity"
LEFT_OUT = {
    "all filled after contact": (*AFTER_CONTACT, PROFILE, NOTABLE),
    "but the lead profile": (*AFTER_CONTACT, NOTABLE),
    "but the last notable activity": (*AFTER_CONTACT, PROFILE),
    "only those listed with the data": AFTER_CONTACT,
}
POINTS = Path(__file__).with_name("x_education_points.yaml")


def measured(path: Path, drop: tuple[str, ...], repeats: int) -> dict:
    """Figures out of fold, and the best tenth beside the best tenth by points; mean of the repeats."""
    prepared = prepare(read_table(path), Question("Converted", "1", "leads", id="Prospect ID", drop=drop))
    told = out_of_fold(prepared, repeats=repeats, progress=silent)
    steady, everything = told.calibration(), np.zeros(len(told.y), dtype="int64")
    peer = top_share(points_of(table_scheme(POINTS, prepared.X), prepared.X), everything)
    mine = [top_share(p, everything) for p in told.p]
    figures = told.figures() | {"ece": steady.ece, "slope": steady.slope}
    figures |= {
        "best tenth": _mean([rate_of(told.y, one, told.entities) for one in mine]),
        "best tenth by points": rate_of(told.y, peer, told.entities),
        "ratio": _mean([rate_ratio(told.y, one, peer, told.entities) for one in mine]),
    }
    return {"chosen": told.chosen, "ece_bar": steady.bar, **{name: str(figure) for name, figure in figures.items()}}


def _mean(figures: list[Measured]) -> Measured:
    return Measured(*(float(np.mean([vars(one)[name] for one in figures])) for name in ("value", "lo", "hi")))


if __name__ == "__main__":
    path, out, repeats = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3
    found: dict[str, dict] = {}
    for name, drop in LEFT_OUT.items():
        found[name] = measured(path, drop, repeats)
        print(name, json.dumps(found[name], indent=1), flush=True)
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")
