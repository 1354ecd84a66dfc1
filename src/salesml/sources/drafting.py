"""The YAML of a drafted mapping: SELECTs from guesses, with a comment on how sure each is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from salesml.contracts import TABLES
from salesml.sources.columns import plain
from salesml.sources.finding import Source
from salesml.sources.guessing import CONFIDENCE, Guess
from salesml.sources.profiling import Profile
from salesml.sources.session import literal, quoted

OUTCOMES = {
    "won": ("won", "win", "closed won", "closedwon", "success", "successful", "signed", "true", "yes", "1"),
    "lost": ("lost", "loss", "closed lost", "closedlost", "declined", "rejected", "unsuccessful", "false", "no", "0"),
    "no_decision": ("cancelled", "canceled", "abandoned", "no decision", "disqualified", "dropped", "withdrawn"),
}
CONVERTED = ("1", "yes", "true", "y", "converted", "won", "customer")
FROM_START = ("account_id", "contact_id", "owner_id", "product_id", "competitor_id", "lead_id", "territory_id", "name", "source",
              "campaign_id", "landing_page")  # fmt: skip
AT_CLOSE = ("amount", "stage", "loss_reason")
INDENT = " " * 6


@dataclass(frozen=True)
class Drafted:
    """One file of the draft: its alias, the source, its columns, and the guess (None: no table fits)."""

    alias: str
    source: Source
    profiles: list[Profile]
    guess: Guess | None
    repeated: bool = False


def draft_yaml(name: str, files: list[Drafted], notes: Iterable[str]) -> str:
    """The text of a mapping for these files; tables that no file fits are left out."""
    used = [file for file in files if file.guess]
    lines = [
        f"# Drafted from {', '.join(file.source.name for file in files)}: read the comments before you trust it.",
        *(f"# {note}" for note in notes),
        f"name: {name}",
    ]
    if any(profile.undecided_dates for file in used for profile in file.profiles):
        lines += ["# Day and month cannot be told apart in these dates: choose one.", "# dates: dmy", "# dates: mdy"]
    lines += ["", "files:"]
    for file in (file for file in used if not file.repeated):
        columns = ", ".join(_yaml(profile.name) for profile in file.profiles)
        pattern = file.source.stems[0]
        lines.append(
            f"  {file.alias}: {{match: [{_yaml(pattern)}], required: {'true' if file is used[0] else 'false'}, columns: [{columns}]}}"
        )
    lines += ["", "tables:"]
    selects: dict[str, list[str]] = {}
    for file in used:
        assert file.guess
        selects.setdefault(file.guess.table, []).append("\n".join([*_comments(file), *_select(file)]))
    for table, parts in selects.items():
        body = f"\n{INDENT}UNION ALL BY NAME\n".join(parts)
        complete = ["    complete: true"] if table in ("opportunity", "lead") else []
        lines += [f"  {table}:", *complete, "    select: |", body, ""]
    return "\n".join(lines)


def _comments(file: Drafted) -> list[str]:
    assert file.guess
    if file.repeated:
        return [f"{INDENT}-- as the rows of {file.source.name} repeat it"]
    known = {profile.name: (column, sure) for column, (profile, sure) in file.guess.columns.items()}
    lines = [f"{INDENT}-- {file.source.name}"]
    for profile in file.profiles:
        shown = f"{profile.distinct:,} values" + (f", such as {profile.example!r}" if profile.example else "")
        column, sure = known.get(profile.name, (None, 0.0))
        told = f"{column} ({CONFIDENCE[sure]})" if column else "not mapped"
        lines.append(f"{INDENT}-- {profile.name} -> {told}; {shown}".replace("\n", " ")[:160])
    return lines


def _select(file: Drafted) -> list[str]:
    assert file.guess
    table = file.guess.table
    if table == "opportunity":
        return _changes(file, _deal_close(file))
    if table == "lead":
        return _changes(file, [])
    return _repeated(file) if file.repeated else _simple(file)


def _repeated(file: Drafted) -> list[str]:
    """One row per key of what the rows of a file repeat, known from the first of them if its dates sort as text."""
    assert file.guess
    columns = dict(file.guess.columns)
    entity = TABLES[file.guess.table].entity
    key = quoted(columns.pop(entity)[0].name)
    date = columns.pop("created", None)
    picked = [f"{key} AS {entity}", *(f"min({quoted(profile.name)}) AS {c}" for c, (profile, _) in columns.items())]
    picked.append(f"min({quoted(date[0].name)}) AS occurred_at" if date else "NULL AS occurred_at")
    picked += ["min(_file) AS _file", "min(_row) AS _row"]
    return _statement(picked, file.alias, f"{key} IS NOT NULL GROUP BY {key}")


def _simple(file: Drafted) -> list[str]:
    """One row of the table per row of the file."""
    assert file.guess
    table, columns = file.guess.table, dict(file.guess.columns)
    date = columns.pop("created", None)
    spec = TABLES[table]
    entity = columns.pop(spec.entity, None)
    picked = [f"{_key(file, entity[0] if entity else None)} AS {spec.entity}"]
    if table == "quota":
        month = columns["period_start"][0]
        start = f"CAST(TRY_CAST(replace({quoted(month.name)}, '/', '-') AS DATE) AS DATE)"
        kind = "region" if "region" in plain(columns["entity_id"][0].name) else "rep"
        columns.pop("period_start")
        picked += [f"{literal(kind)} AS entity_type", "'revenue' AS target", f"{start} AS period_start",
                   f"CAST({start} + INTERVAL 1 MONTH AS DATE) AS period_end"]  # fmt: skip
    if table == "activity":
        picked.append(
            _words(
                columns.pop("type")[0], {w: (w,) for w in ("call", "email", "meeting", "demo", "task")}, "other", "type"
            )
        )
    if table == "revenue":
        picked.append(f"{literal('invoice' if 'invoice' in plain(file.source.name) else 'order')} AS kind")
    if price := columns.pop("price", None):
        times = "TRY_CAST({} AS DECIMAL(18,4))"
        value, count = quoted(price[0].name), quoted(columns["quantity"][0].name)
        product = f"{times.format(value)} * {times.format(count)}"
        columns.pop("amount")
        picked.append(f"coalesce(CAST({product} AS VARCHAR), {value} || ' x ' || {count}) AS amount")
    picked += [f"{quoted(profile.name)} AS {column}" for column, (profile, _) in columns.items()]
    if custom := _custom(file, table):
        picked.append(custom)
    picked.append(f"{quoted(date[0].name)} AS occurred_at" if date else "NULL AS occurred_at")
    if not date and spec.kind == "changes":
        picked[-1] += "  -- no date: known from the export's date"
        picked = [*picked[:-1], "_file", "_row", picked[-1]]
        return _statement(picked, file.alias)
    return _statement([*picked, "_file", "_row"], file.alias)


def _changes(file: Drafted, close: list[str]) -> list[str]:
    """Created, closed, and what was read from the export: nothing measured later is dated at creation."""
    assert file.guess
    table, columns = file.guess.table, file.guess.columns
    entity = TABLES[table].entity
    key = f"{_key(file, columns[entity][0] if entity in columns else None)} AS {entity}"
    start = [f"{quoted(profile.name)} AS {c}" for c, (profile, _) in columns.items() if c in FROM_START and c != entity]
    created = [key, "'created' AS change_id", *start, "'open' AS status"]
    first = columns.get("created", columns.get("closed"))
    created.append(f"{quoted(first[0].name)} AS occurred_at" if first else "NULL AS occurred_at")
    lines = [*_statement([*created, "_file", "_row"], file.alias)]
    if close:
        lines += [
            f"{INDENT}UNION ALL BY NAME",
            *_statement([key, *close, "_file", "_row"], file.alias, _closed_rows(file)),
        ]
    kept = {*FROM_START, entity, "created", "closed", "status"}
    still_open = f"CASE WHEN NOT ({_closed_rows(file)}) THEN {{}} END AS {{}}" if close else "{} AS {}"
    rest = [
        (still_open if c in AT_CLOSE else "{} AS {}").format(quoted(profile.name), c)
        for c, (profile, _) in columns.items()
        if c not in kept
    ]
    if "status" in columns and not close:
        meanings: dict[str, tuple[str, ...]] = {"converted": CONVERTED} if table == "lead" else OUTCOMES
        rest.append(_words(columns["status"][0], meanings, "open", "status"))
    if custom := _custom(file, table):
        rest.append(custom)
    if rest:
        lines += [
            f"{INDENT}UNION ALL BY NAME",
            f"{INDENT}-- As the export shows them, whenever they were filled in: known from the export's date.",
            *_statement([key, "'export' AS change_id", *rest, "NULL AS occurred_at", "_file", "_row"], file.alias),
        ]
    return lines


def _deal_close(file: Drafted) -> list[str]:
    """The columns of a deal's closing change; none where the file has no outcome or no date of it."""
    assert file.guess
    columns = file.guess.columns
    if "closed" not in columns:
        return []
    outcome = _outcome(file)
    if outcome is None:
        status = "'won' AS status" if "won" in plain(columns["closed"][0].name) else None
    else:
        status = _words(outcome, OUTCOMES, None, "status")
    if status is None:
        return []
    late = [f"{quoted(columns[c][0].name)} AS {c}" for c in AT_CLOSE if c in columns]
    return ["'closed' AS change_id", status, *late, f"{quoted(columns['closed'][0].name)} AS occurred_at"]


