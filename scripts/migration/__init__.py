"""From Terraform to Pulumi and back: the import file of the one from the state of the other."""
