"""What an operator runs: the `keyless` command, Terraform driving, the policy engine, the local cloud."""
