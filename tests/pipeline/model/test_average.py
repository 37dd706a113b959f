"""The average of the best trials: who is in it, what it predicts, and that it survives skops."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.stats import sem  # type: ignore[import-untyped]

from pipeline.data.dataset import Dataset
from pipeline.errors import StepFailed
from pipeline.evaluation.metrics import Scored, compute
from pipeline.model import average
from pipeline.model.average import Chosen, Finalists, choose_models, fitted, mean
from pipeline.model.families import trusted_types
from pipeline.model.features import one_thread
from pipeline.model.search import Trial, cross_validate, judged, make_folds
from pipeline.settings import Settings, parse_settings
from tests.pipeline.conftest import make_dataset

pytestmark = pytest.mark.slow

Make = Callable[..., Settings]
BINARY = {"source": "x.csv", "target": "y", "positive": "yes"}
NUMBER = {"source": "x.csv", "target": "y", "positive": None}


def _settings(make_settings: Make, *, regression: bool, **search: object) -> Settings:
    task = (
        {"type": "regression", "metric": "rmse"}
        if regression
        else {"type": "binary", "metric": "log_loss"}
    )
    wanted = {"families": ["linear", "random_forest"], "trials": 3, "folds": 3, "space": {}}
    return make_settings(
        data=NUMBER if regression else BINARY, task=task, search={**wanted, **search}
    )


REGRESSION = parse_settings(
    {
        "model": "m",
        "data": {"source": "x.csv", "target": "y"},
        "task": {"type": "regression", "metric": "rmse"},
    },
    origin="test",
)


def _dataset(settings: Settings, rows: int = 90) -> Dataset:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.normal(size=rows), "c": random.choice(["u", "v"], rows)})
    signal = table["a"] + (table["c"] == "u") + 0.3 * random.normal(size=rows)
    table["y"] = (
        signal if settings.task.type == "regression" else np.where(signal > 0.5, "yes", "no")
    )
    return make_dataset(table, settings)


def _noisy(rows: int = 300, folds: int = 3) -> Iterator[Trial]:
    """Trials whose errors are independent, so that an average is better than each."""
    random = np.random.default_rng(0)
    truth = random.normal(size=(folds, rows))
    for number, error in enumerate((0.5, 0.52, 0.54, 3.0)):
        held = [Scored(part, part + error * random.normal(size=rows)) for part in truth]
        family = "linear" if number % 2 else "random_forest"
        yield replace(judged(number, {"family": family}, held, REGRESSION), held=tuple(held))


def _chosen(settings: Settings, trials: list[Trial] | None = None) -> Chosen:
    finalists = Finalists(settings)
    for trial in trials or _noisy():
        finalists.add(trial)
    return choose_models(finalists, None, [], settings)  # type: ignore[arg-type]


def test_an_average_of_trials_with_independent_errors_beats_the_best_of_them() -> None:
    chosen = _chosen(REGRESSION)
    alone = min(trial.value("rmse") or np.inf for trial in _noisy())
    found = chosen.result.value("rmse")
    assert found is not None
    assert found < 0.7 * alone
    assert {trial.number for _, trial in chosen.members} == {0, 1, 2}


def test_the_settings_bound_the_number_of_models(make_settings: Make) -> None:
    for most in (1, 2):
        settings = _settings(make_settings, regression=True, ensemble=most)
        assert len(_chosen(settings).members) == most


def test_a_trial_that_no_other_helps_is_the_model_alone() -> None:
    """Of equal trials an average is no better: the simpler model is kept."""
    first = next(_noisy())
    equal = [replace(first, number=number) for number in range(3)]
    chosen = _chosen(REGRESSION, equal)
    assert [(weight, trial.number) for weight, trial in chosen.members] == [(1, 0)]
    assert chosen.parameters == {"family": "random_forest", "trial": 0}


def _two_families(seed: int, second: float) -> list[Trial]:
    """Two trials of one family with nearly the same errors, and one of another."""
    random = np.random.default_rng(seed)
    truth, shared = random.normal(size=(2, 5, 60))
    made = []
    for number, (family, size) in enumerate(
        [("random_forest", 0.5), ("random_forest", 0.5), ("linear", second)]
    ):
        own = random.normal(size=(5, 60))
        error = 0.95 * shared + 0.3 * own if family == "random_forest" else own
        held = [Scored(part, part + size * off) for part, off in zip(truth, error, strict=True)]
        made.append(replace(judged(number, {"family": family}, held, REGRESSION), held=tuple(held)))
    return made


def _shares(chosen: Chosen) -> dict[str, float]:
    total = sum(weight for weight, _ in chosen.members)
    families = [str(trial.parameters["family"]) for _, trial in chosen.members]
    return {
        name: sum(
            weight
            for (weight, _), family in zip(chosen.members, families, strict=True)
            if family == name
        )
        / total
        for name in families
    }


def _level(trials: list[Trial]) -> bool:
    """Whether the best of each family differ by one standard error at most, by scipy's formula."""
    best = {str(trial.parameters["family"]): trial for trial in sorted(trials, key=_badness)[::-1]}
    values = [np.array(trial.folds["rmse"], dtype=float) for trial in best.values()]
    differences = values[0] - values[1]
    return bool(abs(differences.mean()) <= sem(differences))


