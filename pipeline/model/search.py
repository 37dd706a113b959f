"""The search for parameters: seeded, in batches, resumable without losing or repeating a trial."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.data.dataset import Dataset
from pipeline.errors import InputError, StepFailed, first_line
from pipeline.evaluation.metrics import METRICS, Scored, Undefined, compute, compute_all
from pipeline.model.decision import DecisionRule, choose
from pipeline.model.features import build, check_space, default, fit, suggest
from pipeline.model.scoring import positive_class, score
from pipeline.model.threads import limited
from pipeline.settings import Settings
from pipeline.tracking import progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Folds = list[tuple["NDArray[np.intp]", "NDArray[np.intp]"]]


@dataclass(frozen=True)
class Trial:
    """One finished trial: parameters and the metrics of each fold, by name.

    A metric is None in a fold whose rows give it no value; `why` says why a trial has none at all.
    `held` are the predictions for each fold's rows, as long as somebody may need them.
    """

    number: int
    parameters: Mapping[str, Any]
    folds: Mapping[str, list[float | None]]
    why: str | None = None
    held: "tuple[Scored, ...] | None" = field(default=None, compare=False, repr=False)

    def value(self, metric: str) -> float | None:
        """The mean over the folds in which the metric is defined; None if it is in none."""
        values = [value for value in self.folds.get(metric, []) if value is not None]
        return sum(values) / len(values) if values else None


def make_folds(dataset: Dataset, settings: Settings) -> Folds:
    """Cross-validation by the holdout's rule: by class, by group, or forward in time.

    Rows that are the same in all that the holdout's sides hang on stay together in folds, too: else
    folds would reward a model for what it knows by heart, and the holdout would not.
    """
    import numpy as np
    from sklearn.model_selection import (
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
        TimeSeriesSplit,
    )

    count = settings.search.folds
    _check_folds(dataset, settings)
    if dataset.times is not None:
        order = np.argsort(dataset.times, kind="stable")
        return [(order[train], order[test]) for train, test in TimeSeriesSplit(count).split(order)]
    if dataset.groups is not None:
        splitter = GroupKFold(count)
        return list(splitter.split(dataset.features, dataset.target, dataset.groups))
    same = _same(dataset)
    if same is not None:
        kind = GroupKFold if settings.task.type == "regression" else StratifiedGroupKFold
        splitter = kind(count, shuffle=True, random_state=settings.search.seed)
        return list(splitter.split(dataset.features, dataset.target, same))
    kind = KFold if settings.task.type == "regression" else StratifiedKFold
    splitter = kind(count, shuffle=True, random_state=settings.search.seed)
    return list(splitter.split(dataset.features, dataset.target))


def _same(dataset: Dataset) -> "NDArray[np.intp] | None":
    """A number for rows that are the same; None where each is another."""
    import numpy as np

    names, numbers = np.unique(dataset.identity, return_inverse=True)
    return numbers if len(names) < len(numbers) else None


def _check_folds(dataset: Dataset, settings: Settings) -> None:
    """Refuse more folds than the scarcest class, the groups or the rows allow."""
    most = len(dataset.table)
    if dataset.groups is not None:
        most = len(set(dataset.groups.tolist()))
    elif dataset.times is None and settings.task.type != "regression":
        most = int(dataset.target.value_counts().min())
    if dataset.times is None and (same := _same(dataset)) is not None:
        most = min(most, int(same.max()) + 1)
    if settings.search.folds > most:
        raise InputError(
            f"the training rows allow at most {most} folds: write folds = {max(most, 2)} under "
            "[search], or get more data"
        )


def cross_validate(
    dataset: Dataset, folds: Folds, parameters: Mapping[str, Any], settings: Settings
) -> list[Scored]:
    """Out-of-sample predictions of each fold."""
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    found: list[Scored] = Parallel(n_jobs=settings.search.parallel, prefer="threads")(
        delayed(_fit_fold)(dataset, fold, parameters, settings) for fold in folds
    )
    return found


def search(
    dataset: Dataset,
    folds: Folds,
    settings: Settings,
    done: Mapping[int, Trial],
    finished: Callable[[list[Trial]], None],
) -> Iterator[Trial]:
    """Yield every trial of the search; `finished` gets each batch's new ones before they come.

    A batch of `parallel` trials is drawn, run and only then told to the sampler, which starts
    every batch from a seed of its own. So the draw depends on earlier batches alone, not on which
    trial ends first, and after an interruption the trials in `done` are replayed, not run.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=settings.metric.direction)
    check_space(dataset.contract, settings)
    first = _defaults(dataset, settings)
    yield from _results(dataset, folds, settings, first, done, finished).values()
    parallel, trials = settings.search.parallel, settings.search.trials
    for start in range(len(first), trials, parallel):
        study.sampler = optuna.samplers.TPESampler(seed=settings.search.seed + start)
        asked = [study.ask() for _ in range(min(parallel, trials - start))]
        drawn = {len(first) + trial.number: suggest(trial, settings.search) for trial in asked}
        found = _results(dataset, folds, settings, drawn, done, finished)
        for trial, result in zip(asked, found.values(), strict=True):
            value = result.value(settings.metric.name)
            failed = optuna.trial.TrialState.FAIL if value is None else None
            study.tell(trial, value, state=failed)
            yield result


