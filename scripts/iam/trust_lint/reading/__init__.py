"""Reads trust policies out of what people write them in: Terraform, templates, CDK, scripts."""
