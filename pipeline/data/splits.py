"""Which rows are held out. A row's side depends on nothing but the row, so it never changes.

The first ingest defines a holdout under a name, for good: by which columns a row is known, the
salt, the bound. Settings that say something else are refused; another name begins another holdout.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.data import cells
from pipeline.data.contract import (
    DateColumn,
    IdColumn,
    NumberColumn,
    SchemaContract,
)
from pipeline.data.marks import PLAIN, Marks
from pipeline.errors import InputError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

_SALTS = 64
_MANY_ROWS = 200_000
_ENOUGH = 0.9


class KeyColumn(BaseModel):
    """How a column takes part in a row's identity: by its text, or by the number or time it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["text", "number", "date"]
    marks: Marks = PLAIN
    missing: tuple[str, ...] = ("",)
    format: str = cells.ISO
    zone: str | None = None


class HoldoutDefinition(BaseModel):
    """What decides a row's side. `key` are the columns that a row is known by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rule: Literal["random", "group", "time"]
    column: str | None
    fraction: float
    seed: int
    key: Mapping[str, KeyColumn]
    salt: int = 0
    threshold: float | None = None
    cutoff: float | None = None


@dataclass(frozen=True)
class Sides:
    """A mask of rows for each side; together they cover every row once."""

    train: "NDArray[np.bool_]"
    holdout: "NDArray[np.bool_]"
    batch: "NDArray[np.bool_]"


@dataclass(frozen=True)
class Rows:
    """What decides a row's side: its identity, group or time, and its class."""

    identity: "NDArray[np.uint64]"
    groups: "NDArray[np.uint64] | None" = None
    times: "NDArray[np.float64] | None" = None
    classes: "NDArray[np.object_] | None" = None


def key_of(contract: SchemaContract, table: "pyarrow.Table") -> dict[str, KeyColumn]:
    """The columns that a row is known by: its ids, or else all that may be learnt from.

    Without ids the target counts only where rows are too much alike without it, so that a
    corrected label does not move its row.
    """
    if contract.ids:
        return {name: KeyColumn(kind="text") for name in contract.ids}
    # A row's lags change when rows before it are added.
    derived = set(contract.lags.names) if contract.lags else set[str]()
    names = [name for name in table.schema.names if name in {*contract.columns} - derived]
    every = {name: _key_column(contract, name) for name in names}
    features = {name: column for name, column in every.items() if name != contract.target}
    distinct = len(set(identities(table, features).tolist()))
    if distinct >= _ENOUGH * len(set(identities(table, every).tolist())):
        return features
    return every


def _key_column(contract: SchemaContract, name: str) -> KeyColumn:
    column = contract.columns[name]
    words = contract.format.words if column.missing is None else column.missing
    if isinstance(column, NumberColumn):
        return KeyColumn(kind="number", marks=column.marks, missing=words)
    if isinstance(column, DateColumn):
        return KeyColumn(kind="date", missing=words, format=column.format, zone=column.zone)
    if isinstance(column, IdColumn):
        return KeyColumn(kind="text")
    return KeyColumn(kind="text", missing=words)


def identities(table: "pyarrow.Table", key: Mapping[str, KeyColumn]) -> "NDArray[np.uint64]":
    """A number of 64 bits for each row, by the raw cells of its key: a function of the row alone.

    The order of columns, the type of a column and the kind of file do not count. Raises InputError
    for a column that is not there.
    """
    import numpy as np

    lost = [name for name in key if name not in table.schema.names]
    if lost:
        raise InputError(
            f"rows are known by the columns {', '.join(key)}, of which the data lacks "
            f"{', '.join(lost)}: bring them back, or begin a new holdout with a name of its own "
            "under [holdout]"
        )
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name, column in key.items():
        parts = [_hashes(part, column) for part in table[name].chunks]
        values = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
        total += mixed(values ^ np.uint64(_hash_text(name)))
    return mixed(total)


