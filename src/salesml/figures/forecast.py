"""Charts of revenue forecasts: the fan of what may come, and how forecasts of the past fared."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from salesml.errors import UnknownName

BLUE, ORANGE, GREY = "#3b82c4", "#d5762b", "#7d8590"  # told apart by the colour-blind, legible on light and dark
SHADES = (BLUE, "#5a9c6e", ORANGE, "#8a6fb0", "#b58900")
UNTESTED = "The history is too short to test a forecast."
BANDS = {95: "rgba(59,130,196,0.18)", 80: "rgba(59,130,196,0.32)"}


def fan(history: pd.DataFrame, forecast: pd.DataFrame, unit: str, title: str = "Forecast") -> go.Figure:
    """History and forecast with its 80 and 95 % intervals, one row a period, amounts in `unit`.

    history: month, amount (rows of one month are added up); forecast: period_start, amount, lo80, hi80, lo95, hi95.
    """
    amounts = dict.fromkeys(("amount", "lo80", "hi80", "lo95", "hi95"), "float64")
    forecast = forecast.sort_values("period_start").astype(amounts)
    past = history.astype({"amount": "float64"}).groupby("month")["amount"].sum()
    figure = go.Figure()
    for level, colour in BANDS.items():
        edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": str(level)}
        figure.add_scatter(x=forecast.period_start, y=forecast[f"hi{level}"], showlegend=False, **edge)
        band = {"fill": "tonexty", "fillcolor": colour, "name": f"{level} % interval"}
        figure.add_scatter(x=forecast.period_start, y=forecast[f"lo{level}"], **band, **edge)
    figure.add_scatter(x=past.index, y=past, name="actual", mode="lines", line={"color": GREY})
    line = {"mode": "lines+markers", "line": {"color": BLUE, "dash": "dot"}, "name": "forecast"}
    figure.add_scatter(x=forecast.period_start, y=forecast.amount, **line)
    first, last = forecast.iloc[0], forecast.iloc[-1]
    alt = (
        f"From {first.amount:,.0f} {unit} in {_month(first.period_start)} to {last.amount:,.0f} {unit} in "
        f"{_month(last.period_start)}; 80 % interval of the last: {last.lo80:,.0f} to {last.hi80:,.0f} {unit}."
    )
    return finished(figure, title, alt).update_layout(hovermode="x unified").update_yaxes(title=unit)


def made_of_figure(parts: pd.DataFrame, unit: str, title: str = "What the months are made of") -> go.Figure:
    """What each forecast month comes of, stacked, in `unit`; `workflows.forecast.made_of` of one node gives the frame."""
    figure = go.Figure()
    if parts.empty:
        return finished(figure, title, "Nothing is known of what these months are made of.")
    wide = parts.astype({"amount": "float64"}).pivot(index="period_start", columns="factor", values="amount").fillna(0.0)
    rest = str(parts["factor"].iloc[-1])
    order = [*sorted(set(map(str, wide)) - {rest}), rest]  # the rest comes last, on top
    for factor, colour in zip(order, (*SHADES, *[GREY] * len(order)), strict=False):
        figure.add_bar(x=wide.index, y=wide[factor], name=factor, marker_color=GREY if factor == rest else colour)
    first = wide.iloc[0]
    told = "; ".join(f"{factor} {first[factor]:,.0f}" for factor in order if first[factor])
    return finished(figure, title, f"{_month(wide.index[0])}, {unit}: {told}.").update_layout(barmode="relative").update_yaxes(title=unit)


def errors(scores: pd.DataFrame, baseline: str, title: str = "Error of past forecasts") -> go.Figure:
    """WAPE of each model in the backtest with its interval, and a line at the baseline's.

    scores: model, wape, wape_lo, wape_hi (shares of what was booked; bounds may be missing), one row a model; without a
    row the chart says that nothing could be tested. Raises UnknownName for a baseline that is not among the models.
    """
    if scores.empty:
        return finished(go.Figure(), title, UNTESTED)
    if baseline not in set(scores.model):
        raise UnknownName("model", baseline, scores.model)
    scores = scores.sort_values("wape", ascending=False)
    spread = {"array": scores.wape_hi - scores.wape, "arrayminus": scores.wape - scores.wape_lo, "type": "data"}
    points = {"mode": "markers", "marker": {"color": BLUE, "size": 9}, "name": "WAPE and 95 % interval"}
    figure = go.Figure(go.Scatter(x=scores.wape, y=scores.model, error_x=spread, **points))
    base, best = float(scores.loc[scores.model == baseline, "wape"].iloc[0]), scores.iloc[-1]
    figure.add_vline(x=base, line={"color": GREY, "dash": "dash"})
    alt = f"{best.model} erred least, by {best.wape:.1%} of what was booked; the baseline {baseline} by {base:.1%}."
    return finished(figure, title, alt).update_xaxes(tickformat=".0%", title="error, share of what was booked")


def coverage(scores: pd.DataFrame, title: str = "How often the intervals held") -> go.Figure:
    """Share of outcomes inside each model's 80 and 95 % intervals in the backtest, lines where they should lie.

    scores: model, n (outcomes), cover80, cover95 (shares), one row a model; none where nothing could be tested.
    """
    figure = go.Figure()
    if scores.empty:
        return finished(figure, title, UNTESTED)
    for level, colour in ((80, BLUE), (95, ORANGE)):
        points = {"mode": "markers", "marker": {"color": colour, "size": 10}, "name": f"{level} % interval"}
        figure.add_scatter(x=scores[f"cover{level}"], y=scores.model, **points)
        figure.add_vline(x=level / 100, line={"color": colour, "dash": "dash"})
    told = (f"{row.model} {row.cover80:.0%} and {row.cover95:.0%} of {row.n} outcomes" for row in scores.itertuples())
    alt = f"Inside the 80 and 95 % intervals lay: {'; '.join(told)}."
    axis = {"tickformat": ".0%", "title": "share of outcomes inside", "range": [0, 1.02]}
    return finished(figure, title, alt).update_xaxes(**axis)


def finished(figure: go.Figure, title: str, alt: str) -> go.Figure:
    """The figure with its title, its text alternative (`layout.meta["alt"]`) and the house's layout; one without data is low and bare."""
    if not figure.data:
        figure.update_layout(xaxis_visible=False, yaxis_visible=False)
    legend, margin = {"orientation": "h", "y": -0.2}, {"l": 60, "r": 20, "t": 40, "b": 40}
    return figure.update_layout(
        title=title, meta={"alt": alt}, template="plotly_white", height=400 if figure.data else 60, legend=legend, margin=margin
    )


def _month(day: Any) -> str:
    return pd.Timestamp(day).strftime("%B %Y")
