"""Charts and tables of the pipeline's health: where the quarter lands, the chance of each quota, ageing, alerts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table

BARS = 40
MOST_QUOTAS = 25


def landing_figure(
    landing: np.ndarray, quota: float, unit: str, title: str = "Where the quarter may land"
) -> go.Figure:
    """Simulated landings (in `unit`) as a histogram, those that reach the quota in another colour; a missing quota is left out."""
    share, edges = np.histogram(landing, bins=BARS)
    middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    reached = middle >= (np.inf if np.isnan(quota) else quota)
    figure = go.Figure()
    for which, colour, name in (
        (~reached, GREY if reached.any() else BLUE, "below the quota"),
        (reached, BLUE, "at the quota or above"),
    ):
        if which.any():
            named = name if not np.isnan(quota) else "simulated landings"
            figure.add_bar(
                x=middle[which], y=share[which] / len(landing), width=width[which], marker_color=colour, name=named
            )
    lo, median, hi = np.quantile(landing, [0.1, 0.5, 0.9])
    alt = f"Half of the simulated landings lie above {median:,.0f} {unit}, 80 % between {lo:,.0f} and {hi:,.0f}."
    if not np.isnan(quota):
        figure.add_vline(x=quota, line={"color": ORANGE, "dash": "dash"}, annotation_text="quota")
        alt += f" {np.mean(landing >= quota):.0%} reach the quota of {quota:,.0f}."
    figure = finished(figure, title, alt).update_layout(bargap=0)
    return figure.update_xaxes(title=unit).update_yaxes(title="share of simulations", tickformat=".0%")


def quotas_figure(quotas: pd.DataFrame, title: str = "Chance of reaching the quota") -> go.Figure:
    """Chance of the company, regions and teams, the most doubtful at the bottom of each; `workflows.quarter` gives the frame."""
    known = quotas[(quotas["level"] != "rep") & quotas["probability"].notna()].head(MOST_QUOTAS)
    if known.empty:
        return finished(go.Figure(), title, "No revenue quota is set for this quarter.")
    known = known.iloc[::-1]
    colours = [ORANGE if chance < 0.5 else BLUE for chance in known["probability"]]
    names = known["label"].where(known["level"] == "company", known["level"] + " " + known["label"])
    figure = go.Figure(go.Bar(x=known["probability"], y=names, orientation="h", marker_color=colours))
    figure.add_vline(x=0.8, line={"color": GREY, "dash": "dash"})
    ordered = known.sort_values("probability")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    alt = f"From {low['probability']:.0%} ({low['label']}) to {high['probability']:.0%} ({high['label']}); the line marks 80 %."
    figure = finished(figure, title, alt).update_layout(height=max(160 + 24 * len(known), 260))
    return figure.update_xaxes(range=[0, 1], tickformat=".0%", title="chance").update_yaxes(automargin=True)


def quotas_table(quotas: pd.DataFrame, currency: str, rows: int = 30) -> HtmlTable:
    """Quotas, their chance, what is booked, where they land, coverage and what an 80 % chance takes; `workflows.quarter`'s frame."""
    shown = pd.DataFrame(
        {
            "who": quotas["label"].where(quotas["level"] == "company", quotas["level"] + " " + quotas["label"]),
            "chance": quotas["probability"], "quota": quotas["quota"], "booked": quotas["booked"],
            "lands, 80 % interval": [f"{lo:,.0f} to {hi:,.0f}" for lo, hi in zip(quotas["lo80"], quotas["hi80"], strict=True)],
            "coverage": quotas["coverage"], "for 80 %": quotas["coverage_needed"],
        }
    )  # fmt: skip
    money, ratios = dict.fromkeys(("quota", "booked"), ",.0f"), dict.fromkeys(("coverage", "for 80 %"), ".1f")
    units = {**dict.fromkeys((*money, "lands, 80 % interval"), currency), **dict.fromkeys(ratios, "× gap")}
    return table(shown, "Quotas of the quarter", units=units, formats={**money, **ratios, "chance": ".0%"}, rows=rows)


def alerts_table(alerts: pd.DataFrame) -> HtmlTable:
    """Alerts with number, threshold and step; shares as percentages."""
    days = alerts["unit"].str.startswith("days")
    shown = alerts.assign(
        **{
            name: [
                f"{value:,.0f}" if whole else f"{value:.0%}" for value, whole in zip(alerts[name], days, strict=True)
            ]
            for name in ("number", "threshold")
        }
    )
    columns = ["where", "alert", "number", "threshold", "unit", "step"]
    return table(shown[columns], "Alerts" if len(shown) else "Alerts: none", rows=60)


def ageing_table(ageing: pd.DataFrame, currency: str) -> HtmlTable:
    """Open deals by stage beside the stays that moved on; the frame is `workflows.health.PipelineHealth.ageing`."""
    names = {
        "open_deals": "open deals", "median_days": "median there", "usual_days": "usual", "long_days": "9 in 10 under",
        "longer": "longer than that", "amount_longer": "their amount",
    }  # fmt: skip
    units = {"median there": "days", "usual": "days", "9 in 10 under": "days", "their amount": currency}
    formats = {**dict.fromkeys(("median there", "usual", "9 in 10 under"), ".0f"), "their amount": ",.0f"}
    return table(ageing.rename(columns=names), "Age of open deals by stage", units=units, formats=formats)
