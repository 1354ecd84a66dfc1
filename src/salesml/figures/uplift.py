"""Charts and tables of uplift: what choosing whom to treat brings, whether predicted uplifts are true, what policies are worth."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table

BAND = "rgba(59,130,196,0.2)"


def qini_figure(curve: pd.DataFrame, unit: str, scale: float = 1.0, title: str = "What is gained, by how many are treated") -> go.Figure:
    """The Qini curve with its band beside treating as many at random.

    curve: share, gain, lo, hi, random, as `evaluation.uplift.ranking` gives; gains are shown × scale, in `unit`.
    """
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(go.Scatter(x=curve["share"], y=scale * curve["hi"], **edge))
    figure.add_scatter(x=curve["share"], y=scale * curve["lo"], fill="tonexty", fillcolor=BAND, **edge)
    dotted = {"color": GREY, "dash": "dot"}
    figure.add_scatter(x=curve["share"], y=scale * curve["random"], mode="lines", line=dotted, name="at random")
    figure.add_scatter(x=curve["share"], y=scale * curve["gain"], mode="lines", line={"color": BLUE}, name="highest predicted uplift first")
    half = curve.iloc[(curve["share"] - 0.5).abs().argmin()]
    alt = (
        f"With half of the people treated, the highest predicted uplift first, {scale * half['gain']:.3g} more {unit} "
        f"({scale * half['lo']:.3g} to {scale * half['hi']:.3g}), at random {scale * half['random']:.3g}; treating everybody "
        f"{scale * curve['gain'].iloc[-1]:.3g}."
    )
    figure = finished(figure, title, alt).update_xaxes(title="people treated", tickformat=".0%", range=[0, 1])
    return figure.update_yaxes(title=f"more {unit}")


def tenths_figure(tenths: pd.DataFrame, unit: str, scale: float = 1.0, title: str = "Predicted and observed uplift") -> go.Figure:
    """Observed against predicted uplift by tenth, with intervals; on the dotted line predictions are true.

    tenths: predicted, observed, lo, hi, as `evaluation.uplift.by_tenth` gives; shown × scale, in `unit`.
    """
    shown = tenths[["predicted", "observed", "lo", "hi"]] * scale
    ends = [float(shown["predicted"].min()), float(shown["predicted"].max())]
    figure = go.Figure(go.Scatter(x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, name="true"))
    spread = {"type": "data", "array": shown["hi"] - shown["observed"], "arrayminus": shown["observed"] - shown["lo"], "color": BLUE}
    marker = {"color": BLUE, "size": 8}
    figure.add_scatter(
        x=shown["predicted"], y=shown["observed"], error_y=spread, mode="markers", marker=marker, name="tenth of the people"
    )
    figure.add_hline(y=0, line={"color": ORANGE, "width": 1})
    low, high = shown.iloc[0], shown.iloc[-1]
    inside = int(((shown["lo"] <= shown["predicted"]) & (shown["predicted"] <= shown["hi"])).sum())
    alt = (
        f"Of those with the lowest predictions {low['predicted']:.3g} were predicted and {low['observed']:.3g} observed, of those with the "
        f"highest {high['predicted']:.3g} and {high['observed']:.3g}; in {inside} of {len(shown)} the interval holds the prediction."
    )
    figure = finished(figure, title, alt).update_xaxes(title=f"predicted: more {unit}")
    return figure.update_yaxes(title=f"observed: more {unit}")


def policies_table(policies: pd.DataFrame, unit: str, scale: float = 1.0, caption: str = "Whom to treat, and what it brings") -> HtmlTable:
    """One row per policy: share treated, gain over treating nobody, over as many at random, net of costs; 95 % intervals beside.

    policies: as `evaluation.uplift.policies` gives; outcomes are shown × scale, in `unit`.
    """
    digits = ".2f" if scale > 1 else ".3f"
    shown = pd.DataFrame(
        {
            "treat": policies["policy"],
            "people treated": policies["share"].map("{:.0%}".format),
            f"more {unit}": _ranges(policies, ("gain", "lo", "hi"), scale, digits),
            "more than as many at random": _ranges(policies, ("more", "more_lo", "more_hi"), scale, digits),
            "for each treated": [f"{scale * value:{digits}}" if pd.notna(value) else None for value in policies["per_treatment"]],
            "worth less cost, a head": _ranges(policies, ("net", "net_lo", "net_hi"), 1.0, ".3f"),
        }
    )
    return table(shown, caption)


def balance_table(columns: pd.DataFrame, caption: str = "How alike the groups were before the treatment, the oddest first") -> HtmlTable:
    """One row per column: difference in standard deviations, p-value; `models.randomised.Balance.columns`."""
    shown = columns.assign(column=columns["column"].str.replace("_", " "))
    return table(shown, caption, units={"difference": "standard deviations"}, formats={"difference": "+.3f", "p_value": ".3f"})


def _ranges(frame: pd.DataFrame, names: Iterable[str], scale: float, digits: str) -> list[str]:
    rows = (scale * frame[list(names)]).itertuples(index=False, name=None)
    return [f"{value:{digits}}" if lo == hi else f"{value:{digits}} ({lo:{digits}} to {hi:{digits}})" for value, lo, hi in rows]
