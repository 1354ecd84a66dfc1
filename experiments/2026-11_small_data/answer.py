"""The figures of the decision rule, and by signal, from what draws.py kept.

    .venv/bin/python experiments/2026-11_small_data/answer.py OUT.parquet [OUT.parquet …]
"""

from __future__ import annotations

import sys

import pandas as pd


def answers(found: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """A row per model and signal; and the three figures of the rule, on deals as they come and with won and lost reweighted."""
    found = found.assign(worse=found["excess"] > 1e-9, worse_balanced=found["balanced"] > 1e-9)
    table = found.groupby(["model", "signal"]).agg(
        draws=("draw", "size"), oracle_auc=("oracle_auc", "mean"), auc=("auc", "mean"), abstains=("abstains", "mean"),
        worse=("worse", "mean"), mean=("excess", "mean"), worst=("excess", "max"), worse_balanced=("worse_balanced", "mean"),
        worst_balanced=("balanced", "max"), needed=("needed", "median"),
    )  # fmt: skip
    own = found[found["model"] == "handful"]
    clear = own[own["oracle_auc"] >= 0.8]
    rule = {
        "draws": len(own),
        "beats or abstains": 1 - own["worse"].mean(),
        "beats or abstains, balanced": 1 - own["worse_balanced"].mean(),
        "abstains where oracle AUC >= 0.8": clear["abstains"].mean(),
        "draws there": len(clear),
        "companies there": clear["seed"].nunique(),
        "worst": own["excess"].max(),
        "more than 2 % worse": (own["excess"] > 0.02).mean(),
        "worst, balanced": own["balanced"].max(),
    }
    return table, rule


if __name__ == "__main__":
    table, rule = answers(pd.concat([pd.read_parquet(path) for path in sys.argv[1:]], ignore_index=True))
    print(table.round(3).to_string())
    for name, value in rule.items():
        print(f"{name}: {value:.4g}")
