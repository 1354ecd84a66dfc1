"""Models side by side on unseen rows, and what a model goes by."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, finished
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


def importance_chart(importance: pd.DataFrame, most: int = 12, title: str = "What the model goes by") -> go.Figure:
    """The features with the greatest mean absolute effect on the score, in log-odds, the greatest on top.

    importance: feature, mean_effect; one row per feature.
    """
    top = importance.nlargest(most, "mean_effect").iloc[::-1]
    figure = go.Figure(go.Bar(x=top.mean_effect, y=top.feature, orientation="h", marker={"color": BLUE}))
    told = ", ".join(f"{row.feature} {row.mean_effect:.2f}" for row in top.iloc[::-1].head(3).itertuples())
    alt = f"Mean absolute effects on the score in log-odds; the greatest: {told}."
    return finished(figure, title, alt).update_xaxes(title="mean absolute effect, log-odds")


def _figure(value: float, lo: float, hi: float) -> str:
    if pd.isna(value):
        return MISSING
    return f"{value:.3f}" if pd.isna(lo) or lo == hi else f"{value:.3f} ({lo:.3f} to {hi:.3f})"
