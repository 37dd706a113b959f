"""RDS's data plane: PostgreSQL behind a TLS front that takes IAM tokens."""
