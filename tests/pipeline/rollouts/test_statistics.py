"""The statistics of rollouts hold what they promise: level, power, coverage, sample ratio."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.rollouts.stats import power, ratio
from pipeline.rollouts.stats.sequential import LEAST, Sums, boundary, of_difference, of_mean

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUNS = 1000
Draw = Callable[[np.random.Generator, int], "NDArray[np.float64]"]
OUTCOMES: dict[str, Draw] = {
    "normal": lambda random, count: random.normal(size=count),
    "even odds": lambda random, count: random.binomial(1, 0.5, count).astype(float),
    "one in fifty": lambda random, count: random.binomial(1, 0.02, count).astype(float),
    "exponential": lambda random, count: random.exponential(size=count),
    "log-normal": lambda random, count: random.lognormal(0, 1.5, count),
}


def decided(
    values: "NDArray[np.float64]", treated: "NDArray[np.bool_]", alpha: float, planned: int
) -> "NDArray[np.bool_]":
    """Whether the test is decided after each observation: of_difference for whole arrays."""
    number, index = np.cumsum(treated), np.arange(1, len(values) + 1)
    arms = []
    for mask, count in ((treated, number), (~treated, index - number)):
        total, squares = np.cumsum(values * mask), np.cumsum(values**2 * mask)
        with np.errstate(all="ignore"):
            variance = np.maximum(squares - total**2 / count, 0) / (count - 1)
        arms.append((count, total, np.nan_to_num(variance)))
    (n1, t1, v1), (n0, t0, v0) = arms
    enough = (n1 >= LEAST) & (n0 >= LEAST)
    with np.errstate(all="ignore"):
        pooled = (v1 * (n1 - 1) + v0 * (n0 - 1)) / (index - 2)
        error = np.sqrt(np.maximum(v1, pooled) / n1 + np.maximum(v0, pooled) / n0)
        far = np.abs(t1 / n1 - t0 / n0) > error * boundary(index / planned, alpha)
    found: NDArray[np.bool_] = enough & far
    return found


def test_the_arrays_of_this_test_say_what_the_code_under_test_says() -> None:
    random = np.random.default_rng(3)
    values, treated = random.exponential(size=400), random.random(400) < 0.3
    values[treated] += 0.6
    after_each = [
        of_difference(
            Sums.of(values[:count][treated[:count]]),
            Sums.of(values[:count][~treated[:count]]),
            0.05,
            300,
        ).decided
        for count in range(2, 401)
    ]

    assert any(after_each)
    assert after_each == list(decided(values, treated, 0.05, 300)[1:])


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_equal_arms_are_told_apart_no_oftener_than_the_level_says(
    outcome: str, share: float
) -> None:
    random = np.random.default_rng(17)
    wrong: float = 0
    for _ in range(RUNS):
        treated = random.random(1500) < share
        wrong += decided(OUTCOMES[outcome](random, 1500), treated, 0.05, 1500).any()

    assert wrong / RUNS <= 0.05


@pytest.mark.parametrize("outcome", ["normal", "even odds"])
def test_equal_arms_watched_three_times_as_long_as_planned_hold_the_level(outcome: str) -> None:
    random = np.random.default_rng(5)
    wrong: float = 0
    for _ in range(RUNS):
        treated = random.random(1500) < 0.5
        wrong += decided(OUTCOMES[outcome](random, 1500), treated, 0.05, 500).any()

    assert wrong / RUNS <= 0.05


def test_a_test_of_fixed_size_looked_at_after_every_observation_would_not_hold_its_level() -> None:
    """The attack that the confidence sequence is there for."""
    random = np.random.default_rng(17)
    wrong: float = 0
    for _ in range(200):
        values = random.normal(size=1500)
        index = np.arange(1, 1501)
        wrong += (np.abs(np.cumsum(values)) / np.sqrt(index) > 1.96)[LEAST:].any()

    assert wrong / 200 > 0.25


@pytest.mark.parametrize(
    ("control", "treatment", "share"), [(0.10, 0.16, 0.5), (0.50, 0.58, 0.5), (0.2, 0.3, 0.2)]
)
def test_the_power_is_what_the_calculator_said(
    control: float, treatment: float, share: float
) -> None:
    design = power.Design(
        effect=treatment - control,
        control_sd=math.sqrt(control * (1 - control)),
        treatment_sd=math.sqrt(treatment * (1 - treatment)),
        share=share,
    )
    count = power.sample_size(design).sequential
    random = np.random.default_rng(29)
    found: float = 0
    for _ in range(RUNS):
        treated = random.random(count) < share
        values = (random.random(count) < np.where(treated, treatment, control)).astype(float)
        found += decided(values, treated, 0.05, count).any()

    assert found / RUNS == pytest.approx(design.power, abs=0.04)


def test_to_look_at_any_time_costs_observations() -> None:
    size = power.sample_size(power.Design(effect=0.1, control_sd=1, treatment_sd=1))

    # Fleiss, "Statistical Methods for Rates and Proportions": 2 (1.96 + 0.84)^2 / 0.1^2 an arm.
    assert size.fixed == pytest.approx(2 * 2 * (1.96 + 0.8416) ** 2 / 0.01, rel=1e-3)
    assert 1.3 < size.sequential / size.fixed < 2


def test_paired_differences_cover_their_mean_at_every_look() -> None:
    random = np.random.default_rng(11)
    missed: float = 0
    for _ in range(300):
        values = random.exponential(size=600)
        index = np.arange(1, 601)
        total, squares = np.cumsum(values), np.cumsum(values**2)
        with np.errstate(all="ignore"):
            error = np.sqrt((squares - total**2 / index) / (index - 1) / index)
        outside = np.abs(total / index - 1) > error * boundary(index / 600, 0.05)
        missed += outside[LEAST:].any()

    assert missed / 300 <= 0.05


def test_few_observations_decide_nothing() -> None:
    assert not of_mean(Sums.of([1.0] * (LEAST - 1)), 0.05, 100).decided
    assert not of_difference(Sums.of([1.0] * 500), Sums.of([0.0] * 19), 0.05, 100).decided
    assert of_difference(Sums.of([1.0] * 500), Sums.of([0.0] * 20), 0.05, 100).decided


def test_sums_add_and_subtract() -> None:
    one, other = Sums.of([1, 2, 5]), Sums.of([4, 8])

    assert one + other == Sums.of([1, 2, 5, 4, 8])
    assert one + other - other == one
    assert (one + other).mean == 4
    assert (one + other).variance == pytest.approx(np.var([1, 2, 5, 4, 8], ddof=1))


def test_right_shares_are_seldom_called_wrong_though_looked_at_after_every_unit() -> None:
    random = np.random.default_rng(2)
    called = 0
    for _ in range(100):
        first = np.cumsum(random.random(800) < 0.2)
        called += any(
            ratio.check(
                {"challenger": int(count), "champion": number - int(count)},
                {"challenger": 0.2, "champion": 0.8},
            ).p_value
            < 0.05
            for number, count in enumerate(first, start=1)
        )

    assert called / 100 <= 0.05


def test_an_arm_that_loses_every_twentieth_unit_is_noticed() -> None:
    found = ratio.check(
        {"challenger": 9500, "champion": 10_000}, {"challenger": 0.5, "champion": 0.5}
    )

    assert found.p_value < 0.05
    assert ratio.check({"challenger": 9990, "champion": 10_000}, found.expected).p_value > 0.5
