"""A file and a question become rows with features, outcome, entity and time; what is left out is kept and counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.evaluation.splits import Blocks, by_hash, by_time, entities_of
from salesml.models.columns import text_of
from salesml.registry.catalog import NAME
from salesml.workflows.study_columns import Holds, converted, times
from salesml.workflows.study_input import Sheet
from salesml.workflows.study_recipe import Recipe, told_features

LEAST = 20  # outcomes of each kind
CROWDED = 0.05  # of all rows alike: the columns are too few to tell a repeated record


@dataclass(frozen=True)
class Question:
    """What an analyst asks of a file: will `target` be `positive`?

    Columns by name: `time` orders the rows (`in_order`: the rows are in time order already), `id` names the record,
    `drop` and `known_at_close` are not used (the latter because they are known only with the outcome), `keep` are used
    even if the screen suspects them.
    """

    target: str
    positive: str
    name: str
    time: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()
    known_at_close: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    in_order: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """Rows that can be learned from, positions 0 … n-1; `rows` are their numbers in the file (from 0).

    `entities` join rows of one id and rows that are exact duplicates. `left_out` says why a column is not used,
    `rejected` (row, reason, and the row's text) which rows are not.
    """

    X: pd.DataFrame
    y: np.ndarray
    rows: np.ndarray
    ids: pd.Series | None
    times: pd.Series | None
    entities: np.ndarray
    blocks: Blocks
    recipe: Recipe
    left_out: dict[str, str]
    rejected: pd.DataFrame
    duplicates: dict[str, int]
    notes: tuple[str, ...] = field(default=())

    def days_after(self) -> dict[str, np.ndarray]:
        """Of each date column, the days it lies after the row's time."""
        dated = self.recipe.time_holds is not None and self.recipe.time_holds.kind == "date"
        names = [name for name, holds in self.recipe.features.items() if holds.kind == "date"] if dated else []
        return {name: self.X[name].to_numpy() for name in names}


def prepare(sheet: Sheet, question: Question) -> Prepared:
    """Check the question against the file, type the columns, reject rows without outcome or time, find blocks.

    Raises UnknownName or BadParameter for a question that does not fit the file, BadInput for a target without the
    positive value or with one value only, NotEnoughData below 20 rows of either outcome.
    """
    _check_names(sheet, question)
    outcome, ordered, time_holds, notes = _outcome(sheet, question), None, None, [*sheet.notes]
    reasons = pd.Series(None, index=sheet.frame.index, dtype=object)
    reasons[outcome.isna()] = f"no {question.target}"
    if question.time:
        ordered, time_holds = _times(sheet, question.time)
        reasons[ordered.isna() & reasons.isna()] = f"{question.time} does not read as a time"
    good = reasons.isna()
    table, y = sheet.frame[good], (outcome[good] == question.positive).to_numpy(dtype="float64")
    _check_counts(y, question)
    notes += _other_outcomes(outcome[good], question)
    unused = dict.fromkeys(question.drop, "asked for with --drop")
    unused |= dict.fromkeys(question.known_at_close, "declared known at close")
    named = [name for name in (question.target, question.time, question.id, *unused) if name]
    used, left_out = told_features(table.drop(columns=named), question.keep)
    recipe = Recipe(used, question.id, question.time, time_holds)
    X = recipe.frame(table).reset_index(drop=True)
    ids = table[question.id].map(text_of, na_action="ignore").reset_index(drop=True) if question.id else None
    entities, duplicates, more = _entities(X, y, ids)
    ordered = ordered[good].reset_index(drop=True) if ordered is not None else None
    if question.in_order:
        ordered = pd.Series(np.arange(len(X)))
    records = None if ids is None else entities_of(_codes(ids))
    blocks = by_hash(_keys(X, ids), entities, question.seed) if ordered is None else by_time(ordered, records)
    return Prepared(
        X, y, table.index.to_numpy(), ids, ordered, entities, blocks, recipe, {**unused, **left_out},
        _rejected(sheet, reasons), duplicates, (*notes, *more),
    )  # fmt: skip


def _check_names(sheet: Sheet, question: Question) -> None:
    if not NAME.fullmatch(question.name):
        raise BadParameter(f"--name {question.name!r} is not 1 to 100 letters, digits, '_', '-', '.', first no sign")
    columns = list(sheet.frame.columns)
    asked: dict[str, Iterable[str | None]] = {
        "--target": [question.target], "--time": [question.time], "--id": [question.id],
        "--drop": question.drop, "--known-at-close": question.known_at_close, "--keep": question.keep,
    }  # fmt: skip
    for option, names in asked.items():
        for name in names:
            if name is not None and name not in columns:
                raise UnknownName(f"column for {option} in {sheet.file}:", name, columns)
    if question.time and question.in_order:
        raise BadParameter("--time and --in-order both say how rows are ordered; give one")
    for option, name in (("--time", question.time), ("--id", question.id), *(("--drop", n) for n in question.drop)):
        if name == question.target:
            raise BadParameter(f"{name!r} is the target and cannot be given as {option} too")
    clash = set(question.keep) & {*question.drop, *question.known_at_close}
    if clash:
        raise BadParameter(f"{sorted(clash)[0]!r} cannot be both kept and dropped")


def _outcome(sheet: Sheet, question: Question) -> pd.Series:
    """The target as text, missing where it is blank. BadInput unless it has the positive value and another one."""
    holds = Holds("text")
    values = converted(sheet.frame[question.target], holds)
    counts = values.value_counts()
    shown = ", ".join(f"{value!r} ({count:,})" for value, count in counts.head(20).items())
    if question.positive not in counts.index:
        mend = f"Its values are: {shown or 'none'}."
        raise BadInput("no row has the positive value", sheet.file, None, question.target, question.positive, mend)
    if len(counts) < 2:
        mend = f"Every row has {shown}; rows with another outcome are needed."
        raise BadInput("only one outcome", sheet.file, None, question.target, None, mend)
    return values


def _times(sheet: Sheet, name: str) -> tuple[pd.Series, Holds]:
    try:
        return times(sheet.frame[name])
    except BadInput as error:
        error.file = sheet.file
        raise


def _check_counts(y: np.ndarray, question: Question) -> None:
    positive, negative = int(y.sum()), int(len(y) - y.sum())
    if min(positive, negative) < LEAST:
        raise NotEnoughData(
            f"{positive:,} rows have {question.target} = {question.positive} and {negative:,} have not; "
            f"at least {LEAST} of each are needed to tell a model from luck."
        )


def _other_outcomes(outcome: pd.Series, question: Question) -> list[str]:
    others = outcome[outcome != question.positive].value_counts()
    if len(others) < 2:
        return []
    listed = ", ".join(f"{value} ({count:,})" for value, count in others.head(10).items())
    return [f"All of these count as not {question.positive}: {listed}. Remove rows whose outcome is still open."]


def _codes(ids: pd.Series) -> np.ndarray:
    """A code per id; every missing id is its own."""
    codes = pd.factorize(ids)[0]
    absent = codes < 0
    codes[absent] = codes.max(initial=-1) + 1 + np.arange(absent.sum())
    return codes


def _keys(X: pd.DataFrame, ids: pd.Series | None) -> pd.Series:
    """What names a row whatever its place in the file: its id, else its content and which of the rows alike it is."""
    content = pd.util.hash_pandas_object(X, index=False)
    own = content.astype("str") + ":" + content.groupby(content).cumcount().astype("str")
    return own if ids is None else ids.fillna(own)


def _entities(X: pd.DataFrame, y: np.ndarray, ids: pd.Series | None) -> tuple[np.ndarray, dict[str, int], list[str]]:
    """Rows of one id, and exact duplicates, are one entity; what was found; notes."""
    alike: np.ndarray = np.arange(len(X))
    if len(X.columns):
        alike = X.groupby(list(X.columns), dropna=False, sort=False).ngroup().to_numpy()
    size, positive = np.bincount(alike), np.bincount(alike, y)
    found = {
        "rows_with_an_exact_duplicate": int(size[size > 1].sum()),
        "groups_of_exact_duplicates": int((size > 1).sum()),
        "groups_with_both_outcomes": int(((positive > 0) & (positive < size)).sum()),
    }
    memberships, notes = [], []
    if ids is not None:
        memberships.append(_codes(ids))
        found["rows_with_a_repeated_id"] = int(ids.duplicated(keep=False)[ids.notna()].sum())
    if size.max() <= CROWDED * len(X):
        memberships.append(alike)
    else:
        notes.append(f"{size.max():,} rows are alike in all columns: too few columns to tell repetition from chance.")
    return (entities_of(*memberships) if memberships else np.arange(len(X))), found, notes


def _rejected(sheet: Sheet, reasons: pd.Series) -> pd.DataFrame:
    """Rows not used: row (from 0), reason, and their text as it was."""
    bad = sheet.frame[reasons.notna()]
    texts = [" | ".join("" if pd.isna(value) else str(value) for value in row) for row in bad.to_numpy(dtype=object)]
    rows = pd.DataFrame({"row": bad.index, "reason": reasons[reasons.notna()].to_numpy(), "text": texts})
    return pd.concat([rows, sheet.unreadable], ignore_index=True).sort_values("row", ignore_index=True)
