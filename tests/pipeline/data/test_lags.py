"""Earlier values as features: of rows strictly before, in training and in prediction alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner

from pipeline import ingest, predict, promote, train
from pipeline.data import lags
from pipeline.data.contract import SchemaContract
from pipeline.data.infer import infer
from pipeline.errors import InputError
from pipeline.settings import Settings, parse_settings

RAW: dict[str, Any] = {
    "model": "wind",
    "data": {"source": "wind.csv", "target": "power"},
    "task": {"type": "regression", "metric": "mae"},
    "holdout": {"rule": "time", "column": "when", "fraction": 0.25},
    "lags": {"columns": ["power", "speed"], "steps": [1, 3], "by": ["mill"]},
    "columns": {"when": {"parts": ["hour"]}},
    "search": {"families": ["linear"], "trials": 1, "folds": 2},
    "promotion": {"resamples": 100},
    "evaluation": {"plots": False, "importance_repeats": 1},
}


def _settings(**changes: Any) -> Settings:
    return parse_settings({**RAW, **changes}, origin="test")


def _frame(hours: int = 120) -> pd.DataFrame:
    """Two mills whose power depends on the hour before."""
    random = np.random.default_rng(0)
    parts = []
    for mill in ("a", "b"):
        power = np.zeros(hours)
        for hour in range(1, hours):
            power[hour] = 0.9 * power[hour - 1] + random.normal()
        when = pd.date_range("2026-01-01", periods=hours, freq="h").astype(str)
        speed = random.normal(size=hours).round(3)
        parts.append(
            pd.DataFrame({"when": when, "mill": mill, "speed": speed, "power": power.round(3)})
        )
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


def _with(frame: pd.DataFrame, contract: SchemaContract | None = None, **more: Any) -> pd.DataFrame:
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    known = contract or infer(table, _settings()).contract
    found: pd.DataFrame = lags.add(table, known, **more).to_pandas()
    return found


def test_a_lag_is_the_value_so_many_rows_before_in_its_series() -> None:
    found = _with(_frame())
    expected = _frame().sort_values("when").groupby("mill")["power"].shift(3).sort_index()
    pd.testing.assert_series_equal(found["power.lag_3"], expected, check_names=False)
    assert found["speed.lag_1"].isna().sum() == 2


def test_what_comes_later_changes_nothing_before() -> None:
    frame = _frame()
    later = frame["when"] >= "2026-01-04"
    changed = frame.assign(power=frame["power"].where(~later, 99.0))
    before, after = _with(frame), _with(changed)
    names = ["power.lag_1", "power.lag_3"]
    first = frame["when"] < "2026-01-04 01"
    pd.testing.assert_frame_equal(before.loc[first, names], after.loc[first, names])


def test_a_batch_looks_back_at_the_history_and_at_its_own_rows() -> None:
    frame = _frame()
    contract = infer(pyarrow.Table.from_pandas(frame, preserve_index=False), _settings()).contract
    old = frame["when"] < "2026-01-05"
    past = pyarrow.Table.from_pandas(frame[old], preserve_index=False)
    history = lags.history_of(past, contract)
    assert history.num_rows == 6
    whole = _with(frame)
    new = frame[~old & (frame["when"] < "2026-01-05 01")].drop(columns="power")
    found = _with(new, contract, history=history)
    for name in ("power.lag_1", "power.lag_3", "speed.lag_1"):
        assert found[name].tolist() == whole.loc[new.index, name].tolist()
    next_hour = frame[~old & (frame["when"] < "2026-01-05 02")].drop(columns="power")
    second = _with(next_hour, contract, history=history)
    unknown = second.loc[second["when"] > "2026-01-05 00:30", "power.lag_1"]
    assert unknown.isna().all()


def test_rows_of_one_time_are_refused_unless_the_series_is_named() -> None:
    settings = _settings(lags={"columns": ["power"], "steps": [1]})
    table = pyarrow.Table.from_pandas(_frame(), preserve_index=False)
    with pytest.raises(InputError, match="120 rows have the time of another row"):
        lags.add(table, infer(table, settings).contract)


def _with_gap(**plan: Any) -> tuple[pyarrow.Table, SchemaContract]:
    """One mill of which ten hours are lost."""
    frame = _frame()
    frame = frame[(frame["mill"] == "a") & ~frame["when"].between("2026-01-02 05", "2026-01-02 15")]
    table = pyarrow.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False)
    wanted = {"columns": ["power"], "steps": [1, 24], **plan}
    return table, infer(table, _settings(lags=wanted)).contract


def test_a_step_of_time_finds_the_value_of_exactly_that_time_and_no_other() -> None:
    table, contract = _with_gap(every="1h")
    found = lags.add(table, contract).to_pandas().set_index("when")
    power = found["power"]
    times = pd.to_datetime(power.index)
    for hours in (1, 24):
        earlier = (times - pd.Timedelta(hours=hours)).astype(str)
        expected = power.reindex(earlier).tolist()
        assert found[f"power.lag_{hours}"].tolist() == pytest.approx(expected, nan_ok=True)
    assert np.isnan(found.loc["2026-01-02 15:00:00", "power.lag_1"])


def test_a_batch_finds_earlier_times_in_what_ingest_left() -> None:
    table, contract = _with_gap(every="1h")
    history = lags.history_of(table, contract)
    assert history.num_rows == 24
    when = "2026-01-06 00:00:00"
    batch = pyarrow.table({"when": [when], "mill": ["a"], "speed": [0.0]})
    found = lags.add(batch, contract, history).to_pandas()
    frame = table.to_pandas().set_index("when")["power"]
    assert found["power.lag_1"].tolist() == [frame["2026-01-05 23:00:00"]]
    assert found["power.lag_24"].tolist() == [frame["2026-01-05 00:00:00"]]


def test_rows_that_are_unevenly_spaced_are_told_where_a_lag_counts_rows() -> None:
    random = np.random.default_rng(0)
    table, contract = _with_gap()
    few = table.take(np.sort(random.choice(table.num_rows, 80, replace=False)))
    (said,) = lags.doubts(lags.add(few, contract), contract)
    assert 'write every = "1h" under [lags]' in said
    assert lags.doubts(lags.add(table, contract), contract) == []


def _series(times: pd.DatetimeIndex, **changes: Any) -> tuple[pyarrow.Table, SchemaContract]:
    """Nothing but times and a number."""
    power = np.random.default_rng(0).normal(size=len(times))
    table = pyarrow.table({"when": times.astype(str).tolist(), "power": power})
    wanted = {"columns": ["power"], "steps": [1], **changes}
    return table, infer(table, _settings(lags=wanted, columns={})).contract


@pytest.mark.parametrize("step", ["MS", "QS", "YS"])
def test_periods_of_the_calendar_are_evenly_spaced(step: str) -> None:
    times = pd.date_range("1970-01-01", periods=60, freq=step)
    table, contract = _series(times)
    assert lags.doubts(lags.add(table, contract), contract) == []
    table, contract = _series(times[np.arange(60) % 7 > 0])
    (said,) = lags.doubts(lags.add(table, contract), contract)
    assert "rows follow the one before at another distance than the usual, which is a" in said
    assert "every" not in said


@pytest.mark.parametrize("step", ["1D", "2h", "7min", "1.5s", "36D"])
def test_the_length_of_a_step_is_one_that_the_settings_take(step: str) -> None:
    times = pd.date_range("2020-01-01", periods=200, freq=step)
    table, contract = _series(times[np.arange(200) % 9 > 0])
    (said,) = lags.doubts(lags.add(table, contract), contract)
    written = said.partition("write every = ")[2].partition(" under")[0].strip('"')
    assert written == step
    table, contract = _series(times, every=written)
    assert lags.add(table, contract)["power.lag_1"].null_count == 1


def test_a_series_without_features_says_which_there_can_be() -> None:
    times = pd.date_range("2020-01-01", periods=400, freq="6h")
    for index, parts in (
        (times.astype(str), '["month_cycle", "weekday", "hour_cycle"]'),
        (times.to_period("D")[::4].astype(str), '["month_cycle", "weekday"]'),
        (pd.period_range("1950-01", periods=100, freq="M").astype(str), '["month_cycle"]'),
    ):
        table = pyarrow.table({"when": index.tolist(), "power": np.arange(len(index)) % 7.0})
        with pytest.raises(InputError, match="no feature is left") as caught:
            infer(table, _settings(lags={}, columns={}))
        assert f"when = {{ parts = {parts} }} under [columns]" in str(caught.value)
        assert 'columns = ["power"] and steps = [1] under [lags]' in str(caught.value)


def test_lags_that_no_row_has_are_reported() -> None:
    table, contract = _with_gap(every="40min")
    said = lags.doubts(lags.add(table, contract), contract)
    assert [line.partition(" ")[0] for line in said] == ["power.lag_1"]


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("soon", "no length of time"),
        ("-1h", "no length of time"),
        ("NaT", "no length of time"),
        (0.0, "no length of time"),
        (3600.0, "holds times: write a length"),
    ],
)
def test_a_step_that_is_no_time_is_refused(every: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _with_gap(every=every)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holdout": {}}, r"\[lags\] need a holdout by time"),
        ({"lags": {"columns": ["power"], "steps": [0]}}, "a step is 1 or more"),
        ({"lags": {"columns": ["power"]}}, "columns and steps go together"),
    ],
)
def test_lags_that_would_leak_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _settings(**change)


@pytest.mark.slow
def test_a_model_that_looks_back_is_trained_and_predicts_the_next_hours(
    tmp_path: Path, mlflow_uri: str
) -> None:
    _frame().to_csv(tmp_path / "wind.csv", index=False)
    (tmp_path / "pipeline.toml").write_text(
        'model = "wind"\n[data]\nsource = "wind.csv"\ntarget = "power"\n'
        '[task]\ntype = "regression"\nmetric = "mae"\n'
        '[holdout]\nrule = "time"\ncolumn = "when"\nfraction = 0.25\n'
        '[lags]\ncolumns = ["power"]\nsteps = [1]\nby = ["mill"]\n'
        '[search]\nfamilies = ["linear"]\ntrials = 1\nfolds = 2\n'
        "[evaluation]\nplots = false\n[promotion]\nresamples = 100\n"
    )
    step = _stepper(tmp_path)
    step(ingest)
    step(train)
    assert step(promote)["holdout_value"] < 0.95
    hours = pd.DataFrame({"when": ["2026-01-06 00:00:00"] * 2, "mill": ["a", "b"], "speed": [0, 1]})
    hours.to_csv(tmp_path / "next.csv", index=False)
    predicted = step(predict, "--input", str(tmp_path / "next.csv"))
    found = pd.read_parquet(tmp_path / "work" / predicted["predictions"])
    last = _frame().sort_values("when").groupby("mill")["power"].last()
    assert found["power.lag_1"].tolist() == last.loc[found["mill"]].tolist()
    assert found["prediction"].tolist() == pytest.approx(0.9 * found["power.lag_1"], abs=0.5)
    # The second hour's earlier value is the first hour's, which nobody knows yet: that is told.
    later = hours.assign(when="2026-01-06 01:00:00")
    pd.concat([hours, later]).to_csv(tmp_path / "next.csv", index=False)
    output = step(predict, "--input", str(tmp_path / "next.csv"))["said"]
    assert "power.lag_1: 2 of 4 rows have no earlier value" in output


def _stepper(folder: Path) -> Callable[..., dict[str, Any]]:
    def step(module: Any, *options: str) -> dict[str, Any]:
        result = folder / "result.json"
        arguments = ["--local", str(folder / "work"), "--settings", str(folder / "pipeline.toml")]
        done = CliRunner().invoke(
            module.main, [*arguments, *options, "--result", str(result)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        values: dict[str, Any] = json.loads(result.read_text())
        return values | {"said": done.output}

    return step
