"""Groups against each other: rates counted by hand, floors and gaps that a promotion must keep."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.compare import Comparison, Interval, Subgroup, decide
from pipeline.evaluation.groups import rates, subgroups
from pipeline.evaluation.metrics import Scored
from pipeline.settings import Promotion, parse_settings


def scored(truth: list[int], label: list[int]) -> Scored:
    given = np.array(label)
    probabilities = np.stack([1.0 - given, given * 1.0], axis=1)
    return Scored(np.array(truth), given, probabilities, ("no", "yes"), 1)


def test_rates_are_those_that_one_counts() -> None:
    # Of four positives three are found, of six negatives two are raised falsely.
    found = rates(scored([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]))
    assert found == {
        "are positive": 0.4,
        "called positive": 0.5,
        "true positive rate": 0.75,
        "false positive rate": pytest.approx(2 / 6),
    }


def test_a_rate_without_rows_to_count_is_left_out() -> None:
    assert "true positive rate" not in rates(scored([0, 0], [0, 1]))
    assert "false positive rate" not in rates(scored([1, 1], [0, 1]))


def test_for_numbers_the_mean_error_shows_who_is_put_too_high() -> None:
    assert rates(Scored(np.array([1.0, 2.0]), np.array([2.0, 4.0]))) == {"mean error": 1.5}


def test_the_first_champion_shows_its_groups_too() -> None:
    both = scored([1, 0] * 40, [1, 0] * 40)
    column = np.array(["a", "a", "b", "b"] * 20, dtype=object)
    found = subgroups("accuracy", both, None, {"group": column}, min_rows=30)
    assert [(group.value, group.challenger, group.loss) for group in found] == [
        ("a", 1.0, None),
        ("b", 1.0, None),
    ]
    assert all(group.rates["called positive"] == 0.5 for group in found)


def comparison(metric: str, women: float, men: float) -> Comparison:
    groups = (
        Subgroup("sex", "f", 50, None, women),
        Subgroup("sex", "m", 50, None, men),
        Subgroup("sex", "x", 3, why="fewer than 30 rows"),
    )
    return Comparison(metric, Interval(women, None, None), None, None, {}, groups)


def test_a_group_below_the_floor_keeps_the_challenger_out() -> None:
    rule = Promotion(subgroup_floor=0.8)
    kept = decide(comparison("accuracy", 0.9, 0.7), {}, rule, first=True)
    assert kept.verdict == "keep"
    assert "accuracy 0.7000 of sex = m misses the floor of every group, 0.8" in kept.sentence
    assert decide(comparison("accuracy", 0.9, 0.8), {}, rule, first=True).verdict == "promote"


def test_the_floor_of_a_loss_is_a_ceiling() -> None:
    rule = Promotion(subgroup_floor=0.8)
    assert decide(comparison("rmse", 0.7, 0.9), {}, rule, first=True).verdict == "keep"
    assert decide(comparison("rmse", 0.7, 0.8), {}, rule, first=True).verdict == "promote"


def test_groups_that_differ_too_much_keep_the_challenger_out() -> None:
    rule = Promotion(max_subgroup_gap=0.1)
    kept = decide(comparison("accuracy", 0.9, 0.7), {}, rule, first=True)
    assert kept.verdict == "keep"
    assert "sex = m (0.7000) and f (0.9000) differ by 0.2000, more than 0.1" in kept.sentence
    assert decide(comparison("accuracy", 0.9, 0.85), {}, rule, first=True).verdict == "promote"


def test_a_floor_for_groups_without_groups_is_refused() -> None:
    raw = {
        "model": "m",
        "data": {"source": "x.csv", "target": "y"},
        "task": {"type": "regression", "metric": "rmse"},
        "promotion": {"subgroup_floor": 1.0},
    }
    with pytest.raises(InputError, match="name their columns in subgroups under"):
        parse_settings(raw, origin="test")
