"""Extremely randomised trees: forests that cut at random, often better on smooth numbers."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, imputed

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "extra_trees"
SPACE = {
    "n_estimators": [100, 300],
    "min_samples_leaf": [1, 20],
    "max_features": [0.2, 1.0],
}
TRUSTED_TYPES = ("sklearn.tree._tree.Tree",)
REQUIRES = None


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Numbers are imputed, categories one-hot encoded."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesRegressor if task == "regression" else ExtraTreesClassifier
    return imputed(inputs, scaled=False), kind(random_state=seed, n_jobs=jobs, **options)
