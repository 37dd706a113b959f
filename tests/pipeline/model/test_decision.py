"""From probabilities to a class, as the settings wish."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError, StepFailed
from pipeline.evaluation.metrics import Scored, compute
from pipeline.model.decision import DecisionRule, choose
from pipeline.settings import Settings

Make = Callable[..., Settings]


def _rare(rows: int = 2000) -> Scored:
    """Five in a hundred are positive, and no probability reaches a half."""
    random = np.random.default_rng(0)
    truth = (random.random(rows) < 0.05).astype(np.intp)
    positive = np.clip(0.05 + 0.1 * truth + 0.05 * random.normal(size=rows), 0.001, 0.45)
    score = np.column_stack([1 - positive, positive])
    return Scored(truth, score.argmax(axis=1), score, ("no", "yes"), 1)


def _decide(make_settings: Make, **decision: Any) -> DecisionRule:
    return choose(make_settings(decision=decision), _rare())


def test_without_a_wish_the_likeliest_class_is_predicted(make_settings: Make) -> None:
    rule = _decide(make_settings)
    assert rule == DecisionRule()
    assert rule.applied(_rare()).label.tolist() == _rare().label.tolist()


def test_a_fixed_threshold_is_taken_as_it_is(make_settings: Make) -> None:
    rule = _decide(make_settings, threshold=0.1)
    assert rule.threshold == 0.1
    scored = _rare()
    assert scored.score is not None
    assert rule.applied(scored).label.tolist() == (scored.score[:, 1] >= 0.1).astype(int).tolist()


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy", "matthews"])
def test_the_best_threshold_by_a_metric_beats_every_other(make_settings: Make, metric: str) -> None:
    rule = _decide(make_settings, metric=metric)
    best = compute(metric, rule.applied(_rare()))
    others = [
        compute(metric, DecisionRule(threshold=float(other)).applied(_rare()))
        for other in np.linspace(0.01, 0.5, 50)
    ]
    assert best >= max(others) - 1e-9
    assert best > compute(metric, _rare())
    assert metric in rule.chosen


def test_a_recall_is_reached_with_the_best_precision(make_settings: Make) -> None:
    applied = _decide(make_settings, recall=0.8).applied(_rare())
    assert compute("recall", applied) >= 0.8
    everything = DecisionRule(threshold=1e-9).applied(_rare())
    assert compute("precision", applied) > compute("precision", everything)


def test_costs_decide_for_the_cheapest_class(make_settings: Make) -> None:
    """To miss a yes costs nine, to call a no a yes costs one: from a probability of 0.1 on."""
    rule = _decide(make_settings, costs={"yes": {"no": 9.0}, "no": {"yes": 1.0}})
    scored = _rare()
    assert scored.score is not None
    assert rule.applied(scored).label.tolist() == (scored.score[:, 1] > 0.1).astype(int).tolist()


def test_costs_of_a_class_that_is_none_are_refused(make_settings: Make) -> None:
    with pytest.raises(InputError, match=r"decision\.costs names maybe; the classes are no, yes"):
        _decide(make_settings, costs={"maybe": {"no": 1.0}})


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ({"threshold": 0.5, "metric": "f1"}, "threshold and metric exclude each other"),
        ({"metric": "roc_auc"}, "does not depend on a threshold; write one of"),
        ({"threshold": 1.5}, "less than 1"),
        ({"costs": {"yes": {"no": -1.0}}}, "a cost is a number, and not below 0"),
        ({"costs": {"yes": {"no": math.nan}}}, "a cost is a number, and not below 0"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    make_settings: Make, decision: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_settings(decision=decision)


def test_a_recall_that_nothing_reaches_is_reported(make_settings: Make) -> None:
    scored = _rare()
    none = Scored(scored.truth * 0, scored.label, scored.score, scored.classes, 1)
    with pytest.raises(StepFailed, match=r"no threshold reaches a recall of 0\.5"):
        choose(make_settings(decision={"recall": 0.5}), none)
