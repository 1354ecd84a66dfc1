"""Charts and tables of activities as SVG and HTML without a script: weeks by type, answers by hour of the week, intervals, hints.

Drawn 420 units wide with type of 13 and more, to be read on a phone; colours follow light and dark, and no colour stands without words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from salesml.figures.benchmark import SPACE, WIDTH, Svg
from salesml.figures.tables import MISSING, HtmlTable, table

SHADES = ("#3b82c4", "#d5762b", "#5a9c6e", "#8a6fb0", "#b58900", "#7d8590")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LEAST_MESSAGES = 5
Row = tuple[str, float, float, float, float | None]
Group = tuple[str, str, bool, list[Row]]
"""A name, what is said of it, whether it is told apart, and its rows: label, value, lo, hi, as counted."""
SCALE = ("#e3f0fb", "#b7d5f0", "#82b4e0", "#3f7fbd", "#1f4f82")
"""From quick to slow; dark words stand on the first three, light ones on the last two."""
STYLE = (
    ".ac text{font:14px system-ui,sans-serif;fill:#1b1f24}.ac .soft{fill:#57606a}.ac .small{font-size:13px}.ac .group{font-weight:600}"
    ".ac .grid{stroke:#d0d7de}.ac .span{stroke:#57606a;stroke-width:3}.ac .span.apart{stroke:#0b5cad}.ac .dot{fill:#57606a}"
    ".ac .dot.apart{fill:#0b5cad}.ac .raw{fill:none;stroke:#7d8590;stroke-width:1.5}.ac .empty{fill:none;stroke:#d0d7de}"
    ".ac .dark{fill:#10202f}.ac .light{fill:#fff}"
    "@media (prefers-color-scheme:dark){.ac text{fill:#e8ebef}.ac .soft{fill:#a4adb8}.ac .grid,.ac .empty{stroke:#363d46}"
    ".ac .span{stroke:#a4adb8}.ac .span.apart{stroke:#7cb7ff}.ac .dot{fill:#a4adb8}.ac .dot.apart{fill:#7cb7ff}.ac .dark{fill:#10202f}"
    ".ac .light{fill:#fff}}"
)


def weeks_figure(weeks: pd.DataFrame, title: str = "Activities a week, by type") -> Svg:
    """Activities of each week as stacked bars, the most frequent type at the bottom; `workflows.activity`'s weeks."""
    if weeks.empty:
        return _drawn([], 60, f"{title}: none are recorded.", told=True)
    wide = weeks.pivot_table("activities", "period", "activity_type", "sum", fill_value=0).sort_index()
    wide = wide[wide.sum().sort_values(ascending=False, kind="stable").index]
    total = wide.sum(axis=1)
    ticks = _ticks(float(total.max()))
    left, right, height = 52, 8, 230
    parts, at = [_title(title)], 0.0
    for place, name in enumerate(wide.columns):
        side, at = (place % 3) * 138, 54.0 + 20 * (place // 3)
        parts.append(f'<rect x="{side}" y="{at - 24:.0f}" width="12" height="12" fill="{_shade(place)}"/>')
        parts.append(f'<text class="small" x="{side + 18}" y="{at - 13:.0f}">{escape(str(name))} {wide[name].sum():,}</text>')
    top, bottom = at + 10, at + height - 30
    for tick in ticks:
        y = bottom - (bottom - top) * tick / ticks[-1]
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="soft small" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,.0f}</text>')
    step = (WIDTH - left - right) / len(wide)
    every = max(1, math.ceil(len(wide) / 5))
    for number, (day, row) in enumerate(wide.iterrows()):
        x, y = left + step * number + step * 0.12, bottom
        told = ", ".join(f"{name} {count:,}" for name, count in row.items() if count)
        parts.append(f"<g><title>Week of {_day(day)}: {escape(told)}</title>")
        for place, count in enumerate(row):
            size = (bottom - top) * count / ticks[-1]
            y -= size
            box = f'x="{x:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{size:.1f}"'
            parts.append(f'<rect {box} fill="{_shade(place)}"/>')
        parts.append("</g>")
        if number % every == 0:
            parts.append(_tick(x + step * 0.38, bottom + 18, _day(day)))
    shares = ", ".join(f"{name} {wide[name].sum() / total.sum():.0%}" for name in wide)
    alt = (
        f"{title}: {len(wide)} weeks from that of {_day(wide.index[0])}, from {total.min():,} to {total.max():,} a week; {shares}. "
        "The last week may not be over."
    )
    return _drawn(parts, bottom + 28, alt)


