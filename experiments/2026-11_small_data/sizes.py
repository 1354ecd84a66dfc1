"""From how many closed deals on are trees better than the scorer for few outcomes? On the tuning companies, deals as they come.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_small_data/sizes.py FOLDER OUT.parquet
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from draws import PARAMS, features, loss, split

from salesml.models.handful import DEAL_EXPECTATIONS, Handful
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.rates import BaseRate

TREES = Settings(depth=4, learning_rate=0.04, l2=50.0)


def main(folder: Path, out: Path) -> None:
    """One row per company, number of closed deals and model: expected log loss over the base rate's, minus 1."""
    found = []
    for plan in PARAMS["tuning_worlds"]:
        if plan["signal"] < 1:
            continue
        for seed in range(plan["first_seed"], plan["first_seed"] + plan["worlds"]):
            rows = pd.read_parquet(folder / f"{plan['signal']}_{seed}.parquet")
            closed, later = split(rows)
            columns, categorical = features(rows)
            p = later["p_win"].clip(1e-4, 1 - 1e-4).to_numpy()
            for size in [*PARAMS["sizes"], len(closed)]:
                some = closed.sample(size, random_state=seed).sort_values("as_of")
                X, y = some[columns], some["won"].to_numpy(dtype="float64")
                early = int(0.7 * size)
                known = {"calibration": (X[early:], y[early:]), "categorical": categorical}
                base = loss(p, BaseRate.fit(X, y).predict(later))
                handful = Handful.fit(X, y, categorical=categorical, expected=DEAL_EXPECTATIONS)
                trees = OutcomeModel.fit(X[:early], y[:early], candidates=[TREES], members=0, threads=1, **known)
                for name, model in (("handful", handful), ("CatBoost", trees)):
                    excess = loss(p, model.predict(later)) / base - 1
                    found.append({"signal": plan["signal"], "seed": seed, "deals": size, "model": name, "excess": excess})
            pd.DataFrame(found).to_parquet(out)
            print(plan["signal"], seed, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
