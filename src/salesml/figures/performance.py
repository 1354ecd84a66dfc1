"""Tables and charts of performance for notebooks and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from salesml.figures.forecast import BLUE, GREY, finished
from salesml.figures.tables import HtmlTable, table

_FORMATS = {"share": ".1%", "count": ",.0f", "days": ",.0f", "hours": ",.1f", "money": ",.0f", "money a day": ",.0f", "ratio": ",.2f"}
_SIGNS = {True: "better", False: "worse"}


@dataclass(frozen=True)
class Names:
    """What measures are called and counted in: `meanings` has measure, title, unit, what it is, better, one row a measure."""

    meanings: pd.DataFrame
    currency: str

    def of(self, name: str, column: str) -> str:
        """A column of a measure's row; "" for what is no measure."""
        found = self.meanings.loc[self.meanings["measure"] == name, column]
        return str(found.iloc[0]) if len(found) else ""

    def unit(self, name: str) -> str:
        """The unit of a measure, money in its currency."""
        found = self.of(name, "unit")
        return {"money": self.currency, "money a day": f"{self.currency} a day", "ratio": "times", "count": ""}.get(found, found)

    def told(self, name: str, value: Any) -> str:
        """A figure as a reader wants it; – where it is missing."""
        return "–" if value is None or pd.isna(value) else format(float(value), _FORMATS.get(self.of(name, "unit"), ",.2f"))


def figures_table(rows: pd.DataFrame, names: Names) -> HtmlTable:
    """Each measure now, before as known now and as it looked then, and whether the change is for the better."""
    shown = []
    for row in rows.to_dict("records"):
        name = str(row["measure"])
        shown.append({
            "measure": names.of(name, "title"), "unit": names.unit(name), "now": names.told(name, row["now"]),
            "before": names.told(name, row["before"]), "as it looked then": names.told(name, row["then"]),
            "change": "" if pd.isna(row["share"]) else format(row["share"], "+.0%"),
            "which is": "" if pd.isna(row["better"]) else _SIGNS[bool(row["better"])],
        })  # fmt: skip
    return table(pd.DataFrame(shown), "Beside the period before")


def slices_table(rows: pd.DataFrame, by: str, names: Names) -> HtmlTable:
    """Measures by a dimension."""
    return _measures(rows, f"By {by}", names)


def months_table(rows: pd.DataFrame, names: Names) -> HtmlTable:
    """Measures by month, the newest first."""
    newest = rows.sort_values("period", ascending=False, ignore_index=True)
    return _measures(newest.assign(period=newest["period"].dt.strftime("%Y-%m")).rename(columns={"period": "month"}), "By month", names)


def months_figure(rows: pd.DataFrame, names: Names) -> go.Figure:
    """Revenue and bookings by month."""
    figure = go.Figure()
    for name, style in (("revenue", {"color": BLUE}), ("bookings", {"color": GREY, "dash": "dot"})):
        amounts = rows[name].astype("float64")
        figure.add_scatter(x=rows["period"], y=amounts, mode="lines+markers", name=names.of(name, "title"), line=style)
    alt = "No whole month is known."
    if len(rows):
        first, last = rows.iloc[0], rows.iloc[-1]
        alt = f"Revenue from {first.revenue:,.0f} {names.currency} in {first.period:%Y-%m} to {last.revenue:,.0f} in {last.period:%Y-%m}."
    figure.update_layout(yaxis={"title": names.currency, "rangemode": "tozero"}, xaxis_title="month")
    return finished(figure, "Revenue and bookings by month", alt)


def meanings_table(names: Names) -> HtmlTable:
    """What each measure is, in words."""
    return table(names.meanings[["title", "what it is", "better"]].rename(columns={"title": "measure"}), "Measures")


def _measures(rows: pd.DataFrame, caption: str, names: Names) -> HtmlTable:
    kept = [str(name) for name in rows if names.of(str(name), "title") or name == rows.columns[0]]
    called = {name: names.of(name, "title").lower() or name for name in kept}
    units = {called[name]: names.unit(name) for name in kept if names.unit(name)}
    formats = {called[name]: _FORMATS.get(names.of(name, "unit"), ",.2f") for name in kept if names.of(name, "unit")}
    return table(rows[kept].rename(columns=called), caption, units=units, formats=formats)
