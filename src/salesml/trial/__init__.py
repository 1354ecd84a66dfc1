"""Methods tried on simulated companies and judged by the truth that only this package opens."""

from salesml.trial.runner import FIGURES, Plan, judge, plans, run, summary

__all__ = ["FIGURES", "Plan", "judge", "plans", "run", "summary"]
