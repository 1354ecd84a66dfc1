"""Fairness on 10,000 random instances, in a batch and after each lead given alone.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_routing/fairness.py
"""

from __future__ import annotations

from salesml.trial.routing_fairness import broken

if __name__ == "__main__":
    print(broken(seed=2026, count=10_000))
