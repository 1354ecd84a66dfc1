"""Charts of routing: what each policy is expected to bring, and how many leads each rep has for the share that is due."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, finished


def policies_figure(policies: pd.DataFrame, currency: str, title: str = "What each policy is expected to bring") -> go.Figure:
    """Expected value by policy with the spread of its draws. policies: policy, expected, lo, hi (currency)."""
    names = policies["policy"].str.replace("_", " ")
    high, low = ((policies[name] - policies["expected"]).abs().fillna(0) for name in ("hi", "lo"))
    spread = {"type": "data", "array": high, "arrayminus": low, "color": GREY}
    colours = [BLUE if name == "optimal" else GREY for name in policies["policy"]]
    told = ", ".join(f"{name} {value:,.0f}" for name, value in zip(names, policies["expected"], strict=True))
    bars = go.Bar(x=names, y=policies["expected"], error_y=spread, marker_color=colours)
    figure = finished(go.Figure(bars), title, f"Expected value in {currency}: {told}.")
    return figure.update_yaxes(title=currency, rangemode="tozero").update_xaxes(title="policy")


def shares_figure(reps: pd.DataFrame, title: str = "Leads of 30 days by the share that is due") -> go.Figure:
    """Leads each rep has afterwards over the share due, those of before and the new ones. reps: name, share_due, before, new."""
    ordered = reps.assign(load=(reps["before"] + reps["new"]) / reps["share_due"]).sort_values("load", ascending=False)
    figure = go.Figure()
    for column, colour in (("before", GREY), ("new", BLUE)):
        figure.add_bar(x=ordered["name"], y=ordered[column] / ordered["share_due"], name=column, marker_color=colour)
    first, last = ordered.iloc[0], ordered.iloc[-1]
    alt = f"From {first['load']:.1f} leads for a whole share ({first['name']}) to {last['load']:.1f} ({last['name']})."
    figure = finished(figure.update_layout(barmode="stack"), title, alt)
    return figure.update_yaxes(title="leads for a whole share", rangemode="tozero").update_xaxes(title="", tickangle=-60)
