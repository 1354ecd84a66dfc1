"""Score the rows of a file with a registered model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.errors import BadInput
from salesml.models.columns import extra_columns, text_of
from salesml.models.scorer import Scorer
from salesml.registry import catalog
from salesml.workflows.study_columns import Holds
from salesml.workflows.study_input import Sheet, read_table
from salesml.workflows.study_models import Progress
from salesml.workflows.study_recipe import RECIPE_FILE, Recipe
from salesml.workflows.study_report import number_text
from salesml.workspace import Workspace

FACTORS = 3
CHUNK = 100_000


@dataclass(frozen=True)
class Scored:
    """`scores`: one row per row of the file, in order. `notes` tell what a reader should know of them."""

    scores: pd.DataFrame
    version: int
    notes: tuple[str, ...]


def score_file(workspace: Workspace, path: Path, model: str, progress: Progress) -> Scored:
    """One row per row of the file: row (from 0), the id if the study had one, probability, lo, hi, factor_1 … factor_3.

    `lo, hi` are the 90 % interval of the calibrated probability. Rows that cannot be read stay empty and are noted.
    Raises UnknownName for a model or version that is not there, BadInput for a file that lacks a column.
    """
    with progress(f"reading {path.name}"):
        sheet = read_table(path)
    with progress(f"loading model {model}"):
        registered = catalog.load(workspace, *_split(model))
    recipe = _recipe(registered.folder, registered.scorer)
    try:
        X = recipe.frame(sheet.frame)
    except BadInput as error:
        error.file = sheet.file
        raise
    with progress(f"scoring {len(X):,} rows"):
        parts = [_scores(registered.scorer, X.iloc[first : first + CHUNK]) for first in range(0, len(X), CHUNK)]
    scores = pd.concat(parts).reindex(np.arange(sheet.rows))
    front = pd.DataFrame({"row": scores.index}, index=scores.index)
    if recipe.id and recipe.id in sheet.frame.columns:
        front[recipe.id] = sheet.frame[recipe.id].map(text_of, na_action="ignore").reindex(scores.index)
    return Scored(pd.concat([front, scores], axis=1), registered.version.number, tuple(_notes(sheet, recipe, X)))


def _split(model: str) -> tuple[str, str | int]:
    """NAME, NAME@ALIAS or NAME:VERSION."""
    name, _, alias = model.partition("@")
    if alias:
        return name, alias
    name, _, number = model.rpartition(":")
    return (name, int(number)) if name and number.isdigit() else (model, catalog.CHAMPION)


def _recipe(folder: Path, scorer: Scorer) -> Recipe:
    """The study's recipe; for another model its categories as text and its other features as numbers."""
    if (folder / RECIPE_FILE).exists():
        return Recipe.load(folder)
    text, number = Holds("text"), Holds("number", "point")
    return Recipe({name: text if name in scorer.categorical else number for name in scorer.features})


def _scores(scorer: Scorer, X: pd.DataFrame) -> pd.DataFrame:
    """probability, lo, hi and the strongest factors as text such as `Region=Pacific (+0.42)`."""
    lo, hi = scorer.interval(X)
    scores = pd.DataFrame({"probability": scorer.predict(X), "lo": lo, "hi": hi}, index=X.index)
    effects = scorer.explain(X)[1]
    table = effects.to_numpy(dtype="float64")
    strongest = np.argsort(-np.abs(table), axis=1, kind="stable")[:, :FACTORS]
    shown = {name: _shown(X[name]) for name in effects.columns}
    texts = np.array([shown[name] for name in effects.columns], dtype=object).reshape(len(effects.columns), len(X))
    names = np.array(effects.columns, dtype=object)
    rows = np.arange(len(X))
    for place in range(FACTORS):
        if place < strongest.shape[1]:
            chosen = strongest[:, place]
            parts = zip(names[chosen], texts[chosen, rows], table[rows, chosen], strict=True)
            scores[f"factor_{place + 1}"] = [f"{n}={v} ({e:+.2f})" if e else "" for n, v, e in parts]
        else:
            scores[f"factor_{place + 1}"] = ""
    return scores


def _shown(column: pd.Series) -> np.ndarray:
    """Values as a reader writes them; missing ones as (missing)."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.map(number_text, na_action="ignore").astype(object).fillna("(missing)").to_numpy()
    return column.astype(object).fillna("(missing)").to_numpy()


def _notes(sheet: Sheet, recipe: Recipe, X: pd.DataFrame) -> list[str]:
    notes = list(sheet.notes)
    used = [*recipe.features, *(name for name in (recipe.id, recipe.time) if name)]
    ignored = extra_columns(sheet.frame, used)
    if ignored:
        notes.append(f"Columns not used: {', '.join(ignored)}.")
    for name, holds in recipe.features.items():
        lost = int((X[name].isna() & sheet.frame[name].notna()).sum())
        if lost and holds.kind != "text":
            notes.append(f"{name}: {lost:,} values do not read as a {holds.kind} and were scored as missing.")
    for _, row in sheet.unreadable.head(10).iterrows():
        notes.append(f"Row {row['row']} was not scored: {row['reason']}.")
    if len(sheet.unreadable) > 10:
        notes.append(f"{len(sheet.unreadable):,} rows in all were not scored.")
    return notes