def _outcome(file: Drafted) -> Profile | None:
    """The column whose words say won and lost."""
    assert file.guess
    for column in ("status", "stage"):
        if column in file.guess.columns:
            profile = file.guess.columns[column][0]
            words = {plain(word).replace("_", " ") for word in profile.words}
            if words & set(OUTCOMES["won"]):
                return profile
    return None


def _closed_rows(file: Drafted) -> str:
    assert file.guess
    closed = (
        f"{quoted(file.guess.columns['closed'][0].name)} IS NOT NULL" if "closed" in file.guess.columns else "false"
    )
    outcome = _outcome(file)
    if outcome is None:
        return closed
    ended = [word for word in outcome.words if any(plain(word).replace("_", " ") in said for said in OUTCOMES.values())]
    return f"{closed} AND {quoted(outcome.name)} IN ({', '.join(map(literal, ended))})"


def _words(profile: Profile, meanings: dict[str, tuple[str, ...]], otherwise: str | None, column: str) -> str:
    """CASE from the words of a column to the allowed ones."""
    cases = []
    for meaning, said in meanings.items():
        found = [word for word in profile.words if plain(word).replace("_", " ") in said]
        if found:
            cases.append(f"WHEN {quoted(profile.name)} IN ({', '.join(map(literal, found))}) THEN {literal(meaning)}")
    default = f" ELSE {literal(otherwise)}" if otherwise else ""
    return (
        f"CASE {' '.join(cases)}{default} END AS {column}" if cases else f"{literal(otherwise or 'open')} AS {column}"
    )


