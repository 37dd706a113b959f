from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.evaluation.compare import (
    Comparison,
    Decision,
    Interval,
    Subgroup,
    decide,
    intervals,
    resample,
    subgroup_losses,
)
from pipeline.evaluation.metrics import METRICS, Scored, compute, names_for
from pipeline.settings import Promotion


def _classifier(quality: float, rows: int = 200, seed: int = 0) -> Scored:
    """A binary classifier of the same rows for each seed; better with more quality (0 to 1)."""
    random = np.random.default_rng(seed)
    truth = (random.random(rows) < 0.4).astype(np.intp)
    noise = random.random(rows)
    positive = np.clip(quality * truth + (1 - quality) * noise, 0, 1)
    score = np.column_stack([1 - positive, positive])
    return Scored(truth, score.argmax(axis=1), score, ("no", "yes"), 1)


def _regressor(error: float, rows: int = 200) -> Scored:
    random = np.random.default_rng(0)
    truth = random.normal(size=rows)
    return Scored(truth, truth + error * random.normal(size=rows))


def _decide(challenger: Scored, champion: Scored | None, metric: str, **changes: Any) -> Decision:
    settings = Promotion(**{"resamples": 200, **changes})
    first, second, gain = intervals(metric, challenger, champion, settings)
    comparison = Comparison(metric, first, second, gain, settings.floors)
    return decide(comparison, {metric: first.value}, settings)


def test_the_first_model_is_promoted_when_its_floors_hold() -> None:
    assert _decide(_classifier(0.5), None, "roc_auc", floors={"roc_auc": 0.6}).verdict == "promote"


def test_the_first_model_is_kept_back_when_it_misses_a_floor() -> None:
    decision = _decide(_classifier(0.0), None, "roc_auc", floors={"roc_auc": 0.9})
    assert decision.verdict == "keep"
    assert "misses the floor 0.9" in decision.sentence


def test_a_floor_of_an_error_is_a_ceiling() -> None:
    assert _decide(_regressor(0.1), None, "rmse", floors={"rmse": 0.5}).verdict == "promote"
    assert _decide(_regressor(1.0), None, "rmse", floors={"rmse": 0.5}).verdict == "keep"


@pytest.mark.parametrize("metric", names_for("binary"))
def test_a_tie_keeps_the_champion(metric: str) -> None:
    model = _classifier(0.4)
    assert _decide(model, model, metric).verdict == "keep"


@pytest.mark.parametrize("metric", names_for("binary"))
def test_a_clearly_better_challenger_is_promoted_and_a_worse_one_is_not(metric: str) -> None:
    good, poor = _classifier(0.45), _classifier(0.05)
    assert _decide(good, poor, metric).verdict == "promote"
    assert _decide(poor, good, metric).verdict == "keep"


@pytest.mark.parametrize("metric", names_for("regression"))
def test_a_better_regression_is_promoted_whatever_the_direction(metric: str) -> None:
    good, poor = _regressor(0.1), _regressor(1.0)
    assert _decide(good, poor, metric).verdict == "promote"
    assert _decide(poor, good, metric).verdict == "keep"


def test_an_improvement_below_the_minimum_keeps_the_champion() -> None:
    good, poor = _classifier(0.45), _classifier(0.05)
    decision = _decide(good, poor, "roc_auc", min_improvement=0.9)
    assert decision.verdict == "keep"
    assert "does not exceed 0.9" in decision.sentence


def test_an_improvement_that_chance_explains_keeps_the_champion() -> None:
    champion = _classifier(0.3, rows=40)
    label = champion.label.copy()
    wrong = np.flatnonzero(label != champion.truth)[:1]
    label[wrong] = champion.truth[wrong]
    challenger = Scored(champion.truth, label, champion.score, champion.classes, 1)
    assert compute("accuracy", challenger) > compute("accuracy", champion)
    assert _decide(challenger, champion, "accuracy").verdict == "keep"


def test_the_pairing_makes_a_small_but_sure_improvement_visible() -> None:
    """Unpaired the intervals overlap; on the same samples the difference keeps its sign."""
    random = np.random.default_rng(0)
    truth = random.normal(size=300)
    champion = Scored(truth, truth + random.normal(size=300))
    challenger = Scored(truth, truth + 0.97 * (champion.label - truth))
    first, second, gain = intervals("rmse", challenger, champion, Promotion(resamples=200))
    assert second is not None
    assert gain is not None
    assert first.high > second.low
    assert gain.low > 0


