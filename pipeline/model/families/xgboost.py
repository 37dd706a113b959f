"""XGBoost, where its package is installed."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, coded

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "xgboost"
SPACE = {
    "learning_rate": [0.02, 0.3],
    "n_estimators": [50, 800],
    "max_depth": [3, 10],
    "min_child_weight": [1.0, 50.0],
    "reg_lambda": [0.001, 10.0],
    "colsample_bytree": [0.4, 1.0],
}
# The booster is written in XGBoost's own format and read by its C library, never by pickle.
TRUSTED_TYPES = (
    "sklearn.utils._bunch.Bunch",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
REQUIRES = "xgboost"


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Missing numbers stay as they are, categories become codes.

    Its classifier takes numbers for classes alone; a vote of one numbers them and back.
    """
    from sklearn.ensemble import VotingClassifier
    from xgboost import XGBClassifier, XGBRegressor

    if task == "regression":
        return coded(inputs), XGBRegressor(random_state=seed, n_jobs=jobs, **options)
    one = XGBClassifier(random_state=seed, n_jobs=jobs, **options)
    return coded(inputs), VotingClassifier([("xgboost", one)], voting="soft")