def hours_figure(hours: pd.DataFrame, zone: str, block: int = 3, title: str = "Hours to an answer, by when the message came") -> Svg:
    """Median hours to an answer as a heat map of the week in blocks of hours; `analytics.activity_response.by_hour` of that block."""
    known = hours[hours["messages"].ge(LEAST_MESSAGES) & hours["hours"].notna()]
    if known.empty:
        return _drawn([], 60, f"{title}: too few messages.", told=True)
    starts = list(range(int(hours["hour"].min()), int(hours["hour"].max()) + 1, block))
    left, top, high = 44, 66, 30
    wide = (WIDTH - left) / len(starts)
    edges = list(known["hours"].quantile([0.2, 0.4, 0.6, 0.8]))
    cells = known.set_index(["weekday", "hour"])
    parts = [_title(title), f'<text class="soft small" x="0" y="36">median hours; {escape(zone)} time; darker is slower</text>']
    for column, start in enumerate(starts):
        parts.append(_tick(left + wide * (column + 0.5), top - 8, f"{start}–{start + block}"))
    days = [day for day in DAYS if day in set(hours["weekday"])]
    for row, day in enumerate(days):
        y = top + high * row
        parts.append(f'<text class="small" x="0" y="{y + 20}">{day[:3].title()}</text>')
        for column, start in enumerate(starts):
            x = left + wide * column
            box = f'x="{x + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{high - 2}"'
            when = _when((day, start), block)
            if (day, start) not in cells.index:
                parts.append(f'<rect class="empty" {box}><title>{when}: fewer than {LEAST_MESSAGES} messages</title></rect>')
                continue
            cell: Any = cells.loc[(day, start)]
            level = sum(cell["hours"] > edge for edge in edges)
            told = f"{when}: {cell['messages']:,.0f} messages, half of the answers within {cell['hours']:.1f} hours"
            parts.append(f'<g><title>{told}</title><rect {box} fill="{SCALE[level]}"/>')
            place = f'class="small {"dark" if level < 3 else "light"}" x="{x + wide / 2:.1f}" y="{y + 20}"'
            parts.append(f'<text {place} text-anchor="middle">{_hours(cell["hours"])}</text></g>')
    fast, slow = (cells["hours"].idxmin(), cells["hours"].idxmax())
    alt = (
        f"{title}, {zone} time: fastest {_when(fast, block)}, {cells['hours'].min():.1f} hours in the middle; "
        f"slowest {_when(slow, block)}, {cells['hours'].max():.1f} hours. Blocks of fewer than {LEAST_MESSAGES} messages are empty."
    )
    return _drawn(parts, top + high * len(days) + 8, alt)


def bands_figure(bands: pd.DataFrame, contrasts: pd.DataFrame, days: int, window: int) -> Svg:
    """Win rates by band of each behaviour: adjusted with its 90 % interval (dot), as counted (ring), and whether told apart.

    `analytics.activity_outcomes.associations` of deals at their landmark, `days` after they came to be.
    """
    title = f"Won within {window} days, by the first {days} days"
    if bands.empty:
        return _drawn([], 60, f"{title}: too few deals.", told=True)
    groups: list[Group] = []
    told = []
    for row in contrasts.to_dict("records"):
        mine = bands[bands["behaviour"] == row["behaviour"]]
        rows: list[Row] = [(f"{one['band']} ({one['deals']:,})", one["adjusted"], one["adjusted_lo"], one["adjusted_hi"], one["share"])
                for one in mine.to_dict("records")]  # fmt: skip
        verdict = f"{100 * row['difference']:+.0f} points ({100 * row['lo']:+.0f} to {100 * row['hi']:+.0f})".replace("-", "\N{MINUS SIGN}")
        apart = "told apart" if row["told"] else "not told apart"
        groups.append((row["title"], f"last against first: {verdict}, {apart}", bool(row["told"]), rows))
        told.append(f"{row['title'].lower()}: {verdict}, {apart}")
    alt = f"{title}, correlational, adjusted, last band against first: {'; '.join(told)}."
    note = "dot: adjusted, 90 % interval; ring: as counted; (deals)"
    return _intervals(title, note, groups, alt, lambda value: f"{100 * value:.0f}{SPACE}%")


