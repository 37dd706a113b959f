"""From typed rows to a model and its predictions: families, search, artifacts, batches."""
