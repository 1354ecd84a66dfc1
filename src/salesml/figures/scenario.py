"""Charts and tables of scenarios: three joint ones, levers' parts as a waterfall, scenarios side by side, what a gap takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import MISSING, HtmlTable, table

THREE = {"pessimistic": ORANGE, "realistic": GREY, "optimistic": BLUE}
MOST_REGIONS, BINS = 12, 60


def three_figure(joint: pd.DataFrame, currency: str, title: str = "Three quarters that may come, by region") -> go.Figure:
    """What each region brings in the three joint scenarios (`joint.joint_scenarios`), the greatest first; at most 12."""
    company = joint[joint["level"] == "company"].iloc[0]
    regions = joint[joint["level"] == "region"].sort_values("realistic", ascending=False).head(MOST_REGIONS)
    figure = go.Figure()
    for name, colour in THREE.items():
        figure.add_bar(x=regions["label"], y=regions[name], name=name, marker_color=colour)
    told = ", ".join(f"{name} {company[name]:,.0f}" for name in THREE)
    alt = f"The company lands at {told} {currency}; the regions' bars of one colour add up to it."
    return finished(figure, title, alt).update_layout(barmode="group").update_yaxes(title=currency)


def three_table(joint: pd.DataFrame, currency: str, rows: int = 40) -> HtmlTable:
    """The joint scenarios by company, region and team; each level adds up to the company."""
    shown = joint[joint["level"] != "rep"]
    columns = [*THREE, "expected"]
    shown = shown.assign(who=_who(shown))[["who", *columns]]
    money = dict.fromkeys(columns, ",.0f")
    return table(shown, "Joint scenarios", units=dict.fromkeys(columns, currency), formats=money, rows=rows)


def levers_figure(parts: pd.DataFrame, before: float, after: float, currency: str, title: str = "What each lever does") -> go.Figure:
    """The company's expected landing from as things stand to the levers turned, part by part; `scenario.Outcome.parts`."""
    mine = parts[(parts["level"] == "company") & parts["expected"].abs().gt(0.005)]
    if mine.empty:
        return finished(go.Figure(), title, "No lever moves what is expected.")
    names = [str(name).replace("_", " ") for name in mine["lever"]]
    values = [before, *mine["expected"], after]
    bars = go.Waterfall(
        x=["as things stand", *names, "with these levers"], y=values, measure=["absolute", *["relative"] * len(mine), "total"],
        text=[f"{value:,.0f}" if place in (0, len(values) - 1) else f"{value:+,.0f}" for place, value in enumerate(values)],
        increasing={"marker": {"color": BLUE}}, decreasing={"marker": {"color": ORANGE}}, totals={"marker": {"color": GREY}},
    )  # fmt: skip
    told = ", ".join(f"{name} {amount:+,.0f}" for name, amount in zip(names, mine["expected"], strict=True))
    alt = f"Expected from {before:,.0f} to {after:,.0f} {currency}: {told}."
    figure = finished(go.Figure(bars), title, alt).update_layout(showlegend=False)
    return figure.update_yaxes(title=currency, range=_room(np.cumsum(values[:-1]), after))


def landings_figure(
    before: np.ndarray, after: np.ndarray, quotas: tuple[float, float], currency: str, title: str = "Where the quarter may land"
) -> go.Figure:
    """Simulated landings as things stand and with the levers turned, each with its quota (missing: left out)."""
    edges = np.histogram_bin_edges(np.r_[before, after], BINS)
    figure, told = go.Figure(), []
    shown = [(before, quotas[0], "as things stand"), (after, quotas[1], "with these levers")]
    one_quota = np.array_equal(quotas[:1], quotas[1:], equal_nan=True)
    shown = shown[:1] if one_quota and np.array_equal(before, after) else shown
    for (draws, quota, name), colour in zip(shown, (GREY, BLUE), strict=False):
        share = np.histogram(draws, edges)[0] / len(draws)
        line = {"color": colour, "shape": "hvh"}
        figure.add_scatter(x=(edges[:-1] + edges[1:]) / 2, y=share, name=name, mode="lines", line=line, fill="tozeroy")
        if np.isnan(quota):
            continue
        told.append(f"{np.mean(draws >= quota):.0%} of the landings {name} reach {quota:,.0f}")
        if draws is before or not one_quota:
            text, place = "quota" if one_quota else f"quota {name}", "top left" if draws is before else "top right"
            figure.add_vline(x=quota, line={"color": ORANGE, "dash": "dash"}, annotation_text=text, annotation_position=place)
    middle = ", ".join(f"{np.median(draws):,.0f} {currency} {name}" for draws, _, name in shown)
    alt = " ".join([f"Half of the landings lie above {middle}.", *(f"{one}." for one in told)])
    figure = finished(figure, title, alt).update_xaxes(title=currency)
    return figure.update_yaxes(title="share of simulations", tickformat=".0%")


