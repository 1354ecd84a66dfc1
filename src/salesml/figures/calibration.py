"""Charts of how good probabilities are."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

INK, ACCENT, SOFT = "#1f2933", "#0b6e99", "#9aa5b1"


def reliability_chart(table: pd.DataFrame) -> go.Figure:
    """Observed share against mean predicted probability per bin of `evaluation.calibration.reliability`."""
    limit = float(max(table["hi"].max(), table["predicted"].max()) * 1.05)
    figure = go.Figure(
        [
            go.Scatter(x=[0, limit], y=[0, limit], mode="lines", line={"color": SOFT, "dash": "dot"}, name="perfect"),
            go.Scatter(
                x=table["predicted"],
                y=table["observed"],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": table["hi"] - table["observed"],
                    "arrayminus": table["observed"] - table["lo"],
                    "color": ACCENT,
                },
                mode="markers",
                marker={"color": ACCENT, "size": 8},
                name="tenth of the rows",
            ),
        ]
    )
    figure.update_xaxes(title="predicted probability", tickformat=".0%", range=[0, limit])
    figure.update_yaxes(title="observed share", tickformat=".0%", range=[0, limit])
    return _plain(figure)


def gains_chart(curves: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Share of the outcomes `found` against share of the rows `worked`, best first, one curve a model."""
    figure = go.Figure(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": SOFT, "dash": "dot"}, name="at random")
    )
    for color, (name, curve) in zip((ACCENT, "#c2571a", "#5b8c2a"), curves.items(), strict=False):
        figure.add_scatter(x=curve["worked"], y=curve["found"], mode="lines", line={"color": color}, name=name)
    figure.update_xaxes(title="rows worked, best first", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="outcomes found", tickformat=".0%", range=[0, 1])
    return _plain(figure)


def factors_chart(strengths: pd.Series) -> go.Figure:
    """Mean absolute effect in log-odds per feature (index), the strongest on top."""
    shown = strengths.sort_values().tail(12)
    names = [_short(str(name)) for name in shown.index]
    figure = go.Figure(go.Bar(x=shown, y=names, orientation="h", marker_color=ACCENT))
    figure.update_xaxes(title="mean effect on the log-odds")
    figure.update_yaxes(automargin=True)
    return _plain(figure)


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _plain(figure: go.Figure) -> go.Figure:
    return figure.update_layout(
        template="plotly_white",
        font={"color": INK, "size": 13},
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        height=380,
    )
