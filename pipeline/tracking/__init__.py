"""What is recorded of a run: MLflow, lineage, the lease, CloudWatch metrics."""
