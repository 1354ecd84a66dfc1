"""Models side by side on unseen rows, and what a model goes by."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.calibration import factors_chart, reliability_chart
from salesml.figures.forecast import finished
from salesml.figures.tables import MISSING, HtmlTable, table


def comparison_table(comparison: pd.DataFrame, caption: str) -> HtmlTable:
    """One row per model, one column per metric, each figure with its interval.

    comparison: model, metric, value, lo, hi; one row per model and metric, in the order to be shown.
    """
    cells = comparison.assign(
        shown=[_figure(*row) for row in comparison[["value", "lo", "hi"]].itertuples(index=False, name=None)]
    )
    wide = cells.pivot(index="model", columns="metric", values="shown")
    wide = wide.loc[comparison["model"].unique(), comparison["metric"].unique()]
    return table(wide.rename_axis(columns=None).reset_index(), caption)


def calibration_figure(reliability: pd.DataFrame, title: str = "Predicted and observed") -> go.Figure:
    """The reliability chart with its reading in words; the frame is that of `evaluation.calibration.reliability`."""
    low, high = reliability.iloc[0], reliability.iloc[-1]
    alt = (
        f"Of the rows with the lowest scores {low.predicted:.0%} were predicted and {low.observed:.0%} observed, "
        f"of those with the highest {high.predicted:.0%} and {high.observed:.0%}."
    )
    return finished(reliability_chart(reliability), title, alt)


def importance_figure(importance: pd.DataFrame, title: str = "What the model goes by") -> go.Figure:
    """The strongest features, with words. importance: feature, mean_effect (log-odds), one row a feature."""
    strengths = importance.set_index("feature")["mean_effect"].sort_values(ascending=False)
    told = ", ".join(f"{name} {effect:.2f}" for name, effect in strengths.head(3).items())
    return finished(factors_chart(strengths), title, f"Mean absolute effects on the log-odds; the greatest: {told}.")


def _figure(value: float, lo: float, hi: float) -> str:
    if pd.isna(value):
        return MISSING
    low, high = f"{lo:.3f}", f"{hi:.3f}"
    return f"{value:.3f}" if pd.isna(lo) or low == high else f"{value:.3f} ({low} to {high})"
