"""Men's and women's e-mail against none: figures of every outcome, as the decision rule asks.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_uplift/hillstrom.py DATA_FOLDER OUT_FOLDER [OUTCOME ...]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from salesml.workflows.uplift import uplift_study
from salesml.workflows.uplift_report import write_uplift

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    data, out = Path(sys.argv[1]) / "hillstrom_email" / "hillstrom.csv.gz", Path(sys.argv[2])
    for outcome in sys.argv[3:] or ("visit", "spend"):
        found = uplift_study(data, treatment="segment", control="No E-Mail", outcome=outcome)
        write_uplift(found, out / outcome)
        print(outcome, "left out:", found.left_out)
        for arm in found.arms:
            print(arm.sentence)
            print("  per e-mail, best half against everybody:", arm.shown(arm.per_treatment), "| qini", arm.shown(arm.ranking["qini"]))
            print("  slope", arm.slope, "heterogeneity", arm.differ, "gaps p", round(arm.gaps_p, 3), "alike", arm.alike)
            print("  balance p", round(arm.check.p_value, 3), "told apart", arm.check.told_apart)
            print(arm.tenths.round(4).to_string(), arm.policies.round(4).to_string(), sep="\n", flush=True)
