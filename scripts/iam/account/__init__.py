"""What IAM and a decision log say of an account's identities and resources."""
