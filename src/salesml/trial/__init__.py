"""Methods tried on simulated companies and judged by the truth that only this package opens."""

from salesml.trial.report import judged, reading, verdicts
from salesml.trial.runner import FIGURES, Plan, judge, plans, run, summary

__all__ = ["FIGURES", "Plan", "judge", "judged", "plans", "reading", "run", "summary", "verdicts"]
