"""What an operator runs: the `keyless` command, the policy engine, the local cloud."""
