"""Companies to draw handfuls from: one snapshot per deal, in a week of its life drawn by lot, beside its true chance.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_small_data/worlds.py FOLDER tuning_worlds [judged_worlds …]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from salesml.features.deals import DEALS
from salesml.features.spines import deal_lives, weekly_spine
from salesml.lake import visible
from salesml.trial.case import opened
from salesml.world import company, preset

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())


def snapshots(signal: float, seed: int) -> pd.DataFrame:
    """One row per deal: features, p_win (true), won and closed_at as recorded (null while open), as_of, seed, signal."""
    world = company(**{**preset("tiny"), "deals": PARAMS["deals"], "signal": signal, "seed": seed})
    with opened(world) as case:
        view = visible(case.tables, case.end)
        lives = view.frame(deal_lives(view)).set_index("opportunity_id")
        first = lives["first_known_at"].min().to_pydatetime()
        weeks = weekly_spine(view, case.workspace, first, case.end).to_pandas()
        truth = case.truth("deal_week")[["opportunity_id", "as_of", "p_win"]]
        weeks["as_of"] = weeks["as_of"].astype("datetime64[s, UTC]")
        weeks = weeks.merge(truth.assign(as_of=truth["as_of"].astype("datetime64[s, UTC]")), on=["opportunity_id", "as_of"])
        weeks = weeks.sort_values(["opportunity_id", "as_of"]).sample(frac=1, random_state=seed)
        weeks = weeks.drop_duplicates("opportunity_id").sort_values(["as_of", "opportunity_id"], ignore_index=True)
        spine = pa.Table.from_pandas(weeks[["opportunity_id", "as_of"]], preserve_index=False)
        spine = spine.set_column(1, "as_of", spine["as_of"].cast(pa.timestamp("us", tz="UTC")))
        rows = DEALS.frame(visible(case.tables, spine)).query("status == 'open'")
    rows = rows.assign(as_of=rows["as_of"].astype("datetime64[s, UTC]")).merge(weeks, on=["opportunity_id", "as_of"])
    ends = lives.reindex(rows["opportunity_id"])
    return rows.assign(
        won=np.where(ends["closed_at"].notna(), (ends["status"] == "won").astype(float), np.nan),
        closed_at=ends["closed_at"].to_numpy(), signal=signal, seed=seed,
    ).sort_values("as_of", ignore_index=True)  # fmt: skip


def main(folder: Path, kinds: list[str]) -> None:
    """Write one Parquet file a company that is not there yet."""
    for plan in [plan for kind in kinds for plan in PARAMS[kind]]:
        for seed in range(plan["first_seed"], plan["first_seed"] + plan["worlds"]):
            path = folder / f"{plan['signal']}_{seed}.parquet"
            if not path.exists():
                snapshots(plan["signal"], seed).to_parquet(path)
                print(path.name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
