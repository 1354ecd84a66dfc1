"""Charts of leads' grades: how often each grade converted, and week by week."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished

COLOURS = {"hot": ORANGE, "warm": BLUE, "cold": GREY}
DASHES = {"hot": "solid", "warm": "dash", "cold": "dot"}


def rates_figure(grades: pd.DataFrame, title: str = "Leads that converted, by grade") -> go.Figure:
    """Rate of each grade with its 90 % interval. grades: grade, rate, lo, hi (shares), as `workflows.grade_backtest` gives."""
    known = grades[grades["rate"].notna()]
    spread = {"type": "data", "array": known["hi"] - known["rate"], "arrayminus": known["rate"] - known["lo"], "color": GREY}
    bars = go.Bar(x=known["grade"], y=known["rate"], error_y=spread, marker_color=[COLOURS[name] for name in known["grade"]])
    alt = ", ".join(f"{row.grade} {row.rate:.1%} ({row.lo:.1%} to {row.hi:.1%})" for row in known.itertuples())
    figure = finished(go.Figure(bars), title, f"Share that converted: {alt}; 90 % intervals.")
    return figure.update_yaxes(title="share converted", tickformat=".0%", rangemode="tozero").update_xaxes(title="grade given before")


def weeks_figure(weeks: pd.DataFrame, title: str = "Week by week: share of each grade that converted") -> go.Figure:
    """Rate of each grade over the weeks. weeks: as_of, grade, rate (share), one row per week and grade."""
    figure = go.Figure()
    for name, colour in COLOURS.items():
        part = weeks[weeks["grade"] == name].sort_values("as_of")
        figure.add_scatter(x=part["as_of"], y=part["rate"], mode="lines", name=name, line={"color": colour, "dash": DASHES[name]})
    wide = weeks.pivot(index="as_of", columns="grade", values="rate")
    above = (wide["hot"] > wide.drop(columns="hot").max(axis=1)).mean() if "hot" in wide else 0.0
    alt = f"{wide.shape[0]} weeks; the hot leads converted more often than all others in {above:.0%} of them."
    figure = finished(figure, title, alt).update_yaxes(title="share converted", tickformat=".0%", rangemode="tozero")
    return figure.update_xaxes(title="week")
