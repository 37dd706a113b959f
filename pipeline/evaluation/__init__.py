"""How good a model is: metrics, comparison, drift, explanations, groups against each other."""
