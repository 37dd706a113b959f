"""From a source to typed rows: reading, the contract, the holdout's sides."""
