"""Voila apps."""