def tenths_table(tenths: pd.DataFrame, currency: str) -> HtmlTable:
    """What a small turn of each lever would do; `workflows.scenarios.tenths`."""
    shown = pd.DataFrame(
        {"lever": tenths["lever"], "expected": tenths["expected"],
         "chance of quota": [MISSING if pd.isna(one) else f"{100 * one:+.1f} points" for one in tenths["probability"]]}
    )  # fmt: skip
    return table(shown, "A tenth of each lever", units={"expected": currency}, formats={"expected": "+,.0f"})


def sides_table(sides: pd.DataFrame, currency: str) -> HtmlTable:
    """Scenarios side by side for the company: where it lands, chance of quota, what is missing where it is missed."""
    rows = sides[sides["level"] == "company"]
    shown = pd.DataFrame(
        {"scenario": rows["scenario"], "levers": rows["levers"], "expected": rows["expected"], "80 % interval": _interval(rows),
         "quota": rows["quota"], "chance": rows["probability"], "missing if missed": rows["shortfall"]}
    )  # fmt: skip
    money = dict.fromkeys(("expected", "quota", "missing if missed"), ",.0f")
    return table(shown, f"Side by side, {currency}", formats={**money, "chance": ".0%"})


def nodes_table(nodes: pd.DataFrame, currency: str, rows: int = 40) -> HtmlTable:
    """Company, regions and teams with the levers turned, beside as things stand; `scenario.Outcome.nodes`."""
    mine = nodes[nodes["level"] != "rep"]
    shown = pd.DataFrame(
        {"who": _who(mine), "expected": mine["expected"], "change": mine["expected"] - mine["expected_before"],
         "80 % interval": _interval(mine), "quota": mine["quota"], "chance, was": mine["probability_before"], "is": mine["probability"],
         "missing if missed": mine["shortfall"]}
    )  # fmt: skip
    shown["change"] = shown["change"].mask(shown["change"].abs() < 0.5, 0.0)
    money = {**dict.fromkeys(("expected", "quota", "missing if missed"), ",.0f"), "change": "+,.0f"}
    caption = f"By region and team, {currency}"
    return table(shown, caption, formats={**money, "chance, was": ".0%", "is": ".0%"}, rows=rows)


def needed_table(needed: pd.DataFrame, currency: str) -> HtmlTable:
    """Pipeline to be created beyond the usual for a chance of 80 %, by when it is created; `need.pipeline_needed`."""
    names = {"in_weeks": "created", "days_left": "days left", "yield_share": "won in time", "won": "brings"}
    shown = needed.rename(columns=names)
    shown["created"] = ["now" if weeks == 0 else f"in {weeks} weeks" for weeks in needed["in_weeks"]]
    formats = {**dict.fromkeys(("days left", "deals", "pipeline", "brings"), ",.0f"), "won in time": ".1%"}
    return table(shown, "Pipeline needed for a chance of 80 %", units={"pipeline": currency, "brings": currency}, formats=formats)


def capacity_table(reps: pd.DataFrame, rows: int = 15) -> HtmlTable:
    """Reps with their open deals beside their own usual number, the busiest first; `need.Capacity.reps` with label."""
    shown = reps.rename(columns={"label": "rep name", "open_deals": "open deals", "over": "more than nine in ten had"})
    columns = ["rep name", "open deals", "usual", "room", "more than nine in ten had"]
    return table(shown[columns], "Open deals per rep", formats={"open deals": ",.0f", "usual": ",.1f", "room": ",.0f"}, rows=rows)


def _who(rows: pd.DataFrame) -> pd.Series:
    return rows["label"].where(rows["level"] == "company", rows["level"] + " " + rows["label"])


def _interval(rows: pd.DataFrame) -> list[str]:
    return [f"{lo:,.0f} to {hi:,.0f}".replace(" ", "\N{NO-BREAK SPACE}") for lo, hi in zip(rows["lo80"], rows["hi80"], strict=True)]


def _room(reached: np.ndarray, after: float) -> list[float]:
    """An axis on which parts that are small beside the whole can be seen."""
    low, high = min(*reached, after), max(*reached, after)
    margin = max(high - low, 0.02 * abs(high), 1.0)
    return [max(0.0, low - margin) if low >= 0 else low - margin, high + 0.3 * margin]