def test_a_subgroup_that_loses_more_than_its_bound_keeps_the_champion() -> None:
    better = Interval(0.9, 0.89, 0.91)
    gain = Interval(0.1, 0.05, 0.15)
    harmed = Subgroup("sex", "f", 50, champion=0.9, challenger=0.7, loss=0.2)
    comparison = Comparison("roc_auc", better, better, gain, {}, (harmed,))
    decision = decide(comparison, {}, Promotion(max_subgroup_loss=0.05))
    assert decision.verdict == "keep"
    assert "sex = f loses 0.2000" in decision.sentence
    assert decide(comparison, {}, Promotion(max_subgroup_loss=0.3)).verdict == "promote"


def test_subgroups_are_measured_where_there_are_rows_enough() -> None:
    good, poor = _classifier(0.6), _classifier(0.1)
    column = np.array(["a"] * 150 + ["b"] * 45 + ["c"] * 5, dtype=object)
    found = subgroup_losses("roc_auc", poor, good, {"group": column}, min_rows=30)
    assert [(entry.value, entry.rows) for entry in found] == [("a", 150), ("b", 45)]
    assert all(entry.loss > 0 for entry in found)


def test_whole_groups_are_drawn_where_rows_hang_together() -> None:
    groups = np.repeat(np.arange(20), 10)
    for rows in resample(_regressor(1.0), groups, count=20, seed=0):
        _, counts = np.unique(rows, return_counts=True)
        drawn = groups[rows]
        assert all((drawn == group).sum() % 10 == 0 for group in range(20))
        assert counts.max() >= 1


def test_classes_keep_their_counts_in_every_sample() -> None:
    scored = _classifier(0.3)
    for rows in resample(scored, None, count=20, seed=0):
        assert scored.truth[rows].sum() == scored.truth.sum()


def test_the_same_seed_gives_the_same_interval_to_the_last_digit() -> None:
    once, again = (
        intervals("roc_auc", _classifier(0.4), _classifier(0.2), Promotion(resamples=100))
        for _ in range(2)
    )
    assert once == again


@settings_of_hypothesis(deadline=None, max_examples=50)
@given(
    value=st.floats(-1, 1),
    low=st.floats(-1, 1),
    minimum=st.floats(0, 1),
    floor=st.floats(0, 1),
    metric_value=st.floats(0, 1),
)
def test_nothing_is_promoted_without_a_sure_improvement_and_its_floors(
    value: float, low: float, minimum: float, floor: float, metric_value: float
) -> None:
    interval = Interval(metric_value, metric_value, metric_value)
    gain = Interval(value, low, max(value, low))
    comparison = Comparison("roc_auc", interval, interval, gain, {"roc_auc": floor})
    decision = decide(comparison, {"roc_auc": metric_value}, Promotion(min_improvement=minimum))
    assert (decision.verdict == "promote") == (low > minimum and metric_value >= floor)


@pytest.mark.parametrize("name", [name for name in METRICS if "binary" in METRICS[name].tasks])
def test_binary_metrics_agree_with_scikit_learn(name: str) -> None:
    from sklearn import metrics as reference

    scored = _classifier(0.3)
    assert scored.score is not None
    positive = scored.score[:, 1]
    expected = {
        "roc_auc": lambda: reference.roc_auc_score(scored.truth, positive),
        "average_precision": lambda: reference.average_precision_score(scored.truth, positive),
        "log_loss": lambda: reference.log_loss(scored.truth, positive),
        "brier": lambda: reference.brier_score_loss(scored.truth, positive),
        "accuracy": lambda: reference.accuracy_score(scored.truth, scored.label),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(scored.truth, scored.label),
        "f1": lambda: reference.f1_score(scored.truth, scored.label),
        "f1_macro": lambda: reference.f1_score(scored.truth, scored.label, average="macro"),
    }
    assert compute(name, scored) == pytest.approx(expected[name]())


def test_average_precision_treats_equal_scores_as_one_step() -> None:
    from sklearn.metrics import average_precision_score

    scored = _classifier(0.3)
    assert scored.score is not None
    coarse = Scored(scored.truth, scored.label, scored.score.round(1), scored.classes, 1)
    assert coarse.score is not None
    expected = average_precision_score(coarse.truth, coarse.score[:, 1])
    assert compute("average_precision", coarse) == pytest.approx(expected)


@pytest.mark.parametrize("name", names_for("regression"))
def test_regression_metrics_agree_with_scikit_learn(name: str) -> None:
    from sklearn import metrics as reference

    scored = _regressor(0.5)
    expected = {
        "rmse": reference.root_mean_squared_error,
        "mae": reference.mean_absolute_error,
        "median_ae": reference.median_absolute_error,
        "r2": reference.r2_score,
    }
    assert compute(name, scored) == pytest.approx(expected[name](scored.truth, scored.label))
