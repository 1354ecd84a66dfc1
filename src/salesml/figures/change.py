"""The waterfall of what changed, and the deals behind its bars."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table


def waterfall_figure(before: Decimal, causes: pd.DataFrame, after: Decimal, unit: str, title: str = "What changed") -> go.Figure:
    """From `before` to `after` by cause, amounts in `unit`; causes without a part are left out.

    causes: cause, amount, one row each in their order, as `forecast_change.totals` gives.
    """
    moved = causes[causes["amount"].astype(bool)]
    names = [name.replace("_", " ") for name in moved["cause"]]
    bars = go.Waterfall(
        x=["before", *names, "after"], y=[float(value) for value in (before, *moved["amount"], after)],
        measure=["absolute", *["relative"] * len(moved), "total"], text=[f"{value:,.0f}" for value in (before, *moved["amount"], after)],
        increasing={"marker": {"color": BLUE}}, decreasing={"marker": {"color": ORANGE}}, totals={"marker": {"color": GREY}},
    )  # fmt: skip
    told = ", ".join(f"{name} {amount:+,.0f}" for name, amount in zip(names, moved["amount"], strict=True))
    alt = f"From {before:,.0f} to {after:,.0f} {unit}: {told or 'nothing moved'}."
    return finished(go.Figure(bars), title, alt).update_layout(showlegend=False).update_yaxes(title=unit)


def causes_table(causes: pd.DataFrame, currency: str) -> HtmlTable:
    """Each cause with its amount, deals and meaning; `forecast_change.totals` gives the frame."""
    shown = causes.assign(cause=causes["cause"].str.replace("_", " "))
    return table(shown, "Causes, in their order", units={"amount": currency}, formats={"amount": "+,.2f"})


def behind_table(behind: pd.DataFrame, currency: str, each: int = 10) -> HtmlTable:
    """The deals behind each bar, the greatest `each` of a cause; the frame is `workflows.forecast_change.Change.behind`."""
    rows = behind.groupby("cause", sort=False).head(each)
    shown = rows.assign(cause=rows["cause"].str.replace("_", " "), deal=rows["name"])
    columns = ["deal", "cause", "owner", "part", "before", "after"]
    money = ("part", "before", "after")
    formats = {"part": "+,.2f", "before": ",.2f", "after": ",.2f"}
    caption = f"Deals behind each cause, the greatest {each}"
    return table(shown[columns], caption, units=dict.fromkeys(money, currency), formats=formats, rows=max(1, len(shown)))
