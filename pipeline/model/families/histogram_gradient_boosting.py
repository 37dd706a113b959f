"""Histogram gradient boosting: fast on many rows, takes missing numbers as they are."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import MAX_CATEGORIES

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "histogram_gradient_boosting"
SPACE = {
    "learning_rate": [0.02, 0.3],
    "max_leaf_nodes": [7, 63],
    "min_samples_leaf": [5, 50],
    "l2_regularization": [0.0, 5.0],
}
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


def build(
    numbers: list[str],
    categories: list[str],
    task: Task,
    options: dict[str, Any],
    seed: int,
    jobs: int,
) -> "tuple[ColumnTransformer, Any]":
    """Missing numbers stay as they are, categories become codes.

    Its own handling of categories would put a functools.partial into the model, a type that no
    one should trust a model file to bring.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.preprocessing import OrdinalEncoder

    del jobs
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        max_categories=MAX_CATEGORIES,
    )
    preprocess = ColumnTransformer(
        [("category", encoder, categories), ("number", "passthrough", numbers)],
        verbose_feature_names_out=False,
    )
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return preprocess, kind(random_state=seed, early_stopping=False, **options)
