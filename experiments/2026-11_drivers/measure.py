"""Do the drivers that the deal model tells agree with those of simulated companies? `python measure.py OUT.csv SEED ...`."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from salesml import world
from salesml.features.deals import DEALS
from salesml.models.competing_risks import HEADS, CompetingRisks
from salesml.models.hazard_trees import Growth
from salesml.trial.case import Case, opened
from salesml.trial.deals import open_deals
from salesml.workflows.fit_deals import spells

CAUSES = {
    "source": ("source",), "type": ("type",), "competitor": ("competitor_id",), "size": ("segment", "employees", "amount"),
    "rep_skill": ("owner_win_rate",), "product_fit": ("product_id", "product_win_rate", "industry"), "discount": ("discount",),
}  # fmt: skip
"""Each recorded cause of the law and the features that hold it; segment and amount are one, size: records do not say which of the two
tells how big a customer is."""
BY = {"rep_skill": ["owner_id"], "product_fit": ["product_id", "industry"], "size": ["segment", "amount_decile"]}
TOP = 3
TOLD = 0.1
"""Log-odds (about two points of P) from which an effect counts as told."""


def measure(case: Case) -> tuple[list[dict[str, object]], dict[str, float]]:
    """One row per cause: true and told spread (mean absolute, log-odds), share of deals with the same sign; and `told_right`."""
    table = case.table
    ends = spells(table, table.snapshots, pd.Timestamp(table.cutoff))
    model = CompetingRisks.fit(
        table.snapshots[DEALS.names], ends, pd.Timestamp(table.cutoff), categorical=DEALS.categorical,
        growths=dict.fromkeys(HEADS, Growth()), members=0, threads=1,
    )  # fmt: skip
    rows = open_deals(case).drop_duplicates("opportunity_id").reset_index(drop=True)
    effects = model.explain(rows[DEALS.names])[1]
    truth = case.truth("deal").set_index("opportunity_id").loc[rows["opportunity_id"]].reset_index()
    truth["discount_effect"] = truth["log_odds_per_discount_point"] * 100 * truth["discount"]
    rows["amount_decile"] = pd.qcut(rows["amount"], 10, labels=False, duplicates="drop")
    found = []
    truth["size_effect"] = truth["segment_effect"] + truth["amount_effect"]
    for cause, features in CAUSES.items():
        keys = [rows[name].astype("string").fillna("none") for name in BY.get(cause, list(features[:1]))]
        told = effects[[name for name in features if name in effects]].sum(axis=1).groupby(keys).transform("mean")
        true = truth[f"{cause}_effect"].groupby(keys).transform("mean")
        told, true = told - told.mean(), true - true.mean()
        found.append(
            {"cause": cause, "true": true.abs().mean(), "told": told.abs().mean(), "deals": len(rows),
             "same_sign": float(np.average(np.sign(told) == np.sign(true), weights=true.abs() > 0.05)) if (true.abs() > 0.05).any()
             else np.nan, "correlation": float(np.corrcoef(told, true)[0, 1]) if told.std() and true.std() else np.nan}
        )  # fmt: skip
    return found, told_right(effects, truth)


def told_right(effects: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """Of each deal's three strongest causes as the model tells them, those of TOLD or more: the share that point the true way.

    `told_share`: share of the three that are of TOLD or more.
    """
    told = pd.DataFrame({name: effects[[f for f in features if f in effects]].sum(axis=1) for name, features in CAUSES.items()})
    true = pd.DataFrame({name: truth[f"{name}_effect"] for name in CAUSES})
    told, true = (told - told.mean()).to_numpy(), (true - true.mean()).to_numpy()
    strongest = np.argsort(-np.abs(told), axis=1)[:, :TOP]
    rows = np.arange(len(told))[:, None]
    right, said = np.sign(told) == np.sign(true), np.abs(told)[rows, strongest] >= TOLD
    return {"told_right": float(right[rows, strongest][said].mean()), "told_share": float(said.mean()),
            "all_right": float(right[rows, strongest].mean())}  # fmt: skip


def main() -> None:
    """Measure each seed of the demo company and append to the file."""
    out, seeds = sys.argv[1], [int(seed) for seed in sys.argv[2:]]
    parts, rights = [], []
    for seed in seeds:
        with opened(world.company(**world.preset("demo"), seed=seed)) as case:
            found, right = measure(case)
        parts.append(pd.DataFrame(found).assign(seed=seed, **right))
        rights.append(right)
        frame = pd.concat(parts, ignore_index=True)
        ranks = frame.groupby("seed")[["true", "told"]].rank(ascending=False)
        frame = frame.assign(true_rank=ranks["true"], told_rank=ranks["told"])
        frame.to_csv(out, index=False)
        top = frame[frame["true_rank"] <= TOP]
        print(f"{len(parts)} companies: of the true top {TOP} among the model's {TOP} {top['told_rank'].le(TOP).mean():.2f}; "
              f"same sign {top['same_sign'].mean():.2f}; correlation {top['correlation'].mean():.2f}; "
              + "; ".join(f"{name} {value:.3f}" for name, value in pd.DataFrame(rights).mean().items()), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
