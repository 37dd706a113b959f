"""Features from times: numbers such as the hour, and sine and cosine of cycles."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

DAY = 86_400.0
# Each part as a number; "elapsed" is days since 1970, by which a model follows a trend.
_PARTS: Mapping[str, "Callable[[pd.DatetimeIndex], object]"] = {
    "elapsed": lambda index: _seconds(index) / DAY,
    "year": lambda index: index.year,
    "month": lambda index: index.month,
    "day": lambda index: index.day,
    "weekday": lambda index: index.day_of_week,
    "yearday": lambda index: index.day_of_year,
    "hour": lambda index: index.hour,
    "minute": lambda index: index.minute,
}
# Cycle length and first value of each cyclic part. As sine and cosine, 23 h is near 0 h.
_CYCLES = {
    "month_cycle": ("month", 12, 1),
    "weekday_cycle": ("weekday", 7, 0),
    "yearday_cycle": ("yearday", 365.25, 1),
    "hour_cycle": ("hour", 24, 0),
}
_USUAL_CYCLES = ("month", "weekday", "hour")
PARTS = (*_PARTS, *_CYCLES)
DEFAULT_PARTS = (
    "elapsed",
    "month",
    "weekday",
    "hour",
    "month_cycle",
    "weekday_cycle",
    "hour_cycle",
)


def names(column: str, parts: Sequence[str]) -> list[str]:
    """The columns that a model gets for a column's parts."""
    found = []
    for part in parts:
        ends = (f"{part}.sin", f"{part}.cos") if part in _CYCLES else (part,)
        found += [f"{column}.{end}" for end in ends]
    return found


def parts(
    index: "pd.DatetimeIndex", zone: str | None, column: str, wanted: Sequence[str]
) -> dict[str, "pyarrow.Array"]:
    """Each part of times in UTC, as the clocks of `zone` show it; missing times are null."""
    import numpy as np
    import pyarrow

    local = index.tz_convert(zone or "UTC")
    missing = np.asarray(index.isna())
    found: dict[str, NDArray[np.float64]] = {}
    for part in wanted:
        if part in _CYCLES:
            base, length, first = _CYCLES[part]
            angle = (np.asarray(_PARTS[base](local), dtype=float) - first) * 2 * np.pi / length
            found[f"{column}.{part}.sin"] = np.sin(angle)
            found[f"{column}.{part}.cos"] = np.cos(angle)
        else:
            found[f"{column}.{part}"] = np.asarray(_PARTS[part](local), dtype=float)
    return {
        name: pyarrow.array(values, type=pyarrow.float64(), mask=missing)
        for name, values in found.items()
    }


def seconds(index: "pd.DatetimeIndex") -> "pyarrow.Array":
    """Seconds since 1970, null for missing times."""
    import numpy as np
    import pyarrow

    return pyarrow.array(_seconds(index), type=pyarrow.float64(), mask=np.asarray(index.isna()))


def _seconds(index: "pd.DatetimeIndex") -> "NDArray[np.float64]":
    found: NDArray[np.float64] = index.as_unit("us").asi8.astype(float) / 1e6
    return found
