"""What an operator does to the MLflow server: sessions, database, packages."""
