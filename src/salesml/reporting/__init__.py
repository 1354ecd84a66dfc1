"""The notebook runner and exporters."""
