"""Random forests: few settings, robust, larger models."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import imputed

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "random_forest"
SPACE = {
    "max_depth": [3, 16],
    "min_samples_leaf": [1, 20],
    "max_features": [0.2, 1.0],
}
TRUSTED_TYPES = ("sklearn.tree._tree.Tree",)


def build(
    numbers: list[str],
    categories: list[str],
    task: Task,
    options: dict[str, Any],
    seed: int,
    jobs: int,
) -> "tuple[ColumnTransformer, Any]":
    """Numbers are imputed, categories one-hot encoded."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return imputed(numbers, categories, scaled=False), kind(
        random_state=seed, n_jobs=jobs, **options
    )
