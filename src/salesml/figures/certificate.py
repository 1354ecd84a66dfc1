"""Charts and tables of a certificate. A frame without rows gives a chart or table that says so."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.comparison import calibration_figure, comparison_table
from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table

NOTHING = "Nothing is measured: no certificate, or too few deals."


def reliability_figure(reliability: pd.DataFrame, title: str = "On the line, scores mean what they say") -> go.Figure:
    """Share won against mean P(win), by tenth of the scores, with 90 % intervals; `Certificate.reliability`."""
    return finished(go.Figure(), title, NOTHING) if reliability.empty else calibration_figure(reliability, title)


def peers_table(figures: pd.DataFrame, caption: str = "On later deals, 90 % intervals") -> HtmlTable:
    """The model's figures beside its peers', `Certificate.figures`."""
    return table(figures, f"{caption}: nothing is measured") if figures.empty else comparison_table(figures, caption)


def before_close_figure(
    before: pd.DataFrame, title: str = "How well winners are told apart, by weeks before the close"
) -> go.Figure:
    """AUC with its 90 % interval from long before the close to the last week; `Certificate.before_close`."""
    if before.empty:
        return finished(go.Figure(), title, NOTHING)
    rows = before.iloc[::-1]
    spread = {
        "type": "data",
        "array": rows["auc_hi"] - rows["auc"],
        "arrayminus": rows["auc"] - rows["auc_lo"],
        "color": GREY,
    }
    marker = {"color": BLUE, "size": 8}
    figure = go.Figure(
        go.Scatter(x=rows["weeks"], y=rows["auc"], error_y=spread, mode="lines+markers", marker=marker, name="AUC")
    )
    figure.add_hline(y=0.5, line={"color": ORANGE, "dash": "dot"}, annotation_text="a coin")
    far, near = rows.iloc[0], rows.iloc[-1]
    alt = (
        f"AUC {far['auc']:.2f} ({far['auc_lo']:.2f} to {far['auc_hi']:.2f}) {far['weeks']} weeks before the close, "
        f"{near['auc']:.2f} ({near['auc_lo']:.2f} to {near['auc_hi']:.2f}) {near['weeks']} weeks before."
    )
    figure = finished(figure, title, alt).update_xaxes(title="weeks before the close", type="category")
    return figure.update_yaxes(title="AUC, 90 % interval")


def segments_table(segments: pd.DataFrame, caption: str = "By segment, the most off first") -> HtmlTable:
    """Mean P(win) beside the share won in each segment, and whether they surely differ; `Certificate.segments`."""
    if segments.empty:
        return table(segments, f"{caption}: none is large enough")
    gap = segments["observed"] - segments["predicted"]
    worst = (gap.abs() / (segments["hi"] - segments["lo"])).sort_values(ascending=False).index
    shown = pd.DataFrame(
        {
            "segment": segments["by"].str.replace("_", " ") + ": " + segments["value"], "deals": segments["entities"],
            "predicted": segments["predicted"], "observed": segments["observed"], "difference": 100 * gap,
            "from": 100 * segments["lo"], "to": 100 * segments["hi"], "off": segments["off"],
        }
    )  # fmt: skip
    units = dict.fromkeys(("difference", "from", "to"), "points")
    formats = {"predicted": ".1%", "observed": ".1%", **dict.fromkeys(units, "+.1f")}
    return table(shown.loc[worst], caption, units=units, formats=formats)


def dated_figure(dated: pd.DataFrame, title: str = "Chances by the end of the quarter") -> go.Figure:
    """Share that happened against the mean chance, by tenth of the chances, with 90 % intervals; `Certificate.dated`."""
    if dated.empty:
        return finished(go.Figure(), title, NOTHING)
    limit = float(max(dated["hi"].max(), dated["predicted"].max()) * 1.05)
    figure = go.Figure(
        go.Scatter(x=[0, limit], y=[0, limit], mode="lines", line={"color": GREY, "dash": "dot"}, name="perfect")
    )
    told = []
    for (name, rows), colour, symbol in zip(
        dated.groupby("figure", sort=False), (BLUE, ORANGE), ("circle", "diamond"), strict=False
    ):
        spread = {"array": rows["hi"] - rows["observed"], "arrayminus": rows["observed"] - rows["lo"], "color": colour}
        figure.add_scatter(
            x=rows["predicted"], y=rows["observed"], error_y={"type": "data", **spread}, mode="markers", name=str(name),
            marker={"color": colour, "size": 8, "symbol": symbol},
        )  # fmt: skip
        within = (rows["lo"] <= rows["predicted"]) & (rows["predicted"] <= rows["hi"])
        told.append(
            f"{name}: in {int(within.sum())} of {len(rows)} bins the chance lies within the interval of what happened"
        )
    figure = finished(figure, title, "; ".join(told) + ".")
    figure.update_xaxes(title="chance shown", tickformat=".0%", range=[0, limit])
    return figure.update_yaxes(title="share that happened", tickformat=".0%", range=[0, limit])
