"""The pages that people read: each one HTML file that needs nothing else."""
