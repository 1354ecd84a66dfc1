"""Charts of a revenue backtest: error and coverage by months ahead, the choice by origin, forecast paths over what came."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, UNTESTED, finished

LINES = {
    "champion": {"color": BLUE, "width": 3},
    "seasonal_naive": {"color": GREY, "dash": "dash"},
    "ensemble": {"color": "#5a9c6e", "dash": "dot"},
    "ensemble_and_open_deals": {"color": "#2f7d4f"},
    "prophet": {"color": ORANGE},
}
NO_SUMS = "No three months after an origin are over yet."


def steps_figure(table: pd.DataFrame, level: str = "company", title: str = "Error by months ahead") -> go.Figure:
    """WAPE by months ahead of the champion, seasonal naive, the ensemble without and with open deals, and Prophet where it took part.

    table: `workflows.backtest.BacktestRun.table` (model, level, step, wape).
    """
    rows = table[(table["level"] == level) & (table["step"] > 0)]
    figure, told = go.Figure(), []
    for model, line in LINES.items():
        one = rows[rows["model"] == model]
        if one.empty:
            continue
        figure.add_scatter(x=one["step"], y=one["wape"], mode="lines+markers", line=line, name=_words(model))
        told.append(f"{_words(model)} {one['wape'].iloc[0]:.1%} to {one['wape'].iloc[-1]:.1%}")
    alt = f"Error (WAPE) of {level} from the first to the last month ahead: {'; '.join(told)}." if told else UNTESTED
    figure = finished(figure, title, alt)
    figure.update_xaxes(title="months ahead (1: the first that is not known)", dtick=1)
    return figure.update_yaxes(title="error, share of what was booked", tickformat=".0%", rangemode="tozero")


def coverage_steps_figure(table: pd.DataFrame, level: str = "company", title: str = "How often the intervals held") -> go.Figure:
    """Share of outcomes inside the champion's 80 and 95 % intervals by months ahead, with 95 % binomial intervals.

    Lines lie where the shares should. table: as `steps_figure` takes it, with
    n, cover80, cover80_lo, cover80_hi, cover95, cover95_lo, cover95_hi (shares).
    """
    rows = table[(table["level"] == level) & (table["step"] > 0) & (table["model"] == "champion")]
    figure, told = go.Figure(), []
    for wanted, colour, aside in ((80, BLUE, -0.06), (95, ORANGE, 0.06)) if len(rows) else ():
        share, low, high = (rows[f"cover{wanted}{end}"] for end in ("", "_lo", "_hi"))
        spread = {"type": "data", "array": high - share, "arrayminus": share - low}
        points = {"mode": "markers", "marker": {"color": colour, "size": 9}, "name": f"{wanted} % interval"}
        figure.add_scatter(x=rows["step"] + aside, y=share, error_y=spread, **points)
        figure.add_hline(y=wanted / 100, line={"color": colour, "dash": "dash"})
        inside = int(((low <= wanted / 100) & (high >= wanted / 100)).sum())
        told.append(f"{wanted} % is within the binomial interval at {inside} of {len(rows)} months ahead")
    figure = finished(figure, title, f"Intervals of {level}: {'; '.join(told)}." if told else UNTESTED)
    figure.update_xaxes(title="months ahead", dtick=1)
    return figure.update_yaxes(title="share of outcomes inside", tickformat=".0%", range=[0, 1.04])


def winners_figure(winners: pd.DataFrame, title: str = "The choice at each origin") -> go.Figure:
    """The model chosen at each origin, and the one that turned out best; `analytics.backtest.winners` gives the rows."""
    if winners.empty:
        return finished(go.Figure(), title, UNTESTED)
    ring = {"symbol": "circle-open", "size": 17, "color": ORANGE, "line": {"width": 2}}
    figure = go.Figure(go.Scatter(x=winners["origin"], y=winners["best"].map(_words), mode="markers", marker=ring, name="best, afterwards"))
    dot = {"color": BLUE, "size": 10}
    figure.add_scatter(x=winners["origin"], y=winners["chosen"].map(_words), mode="markers", marker=dot, name="chosen, by what was known")
    right = int((winners["chosen"] == winners["best"]).sum())
    often = winners["chosen"].value_counts()
    alt = f"{_words(often.index[0])} was chosen most, {often.iloc[0]} of {len(winners)} times; the choice proved the best {right} times."
    return finished(figure, title, alt).update_xaxes(title="first month forecast")


def paths_figure(judged: pd.DataFrame, history: pd.DataFrame, unit: str, title: str = "Forecasts over what came") -> go.Figure:
    """The company's monthly revenue and the champion's forecast from each origin, in `unit`.

    judged: origin, step, level, model, y, yhat; history: month, amount (rows of one month are added up).
    """
    rows = judged[(judged["level"] == "company") & (judged["model"] == "champion")] if len(judged) else judged
    if rows.empty:
        return finished(go.Figure(), title, UNTESTED)
    past = history.astype({"amount": "float64"}).groupby("month")["amount"].sum()
    figure = go.Figure(go.Scatter(x=past.index, y=past, name="actual", mode="lines", line={"color": GREY, "width": 3}))
    for number, (origin, path) in enumerate(rows.groupby("origin")):
        months = [pd.Timestamp(str(origin)) + pd.DateOffset(months=int(step) - 1) for step in path["step"]]
        line = {"mode": "lines+markers", "line": {"color": BLUE, "width": 1}, "marker": {"size": 4}, "legendgroup": "forecast"}
        figure.add_scatter(x=months, y=path["yhat"], name="forecasts", showlegend=number == 0, **line)
    worst = rows.assign(miss=(rows["y"] - rows["yhat"]).abs()).sort_values("miss").iloc[-1]
    month = worst["origin"] + pd.DateOffset(months=int(worst["step"]) - 1)
    alt = (
        f"{rows['origin'].nunique()} forecasts over actual revenue; the greatest miss is {worst['miss']:,.0f} {unit}, of {month:%B %Y}, "
        f"{worst['step']} months ahead."
    )
    return finished(figure, title, alt).update_yaxes(title=unit, rangemode="tozero")


def sums_figure(sums: pd.DataFrame, unit: str, title: str = "Three months together") -> go.Figure:
    """Revenue of the three months after each origin: the champion's forecast with its 80 % interval, and what came, in `unit`.

    sums: `analytics.backtest.quarter_sums`.
    """
    rows = sums[(sums["level"] == "company") & (sums["model"] == "champion")] if len(sums) else sums
    if rows.empty:
        return finished(go.Figure(), title, NO_SUMS)
    spread = {"type": "data", "array": rows["hi80"] - rows["yhat"], "arrayminus": rows["yhat"] - rows["lo80"]}
    points = {"mode": "markers", "marker": {"color": BLUE, "size": 9}, "name": "forecast and 80 % interval"}
    figure = go.Figure(go.Scatter(x=rows["origin"], y=rows["yhat"], error_y=spread, **points))
    cross = {"symbol": "x", "color": ORANGE, "size": 9}
    figure.add_scatter(x=rows["origin"], y=rows["y"], mode="markers", marker=cross, name="what came")
    held = int(((rows["y"] >= rows["lo80"]) & (rows["y"] <= rows["hi80"])).sum())
    alt = f"Of {len(rows)} sums of three months {held} lay in the 80 % interval."
    return finished(figure, title, alt).update_xaxes(title="first of the three months").update_yaxes(title=unit, rangemode="tozero")


def _words(model: str) -> str:
    return model.replace("_", " ")
