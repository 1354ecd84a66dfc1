"""Log-odds of the deal model on the calibration and test blocks of simulated companies, beside outcomes and true chances.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_calibrators/worlds.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from salesml.features.deals import DEALS
from salesml.models.competing_risks import CompetingRisks
from salesml.models.deals import blocks
from salesml.models.hazard_trees import Growth
from salesml.trial.case import opened
from salesml.workflows.fit_deals import spells
from salesml.world import company, preset

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())


def logits(knobs: dict[str, Any]) -> pd.DataFrame:
    """One row per snapshot of the two blocks: block, opportunity_id, logit, won, p_win (true); as in `fit_deals`."""
    world = company(**{**preset("demo"), **knobs, "reps": max(6, knobs["deals"] // 150)})
    with opened(world) as case:
        table, parts = case.table, []
        split = blocks(table.labelled)
        for name, block in (("calibration", split.calibration), ("test", split.test)):
            instant = block["as_of"].min()
            rows = table.snapshots[table.snapshots["as_of"] < instant]
            known = spells(table, rows, instant)
            usual = dict.fromkeys(("closes", "won", "no_decision"), Growth())
            model = CompetingRisks.fit(
                rows[DEALS.names], known, instant, categorical=DEALS.categorical, growths=usual, members=0, threads=1
            )
            told = block[["opportunity_id", "as_of", "won"]]
            parts.append(told.assign(block=name, logit=model.logits(block[DEALS.names])))
        truth = case.truth("deal_week")[["opportunity_id", "as_of", "p_win"]]
    found = pd.concat(parts)
    truth["as_of"], found["as_of"] = truth["as_of"].astype("datetime64[s, UTC]"), found["as_of"].astype("datetime64[s, UTC]")
    return found.merge(truth, on=["opportunity_id", "as_of"])


def main(folder: Path) -> None:
    """Write one Parquet file a company that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for knobs in [*PARAMS["companies"], *PARAMS["confirming"]]:
        path = folder / f"{knobs['seed']}.parquet"
        if not path.exists():
            logits(knobs).to_parquet(path)
            print(path.name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
