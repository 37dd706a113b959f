import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.drift import DriftReport, compare
from pipeline.settings import Monitor

pytestmark = pytest.mark.slow


def _frame(rows: int, seed: int, shift: float = 0.0, red: float = 0.5) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": random.normal(shift, 1, rows),
            "colour": random.choice(["red", "green"], rows, p=[red, 1 - red]),
            "prediction": random.normal(shift, 1, rows),
        }
    )


def _compare(batch: pd.DataFrame, reference: pd.DataFrame) -> DriftReport:
    return compare(batch, reference, ["size", "colour"], ["prediction"], Monitor())


@pytest.mark.parametrize("rows", [30, 300, 3000])
def test_a_batch_like_the_reference_raises_no_alarm_at_any_size(rows: int) -> None:
    alarms = 0
    for seed in range(20):
        report = _compare(_frame(rows, seed), _frame(300, seed + 100))
        alarms += report.inputs_drifted or report.predictions_drifted
    assert alarms == 0


def test_a_shifted_number_is_found() -> None:
    report = _compare(_frame(300, 0, shift=1.0), _frame(300, 1))
    assert {column.column: column.drifted for column in report.inputs} == {
        "size": True,
        "colour": False,
    }
    assert report.inputs_drifted
    assert report.predictions_drifted


def test_a_category_with_another_share_is_found() -> None:
    report = _compare(_frame(300, 0, red=0.9), _frame(300, 1))
    colour = report.inputs[1]
    assert colour.drifted
    assert colour.distance == pytest.approx(0.4, abs=0.07)


def test_a_category_that_is_new_is_found() -> None:
    batch = _frame(300, 0).assign(colour="blue")
    assert _compare(batch, _frame(300, 1)).inputs[1].distance == 1.0


def test_a_number_that_went_missing_is_found() -> None:
    batch = _frame(300, 0)
    batch.loc[:200, "size"] = np.nan
    assert _compare(batch, _frame(300, 1)).inputs[0].drifted
    assert _compare(batch.assign(size=np.nan), _frame(300, 1)).inputs[0].distance == 1.0


def test_a_difference_too_small_to_matter_is_none_however_many_rows_prove_it() -> None:
    report = _compare(_frame(50_000, 0, shift=0.1), _frame(50_000, 1))
    assert report.inputs[0].p_value < 1e-6
    assert not report.inputs_drifted
    assert not report.predictions_drifted
