"""Ridge or logistic regression: the smallest model, and often good enough."""

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.metrics import Task
from pipeline.model.preprocess import Inputs, imputed

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

NAME = "linear"
SPACE = {"strength": [0.001, 100.0]}
TRUSTED_TYPES = ()
REQUIRES = None


def build(
    inputs: Inputs, task: Task, options: dict[str, Any], seed: int, jobs: int
) -> "tuple[ColumnTransformer, Any]":
    """Numbers are imputed and scaled; `strength` is that of the regularisation."""
    from sklearn.linear_model import LogisticRegression, Ridge

    del jobs
    strength = float(options.pop("strength", 1.0))
    # Without any regularisation C is without bounds.
    bound = 1 / strength if strength else float("inf")
    model = (
        Ridge(alpha=strength, random_state=seed, **options)
        if task == "regression"
        else LogisticRegression(C=bound, max_iter=2000, random_state=seed, **options)
    )
    return imputed(inputs, scaled=True), model
