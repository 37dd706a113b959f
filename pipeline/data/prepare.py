"""Check a whole table against its contract, before ingest stores anything."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.contract import (
    CategoryColumn,
    Conformed,
    NumberColumn,
    SchemaContract,
    Violation,
    conform,
    frame,
    violation,
)
from pipeline.data.splits import KeyColumn, Rows, group_hashes, identities
from pipeline.errors import InputError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

_SHOWN = 20
# What no other contract would accept either.
_ALWAYS = ("no target", "no time", "id not unique", "totals of the other rows")
_FEWEST_ROWS = 10


@dataclass(frozen=True)
class Prepared:
    """Rows that keep the contract, in its types.

    `kept` marks them among the rows that came; `set_aside` broke the contract, `dropped` have a
    class that the settings leave out.
    """

    table: "pd.DataFrame"
    kept: "NDArray[np.bool_]"
    violations: list[Violation]
    set_aside: int
    dropped: int


def prepare(table: "pyarrow.Table", contract: SchemaContract, settings: Settings) -> Prepared:
    """Check data against the contract.

    Raises InputError with the offending rows when more than contract.max_bad_rows break it.
    """
    import numpy as np

    found = read_all(table, contract, list(contract.others), new_categories=False)
    target = found.others[contract.target]
    dropped = _is_one_of(target, contract.dropped)
    rules = found.broken | _more_rules(found, contract, settings)
    rules = {key: mask & ~dropped for key, mask in rules.items()}
    rules = {key: mask for key, mask in rules.items() if mask.any()}
    bad: NDArray[np.bool_] = np.logical_or.reduce([*rules.values(), np.zeros(len(target), bool)])
    violations = [
        violation(name, rule, mask, table[name] if name in table.schema.names else None)
        for (name, rule), mask in rules.items()
    ]
    emptier = _emptier(found, contract, settings.contract.null_rate_slack)
    if emptier or bad.sum() > settings.contract.max_bad_rows:
        raise InputError(_report(violations + emptier, int(bad.sum()), settings))
    kept = ~(bad | dropped)
    others = {name: array for name, array in found.others.items() if name not in found.columns}
    whole = frame({**found.columns, **others})
    return Prepared(
        whole[kept].reset_index(drop=True), kept, violations, int(bad.sum()), int(dropped.sum())
    )


def read_all(
    table: "pyarrow.Table",
    contract: SchemaContract,
    others: Sequence[str],
    *,
    features: bool = True,
    new_categories: bool = True,
) -> Conformed:
    """`conform` for a whole table."""
    import numpy as np
    import pyarrow

    parts = [
        conform(batch, contract, others, features=features, new_categories=new_categories)
        for batch in table.to_batches()
    ]
    sizes = [batch.num_rows for batch in table.to_batches()]

    def joined(
        pick: Callable[[Conformed], Mapping[str, "pyarrow.Array"]],
    ) -> "dict[str, pyarrow.Array]":
        return {
            name: pyarrow.concat_arrays([pick(part)[name] for part in parts])
            for name in (pick(parts[0]) if parts else ())
        }

    broken: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for key in dict.fromkeys(key for part in parts for key in part.broken):
        broken[key] = np.concatenate(
            [
                part.broken.get(key, np.zeros(size, dtype=bool))
                for part, size in zip(parts, sizes, strict=True)
            ]
        )
    unseen, far = Counter[str](), Counter[str]()
    for part in parts:
        unseen.update(part.unseen)
        far.update(part.far)
    return Conformed(
        joined(lambda part: part.columns),
        joined(lambda part: part.others),
        broken,
        dict(unseen),
        dict(far),
    )


def _is_one_of(target: "pyarrow.Array", names: list[str]) -> "NDArray[np.bool_]":
    import numpy as np
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    if not names:
        return np.zeros(len(target), dtype=bool)
    known = pyarrow.array(names, type=pyarrow.string())
    found: NDArray[np.bool_] = pyarrow.compute.is_in(target, value_set=known).to_numpy(
        zero_copy_only=False
    )
    return found


def _more_rules(
    found: Conformed, contract: SchemaContract, settings: Settings
) -> "dict[tuple[str, str], NDArray[np.bool_]]":
    """Rules for training data only: a target, unique ids, a time."""
    import pandas as pd

    def missing(name: str) -> "NDArray[np.bool_]":
        values = found.others[name]
        nothing: NDArray[np.bool_] = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        return nothing

    broken = found.wrong(len(found.others[contract.target]))
    rules = {(contract.target, "no target"): missing(contract.target) & ~broken}
    if settings.holdout.rule == "time" and settings.holdout.column:
        column = settings.holdout.column
        rules[column, "no time"] = missing(column) & ~broken
    summed, mask = _totals(found, contract)
    rules[", ".join(summed[:3]), "totals of the other rows"] = mask
    if contract.ids:
        ids = pd.DataFrame({name: found.others[name].to_pandas() for name in contract.ids})
        twice = (ids.duplicated(keep=False) | ids.isna().any(axis=1)).to_numpy()
        rules[", ".join(contract.ids), "id not unique"] = twice
    return rules


def _totals(found: Conformed, contract: SchemaContract) -> "tuple[list[str], NDArray[np.bool_]]":
    """The first or last row, if its numbers are sums or means of all others, and which are sums."""
    import numpy as np

    numbers = {
        name: values.to_numpy(zero_copy_only=False)
        for part in (found.columns, found.others)
        for name, values in part.items()
        if isinstance(contract.columns.get(name), NumberColumn)
    }
    rows = len(found.others[contract.target])
    mask = np.zeros(rows, dtype=bool)
    for place in (rows - 1, 0) if rows > _FEWEST_ROWS else ():
        summed, alike, present = list[str](), 0, 0
        for name, values in numbers.items():
            value, known = values[place], ~np.isnan(values)
            if np.isnan(value) or known.sum() < _FEWEST_ROWS:
                continue
            others = values[1:] if place == 0 else values[:-1]
            total, largest = np.nansum(others), np.nanmax(np.abs(others))
            present += 1
            # Rounded cells may add up to a little more or less than a rounded total.
            if abs(value - total) <= 1e-6 * abs(total) and abs(total) > 2 * largest:
                summed.append(name)
            elif abs(value - total / (known.sum() - 1)) <= 1e-4 * largest:
                alike += 1
        if summed and 2 * (len(summed) + alike) >= present:
            mask[place] = True
            return summed, mask
    return [], mask


def _emptier(found: Conformed, contract: SchemaContract, slack: float) -> list[Violation]:
    """Columns that are emptier than the contract's null rate plus `slack` (a fraction)."""
    emptier = []
    for name, column in contract.features.items():
        array = found.columns.get(name)
        if array is None:  # a date, whose parts are all missing or none
            array = next(
                values for key, values in found.columns.items() if key.startswith(f"{name}.")
            )
        rate = int(array.is_null(nan_is_null=True).sum().as_py() or 0) / max(len(array), 1)
        if rate > column.null_rate + slack:
            rule = f"null rate {rate:.2f}, at first {column.null_rate:.2f}"
            emptier.append(Violation(name, rule, 1, ()))
    return emptier


