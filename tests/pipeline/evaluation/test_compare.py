import math
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
    Layout,
    Subgroup,
    compare,
    decide,
    stretched,
)
from pipeline.evaluation.groups import subgroups
from pipeline.evaluation.metrics import METRICS, Scored, Undefined, compute, names_for
from pipeline.evaluation.resample import block_length, by_groups, by_rows, by_time
from pipeline.settings import Promotion

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow


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
    truth = random.normal(size=rows) ** 2 + 0.1
    return Scored(truth, truth + error * random.normal(size=rows))


def _decide(challenger: Scored, champion: Scored | None, metric: str, **changes: Any) -> Decision:
    settings = Promotion(**{"resamples": 200, **changes})
    comparison = compare(metric, challenger, champion, settings)
    own = comparison.challenger
    values = {metric: own.value} if own else {}
    return decide(comparison, values, settings, first=champion is None)


def _bounds(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


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
    found = compare("rmse", challenger, champion, Promotion(resamples=200))
    assert _bounds(found.challenger)[1] > _bounds(found.champion)[0]
    assert _bounds(found.improvement)[0] > 0


@pytest.mark.parametrize("rows", [12, 40])
@pytest.mark.parametrize("metric", [*names_for("binary"), *names_for("regression")])
def test_no_bound_of_one_model_lies_where_its_metric_has_no_values(metric: str, rows: int) -> None:
    """Few rows widen an interval; that of an AUC near 1 must not go beyond it."""
    model = _regressor(0.3, rows) if metric in names_for("regression") else _classifier(0.44, rows)
    found = compare(metric, model, None, Promotion(resamples=200)).challenger
    low, high = _bounds(found)
    assert METRICS[metric].least <= low <= compute(metric, model) <= high <= METRICS[metric].most


@given(
    value=st.floats(0, 1),
    bound=st.floats(0, 1),
    wider=st.floats(1, 13),
    ends=st.sampled_from([(0.0, 1.0), (0.0, math.inf), (-math.inf, 1.0), (-math.inf, math.inf)]),
)
def test_a_bound_is_moved_away_from_the_value_and_never_beyond_the_ends(
    value: float, bound: float, wider: float, ends: tuple[float, float]
) -> None:
    moved = stretched(value, bound, wider, *ends)
    assert ends[0] <= moved <= ends[1]
    assert abs(moved - value) >= abs(bound - value) - 1e-9
    assert (moved - value) * (bound - value) >= 0


def test_a_subgroup_that_loses_more_than_its_bound_keeps_the_champion() -> None:
    better = Interval(0.9, 0.89, 0.91)
    gain = Interval(0.1, 0.05, 0.15)
    harmed = Subgroup("sex", "f", 50, champion=0.9, challenger=0.7, loss=0.2)
    comparison = Comparison("roc_auc", better, better, gain, {}, (harmed,))
    decision = decide(comparison, {}, Promotion(max_subgroup_loss=0.05), first=False)
    assert decision.verdict == "keep"
    assert "sex = f loses 0.2000" in decision.sentence
    assert (
        decide(comparison, {}, Promotion(max_subgroup_loss=0.3), first=False).verdict == "promote"
    )


def test_subgroups_are_measured_where_there_are_rows_enough_and_the_others_are_reported() -> None:
    good, poor = _classifier(0.6), _classifier(0.1)
    column = np.array(["a"] * 150 + ["b"] * 45 + ["c"] * 4 + [np.nan], dtype=object)
    found = subgroups("roc_auc", poor, good, {"group": column}, min_rows=30)
    judged = [entry for entry in found if entry.why is None]
    assert [(entry.value, entry.rows) for entry in judged] == [("a", 150), ("b", 45)]
    assert all(entry.loss is not None and entry.loss > 0 for entry in judged)
    others = {entry.value: entry.why for entry in found if entry.why}
    assert others == {"(missing)": "fewer than 30 rows", "c": "fewer than 30 rows"}
    alone = subgroups("roc_auc", poor, None, {"group": column}, min_rows=30)
    assert [entry.challenger for entry in alone] == [entry.challenger for entry in found]


def test_whole_groups_are_drawn_where_rows_hang_together() -> None:
    plan = by_groups(np.repeat([7, 3, 5, 9], 10))
    assert plan.pieces == 4
    for weights in plan.draws(20, seed=0):
        assert (weights.reshape(4, 10) == weights.reshape(4, 10)[:, :1]).all()
        assert weights.sum() == 40


@pytest.mark.parametrize("kind", ["group", "time"])
def test_rows_of_one_group_or_time_tell_no_difference_from_chance(kind: str) -> None:
    """Every draw of one piece is the same, so that any difference looked sure."""
    one = Layout(**{f"{kind}s": np.zeros(200)})  # type: ignore[arg-type]
    two = Layout(**{f"{kind}s": np.repeat([0.0, 1.0], 100)})
    settings = Promotion(resamples=200)
    better, worse = _regressor(0.1), _regressor(0.5)
    judged = compare("rmse", better, worse, settings, two)
    assert judged.improvement is not None
    assert judged.improvement.low is not None
    found = compare("rmse", better, worse, settings, one)
    assert found.challenger is not None
    assert (found.challenger.low, found.challenger.high) == (None, None)
    decision = decide(found, {"rmse": found.challenger.value}, settings, first=False)
    assert decision.verdict == "keep"
    assert f"all held-out rows are of one {kind}, so that nothing tells" in decision.sentence
    assert decide(found, {}, settings, first=True).verdict == "promote"


def test_classes_keep_their_counts_in_every_draw() -> None:
    truth = _classifier(0.3).truth.astype(np.intp)
    for weights in by_rows(truth, len(truth)).draws(20, seed=0):
        assert weights @ truth == truth.sum()
        assert weights.sum() == len(truth)


def _autoregressive(random: Any, rows: int, memory: float) -> Any:
    from scipy.signal import lfilter  # type: ignore[import-untyped]

    noise = random.normal(size=rows + 200)
    return lfilter([1.0], [1.0, -memory], noise)[200:]


def test_blocks_grow_with_the_memory_of_the_errors() -> None:
    random = np.random.default_rng(0)
    lengths = [block_length(_autoregressive(random, 2000, memory)) for memory in (0.0, 0.5, 0.9)]
    assert lengths[0] <= 3
    assert lengths[0] < lengths[1] < lengths[2]


def test_blocks_are_of_consecutive_times_and_keep_one_moment_whole() -> None:
    times = np.repeat(np.arange(200.0), 3)
    plan = by_time(times, np.random.default_rng(0).normal(size=600))
    assert plan.length >= 14
    for weights in plan.draws(10, seed=0):
        by_moment = weights.reshape(200, 3)
        assert (by_moment == by_moment[:, :1]).all()
        changes = (np.diff(by_moment[:, 0]) != 0).sum()
        assert changes <= 2 * (plan.pieces + 1)


def _equal_models(kind: str, random: Any) -> tuple[Scored, Scored, Layout]:
    """Two models that are equally good in truth, whose errors differ by chance alone."""
    rows = 240
    times = np.arange(float(rows))
    groups = np.repeat(np.arange(20), rows // 20)

    def errors() -> Any:
        if kind == "independent":
            return random.normal(size=rows)
        if kind == "grouped":
            return random.normal(size=20)[groups] + 0.5 * random.normal(size=rows)
        return _autoregressive(random, rows, 0.8)

    layout = {
        "independent": Layout(),
        "grouped": Layout(groups=groups),
        "autocorrelated": Layout(times=times),
    }[kind]
    truth = np.zeros(rows)
    return Scored(truth, truth + errors()), Scored(truth, truth + errors()), layout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "grouped", "autocorrelated"])