def _hashes(raw: "pyarrow.Array", column: KeyColumn) -> "NDArray[np.uint64]":
    import numpy as np

    if column.kind == "text":
        texts = cells.identity(raw)
        if column.missing != ("",):
            texts = cells.present(texts, column.missing)
        encoded = cells.lower_booleans(texts).dictionary_encode()
        known = [_hash_text(text) for text in encoded.dictionary.to_pylist()]
        listed = np.array([*known, 0], dtype=np.uint64)
        codes = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        found: NDArray[np.uint64] = listed[codes]
        return found
    if column.kind == "number":
        values, _ = cells.numbers(raw, column.marks, column.missing)
        numbers = values.to_numpy(zero_copy_only=False)
    else:
        from pipeline.data import dates

        index, _ = cells.moments(raw, column.format, column.zone, column.missing)
        numbers = dates.seconds(index).to_numpy(zero_copy_only=False)
    # One spelling for each number: no negative zero, one NaN.
    plain = np.where(np.isnan(numbers), np.nan, numbers + 0.0)
    return mixed(np.ascontiguousarray(plain, dtype=np.float64).view(np.uint64))


def _hash_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def mixed(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """The finaliser of SplitMix64: a bijection of 64 bits that leaves no order of the input.

    Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        found = values + np.uint64(0x9E3779B97F4A7C15)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))


def _places(identity: "NDArray[np.uint64]", salt: int) -> "NDArray[np.float64]":
    """A place from 0 to 1 for each identity; another salt gives other places."""
    import numpy as np

    salted = identity ^ mixed(np.array([salt % 2**64], dtype=np.uint64))[0]
    found: NDArray[np.float64] = (mixed(salted) >> np.uint64(11)).astype(np.float64) / 2.0**53
    return found


def define(rows: Rows, key: Mapping[str, KeyColumn], settings: Settings) -> HoldoutDefinition:
    """Fix what decides a row's side, by the first data.

    The salt is the one of many under which every class comes closest to its share. Raises
    InputError when a side, or a class on one, would be empty.
    """
    import numpy as np

    holdout = settings.holdout
    known: dict[str, Any] = {
        "name": holdout.name,
        "rule": holdout.rule,
        "column": holdout.column,
        "fraction": holdout.fraction,
        "seed": holdout.seed,
        "key": key,
    }
    if holdout.rule == "time":
        assert rows.times is not None
        return HoldoutDefinition(**known, cutoff=_cutoff(rows.times, holdout.fraction))
    units, first = np.unique(
        rows.identity if rows.groups is None else rows.groups, return_index=True
    )
    count = round(holdout.fraction * len(units))
    if not 0 < count < len(units):
        what = "groups" if holdout.rule == "group" else "different rows"
        raise InputError(
            f"{len(units)} {what} are too few to hold out {holdout.fraction:.0%}: get more data, "
            "change fraction under [holdout], or name an id if rows only look alike"
        )
    by_class = rows.classes is not None and holdout.rule == "random"
    classes = rows.classes[first] if rows.classes is not None and by_class else None
    if classes is not None:
        _check_classes(classes)
    salt, threshold = _best_salt(units, classes, count, holdout.seed)
    return HoldoutDefinition(**known, salt=salt, threshold=threshold)


def _check_classes(classes: "NDArray[np.object_]") -> None:
    """Refuse classes of a single row: no fraction can split them."""
    import numpy as np

    names, counts = np.unique(classes.astype(str), return_counts=True)
    rare = [f"{name} ({count} row)" for name, count in zip(names, counts, strict=True) if count < 2]
    if rare:
        listed = ", ".join(f'"{entry.split(" (")[0]}"' for entry in rare)
        raise InputError(
            f"classes with a single row cannot be both learnt and held out: {', '.join(rare)}. "
            f"Write under [data] drop_classes = [{listed}] to leave these rows out, or merge them "
            f"with another class: merge_classes = {{ other = [{listed}] }}"
        )


def _best_salt(
    units: "NDArray[np.uint64]", classes: "NDArray[np.object_] | None", count: int, seed: int
) -> tuple[int, float]:
    """The salt, of those that a seed gives, under which the classes are nearest to their shares.

    With it comes the bound that has `count` units below it.
    """
    import numpy as np

    codes = None if classes is None else np.unique(classes.astype(str), return_inverse=True)[1]
    tries = 1 if codes is None else _SALTS if len(units) < _MANY_ROWS else _SALTS // 8
    wanted = None if codes is None else np.bincount(codes) * count / len(units)
    best: tuple[float, int, float] | None = None
    for number in range(tries):
        salt = seed * _SALTS + number
        places = _places(units, salt)
        low, high = np.partition(places, [count - 1, count])[[count - 1, count]]
        threshold = float((low + high) / 2)
        distance = 0.0
        if codes is not None and wanted is not None:
            held = np.bincount(codes[places < threshold], minlength=len(wanted))
            empty = ((held == 0) | (held == np.bincount(codes))).sum()
            distance = float(empty * len(units) + (np.abs(held - wanted) / np.sqrt(wanted)).max())
        if best is None or distance < best[0]:
            best = (distance, salt, threshold)
    assert best is not None
    return best[1], best[2]


def split(rows: Rows, definition: HoldoutDefinition, batch_fraction: float) -> Sides:
    """Divide rows into holdout, batch and training by a definition that was fixed before.

    By time the bound moves on with the data, never back: a model trained earlier has not seen
    what is held out later.
    """
    import numpy as np

    if definition.rule == "time":
        assert rows.times is not None
        assert definition.cutoff is not None
        held = rows.times > max(definition.cutoff, _cutoff(rows.times, definition.fraction))
    else:
        units = rows.identity if rows.groups is None else rows.groups
        assert definition.threshold is not None
        held = _places(units, definition.salt) < definition.threshold
    # Another salt than the holdout's: the batch is drawn from what is not held out.
    batch = (_places(rows.identity, ~definition.salt) < batch_fraction) & ~held
    sides = Sides(train=~held & ~batch, holdout=held, batch=batch)
    for name, mask in (("training", sides.train), ("holdout", sides.holdout)):
        if not mask.any():
            raise InputError(
                f"no row is left for {name}: "
                + (
                    "every row is older than what was held out first"
                    if definition.rule == "time" and name == "holdout"
                    else "begin a new holdout with another name and fraction under [holdout]"
                )
            )
    assert (sides.train.astype(np.int8) + sides.holdout + sides.batch == 1).all()
    return sides


def check_settings(definition: HoldoutDefinition, settings: Settings) -> None:
    """Refuse settings under which rows would change sides."""
    holdout = settings.holdout
    changed = [
        f"{name} = {getattr(definition, name)!r}"
        for name in ("rule", "column", "fraction", "seed")
        if getattr(definition, name) != getattr(holdout, name)
    ]
    if changed:
        raise InputError(
            f"the holdout {definition.name!r} was defined with {', '.join(changed)}, and its rows "
            "never change sides: put that back under [holdout], or begin a new holdout with a name "
            f'of its own, such as name = "{next_name(definition.name)}"'
        )


def next_name(name: str) -> str:
    """A name that follows on another: holdout-2 after holdout."""
    stem, _, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if stem and number.isdigit() else f"{name}-2"


def _cutoff(times: "NDArray[np.float64]", fraction: float) -> float:
    import numpy as np

    cutoff = float(np.quantile(times, 1 - fraction, method="lower"))
    # Where the last time alone is more than that, it is held out as a whole.
    before = times[times < times.max()]
    return min(cutoff, float(before.max())) if len(before) else cutoff


def group_hashes(column: "pyarrow.ChunkedArray") -> "NDArray[np.uint64]":
    """A number for each row's group."""
    import numpy as np

    text = KeyColumn(kind="text")
    parts: Sequence[Any] = [_hashes(part, text) for part in column.chunks]
    return mixed(np.concatenate(parts))
