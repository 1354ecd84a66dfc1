"""One file, one question: is the outcome predictable, how well, by what, and a model to score new rows with."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.evaluation.leak_screen import Screen, screen
from salesml.evaluation.metrics import Measured
from salesml.workflows.study_input import Sheet, read_table
from salesml.workflows.study_models import Comparison, Progress, compare
from salesml.workflows.study_prepare import Prepared, Question, prepare
from salesml.workflows.study_report import render
from salesml.workspace import Workspace, write_atomically

PARTS = ("salesml", "catboost", "scikit-learn", "pandas", "numpy")


@dataclass(frozen=True)
class Studied:
    """Everything a study found; `certificate` is what is written as JSON, `version` the registered model's number."""

    question: Question
    sheet: Sheet
    prepared: Prepared
    screened: Screen
    comparison: Comparison
    certificate: dict
    folder: Path
    version: int | None = None


def study(path: Path, question: Question, folder: Path, workspace: Workspace | None, progress: Progress) -> Studied:
    """Answer the question and write report.html, certificate.json, predictions.csv, rejected.csv, model/ into `folder`.

    The model is registered in `workspace` (None: it is not). Raises BadInput, UnknownName, BadParameter or
    NotEnoughData before anything is written.
    """
    with progress(f"reading {path.name}"):
        sheet = read_table(path)
        prepared = prepare(sheet, question)
    with progress(f"screening {len(prepared.X.columns)} columns for leaks"):
        screened = _screened(prepared, question.seed)
    suspects = [name for name in screened.flagged("strong") if name not in question.keep]
    X = prepared.X.drop(columns=suspects)
    reasons = screened.columns.set_index("column")["reason"]
    left_out = {**prepared.left_out, **{name: f"suspected leak: {reasons[name]}" for name in suspects}}
    prepared = replace(prepared, X=X, left_out=left_out, recipe=prepared.recipe.only(list(X.columns)))
    comparison = compare(prepared, question.seed, progress)
    certificate = _certificate(question, sheet, prepared, screened, comparison)
    studied = Studied(question, sheet, prepared, screened, comparison, certificate, folder)
    with progress("explaining and writing the report"):
        _write(studied)
    if workspace is None:
        return studied
    with progress(f"registering the model as {question.name}"):
        return replace(studied, version=_register(workspace, studied))


def _screened(prepared: Prepared, seed: int) -> Screen:
    """The screen sees training rows only: what is unseen stays unseen."""
    train = prepared.blocks.train
    days = {name: values[train] for name, values in prepared.days_after().items()}
    return screen(
        prepared.X.iloc[train], prepared.y[train], days_after=days, entities=prepared.entities[train], seed=seed
    )


def _certificate(
    question: Question, sheet: Sheet, prepared: Prepared, screened: Screen, comparison: Comparison
) -> dict:
    """The study's figures and everything needed to repeat it, as JSON can hold it."""
    return {
        "name": question.name,
        "question": f"{question.target} = {question.positive}",
        "file": {"name": sheet.file, "sha256": sheet.sha256, "rows": sheet.rows},
        "rows_used": len(prepared.y),
        "rows_rejected": len(prepared.rejected),
        "base_rate": float(prepared.y.mean()),
        "split": "by time" if prepared.times is not None else "by hash of the record, seeded",
        "blocks": {name: _block(prepared, positions) for name, positions in vars(prepared.blocks).items()},
        "duplicates": prepared.duplicates,
        "features": list(prepared.X.columns),
        "left_out": prepared.left_out,
        "leak_screen": {
            "columns": screened.columns.to_dict("records"),
            "false_alarms": screened.false_alarms,
            "screenings_of_shuffled_outcomes": screened.tried,
        },
        "chosen": comparison.chosen,
        "has_signal": comparison.has_signal,
        "unseen_rows": {kind: _figures(comparison, kind) for kind in comparison.models},
        "not_trained": comparison.skipped,
        "interval_level": 0.9,
        "seed": question.seed,
        "versions": {part: version(part) for part in PARTS},
        "notes": list(prepared.notes),
    }


def _block(prepared: Prepared, positions: np.ndarray) -> dict:
    y = prepared.y[positions]
    block: dict = {"rows": len(y), "positive": int(y.sum()), "rate": float(y.mean()) if len(y) else None}
    if prepared.times is not None and len(y):
        inside = prepared.times.iloc[positions]
        block |= {"first": str(inside.min()), "last": str(inside.max())}
    return block


def _figures(comparison: Comparison, kind: str) -> dict:
    judged = comparison.models[kind]
    calibrated = judged.calibration
    figures = {
        **judged.figures,
        "log_loss_minus_base_rate": judged.difference,
        "ece": calibrated.ece,
        "calibration_slope": calibrated.slope,
        "calibration_intercept": calibrated.intercept,
    }
    return {
        **{name: _measured(figure) for name, figure in figures.items()},
        "ece_bar": calibrated.bar,
        "calibrated": calibrated.passes,
    }


def _measured(figure: Measured) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in vars(figure).items()}


def _write(studied: Studied) -> None:
    """The report comes last: where there is one, the rest is complete."""
    folder, prepared = studied.folder, studied.prepared
    model = folder / "model"
    studied.comparison.best.scorer.save(model)
    prepared.recipe.save(model)
    prepared.rejected.to_csv(folder / "rejected.csv", index=False)
    predictions(studied).to_csv(folder / "predictions.csv", index=False)
    text = json.dumps(studied.certificate, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / "certificate.json", text.encode())
    write_atomically(folder / "report.html", render(studied).encode())


def predictions(studied: Studied) -> pd.DataFrame:
    """The unseen rows in the file's order: row (from 0), the id where there is one, y, probability, lo, hi (90 %)."""
    prepared, best = studied.prepared, studied.comparison.best
    test = prepared.blocks.test
    lo, hi = best.scorer.interval(prepared.X.iloc[test])
    columns: dict[str, object] = {"row": prepared.rows[test]}
    if prepared.ids is not None:
        columns["id"] = prepared.ids.iloc[test].to_numpy()
    columns |= {"y": prepared.y[test].astype("int64"), "probability": best.probabilities, "lo": lo, "hi": hi}
    return pd.DataFrame(columns).sort_values("row", ignore_index=True)


def _register(workspace: Workspace, studied: Studied) -> int:
    """Register the chosen model; a study is champion of its name at once."""
    from salesml.registry import catalog
    from salesml.registry.columns import columns_of

    best, prepared = studied.comparison.best, studied.prepared
    metrics = {name: figure.value for name, figure in best.figures.items()} | {"ece": best.calibration.ece.value}
    registered = catalog.register(
        workspace,
        studied.question.name,
        studied.folder / "model",
        columns=columns_of(prepared.X),
        metrics={name: value for name, value in metrics.items() if np.isfinite(value)},
        tags={"file_sha256": studied.sheet.sha256, "question": studied.certificate["question"]},
        study=True,
    )
    return registered.number


def silent(_: str) -> AbstractContextManager[None]:
    """Progress for callers that show none."""
    return nullcontext()
