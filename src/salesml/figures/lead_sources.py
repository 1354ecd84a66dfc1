"""Charts and tables of lead sources: conversion rates, what a conversion costs, what comes back, and who gets the credit."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import MISSING, HtmlTable, table

MOST = 20
BAND = "rgba(59,130,196,0.25)"


def rates_figure(rows: pd.DataFrame, total: pd.Series, title: str = "Share of leads that convert") -> go.Figure:
    """Shrunken conversion rate of the groups with most leads, with 90 % intervals, the highest on top; a line at the rate of all.

    rows, total: `analytics.lead_sources.Sources`. A diamond: the interval leaves the rate of all out.
    """
    shown = rows.dropna(subset=["rate"]).head(MOST).sort_values("rate")
    if shown.empty:
        return finished(go.Figure(), title, "No group has leads.")
    apart = (shown["lo"] > total["rate"]) | (shown["hi"] < total["rate"])
    figure = _dots(shown, "rate", "lo", "hi", apart)
    figure.add_vline(x=float(total["rate"]), line={"color": GREY, "dash": "dash"}, annotation_text="all leads")
    low, high = shown.iloc[0], shown.iloc[-1]
    alt = (
        f"From {low['rate']:.1%} ({low['label']}) to {high['rate']:.1%} ({high['label']}); all leads {total['rate']:.1%}; of {len(shown)} "
        f"shown {int(apart.sum())} lie surely above or below that (diamonds)."
    )
    figure = finished(figure, title, alt).update_layout(height=max(140 + 26 * len(shown), 260))
    return figure.update_xaxes(title="conversion rate", tickformat=".0%", rangemode="tozero").update_yaxes(automargin=True, type="category")


def costs_figure(rows: pd.DataFrame, currency: str, title: str = "What a conversion costs, and how many leads convert") -> go.Figure:
    """Cost per conversion against the conversion rate, both with 90 % intervals, one point a group; good is right and low."""
    shown = rows.dropna(subset=["conversion_cost"])
    shown = shown[shown["conversion_cost"] > 0].head(MOST)
    if shown.empty:
        return finished(go.Figure(), title, "No cost of leads is known.")
    across = _spread(shown, "rate", "lo", "hi")
    up = _spread(shown, "conversion_cost", "conversion_cost_lo", "conversion_cost_hi")
    points = {"mode": "markers+text", "text": shown["label"], "textposition": "top right", "marker": {"color": BLUE, "size": 9}}
    figure = go.Figure(go.Scatter(x=shown["rate"], y=shown["conversion_cost"], error_x=across, error_y=up, **points))
    ordered = shown.sort_values("conversion_cost")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    alt = (
        f"A conversion costs from {low['conversion_cost']:,.0f} {currency} ({low['label']}, {low['rate']:.1%} of leads convert) to "
        f"{high['conversion_cost']:,.0f} ({high['label']}, {high['rate']:.1%})."
    )
    figure = finished(figure, title, alt)
    figure.update_xaxes(title="conversion rate", tickformat=".0%", rangemode="tozero")
    return figure.update_yaxes(title=f"{currency} per conversion", type="log")


def returns_figure(rows: pd.DataFrame, basis: str, currency: str, title: str = "What comes back for each unit spent") -> go.Figure:
    """1 + ROI of the groups with most leads, with 90 % intervals, on a log scale; a line where the cost is earned back."""
    shown = rows.dropna(subset=["roi"])
    shown = shown[shown["roi_hi"] > -1].head(MOST).sort_values("roi")
    if shown.empty:
        return finished(go.Figure(), title, "No cost of leads is known, or nothing was won yet.")
    back = pd.DataFrame({"label": shown["label"], **{name: (1 + shown[f"roi{end}"]).clip(lower=0.01) for name, end in _ENDS.items()}})
    apart = (shown["roi_lo"] > 0) | (shown["roi_hi"] < 0)
    figure = _dots(back, "middle", "lo", "hi", apart)
    figure.add_vline(x=1, line={"color": GREY, "dash": "dash"})
    figure.add_annotation(x=0, y=1, yref="paper", yanchor="bottom", text="earned back", showarrow=False)  # x: the power of ten
    low, high = back.iloc[0], back.iloc[-1]
    alt = (
        f"From {low['middle']:,.1f} ({low['label']}) to {high['middle']:,.1f} {currency} of {basis} ({high['label']}) for each {currency} "
        f"spent; of {len(shown)} shown {int((shown['roi_lo'] > 0).sum())} surely earn their cost back, "
        f"{int((shown['roi_hi'] < 0).sum())} surely do not."
    )
    figure = finished(figure, title, alt).update_layout(height=max(140 + 26 * len(shown), 260))
    figure.update_xaxes(title=f"{currency} of {basis} in the end for each {currency} spent", type="log")
    return figure.update_yaxes(automargin=True, type="category")


def cohorts_figure(cohorts: pd.DataFrame, group: str = "(all)", title: str = "Conversion rate by month of arrival") -> go.Figure:
    """Shrunken rate of one group's leads by the month they arrived in, with its 90 % band; `analytics.lead_sources.Sources.cohorts`."""
    shown = cohorts[cohorts["group"] == group]
    if shown.empty:
        return finished(go.Figure(), title, "No leads.")
    figure, edge = go.Figure(), {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=shown["month"], y=shown["hi"], **edge)
    figure.add_scatter(x=shown["month"], y=shown["lo"], fill="tonexty", fillcolor=BAND, **edge)
    figure.add_scatter(x=shown["month"], y=shown["rate"], mode="lines+markers", line={"color": BLUE}, name="conversion rate")
    first, last = shown.iloc[0], shown.iloc[-1]
    alt = (
        f"From {first['rate']:.1%} of the leads of {first['month']} to {last['rate']:.1%} ({last['lo']:.1%} to {last['hi']:.1%}) of "
        f"those of {last['month']}, whose open leads count by their age."
    )
    figure = finished(figure, title, alt).update_layout(hovermode="x unified", showlegend=False)
    return figure.update_xaxes(title="month of arrival").update_yaxes(title="conversion rate", tickformat=".0%", rangemode="tozero")


