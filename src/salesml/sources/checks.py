"""Checks across the rows of a table: the same key twice, deals closed before they were created, rows that go with a rejected one."""

from __future__ import annotations

import duckdb

from salesml.contracts import Table
from salesml.sources.casting import Rule
from salesml.sources.session import literal, quoted

Connection = duckdb.DuckDBPyConnection
COMPANION, REPEATED = -1, -2
CLOSED = "('won', 'lost', 'no_decision')"


def reject_companions(con: Connection, table: Table) -> None:
    """Rows made from the same row of a file as a rejected one are left out with it: a deal enters whole or not at all."""
    bad = f"SELECT source_file, source_row FROM cast_{table.name} WHERE _rule > 0"
    con.execute(
        f"UPDATE cast_{table.name} SET _rule = {COMPANION} WHERE _rule IS NULL AND (source_file, source_row) IN ({bad})"
    )


def reject_repeated(con: Connection, table: Table, rules: list[Rule]) -> int:
    """Of rows with the same key the first is kept; equal ones are left out and counted, others rejected. Returns the equal ones."""
    name, key = f"cast_{table.name}", ", ".join(quoted(part) for part in table.key)
    total, distinct = con.execute(
        f"SELECT count(*), count(DISTINCT ({key})) FROM {name} WHERE _rule IS NULL"
    ).fetchall()[0]
    if total == distinct:
        return 0
    content = ", ".join([*(quoted(column.name) for column in table.payload), "occurred_at", "known_at"])
    reason = f"{' and '.join(table.key)} repeated with different content"
    rules.append(Rule(table.entity, "", "", reason, "The first one was kept; leave one in the export."))
    con.execute(
        f"""UPDATE {name} SET _rule = CASE WHEN d.same THEN {REPEATED} ELSE {len(rules)} END, _value = {quoted(table.entity)}
        FROM (SELECT rowid AS id, row_number() OVER earlier AS position, hash({content}) = first_value(hash({content})) OVER earlier AS same
              FROM {name} WHERE _rule IS NULL
                AND ({key}) IN (SELECT ({key}) FROM {name} WHERE _rule IS NULL GROUP BY ALL HAVING count(*) > 1)
              WINDOW earlier AS (PARTITION BY {key} ORDER BY source_file, source_row, occurred_at)) d
        WHERE {name}.rowid = d.id AND d.position > 1"""
    )
    return int(con.execute(f"SELECT count(*) FROM {name} WHERE _rule = {REPEATED}").fetchall()[0][0])


def reject_reversed(con: Connection, table: Table, rules: list[Rule]) -> None:
    """Deals whose closing change occurred before their `created` change are rejected whole."""
    name = f"cast_{table.name}"
    reason, mend = "the deal is closed before it was created", "Fix the export or pass --allow-reversed-dates."
    rules.append(Rule("occurred_at", "", "", reason, mend))
    con.execute(
        f"""UPDATE {name} SET _rule = CASE WHEN status IN {CLOSED} AND occurred_at = d.closed THEN {len(rules)} ELSE {COMPANION} END,
          _value = strftime(d.closed, '%Y-%m-%d %H:%M') || ' before ' || strftime(d.created, '%Y-%m-%d %H:%M')
        FROM (SELECT opportunity_id AS id, min(occurred_at) FILTER (change_id = 'created') AS created,
                min(occurred_at) FILTER (status IN {CLOSED}) AS closed
              FROM {name} WHERE _rule IS NULL GROUP BY 1 HAVING closed < created) d
        WHERE opportunity_id = d.id AND _rule IS NULL"""
    )


def record(con: Connection, table: Table, rules: list[Rule], aliases: list[str]) -> int:
    """Add the rejected rows of a table to `issue`, each with the row of the file as received; returns how many there are."""
    name = f"cast_{table.name}"
    broken = con.execute(f"SELECT DISTINCT _rule FROM {name} WHERE _rule > 0").fetchall()
    if not broken:
        return 0
    used = ", ".join(
        f"({number}, {literal(rule.column)}, {literal(rule.reason)}, {literal(rule.mend)})"
        for number, rule in ((number, rules[number - 1]) for (number,) in broken)
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE broken AS SELECT * FROM (VALUES {used}) AS b(number, col, reason, mend)")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE bad AS SELECT DISTINCT source_file, source_row FROM {name} WHERE _rule > 0"
    )
    received = " UNION ALL ".join(
        f"SELECT r._file AS f, r._row AS n, CAST(to_json(r) AS VARCHAR) AS raw FROM {quoted(alias)} r "
        "SEMI JOIN bad ON r._file = bad.source_file AND r._row = bad.source_row"
        for alias in aliases
    )
    con.execute(
        f"""INSERT INTO issue BY NAME
        SELECT 'rejected' AS severity, '{table.name}' AS "table", broken.col AS "column", _value AS value, broken.reason AS reason,
          broken.mend AS mend, received.raw AS raw, source_file, source_row, 1 AS rows
        FROM {name} JOIN broken ON broken.number = _rule
        LEFT JOIN ({received}) received ON received.f = source_file AND received.n = source_row"""
    )
    return int(con.execute(f"SELECT count(*) FROM {name} WHERE _rule > 0").fetchall()[0][0])
