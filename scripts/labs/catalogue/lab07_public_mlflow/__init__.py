"""Lab 7: an MLflow server that the whole internet reaches, with a login that everybody knows."""
