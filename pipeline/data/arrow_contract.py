"""Arrow columns held to the contract: whole columns at a time, row by row only where one fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import (
    CategoryColumn,
    NumberColumn,
    SchemaContract,
    as_text,
    conform_number,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray


@dataclass
class Conformed:
    """A chunk's features in the contract's types and order, and what breaks the contract.

    `columns` are float64 or string, one for each feature; a number is null where it came as null.
    `broken` has the rows of each (column, rule) that is broken, `unseen` counts texts that training
    never saw, by column.
    """

    columns: dict[str, "pyarrow.Array"] = field(default_factory=dict)
    broken: dict[tuple[str, str], "NDArray[np.bool_]"] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)


def conform(batch: "pyarrow.RecordBatch", contract: SchemaContract) -> Conformed:
    """Hold a chunk to the contract. Its columns must all be there."""
    found = Conformed()
    for name, spec in contract.features.items():
        raw = batch.column(name)
        if spec.kind == "number":
            found.columns[name], rules = _number(raw, spec)
            found.broken |= {(name, rule): rows for rule, rows in rules.items() if rows.any()}
        else:
            found.columns[name] = text(raw)
            if count := _unseen(found.columns[name], spec):
                found.unseen[name] = count
    return found


def _number(
    raw: "pyarrow.Array", spec: NumberColumn
) -> "tuple[pyarrow.Array, Mapping[str, NDArray[np.bool_]]]":
    import numpy as np
    import pyarrow

    values = _cast(raw)
    if values is not None:
        # Missing values do not count here, infinite ones are outside of every range. NumPy takes a
        # twentieth of the time of Arrow's min_max.
        numbers = values.to_numpy(zero_copy_only=False)
        low = np.fmin.reduce(numbers, initial=np.inf)
        high = np.fmax.reduce(numbers, initial=-np.inf)
        if low >= spec.minimum and high <= spec.maximum:
            return values, {}
    series, rules = conform_number(raw.to_pandas(), spec)
    missing = raw.is_null().to_numpy(zero_copy_only=False)
    return pyarrow.array(series.to_numpy(), type=pyarrow.float64(), mask=missing), rules


def _cast(raw: "pyarrow.Array") -> "pyarrow.Array | None":
    """Numbers, and texts that are all numbers, as float64; None for what needs a closer look."""
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    kind = raw.type
    if pyarrow.types.is_float64(kind):
        return raw
    try:
        if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind):
            return raw.cast(pyarrow.float64(), safe=False)
        if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
            values = raw.cast(pyarrow.float64())
            # The text "nan" is no number, and not missing either.
            return None if pyarrow.compute.any(values.is_nan()).as_py() else values
    except pyarrow.ArrowInvalid:
        pass
    return None


def text(raw: "pyarrow.Array") -> "pyarrow.Array":
    """Values as texts without blanks around them, missing ones as null; see schema.as_text."""
    import pyarrow
    import pyarrow.compute

    if pyarrow.types.is_integer(raw.type):
        return raw.cast(pyarrow.string())
    if pyarrow.types.is_string(raw.type) or pyarrow.types.is_large_string(raw.type):
        return pyarrow.compute.utf8_trim_whitespace(raw).cast(pyarrow.string())
    return pyarrow.array(as_text(raw.to_pandas()), type=pyarrow.string(), from_pandas=True)


def _unseen(values: "pyarrow.Array", spec: CategoryColumn) -> int:
    import pyarrow
    import pyarrow.compute

    known = pyarrow.array(spec.categories, type=pyarrow.string())
    present = pyarrow.compute.is_in(values, value_set=known, skip_nulls=True)
    return int(len(values) - values.null_count - present.true_count)


def frame(columns: Mapping[str, "pyarrow.Array"]) -> "pd.DataFrame":
    """Columns as the model was fitted on them: float64, and object with NaN where one is missing.

    The numbers share one block, so that the model's first step takes them without a copy.
    """
    import numpy as np
    import pandas as pd
    import pyarrow

    numbers = [name for name, array in columns.items() if pyarrow.types.is_float64(array.type)]
    rows = len(next(iter(columns.values())))
    block = np.empty((len(numbers), rows))
    for place, name in enumerate(numbers):
        block[place] = columns[name].to_numpy(zero_copy_only=False)
    table = pd.DataFrame(block.T, columns=numbers, copy=False)
    if len(numbers) == len(columns):
        return table
    texts = {
        name: pd.Series(_objects(array), dtype=object)
        for name, array in columns.items()
        if name not in set(numbers)
    }
    return pd.concat([table, pd.DataFrame(texts)], axis=1)[list(columns)]


def _objects(values: "pyarrow.Array") -> "NDArray[Any]":
    """Texts as Python objects; each different text is made once."""
    import numpy as np

    encoded = values.dictionary_encode()
    known = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    codes = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[Any] = known[codes]
    return found
