"""Rows held to the contract: the same answer for every way in which a cell may come."""

import datetime
import decimal
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.data.contract import (
    CategoryColumn,
    Conformed,
    DateColumn,
    IdColumn,
    NumberColumn,
    SchemaContract,
    conform,
    frame,
)
from pipeline.data.infer import infer
from pipeline.data.marks import Marks
from pipeline.errors import InputError
from pipeline.reading.formats import Format
from pipeline.settings import parse_settings

CONTRACT = SchemaContract(
    model="m",
    target="y",
    features={
        "size": NumberColumn(minimum=-10, maximum=10),
        "colour": CategoryColumn(categories=["green", "red"]),
    },
    others={"y": CategoryColumn(categories=["no", "yes"]), "id": IdColumn()},
    ids=["id"],
)


def _conform(contract: SchemaContract = CONTRACT, **columns: list[Any]) -> Conformed:
    batch = pyarrow.RecordBatch.from_pydict(columns)
    return conform(batch, contract, [name for name in contract.others if name in columns])


def _one(column: Any, values: Any) -> Any:
    """What one column's values are read as."""
    contract = SchemaContract(model="m", target="y", features={"x": column})
    array = values if isinstance(values, pyarrow.Array) else pyarrow.array(values)
    found = conform(pyarrow.RecordBatch.from_arrays([array], ["x"]), contract)
    rows = zip(*(read.to_pylist() for read in found.columns.values()), strict=True)
    return [list(row) for row in rows], found


def _values(column: Any, values: Any) -> list[Any]:
    return [row[0] for row in _one(column, values)[0]]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("big", "not a number"),
        ("0x1", "not a number"),
        ("1_0", "not a number"),
        ("1,5", "not a number"),
        ("inf", "infinite"),
        ("-1e999", "infinite"),
        ("11", "outside -10 to 10"),
        (float("inf"), "infinite"),
        (11.0, "outside -10 to 10"),
    ],
)
def test_an_offending_row_is_found_with_its_rule(value: Any, rule: str) -> None:
    typed = isinstance(value, float)
    sizes = [1.0 if typed else "1", value, None]
    found = _conform(size=sizes, colour=["red"] * 3)
    assert {key: mask.tolist() for key, mask in found.broken.items()} == {
        ("size", rule): [False, True, False]
    }


@pytest.mark.parametrize("word", ["", " ", "N/A", "NA", "nan", "NaN", "null", "None", "?", None])
def test_words_for_missing_are_missing_in_every_kind_of_column(word: str | None) -> None:
    assert _values(NumberColumn(minimum=0, maximum=9), ["1", word]) == [1.0, None]
    assert _values(CategoryColumn(categories=["a"]), ["a", word]) == ["a", None]
    assert _values(DateColumn(parts=["year"]), ["2026-01-01", word]) == [2026.0, None]


@pytest.mark.parametrize("for_the_file", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        ["-999", "1.5"],
        ["-999.0", "1.5"],
        [" -999.00", "1.5", ""],
        [-999.0, 1.5],
        [-999.0, 1.5, None],
        pyarrow.array([-999.0, 1.5], type=pyarrow.float32()),
        pyarrow.array(["-999", "1.5"]).dictionary_encode(),
        [decimal.Decimal("-999.0"), decimal.Decimal("1.5")],
    ],
)
@pytest.mark.parametrize("few", [0, 2048])
def test_a_number_that_means_missing_does_so_in_every_spelling_and_kind_of_file(
    values: Any, for_the_file: bool, few: int
) -> None:
    words = ("", "-999", "n.a.")
    form = Format(missing=list(words[1:]) if for_the_file else [])
    own = None if for_the_file else words
    column = NumberColumn(minimum=0, maximum=9, missing=own)
    contract = SchemaContract(model="m", target="y", features={"x": column}, format=form)
    array = values if isinstance(values, pyarrow.Array) else pyarrow.array(values)
    with mock.patch("pipeline.data.contract._FEW_ROWS", few):
        found = conform(pyarrow.RecordBatch.from_arrays([array], ["x"]), contract)
    assert found.columns["x"].to_pylist() == [None, 1.5, None][: len(values)]
    assert found.broken == {}


def test_numbers_that_mean_missing_are_written_in_the_columns_marks() -> None:
    column = NumberColumn(
        minimum=0, maximum=9999, marks=Marks(decimal=",", thousands="."), missing=("1.000", "-9,5")
    )
    assert _values(column, ["1.000", "1000", "-9,50", "1", "-95"]) == [None, None, None, 1.0, -95.0]


def test_a_column_may_have_words_for_missing_of_its_own() -> None:
    column = CategoryColumn(categories=["NA", "EU"], missing=("", "-9"))
    assert _values(column, ["NA", "EU", "-9", ""]) == ["NA", "EU", None, None]


BOOLEAN = CategoryColumn(categories=["No", "Yes"], spelling="boolean", true="Yes", false="No")


