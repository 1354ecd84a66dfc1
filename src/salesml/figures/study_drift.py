"""Charts of a drift study: what was said and what happened block by block, and whether there was any ranking in it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, SHADES, finished


def level_figure(blocks: pd.DataFrame, methods: Sequence[str], title: str = "Mean probability and share observed") -> go.Figure:
    """The share observed in each block and the mean probability each method gave it.

    blocks: block, first_row, observed, method, predicted; one row per block and method.
    """
    figure = go.Figure()
    seen = blocks.drop_duplicates("block")
    figure.add_scatter(x=seen["first_row"], y=seen["observed"], mode="markers", marker={"color": GREY, "size": 8}, name="observed")
    apart = {}
    for method, colour in zip(methods, (ORANGE, BLUE, SHADES[1]), strict=False):
        mine = blocks[blocks["method"] == method]
        figure.add_scatter(x=mine["first_row"], y=mine["predicted"], mode="lines", line={"color": colour, "shape": "hv"}, name=method)
        apart[method] = float((mine["predicted"] - mine["observed"]).abs().mean())
    told = "; ".join(f"{method} {gap:.1%}" for method, gap in apart.items())
    alt = f"Mean distance of mean probability and share observed over {len(seen)} blocks: {told}."
    return finished(figure, title, alt).update_yaxes(tickformat=".0%", title="share").update_xaxes(title="rows since the model was made")


def auc_figure(blocks: pd.DataFrame, methods: Sequence[str], title: str = "Ranking inside each block") -> go.Figure:
    """The AUC inside each block with its 90 % interval, and chance.

    blocks: first_row, method, auc, auc_lo, auc_hi; one row per block and method.
    """
    figure = go.Figure()
    sure = {}
    for number, (method, colour) in enumerate(zip(methods, (ORANGE, BLUE), strict=False)):
        mine = blocks[blocks["method"] == method].dropna(subset=["auc"])
        bars = {"type": "data", "symmetric": False, "array": mine["auc_hi"] - mine["auc"], "arrayminus": mine["auc"] - mine["auc_lo"]}
        width = float(mine["first_row"].diff().median()) if len(mine) > 1 else 1.0
        figure.add_scatter(
            x=mine["first_row"] + number * 0.15 * width, y=mine["auc"], error_y=bars, mode="markers", marker={"color": colour, "size": 7},
            name=method,
        )  # fmt: skip
        sure[method] = (int((mine["auc_lo"] > 0.5).sum()), int((mine["auc_hi"] < 0.5).sum()), len(mine))
    figure.add_hline(y=0.5, line={"color": GREY, "dash": "dot"}, annotation_text="chance")
    told = "; ".join(f"{method} above chance in {up} and below in {down} of {all_} blocks" for method, (up, down, all_) in sure.items())
    finished(figure, title, f"By 90 % intervals: {told}.").update_yaxes(title="AUC")
    return figure.update_xaxes(title="rows since the model was made")
