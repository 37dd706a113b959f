"""LightGBM, where its package is installed."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, coded

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "lightgbm"
SPACE = {
    "learning_rate": [0.02, 0.3],
    "n_estimators": [50, 800],
    "num_leaves": [7, 127],
    "min_child_samples": [5, 80],
    "reg_lambda": [0.001, 10.0],
    "colsample_bytree": [0.4, 1.0],
}
# The booster is written as LightGBM's own text and read by its C library, never by pickle.
TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)
REQUIRES = "lightgbm"


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Missing numbers stay as they are, categories become codes."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return coded(inputs), kind(random_state=seed, n_jobs=jobs, verbose=-1, **options)
