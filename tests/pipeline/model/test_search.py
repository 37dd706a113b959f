from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.model.search import Trial, best, make_folds, search
from pipeline.settings import Settings
from tests.pipeline.conftest import make_dataset

Make = Callable[..., Settings]
DATA = {"source": "x.csv", "target": "y", "positive": "yes", "drop": ["when", "person"]}


def _dataset(settings: Settings, rows: int = 60, weights: list[str] | None = None) -> Dataset:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "b": random.normal(size=rows),
            "person": np.repeat(np.arange(rows // 4), 4),
            "when": pd.date_range("2026-01-01", periods=rows, freq="D").astype(str)[::-1],
        }
    )
    table["y"] = np.where(table["a"] + random.normal(size=rows) > 0, "yes", "no")
    if weights is not None:
        table["y"] = weights
    return make_dataset(table, settings)


@pytest.fixture
def settings(make_settings: Make) -> Settings:
    families = {"families": ["linear"], "trials": 6, "parallel": 2, "space": {}}
    return make_settings(data=DATA, search=families)


class _Log:
    """Keeps what was finished, as tracking does; `fail_after` interrupts like a kill."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.trials: dict[int, Trial] = {}
        self.fail_after = fail_after

    def __call__(self, trials: list[Trial]) -> None:
        for trial in trials:
            assert trial.number not in self.trials, "a trial was repeated"
            self.trials[trial.number] = trial
            if self.fail_after is not None and len(self.trials) >= self.fail_after:
                raise KeyboardInterrupt


def _run(settings: Settings, log: _Log) -> list[Trial]:
    dataset = _dataset(settings)
    folds = make_folds(dataset, settings)
    return list(search(dataset, folds, settings, dict(log.trials), log))


@pytest.mark.slow
def test_the_same_seed_finds_the_same_to_the_last_digit(settings: Settings) -> None:
    assert _run(settings, _Log()) == _run(settings, _Log())


@pytest.mark.slow
def test_trials_differ_from_each_other(settings: Settings) -> None:
    # The first one is the library's default.
    strengths = {trial.parameters.get("strength") for trial in _run(settings, _Log())}
    assert len(strengths) == 6


@pytest.mark.slow
@pytest.mark.parametrize("fail_after", [1, 2, 3, 5])
def test_an_interrupted_search_goes_on_without_losing_or_repeating_a_trial(
    settings: Settings, fail_after: int
) -> None:
    whole = _run(settings, _Log())
    log = _Log(fail_after)
    with pytest.raises(KeyboardInterrupt):
        _run(settings, log)
    assert len(log.trials) == fail_after
    log.fail_after = None
    assert _run(settings, log) == whole
    assert sorted(log.trials) == list(range(6))


def test_every_family_is_tried(make_settings: Make) -> None:
    families = ["linear", "random_forest", "histogram_gradient_boosting"]
    space = {
        "random_forest": {"n_estimators": [3, 4]},
        "histogram_gradient_boosting": {"max_iter": [3, 4]},
    }
    settings = make_settings(
        data=DATA,
        search={"families": families, "trials": 3, "space": space},
    )
    assert [trial.parameters["family"] for trial in _run(settings, _Log())] == families


def test_the_best_of_equals_is_the_earliest(settings: Settings) -> None:
    trials = [Trial(number, {}, {"roc_auc": [0.5]}) for number in (2, 0, 1)]
    assert best(trials, settings).number == 0


def test_groups_stay_together_in_the_folds(make_settings: Make) -> None:
    data = {**DATA, "drop": ["when"]}
    settings = make_settings(data=data, holdout={"rule": "group", "column": "person"})
    dataset = _dataset(settings)
    for train, test in make_folds(dataset, settings):
        people = dataset.table["person"]
        assert not set(people.iloc[train]) & set(people.iloc[test])


def test_folds_go_forward_in_time(make_settings: Make) -> None:
    data = {**DATA, "drop": ["person"]}
    settings = make_settings(data=data, holdout={"rule": "time", "column": "when"})
    dataset = _dataset(settings)
    for train, test in make_folds(dataset, settings):
        assert dataset.table["when"].iloc[train].max() < dataset.table["when"].iloc[test].min()


def test_more_folds_than_the_scarcest_class_has_rows_are_refused(make_settings: Make) -> None:
    settings = make_settings(data=DATA, search={"folds": 5})
    dataset = _dataset(settings, weights=["yes"] * 3 + ["no"] * 57)
    with pytest.raises(InputError, match="at most 3 folds: write folds = 3"):
        make_folds(dataset, settings)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_rows_that_are_the_same_stay_together_in_folds(make_settings: Make, kind: str) -> None:
    """As on the holdout's sides: a model is not praised for rows that it knows by heart."""
    classes = kind == "binary"
    settings = make_settings(
        data={"source": "x.csv", "target": "y", "positive": "yes" if classes else None},
        task={"type": kind, "metric": "roc_auc" if classes else "rmse"},
        search={"families": ["linear"], "trials": 1, "folds": 3, "space": {}},
    )
    a = np.repeat(np.arange(20) / 7, 3)
    table = pd.DataFrame(
        {"a": a, "y": np.where(a % 0.5 > 0.2, "yes", "no") if classes else np.cos(5 * a)}
    )
    table["b"] = np.sin(9 * a)
    dataset = make_dataset(table, settings)
    for train, test in make_folds(dataset, settings):
        assert not set(table["a"][train]) & set(table["a"][test])
        assert len(test) == pytest.approx(20, abs=7)
