"""Lab 12: artifacts through MLflow, or straight to S3."""
