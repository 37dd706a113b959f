from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.data.contract import (
    CategoryColumn,
    NumberColumn,
    SchemaContract,
    as_text,
    check_ids,
    check_nulls,
    conform,
    conform_target,
    infer,
)
from pipeline.errors import InputError
from pipeline.settings import Settings

Make = Callable[..., Settings]


@pytest.fixture
def settings(make_settings: Make) -> Settings:
    data = {"source": "x.csv", "target": "y", "positive": "yes", "batch_fraction": 0.0}
    return make_settings(data=data)


def _frame(rows: int = 40, **columns: Any) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "colour": random.choice(["red", "green"], rows),
            "y": random.choice(["yes", "no"], rows),
            **columns,
        }
    )


def test_a_contract_holds_types_ranges_categories_and_null_rates(settings: Settings) -> None:
    frame = _frame()
    frame.loc[:9, "size"] = np.nan
    contract = infer(frame, settings)
    size, colour = contract.features["size"], contract.features["colour"]
    assert isinstance(size, NumberColumn)
    assert size.null_rate == 0.25
    assert size.minimum < frame["size"].min()
    assert isinstance(colour, CategoryColumn)
    assert colour.categories == ["green", "red"]
    assert contract.classes == ["no", "yes"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": ["yes"] * 40}, "has one class only: yes"),
        ({"y": [None] * 40}, "has no values"),
        ({"y": list("abcd") * 10}, r'write type = "multiclass"'),
        ({"y": ["on", "off"] * 20}, "data.positive 'yes' is not a class of 'y'; write one of"),
        ({"extra": [None] * 40}, "the column 'extra' is empty: add it to drop"),
        ({"extra": [np.inf] + [1.0] * 39}, r"extra: infinite values: 1 \(rows 0\)"),
        ({"extra": pd.date_range("2026-01-01", periods=40)}, "'extra' holds times"),
        ({"extra": [f"text {n}" for n in range(40)]}, "more like an id than a category"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_is_refused(
    make_settings: Make, columns: dict[str, Any], message: str
) -> None:
    data = {"source": "x.csv", "target": "y", "positive": "yes"}
    settings = make_settings(data=data, contract={"max_categories": 30})
    with pytest.raises(InputError, match=message):
        infer(_frame(**columns), settings)


def test_ten_thousand_columns_are_refused_with_the_line_to_write(settings: Settings) -> None:
    wide = pd.DataFrame(np.zeros((3, 10_000)), columns=[f"c{n}" for n in range(10_000)])
    with pytest.raises(InputError, match="max_columns = 10001 under"):
        infer(wide.assign(y=["yes", "no", "yes"]), settings)


@pytest.mark.parametrize(
    "copy",
    [
        lambda y: y,
        lambda y: y.map({"yes": 1, "no": 0}),
        lambda y: y.map({"yes": "positive", "no": "negative"}),
    ],
)
def test_a_copy_of_the_target_among_the_features_is_refused(
    settings: Settings, copy: Callable[[pd.Series], pd.Series]
) -> None:
    frame = _frame()
    with pytest.raises(InputError, match="'leak' is a copy of the target 'y'"):
        infer(frame.assign(leak=copy(frame["y"])), settings)


def test_a_rescaled_copy_of_a_number_is_refused(make_settings: Make) -> None:
    settings = make_settings(
        data={"target": "size", "positive": None},
        task={"type": "regression", "metric": "rmse"},
    )
    frame = _frame().drop(columns="y")
    with pytest.raises(InputError, match="'inches' is a copy of the target 'size'"):
        infer(frame.assign(inches=frame["size"] * 2.54 + 1), settings)


def test_a_column_that_the_settings_name_but_the_data_lacks_is_refused(make_settings: Make) -> None:
    settings = make_settings(data={"target": "price", "source": "x.csv"})
    with pytest.raises(InputError, match="names 'price', which is not in the data"):
        infer(_frame(), settings)


@pytest.fixture
def contract() -> SchemaContract:
    return SchemaContract(
        model="m",
        target="y",
        features={
            "size": NumberColumn(minimum=0, maximum=10, null_rate=0.1),
            "colour": CategoryColumn(categories=["green", "red"], null_rate=0),
        },
        classes=["no", "yes"],
    )


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("size", "big", "size: not a number: 1 (rows 1)"),
        ("size", np.inf, "size: infinite: 1 (rows 1)"),
        ("size", 11.0, "size: outside 0 to 10: 1 (rows 1)"),
        ("colour", "blue", "colour: unseen category: 1 (rows 1)"),
    ],
)
def test_an_offending_row_is_named_with_its_rule(
    contract: SchemaContract, column: str, value: Any, rule: str
) -> None:
    frame = pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "green"]}).astype(object)
    frame.loc[1, column] = value
    _, violations, bad = conform(frame, contract, new_categories=False)
    assert [str(found) for found in violations] == [rule]
    assert bad.tolist() == [False, True]


