"""What every trained outcome scorer can do, and loading one whatever its kind."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from salesml.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from salesml.models.outlook import Outlook

MODEL_FILE = "model.json"
KINDS = {
    "base_rate": "salesml.models.rates:BaseRate",
    "group_rate": "salesml.models.rates:GroupRate",
    "odoo_bayes": "salesml.models.peers:OdooBayes",
    "stage_weighted": "salesml.models.peers:StageWeighted",
    "logistic": "salesml.models.logistic:Logistic",
    "handful": "salesml.models.handful:Handful",
    "catboost": "salesml.models.outcome:OutcomeModel",
    "arrival_line": "salesml.models.arrival_line:ArrivalLine",
    "competing_risks": "salesml.models.competing_risks:CompetingRisks",
}


@runtime_checkable
class Scorer(Protocol):
    """A trained scorer of a yes/no outcome.

    Frames need the columns in `features` (BadInput names missing ones); extra columns are ignored, and categories never
    seen in training as well as missing values are scored.
    """

    kind: str
    features: tuple[str, ...]
    categorical: tuple[str, ...]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The calibrated probability of the outcome, one per row, strictly between 0 and 1."""

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds (lo, hi) of the calibrated probability, lo ≤ predict ≤ hi: how sure the model is of it."""

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """A base, and an effect per row and feature, in log-odds; base + their sum == logit(predict(X)) to 1e-6."""

    def save(self, folder: Path) -> None:
        """Write model.json (and what it names) into `folder`, which is made if needed."""


@runtime_checkable
class Timed(Protocol):
    """A scorer that also knows when: its `outlook` agrees with its `predict`."""

    def outlook(self, X: pd.DataFrame) -> Outlook:
        """Cumulative chances of won, lost and no decision by the end of each period, one row per row of X."""


@runtime_checkable
class Bounded(Protocol):
    """A scorer that gives its probability and the bounds of it at once, in less time than one after the other."""

    def bounded(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `predict` and `interval` give: probability, lo, hi."""


@runtime_checkable
class LaysOut(Protocol):
    """A scorer that can lay rows out once for several questions about them."""

    def laid_out(self, X: pd.DataFrame) -> Any:
        """What its own methods take in place of X. It is kept in memory whole: for few rows."""


def load(folder: Path | str) -> Scorer:
    """The scorer saved in `folder`. BadInput where there is none; UnknownName for a kind this version does not know."""
    path = Path(folder) / MODEL_FILE
    if not path.exists():
        raise BadInput(f"no {MODEL_FILE} here", file=str(folder), mend="Give the folder a scorer was saved in.")
    kind = json.loads(path.read_text(encoding="utf-8")).get("kind")
    if kind not in KINDS:
        raise UnknownName("kind of scorer", str(kind), KINDS)
    module, name = KINDS[kind].split(":")
    return getattr(import_module(module), name).load(Path(folder))  # type: ignore[no-any-return]


def read_model(folder: Path, kind: str) -> dict:
    """The content of model.json, checked to be of that kind."""
    content = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    if content.get("kind") != kind:
        raise BadInput(f"a scorer of kind {content.get('kind')!r}, not {kind!r}", file=str(folder / MODEL_FILE))
    return content


def write_model(folder: Path, kind: str, content: dict) -> None:
    """Write model.json with its kind; floats keep their full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"kind": kind, **content}, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MODEL_FILE).write_text(text, encoding="utf-8")
