"""What a nurture programme adds by segment, beside what a comparison of chosen leads would say, and what policies would bring."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, finished
from salesml.figures.tables import HtmlTable, table


def effect_figure(segments: pd.DataFrame, overall: float, title: str = "What the programme adds, by segment") -> go.Figure:
    """Each segment's difference (grey) and the same drawn towards all (blue), points of 1 with 90 % intervals; a line at `overall`.

    segments: `models.nurture_effect.Effect.segments`.
    """
    rows = segments.iloc[::-1]
    figure = go.Figure()
    for name, value, lo, hi, colour in (
        ("alone", "difference", "lo", "hi", GREY), ("drawn towards all", "shrunk", "shrunk_lo", "shrunk_hi", BLUE),
    ):  # fmt: skip
        spread = {"type": "data", "array": rows[hi] - rows[value], "arrayminus": rows[value] - rows[lo], "color": colour}
        figure.add_scatter(x=rows[value], y=rows["segment"], mode="markers", name=name, marker_color=colour, error_x=spread)
    figure.add_vline(x=overall, line_dash="dot", line_color=GREY)
    told = "; ".join(f"{name} {100 * value:+.1f}" for name, value in zip(segments["segment"], segments["shrunk"], strict=True))
    figure = finished(figure, title, f"Points of conversion added, drawn towards all: {told}. All leads {100 * overall:+.1f}.")
    figure.update_layout(height=max(260, 160 + 40 * len(rows)), scattermode="group")
    return figure.update_xaxes(title="conversion added", tickformat="+.0%").update_yaxes(automargin=True)


def segments_table(segments: pd.DataFrame) -> HtmlTable:
    """Leads, converted shares and differences by segment; `models.nurture_effect.Effect.segments`."""
    shown = pd.DataFrame({
        "segment": segments["segment"], "leads with": segments["leads_with"], "without": segments["leads_without"],
        "converted with": segments["rate_with"], "converted without": segments["rate_without"],
        "adds": _points(segments, "difference", "lo", "hi"), "drawn towards all": _points(segments, "shrunk", "shrunk_lo", "shrunk_hi"),
    })  # fmt: skip
    units, shares = dict.fromkeys(("adds", "drawn towards all"), "points"), ("converted with", "converted without")
    return table(shown, "What it adds by segment, 90 % intervals", units=units, formats=dict.fromkeys(shares, ".1%"))


def values_table(values: pd.DataFrame) -> HtmlTable:
    """What share of the leads would convert under each policy, by each method; `workflows.nurture_effect.nurture_value`."""
    shares = [f"{a:.2%} ({b:.2%} to {c:.2%})" for a, b, c in values[["value", "lo", "hi"]].itertuples(index=False, name=None)]
    shown = pd.DataFrame({
        "policy": values["policy"], "estimate": values["method"], "would convert": shares, "leads": values["rows"],
        "count as": values["effective"], "notes": ["; ".join(notes) for notes in values["notes"]],
    })  # fmt: skip
    return table(shown, "Policies, 90 % intervals", units={"count as": "leads"}, formats={"count as": ",.0f"})


def _points(rows: pd.DataFrame, value: str, lo: str, hi: str) -> list[str]:
    return [f"{100 * a:+.1f} ({100 * b:+.1f} to {100 * c:+.1f})" for a, b, c in rows[[value, lo, hi]].itertuples(index=False, name=None)]