@pytest.mark.parametrize(
    "values",
    [
        ["Yes", "No"],
        ["true", "FALSE"],
        ["1", "0"],
        ["1.0", "0.0"],
        ["T", "f"],
        ["y", "n"],
        [True, False],
        [1, 0],
        [1.0, 0.0],
    ],
)
def test_every_spelling_of_true_and_false_is_the_contracts(values: list[Any]) -> None:
    assert _values(BOOLEAN, values) == ["Yes", "No"]


NUMBERED = CategoryColumn(categories=["5", "2.5"], spelling="number")


@pytest.mark.parametrize("values", [["5", "2.5"], ["5.0", "2.50"], [5.0, 2.5]])
def test_numbers_that_are_categories_have_one_spelling(values: list[Any]) -> None:
    assert _values(NUMBERED, values) == ["5", "2.5"]


def test_codes_keep_their_zeros() -> None:
    column = CategoryColumn(categories=["02116", "1.0"])
    assert _values(column, ["02116", " 1.0 ", "2116"]) == ["02116", "1.0", "2116"]
    assert _one(column, ["02116", "2116"])[1].unseen == {"x": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["00501", "A7", "7.0", ""], ["00501", "A7", "7", None]),
        ([501, None, 7, 8], ["501", None, "7", "8"]),
        ([501.0, None, 7.0, 8.0], ["501", None, "7", "8"]),
    ],
)
def test_an_id_is_a_text_whatever_its_neighbours_are(
    values: list[Any], expected: list[str | None]
) -> None:
    found = _conform(size=["1"] * 4, colour=["red"] * 4, id=values)
    assert found.others["id"].to_pylist() == expected


@pytest.mark.parametrize(
    ("marks", "texts"),
    [
        (Marks(decimal=",", thousands="."), ["1.234,5", "-7", "1234,50"]),
        (Marks(thousands=","), ["1,234.5", "-7", "1234.50"]),
        (Marks(thousands=" "), ["1 234.5", "-7", "1234.50"]),
        (Marks(thousands="'", remove=("CHF",)), ["CHF 1'234.5", "CHF -7", "1234.50 CHF"]),
        (Marks(remove=("$", "%")), ["$1234.5", "-7 %", "1234.50"]),
    ],
)
def test_marks_of_numbers_are_those_of_the_contract(marks: Marks, texts: list[str]) -> None:
    column = NumberColumn(minimum=-9e9, maximum=9e9, marks=marks)
    assert _values(column, texts) == [1234.5, -7.0, 1234.5]


def test_a_decimal_comma_never_makes_a_number_of_thousands() -> None:
    found = _one(NumberColumn(minimum=0, maximum=9999, marks=Marks(decimal=",")), ["4.321"])[1]
    assert list(found.broken) == [("x", "not a number")]


def test_true_and_false_are_numbers_where_training_had_0_and_1() -> None:
    column = NumberColumn(minimum=0, maximum=1, flag=True)
    assert _values(column, ["1", "TRUE", "no"]) == [1.0, 1.0, 0.0]
    assert _values(column, [True, False]) == [1.0, 0.0]
    plain = NumberColumn(minimum=0, maximum=9)
    assert list(_one(plain, ["3", "TRUE"])[1].broken) == [("x", "not a number")]


BERLIN = datetime.timezone(datetime.timedelta(hours=2))
TIMES = DateColumn(zone="Europe/Berlin", parts=["day", "hour"])


@pytest.mark.parametrize(
    "values",
    [
        ["2026-03-29 03:30:00+02:00", "2026-03-29T01:30:00Z"],
        ["2026-03-29 03:30:00", "2026-03-29T03:30"],
        [datetime.datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)] * 2,
        [datetime.datetime(2026, 3, 29, 3, 30)] * 2,
    ],
)
def test_one_moment_has_one_hour_by_the_clocks_of_its_zone(values: list[Any]) -> None:
    assert _one(TIMES, values)[0] == [[29.0, 3.0], [29.0, 3.0]]


def test_a_text_that_is_no_time_is_found() -> None:
    rows, found = _one(DateColumn(format="%d-%m-%Y", parts=["day"]), ["31-12-2026", "2026-12-31"])
    assert rows == [[31.0], [None]]
    assert found.broken["x", "not a time"].tolist() == [False, True]


def test_cycles_bring_the_ends_together() -> None:
    rows, _ = _one(DateColumn(parts=["hour_cycle"]), ["2026-01-01T00:00", "2026-01-01T23:00"])
    assert np.hypot(*(np.array(rows[0]) - np.array(rows[1]))) < 0.3


