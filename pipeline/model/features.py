"""One scikit-learn Pipeline for each trial: imputation, encoding, model and its wrappers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError
from pipeline.model.families import Space, family
from pipeline.model.preprocess import inputs_of
from pipeline.settings import Search, Settings

if TYPE_CHECKING:
    import numpy as np
    import optuna
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

Parameters = Mapping[str, Any]


def space_of(name: str, search: Search) -> Space:
    """The ranges of a family's parameters: the settings' where they name some, else its own."""
    return {**family(name).SPACE, **search.space.get(name, {})}


def suggest(trial: "optuna.trial.BaseTrial", search: Search) -> dict[str, Any]:
    """Draw a family and its parameters from the settings' space, or the default one."""
    name = str(trial.suggest_categorical("family", list(search.families)))
    drawn: dict[str, Any] = {"family": name}
    for parameter, bounds in space_of(name, search).items():
        drawn[parameter] = _draw(trial, f"{name}.{parameter}", bounds)
    return drawn


def _draw(
    trial: "optuna.trial.BaseTrial", name: str, bounds: Sequence[float | int | str | None]
) -> float | int | str | None:
    if len(bounds) != 2 or any(isinstance(bound, str) or bound is None for bound in bounds):
        return trial.suggest_categorical(name, list(bounds))
    low, high = bounds
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=low > 0 and high / low >= 10)
    first, last = float(low or 0), float(high or 0)
    return trial.suggest_float(name, first, last, log=first > 0 and last / first >= 10)


def default(name: str, contract: SchemaContract, settings: Settings) -> dict[str, Any]:
    """The first trial of a family: the library's own defaults.

    Where the settings give a range that leaves the default out, its first bound.
    """
    own = settings.search.space.get(name, {})
    usual = build(contract, settings, {"family": name})[-1].get_params()
    usual = {key.rpartition("__")[2]: value for key, value in usual.items()}
    return {
        "family": name,
        **{
            parameter: bounds[0]
            for parameter, bounds in own.items()
            if not _within(usual.get(parameter), bounds)
        },
    }


def _within(value: Any, bounds: Sequence[Any]) -> bool:
    numbers = all(isinstance(bound, int | float) for bound in (value, *bounds))
    if len(bounds) == 2 and numbers:
        return bool(bounds[0] <= value <= bounds[1])
    return value in bounds


def build(
    contract: SchemaContract,
    settings: Settings,
    parameters: Parameters,
    *,
    jobs: int = 1,
) -> "Pipeline":
    """An unfitted Pipeline from a frame in the contract's types to predictions."""
    from sklearn.pipeline import Pipeline

    options = dict(parameters)
    chosen = family(options.pop("family"))
    wanted = settings.features
    inputs = inputs_of(contract, wanted.text, wanted.text_size, wanted.transform)
    seed = settings.search.seed
    try:
        preprocess, model = chosen.build(inputs, settings.task.type, options, seed, jobs)
    except TypeError as error:
        raise InputError(f"search.space.{chosen.NAME}: {error}") from None
    return Pipeline([("features", preprocess), ("model", _wrapped(model, settings))])


def _wrapped(model: Any, settings: Settings) -> Any:
    """A regressor that learns the target on another scale, if the settings say so."""
    scale = settings.task.target_transform
    if scale is None:
        return model
    import numpy as np
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import PowerTransformer, QuantileTransformer

    if scale == "log1p":
        return TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1)
    if scale == "sqrt":
        return TransformedTargetRegressor(model, func=np.sqrt, inverse_func=np.square)
    transformer = (
        PowerTransformer()
        if scale == "yeo-johnson"
        else QuantileTransformer(output_distribution="normal", random_state=settings.search.seed)
    )
    return TransformedTargetRegressor(model, transformer=transformer)


def fit(
    model: "Pipeline", features: "pd.DataFrame", target: "pd.Series", settings: Settings
) -> "Pipeline":
    """Fit a Pipeline, with each class weighted as the settings say."""
    weights = settings.task.class_weight
    if weights is None:
        return model.fit(features, target)
    from sklearn.utils.class_weight import compute_sample_weight

    known = set(target.unique())
    if not isinstance(weights, str) and (unknown := sorted(set(weights) - known)):
        raise InputError(
            f"task.class_weight names {', '.join(unknown)}; the classes are "
            f"{', '.join(sorted(known))}"
        )
    chosen = weights if isinstance(weights, str) else dict.fromkeys(known, 1.0) | weights
    return model.fit(features, target, model__sample_weight=compute_sample_weight(chosen, target))


def calibrated(
    model: "Pipeline",
    features: "pd.DataFrame",
    target: "pd.Series",
    folds: "Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]",
    settings: Settings,
) -> "Pipeline":
    """The Pipeline, fitted, with probabilities that are as frequent as they say.

    They are set right on predictions for rows that were not trained on: those of every fold, or in
    time on the last fold alone, before which the model then ends.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import Pipeline

    whole = sum(len(test) for _, test in folds) == len(target)
    if not whole:
        train, test = folds[-1]
        ordered = [(train, test)]
    outer = Pipeline(
        [
            ("features", model[0]),
            (
                "model",
                CalibratedClassifierCV(
                    model[-1],
                    method=settings.task.calibration,
                    cv=list(folds) if whole else ordered,
                    ensemble=not whole,
                ),
            ),
        ]
    )
    return fit(outer, features, target, settings)


def unwrapped(model: "Pipeline") -> Any:
    """The fitted estimator itself, inside of a calibration, a vote of one or a target's scale."""
    found = model[-1]
    if hasattr(found, "calibrated_classifiers_"):
        found = found.calibrated_classifiers_[0].estimator
    if hasattr(found, "regressor_"):
        found = found.regressor_
    return found


def parts_of(model: Any) -> "list[tuple[float, Pipeline]]":
    """The Pipelines of an average with their shares; a Pipeline by itself is all of it."""
    if not hasattr(model, "estimators_"):
        return [(1.0, model)]
    weights = model.weights or [1] * len(model.estimators_)
    return [
        (weight / sum(weights), part)
        for weight, part in zip(weights, model.estimators_, strict=True)
    ]


def one_thread(model: Any) -> None:
    """Let the model use one thread, wherever in it threads are counted."""
    for _, part in parts_of(model):
        counts = {name: 1 for name in part.get_params() if name.rpartition("__")[2] == "n_jobs"}
        part.set_params(**counts)


def check_space(contract: SchemaContract, settings: Settings) -> None:
    """Refuse parameters that a family does not have, or values that it does not take."""
    for name in settings.search.families:
        own = settings.search.space.get(name, {})
        usual = build(contract, settings, {"family": name})[-1].get_params()
        known = {*family(name).SPACE, *(key.rpartition("__")[2] for key in usual)}
        if unknown := sorted(set(own) - known):
            raise InputError(
                f"search.space.{name} names {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )
        for place in (0, -1):
            picked = {parameter: bounds[place] for parameter, bounds in own.items()}
            model = build(contract, settings, {"family": name, **picked})[-1]
            validate = getattr(model, "_validate_params", None)
            if validate is None:
                continue
            try:
                validate()
            except ValueError as error:
                raise InputError(f"search.space.{name}: {error}") from None
