"""Metrics, calibration, cutoffs, backtests, leak proofs."""
