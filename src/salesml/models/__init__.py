"""What learns: deal outcomes, revenue, series."""
