"""Feature builders on visible tables, and their catalogue."""
