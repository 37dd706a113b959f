"""One component for each module of terraform/modules, with its names, tags and policies."""
