"""Charts and tables of the pipeline's movement for notebooks and reports: waterfall, slices, ageing, what comes and goes, moved dates."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table

GREEN = "#5a9c6e"
SHADES = [[0.0, "#eef3f8"], [1.0, "#8fbbe3"]]  # dark words stand on them, in light and dark
ENDS = ("opening", "closing")
MOST_SLICES = 40
TOGETHER = {
    "at the start": ("opening",), "created": ("created", "reopened"), "amounts": ("raised", "lowered"), "won": ("won",),
    "lost": ("lost", "no_decision"), "moved": ("moved_in", "moved_out"), "other": ("withdrawn", "corrected", "exchange"),
    "at the end": ("closing",),
}  # fmt: skip


def waterfall_figure(steps: pd.DataFrame, currency: str, title: str = "From what was open to what is open") -> go.Figure:
    """The waterfall lying down, in order of the steps, those of no deal left out; `analytics.movement.waterfall` of one slice."""
    rows = steps[steps["deals"].gt(0) | steps["step"].isin(ENDS)]
    amounts = rows["amount"].astype("float64")
    kinds = ["absolute" if step == "opening" else "total" if step == "closing" else "relative" for step in rows["step"]]
    templates = ["%{delta:+.3s}" if kind == "relative" else "%{final:.3s}" for kind in kinds]
    colours = {"increasing": BLUE, "decreasing": ORANGE, "totals": GREY}
    figure = go.Figure(
        go.Waterfall(
            orientation="h", measure=kinds, x=amounts, y=rows["title"], texttemplate=templates, textposition="outside",
            cliponaxis=False, connector={"line": {"color": GREY, "width": 1}},
            **{name: {"marker": {"color": colour}} for name, colour in colours.items()},
        )
    )  # fmt: skip
    reached = amounts.mask(rows["step"].eq("closing"), 0.0).cumsum()
    highest, lowest = max(reached.max(), 1.0), min(reached.min(), 0.0)
    between = rows[~rows["step"].isin(ENDS)]
    told = ", ".join(f"{step} {amount:+,.0f}" for step, amount in zip(between["title"], between["amount"], strict=True))
    alt = (
        f"Grey is what was and is open, {amounts.iloc[0]:,.0f} and {amounts.iloc[-1]:,.0f} {currency}; blue adds, orange takes away: "
        f"{told or 'nothing'}."
    )
    figure = finished(figure, title, alt).update_layout(height=110 + 30 * len(rows), showlegend=False)
    figure = figure.update_xaxes(title=currency, range=[1.02 * lowest, 1.3 * highest], nticks=5)
    return figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)


def slices_table(slices: pd.DataFrame, by: str, currency: str) -> HtmlTable:
    """One row per name of a dimension and one for all, steps that belong together added up; they sum from the start to the end.

    Columns without anything in them are left out.
    """
    group = {step: title for title, steps in TOGETHER.items() for step in steps}
    wide = slices.assign(group=slices["step"].map(group), amount=slices["amount"].astype("float64"))
    shown = wide.pivot_table("amount", by, "group", "sum", sort=False)[list(TOGETHER)].sort_values("at the end", ascending=False)
    shown = shown.loc[:, shown.any() | shown.columns.isin(("at the start", "at the end"))]
    shown = pd.concat([shown, shown.sum().to_frame("all").T]).rename_axis(by).reset_index()
    return table(shown, f"By {by}, {currency}", formats=dict.fromkeys(shown.columns[1:], ",.0f"), rows=MOST_SLICES)


def steps_table(steps: pd.DataFrame, currency: str) -> HtmlTable:
    """Steps with their amounts and the deals behind them, those of no deal left out."""
    rows = steps[steps["deals"].gt(0) | steps["step"].isin(ENDS)]
    shown = pd.DataFrame({"step": rows["title"], "amount": rows["amount"], "deals": rows["deals"]})
    return table(shown, "The steps, to the cent", units={"amount": currency}, formats={"amount": ",.2f"})


def ageing_figure(rows: pd.DataFrame, currency: str, title: str = "Open deals by stage and days in it") -> go.Figure:
    """Heat map of the open amount: stages down in their order, days in the stage across; `analytics.movement_ageing.ageing`."""
    if rows.empty:
        return finished(go.Figure(), title, "No deal is open.")
    bands, stages = list(dict.fromkeys(rows["band"])), list(dict.fromkeys(rows["stage"]))
    told = rows.assign(
        amount=rows["amount"].astype("float64").where(rows["deals"] > 0),
        text=[_counted(deals, longer) for deals, longer in zip(rows["deals"], rows["longer"], strict=True)],
    )
    wide = [told.pivot(index="stage", columns="band", values=name) for name in ("amount", "text")]
    amounts, texts = (part.reindex(index=stages, columns=bands) for part in wide)
    figure = go.Figure(
        go.Heatmap(
            z=amounts, x=bands, y=stages, text=texts, texttemplate="%{z:.3s}<br>%{text}", colorscale=SHADES, showscale=False, xgap=2,
            ygap=2, textfont={"size": 11, "color": "#1b1f24"},
            hovertemplate="%{y}, %{x} days<br>%{z:,.0f} " + currency + "<br>%{text}<extra></extra>",
        )
    )  # fmt: skip
    longer, most = int(rows["longer"].sum()), told.sort_values("amount", na_position="first").iloc[-1]
    alt = (
        f"Most money, {most['amount']:,.0f} {currency}, has been in {most['stage']} for {most['band']} days; {longer:,} of "
        f"{int(rows['deals'].sum()):,} open deals are longer in their stage than nine in ten that moved on. In each field: amount in "
        f"{currency}, deals, and of these (!) the longer ones."
    )
    figure = finished(figure, title, alt).update_layout(height=130 + 58 * len(stages))
    return figure.update_xaxes(title="days in the stage", side="top", type="category").update_yaxes(autorange="reversed", automargin=True)


def usual_table(rows: pd.DataFrame, currency: str) -> HtmlTable:
    """Stages with their open deals, the usual stay, and the deals longer than nine in ten; `analytics.movement_ageing.ageing`."""
    money = rows.assign(amount=rows["amount"].astype("float64"))
    found = money.groupby("stage", sort=False).agg(
        deals=("deals", "sum"), amount=("amount", "sum"), usual=("usual_days", "first"), long_=("long_days", "first"),
        longer=("longer", "sum"),
    )  # fmt: skip
    names = {"deals": "open deals", "usual": "usual stay", "long_": "9 in 10 under"}
    units = {"amount": currency, "usual stay": "days", "9 in 10 under": "days", "longer": "deals"}
    formats = {"amount": ",.0f", "usual stay": ".0f", "9 in 10 under": ".0f"}
    return table(found.reset_index().rename(columns=names), "Stays by stage", units=units, formats=formats)


def stalled_table(rows: pd.DataFrame, currency: str, most: int = 15) -> HtmlTable:
    """Deals longer in their stage than nine in ten, the greatest amount first; `analytics.movement_ageing.stalled`."""
    names = {"name": "deal", "amount": "amount", "stage": "stage", "stage_days": "in stage", "long_days": "9 in 10 under",
             "pushes": "date moved", "last_activity_on": "last activity", "close_on": "close date", "rep": "rep"}  # fmt: skip
    shown = rows[list(names)].rename(columns=names)
    formats = {"amount": ",.0f", "in stage": ",.0f", "9 in 10 under": ",.0f"}
    units = {"amount": currency, "in stage": "days", "9 in 10 under": "days"}
    return table(shown, "Stalled deals" if len(shown) else "Stalled deals: none", units=units, formats=formats, rows=most)


def flows_figure(rows: pd.DataFrame, currency: str, title: str = "Created and closed by month, as known now") -> go.Figure:
    """Created up, won and lost down, and a line at what that leaves; `analytics.movement_ageing.created_and_closed`."""
    figure = go.Figure()
    if rows.empty:
        return finished(figure, title, "Nothing was created or closed.")
    money = rows[["created", "won", "lost", "change"]].astype("float64")
    for name, sign, colour in (("created", 1, BLUE), ("won", -1, GREEN), ("lost", -1, GREY)):
        told = "lost or no decision" if name == "lost" else name
        figure.add_bar(x=rows["period"], y=sign * money[name], name=told, marker_color=colour)
    figure.add_scatter(x=rows["period"], y=money["change"], name="created less closed", mode="lines+markers", line={"color": ORANGE})
    grew = int((money["change"] > 0).sum())
    alt = (
        f"In {grew} of {len(rows)} months more was created than closed; in all {money['created'].sum():,.0f} {currency} created, "
        f"{money['won'].sum():,.0f} won, {money['lost'].sum():,.0f} lost or without decision."
    )
    return finished(figure, title, alt).update_layout(barmode="relative", hovermode="x unified").update_yaxes(title=currency)


def flows_table(rows: pd.DataFrame, currency: str, most: int = 13) -> HtmlTable:
    """Created, won, lost and slipped by month, the latest first."""
    shown = rows.iloc[::-1].assign(period=rows["period"].dt.strftime("%B %Y")).rename(columns={"period": "month", "change": "less closed"})
    shown.columns = [str(name).replace("_", " ") for name in shown]
    money = ("created", "won", "lost", "slipped", "less closed")
    return table(shown, f"By month, {currency}", formats=dict.fromkeys(money, ",.0f"), rows=most)


def pushes_table(rows: pd.DataFrame, currency: str) -> HtmlTable:
    """Open and closed deals by how often their close date was moved; `analytics.movement_ageing.pushes`."""
    spread = [f"{lo:.0%} to {hi:.0%}" if pd.notna(hi) else "–" for lo, hi in zip(rows["lo"], rows["hi"], strict=True)]
    shown = pd.DataFrame(
        {"close date moved": rows["moves"], "open deals": rows["open_deals"], "amount": rows["amount"], "closed deals": rows["closed"],
         "won": rows["won"], "win rate": rows["win_rate"], "90 % interval": spread}
    )  # fmt: skip
    return table(shown, "Close dates that moved", units={"close date moved": "times", "amount": currency},
                 formats={"amount": ",.0f", "win rate": ".0%"})  # fmt: skip


def behind_table(rows: pd.DataFrame, currency: str, most: int = 15) -> HtmlTable:
    """The greatest parts of all steps: deal, what it did, its part, its amount before and after; `workflows.movement`'s behind."""
    order = rows.assign(size=rows["amount"].astype("float64").abs()).sort_values("size", ascending=False, kind="stable")
    titles = {"no_decision": "no decision", "moved_in": "moved in", "moved_out": "moved out", "raised": "amount raised",
              "lowered": "amount lowered", "exchange": "exchange rates"}  # fmt: skip
    shown = order.assign(step=order["step"].map(titles).fillna(order["step"]))
    shown = shown[["name", "step", "amount", "before", "after", "stage", "rep"]].rename(columns={"name": "deal", "amount": "part"})
    money = ("part", "before", "after")
    return table(shown, "Greatest parts", units=dict.fromkeys(money, currency), formats=dict.fromkeys(money, ",.0f"), rows=most)


def _counted(deals: int, longer: int) -> str:
    return (f"{deals:,}" if deals else "") + (f"<br>{longer:,}!" if longer else "")
