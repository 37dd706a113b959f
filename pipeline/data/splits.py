"""Which rows are held out. A row's side depends on nothing but the row, so it never changes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.contract import SplitRule, as_number, as_text
from pipeline.errors import InputError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_ONE_STRATUM = "*"


@dataclass(frozen=True)
class Sides:
    """A mask of rows for each side; together they cover every row once."""

    train: "NDArray[np.bool_]"
    holdout: "NDArray[np.bool_]"
    batch: "NDArray[np.bool_]"


def make_rule(frame: "pd.DataFrame", target: "pd.Series", settings: Settings) -> SplitRule:
    """Fix the bounds of the holdout from the first data.

    Raises InputError when a side (or a class in it) would be empty.
    """
    import numpy as np

    holdout = settings.holdout
    if holdout.rule == "time":
        return SplitRule(cutoff=_cutoff(frame, settings))
    hashes = _hashes(frame, settings, "holdout")
    if holdout.rule == "group":
        hashes = np.unique(hashes)
        return SplitRule(thresholds={_ONE_STRATUM: _threshold(hashes, holdout.fraction, "groups")})
    strata = _strata(target, settings)
    return SplitRule(
        thresholds={
            str(name): _threshold(np.unique(hashes[strata == name]), holdout.fraction, str(name))
            for name in np.unique(strata)
        }
    )


def split(frame: "pd.DataFrame", target: "pd.Series", rule: SplitRule, settings: Settings) -> Sides:
    """Divide rows into holdout, batch and training by a rule that was fixed before.

    By time the bound moves on with the data, never back: a model trained earlier has not seen
    what is held out later.
    """
    import numpy as np
    import pandas as pd

    if settings.holdout.rule == "time":
        assert rule.cutoff is not None
        held = (times(frame, settings) > max(rule.cutoff, _cutoff(frame, settings))).to_numpy()
    else:
        strata = (
            np.full(len(frame), _ONE_STRATUM, dtype=object)
            if settings.holdout.rule == "group"
            else _strata(target, settings)
        )
        bounds = pd.Series(strata).map(dict(rule.thresholds)).to_numpy(dtype=float)
        held = _hashes(frame, settings, "holdout") < bounds
    batch = (_hashes(frame, settings, "batch") < settings.data.batch_fraction) & ~held
    sides = Sides(train=~held & ~batch, holdout=held, batch=batch)
    for name, mask in (("training", sides.train), ("holdout", sides.holdout)):
        if not mask.any():
            raise InputError(f"no row is left for {name}: change fraction under [holdout]")
    return sides


def _hashes(frame: "pd.DataFrame", settings: Settings, purpose: str) -> "NDArray[np.float64]":
    """A number from 0 to 1 for each row, by its group, its id, or all that it holds.

    Without an id equal rows get equal numbers, so that a duplicate never sits on both sides.
    """
    import hashlib

    import pandas as pd

    column = settings.holdout.column
    if settings.holdout.rule == "group" and column and purpose == "holdout":
        keys = frame[[column]]
    else:
        keys = frame[settings.data.id_columns] if settings.data.id_columns else frame
    # In a fixed order: a source that moves its columns must not move its rows. Ids and groups as
    # text, since one odd value changes the type of all; features have their contract's types.
    values = {
        name: keys[name]
        if keys is frame and pd.api.types.is_float_dtype(keys[name])
        else as_text(keys[name]).fillna("").astype(str)
        for name in sorted(keys.columns)
    }
    salt = hashlib.sha256(f"{settings.holdout.seed}:{purpose}".encode()).hexdigest()[:16]
    hashes = pd.util.hash_pandas_object(pd.DataFrame(values), index=False, hash_key=salt)
    numbers: NDArray[np.float64] = hashes.to_numpy().astype("float64") / 2.0**64
    return numbers


def _strata(target: "pd.Series", settings: Settings) -> "NDArray[np.object_]":
    import numpy as np

    if settings.task.type == "regression":
        return np.full(len(target), _ONE_STRATUM, dtype=object)
    return target.to_numpy(dtype=object)


def _threshold(hashes: "NDArray[np.float64]", fraction: float, name: str) -> float:
    """A bound that has `fraction` of the hashes (sorted, distinct) below it."""
    count = round(fraction * len(hashes))
    if not 0 < count < len(hashes):
        raise InputError(
            f"{len(hashes)} rows of {name} are too few to hold out {fraction:.0%}: get more data "
            "or change fraction under [holdout]"
        )
    return float((hashes[count - 1] + hashes[count]) / 2)


def times(frame: "pd.DataFrame", settings: Settings) -> "pd.Series":
    """The holdout's time column as numbers (seconds, if it holds ISO 8601 times)."""
    import pandas as pd

    assert settings.holdout.column is not None
    values = frame[settings.holdout.column]
    if pd.api.types.is_numeric_dtype(values):
        return as_number(values)
    parsed = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    if parsed.isna().any():
        raise InputError(
            f"holdout.column {settings.holdout.column!r} holds {int(parsed.isna().sum())} values "
            "that are no ISO 8601 times"
        )
    return (parsed - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _cutoff(frame: "pd.DataFrame", settings: Settings) -> float:
    fraction = 1 - settings.holdout.fraction
    return float(times(frame, settings).quantile(fraction, interpolation="lower"))
