"""CatBoost, where its package is installed: categories as they are, by its own statistics."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, together

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "catboost"
SPACE = {
    "learning_rate": [0.02, 0.3],
    "iterations": [100, 1000],
    "depth": [4, 9],
    "l2_leaf_reg": [0.5, 30.0],
}
# The model is written in CatBoost's own format and read by its C++ library, never by pickle.
TRUSTED_TYPES = ("catboost.core.CatBoostClassifier", "catboost.core.CatBoostRegressor")
REQUIRES = "catboost"


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Missing numbers stay as they are, missing categories are one of their own."""
    from catboost import CatBoostClassifier, CatBoostRegressor
    from sklearn.impute import SimpleImputer

    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    model = kind(
        random_seed=seed,
        thread_count=jobs,
        verbose=False,
        allow_writing_files=False,
        cat_features=list(range(len(inputs.categories))) or None,
        **options,
    )
    filled = SimpleImputer(strategy="constant", fill_value="(missing)")
    columns = together(
        [("category", filled, inputs.categories), ("number", "passthrough", inputs.numbers)],
        inputs,
    )
    # As a frame, which is faster than an array of objects; words come as an array only.
    return columns if inputs.texts else columns.set_output(transform="pandas"), model
