"""Checks on staged rows: what is rejected, what is warned of, and how to mend it."""