def cadence_figure(rates: pd.DataFrame, ratios: pd.DataFrame) -> Svg:
    """Share of deals that move on in a week by days since the last touch, stage by stage; `analytics.activity_cadence.advancing`."""
    title = "Moves to a later stage or a win, per deal and week"
    known = rates[rates["lo"].notna()]
    if known.empty:
        return _drawn([], 60, f"{title}: too few moves.", told=True)
    groups: list[Group] = []
    told = []
    for row in ratios.to_dict("records"):
        mine = known[known["stage"] == row["stage"]].to_dict("records")
        if not mine:
            continue
        ratio = "too few moves after long silence to compare"
        if pd.notna(row["ratio"]):
            ratio = f"within a week {row['ratio']:.1f} × over two ({row['lo']:.1f} to {row['hi']:.1f})"
            ratio += ", told apart" if row["told"] else ", not told apart"
            told.append(f"{row['stage']}: {ratio}")
        drawn: list[Row] = [(one["band"], one["a_week"], one["lo"], one["hi"], None) for one in mine]
        groups.append((str(row["stage"]), ratio, bool(row["told"]), drawn))
    compared = "; ".join(told) or "No stage can be compared"
    alt = f"{title}, by days since the last touch, correlational; ratios at equal time in the stage. {compared}."
    return _intervals(title, "by last touch, with 90 % intervals", groups, alt, lambda value: f"{value:.2f}")