def test_new_categories_are_counted_or_break_the_contract() -> None:
    batch = pyarrow.RecordBatch.from_pydict({"size": [1.0] * 3, "colour": ["red", "blue", None]})
    assert conform(batch, CONTRACT).unseen == {"colour": 1}
    strict = conform(batch, CONTRACT, new_categories=False)
    assert strict.broken["colour", "unseen category"].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("größe", "grösse"), ("gro\u0308ße", "größe"), (" age", "age"), ("Age", "age")],
)
def test_a_column_that_is_almost_there_is_named(name: str, hint: str) -> None:
    contract = SchemaContract(
        model="m", target="y", features={name: NumberColumn(minimum=0, maximum=9)}
    )
    batch = pyarrow.RecordBatch.from_pydict({hint: [1.0]})
    shown = name if name == name.strip() else repr(name)
    with pytest.raises(InputError, match=f"lacks the columns {shown} .there is '{hint}'"):
        conform(batch, contract)


def test_of_two_columns_that_are_almost_there_the_nearer_one_is_named() -> None:
    """Beside `Age`, which is a column of its own, ` age` is rather `age`."""
    number = NumberColumn(minimum=0, maximum=9)
    contract = SchemaContract(model="m", target="y", features={" age": number, "Age": number})
    batch = pyarrow.RecordBatch.from_pydict({"Age": [1.0], "age": [1.0]})
    with pytest.raises(InputError, match=r"lacks the columns ' age' .there is 'age', which is"):
        conform(batch, contract)
    decomposed = pyarrow.RecordBatch.from_pydict({"gro\u0308ße": [1.0]})
    contract = SchemaContract(model="m", target="y", features={"größe": number})
    with pytest.raises(InputError, match="which is the same in another Unicode form"):
        conform(decomposed, contract)


def test_features_are_float_and_object_as_a_model_was_fitted_on_them() -> None:
    found = frame(_conform(size=["1", None], colour=["red", None]).columns)
    pd.testing.assert_frame_equal(
        found,
        pd.DataFrame({"size": [1.0, np.nan], "colour": ["red", np.nan]}).astype({"colour": object}),
    )


_NUMBERS = st.one_of(
    st.none(), st.integers(-12, 12).map(float), st.sampled_from([1e9, -np.inf, np.inf, np.nan])
)


@settings_of_hypothesis(deadline=None)
@given(st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=8))
def test_numbers_that_are_looked_at_together_are_judged_as_one_by_one(
    rows: list[tuple[Any, Any]],
) -> None:
    features = {
        "a": NumberColumn(minimum=-10, maximum=10),
        "b": NumberColumn(minimum=0, maximum=1, flag=True),
    }
    contract = SchemaContract(model="m", target="y", features=features)
    columns = [pyarrow.array(list(c), type=pyarrow.float64()) for c in zip(*rows, strict=True)]
    batch = pyarrow.RecordBatch.from_arrays(columns, ["a", "b"])
    together = conform(batch, contract)
    with mock.patch("pipeline.data.contract._FEW_ROWS", 0):
        each = conform(batch, contract)
    # NaN is not equal to itself, so the values are compared as NumPy compares them.
    for name, array in each.columns.items():
        assert together.columns[name].is_null().equals(array.is_null())
        np.testing.assert_array_equal(together.columns[name].to_numpy(False), array.to_numpy(False))
    assert list(together.columns) == list(each.columns)
    assert {key: mask.tolist() for key, mask in together.broken.items()} == {
        key: mask.tolist() for key, mask in each.broken.items()
    }


@settings_of_hypothesis(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(), st.integers()).map(
                lambda v: None if v is None else str(v)
            )
            | st.text(max_size=4),
            st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["red", "green"])),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_rows_that_pass_keep_the_contract_whatever_came_in(rows: list[tuple[Any, Any]]) -> None:
    sizes, colours = (
        pyarrow.array(list(c), type=pyarrow.string()) for c in zip(*rows, strict=True)
    )
    batch = pyarrow.RecordBatch.from_arrays([sizes, colours], ["size", "colour"])
    found = conform(batch, CONTRACT, new_categories=False)
    kept = ~found.wrong(len(rows))
    table = frame(found.columns)[kept]
    assert len(table) == kept.sum()
    assert table["size"].dropna().between(-10, 10).all()
    assert set(table["colour"].dropna()) <= {"red", "green"}


def test_times_far_from_all_that_was_seen_are_counted_and_kept() -> None:
    """A span of 100 days, and half as much on both sides, is near."""
    days = pd.date_range("2026-01-01", periods=101).astype(str)
    table = pyarrow.table({"day": list(days), "y": list(range(101))})
    raw = {"model": "m", "data": {"source": "x", "target": "y"}}
    task = {"type": "regression", "metric": "rmse"}
    contract = infer(table, parse_settings({**raw, "task": task}, origin="test")).contract
    batch = ["2025-11-11", "2025-11-13", "2026-05-30", "2026-06-01", "9999-12-31", ""]
    found = conform(pyarrow.record_batch({"day": pyarrow.array(batch)}), contract)
    assert found.far == {"day": 3}
    assert found.broken == {}
