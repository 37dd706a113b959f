"""The average of the best trials, weighted on the folds and kept as one scikit-learn model.

Which of several good trials is best on the folds is mostly chance; their average is better than
most of them. Caruana et al., Ensemble Selection from Libraries of Models, 2004. Which weights are
best there is chance, too: half of them is even among the families that the folds cannot tell from
the best. Breiman et al., Classification and Regression Trees, 1984, on one standard error.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.data.dataset import Dataset
from pipeline.evaluation.metrics import Scored
from pipeline.model.features import build, calibrated, fit
from pipeline.model.search import Folds, Trial, best, cross_validate, judged
from pipeline.model.threads import limited
from pipeline.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_EACH_FAMILY = 3
_ROUNDS = 20
_ROWS = 20_000


@dataclass(frozen=True)
class Chosen:
    """The trials that make the model, with their weights, and what they come to on the folds.

    `held` are the predictions for each fold's rows, by models that were not trained on them; None
    where one trial was chosen without a look at them.
    """

    members: tuple[tuple[int, Trial], ...]
    result: Trial
    held: list[Scored] | None

    @property
    def parameters(self) -> dict[str, Any]:
        """What to write down of the model: the trial's parameters, or those of each member."""
        if len(self.members) == 1:
            trial = self.members[0][1]
            return {**trial.parameters, "trial": trial.number}
        total = sum(weight for weight, _ in self.members)
        listed = {}
        for place, (weight, trial) in enumerate(self.members, start=1):
            options = dict(trial.parameters)
            name = options.pop("family")
            shown = ", ".join(f"{key}={_short(value)}" for key, value in options.items())
            listed[f"model_{place}"] = (
                f"{weight / total:.0%} {name}, trial {trial.number}{': ' if shown else ''}{shown}"
            )
        return {"family": "average", **listed}

    def __str__(self) -> str:
        if len(self.members) == 1:
            trial = self.members[0][1]
            return f"{trial.parameters['family']} (trial {trial.number})"
        numbers = ", ".join(str(trial.number) for _, trial in self.members)
        return f"an average of {len(self.members)} models (trials {numbers})"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Finalists:
    """Trials as they come; only the best few of each family keep their predictions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.trials: list[Trial] = []

    def add(self, trial: Trial) -> None:
        """Take in a trial, and let go of predictions that are not needed any more."""
        self.trials.append(trial)
        kept = {found.number for found in self.pool()}
        self.trials = [
            found if found.number in kept else replace(found, held=None) for found in self.trials
        ]

    def pool(self) -> list[Trial]:
        """The best trials of each family, the best of all first."""
        metric, count = self._settings.metric, Counter[str]()
        ordered = sorted(
            (found for found in self.trials if found.value(metric.name) is not None),
            key=lambda found: (-metric.sign * (found.value(metric.name) or 0.0), found.number),
        )
        found = []
        for trial in ordered:
            name = str(trial.parameters["family"])
            count[name] += 1
            if count[name] <= _OF_EACH_FAMILY:
                found.append(trial)
        return found


def choose_models(
    finalists: Finalists, dataset: Dataset, folds: Folds, settings: Settings
) -> Chosen:
    """The best trial, or an average of at most `search.ensemble` where one is better on the folds.

    Trials are added one by one, also again, each time the one that helps the average most. These
    weights are made more even, as `_more_even` says. Raises StepFailed where no trial has a value.
    """
    first = best(finalists.trials, settings)
    most = settings.search.ensemble
    pool = finalists.pool()
    alone = Chosen(((1, first),), first, list(first.held) if first.held else None)
    if most == 1 or len(pool) == 1:
        return alone
    held = {
        trial.number: list(trial.held or cross_validate(dataset, folds, trial.parameters, settings))
        for trial in pool
    }
    counted = _weights(pool, held, settings, most)
    metric = settings.metric
    found = judged(0, {}, _mixed(counted, held), settings, only=metric.name)
    value, before = found.value(metric.name), first.value(metric.name)
    if value is None or before is None or metric.sign * (value - before) <= 0:
        return replace(alone, held=held[first.number])
    counted = _more_even(counted, pool, settings, most)
    members = tuple((counted[trial.number], trial) for trial in pool if counted[trial.number])
    mixed = _mixed(counted, held)
    return Chosen(members, judged(first.number, first.parameters, mixed, settings), mixed)


def _mixed(counts: Counter[int], held: dict[int, list[Scored]]) -> list[Scored]:
    return mean([(weight, held[number]) for number, weight in counts.items()])


def _more_even(
    counts: Counter[int], pool: list[Trial], settings: Settings, most: int
) -> Counter[int]:
    """Weights of which half are these, and half are even among the families that are level.

    Where no other is level with the best trial of all, that one has this half alone.
    """
    leaders: dict[str, Trial] = {}
    for trial in pool:
        leaders.setdefault(str(trial.parameters["family"]), trial)
    level = [trial for trial in leaders.values() if _is_level(trial, pool[0], settings)]
    even = Counter({number: weight * len(level) for number, weight in counts.items()})
    even.update({trial.number: counts.total() for trial in level})
    return Counter(dict(even.most_common(most)))


def _is_level(trial: Trial, first: Trial, settings: Settings) -> bool:
    """Whether a trial is worse than the best by one standard error at most, fold by fold."""
    import numpy as np

    name, sign = settings.metric.name, settings.metric.sign
    values = np.array([first.folds[name], trial.folds[name]], dtype=float)
    losses = sign * (values[0] - values[1])
    losses = losses[~np.isnan(losses)]
    if trial is first or len(losses) < 2:
        return trial is first
    return bool(losses.mean() <= losses.std(ddof=1) / len(losses) ** 0.5)


def _weights(
    pool: list[Trial], held: dict[int, list[Scored]], settings: Settings, most: int
) -> Counter[int]:
    """How often each trial is taken."""
    sample = {number: _sampled(parts) for number, parts in held.items()}
    name, sign = settings.metric.name, settings.metric.sign

    def value(counts: Counter[int]) -> float:
        found = judged(0, {}, _mixed(counts, sample), settings, only=name).value(name)
        return -float("inf") if found is None else sign * found

    counts: Counter[int] = Counter()
    for _ in range(_ROUNDS):
        # Of equals the one that is better by itself; no more models than the settings allow.
        open_ = [trial.number for trial in pool if counts[trial.number] or len(+counts) < most]
        counts[max(open_, key=lambda number: value(counts + Counter([number])))] += 1
    return counts


def _sampled(parts: list[Scored]) -> list[Scored]:
    """At most so many rows, the same of every trial."""
    import numpy as np

    rows = sum(len(part.truth) for part in parts)
    if rows <= _ROWS:
        return parts
    random = np.random.default_rng(0)
    return [
        part.take(np.sort(random.choice(len(part.truth), len(part.truth) * _ROWS // rows, False)))
        for part in parts
    ]


def mean(members: Sequence[tuple[int, list[Scored]]]) -> list[Scored]:
    """Weighted means of predictions for the same rows, fold by fold."""
    import numpy as np

    weights = np.array([weight for weight, _ in members], dtype=float)
    weights /= weights.sum()

    def mixed(parts: list["NDArray[np.float64]"]) -> "NDArray[np.float64]":
        found: NDArray[np.float64] = np.einsum("i,i...->...", weights, np.stack(parts))
        return found

    found = []
    for parts in zip(*(held for _, held in members), strict=True):
        first = parts[0]
        scores = [part.score for part in parts if part.score is not None]
        if scores:
            score = mixed(scores)
            found.append(
                Scored(first.truth, score.argmax(axis=1), score, first.classes, first.positive)
            )
        else:
            found.append(Scored(first.truth, mixed([np.asarray(part.label) for part in parts])))
    return found


def fitted(chosen: Chosen, dataset: Dataset, folds: Folds, settings: Settings) -> Any:
    """The model, fitted on all training rows: a Pipeline, or a vote of several of them."""
    models = []
    for _, trial in chosen.members:
        model = build(dataset.contract, settings, trial.parameters, jobs=settings.search.parallel)
        with limited(len(dataset.table)):
            if settings.task.calibration:
                model = calibrated(model, dataset.features, dataset.target, folds, settings)
            else:
                fit(model, dataset.features, dataset.target, settings)
        models.append((f"trial_{trial.number}", model))
    if len(models) == 1:
        return models[0][1]
    return _vote(models, [weight for weight, _ in chosen.members], dataset, settings)


def _vote(
    models: list[tuple[str, Any]], weights: list[int], dataset: Dataset, settings: Settings
) -> Any:
    """scikit-learn's own average of models that are fitted already.

    Its fit would fit them anew, and hand class weights to Pipelines in a way that they refuse.
    """
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.preprocessing import LabelEncoder

    if settings.task.type == "regression":
        vote = VotingRegressor(models, weights=weights)
    else:
        vote = VotingClassifier(models, voting="soft", weights=weights)
        vote.le_ = LabelEncoder().fit(dataset.target)
        vote.classes_ = vote.le_.classes_
    vote.estimators_ = [model for _, model in models]
    return vote
