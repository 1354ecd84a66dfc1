"""MLflow: runs, registered models, the promotion gate, the scoring server. Only this floor imports mlflow."""
