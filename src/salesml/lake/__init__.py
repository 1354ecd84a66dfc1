"""Delta tables, one atomic HEAD across them, and visible(): the only door to what was known as of an instant."""
