"""The only place that composes: ingest, train, score, forecast, study, report."""
