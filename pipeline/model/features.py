"""One scikit-learn Pipeline for each model family: imputation, encoding and model in one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.evaluation.metrics import Task
from pipeline.model.families import family
from pipeline.settings import Search

if TYPE_CHECKING:
    import optuna
    from sklearn.pipeline import Pipeline

Parameters = Mapping[str, Any]


def suggest(trial: "optuna.trial.BaseTrial", search: Search) -> dict[str, Any]:
    """Draw a family and its parameters from the settings' space, or the default one."""
    name = str(trial.suggest_categorical("family", list(search.families)))
    space = {**family(name).SPACE, **search.space.get(name, {})}
    drawn: dict[str, Any] = {"family": name}
    for parameter, bounds in space.items():
        drawn[parameter] = _draw(trial, f"{name}.{parameter}", bounds)
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
    chosen = family(options.pop("family"))
    numbers = [name for name, kind in contract.inputs.items() if kind == "number"]
    categories = [name for name, kind in contract.inputs.items() if kind == "category"]
    preprocess, model = chosen.build(numbers, categories, task, options, seed, jobs)
    return Pipeline([("features", preprocess), ("model", model)])