def conversions_table(rows: pd.DataFrame, word: str) -> HtmlTable:
    """How many leads convert, how good they are and how long it takes, figures with 90 % intervals; `word` names what a group is."""
    shown = pd.DataFrame(
        {
            word: rows["label"], "leads": rows["leads"], "converted so far": rows["conversions"],
            "rate": _within(rows, "rate", "lo", "hi", ".1%"), "deals won": _within(rows, "won_rate", "won_lo", "won_hi", ".0%"),
            "mean score": rows["score"],
            "days to convert": _within(rows, "days_to_convert", "days_to_convert_lo", "days_to_convert_hi", ".0f"),
            "days to win": _within(rows, "days_to_win", "days_to_win_lo", "days_to_win_hi", ".0f"),
        }
    )  # fmt: skip
    units = {"deals won": "share, in the end", "mean score": "of open leads"}
    return table(shown, "Leads, 90 % intervals", units=units, formats={"mean score": ".0%"}, rows=MOST)


def money_table(rows: pd.DataFrame, word: str, basis: str, currency: str) -> HtmlTable:
    """What leads cost and bring; costs of leads whose campaign has one."""
    shown = pd.DataFrame(
        {
            word: rows["label"], "cost": rows["cost"], "per lead": rows["cost_per_lead"],
            "per conversion": _within(rows, "conversion_cost", "conversion_cost_lo", "conversion_cost_hi", ",.0f"),
            "revenue": rows["revenue"], "largest deal": rows["largest"], "to come": rows["to_come"], "ROI so far": rows["roi_so_far"],
            "ROI in the end": _within(rows, "roi", "roi_lo", "roi_hi", ",.1f"),
        }
    )  # fmt: skip
    money = dict.fromkeys(("cost", "per lead", "revenue", "to come"), ",.0f")
    units = {**dict.fromkeys((*money, "per conversion"), currency), **dict.fromkeys(("ROI so far", "ROI in the end"), basis)}
    formats = {**money, "largest deal": ".0%", "ROI so far": ",.1f"}
    return table(shown, "Cost and return, 90 % intervals", units=units, formats=formats, rows=MOST)


def attribution_table(attribution: pd.DataFrame) -> HtmlTable:
    """Share of the conversions that each model gives to each channel; `analytics.lead_sources_attribution.attribution`."""
    models = list(dict.fromkeys(attribution["model"]))
    wide = attribution.pivot(index="channel", columns="model", values="share").reindex(columns=models).fillna(0.0)
    wide = wide.sort_values(models[-1], ascending=False) if models else wide
    return table(wide.rename_axis(columns=None).reset_index(), "Share of the conversions, by rule", formats=dict.fromkeys(models, ".1%"))


def pairs_table(pairs: pd.DataFrame) -> HtmlTable:
    """Groups side by side: how many times as often one converts as the other, and which has the higher ROI."""
    shown = pd.DataFrame(
        {
            "pair": pairs["a"] + " and " + pairs["b"], "converts, times as often": _within(pairs, "ratio", "lo", "hi", ".2f"),
            "told apart": pairs["apart"], "leads of each still needed": pairs["more"], "first has the higher ROI": pairs["p_returns_more"],
        }
    )  # fmt: skip
    formats = {"first has the higher ROI": ".0%", "leads of each still needed": ",.0f"}
    return table(shown, "Side by side, 90 % intervals", units={"first has the higher ROI": "chance"}, formats=formats, rows=30)


_ENDS = {"middle": "", "lo": "_lo", "hi": "_hi"}


def _dots(shown: pd.DataFrame, value: str, lo: str, hi: str, apart: pd.Series) -> go.Figure:
    """Points with intervals, one a row; those that are surely apart in another colour and shape."""
    marker = {
        "size": 9,
        "color": [ORANGE if told else BLUE for told in apart],
        "symbol": ["diamond" if told else "circle" for told in apart],
    }
    spread = _spread(shown, value, lo, hi)
    return go.Figure(go.Scatter(x=shown[value], y=shown["label"], mode="markers", error_x=spread, marker=marker, showlegend=False))


def _spread(shown: pd.DataFrame, value: str, lo: str, hi: str) -> dict[str, object]:
    return {"type": "data", "array": shown[hi] - shown[value], "arrayminus": shown[value] - shown[lo], "color": GREY}


def _within(rows: pd.DataFrame, value: str, lo: str, hi: str, form: str) -> list[str]:
    """Figures with their intervals as text: 44 (42 to 46)."""
    told = []
    for middle, low, high in rows[[value, lo, hi]].astype("float64").itertuples(index=False, name=None):
        ends = [MISSING if pd.isna(end) else format(end, form) for end in (low, high)]
        told.append(MISSING if pd.isna(middle) else f"{middle:{form}} ({ends[0]} to {ends[1]})")
    return told
