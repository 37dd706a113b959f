"""How good a model is: metrics, comparison, drift, explanations, the card."""
