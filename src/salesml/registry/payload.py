"""Reading a scoring request (MLflow's protocol) strictly: faults are named by row and column, values never repeated."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from salesml.errors import BadInput
from salesml.registry.columns import Column
from salesml.registry.predictions import MOST_FACTORS

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
MOST_ROWS = 100_000
LONGEST_NAME = 80
MOST_NAMES = 5
JSON_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
Table = dict[str, list[Any]]


@dataclass(frozen=True)
class Request:
    """A valid request: the rows to score, with columns of the model only, and what to answer beside the probability."""

    frame: pd.DataFrame
    interval: bool = False
    factors: int = 0
    timing: bool = False


def read_json(body: bytes, columns: Sequence[Column]) -> Request:
    """The request in a JSON body: one of dataframe_split, dataframe_records, instances, inputs, and perhaps params.

    BadInput for whatever else; rows are counted from 1.
    """
    content = _parsed(body)
    if not isinstance(content, dict):
        raise BadInput("the body is not a JSON object", mend=f"Send an object with one of {', '.join(FORMATS)}.")
    _only(content, {*FORMATS, "params"}, "field of the body")
    given = [name for name in FORMATS if name in content]
    if len(given) != 1:
        raise BadInput(f"the body holds {len(given)} tables", mend=f"Send exactly one of {', '.join(FORMATS)}.")
    rows = content[given[0]]
    if given[0] == "dataframe_split":
        table = _from_split(rows, columns)
    elif given[0] == "inputs" and isinstance(rows, dict):
        table = _from_columns(rows, columns)
    else:
        table = _from_records(given[0], rows, columns)
    return Request(_frame(table, columns), **_params(content.get("params")))


def read_csv(body: bytes, columns: Sequence[Column]) -> Request:
    """The request in a CSV body with a header line; an empty field is a missing value."""
    lines = csv.reader(io.StringIO(_decoded(body), newline=""), strict=True)
    try:
        header, *rows = [line for line in lines if line]
    except csv.Error as error:
        raise BadInput("not valid CSV", row=max(0, lines.line_num - 1), mend=f"The parser says: {error}.") from None
    except ValueError:
        raise BadInput("the body is empty", mend="Send a header line and at least one row.") from None
    _check_names(header, columns)
    table = _transposed(header, rows)
    kinds = {column.name: column.kind for column in columns}
    return Request(_frame({name: _csv_values(name, kinds[name], table[name]) for name in table}, columns))


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"the body is not UTF-8 (byte {error.start})", mend="Send it as UTF-8.") from None


def _parsed(body: bytes) -> Any:
    text = _decoded(body)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        reason = f"not valid JSON: {error.msg} at line {error.lineno}, character {error.colno}"
        raise BadInput(reason, mend="Send valid JSON.") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply", mend="A table has two levels.") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise BadInput("the JSON holds a number that is too long", mend="Send what a double can hold.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadInput(f"the JSON holds {name}", mend="Send null for a missing value, otherwise a finite number.")


def _params(params: Any) -> dict[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise BadInput(
            "params is not an object", mend="Valid: interval and timing (true or false), factors (a whole number)."
        )
    _only(params, {"interval", "factors", "timing"}, "parameter")
    for name, what in (("interval", "lo and hi"), ("timing", "when such deals close")):
        if not isinstance(params.get(name, False), bool):
            raise BadInput(f"parameter {name} is not true or false", mend=f"Send true for {what}.")
    factors = params.get("factors", 0)
    if type(factors) is not int or not 0 <= factors <= MOST_FACTORS:
        raise BadInput(f"parameter factors is not a whole number from 0 to {MOST_FACTORS}", mend="Send 3, say.")
    return params


def _from_split(split: Any, columns: Sequence[Column]) -> Table:
    if not isinstance(split, dict):
        raise BadInput("dataframe_split is not an object", mend="It holds columns (names) and data (a list of rows).")
    _only(split, {"columns", "data", "index"}, "field of dataframe_split")
    names, rows = split.get("columns"), split.get("data")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput("dataframe_split.columns is not a list of names", mend=_takes(columns))
    if not isinstance(rows, list):
        raise BadInput("dataframe_split.data is not a list of rows", mend="Each row is a list of values.")
    _check_names(names, columns)
    if "index" in split and not (isinstance(split["index"], list) and len(split["index"]) == len(rows)):
        raise BadInput("dataframe_split.index is not a list with one entry per row", mend="Leave it out.")
    return _transposed(names, rows)


def _from_records(field: str, records: Any, columns: Sequence[Column]) -> Table:
    if not isinstance(records, list):
        raise BadInput(f"{field} is not a list of rows", mend="Each row is an object with one field per column.")
    names = {column.name for column in columns}
    for row, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise BadInput(f"{_kind(record)} instead of an object", row=row, mend="Each row is an object.")
        if record.keys() != names:
            _check_names(record, columns, row)
    return {column.name: [record.get(column.name) for record in records] for column in columns}


def _from_columns(table: dict[str, Any], columns: Sequence[Column]) -> Table:
    _check_names(table, columns)
    if not any(isinstance(values, list) for values in table.values()):
        return {name: [value] for name, value in table.items()}
    for name, values in table.items():
        if not isinstance(values, list):
            raise BadInput(f"{_kind(values)} instead of a list of values", column=_shown([name]), mend="Send lists.")
    if len({len(values) for values in table.values()}) > 1:
        raise BadInput("the columns of inputs differ in length", mend="Send one value per row in each.")
    return table


def _transposed(names: Sequence[str], rows: list[Any]) -> Table:
    for row, values in enumerate(rows, 1):
        if not isinstance(values, list):
            raise BadInput(f"{_kind(values)} instead of a list of values", row=row, mend="Each row is a list.")
        if len(values) != len(names):
            raise BadInput(f"{len(values)} values for {len(names)} columns", row=row, mend="Send one value per column.")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _frame(table: Table, columns: Sequence[Column]) -> pd.DataFrame:
    count = len(next(iter(table.values()), []))
    if not 1 <= count <= MOST_ROWS:
        raise BadInput(f"{count:,} rows", mend=f"Send from 1 to {MOST_ROWS:,} rows.")
    present = [column for column in columns if column.name in table]
    return pd.DataFrame(
        {c.name: _texts(c, table[c.name]) if c.kind == "text" else _numbers(c, table[c.name]) for c in present}
    )


def _numbers(column: Column, values: list[Any]) -> np.ndarray:
    if not {type(value) for value in values} <= {int, float, type(None)}:
        _refuse(column, values, "a number", lambda value: type(value) in (int, float, type(None)))
    try:
        array = np.array(values, dtype="float64")
    except OverflowError:  # an integer beyond the greatest double
        array = np.array([None if value is None else _double(value) for value in values], dtype="float64")
    missing = np.array([value is None for value in values])
    if not (np.isfinite(array) | missing).all():
        _refuse(column, values, "a finite number", lambda value: value is None or np.isfinite(_double(value)))
    if column.kind == "integer" and not ((array == np.trunc(array)) | missing).all():
        _refuse(column, values, "a whole number", lambda value: value is None or float(value).is_integer())
    return array


def _texts(column: Column, values: list[Any]) -> np.ndarray:
    """Text as it is; true and false as the text that a two-valued column has in training."""
    if not {type(value) for value in values} <= {str, bool, type(None)}:
        _refuse(column, values, "text", lambda value: isinstance(value, str | bool | None))
    texts = [str(value) if isinstance(value, bool) else value for value in values]
    if not _is_unicode("".join(filter(None, texts))):
        _refuse(column, texts, "valid Unicode", lambda value: value is None or _is_unicode(value))
    return np.array(texts, dtype=object)


def _csv_values(name: str, kind: str, values: list[str]) -> list[Any]:
    if kind == "text":
        return [value or None for value in values]
    numbers: list[float | None] = []
    for row, value in enumerate(values, 1):
        try:
            if "_" in value:
                raise ValueError
            numbers.append(float(value) if value else None)
        except ValueError:
            raise BadInput("not a number", row=row, column=_shown([name]), mend="Send a number or nothing.") from None
    return numbers


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _refuse(column: Column, values: list[Any], wanted: str, fits: Callable[[Any], bool]) -> NoReturn:
    row, value = next((row, value) for row, value in enumerate(values, 1) if not fits(value))
    found = "" if type(value) in (int, float) and "number" in wanted else f", not {_kind(value)}"
    mend = f"This column takes {column.kind} or null."
    raise BadInput(f"expected {wanted}{found}", row=row, column=column.name, mend=mend)


def _check_names(names: Iterable[str], columns: Sequence[Column], row: int | None = None) -> None:
    """Each name once, all required columns there, no column beside the model's."""
    given = Counter(list(names))
    twice = [name for name, count in given.items() if count > 1]
    if twice:
        raise BadInput(f"columns given twice: {_shown(twice)}", row=row, mend="Send each column once.")
    missing = [column.name for column in columns if column.required and column.name not in given]
    if missing:
        raise BadInput(f"missing columns: {_shown(missing)}", row=row, mend=_takes(columns))
    known = {column.name for column in columns}
    extra = [name for name in given if name not in known]
    if extra:
        raise BadInput(f"columns the model does not know: {_shown(extra)}", row=row, mend=_takes(columns))


def _only(given: Collection[str], valid: set[str], what: str) -> None:
    unknown = sorted(set(given) - valid)
    if unknown:
        raise BadInput(f"unknown {what}: {_shown(unknown)}", mend=f"Valid: {', '.join(sorted(valid))}.")


def _takes(columns: Sequence[Column]) -> str:
    return f"The model takes: {', '.join(column.name for column in columns)}."


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(repr(name[:LONGEST_NAME]) for name in names[:MOST_NAMES]) + more


def _kind(value: Any) -> str:
    return "null" if value is None else JSON_NAMES[type(value)]
