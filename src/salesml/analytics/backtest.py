"""A revenue backtest in tables: which model would have been chosen when, and what sums of three months came to."""

from __future__ import annotations

import pandas as pd

from salesml.evaluation.backtest import ALL_STEPS, by_step

QUARTER = 3
ORDER = ("champion", "seasonal_naive", "average", "ensemble", "ensemble_and_open_deals", "prophet", "blend")


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a backtest table by level and step, the champion first, its baselines next, then the other candidates."""
    place = table["model"].map({name: number for number, name in enumerate(ORDER)}).fillna(len(ORDER))
    return table.assign(place=place).sort_values(["level", "step", "place"], ignore_index=True).drop(columns="place")


def quarter_sums(totals: pd.DataFrame) -> pd.DataFrame:
    """Revenue of the three months that follow each origin. Grain: one row per model, series and origin.

    totals: judged running totals (`models.revenue`). Columns: level, unique_id, window, origin (first month), step (3), model,
    chosen, y, yhat, lo80, hi80, lo95, hi95 (currency).
    """
    return totals[totals["step"] == QUARTER].reset_index(drop=True) if len(totals) else totals


def quarters(totals: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """What `by_step` says of `quarter_sums`, without MASE. Grain: one row per model and level; empty where no sum is known."""
    sums = quarter_sums(totals)
    if sums.empty:
        return pd.DataFrame()
    found = by_step(sums, baseline)
    return in_order(found[found["step"] != ALL_STEPS].drop(columns="mase"))


def winners(judged: pd.DataFrame, level: str, baseline: str) -> pd.DataFrame:
    """The model chosen at each origin beside the one that turned out best. Grain: one row per origin.

    judged: as `models.revenue` gives it, of more than one model. Columns: origin (first month forecast), chosen (by errors known
    then), wape (Σ|y-ŷ| ÷ Σ|y| of the level over the known months after the origin), BASELINE_wape, best, best_wape (afterwards).
    """
    rows = judged[judged["level"] == level]
    sums = rows.assign(miss=(rows["y"] - rows["yhat"]).abs(), size=rows["y"].abs()).groupby(["origin", "model"])[["miss", "size"]].sum()
    wape = (sums["miss"] / sums["size"].where(sums["size"] > 0)).unstack("model")
    chosen = rows[rows["model"] == "champion"].groupby("origin")["chosen"].first()
    made = wape.drop(columns="champion")
    best = made.fillna(float("inf")).idxmin(axis=1)
    return pd.DataFrame(
        {"chosen": chosen, "wape": wape["champion"], f"{baseline}_wape": wape[baseline], "best": best, "best_wape": made.min(axis=1)}
    ).reset_index()
