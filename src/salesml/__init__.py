"""A sales-performance workbench: calibrated scores, coherent forecasts, every number recomputable as of any day.

For the data scientist: `Workspace.open()`, `Lake(workspace).open()`, `visible(tables, as_of)`, `training_table(workspace)`,
`catalogue()`, `judge(workspace, estimator)`. Names are loaded when first used, so importing salesml is quick.
"""

from importlib import import_module
from typing import Any

_FACE = {
    "Workspace": "salesml.workspace",
    "Lake": "salesml.lake",
    "visible": "salesml.lake",
    "training_table": "salesml.workflows.deals",
    "train_deals": "salesml.workflows.train_deals",
    "score_deals": "salesml.workflows.deals",
    "judge": "salesml.workflows.judge",
    "forecast_revenue": "salesml.workflows.forecast",
    "catalogue": "salesml.features.catalogue",
}
__all__ = sorted(_FACE)


def __getattr__(name: str) -> Any:
    """The public name, from where it lives."""
    if name not in _FACE:
        raise AttributeError(f"module 'salesml' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_FACE[name]), name)
