"""Measures computed from visible tables."""