def _key(file: Drafted, entity: Profile | None) -> str:
    """SQL of a key that is the same in every export as far as the file allows."""
    assert file.guess
    if file.guess.table == "quota":
        parts = [quoted(file.guess.columns[c][0].name) for c in ("entity_id", "period_start")]
        return " || ':' || ".join(parts)
    if entity and (entity.unique or TABLES[file.guess.table].kind == "changes"):
        return quoted(entity.name)
    if entity:
        return f"{quoted(entity.name)} || ':' || row_number() OVER (PARTITION BY {quoted(entity.name)} ORDER BY _row)"
    unique = next((profile for profile in file.profiles if profile.unique and not profile.is_date), None)
    return quoted(unique.name) if unique else "_file || ':' || _row"


def _custom(file: Drafted, table: str) -> str | None:
    """The columns without a place of their own, as one JSON object."""
    assert file.guess
    if not any(column.name == "custom" for column in TABLES[table].own):
        return None
    mapped = {profile.name for profile, _ in file.guess.columns.values()}
    rest = [profile.name for profile in file.profiles if profile.name not in mapped and profile.filled]
    pairs = ", ".join(f"{literal(name)}: {quoted(name)}" for name in rest)
    return f"{{{pairs}}} AS custom" if rest else None


def _statement(columns: list[str], alias: str, where: str = "") -> list[str]:
    head, *tail = columns
    lines = [f"{INDENT}SELECT {head},", *(f"{INDENT}  {column}," for column in tail)]
    last, _, comment = lines[-1].partition("  --")
    lines[-1] = last.rstrip(",") + (f"  --{comment.rstrip(',')}" if comment else "")
    return [*lines, f"{INDENT}FROM {quoted(alias)}" + (f" WHERE {where}" if where else "")]


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