def rows_of(
    table: "pyarrow.Table",
    prepared: Prepared,
    contract: SchemaContract,
    key: Mapping[str, KeyColumn],
    settings: Settings,
) -> Rows:
    """The part of valid rows that decides their side."""
    kept, holdout = prepared.kept, settings.holdout
    classes = None
    if isinstance(contract.others[contract.target], CategoryColumn):
        classes = prepared.table[contract.target].to_numpy(dtype=object)
    groups = times = None
    if holdout.rule == "group" and holdout.column:
        groups = group_hashes(table[holdout.column])[kept]
    elif holdout.rule == "time" and holdout.column:
        times = prepared.table[holdout.column].to_numpy(dtype=float)
    return Rows(identities(table, key)[kept], groups, times, classes)


def _report(violations: list[Violation], bad: int, settings: Settings) -> str:
    lines = [f"  {found}" for found in violations[:_SHOWN]]
    if len(violations) > _SHOWN:
        lines.append(f"  … and {len(violations) - _SHOWN} more")
    ways = ["fix the source"]
    if any(found.rule == "id not unique" for found in violations):
        ways.append(
            'name what is no id as a group instead (rule = "group" under [holdout], and its column)'
        )
    if bad:
        ways.append(f"leave these rows out with max_bad_rows = {bad} under [contract]")
    if all(found.rule in _ALWAYS for found in violations):
        head = f"{settings.data.shown_source} has rows that cannot be used:"
    else:
        ways.append("accept the new data as the norm with --renew-contract")
        head = f"{settings.data.shown_source} breaks its contract:"
    return "\n".join([head, *lines, ", or ".join(ways)])
