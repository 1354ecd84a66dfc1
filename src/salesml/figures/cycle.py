"""Charts and tables of the sales cycle: how deals end over time, how long groups take, where money waits."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import MISSING, HtmlTable, table

COLOURS = {"won": (BLUE, "59,130,196"), "lost": (ORANGE, "213,118,43"), "no_decision": (GREY, "125,133,144")}
MOST_GROUPS = 20


def outcomes_figure(curve: pd.DataFrame, title: str = "How deals end, by days open") -> go.Figure:
    """Share of deals won, lost and without a decision by days open, with 90 % bands.

    curve: day and per outcome its share with `_lo` and `_hi`, as `analytics.cycle.curve` gives.
    """
    figure = go.Figure()
    for name, (colour, rgb) in COLOURS.items():
        word, edge = name.replace("_", " "), {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
        figure.add_scatter(x=curve["day"], y=curve[f"{name}_hi"], showlegend=False, legendgroup=name, **edge)
        figure.add_scatter(
            x=curve["day"], y=curve[f"{name}_lo"], showlegend=False, legendgroup=name, fill="tonexty",
            fillcolor=f"rgba({rgb},0.2)", **edge,
        )  # fmt: skip
        line = {"color": colour, "shape": "hv", "dash": "dot" if name == "no_decision" else "solid"}
        figure.add_scatter(x=curve["day"], y=curve[name], mode="lines", line=line, name=word, legendgroup=name)
    last = curve.iloc[-1]
    told = ", ".join(f"{last[name]:.0%} {name.replace('_', ' ')}" for name in COLOURS)
    alt = f"After {last['day']:,.0f} days {told}, {last['going']:.0%} still open (90 % bands)."
    figure = finished(figure, title, alt).update_layout(hovermode="x unified")
    return figure.update_xaxes(title="days open").update_yaxes(
        title="share of deals", tickformat=".0%", rangemode="tozero"
    )


def groups_figure(groups: pd.DataFrame, title: str = "Days until half of the deals are closed") -> go.Figure:
    """Median days of each group with its 90 % interval, the groups with most deals, slowest on top; `analytics.cycle.by_group`."""
    known = groups[groups["median_days"].notna()].head(MOST_GROUPS).sort_values("median_days")
    if known.empty:
        return finished(go.Figure(), title, "In no group half of the deals are closed yet.")
    spread = {
        "type": "data", "array": (known["median_hi"] - known["median_days"]).fillna(0),
        "arrayminus": (known["median_days"] - known["median_lo"]).fillna(0), "color": GREY,
    }  # fmt: skip
    sure = known["verdict"] != "not sure"
    marker = {
        "size": 9,
        "color": [ORANGE if told else BLUE for told in sure],
        "symbol": ["diamond" if told else "circle" for told in sure],
    }
    figure = go.Figure(
        go.Scatter(x=known["median_days"], y=known["group"], mode="markers", error_x=spread, marker=marker)
    )
    fast, slow = known.iloc[0], known.iloc[-1]
    alt = (
        f"From {fast['median_days']:,.0f} days ({fast['group']}) to {slow['median_days']:,.0f} ({slow['group']}); "
        f"{int(sure.sum())} of {len(known)} shown are surely faster or slower than all (diamonds)."
    )
    height = 140 + 26 * len(known)
    figure = finished(figure, title, alt).update_layout(height=max(height, 260))
    return figure.update_xaxes(title="days", rangemode="tozero").update_yaxes(automargin=True)


def stages_figure(stages: pd.DataFrame, title: str = "Where money waits") -> go.Figure:
    """Each stage's share of amount × days with its 90 % interval, in the order of the stages; `analytics.stages.bottlenecks`."""
    rows = stages.sort_values("stage_order", ascending=False)
    if rows["share"].isna().all():
        return finished(go.Figure(), title, "No deal has an amount.")
    spread = {
        "type": "data",
        "array": rows["share_hi"] - rows["share"],
        "arrayminus": rows["share"] - rows["share_lo"],
        "color": GREY,
    }
    figure = go.Figure(go.Bar(x=rows["share"], y=rows["stage"], orientation="h", marker_color=BLUE, error_x=spread))
    told = ", ".join(f"{row.stage} {row.share:.0%}" for row in stages.itertuples())
    figure = finished(figure, title, f"Shares of amount × days in the past year, the greatest first: {told}.")
    return figure.update_xaxes(title="share of amount × days, past year", tickformat=".0%").update_yaxes(
        automargin=True
    )


