"""Rows of a mapping's SELECT as the contract's types, each with the number of the first rule it breaks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping as Map
from dataclasses import dataclass

import duckdb

from salesml.contracts import Column, Table
from salesml.sources import parsing
from salesml.sources.formats import Column as Staged
from salesml.sources.parsing import Dates, Style
from salesml.sources.session import literal, quoted

SQL_TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "money": "DECIMAL(18,2)",
    "int": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
}
ORDERED = {
    "quota": ("period_start", "period_end"),
    "forecast": ("period_start", "period_end"),
    "campaign": ("starts_on", "ends_on"),
    "user": ("hired_on", "left_on"),
}
WORD = {
    "money": "is not an amount",
    "int": "is not a whole number",
    "float": "is not a number",
    "bool": "is not yes or no",
    "timestamp": "is not a date or time that exists",
    "date": "is not a date that exists",
    "json": "is not valid JSON",
}


@dataclass(frozen=True)
class Rule:
    """A reason to reject a row: SQL condition over `raw <column>` and parsed columns, and the SQL of the value to show."""

    column: str
    condition: str
    value: str
    reason: str
    mend: str = "Correct the value in the export."


@dataclass(frozen=True)
class Context:
    """What casting depends on beside the contract: the workspace's zone and currency, the instant of loading, known formats."""

    time_zone: str
    currency: str
    loaded_at: dt.datetime
    dates: Map[Staged, Dates]
    numbers: Map[Staged, Style]
    allow_reversed: bool = False


def cast(con: duckdb.DuckDBPyConnection, table: Table, types: Map[str, str], context: Context) -> list[Rule]:
    """Make `cast_<table>` from `mapped_<table>` (whose DuckDB column types are `types`); returns the rules it was held against.

    Columns: the contract's own, occurred_at, known_at, source_file, source_row, and `_rule`: null for a good row, else
    1 + the position of the first rule broken, with `_value` the offending text.
    """
    relation = f"mapped_{table.name}"
    columns = {column.name: column for column in table.columns}
    parsed = {name: _parsed(columns[name], types[name], Staged(relation, table.name, name, columns[name].dtype), context)
              for name in types if name in columns}  # fmt: skip
    if "change_id" in columns:
        parsed["change_id"] = f"coalesce({parsed.get('change_id', 'NULL')}, 'created')"
    if "occurred_at" in parsed and "_order" in types:
        parsed["occurred_at"] += ' + to_microseconds(CAST("_order" AS BIGINT))'
    _fill_currency(table, parsed, context.currency)
    rules = [rule for name in types if name in columns for rule in _rules(table, columns[name], types[name], context)]
    rules += _row_rules(table, set(types), context)
    inner = ", ".join(
        [f"{expression} AS {quoted(name)}" for name, expression in parsed.items()]
        + [f"{quoted(name)} AS {quoted('raw ' + name)}" for name in types if name in columns]
        + [f"{name} AS source{name}" if name in types else f"NULL AS source{name}" for name in ("_file", "_row")]
    )
    own = [
        quoted(c.name) if c.name in parsed else f"CAST(NULL AS {SQL_TYPES[c.dtype]}) AS {quoted(c.name)}"
        for c in table.own
    ]
    times = [name if name in parsed else f"CAST(NULL AS TIMESTAMPTZ) AS {name}" for name in ("occurred_at", "known_at")]
    broken = " ".join(f"WHEN {rule.condition} THEN {number}" for number, rule in enumerate(rules, start=1))
    values = " ".join(f"WHEN {number} THEN CAST({rule.value} AS VARCHAR)" for number, rule in enumerate(rules, start=1))
    value = f"CASE _rule {values} END" if rules else "CAST(NULL AS VARCHAR)"
    picked = ", ".join(
        [*own, *times, "CAST(source_file AS VARCHAR) AS source_file", "CAST(source_row AS BIGINT) AS source_row",
         "CAST(_rule AS SMALLINT) AS _rule", f"{value} AS _value"]
    )  # fmt: skip
    rule = f"CASE {broken} END" if rules else "NULL"
    con.execute(
        f"CREATE TABLE cast_{table.name} AS SELECT {picked} "
        f"FROM (SELECT *, {rule} AS _rule FROM (SELECT {inner} FROM {relation}))"
    )
    return rules


