"""Reading a Terraform plan: what changes, what bears on security, what it costs."""
