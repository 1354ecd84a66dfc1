"""The screens of the forecast app that are read: where the quarter lands, where that comes from, what changed. HTML from a desk."""

from __future__ import annotations

import datetime as dt
from html import escape
from typing import Any

import pandas as pd

from salesml.apps import landing, text, theme
from salesml.apps.data import ALL_REGIONS, records
from salesml.apps.forecast_desk import Desk
from salesml.apps.language import Language
from salesml.figures import bridge

DEPTHS = (("Regions", 1), ("Teams", 2), ("Reps", 3))
MARKS = (("band", f"80{text.NARROW}% interval"), ("point", "heading for"), ("quota", "quota"))
BEHIND = 5
MOVING = '<p class="soft" role="status">What moved in the week before is being worked out (a few seconds)…</p>'
TREE = (
    "The company, regions, teams and reps land where the published forecast says, overrides in it; who has none there, where the "
    "simulation of the quarter says. Chances are the simulation's, put where the node lands."
)
NO_FORECAST = "There is no revenue forecast as of this day. Run "


def landing_screen(desk: Desk, moved: str = MOVING) -> str:
    """The answer, how sure it is, and what people have put beside the model; `moved` is what changed of late, as HTML."""
    found = desk.landing()
    company = next(iter(records(desk.lands)), None)
    if company is not None:
        amount, low, high, quota = company.amount, company.lo80, company.hi80, company.quota
    elif found is not None:
        amount, low, high, quota = (float(one) for one in (found.amount, found.lo80, found.hi80, desk.board.quota(ALL_REGIONS) or "nan"))
    else:
        return _nothing(desk)
    parts = [_answer(desk, amount, (low, high), quota, None if company is None else company.chance), moved]
    marks = "".join(f'<li><span class="key {kind}"></span>{name}</li>' for kind, name in MARKS if kind != "quota" or not _no(quota))
    parts.append(bridge.strip(low, amount, high, None if _no(quota) else float(quota)))
    parts.append(f'<ul class="legend" aria-hidden="true">{marks}</ul>')
    parts.append(theme.facts(_facts(desk, company, found, quota)))
    parts += [theme.notice(escape(told)) for told in desk.told]
    if len(desk.board.forecast):
        parts.append(landing.sure(desk.board, ALL_REGIONS, Language()))
    return "".join([*parts, _basis(desk, company is not None, found is not None)])


def moved_words(desk: Desk) -> str:
    """What moved the expected revenue of the quarter's deals in the week before, in one sentence of HTML."""
    found, unit = desk.parts.change, desk.board.currency
    if isinstance(found, str):
        return f'<p class="soft">What moved in the week before is not known: {escape(found)}</p>'
    change = found.after - found.before
    since = text.short_day(desk.board.workspace.local_date(found.since))
    period = text.span(found.start, found.end)
    if not found.causes["amount"].astype(bool).any():
        return f"<p>Since {since} nothing moved what deals are expected to bring in {period}.</p>"
    order = found.causes.assign(size=found.causes["amount"].abs().astype("float64")).sort_values("size", ascending=False)
    causes = [f"{row.cause.replace('_', ' ')} {signed(row.amount)}" for row in records(order[order["size"] > 0].head(3))]
    way = "rose" if change > 0 else "fell" if change < 0 else "stayed, after moves,"
    by = f" by <strong>{text.money(abs(change), unit)}</strong>" if change else ""
    return (
        f"<p>Since {since} what deals are expected to bring in {period} {way}{by} to {text.money(found.after, unit)}; "
        f"most of it: {', '.join(causes)}.</p>"
    )


def tree_screen(desk: Desk, rows: pd.DataFrame, depth: int) -> str:
    """The tree down to a depth as a table, each node with a button that shows it; `rows` is `Desk.tree`."""
    if rows.empty:
        told = desk.parts.call if isinstance(desk.parts.call, str) else " ".join(desk.parts.call.notes)
        return theme.notice(escape(told)) if told else _nothing(desk)
    shown = [_node_row(row) for row in records(rows[rows["depth"] <= depth])]
    unit = desk.board.currency
    heads = ["Who", f"Lands at ({unit})", "80 % interval", "Quota", "Chance of quota", "Own call"]
    table = theme.table(_tree_caption(desk, len(shown), len(rows)), heads, shown, numbers=(1, 2, 3, 4, 5), kind="tree")
    return table + f'<p class="soft">{TREE}</p>'


