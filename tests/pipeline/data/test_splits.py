"""A row's side depends on the row alone, not on its file and not on the settings."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.data.infer import infer
from pipeline.data.prepare import prepare, rows_of
from pipeline.data.splits import (
    HoldoutDefinition,
    Sides,
    check_settings,
    define,
    identities,
    key_of,
    next_name,
    split,
)
from pipeline.errors import InputError
from pipeline.reading.files import find
from pipeline.reading.reader import read_table
from pipeline.settings import Settings, parse_settings

pytestmark = pytest.mark.slow


def _settings(holdout: dict[str, Any] | None = None, **data: Any) -> Settings:
    raw = {
        "model": "m",
        "data": {"source": "x.csv", "target": "y", "positive": "yes", **data},
        "task": {"type": "binary", "metric": "roc_auc"},
        "holdout": holdout or {},
        "contract": {"max_categories": 1000},
    }
    return parse_settings(raw, origin="test")


def _frame(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": random.normal(size=rows).round(4),
            "person": random.integers(0, 30, rows),
            "when": pd.date_range("2026-01-01", periods=rows, freq="h").astype(str),
            "y": random.choice(["yes", "no"], rows, p=[0.2, 0.8]),
        }
    )


def _cut(
    frame: pd.DataFrame, settings: Settings, definition: HoldoutDefinition | None = None
) -> tuple[HoldoutDefinition, Sides]:
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    contract = infer(table, settings).contract
    prepared = prepare(table, contract, settings)
    key = definition.key if definition else key_of(contract, table)
    rows = rows_of(table, prepared, contract, key, settings)
    found = definition or define(rows, key, settings)
    return found, split(rows, found, settings.data.batch_fraction)


RULES: list[dict[str, Any]] = [
    {"rule": "random"},
    {"rule": "group", "column": "person"},
    {"rule": "time", "column": "when"},
]


@pytest.mark.parametrize("holdout", RULES)
def test_every_row_is_on_exactly_one_side(holdout: dict[str, Any]) -> None:
    _, sides = _cut(_frame(400), _settings(holdout, batch_fraction=0.1))
    assert (sides.train.astype(int) + sides.holdout + sides.batch == 1).all()
    assert 0.1 < sides.holdout.mean() < 0.3


def test_a_random_holdout_has_each_class_near_its_share() -> None:
    frame = _frame(1000)
    _, sides = _cut(frame, _settings({"fraction": 0.25}))
    held = frame[sides.holdout]["y"].value_counts()
    assert held.sum() == 250
    assert abs(held["yes"] - 0.25 * (frame["y"] == "yes").sum()) <= 2


def test_even_a_class_of_two_rows_is_on_both_sides() -> None:
    frame = _frame(300).assign(y=["a", "a", "b", "b", "b", *["c"] * 295])
    settings = _settings().model_copy(
        update={"task": _settings().task.model_copy(update={"type": "multiclass"})}
    )
    _, sides = _cut(frame, settings)
    for side in (sides.train, sides.holdout):
        assert set(frame[side]["y"]) == {"a", "b", "c"}


@settings_of_hypothesis(max_examples=25, deadline=None)
@given(st.integers(60, 200), st.integers(1, 200), st.integers(0, 99))
def test_no_row_ever_changes_sides_when_data_grows_or_is_shuffled(
    rows: int, more: int, seed: int
) -> None:
    settings = _settings({"fraction": 0.3}, batch_fraction=0.1)
    first = _frame(rows, seed)
    definition, before = _cut(first, settings)
    grown = pd.concat([first, _frame(more, seed + 1)]).sample(frac=1, random_state=seed)
    grown = grown[["y", "when", "person", "x"]]
    _, after = _cut(grown, settings, definition)
    keys = ["x", "person", "when", "y"]
    old = {tuple(row) for row in first.loc[before.holdout, keys].to_numpy()}
    new = {tuple(row) for row in grown.loc[after.holdout, keys].to_numpy()}
    train = {tuple(row) for row in grown.loc[after.train, keys].to_numpy()}
    assert old <= new
    assert not old & train


def test_duplicates_are_never_on_both_sides() -> None:
    _, sides = _cut(pd.concat([_frame(300)] * 2, ignore_index=True), _settings())
    assert (sides.holdout[:300] == sides.holdout[300:]).all()


def test_a_group_is_never_on_both_sides() -> None:
    frame = _frame(400)
    _, sides = _cut(frame, _settings(RULES[1]))
    assert not set(frame[sides.holdout]["person"]) & set(frame[sides.train]["person"])


def test_by_time_the_latest_rows_are_held_out_and_the_bound_never_goes_back() -> None:
    settings, frame = _settings(RULES[2]), _frame(400)
    definition, sides = _cut(frame, settings)
    assert frame[sides.holdout]["when"].min() > frame[sides.train]["when"].max()
    early = frame.iloc[:350]
    _, again = _cut(early, settings, definition)
    assert frame[sides.holdout]["when"].min() <= early[again.holdout]["when"].min()


def test_a_last_time_of_many_rows_is_held_out_as_a_whole() -> None:
    frame = _frame(400)
    days = frame["when"].sort_values().unique()
    frame["when"] = np.where(frame["when"] >= days[len(days) // 2], days[-1], frame["when"])
    _, sides = _cut(frame, _settings(RULES[2]))
    assert set(frame[sides.holdout]["when"]) == {days[-1]}
    assert sides.train.any()


SAME: dict[str, Callable[[pd.DataFrame, Path], Path]] = {
    "csv": lambda frame, at: _csv(frame, at),
    "other order of columns": lambda frame, at: _csv(
        frame[sorted(map(str, frame), reverse=True)], at
    ),
    "quoted, with blanks": lambda frame, at: _csv(frame, at, quoting=1, lineterminator="\r\n"),
    "utf-16": lambda frame, at: _csv(frame, at, encoding="utf-16"),
    "zeros at the end": lambda frame, at: _csv(frame, at, float_format="%.6f"),
    "parquet": lambda frame, at: _parquet(frame, at),
    "nullable": lambda frame, at: _parquet(frame.convert_dtypes(), at),
    "whole numbers as floats": lambda frame, at: _parquet(frame.astype({"id": float}), at),
    "one odd id": lambda frame, at: _csv(
        pd.concat([frame, frame.head(1).assign(id="A7")], ignore_index=True), at
    ),
    "json lines": lambda frame, at: _jsonl(frame, at),
}


def _csv(frame: pd.DataFrame, at: Path, **options: Any) -> Path:
    frame.to_csv(at / "x.csv", index=False, **options)
    return at / "x.csv"


def _parquet(frame: pd.DataFrame, at: Path) -> Path:
    frame.to_parquet(at / "x.parquet", index=False)
    return at / "x.parquet"


def _jsonl(frame: pd.DataFrame, at: Path) -> Path:
    buffer = io.StringIO()
    frame.to_json(buffer, orient="records", lines=True)
    (at / "x.jsonl").write_text(buffer.getvalue())
    return at / "x.jsonl"


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("ids", [["id"], []])
def test_the_kind_of_file_and_the_neighbours_of_a_cell_do_not_move_a_row(
    tmp_path: Path, form: str, ids: list[str]
) -> None:
    frame = _frame(200).assign(id=range(1000, 1200), good=[n % 2 == 0 for n in range(200)])
    settings = _settings(id_columns=ids, drop=[] if ids else ["id"])
    first = read_table(find(_csv(frame, tmp_path), "x"), settings.data.format(), [])
    key = key_of(infer(first, settings).contract, first)
    again = read_table(find(SAME[form](frame, tmp_path), "x"), settings.data.format(), [])
    expected, found = identities(first, key), identities(again, key)
    assert (found[:200] == expected).all()
    assert len(set(expected.tolist())) == 200


def test_a_corrected_label_a_new_column_and_other_settings_do_not_move_a_row() -> None:
    settings, frame = _settings(), _frame(300)
    definition, before = _cut(frame, settings)
    changed = frame.assign(y=frame["y"].iloc[::-1].tolist(), extra=range(300, 0, -1))
    others = _settings(id_columns=["extra"], subgroups=["person"], categories=["person"])
    _, after = _cut(changed, others, definition)
    assert (before.holdout == after.holdout).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 8}, "seed = 7"),
        ({"fraction": 0.4}, "fraction = 0.2"),
        ({"rule": "group", "column": "person"}, "rule = 'random', column = None"),
    ],
)
def test_a_setting_that_would_move_rows_is_refused(change: dict[str, Any], said: str) -> None:
    definition, _ = _cut(_frame(200), _settings({"seed": 7}))
    with pytest.raises(InputError, match=said) as caught:
        check_settings(definition, _settings({"seed": 7, **change}))
    assert 'name = "holdout-2"' in str(caught.value)
    check_settings(definition, _settings({"seed": 7}))


def test_a_lost_column_of_the_key_is_named() -> None:
    definition, _ = _cut(_frame(200), _settings())
    with pytest.raises(InputError, match="of which the data lacks x: bring them back"):
        _cut(_frame(200).drop(columns="x"), _settings(), definition)


def test_names_follow_on_each_other() -> None:
    assert [next_name(name) for name in ("holdout", "holdout-2", "y-2026-x")] == [
        "holdout-2",
        "holdout-3",
        "y-2026-x-2",
    ]


def test_classes_of_one_row_are_all_named_with_what_can_be_done() -> None:
    frame = _frame(100).assign(y=["a", "b", *["c"] * 98])
    settings = _settings().model_copy(
        update={"task": _settings().task.model_copy(update={"type": "multiclass"})}
    )
    with pytest.raises(InputError, match=r"a \(1 row\), b \(1 row\).*drop_classes = \[.a., .b.\]"):
        _cut(frame, settings)


def test_too_few_rows_to_hold_out_are_counted() -> None:
    frame = _frame(4).assign(y=["yes", "no"] * 2)
    with pytest.raises(InputError, match="4 different rows are too few to hold out 1%"):
        _cut(frame, _settings({"fraction": 0.01}))


def test_a_time_that_is_none_is_named() -> None:
    frame = _frame(50)
    frame.loc[3, "when"] = "yesterday"
    with pytest.raises(InputError, match=r"when looks like times, except 1 rows \(3\)"):
        _cut(frame, _settings(RULES[2]))


def test_a_seed_decides_which_rows_are_held_out() -> None:
    frame = _frame(300)
    sides = [_cut(frame, _settings({"seed": seed}))[1].holdout for seed in (1, 1, 2)]
    assert (sides[0] == sides[1]).all()
    assert (sides[0] != sides[2]).any()
