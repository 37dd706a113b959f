"""What batch prediction costs, held as ratios; `scripts.maintenance.benchmarks` measures it."""

from pathlib import Path

import pytest

from scripts.maintenance.benchmarks.prediction import memory, throughput

pytestmark = pytest.mark.slow


@pytest.mark.alone
def test_reading_checking_and_writing_cost_little_beside_predicting(tmp_path: Path) -> None:
    """In processor time, which does not depend on what else the machine does: measured 1.2."""
    spent = throughput("histogram_gradient_boosting", 100_000, 3, tmp_path)["processor_seconds"]
    assert spent["pipeline"] < 1.5 * spent["bare"]


@pytest.mark.alone
def test_a_model_that_takes_no_time_shows_what_checking_and_writing_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside reading and predicting: measured 1.2, and 2.0 with a pool that handed chunks around.

    OpenBLAS would count with the threads that it leaves waiting.
    """
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    spent = throughput("linear", 200_000, 5, tmp_path)["processor_seconds"]
    assert spent["pipeline"] < 1.5 * spent["read"]


def test_fifteen_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    peaks = memory([100_000, 1_500_000], tmp_path)
    assert peaks[1_500_000] <= 1.5 * peaks[100_000]
