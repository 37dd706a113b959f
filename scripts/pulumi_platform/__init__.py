"""The platform as Pulumi components. Every value comes from the Terraform modules; see docs."""