def _parsed(column: Column, given: str, staged: Staged, context: Context) -> str:
    name = quoted(column.name)
    if given != "VARCHAR":
        return _converted(name, given, column)
    match column.dtype:
        case "timestamp":
            return parsing.as_time(name, context.dates[staged], context.time_zone)
        case "date":
            return parsing.as_date(parsing.as_time(name, context.dates[staged], context.time_zone))
        case "money":
            return parsing.as_number(name, context.numbers[staged], "DECIMAL(18,2)")
        case "float":
            return parsing.as_number(name, context.numbers[staged], "DOUBLE")
        case "int":
            return parsing.as_whole(parsing.as_number(name, context.numbers[staged], "DECIMAL(38,6)"))
        case "bool":
            return parsing.as_truth(name)
        case "json":
            return f"CASE WHEN json_valid({name}) THEN {name} END"
    return parsing.as_word(name, column.allowed) if column.allowed else name


def _converted(name: str, given: str, column: Column) -> str:
    if column.dtype == "json":
        return f"CAST(to_json({name}) AS VARCHAR)"
    if column.dtype == "int" and given.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return parsing.as_whole(name)
    return f"TRY_CAST({name} AS {SQL_TYPES[column.dtype]})"


def _fill_currency(table: Table, parsed: dict[str, str], currency: str) -> None:
    money = [column.name for column in table.own if column.dtype == "money" and column.name in parsed]
    if money and any(column.name == "currency" for column in table.own):
        given = " OR ".join(f"({parsed[name]}) IS NOT NULL" for name in money)
        default = f"CASE WHEN {given} THEN {literal(currency)} END"
        parsed["currency"] = f"coalesce(upper({parsed['currency']}), {default})" if "currency" in parsed else default


def _rules(table: Table, column: Column, given: str, context: Context) -> list[Rule]:
    name, raw = quoted(column.name), quoted("raw " + column.name)
    rules = []
    if column.allowed:
        valid = f"Valid: {', '.join(column.allowed)}."
        rules.append(
            Rule(
                column.name,
                f"{raw} IS NOT NULL AND {name} IS NULL",
                raw,
                f"{column.name} is not an allowed value",
                valid,
            )
        )
    elif column.dtype != "string":
        reason = f"{column.name} {WORD[column.dtype]}"
        rules.append(Rule(column.name, f"{raw} IS NOT NULL AND {name} IS NULL", raw, reason))
    if column.dtype == "float":
        rules.append(Rule(column.name, f"NOT isfinite({name})", raw, f"{column.name} is not a finite number"))
    if column.low is not None:
        rules.append(Rule(column.name, f"{name} < {column.low}", raw, f"{column.name} is below {column.low:g}"))
    if column.high is not None:
        rules.append(Rule(column.name, f"{name} > {column.high}", raw, f"{column.name} is above {column.high:g}"))
    if column.name == "currency":
        mend = "Use a three-letter ISO 4217 code such as USD."
        rules.append(
            Rule("currency", f"NOT regexp_full_match({name}, '[A-Z]{{3}}')", raw, "currency is not a code", mend)
        )
    if column.dtype == "date":
        condition = f"{name} < DATE '1900-01-01' OR {name} > DATE '2200-01-01'"
        rules.append(Rule(column.name, condition, raw, f"{column.name} is an impossible date"))
    if column.name in ("occurred_at", "known_at"):
        latest = literal(context.loaded_at.isoformat())
        rules.append(
            Rule(column.name, f"{name} < TIMESTAMPTZ '1970-01-01 00:00:00+00'", raw, f"{column.name} is before 1970")
        )
        rules.append(Rule(column.name, f"{name} > TIMESTAMPTZ {latest}", raw, f"{column.name} is in the future"))
    return rules


def _row_rules(table: Table, given: set[str], context: Context) -> list[Rule]:
    rules = []
    for column in table.own:
        if not column.required or column.name == "change_id":
            continue
        scope = "" if table.kind != "changes" or column.name in table.key else "change_id = 'created' AND "
        condition = f"{scope}{quoted(column.name)} IS NULL" if column.name in given else "true"
        rules.append(Rule(column.name, condition, "NULL", f"{column.name} is missing", "Fill it in the export."))
    if table.kind == "events":
        missing = "occurred_at IS NULL AND known_at IS NULL" if "known_at" in given else "occurred_at IS NULL"
        condition = missing if given & {"occurred_at"} else "true"
        rules.append(Rule("occurred_at", condition, "NULL", "the row has no date", "Fill it in the export."))
    first, last = ORDERED.get(table.name, ("", ""))
    if {first, last} <= given and not context.allow_reversed:
        mend = "Fix the export or pass --allow-reversed-dates."
        rules.append(Rule(last, f"{last} < {first}", quoted("raw " + last), f"{last} is before {first}", mend))
    return rules
