"""The platform in Pulumi: what terraform/ makes, as components; docs/pulumi.md."""