def node_screen(desk: Desk, rows: pd.DataFrame, node: tuple[str, str]) -> str:
    """One node of the tree: its quarter's numbers, and for the company and regions the months."""
    found = rows[(rows["level"] == node[0]) & (rows["name"] == node[1])]
    if found.empty:
        return ""
    row, unit = records(found)[0], desk.board.currency
    money = [text.money(value, unit) for value in (row.amount, row.booked, row.open_amount, row.quota, row.call)]
    facts = [
        ("Lands at", money[0], f"80{text.NARROW}% interval {text.between(row.lo80, row.hi80, unit)}"),
        ("Booked so far", money[1], ""),
        ("Open pipeline", money[2], "amounts as entered"),
        ("Quota", money[3], "" if _no(row.chance) else f"chance {text.percent(row.chance)}"),
        ("Own call", "none yet" if _no(row.call) else money[4], "" if _no(row.author) else f"by {row.author}"),
    ]
    if row.moved and not _no(row.moved):
        word = "more" if row.moved > 0 else "less"
        facts.append(("Published forecast", f"{text.money(abs(row.moved), unit)} {word}", "than the simulation, which is moved to it"))
    region = ALL_REGIONS if row.level == "company" else row.name if row.level == "region" else None
    chart = ""
    if region is not None and len(desk.board.series(region)[1]):
        chart = landing.chart(desk.board, Language(), region)
    elif region is None:
        chart = '<p class="soft">Months are forecast for the company and its regions; below these the quarter is simulated.</p>'
    title = f'<h2 tabindex="-1" id="node">{escape(named(row))}</h2>'
    return title + theme.facts(facts) + chart


def change_screen(desk: Desk) -> str:
    """What changed since a week ago: the answer, the waterfall as a table, the deals behind it."""
    found, unit = desk.parts.change, desk.board.currency
    if isinstance(found, str):
        return theme.notice(escape(found))
    causes = found.causes[found.causes["amount"].astype(bool)]
    bars = bridge.steps(float(found.before), [float(one) for one in causes["amount"]], float(found.after))
    days = [text.short_day(desk.board.workspace.local_date(one)) for one in (found.since, found.as_of)]
    told = [(str(row.cause).replace("_", " ").capitalize(), signed(row.amount), row.meaning) for row in records(causes)]
    lines = [(f"Expected on {days[0]}", text.amount(found.before), ""), *told, (f"Expected on {days[1]}", text.amount(found.after), "")]
    rows = [[f"{name}<small>{escape(meaning)}</small>", bar, value] for (name, value, meaning), bar in zip(lines, bars, strict=True)]
    caption = f"From {days[0]} to {days[1]}: each bar begins where the one above it ends"
    steps = theme.table(caption, ["Cause", "Waterfall", f"Amount ({unit})"], rows, numbers=(2,), kind="steps")
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in found.notes)
    return moved_words(desk).replace("<p>", '<p class="answer">', 1) + steps + _behind(found.behind, unit) + notes


def signed(amount: Any) -> str:
    """An amount with its sign: +160 k, −29.7 k."""
    return ("+" if amount > 0 else "\N{MINUS SIGN}" if amount < 0 else "") + text.amount(abs(amount))


def _answer(desk: Desk, amount: float, interval: tuple[float, float], quota: Any, chance: float | None) -> str:
    unit, (start, end) = desk.board.currency, desk.board.quarter
    told = (
        f"This quarter ({text.span(start, end)}) is heading for <strong>{text.money(amount, unit)}</strong>, "
        f"80{text.NARROW}% interval {text.between(*interval, unit)}"
    )
    if _no(quota):
        told += "; no revenue quota is set for it"
    elif _no(chance):
        told += f"; the quota is {text.money(quota, unit)}"
    else:
        told += f"; the quota of {text.money(quota, unit)} is reached with a chance of <strong>{text.percent(chance)}</strong>"
    return f'<p class="answer">{told}.</p>'


def _facts(desk: Desk, company: Any, found: Any, quota: Any) -> list[tuple[str, str, str]]:
    """What the landing is made of (booked, open deals, elsewhere, what people moved add up to it), and what the quota lacks."""
    unit = desk.board.currency
    facts = []
    booked = company.booked if company is not None else found.booked
    facts.append(("Booked so far", text.money(booked, unit), "revenue of this quarter"))
    if company is not None:
        facts.append(("Open deals bring", text.money(company.expected, unit), f"of {text.amount(company.open_amount)} as entered"))
        rest = text.MISSING if _no(company.other) else text.money(company.other, unit)
        facts.append(("From elsewhere", rest, "deals not open yet, regular orders"))
    if not _no(quota):
        facts.append(("Missing to the quota", text.money(max(float(quota) - float(booked), 0.0), unit), f"of {text.amount(quota)}"))
    moved = desk.moved()
    if len(desk.held):
        facts.append(("People's numbers", signed(moved) if moved else "no change", f"in force: {len(desk.held):,}"))
    return facts


