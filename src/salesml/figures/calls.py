"""The forecast call: who calls what beside the model and the quota, tied out to finance, and how good calls were."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, ORANGE, finished
from salesml.figures.tables import HtmlTable, table

GREEN = "#5a9c6e"
MOST_NODES, MOST_ROWS = 60, 400
SPACE = "\N{NO-BREAK SPACE}"
THOUSANDS_FROM = 1_000_000
DOTS = {
    "call": ("call", BLUE, "circle", 11), "below": ("sum below", GREEN, "diamond-open", 10), "quota": ("quota", ORANGE, "line-ns-open", 14)
}  # fmt: skip


def calls_figure(rows: pd.DataFrame, currency: str, reps: bool = False, title: str = "Calls beside the model") -> go.Figure:
    """Call, sum below, quota and the model's 80 % interval of each node, the model's number being 100 %, from the company down.

    rows: `workflows.calls.ForecastCall.rows`, money in `currency`; reps only if asked for, or where nobody else is below the
    company; nodes for which the model expects nothing are left out.
    """
    known = _without_reps(rows, reps).query("model > 0").head(MOST_NODES)
    if known.empty:
        return finished(go.Figure(), title, "The model has no number to compare with.")
    names = named(known)
    figure = go.Figure()
    base = known["model"]
    spread = {"array": known["hi80"] / base - 1, "arrayminus": 1 - known["lo80"] / base, "type": "data"}
    spread |= {"color": GREY, "thickness": 5, "width": 0}
    dot = {"mode": "markers", "y": names, "hovertemplate": f"%{{customdata:,.0f}} {currency} (%{{x:.0%}})"}
    grey = {"color": GREY, "size": 9, "symbol": "square"}
    figure.add_scatter(x=base / base, customdata=base, error_x=spread, marker=grey, name="model, 80 % interval", **dot)
    for column, (name, colour, symbol, size) in DOTS.items():
        has = known[column].notna() & ((column != "below") | known["below_calls"].gt(0))
        if has.any():
            marker = {"color": colour, "symbol": symbol, "size": size, "line": {"width": 3, "color": colour}}
            figure.add_scatter(
                x=(known[column] / base)[has], customdata=known[column][has], marker=marker, name=name, **dot | {"y": names[has]}
            )
    outside = int(((known["call"] > known["hi80"]) | (known["call"] < known["lo80"])).sum())
    alt = f"Of {len(known):,} nodes {int(known['call'].notna().sum()):,} have a call; {outside:,} lie outside the model's 80 % interval."
    figure = finished(figure, title, alt).update_layout(height=max(200 + 26 * len(known), 280))
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return figure.update_xaxes(title="share of the model's number", tickformat=".0%")


def calls_table(rows: pd.DataFrame, currency: str) -> HtmlTable:
    """The tree from the company down: call, sum below, model and the gaps; `workflows.calls.ForecastCall.rows`.

    In thousands where the company's model, call or quota is a million or more.
    """
    scale, unit = _scale(rows, currency)
    counts = [
        f"{row['below_calls']:,}{SPACE}of{SPACE}{row['below_nodes']:,}" if row["below_nodes"] else None
        for row in rows.to_dict("records")
    ]
    interval = [
        f"{lo / scale:,.0f}{SPACE}to{SPACE}{hi / scale:,.0f}" if pd.notna(lo) else None
        for lo, hi in zip(rows["lo80"], rows["hi80"], strict=True)
    ]
    money = {"call": "call", "below": "below", "± below": "gap_below", "model": "model", "± model": "gap_model"}
    shown = pd.DataFrame({"who": named(rows), **{name: rows[column] / scale for name, column in money.items()}})
    shown.insert(2, "by", rows["author"])
    shown.insert(4, "calls", counts)
    shown.insert(7, "80 %", interval)
    formats = {name: "+,.0f" if name.startswith("±") else ",.0f" for name in money}
    return table(shown, f"Calls of the quarter, {unit}", formats=formats, rows=MOST_ROWS)


def quota_table(rows: pd.DataFrame, currency: str, reps: bool = False) -> HtmlTable:
    """Booked, model, call, their mix by trust where it is known, quota, the gap to it; reps only if asked for, as in `calls_figure`."""
    scale, unit = _scale(rows, currency)
    rows = _without_reps(rows, reps)
    money = {"booked": "booked", "model": "model", "call": "call", "by trust": "mix", "quota": "quota", "to quota": "gap_quota"}
    shown = pd.DataFrame({name: rows[column] / scale for name, column in money.items() if column in rows})
    shown.insert(0, "who", named(rows))
    formats = {name: "+,.0f" if name == "to quota" else ",.0f" for name in shown.columns[1:]}
    return table(shown, f"Beside the quota, {unit}", formats=formats, rows=MOST_ROWS)


def tie_out_table(tied: pd.DataFrame, currency: str, parts: Mapping[str, str], reps: bool = False) -> HtmlTable:
    """Won by CRM, booked by finance and what makes the difference; `workflows.calls.ForecastCall.tie_out`, parts in words.

    The frame is exact to the cent, the table shows whole units. A part that is 0 everywhere is left out; reps only if asked for, as
    in `calls_figure`.
    """
    rows = _without_reps(tied, reps)
    empty = [name for name in parts if not rows[name].any()]
    names = {"crm": "won", "finance": "booked", "difference": "difference"}
    names |= {name: words for name, words in parts.items() if name not in empty}
    shown = rows[[*names]].rename(columns=names)
    shown.insert(0, "who", named(rows))
    formats = dict.fromkeys(names.values(), ",.0f") | {"difference": "+,.0f"}
    return table(shown, f"Won by CRM and booked by finance in the quarter, whole {currency}", formats=formats, rows=MOST_ROWS)


def record_tables(figures: pd.DataFrame, weeks: pd.DataFrame, currency: str) -> tuple[HtmlTable, HtmlTable]:
    """How good calls were, by person and by week of the quarter; `workflows.call_record.CallRecord.figures` and `.weeks`."""
    formats = {"error": ".1%", "bias": "+.1%", "model": ".1%", "added": "+,.1f"}
    scale, unit, found = 1_000, f"thousand {currency}", []
    if not (figures["added"].abs() >= THOUSANDS_FROM / 100).any():
        scale, unit = 1, currency
    for frame, key, caption in ((figures, "author", "By person"), (weeks, "week", "By week of the quarter, everybody's")):
        interval = [
            f"{lo / scale:+,.1f}{SPACE}to{SPACE}{hi / scale:+,.1f}" if pd.notna(lo) else None
            for lo, hi in zip(frame["lo"], frame["hi"], strict=True)
        ]
        shown = pd.DataFrame(
            {
                "who": frame["level"] + f",{SPACE}" + (f"week{SPACE}" if key == "week" else "") + frame[key].astype("str"),
                "calls": frame["calls"], "error": frame["wape"], "bias": frame["bias"],
                "model": frame["model_wape"], "added": frame["added"] / scale, "95 % interval": interval,
                "verdict": frame["verdict"].str.replace(" than the model", "").str.replace(" ", SPACE),
            }
        )  # fmt: skip
        told = f"{caption}: error (WAPE) of calls and model, value added in {unit} a call"
        found.append(table(shown, told, formats=formats, rows=MOST_ROWS))
    return found[0], found[1]


def trust_table(trust: pd.DataFrame, mixes: pd.DataFrame) -> HtmlTable:
    """Learnt bias and weight of each person, and how call, model and mix fared on quarters not learnt from; a `CallRecord`'s frames."""
    both = trust.merge(mixes.drop(columns="quarters"), "left", ["author", "level"])
    names = {"call_wape": "call", "corrected_wape": "corrected", "model_wape": "model", "mix_wape": "mix"}
    both["verdict"] = both["verdict"].str.replace(" ", SPACE)
    shown = both[["quarters", "bias", "weight", *names, "verdict"]].rename(columns=names)
    shown.insert(0, "who", both["level"] + f",{SPACE}" + both["author"])
    formats = {"bias": "+.1%", "weight": ".0%", **dict.fromkeys(names.values(), ".1%")}
    told = "How far each call is trusted, and the errors (WAPE) of call, corrected call, model and mix"
    return table(shown, told, formats=formats, rows=MOST_ROWS)


def named(rows: pd.DataFrame) -> pd.Series:
    """Nodes with their level, indented by depth and not to be broken: company, region West, …"""
    told = rows["level"].where(rows["level"] == "company", rows["level"] + " " + rows["label"])
    plain = [SPACE * 2 * depth + name.replace(" ", SPACE) for depth, name in zip(rows["depth"], told, strict=True)]
    return pd.Series(plain, rows.index, dtype="object")


def _without_reps(rows: pd.DataFrame, reps: bool) -> pd.DataFrame:
    others = rows["level"].ne("rep")
    return rows if reps or others.sum() <= 1 else rows[others]


def _scale(rows: pd.DataFrame, currency: str) -> tuple[int, str]:
    large = (rows[["model", "call", "quota"]].head(1) >= THOUSANDS_FROM).any(axis=None)
    return (1_000, f"thousand {currency}") if large else (1, currency)