def _intervals(title: str, note: str, groups: list[Group], alt: str, say: Callable[[float], str]) -> Svg:
    """Rows of dots with intervals in named groups, on one scale."""
    left, right, row_high = 158, 54, 22
    ends = [value for *_, rows in groups for _, _, lo, hi, raw in rows for value in (lo, hi, hi if raw is None else raw)]
    ticks = _ticks(max(ends), min(ends))
    across = (WIDTH - left - right) / (ticks[-1] - ticks[0])

    def x(value: float) -> float:
        return left + across * (value - ticks[0])

    parts, at = [_title(title), f'<text class="soft small" x="0" y="38">{escape(note)}</text>'], 50.0
    for name, verdict, apart, rows in groups:
        parts.append(f'<text class="group" x="0" y="{at + 16:.0f}">{escape(name)}</text>')
        parts.append(f'<text class="soft small" x="0" y="{at + 34:.0f}">{escape(verdict)}</text>')
        at += 42
        end = at + row_high * len(rows)
        parts += [f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{at:.0f}" y2="{end:.0f}"/>' for tick in ticks]
        kind = " apart" if apart else ""
        for label, value, lo, hi, raw in rows:
            y = at + row_high / 2
            counted = f"; as counted {say(raw)}" if raw is not None else ""
            parts.append(f"<g><title>{escape(f'{name}, {label}: {say(value)}, 90 % {say(lo)} to {say(hi)}{counted}')}</title>")
            parts.append(f'<text class="small" x="0" y="{y + 5:.1f}">{escape(label)}</text>')
            parts.append(f'<line class="span{kind}" x1="{x(lo):.1f}" x2="{x(hi):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if raw is not None:
                parts.append(f'<circle class="raw" cx="{x(raw):.1f}" cy="{y:.1f}" r="6.5"/>')
            parts.append(f'<circle class="dot{kind}" cx="{x(value):.1f}" cy="{y:.1f}" r="4.5"/>')
            parts.append(f'<text class="small" x="{WIDTH - 2}" y="{y + 5:.1f}" text-anchor="end">{say(value)}</text></g>')
            at += row_high
        at += 14
    parts += [_tick(x(tick), at + 4, say(tick)) for tick in ticks[:: 1 if len(ticks) < 5 else 2]]
    return _drawn(parts, at + 14, alt)


def hints_list(hints: Iterable[Any], currency: str, looked_at: Iterable[str], most: int = 5) -> HtmlTable:
    """Coaching hints as a list: rep and step, what was seen, what is known of it, and the deals it concerns; `activity_hints.Hint`s.

    Where there is none: what was `looked_at`.
    """
    told = []
    for hint in hints:
        rows = hint.deals.head(most).to_dict("records")
        items = "".join(f"<li>{escape(_concern(row, currency))}</li>" for row in rows)
        more = f"<li>and {len(hint.deals) - most:,} more</li>" if len(hint.deals) > most else ""
        told.append(
            f"<li><p><strong>{escape(hint.name)}</strong>: {escape(hint.step)}</p><p>Seen: {escape(hint.finding)}<br>Known "
            f"({escape(hint.label)}): {escape(hint.evidence)}</p><ul>{items}{more}</ul></li>"
        )
    if not told:
        return HtmlTable(f"<p>Looked at, for each rep with five cases or more: {escape('; '.join(looked_at))}.</p>")
    return HtmlTable(f"<ol>{''.join(told)}</ol>")


def reps_table(rows: pd.DataFrame, currency: str, most: int = 60) -> HtmlTable:
    """Reps with their activities, open deals, cadence, people and answers, the busiest first; `workflows.activity`'s by_rep."""
    shown = pd.DataFrame({
        "rep": rows["label"].str.replace(" ", SPACE), "a week": rows["a_week"], "open deals": rows["deals"],
        "in touch": rows["in_touch_share"], "gap": rows["gap_days"], "2+ people": rows["two_share"],
        "soon answered, 90 %": [_range(row) for row in rows.to_dict("records")],
        "open": rows["amount"],
    })  # fmt: skip
    formats = {"a week": ".0f", "open": ",.0f", "in touch": ".0%", "gap": ".1f", "2+ people": ".0%"}
    return table(shown, "Reps, the busiest first", units={"open": currency, "gap": "days"}, formats=formats, rows=most)


def stages_table(rows: pd.DataFrame, whole: pd.DataFrame, currency: str) -> HtmlTable:
    """Open deals by stage and in all: amount, cadence, silence and people; `analytics.activity.standing`."""
    both = pd.concat([rows, whole.rename(columns={"of": "stage"})], ignore_index=True)
    names = {"stage": "stage", "deals": "open deals", "amount": "amount", "in_touch_share": "in touch",
             "in_touch_amount": "by amount", "gap_days": "gap", "silent_days": "silent",
             "quiet": "over 14 days", "contacts": "people", "two_share": "2+", "three_share": "3+"}  # fmt: skip
    shares = dict.fromkeys(("in touch", "by amount", "2+", "3+"), ".0%")
    formats = {**shares, "amount": ",.0f", "gap": ".1f", "silent": ".1f", "people": ".1f"}
    units = {"amount": currency, "gap": "days", "silent": "days", "over 14 days": "deals"}
    return table(both[list(names)].rename(columns=names), "Open deals by stage", units=units, formats=formats)


def types_table(rows: pd.DataFrame) -> HtmlTable:
    """Customers' messages by type and how they were answered; `analytics.activity_response.response`."""
    shown = pd.DataFrame({
        "message": rows["type"], "count": rows["messages"], "answered so far": rows["answered"], "half within": rows["hours"],
        "within a day, 90 %": [_range(row) for row in rows.to_dict("records")],
    })  # fmt: skip
    return table(shown, "Customers' messages", units={"half within": "hours"}, formats={"answered so far": ".0%", "half within": ".1f"})


def waiting_table(rows: pd.DataFrame, currency: str, most: int = 15) -> HtmlTable:
    """Conversations without an answer for over a day; `workflows.activity`'s waiting."""
    shown = pd.DataFrame({
        "about": rows["kind"] + SPACE + rows["name"], "waits": rows["hours"] / 24, "messages": rows["messages"], "last": rows["type"],
        "amount": [None if pd.isna(cents) else int(cents) / 100 for cents in rows["cents"]], "rep": rows["rep_name"],
    })  # fmt: skip
    formats = {"waits": ",.0f", "amount": ",.0f"}
    caption = "Without an answer for over a day" if len(shown) else "Without an answer for over a day: none"
    return table(shown.astype({"amount": "float64"}), caption, units={"waits": "days", "amount": currency}, formats=formats, rows=most)


def _concern(row: dict[Any, Any], currency: str) -> str:
    amount = row["amount"]
    money = "" if amount is None or pd.isna(amount) else f", {currency}{SPACE}{float(amount):,.0f}"
    return f"{row['name']}{money}, {row['told']}"


def _range(row: dict[Any, Any]) -> str:
    if pd.isna(row["soon"]):
        return MISSING
    return f"{row['soon']:.0%} ({100 * row['lo']:.0f} to {100 * row['hi']:.0f})".replace(" ", SPACE)


def _drawn(parts: Sequence[str], height: float, alt: str, told: bool = False) -> Svg:
    body = f'<text x="0" y="24">{escape(alt)}</text>' if told else "".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ac" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img" aria-label="{escape(alt)}"><style>{STYLE}</style>{body}</svg>'
    )
    return Svg(svg, alt)


def _title(title: str) -> str:
    return f'<text class="group" x="0" y="16">{escape(title)}</text>'


def _ticks(most: float, least: float = 0.0, count: int = 4) -> list[float]:
    """Round numbers from at most `least` to at least `most`, about `count` steps of 1, 2, 2.5 or 5 times a power of ten."""
    most = most if most > least else least + 1.0
    power = 10.0 ** math.floor(math.log10((most - least) / count))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power * count >= (most - least) * (1 - 1e-9))
    return [step * i for i in range(math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9) + 1)]


def _tick(x: float, y: float, told: str) -> str:
    return f'<text class="soft small" x="{x:.1f}" y="{y:.0f}" text-anchor="middle">{escape(told)}</text>'


def _shade(place: int) -> str:
    return SHADES[min(place, len(SHADES) - 1)]


def _day(day: Any) -> str:
    return f"{pd.Timestamp(day).day}{SPACE}{pd.Timestamp(day):%b}"


def _hours(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _when(cell: Any, block: int) -> str:
    return f"{str(cell[0]).title()} {cell[1]} to {cell[1] + block}"
