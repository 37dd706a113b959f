"""Trust policies of a Terraform module, its expressions evaluated as Terraform does."""
