"""Arrow columns and pandas columns are held to the contract alike."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import arrow_contract, contract
from pipeline.data.contract import CategoryColumn, NumberColumn, SchemaContract

CONTRACT = SchemaContract(
    model="m",
    target="y",
    features={
        "size": NumberColumn(minimum=-10, maximum=10, null_rate=0.1),
        "colour": CategoryColumn(categories=["green", "red"], null_rate=0),
    },
)
NUMBERS = [None, 0.5, -10.0, 10.0, 10.1, float("inf"), float("-inf"), float("nan")]
TEXTS = [None, "1", " 2 ", "-3.5", "1e400", "inf", "nan", "NaN", "huge", "", "0x1", "1_0", "11"]


def _batch(sizes: list[Any], colours: list[Any]) -> pyarrow.RecordBatch:
    return pyarrow.RecordBatch.from_pydict({"size": sizes, "colour": colours})


def _assert_alike(batch: pyarrow.RecordBatch) -> None:
    found = arrow_contract.conform(batch, CONTRACT)
    expected, violations, wrong = contract.conform(batch.to_pandas(), CONTRACT, new_categories=True)
    pd.testing.assert_frame_equal(arrow_contract.frame(found.columns), expected)
    assert {key: int(mask.sum()) for key, mask in found.broken.items()} == {
        (entry.column, entry.rule): entry.count for entry in violations
    }
    broken = [*found.broken.values(), np.zeros(batch.num_rows, dtype=bool)]
    assert np.logical_or.reduce(broken).tolist() == wrong.tolist()


@given(st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from([None, "red", " blue "]))))
def test_numbers_are_judged_as_pandas_judges_them(rows: list[tuple[Any, Any]]) -> None:
    rows = [(1.0, "red"), *rows]
    _assert_alike(_batch([row[0] for row in rows], [row[1] for row in rows]))


@given(st.lists(st.sampled_from(TEXTS), min_size=1))
def test_texts_are_judged_as_pandas_judges_them(sizes: list[Any]) -> None:
    sizes = ["1", *sizes]
    _assert_alike(_batch(sizes, ["red"] * len(sizes)))


@pytest.mark.parametrize(
    ("sizes", "colours"),
    [
        pytest.param([1, 2], [1, 2], id="integers"),
        pytest.param([True, False], [True, None], id="booleans"),
        pytest.param([1.0, None], [1.0, 2.5], id="floats"),
        pytest.param([None, None], [None, None], id="nothing"),
    ],
)
def test_other_types_are_judged_as_pandas_judges_them(sizes: list[Any], colours: list[Any]) -> None:
    _assert_alike(_batch(sizes, colours))


def test_texts_that_training_never_saw_are_counted_and_missing_ones_are_not() -> None:
    found = arrow_contract.conform(_batch([1.0] * 4, ["red", "blue", None, " green "]), CONTRACT)
    assert found.unseen == {"colour": 1}
