"""The app database: users, roles, the append-only audit log."""
