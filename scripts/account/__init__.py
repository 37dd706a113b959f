"""One environment in an AWS account: bootstrap, plan, apply, destroy."""
