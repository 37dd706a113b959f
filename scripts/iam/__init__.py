"""AWS's authorisation: the policy engine, what requests need, and analyses of accounts."""