def test_a_missing_column_is_named(contract: SchemaContract) -> None:
    with pytest.raises(InputError, match="lacks the columns colour"):
        conform(pd.DataFrame({"size": [1.0]}), contract, new_categories=False)


def test_a_row_without_a_target_is_named(contract: SchemaContract) -> None:
    frame = pd.DataFrame({"y": ["yes", None, "maybe"]})
    _, violations, bad = conform_target(frame, contract)
    rules = [found.rule for found in violations]
    assert rules == ["unseen category", "no target"]
    assert bad.tolist() == [False, True, True]


def test_a_column_that_became_emptier_is_named(contract: SchemaContract) -> None:
    features = pd.DataFrame({"size": [1.0, np.nan], "colour": ["red", "red"]})
    found = check_nulls(features, contract, slack=0.1)
    assert [str(entry) for entry in found] == ["size: null rate 0.50, at first 0.10: 1"]
    assert check_nulls(features, contract, slack=0.4) == []


def test_ids_that_come_twice_or_are_missing_are_found() -> None:
    frame = pd.DataFrame({"id": [1, 2, 2, None]})
    assert check_ids(frame, ["id"]).tolist() == [False, True, True, True]
    assert not check_ids(frame, []).any()


@settings_of_hypothesis(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-999, 999)), min_size=1, max_size=20))
def test_whole_numbers_read_the_same_as_text_in_every_type(values: list[int | None]) -> None:
    as_floats = as_text(pd.Series(values, dtype="float64"))
    as_objects = as_text(pd.Series(values, dtype=object))
    assert as_floats.fillna("-").tolist() == as_objects.fillna("-").tolist()


_COLUMNS = st.fixed_dictionaries(
    {
        "size": st.one_of(st.none(), st.floats(allow_nan=False), st.text(max_size=3)),
        "colour": st.one_of(st.none(), st.sampled_from(["red", "green", "blue", ""])),
    }
)


@settings_of_hypothesis(deadline=None)
@given(st.lists(_COLUMNS, min_size=1, max_size=12))
def test_rows_that_pass_the_contract_keep_it_whatever_came_in(rows: list[dict[str, Any]]) -> None:
    contract = SchemaContract(
        model="m",
        target="y",
        features={
            "size": NumberColumn(minimum=0, maximum=10, null_rate=1),
            "colour": CategoryColumn(categories=["green", "red"], null_rate=1),
        },
    )
    frame = pd.DataFrame(rows, columns=["size", "colour"]).astype(object)
    features, _, bad = conform(frame, contract, new_categories=False)
    assert len(features) == len(rows) == len(bad)
    kept = features[~bad]
    assert kept["size"].dropna().between(0, 10).all()
    assert set(kept["colour"].dropna()) <= {"red", "green"}
    again, _, still_bad = conform(kept, contract, new_categories=False)
    assert not still_bad.any()
    pd.testing.assert_frame_equal(again, kept)
