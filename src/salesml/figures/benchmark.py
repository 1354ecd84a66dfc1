"""Reps beside their peers as SVG that needs no script: each with its interval, the spread of all, and a series with its change.

Drawn 420 units wide with type of 14, so that it can be read on a phone; colours follow light and dark, and each has a sign beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from salesml.figures.tables import HtmlTable, table

WIDTH, NAMES, VALUES, ROW = 420, 142, 70, 22
MOST_REPS = 80
SIGNS = {"above peers": "▲", "below peers": "▼", "not told apart": "·"}
SPACE = "\N{NO-BREAK SPACE}"
STYLE = (
    ".bm text{font:14px system-ui,sans-serif;fill:#1b1f24}.bm .soft{fill:#57606a}.bm .small{font-size:13px}"
    ".bm .group,.bm .peers{font-weight:600}.bm .group{font-size:15px}"
    ".bm .grid{stroke:#d0d7de}.bm .median{stroke:#57606a;stroke-width:2;stroke-dasharray:4 3}.bm .span{stroke:#7d8590;stroke-width:3}"
    ".bm .dot{fill:#57606a}.bm .raw{fill:none;stroke:#7d8590;stroke-width:1.5}.bm .good{fill:#0b5cad;stroke:#0b5cad}"
    ".bm .bad{fill:#b4540a;stroke:#b4540a}.bm .line{fill:none;stroke:#7d8590;stroke-width:1.5}.bm .level{stroke:#0b5cad;stroke-width:3}"
    ".bm .when{fill:#d5762b;fill-opacity:.25}.bm text.good,.bm text.bad{stroke:none}"
    "@media (prefers-color-scheme:dark){.bm text{fill:#e8ebef}.bm .soft{fill:#a4adb8}.bm .grid{stroke:#363d46}.bm .median{stroke:#a4adb8}"
    ".bm .dot{fill:#a4adb8}.bm .good{fill:#7cb7ff;stroke:#7cb7ff}.bm .bad{fill:#f0a35e;stroke:#f0a35e}.bm .level{stroke:#7cb7ff}}"
)


@dataclass(frozen=True)
class Svg:
    """A drawing that a notebook displays, with its text alternative."""

    svg: str
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        return {"image/svg+xml": self.svg, "text/plain": self.alt}, {"image/svg+xml": {"alt": self.alt}}


def said(value: Any, unit: str) -> str:
    """A figure in words: shares as percentages, money with its currency, days and hours by name; – where there is none."""
    if value is None or not math.isfinite(float(value)):
        return "–"
    value = float(value)
    if unit == "share":
        return f"{100 * value:.0f}{SPACE}%"
    if unit in ("days", "hours", "minutes"):
        return f"{value:,.0f}{SPACE}{unit}" if abs(value) >= 9.95 else f"{value:.1f}{SPACE}{unit}"
    if unit in ("count", "ratio"):
        return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}" if unit == "count" else f"{value:.2f}"
    size, letter = next(((s, f"{SPACE}{w}") for s, w in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if abs(value) >= s), (1.0, ""))
    scaled = value / size
    return f"{scaled:.{0 if abs(scaled) >= 99.5 else 1}f}{letter}{SPACE}{unit}"


def caterpillar(rows: pd.DataFrame, unit: str, title: str) -> Svg:
    """Each rep's shrunken level with its 90 % interval, the median of the group as a dashed line, the figure as counted as a ring.

    rows: one measure's of `analytics.benchmark.Benchmark.rows`; at most 80 reps are drawn, those most surely apart first. unit: share,
    days, hours, minutes, count, ratio, or the currency.
    """
    known = rows[rows["shrunken"].notna()]
    if known.empty:
        return _drawn([], 60, f"{title}: nothing is known of it in this period.", told=True)
    known = known.loc[(known["p_above"] - 0.5).abs().sort_values(ascending=False, kind="stable").index[:MOST_REPS]]
    values = np.r_[known["lo"], known["hi"], known["comparable"].dropna().clip(upper=3 * known["hi"].max())]
    ticks = _ticks(float(values.min()), float(values.max()))
    x = _across(ticks, NAMES, WIDTH - VALUES)
    parts = [_title(title)]
    at = 32.0
    for group, mine in known.groupby("peers", sort=True):
        mine = mine.sort_values("shrunken", ascending=False, kind="stable")
        at += 16
        parts.append(f'<text class="peers" x="0" y="{at:.0f}">{escape(_short(str(group), 46))} ({len(mine)})</text>')
        at += 8
        end = at + ROW * len(mine)
        parts += [f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{at:.0f}" y2="{end:.0f}"/>' for tick in ticks]
        median = float(mine["shrunken"].median())
        parts.append(f'<line class="median" x1="{x(median):.1f}" x2="{x(median):.1f}" y1="{at:.0f}" y2="{end:.0f}"/>')
        for row in mine.to_dict("records"):
            parts.append(_rep(row, at + ROW / 2, x, unit, ticks[-1]))
            at += ROW
    at += 18
    parts += _labels(ticks, x, at, unit)
    alt = f"{title}: {_told(rows, unit)}"
    return _drawn(parts, at + 10, alt)


def strip(rows: pd.DataFrame, unit: str, title: str) -> Svg:
    """The spread of all reps: as counted and shrunken, a dot each, with the middle half as a bar; rows as in `caterpillar`."""
    known = rows[rows["shrunken"].notna()]
    if known.empty:
        return _drawn([], 60, f"{title}: nothing is known of it in this period.", told=True)
    lines = (("as counted", known["comparable"].dropna(), "raw"), ("shrunken", known["shrunken"], "dot"))
    values = np.concatenate([line.to_numpy("float64") for _, line, _ in lines])
    ticks = _ticks(float(values.min()), float(values.max()))
    left = 86
    x = _across(ticks, left, WIDTH - 16)
    parts, told = [_title(title)], []
    for place, (name, line, kind) in enumerate(lines):
        y = 52 + 46 * place
        parts.append(f'<text x="0" y="{y + 5}">{name}</text>')
        if line.empty:
            continue
        low, middle, high = np.quantile(line, [0.25, 0.5, 0.75])
        parts.append(f'<line class="span" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y + 17}" y2="{y + 17}"/>')
        parts.append(f'<line class="median" x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{y - 14}" y2="{y + 20}"/>')
        parts += [f'<circle class="{kind}" cx="{x(value):.1f}" cy="{y + 8 * math.sin(2.4 * i):.1f}" r="4" fill-opacity=".6"/>'
                  for i, value in enumerate(line.sort_values())]  # fmt: skip
        told.append(f"{name}: half of the reps lie from {said(low, unit)} to {said(high, unit)}, all from {said(line.min(), unit)} to "
                    f"{said(line.max(), unit)}")  # fmt: skip
    parts += _labels(ticks, x, 144, unit)
    return _drawn(parts, 154, f"{title}, {len(known):,} reps. {'; '.join(told)}.")


def trend_figure(series: pd.DataFrame, found: pd.Series, unit: str, title: str) -> Svg:
    """A monthly series with its levels and, where a step was told, the months in which it lies; series: month, value.

    found: a row of `workflows.benchmark.RepsBenchmark.trends`.
    """
    known = series.dropna(subset="value").sort_values("month")
    if known.empty:
        return _drawn([], 60, f"{title}: no month is known.", told=True)
    months = [pd.Timestamp(day) for day in known["month"]]
    place = np.array([day.year * 12 + day.month for day in months])
    values = known["value"].to_numpy("float64")
    ticks = _ticks(min(float(values.min()), 0.0), float(values.max()))
    height, left, right, top, bottom = 232, 66, 10, 52, 28
    x = lambda month: left + (month - place[0]) / max(place[-1] - place[0], 1) * (WIDTH - left - right)  # noqa: E731
    y = lambda value: top + (1 - (value - ticks[0]) / (ticks[-1] - ticks[0])) * (height - top - bottom)  # noqa: E731
    parts = [_title(title), f'<text class="soft small" x="0" y="36">{escape(_in_short(found, unit))}</text>']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="soft small" x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{escape(brief(tick, unit))}</text>')
    every = max(1, math.ceil(len(months) / 5))
    for i in range(len(months) - 1, -1, -every):
        anchor = "end" if i == len(months) - 1 else "middle"
        parts.append(f'<text class="soft small" x="{x(place[i]):.1f}" y="{height - 8}" text-anchor="{anchor}">{months[i]:%b %y}</text>')
    if found["shape"] == "step":
        ends = [x(_number(found[name])) for name in ("at_lo", "at_hi", "at")]
        wide = max(ends[1] - ends[0], 3)
        parts.append(f'<rect class="when" x="{ends[0]:.1f}" y="{top}" width="{wide:.1f}" height="{height - top - bottom}"/>')
        parts.append(_line(x(place[0]), y(found["before"]), ends[2], y(found["before"])))
        parts.append(_line(ends[2], y(found["after"]), x(place[-1]), y(found["after"])))
    elif found["shape"] == "slope":
        parts.append(_line(x(place[0]), y(found["before"]), x(place[-1]), y(found["after"])))
    points = " ".join(f"{x(month):.1f},{y(value):.1f}" for month, value in zip(place, values, strict=True))
    parts.append(f'<polyline class="line" points="{points}"/>')
    for month, value, day in zip(place, values, months, strict=True):
        told = f"{day:%B %Y}: {escape(said(value, unit))}"
        parts.append(f'<circle class="dot" cx="{x(month):.1f}" cy="{y(value):.1f}" r="3"><title>{told}</title></circle>')
    return _drawn(parts, height, f"{title}: {trend_words(found, unit)}")


def trend_figures(trends: pd.DataFrame, series: pd.DataFrame, unit: str, title: str, most: int = 4) -> list[Svg]:
    """The company's series, and those of the teams and reps with the surest changes told; a `RepsBenchmark`'s frames."""
    told = trends[trends["told"] & trends["level"].ne("company")].sort_values("p_value", kind="stable").head(most)
    drawn = []
    for _, found in pd.concat([trends.head(1), told]).iterrows():
        mine = series[(series["level"] == found["level"]) & (series["name"] == found["name"])]
        who = "company" if found["level"] == "company" else f"{found['level']} {found['label']}"
        drawn.append(trend_figure(mine, found, unit, f"{title}, {who}"))
    return drawn


def trend_words(found: pd.Series, unit: str) -> str:
    """A trend in one sentence."""
    if found["verdict"] == "too short to tell":
        return f"too short to tell, {found['months']:.0f} months are known and 12 are needed."
    if found["shape"] == "none":
        less = f"; a step of less than {_gap(found['unseen'], unit)} would often go unseen" if pd.notna(found["unseen"]) else ""
        return f"no change is told over {found['months']:.0f} months{less}."
    levels = f"from about {said(found['before'], unit)} to {said(found['after'], unit)}"
    if found["shape"] == "slope":
        return f"{found['verdict']} steadily, {levels} over {found['months']:.0f} months."
    first, last = (f"{pd.Timestamp(found[name]):%B %Y}" for name in ("at_lo", "at_hi"))
    between = f"in {first}" if first == last else f"between {first} and {last}"
    return f"{found['verdict']}, {levels} since {pd.Timestamp(found['at']):%B %Y} (with 90 % {between})."


def _in_short(found: pd.Series, unit: str) -> str:
    if found["shape"] == "none":
        return "too short to tell" if found["verdict"] == "too short to tell" else "no change is told"
    since = f"since {pd.Timestamp(found['at']):%b %Y}" if found["shape"] == "step" else "steadily"
    return f"{found['verdict']} {since}: {said(found['before'], unit)} to {said(found['after'], unit)}"


def benchmark_table(rows: pd.DataFrame, unit: str, title: str) -> HtmlTable:
    """Reps by group with what was counted, what it is worth, rank, team, own past, quota and verdict; rows as in `caterpillar`."""
    rows = rows.sort_values(["peers", "shrunken"], ascending=[True, False], kind="stable")
    shown = pd.DataFrame({
        "rep": rows["name"].str.replace(" ", SPACE),
        "verdict": [f"{SIGNS[one]}{SPACE}{one.replace(' ', SPACE)}" for one in rows["verdict"]],
        "counted": [said(value, unit) for value in rows["value"]], "from": rows["n"],
        "shrunken, 90 %": [f"{said(row['shrunken'], unit)} ({span(row['lo'], row['hi'], unit)})" for row in rows.to_dict("records")],
        "rank, 90 %": [_rank(row) for row in rows.itertuples()],
        "team": [said(value, unit) for value in rows["team_value"]],
        "own past": [f"{said(value, unit)}" + (f"{SPACE}({n:,.0f})" if n > 0 else "")
                     for value, n in zip(rows["own_before"], rows["own_before_n"], strict=True)],
        "quota reached": [said(value, "share") for value in rows["quota_attainment"]], "peers": rows["peers"].str.replace(" ", SPACE),
    })  # fmt: skip
    return table(shown, title, rows=200)


def differences_table(found: pd.DataFrame, title: str) -> HtmlTable:
    """What the best reps do differently; `analytics.benchmark_behaviour.differences`."""
    shown = pd.DataFrame({
        "behaviour": found["behaviour"], "unit": found["unit"], "best": found["best"], "others": found["rest"],
        "difference in deviations, 90 %": [
            f"{row.standardised:+.2f}{SPACE}({row.standardised_lo:+.2f}{SPACE}to{SPACE}{row.standardised_hi:+.2f})"
            for row in found.itertuples()
        ],
        "told apart": ["yes" if told else "no" for told in found["told"]], "kind": found["label"],
    })  # fmt: skip
    return table(shown, title, formats={"best": ".2f", "others": ".2f"})


def trends_table(found: pd.DataFrame, unit: str, title: str) -> HtmlTable:
    """Whose series changed, when, and by how much, those that did first; `workflows.benchmark.RepsBenchmark.trends`."""
    quiet = found["shape"].eq("none")
    found = found.assign(**{name: found[name].mask(quiet) for name in ("before", "after")})
    found = found.loc[quiet.sort_values(kind="stable").index]
    shown = pd.DataFrame({
        "who": [
            "company" if row.level == "company" else f"{row.level}{SPACE}{row.label}".replace(" ", SPACE) for row in found.itertuples()
        ],
        "trend": found["verdict"],
        "since": [None if value is None or pd.isna(value) else f"{pd.Timestamp(value):%b %Y}" for value in found["at"]],
        "from": [said(value, unit) for value in found["before"]], "to": [said(value, unit) for value in found["after"]],
        "would go unseen": [_gap(value, unit) for value in found["unseen"]], "months": found["months"],
    })  # fmt: skip
    return table(shown, title, rows=100)


def _rep(row: dict[Any, Any], y: float, x: Any, unit: str, top: float) -> str:
    apart = row["verdict"] != "not told apart"
    kind = "dot" if not apart else "dot" if pd.isna(row["better"]) else "good" if row["better"] else "bad"
    name = f"{_short(str(row['name']), 15)}"
    told = f"{row['name']}: {said(row['shrunken'], unit)}, 90 % {span(row['lo'], row['hi'], unit)}; counted {said(row['comparable'], unit)}"
    parts = [f'<g><title>{escape(told)} from {row["n"]:,}; {row["verdict"]}</title><text x="0" y="{y + 5:.1f}">{escape(name)}</text>']
    parts.append(f'<text class="soft small" x="{NAMES - 10}" y="{y + 5:.1f}" text-anchor="end">{row["n"]:,}</text>')
    ends = f'x1="{x(row["lo"]):.1f}" x2="{x(row["hi"]):.1f}"'
    parts.append(f'<line class="span {kind if apart else ""}" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
    if pd.notna(row["comparable"]):
        parts.append(f'<circle class="raw" cx="{x(min(row["comparable"], top)):.1f}" cy="{y:.1f}" r="3.5"/>')
    parts.append(f'<circle class="{kind}" cx="{x(row["shrunken"]):.1f}" cy="{y:.1f}" r="5"/>')
    sign = f'<tspan class="{kind}">{SIGNS[row["verdict"]]}</tspan>' if apart else ""
    parts.append(f'<text x="{WIDTH - 2}" y="{y + 5:.1f}" text-anchor="end">{escape(brief(row["shrunken"], unit))} {sign}</text></g>')
    return "".join(parts)


def _told(rows: pd.DataFrame, unit: str) -> str:
    words = []
    for verdict in ("above peers", "below peers"):
        mine = rows[rows["verdict"] == verdict].sort_values("p_above")
        if len(mine):
            names = [f"{row.name_} ({said(row.shrunken, unit)})" for row in mine.rename(columns={"name": "name_"}).head(6).itertuples()]
            more = f" and {len(mine) - 6} more" if len(mine) > 6 else ""
            words.append(f"{verdict}: {', '.join(names)}{more}")
    left = int((rows["verdict"] == "not told apart").sum())
    return "; ".join([*words, f"{left:,} of {len(rows):,} reps are not told apart from their peers"]) + "."


def _labels(ticks: Sequence[float], x: Any, at: float, unit: str) -> list[str]:
    every = 1 if len(ticks) <= 4 else 2
    place = 'class="soft small" text-anchor="middle"'
    return [f'<text {place} x="{x(tick):.1f}" y="{at:.0f}">{escape(brief(tick, unit))}</text>' for tick in ticks[::every]]


def _drawn(parts: list[str], height: float, alt: str, told: bool = False) -> Svg:
    body = f'<text x="0" y="24">{escape(_short(alt, 52))}</text>' if told else "".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bm" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(alt)}"><style>{STYLE}</style>{body}</svg>'
    )
    return Svg(svg, alt)


def _title(title: str) -> str:
    return f'<text class="group" x="0" y="16">{escape(_short(title, 52))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="level" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _across(ticks: Sequence[float], left: float, right: float) -> Any:
    return lambda value: left + (float(value) - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `count` steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        low, high = low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power * count >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, last + 1)]


def brief(value: float, unit: str) -> str:
    """A figure without its unit where that is no part of the number."""
    told = re.sub(f"{SPACE}(days|hours|minutes|[A-Z]{{3}}( a day)?)$", "", said(value, unit))
    return told.replace(f".0{SPACE}", SPACE).removesuffix(".0")


def span(lo: float, hi: float, unit: str) -> str:
    """An interval in words, its unit said once."""
    return f"{brief(lo, unit)}{SPACE}to{SPACE}{said(hi, unit)}"


def _gap(value: float, unit: str) -> str:
    return f"{100 * value:.0f}{SPACE}points" if unit == "share" and pd.notna(value) else said(value, unit)


def _rank(row: Any) -> str | None:
    span = f"({100 * row.rank_lo:.0f}{SPACE}to{SPACE}{100 * row.rank_hi:.0f})"
    return None if pd.isna(row.rank) else f"{100 * row.rank:.0f}{SPACE}{span}"


def _number(day: Any) -> int:
    at = pd.Timestamp(day)
    return at.year * 12 + at.month


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