def _basis(desk: Desk, simulated: bool, published: bool) -> str:
    """What the number rests on, in small print."""
    now, told = desk.parts.picture, []
    if published:
        told.append(f"Lands at: the forecast published for {text.known(desk.board.forecast_as_of, desk.board.workspace.zone)}.")
    else:
        told.append("The published forecast does not reach the quarter's end; the number is the simulation's.")
    if isinstance(now, str):
        told.append(f"There is no chance of the quota: {escape(now)}.")
    elif simulated:
        told += ["Chance: the simulation of the quarter, put where the forecast lands.", escape(now.words)]
    return f'<p class="soft">{" ".join(told)}</p>'


def _node_row(row: Any) -> list[str]:
    node = escape(f"{row.level}/{row.name}")
    label = escape(named(row))
    button = f'<span class="depth{int(row.depth)}"><button type="button" class="open" data-node="{node}">{label}</button></span>'
    interval = text.MISSING if _no(row.lo80) else f"{text.amount(row.lo80)} to {text.amount(row.hi80)}"
    return [button, text.amount(row.amount), interval, text.amount(row.quota), text.percent(row.chance), text.amount(row.call)]


def named(row: Any) -> str:
    """A node as people call it: The company, Region West, Team West 1, a rep by name."""
    if row.level == "company":
        return "The company"
    return str(row.label) if row.level == "rep" else f"{str(row.level).capitalize()} {row.label}"


def _tree_caption(desk: Desk, shown: int, total: int) -> str:
    return f"{shown:,} of {text.count(total, 'node')}, {text.span(*desk.board.quarter)}; choose one to see more of it below"


def tree_answer(desk: Desk, rows: pd.DataFrame) -> str:
    """The answer of the screen Where: which region (or team, or rep) brings most, and which is least sure of its quota."""
    level = next((one for one in ("region", "team", "rep") if (rows["level"] == one).any()), None)
    below = rows[(rows["level"] == level) & rows["amount"].notna()]
    if level is None or below.empty:
        return ""
    first = records(below.sort_values("amount", ascending=False, kind="stable"))[0]
    share = first.amount / below["amount"].sum() if below["amount"].sum() > 0 else None
    told = f"{escape(named(first))} brings most, <strong>{text.money(first.amount, desk.board.currency)}</strong>"
    told += "" if share is None else f" ({text.percent(share)} of all {level}s)"
    judged = below[below["chance"].notna()].sort_values("chance", kind="stable")
    if len(judged):
        last = records(judged)[0]
        who = ", and is" if last.name == first.name else f"; {escape(named(last))} is"
        told += f"{who} least sure of the quota, with a chance of <strong>{text.percent(last.chance)}</strong>"
    return f'<p class="answer">{told}.</p>'


def _behind(behind: pd.DataFrame, unit: str) -> str:
    first = behind.groupby("cause", sort=False).head(BEHIND)
    if first.empty:
        return ""
    rows = [
        [escape(str(row.name)) + ("" if _no(row.owner) else f"<small>{escape(str(row.owner))}</small>"),
         escape(row.cause.replace("_", " ")), signed(row.part), text.amount(row.before), text.amount(row.after)]
        for row in records(first)
    ]  # fmt: skip
    heads = ["Deal", "Cause", f"Part ({unit})", "Expected before", "After"]
    table = theme.table(f"The greatest {BEHIND} of each cause", heads, rows, numbers=(2, 3, 4), kind="cards")
    return f"<details><summary>Deals behind the bars</summary>{table}</details>"


def _nothing(desk: Desk) -> str:
    if not desk.board.view.tables.head.tables:
        run = f"{theme.command('salesml import NAME PATH')} or {theme.command('salesml demo')}"
        return theme.notice(f"Nothing has been imported yet. Run {run}")
    if desk.board.forecast.empty:
        return theme.notice(NO_FORECAST + theme.command("salesml forecast revenue"))
    last = desk.board.quarter[1] - dt.timedelta(days=1)
    told = f"The forecast ends before {last:%B %Y}, and the quarter cannot be simulated: {escape(str(desk.parts.picture))}. Run "
    return theme.notice(told + theme.command("salesml forecast revenue"))


def _no(value: Any) -> bool:
    return value is None or bool(pd.isna(value))
