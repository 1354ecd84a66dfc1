"""Charts of the accuracy ledger: error by months ahead and over time, coverage, and what people added."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished

NOTHING = "No published forecast has come due yet."
COLOURS = {"company": BLUE, "region": ORANGE, "team": "#5a9c6e", "rep": "#8a6fb0"}


def horizon_figure(table: pd.DataFrame, title: str = "Error by months ahead") -> go.Figure:
    """WAPE by months ahead of each level (line) and of seasonal naive (dashed); `analytics.ledger.by_horizon` gives the table."""
    figure, told = go.Figure(), []
    for level, rows in table[table["horizon"] > 0].groupby("level"):
        colour = COLOURS.get(str(level), GREY)
        lines = {"mode": "lines+markers", "legendgroup": level, "x": rows["horizon"]}
        figure.add_scatter(y=rows["wape"], line={"color": colour}, name=str(level), **lines)
        figure.add_scatter(y=rows["naive_wape"], line={"color": colour, "dash": "dot"}, name=f"{level}, seasonal naive", **lines)
        told.append(f"{level} {rows['wape'].iloc[0]:.1%} at {rows['horizon'].iloc[0]} months ahead, {rows['wape'].iloc[-1]:.1%} at "
                    f"{rows['horizon'].iloc[-1]}")  # fmt: skip
    figure = finished(figure, title, f"Error (WAPE): {'; '.join(told)}." if told else NOTHING)
    axis = {"title": "months ahead (1: the month of the forecast)", "dtick": 1}
    return figure.update_xaxes(**axis).update_yaxes(title="error, share of what was booked", tickformat=".0%", rangemode="tozero")


def trend_figure(trend: pd.DataFrame, level: str = "company", title: str = "Error over time") -> go.Figure:
    """WAPE of a level by the month that was forecast, beside seasonal naive; `analytics.ledger.by_month` gives the trend."""
    rows = trend[trend["level"] == level]
    if rows.empty:
        return finished(go.Figure(), title, NOTHING)
    figure = go.Figure()
    figure.add_scatter(x=rows["month"], y=rows["wape"], mode="lines+markers", line={"color": BLUE}, name=f"forecasts of {level}")
    figure.add_scatter(x=rows["month"], y=rows["naive_wape"], mode="lines", line={"color": GREY, "dash": "dot"}, name="seasonal naive")
    worst = rows.sort_values("wape", na_position="first").iloc[-1]
    alt = f"The greatest error of {level}, {worst['wape']:.1%}, was in {worst['month']:%B %Y}; the newest is {rows['wape'].iloc[-1]:.1%}."
    return finished(figure, title, alt).update_yaxes(title="error, share of what was booked", tickformat=".0%", rangemode="tozero")


def coverage_figure(table: pd.DataFrame, title: str = "How often the intervals held") -> go.Figure:
    """Share of outcomes inside the published 80 and 95 % intervals by level; lines where they should lie; `by_horizon`'s table."""
    rows = table[table["horizon"] == 0]
    if rows.empty:
        return finished(go.Figure(), title, NOTHING)
    figure = go.Figure()
    for wanted, colour in ((80, BLUE), (95, ORANGE)):
        marker = {"color": colour, "size": 11}
        figure.add_scatter(x=rows[f"cover{wanted}"], y=rows["level"], mode="markers", marker=marker, name=f"{wanted} % interval")
        figure.add_vline(x=wanted / 100, line={"color": colour, "dash": "dash"})
    told = "; ".join(f"{row.level} {row.cover80:.0%} and {row.cover95:.0%} of {row.n}" for row in rows.itertuples())
    figure = finished(figure, title, f"Inside the 80 and 95 % intervals lay: {told} outcomes.")
    return figure.update_xaxes(title="share of outcomes inside", tickformat=".0%", range=[0, 1.02])
