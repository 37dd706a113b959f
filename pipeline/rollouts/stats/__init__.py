"""Statistics that hold however often one looks: sequences, sample sizes, the sample ratio."""