def test_equal_models_win_no_more_often_than_the_level_says(kind: str) -> None:
    """2.5 % of 200, and what chance adds to it once in a thousand times: 13."""
    settings = Promotion(resamples=200)
    won = 0
    for seed in range(200):
        new, old, layout = _equal_models(kind, np.random.default_rng(seed))
        won += _bounds(compare("mae", new, old, settings, layout).improvement)[0] > 0
    assert won <= 13


@pytest.mark.slow
def test_without_blocks_equal_models_would_win_far_too_often() -> None:
    """The control absent: rows of a time series drawn one by one."""
    settings = Promotion(resamples=200)
    won = 0
    for seed in range(60):
        new, old, _ = _equal_models("autocorrelated", np.random.default_rng(seed))
        won += _bounds(compare("mae", new, old, settings).improvement)[0] > 0
    assert won > 6


@pytest.mark.slow
def test_the_memory_of_a_bootstrap_does_not_grow_with_its_draws() -> None:
    import tracemalloc

    model = _classifier(0.3, rows=20_000)
    peaks = []
    for resamples in (100, 400):
        tracemalloc.start()
        compare("roc_auc", model, _classifier(0.2, rows=20_000), Promotion(resamples=resamples))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1
    assert peaks[1] < 20_000 * 8 * 40


