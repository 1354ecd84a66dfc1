"""REST and GraphQL."""
