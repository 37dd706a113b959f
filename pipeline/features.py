"""One scikit-learn Pipeline for each model family: imputation, encoding and model in one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.metrics import Task
from pipeline.schema import SchemaContract
from pipeline.settings import Family, Search

if TYPE_CHECKING:
    import optuna
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

Parameters = Mapping[str, Any]
# A range as [low, high] of numbers (log-uniform where low > 0 and high / low >= 100), or choices.
Space = Mapping[str, Sequence[float | int | str]]

DEFAULT_SPACE: Mapping[Family, Space] = {
    "histogram_gradient_boosting": {
        "learning_rate": [0.02, 0.3],
        "max_leaf_nodes": [7, 63],
        "min_samples_leaf": [5, 50],
        "l2_regularization": [0.0, 5.0],
    },
    "random_forest": {
        "max_depth": [3, 16],
        "min_samples_leaf": [1, 20],
        "max_features": [0.2, 1.0],
    },
    "linear": {"strength": [0.001, 100.0]},
}
# Encoders lump the rarest categories together beyond this; histogram boosting has 255 bins.
_MAX_CATEGORIES = 200


def suggest(trial: "optuna.trial.BaseTrial", search: Search) -> dict[str, Any]:
    """Draw a family and its parameters from the settings' space, or the default one."""
    family: Family = trial.suggest_categorical("family", list(search.families))  # type: ignore[assignment]
    space = {**DEFAULT_SPACE[family], **search.space.get(family, {})}
    drawn: dict[str, Any] = {"family": family}
    for name, bounds in space.items():
        drawn[name] = _draw(trial, f"{family}.{name}", bounds)
    return drawn


def _draw(
    trial: "optuna.trial.BaseTrial", name: str, bounds: Sequence[float | int | str]
) -> float | int | str:
    if len(bounds) != 2 or any(isinstance(bound, str) for bound in bounds):
        return trial.suggest_categorical(name, list(bounds))  # type: ignore[return-value]
    low, high = bounds
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high)
    low, high = float(low), float(high)
    return trial.suggest_float(name, low, high, log=low > 0 and high / low >= 100)


def build(
    contract: SchemaContract, task: Task, parameters: Parameters, *, seed: int, jobs: int = 1
) -> "Pipeline":
    """An unfitted Pipeline from a frame in the contract's types to predictions."""
    from sklearn.pipeline import Pipeline

    options = dict(parameters)
    family: Family = options.pop("family")
    numbers = [name for name, spec in contract.features.items() if spec.kind == "number"]
    categories = [name for name, spec in contract.features.items() if spec.kind == "category"]
    preprocess, model = _BUILDERS[family](numbers, categories, task, options, seed, jobs)
    return Pipeline([("features", preprocess), ("model", model)])


def _boosting(
    numbers: list[str],
    categories: list[str],
    task: Task,
    options: dict[str, Any],
    seed: int,
    jobs: int,
) -> "tuple[ColumnTransformer, Any]":
    """Histogram boosting takes missing numbers as they are, and categories by their codes.

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
        max_categories=_MAX_CATEGORIES,
    )
    preprocess = ColumnTransformer(
        [("category", encoder, categories), ("number", "passthrough", numbers)],
        verbose_feature_names_out=False,
    )
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return preprocess, kind(random_state=seed, early_stopping=False, **options)


def _forest(
    numbers: list[str],
    categories: list[str],
    task: Task,
    options: dict[str, Any],
    seed: int,
    jobs: int,
) -> "tuple[ColumnTransformer, Any]":
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return _imputed(numbers, categories, scaled=False), kind(
        random_state=seed, n_jobs=jobs, **options
    )


def _linear(
    numbers: list[str],
    categories: list[str],
    task: Task,
    options: dict[str, Any],
    seed: int,
    jobs: int,
) -> "tuple[ColumnTransformer, Any]":
    """Ridge or logistic regression; `strength` is that of the regularisation."""
    from sklearn.linear_model import LogisticRegression, Ridge

    del jobs
    strength = float(options.pop("strength", 1.0))
    model = (
        Ridge(alpha=strength, random_state=seed, **options)
        if task == "regression"
        else LogisticRegression(C=1 / strength, max_iter=2000, random_state=seed, **options)
    )
    return _imputed(numbers, categories, scaled=True), model


def _imputed(numbers: list[str], categories: list[str], *, scaled: bool) -> "ColumnTransformer":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    number = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    category = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)"),
        OneHotEncoder(handle_unknown="ignore", max_categories=_MAX_CATEGORIES, sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("number", make_pipeline(number, StandardScaler()) if scaled else number, numbers),
            ("category", category, categories),
        ],
        verbose_feature_names_out=False,
    )


_BUILDERS: Mapping[Family, Callable[..., "tuple[ColumnTransformer, Any]"]] = {
    "histogram_gradient_boosting": _boosting,
    "random_forest": _forest,
    "linear": _linear,
}