def _one_class(rows: int = 50) -> Scored:
    score = np.column_stack([np.linspace(0, 1, rows), np.linspace(1, 0, rows)])
    return Scored(np.zeros(rows, dtype=np.intp), score.argmax(axis=1), score, ("no", "yes"), 1)


def test_an_undefined_metric_is_never_promoted_and_the_reason_is_reported() -> None:
    for champion in (None, _one_class()):
        decision = _decide(_one_class(), champion, "roc_auc")
        assert decision.verdict == "keep"
        assert "is not defined on the holdout: the rows are of a single class" in decision.sentence


def test_a_champion_that_predicts_no_numbers_can_be_replaced() -> None:
    good = _classifier(0.5)
    assert good.score is not None
    broken = Scored(good.truth, good.label, good.score * np.nan, good.classes, 1)
    decision = _decide(good, broken, "roc_auc", floors={"roc_auc": 0.6})
    assert decision.verdict == "promote"
    assert "the champion's roc_auc is not defined" in decision.sentence
    assert _decide(broken, good, "roc_auc").verdict == "keep"


def test_a_class_that_many_draws_miss_leaves_no_interval_and_no_comparison() -> None:
    rare, better = _classifier(0.2, rows=200), _classifier(0.5, rows=200)
    truth = np.zeros(200, dtype=np.intp)
    truth[[3, 4]] = 1
    layout = Layout(times=np.arange(200.0))
    new, old = (Scored(truth, m.label, m.score, m.classes, 1) for m in (better, rare))
    found = compare("roc_auc", new, old, Promotion(resamples=100), layout)
    assert found.challenger is not None
    assert found.challenger.low is None
    decision = decide(found, {"roc_auc": 0.9}, Promotion(), first=False)
    assert decision.verdict == "keep"
    assert "cannot be judged" in decision.sentence
    assert decide(found, {"roc_auc": 0.9}, Promotion(), first=True).verdict == "promote"


def test_a_floor_of_an_undefined_metric_is_missed() -> None:
    zero = Scored(np.array([0.0, 1.0, 2.0] * 20), np.array([0.1, 1.0, 2.1] * 20))
    decision = _decide(zero, None, "rmse", floors={"mape": 0.5})
    assert decision.verdict == "keep"
    assert "mape is not defined on the holdout" in decision.sentence


def test_floors_are_said_to_hold_only_where_there_are_some() -> None:
    good = Scored(np.array([0.0, 1.0, 2.0] * 20), np.array([0.1, 1.0, 2.1] * 20))
    assert _decide(good, None, "rmse").sentence.endswith("; no floor is set")
    assert _decide(good, None, "rmse", floors={"rmse": 1.0}).sentence.endswith("every floor holds")