def groups_table(groups: pd.DataFrame, word: str) -> HtmlTable:
    """Cycle times of the groups, each figure with its 90 % interval; `word` names what a group is."""
    shown = pd.DataFrame(
        {
            word: groups["group"], "deals": groups["deals"], "open": groups["open"],
            "days until half closed": _within(groups, "median_days", "median_lo", "median_hi", ",.0f"),
            "three quarters": groups["q75_days"], "won": _within(groups, "won", "won_lo", "won_hi", ".0%"),
            "speed": _within(groups, "speed", "speed_lo", "speed_hi", ".2f"), "verdict": groups["verdict"],
        }
    )  # fmt: skip
    units = {"three quarters": "days", "speed": "1 = as all"}
    return table(
        shown, "Cycle times, 90 % intervals", units=units, formats={"three quarters": ",.0f"}, rows=MOST_GROUPS
    )


def outcomes_table(outcomes: pd.DataFrame) -> HtmlTable:
    """How deals end and when, `analytics.cycle.outcomes`."""
    shown = pd.DataFrame(
        {
            "outcome": outcomes["outcome"].str.replace("_", " "), "deals so far": outcomes["deals"],
            "share": _within(outcomes, "share", "lo", "hi", ".1%"),
            "days until half of them": _within(outcomes, "median_days", "median_lo", "median_hi", ",.0f"),
        }
    )  # fmt: skip
    return table(shown, "How deals end, 90 % intervals")


def stages_table(stages: pd.DataFrame, currency: str) -> HtmlTable:
    """What waiting costs by stage, `analytics.stages.bottlenecks`."""
    shown = pd.DataFrame(
        {
            "stage": stages["stage"], "days until half left": _within(stages, "median_days", "median_lo", "median_hi", ",.0f"),
            "there now": stages["there_now"], "amount now": stages["amount_now"], "amount × days": stages["amount_days"],
            "share": _within(stages, "share", "share_lo", "share_hi", ".0%"),
        }
    )  # fmt: skip
    units = {"amount now": currency, "amount × days": f"{currency} × days, past year"}
    return table(
        shown, "Stages, the costliest first, 90 % intervals", units=units, formats=dict.fromkeys(units, ",.0f")
    )


def ends_table(stages: pd.DataFrame) -> HtmlTable:
    """How stays in each stage end, in the order of the stages, `analytics.stages.bottlenecks`."""
    rows = stages.sort_values("stage_order")
    words = {
        "advanced": "moved on",
        "returned": "went back",
        "won": "won",
        "lost": "lost",
        "no_decision": "no decision",
    }
    ends = {word: _within(rows, name, f"{name}_lo", f"{name}_hi", ".0%") for name, word in words.items()}
    return table(
        pd.DataFrame({"stage": rows["stage"], "stays": rows["stays"], **ends}), "How stays end, 90 % intervals"
    )


def _within(rows: pd.DataFrame, value: str, lo: str, hi: str, form: str) -> list[str]:
    """Figures with their intervals as text: 44 (42 to 46)."""
    told = []
    for middle, low, high in rows[[value, lo, hi]].astype("float64").itertuples(index=False, name=None):
        ends = [MISSING if pd.isna(end) else format(end, form) for end in (low, high)]
        told.append(MISSING if pd.isna(middle) else f"{middle:{form}} ({ends[0]} to {ends[1]})")
    return told
