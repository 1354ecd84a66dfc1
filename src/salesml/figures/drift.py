"""Charts of the watch over a model: scores beside outcomes by when they were made, and the evidence against them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished


def cohorts_figure(cohorts: pd.DataFrame, title: str = "Mean score and share won") -> go.Figure:
    """Mean probability (line) and share won with its interval, by the time the scores were made.

    cohorts: first (instant), predicted, observed, lo, hi (shares), one row per cohort in the order of time; may be empty.
    """
    if cohorts.empty:
        return finished(go.Figure(), title, "No score has settled yet.")
    spread = {"symmetric": False, "array": cohorts["hi"] - cohorts["observed"], "arrayminus": cohorts["observed"] - cohorts["lo"]}
    figure = go.Figure(
        [
            go.Scatter(x=cohorts["first"], y=cohorts["predicted"], mode="lines", line={"color": GREY}, name="mean score"),
            go.Scatter(
                x=cohorts["first"], y=cohorts["observed"], error_y={"type": "data", **spread}, mode="markers",
                marker={"color": BLUE, "size": 8}, name="share won, 90 % interval",
            ),
        ]
    )  # fmt: skip
    apart = (cohorts["predicted"] < cohorts["lo"]) | (cohorts["predicted"] > cohorts["hi"])
    alt = f"The mean score lies outside the interval of the share won in {int(apart.sum())} of {len(cohorts)} cohorts."
    return finished(figure, title, alt).update_yaxes(tickformat=".0%", title="share")


def evidence_figure(path: np.ndarray, alarm_from: float = 20.0, title: str = "Evidence against the scores") -> go.Figure:
    """The capital won by betting against the scores after each settled deal, on a logarithmic scale, and the line of alarm."""
    if not len(path):
        return finished(go.Figure(), title, "No score has settled yet.")
    figure = go.Figure(go.Scatter(x=np.arange(1, len(path) + 1), y=path, mode="lines", line={"color": BLUE}, name="evidence"))
    figure.add_hline(y=alarm_from, line={"color": ORANGE, "dash": "dot"}, annotation_text="alarm")
    alt = f"Evidence of at most {path.max():,.1f} after {len(path):,} settled deals; alarm from {alarm_from:.0f} on."
    return finished(figure, title, alt).update_yaxes(type="log", title="e-value").update_xaxes(title="settled deals")
