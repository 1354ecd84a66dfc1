"""A sales-performance workbench: calibrated scores, coherent forecasts, every number recomputable as of any day."""
