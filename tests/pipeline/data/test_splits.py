from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.data.splits import make_rule, split
from pipeline.errors import InputError
from pipeline.settings import Settings, parse_settings


def _settings(holdout: dict[str, Any], **data: Any) -> Settings:
    raw = {
        "model": "m",
        "data": {"source": "x.csv", "target": "y", "positive": "yes", **data},
        "task": {"type": "binary", "metric": "roc_auc"},
        "holdout": holdout,
    }
    return parse_settings(raw, origin="test")


def _frame(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": random.normal(size=rows),
            "person": random.integers(0, 30, rows),
            "when": pd.date_range("2026-01-01", periods=rows, freq="h").astype(str),
            "y": random.choice(["yes", "no"], rows, p=[0.2, 0.8]),
        }
    )


RULES: list[dict[str, Any]] = [
    {"rule": "random"},
    {"rule": "group", "column": "person"},
    {"rule": "time", "column": "when"},
]


@pytest.mark.parametrize("holdout", RULES)
def test_every_row_is_on_exactly_one_side(holdout: dict[str, Any]) -> None:
    settings, frame = _settings(holdout, batch_fraction=0.1), _frame(400)
    sides = split(frame, frame["y"], make_rule(frame, frame["y"], settings), settings)
    assert (sides.train.astype(int) + sides.holdout + sides.batch == 1).all()
    assert 0.1 < sides.holdout.mean() < 0.3


def test_a_random_holdout_has_each_class_in_its_share() -> None:
    settings, frame = _settings({"fraction": 0.25}), _frame(1000)
    sides = split(frame, frame["y"], make_rule(frame, frame["y"], settings), settings)
    held = frame[sides.holdout]["y"].value_counts()
    assert held.to_dict() == (frame["y"].value_counts() * 0.25).round().astype(int).to_dict()


@pytest.mark.slow
@settings_of_hypothesis(max_examples=25, deadline=None)
@given(st.integers(60, 200), st.integers(1, 200), st.integers(0, 99))
def test_no_row_ever_changes_sides_when_data_grows_or_is_shuffled(
    rows: int, more: int, seed: int
) -> None:
    settings = _settings({"fraction": 0.3}, batch_fraction=0.1)
    first = _frame(rows, seed)
    rule = make_rule(first, first["y"], settings)
    grown = pd.concat([first, _frame(more, seed + 1)]).sample(frac=1, random_state=seed)
    grown = grown[["y", "when", "person", "x"]]
    before = split(first, first["y"], rule, settings)
    after = split(grown, grown["y"], rule, settings)
    keys = ["x", "person", "when", "y"]
    old = {tuple(row) for row in first.loc[before.holdout, keys].to_numpy()}
    new = {tuple(row) for row in grown.loc[after.holdout, keys].to_numpy()}
    train = {tuple(row) for row in grown.loc[after.train, keys].to_numpy()}
    assert old <= new
    assert not old & train


def test_duplicates_are_never_on_both_sides() -> None:
    settings, frame = _settings({}), pd.concat([_frame(300)] * 2, ignore_index=True)
    sides = split(frame, frame["y"], make_rule(frame, frame["y"], settings), settings)
    assert (sides.holdout[:300] == sides.holdout[300:]).all()


def test_a_group_is_never_on_both_sides() -> None:
    settings, frame = _settings(RULES[1]), _frame(400)
    sides = split(frame, frame["y"], make_rule(frame, frame["y"], settings), settings)
    assert not set(frame[sides.holdout]["person"]) & set(frame[sides.train]["person"])


def test_by_time_the_latest_rows_are_held_out_and_the_bound_never_goes_back() -> None:
    settings, frame = _settings(RULES[2]), _frame(400)
    rule = make_rule(frame, frame["y"], settings)
    sides = split(frame, frame["y"], rule, settings)
    assert frame[sides.holdout]["when"].min() > frame[sides.train]["when"].max()
    early = frame.iloc[:350]
    again = split(early, early["y"], rule, settings)
    assert frame[sides.holdout]["when"].min() <= early[again.holdout]["when"].min()


def test_ids_alone_decide_where_there_are_some() -> None:
    settings = _settings({}, id_columns=["id"])
    frame = _frame(300).assign(id=range(300))
    rule = make_rule(frame, frame["y"], settings)
    changed = frame.assign(x=0.0)
    before = split(frame, frame["y"], rule, settings).holdout
    assert (before == split(changed, frame["y"], rule, settings).holdout).all()


def test_a_class_too_rare_to_hold_out_is_named() -> None:
    frame = _frame(100).assign(y=["yes"] + ["no"] * 99)
    with pytest.raises(InputError, match="1 rows of yes are too few to hold out 20%"):
        make_rule(frame, frame["y"], _settings({}))


def test_times_that_are_none_are_counted() -> None:
    frame = _frame(50)
    frame.loc[3, "when"] = "yesterday"
    with pytest.raises(InputError, match="holds 1 values that are no ISO 8601 times"):
        make_rule(frame, frame["y"], _settings(RULES[2]))


def test_a_seed_decides_which_rows_are_held_out(make_settings: Callable[..., Settings]) -> None:
    frame = _frame(300)
    sides = []
    for seed in (1, 1, 2):
        settings = _settings({"seed": seed})
        rule = make_rule(frame, frame["y"], settings)
        sides.append(split(frame, frame["y"], rule, settings).holdout)
    assert (sides[0] == sides[1]).all()
    assert (sides[0] != sides[2]).any()
