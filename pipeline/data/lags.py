"""Earlier values of a series as features: of rows strictly before, so that nothing leaks.

A lag of k is the value k rows earlier of the same series, by time; where the plan says how long a
step is, the value of exactly so much earlier, and none where no row has that time. Rows that were
held out see the values before them, as a prediction for the next time would. A batch brings the
rows before it, or they are taken from the history that ingest leaves.
"""

from typing import TYPE_CHECKING, Any

from pipeline.data.contract import DateColumn, LagPlan, SchemaContract, lag_name
from pipeline.data.dates import DAY
from pipeline.data.prepare import read_all
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]

# Periods of the calendar are not equally long: their days, less or more an hour for summer time.
_CALENDAR = (("month", 27.9, 31.1), ("quarter", 89.9, 92.1), ("year", 364.9, 366.1))


def add(
    table: "pyarrow.Table", contract: SchemaContract, history: "pyarrow.Table | None" = None
) -> "pyarrow.Table":
    """The table with the contract's lags; `history` are rows from before.

    Raises InputError for two rows of a series with the same time, since neither is before the
    other.
    """
    import pandas as pd
    import pyarrow

    plan = contract.lags
    assert plan is not None
    wanted = [name for name in plan.names if name not in table.schema.names]
    if not wanted:
        return table
    frame = _values(table, contract, plan).assign(place=range(table.num_rows))
    if history is not None:
        before = _values(history, contract, plan).assign(place=-1)
        keys = pd.MultiIndex.from_frame(frame[["time", *plan.by]])
        known = pd.MultiIndex.from_frame(before[["time", *plan.by]]).isin(keys)
        frame = pd.concat([before[~known], frame], ignore_index=True)
    if (twice := frame.duplicated(["time", *plan.by])).any():
        raise InputError(
            f"{int(twice.sum())} rows have the time of another row of the same series, so that "
            "neither is before the other: name the series with by under [lags]"
        )
    frame = frame.sort_values("time", kind="stable")
    for column in plan.columns:
        for step in plan.steps:
            name = lag_name(column, step)
            if name in wanted:
                frame[name] = _earlier(frame, f"value {column}", step, plan)
    mine = frame[frame["place"] >= 0].sort_values("place")
    for name in wanted:
        values = pyarrow.array(mine[name].to_numpy(dtype=float), from_pandas=True)
        table = table.append_column(name, values)
    return table


def _earlier(frame: "pd.DataFrame", value: str, step: int, plan: LagPlan) -> Any:
    """The value so many steps earlier of each row's series; `frame` is in the order of time."""
    if plan.every is None:
        groups = frame.groupby(plan.by, dropna=False, sort=False) if plan.by else frame
        return groups[value].shift(step)
    # Times are seconds with fractions: what differs by less than a microsecond is the same time.
    keys = [*plan.by, "time"]
    known = frame[[*keys, value]].assign(time=frame["time"].round(6))
    wanted = frame[keys].assign(time=(frame["time"] - step * plan.every).round(6))
    return wanted.merge(known, on=keys, how="left")[value].to_numpy()


def doubts(table: "pyarrow.Table", contract: SchemaContract) -> list[str]:
    """Warnings about lags: unevenly spaced rows, lags without values."""
    plan = contract.lags
    assert plan is not None
    if plan.every is not None:
        return [
            f"{name} is empty in {table[name].null_count} of {table.num_rows} rows: no row of the "
            "series has exactly that time"
            for name in plan.names
            if 2 * table[name].null_count > table.num_rows
        ]
    frame = _values(table, contract, plan).sort_values("time", kind="stable")
    groups = frame.groupby(plan.by, dropna=False, sort=False) if plan.by else frame
    gaps = groups["time"].diff().dropna()
    dated = isinstance(contract.others.get(plan.time), DateColumn)
    usual = float(gaps.mode().iloc[0]) if len(gaps) else 0.0
    same, period = gaps == usual, None
    for name, low, high in _CALENDAR if dated else ():
        if low <= usual / DAY <= high:
            same, period = (gaps / DAY).between(low, high), name
    other = int((~same).sum())
    if other * 100 <= len(gaps):
        return []
    said = f"a lag counts rows, and {other} of {len(gaps)} rows follow the one before at another"
    if period is not None:
        return [f"{said} distance than the usual, which is a {period}"]
    shown = f'"{_length(usual)}"' if dated else f"{usual:g}"
    return [
        f"{said} distance than the usual: write every = {shown} under [lags] to count time instead"
    ]


def _length(seconds: float) -> str:
    """A length of time as pandas reads it: 1D, 6h, 0.5s."""
    for unit, size in (("D", DAY), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _values(table: "pyarrow.Table", contract: SchemaContract, plan: LagPlan) -> "pd.DataFrame":
    """Times, series and the numbers that are looked back at; one that is not there is empty."""
    import numpy as np
    import pandas as pd

    there = set(table.schema.names)
    narrow = contract.model_copy(
        update={
            "features": {},
            "others": {
                name: contract.others.get(name) or contract.features[name]
                for name in [plan.time, *plan.by, *plan.columns]
                if name in there
            },
        }
    )
    if lost := [name for name in (plan.time, *plan.by) if name not in there]:
        raise InputError(
            f"lags are taken by {', '.join([plan.time, *plan.by])}, of which the data lacks "
            f"{', '.join(lost)}"
        )
    found = read_all(table, narrow, list(narrow.others), features=False).others
    frame = pd.DataFrame({"time": found[plan.time].to_numpy(zero_copy_only=False)})
    for name in plan.by:
        frame[name] = found[name].to_pandas()
    for name in plan.columns:
        values = found[name].to_numpy(zero_copy_only=False) if name in found else np.nan
        frame[f"value {name}"] = values
    return frame


def history_of(table: "pyarrow.Table", contract: SchemaContract) -> "pyarrow.Table":
    """The last rows of each series, as they came: what the lags of the next batch look back at."""
    import pyarrow

    plan = contract.lags
    assert plan is not None
    frame = _values(table, contract, plan).assign(place=range(table.num_rows))
    frame = frame.sort_values("time", kind="stable")
    most = max(plan.steps)
    groups = frame.groupby(plan.by, dropna=False) if plan.by else frame
    if plan.every is None:
        last = groups.tail(most)
    else:
        newest = groups["time"].transform("max") if plan.by else frame["time"].max()
        last = frame[frame["time"] > newest - most * plan.every]
    places = pyarrow.array(sorted(last["place"]), type=pyarrow.int64())
    return table.select([plan.time, *plan.by, *plan.columns]).take(places)
