"""The code of every registered outcome model. MLflow copies this file into the model and runs it to load the model."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from salesml.models.scorer import load
from salesml.registry.columns import read
from salesml.registry.predictions import predictions


class OutcomeModel(PythonModel):
    """A saved scorer behind the pyfunc interface."""

    def load_context(self, context: Any) -> None:
        """Load the scorer and its columns from the model's artifacts."""
        self.scorer = load(context.artifacts["outcome"])
        self.columns = read(context.artifacts["outcome"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`probability` per row; params `interval`, `timing` (bool) and `factors` (count) add to it."""
        return predictions(self.scorer, model_input, self.columns, **(params or {}))


mlflow.models.set_model(OutcomeModel())
