"""Histogram gradient boosting: fast on many rows, takes missing numbers as they are."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, coded

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "histogram_gradient_boosting"
# Early stopping looks at a tenth of the rows that it does not train on; "off" trains on all.
SPACE = {
    "learning_rate": [0.02, 0.3],
    "max_iter": [50, 600],
    "max_leaf_nodes": [7, 95],
    "min_samples_leaf": [5, 80],
    "l2_regularization": [0.001, 10.0],
    "max_features": [0.4, 1.0],
    "early_stopping": ["on", "off"],
}
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
REQUIRES = None


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Missing numbers stay as they are, categories become codes.

    Its own handling of categories would put a functools.partial into the model, a type that no
    one should trust a model file to bring.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    del jobs
    if (stopping := options.pop("early_stopping", None)) is not None:
        options["early_stopping"] = {"on": True, "off": False}.get(stopping, stopping)
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return coded(inputs), kind(random_state=seed, **options)