def _defaults(dataset: Dataset, settings: Settings) -> dict[int, dict[str, Any]]:
    """The first trials: every family with its library's defaults, as far as there are trials."""
    names = settings.search.families[: settings.search.trials]
    return {number: default(name, dataset.contract, settings) for number, name in enumerate(names)}


def _results(
    dataset: Dataset,
    folds: Folds,
    settings: Settings,
    drawn: Mapping[int, Mapping[str, Any]],
    done: Mapping[int, Trial],
    finished: Callable[[list[Trial]], None],
) -> dict[int, Trial]:
    """Every drawn trial in order, those that are done recalled, the others run."""
    last = max(drawn, default=-1) + 1
    progress.note(f"trial {last} of {settings.search.trials}")
    ran = _run(dataset, folds, settings, {n: drawn[n] for n in drawn if n not in done})
    finished(list(ran.values()))
    return {number: ran.get(number) or done[number] for number in drawn}


def best(trials: list[Trial], settings: Settings) -> Trial:
    """The trial with the best mean; of equals the earliest.

    Raises StepFailed where no trial has a value: what is undefined is never best.
    """
    metric = settings.metric
    judged = [
        (metric.sign * value, -trial.number, trial)
        for trial in trials
        if (value := trial.value(metric.name)) is not None
    ]
    if not judged:
        why = next((trial.why for trial in trials if trial.why), None)
        raise StepFailed(
            f"no trial has a value of {metric.name}: "
            + (why or "no fold holds rows of two classes; get more data, or other folds")
        )
    return max(judged, key=lambda entry: entry[:2])[2]


def _run(
    dataset: Dataset, folds: Folds, settings: Settings, drawn: Mapping[int, Mapping[str, Any]]
) -> dict[int, Trial]:
    """Fit every fold of every trial, `parallel` at a time."""
    from joblib import Parallel, delayed

    jobs = [(number, fold) for number in drawn for fold in folds]
    # Threads: the fits release the interpreter's lock, and a process would import for seconds.
    scored: list[Scored | str] = Parallel(n_jobs=settings.search.parallel, prefer="threads")(
        delayed(_try_fold)(dataset, fold, drawn[number], settings) for number, fold in jobs
    )
    return {
        number: _trial(
            number,
            drawn[number],
            [found for (owner, _), found in zip(jobs, scored, strict=True) if owner == number],
            settings,
        )
        for number in drawn
    }


def _trial(
    number: int, parameters: Mapping[str, Any], folds: list[Scored | str], settings: Settings
) -> Trial:
    """A trial has no value if one fold failed: the mean of the others would be too good."""
    scored = [found for found in folds if isinstance(found, Scored)]
    failed = next((found for found in folds if isinstance(found, str)), None)
    if failed is not None:
        return Trial(number, parameters, {}, failed)
    return replace(judged(number, parameters, scored, settings), held=tuple(scored))


def judged(
    number: int,
    parameters: Mapping[str, Any],
    held: list[Scored],
    settings: Settings,
    *,
    only: str | None = None,
) -> Trial:
    """A trial by its predictions for each fold's rows: every metric, or `only` one."""
    task, own = settings.task.type, settings.task.metric
    on = None if only is None else METRICS[only].on
    # Where a threshold is sought, it costs more than the metric, which may not depend on it.
    rule = DecisionRule() if on == "score" else choose(settings, merge(held))
    applied = [rule.applied(found) for found in held]
    if only is not None:
        return Trial(number, parameters, {only: [_value(only, found) for found in applied]})
    each = [compute_all(task, found, own) for found in applied]
    names = sorted({name for values in each for name in values})
    return Trial(
        number, parameters, {name: [values.get(name) for values in each] for name in names}
    )


def _value(metric: str, scored: Scored) -> float | None:
    with suppress(Undefined):
        return compute(metric, scored)
    return None


def merge(parts: list[Scored]) -> Scored:
    """Predictions of all folds in one."""
    import numpy as np

    first = parts[0]
    scores = [part.score for part in parts if part.score is not None]
    return Scored(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate(scores) if scores else None,
        first.classes,
        first.positive,
    )


def _try_fold(
    dataset: Dataset,
    fold: "tuple[NDArray[np.intp], NDArray[np.intp]]",
    parameters: Mapping[str, Any],
    settings: Settings,
) -> Scored | str:
    """Predictions of a fold, or why the model could not be fitted to it."""
    import numpy as np

    try:
        found = _fit_fold(dataset, fold, parameters, settings)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return f"{parameters['family']} cannot be fitted: {first_line(error)}"
    numbers = found.label if found.score is None else found.score
    if not np.isfinite(numbers).all():
        return f"{parameters['family']} predicts values that are no numbers"
    return found


def _fit_fold(
    dataset: Dataset,
    fold: "tuple[NDArray[np.intp], NDArray[np.intp]]",
    parameters: Mapping[str, Any],
    settings: Settings,
) -> Scored:
    train, test = fold
    features, target = dataset.features, dataset.target
    model = build(dataset.contract, settings, parameters)
    # Folds run side by side already.
    with limited(0):
        fit(model, features.iloc[train], target.iloc[train], settings)
        positive = positive_class(dataset.contract, settings.data.positive)
        return score(model, features.iloc[test], target.iloc[test], dataset.contract, positive)