def _badness(trial: Trial) -> float:
    return trial.value("rmse") or np.inf


def test_families_that_the_folds_cannot_tell_apart_get_more_even_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [_two_families(seed, second=0.5) for seed in range(24)]
    even = [_shares(_chosen(REGRESSION, found)) for found in trials]
    monkeypatch.setattr(average, "_more_even", lambda counts, *_: counts)
    best = [_shares(_chosen(REGRESSION, found)) for found in trials]
    compared = list(zip(trials, even, best, strict=True))
    level = [
        (share["linear"], other["linear"]) for found, share, other in compared if _level(found)
    ]
    assert len(level) > 4
    for mixed, alone in level:
        assert mixed - 0.5 == pytest.approx((alone - 0.5) / 2)
    # Where they can be told apart, half of the weights goes to the better one.
    apart = [entry for entry in compared if not _level(entry[0])]
    assert len(apart) > 4
    for found, share, other in apart:
        first = str(min(found, key=_badness).parameters["family"])
        assert share[first] == pytest.approx(0.5 + other[first] / 2)


def test_a_family_that_is_surely_worse_gets_half_of_what_the_folds_give_it_at_most() -> None:
    for seed in range(8):
        shares = _shares(_chosen(REGRESSION, _two_families(seed, second=3.0)))
        assert shares.get("linear", 0.0) < 0.05


def test_a_nearly_linear_target_of_few_rows_gets_no_forest(make_settings: Make) -> None:
    """A forest beside a linear model that is far better may not get a share for evenness' sake."""
    settings = _settings(make_settings, regression=True, folds=5)
    dataset = _dataset(settings, rows=60)
    folds, finalists = make_folds(dataset, settings), Finalists(settings)
    few: dict[str, dict[str, object]] = {"linear": {}, "random_forest": {"n_estimators": 20}}
    for number, (name, options) in enumerate(few.items()):
        parameters = {"family": name, **options}
        held = cross_validate(dataset, folds, parameters, settings)
        trial = judged(number, parameters, held, settings)
        finalists.add(replace(trial, held=tuple(held)))
    shares = _shares(choose_models(finalists, dataset, folds, settings))
    assert shares["linear"] > 0.8


def test_trials_without_a_value_make_no_model() -> None:
    with pytest.raises(StepFailed, match="no trial has a value"):
        _chosen(REGRESSION, [Trial(0, {"family": "linear"}, {}, "it broke")])


def test_only_finalists_keep_their_predictions() -> None:
    finalists = Finalists(REGRESSION)
    for number in range(8):
        finalists.add(replace(next(_noisy()), number=number))
    assert sum(trial.held is not None for trial in finalists.trials) == 3
    assert len(finalists.trials) == 8


def test_rows_beyond_a_sample_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average, "_ROWS", 90)
    assert {trial.number for _, trial in _chosen(REGRESSION).members} >= {0, 1}


@pytest.mark.parametrize("regression", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_an_average_predicts_the_weighted_mean_of_its_models_also_after_skops(
    make_settings: Make, regression: bool, weighted: bool
) -> None:
    settings = _settings(make_settings, regression=regression)
    if weighted and not regression:
        task = settings.task.model_copy(update={"class_weight": "balanced"})
        settings = settings.model_copy(update={"task": task})
    dataset = _dataset(settings)
    trials = [Trial(0, {"family": "linear"}, {}), Trial(1, {"family": "random_forest"}, {})]
    chosen = Chosen(((3, trials[0]), (1, trials[1])), trials[0], None)
    folds = make_folds(dataset, settings)
    whole = fitted(chosen, dataset, folds, settings)
    first, second = (
        fitted(Chosen(((1, trial),), trial, None), dataset, folds, settings) for trial in trials
    )
    answer = "predict" if regression else "predict_proba"
    wanted = 0.75 * getattr(first, answer)(dataset.features)
    wanted = wanted + 0.25 * getattr(second, answer)(dataset.features)
    loaded = skops.io.loads(skops.io.dumps(whole), trusted=trusted_types())
    one_thread(loaded)
    for model in (whole, loaded):
        assert getattr(model, answer)(dataset.features) == pytest.approx(wanted, rel=1e-12)
    assert all(
        value == 1
        for part in loaded.estimators_
        for name, value in part.get_params().items()
        if name.endswith("n_jobs") and name.startswith("model")
    )
    if not regression:
        assert set(loaded.predict(dataset.features)) == {"yes", "no"}


def test_the_mean_of_probabilities_names_the_likelier_class() -> None:
    truth = np.array([0, 1])
    one = Scored(truth, truth, np.array([[0.9, 0.1], [0.6, 0.4]]), ("no", "yes"))
    two = Scored(truth, truth, np.array([[0.7, 0.3], [0.1, 0.9]]), ("no", "yes"))
    (found,) = mean([(1, [one]), (3, [two])])
    assert found.score == pytest.approx(np.array([[0.75, 0.25], [0.225, 0.775]]))
    assert found.label.tolist() == [0, 1]
    assert compute("accuracy", found) == 1
