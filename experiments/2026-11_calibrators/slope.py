"""Level and slope, snapshots weighing alike or by the deal: log loss on the test block of each company minus that without recalibration.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_calibrators/slope.py COMPANIES_FOLDER WORKSPACE
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.models.calibrators import Calibrator, fit_calibrator


def turned(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Calibrator:
    """The slope alone, about the mean of the scores."""
    slope = fit_calibrator(z, y, w).slope
    return Calibrator(float(z.mean()) * (1 - slope), slope)


def judged(path: Path) -> list[dict]:
    """One row a method and a kind of answer (true chances, outcomes); snapshots of the test block weigh alike."""
    rows = pd.read_parquet(path)
    block, test = (rows[rows["block"] == name] for name in ("calibration", "test"))
    z, y = block["logit"].to_numpy(), block["won"].to_numpy(dtype="float64")
    by_deal = 1 / block.groupby("opportunity_id")["won"].transform("size").to_numpy(dtype="float64")
    alike = np.full(len(block), by_deal.mean())
    found = {
        "none": Calibrator(), "line, by deal": fit_calibrator(z, y, by_deal), "line, alike": fit_calibrator(z, y, alike),
        "slope, by deal": turned(z, y, by_deal), "slope, alike": turned(z, y, alike),
    }  # fmt: skip
    answers = {"true chances": test["p_win"].to_numpy(), "outcomes": test["won"].to_numpy(dtype="float64")}
    told = []
    for name, calibrator in found.items():
        asked = calibrator.apply(test["logit"].to_numpy())
        for kind, answer in answers.items():
            figure = float(np.mean(np.logaddexp(0, asked) - answer * asked))
            line = {"intercept": calibrator.intercept, "slope": calibrator.slope}
            told.append({"company": path.stem, "method": name, "judged by": kind, "log_loss": figure, **line})
    return told


def main(folder: Path, root: Path) -> None:
    """Log the figures to MLflow and print them, in thousandths of a nat against no recalibration."""
    from salesml.registry import tracking
    from salesml.workspace import Workspace

    table = pd.DataFrame([row for path in sorted(folder.glob("*.parquet")) for row in judged(path)])
    with tracking.run(Workspace.open(root), "calibrators", params={"companies_judged": table["company"].nunique()}) as run:
        with tempfile.TemporaryDirectory() as temporary:
            table.to_csv(Path(temporary) / "slope.csv", index=False)
            run.log_artifacts(temporary)
        print(run.id)
    for kind, part in table.groupby("judged by"):
        wide = part.pivot(index="company", columns="method", values="log_loss")
        print(kind, (1000 * wide.sub(wide["none"], axis=0)).round(1), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
