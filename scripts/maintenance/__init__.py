"""What only maintainers run: benchmarks and the audit of dependencies."""