def test_classes_that_no_row_has_are_left_out_and_named() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 100)
    score = random.dirichlet(np.ones(3), 100)
    scored = Scored(truth, score.argmax(axis=1), score, ("a", "b", "c"))
    assert "not judged: c" in _decide(scored, None, "roc_auc").sentence
    with pytest.raises(Undefined):
        compute("roc_auc", Scored(truth * 0, truth * 0, score, ("a", "b", "c")))


def test_the_same_seed_gives_the_same_interval_to_the_last_digit() -> None:
    once, again = (
        compare("roc_auc", _classifier(0.4), _classifier(0.2), Promotion(resamples=100))
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
    settings = Promotion(min_improvement=minimum)
    decision = decide(comparison, {"roc_auc": metric_value}, settings, first=False)
    assert (decision.verdict == "promote") == (low > minimum and metric_value >= floor)


@pytest.mark.parametrize("name", names_for("binary"))
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
        "precision": lambda: reference.precision_score(scored.truth, scored.label),
        "recall": lambda: reference.recall_score(scored.truth, scored.label),
        "matthews": lambda: reference.matthews_corrcoef(scored.truth, scored.label),
        "kappa": lambda: reference.cohen_kappa_score(scored.truth, scored.label),
        "f1_weighted": lambda: reference.f1_score(scored.truth, scored.label, average="weighted"),
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
        "mape": reference.mean_absolute_percentage_error,
        "rmsle": lambda truth, label: reference.root_mean_squared_log_error(
            truth, np.maximum(label, 0)
        ),
        "r2": reference.r2_score,
    }
    assert compute(name, scored) == pytest.approx(expected[name](scored.truth, scored.label))


@pytest.mark.parametrize("name", names_for("multiclass"))
def test_metrics_of_several_classes_agree_with_scikit_learn(name: str) -> None:
    from sklearn import metrics as reference

    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    score = random.dirichlet(np.ones(3), 300) + 0.5 * np.eye(3)[truth]
    score /= score.sum(axis=1, keepdims=True)
    scored = Scored(truth, score.argmax(axis=1), score, ("a", "b", "c"))
    label, ovr = scored.label, {"multi_class": "ovr"}
    expected = {
        "roc_auc": lambda: reference.roc_auc_score(truth, score, **ovr),
        "average_precision": lambda: reference.average_precision_score(np.eye(3)[truth], score),
        "log_loss": lambda: reference.log_loss(truth, score),
        "brier": lambda: reference.brier_score_loss(truth, score),
        "accuracy": lambda: reference.accuracy_score(truth, label),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(truth, label),
        "f1_macro": lambda: reference.f1_score(truth, label, average="macro"),
        "f1_weighted": lambda: reference.f1_score(truth, label, average="weighted"),
        "matthews": lambda: reference.matthews_corrcoef(truth, label),
        "kappa": lambda: reference.cohen_kappa_score(truth, label),
    }
    assert compute(name, scored) == pytest.approx(expected[name]())


@pytest.mark.parametrize("name", [*names_for("binary"), *names_for("regression")])
def test_weights_do_as_rows_that_come_so_often(name: str) -> None:
    from pipeline.evaluation.metrics import prepare

    scored = _classifier(0.3) if name in names_for("binary") else _regressor(0.5)
    weights = np.random.default_rng(1).integers(0, 4, len(scored.truth))
    repeated = scored.take(np.repeat(np.arange(len(weights)), weights))
    assert prepare(name, scored)(weights.astype(float)) == pytest.approx(compute(name, repeated))


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [("roc_auc", 0.8, 0.05), ("matthews", -0.2, 0.05), ("rmse", 20_000.0, 1000.0), ("r2", -2, 0.1)],
)
def test_what_may_be_lost_has_the_size_of_the_metric(
    metric: str, value: float, expected: float
) -> None:
    assert METRICS[metric].tolerance(None, value) == pytest.approx(expected)
    assert METRICS[metric].tolerance(0.3, value) == 0.3
