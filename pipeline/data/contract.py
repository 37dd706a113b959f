"""The contract: the kind of each column, how its cells are read, and which values break it.

It is inferred from the first data (infer.py), stored, and from then on every row is read by it: for
training, prediction, labels and monitoring. `conform` takes a chunk of rows of any size.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.data import cells, dates
from pipeline.data.marks import PLAIN, Marks
from pipeline.errors import InputError
from pipeline.reading.faults import lacking
from pipeline.reading.formats import Format

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

VERSION = 2
_EXAMPLES = 5
InputKind = Literal["number", "category", "text"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Column(_Frozen):
    """`missing` replaces the format's words for missing in this column."""

    null_rate: float = 0.0
    missing: tuple[str, ...] | None = None


class NumberColumn(_Column):
    """A column of numbers; values must stay within the range.

    With `flag` training had nothing but 0 and 1, so true and false mean these. With `marked` every
    value had what `marks` remove, such as a percent sign.
    """

    kind: Literal["number"] = "number"
    minimum: float
    maximum: float
    marks: Marks = PLAIN
    flag: bool = False
    marked: bool = False


class CategoryColumn(_Column):
    """A column of texts; new training data may not contain other texts.

    `spelling` says which texts are the same: "text" none but equal ones, "number" 5 and 5.0,
    "boolean" every known word for `true` and `false`.
    """

    kind: Literal["category"] = "category"
    categories: list[str]
    spelling: Literal["text", "number", "boolean"] = "text"
    true: str = ""
    false: str = ""


class DateColumn(_Column):
    """A column of times. `parts` are what a model sees of it; see dates.py.

    What lies before `earliest` or after `latest` (seconds since 1970) is far from all that was
    seen at first. It is predicted with a warning: later rows have later times.
    """

    kind: Literal["date"] = "date"
    earliest: float | None = None
    latest: float | None = None
    format: str = cells.ISO
    zone: str | None = None
    parts: list[str] = []


class TextColumn(_Column):
    """Free text; a model sees its words."""

    kind: Literal["text"] = "text"


class IdColumn(_Column):
    """An identifier: stored as it is, never a feature."""

    kind: Literal["id"] = "id"


Column = Annotated[
    NumberColumn | CategoryColumn | DateColumn | TextColumn | IdColumn, Field(discriminator="kind")
]


class LagPlan(_Frozen):
    """Lag features: columns, how many steps back, in which series, ordered by which times.

    A step is a row, or `every` much of the times: seconds where they are dates.
    """

    time: str
    columns: list[str]
    steps: list[int]
    by: list[str] = []
    every: float | None = None

    @property
    def names(self) -> list[str]:
        """Names of the lag features."""
        return [lag_name(column, step) for column in self.columns for step in self.steps]


def lag_name(column: str, step: int) -> str:
    """Name of the feature that holds a column's value `step` steps earlier."""
    return f"{column}.lag_{step}"


class SchemaContract(_Frozen):
    """What data must look like.

    `others` are columns that are read but are no features: the target, ids, the holdout's column,
    subgroups. `left_out` are columns that were there at first and that nobody reads, with the
    reason. `merged` maps classes to the class that they count as, `dropped` are classes whose rows
    are left out. `outputs` renames columns of the predictions that a feature has the name of.
    `lags` are features that are made of rows before.
    """

    schema_version: Literal[2] = 2
    model: str
    format: Format = Format()
    target: str
    features: Mapping[str, Column]
    others: Mapping[str, Column] = {}
    ids: list[str] = []
    left_out: Mapping[str, str] = {}
    merged: Mapping[str, str] = {}
    dropped: list[str] = []
    outputs: Mapping[str, str] = {}
    lags: LagPlan | None = None

    @property
    def classes(self) -> list[str]:
        """The classes of the target; empty where it is a number."""
        column = self.others.get(self.target)
        return list(column.categories) if isinstance(column, CategoryColumn) else []

    @property
    def inputs(self) -> dict[str, InputKind]:
        """Inputs of the model, in order: numbers, categories, texts, and parts of dates."""
        found: dict[str, InputKind] = {}
        for name, column in self.features.items():
            if isinstance(column, DateColumn):
                found |= dict.fromkeys(dates.names(name, column.parts), "number")
            elif not isinstance(column, IdColumn):
                found[name] = column.kind
        return found

    def column_of(self, name: str) -> str:
        """The feature that an input of the model is, or is a part of."""
        if name in self.features:
            return name
        return next(
            column
            for column, spec in self.features.items()
            if isinstance(spec, DateColumn) and name in dates.names(column, spec.parts)
        )

    @property
    def columns(self) -> dict[str, Column]:
        """Every column that is read, features last."""
        return {**self.others, **self.features}

    def output(self, name: str) -> str:
        """What a column of the predictions is called, such as "prediction"."""
        return self.outputs.get(name, name)

    def class_named(self, word: str) -> str:
        """A class as the contract spells it: True as true, 5.0 as 5. It may be no class."""
        import pyarrow

        column = self.others[self.target]
        if not isinstance(column, CategoryColumn):
            return word
        found = spelled(pyarrow.array([word.strip()], type=pyarrow.string()), column)[0].as_py()
        return self.merged.get(found, found)


def written_by(contract: SchemaContract, form: Format) -> SchemaContract:
    """The contract for files whose numbers and words for missing are written by another format.

    Columns that the settings gave marks or words of their own keep these.
    """
    usual = contract.format
    if (form.decimal, form.thousands, form.missing) == (
        usual.decimal,
        usual.thousands,
        usual.missing,
    ):
        return contract

    def changed(column: Column) -> Column:
        update: dict[str, Any] = {}
        if isinstance(column, NumberColumn):
            marks = column.marks
            if (marks.decimal, marks.thousands) == (usual.decimal, usual.thousands):
                # A new one: a copy would keep the pattern of the old one.
                update["marks"] = Marks(
                    decimal=form.decimal, thousands=form.thousands, remove=marks.remove
                )
        if column.missing is not None and set(usual.words) <= set(column.missing):
            more = [word for word in column.missing if word not in usual.words]
            update["missing"] = (*form.words, *more)
        return column.model_copy(update=update)

    return contract.model_copy(
        update={
            "format": form,
            "features": {name: changed(column) for name, column in contract.features.items()},
            "others": {name: changed(column) for name, column in contract.others.items()},
        }
    )


@dataclass(frozen=True)
class Violation:
    """Rows that break one rule of the contract. `rows` counts from 0, the first few of them."""

    column: str
    rule: str
    count: int
    rows: tuple[int, ...]
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.rows) else ""
        where = f" (rows {', '.join(map(str, self.rows))}{more})" if self.rows else ""
        shown = f": {', '.join(map(repr, self.examples))}" if self.examples else ""
        return f"{self.column}: {self.rule}: {self.count}{where}{shown}"


# On one row, 30 columns one by one take four times as long as together; on a thousand, 2.4 times.
_FEW_ROWS = 2048


@dataclass
class Conformed:
    """Rows in the contract's types, and what breaks it.

    `columns` are float64 or string, one for each input of the model, in order; a number is null
    where it came as null. `others` are the further columns that were asked for: numbers and times
    (seconds since 1970) as float64, the rest as string. `broken` has the rows of each (column,
    rule) that is broken, `unseen` counts texts that training never saw, by column (of numbers those
    without a mark that each had, such as %), and `far` times that are far from all that it saw.
    """

    columns: dict[str, "pyarrow.Array"] = field(default_factory=dict)
    others: dict[str, "pyarrow.Array"] = field(default_factory=dict)
    broken: dict[tuple[str, str], "NDArray[np.bool_]"] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        name: str,
        rules: "Mapping[str, NDArray[np.bool_]]",
        unseen: "NDArray[np.bool_] | None",
    ) -> None:
        """Record which rows break which rules of a column."""
        if unseen is not None:
            rules = {**rules, "unseen category": unseen}
        self.broken |= {(name, rule): mask for rule, mask in rules.items() if mask.any()}

    def count(self, name: str, far: int, bare: int) -> None:
        """Record times far from all that training saw, and numbers without their mark."""
        if far:
            self.far[name] = far
        if bare:
            self.unseen[name] = bare

    def wrong(self, rows: int) -> "NDArray[np.bool_]":
        """Rows that break any rule."""
        import numpy as np

        found: NDArray[np.bool_] = np.zeros(rows, dtype=bool)
        for mask in self.broken.values():
            found |= mask
        return found


def conform(
    batch: "pyarrow.RecordBatch",
    contract: SchemaContract,
    others: Collection[str] = (),
    *,
    features: bool = True,
    new_categories: bool = True,
) -> Conformed:
    """Read a chunk by the contract.

    With `new_categories` a category that training never saw is let through and counted: the model's
    encoder knows how to treat it. Raises InputError for a column that is not there.
    """
    wanted = list(contract.features.items()) if features else []
    extra = [(name, contract.others[name]) for name in others if name in contract.others]
    names = set(batch.schema.names)
    if lost := [name for name, _ in [*wanted, *extra] if name not in names]:
        raise InputError(lacking(list(dict.fromkeys(lost)), names))
    found = Conformed()
    few = batch.num_rows <= _FEW_ROWS and not contract.format.missing
    plain = _plain_numbers(batch, wanted) if few else {}
    for name, column in wanted:
        if name in plain:
            found.columns[name] = plain[name]
            continue
        read = _read(batch.column(name), column, name, contract.format)
        found.columns |= read.values
        found.count(name, read.far, read.bare)
        unseen = None
        if isinstance(column, CategoryColumn):
            unseen = _unseen(read.values[name], column)
        if unseen is not None and new_categories:
            found.unseen[name] = int(unseen.sum())
            unseen = None
        found.add(name, read.rules, unseen)
    for name, column in extra:
        read = _read(batch.column(name), column, name, contract.format)
        values = dict(read.values)
        unseen = None
        if isinstance(column, CategoryColumn):
            if name == contract.target:
                values[name] = _merged(values[name], contract.merged)
            unseen = _unseen(
                values[name], column, contract.dropped if name == contract.target else []
            )
        found.others |= values
        found.add(name, read.rules, unseen)
    for name in set(others) - set(found.others):
        if name in found.columns:
            found.others[name] = found.columns[name]
    return found


def _plain_numbers(
    batch: "pyarrow.RecordBatch", wanted: Sequence[tuple[str, Column]]
) -> "Mapping[str, pyarrow.Array]":
    """Columns that are float64 and within their ranges: of few rows all at once, not one by one.

    Where one value is not, there are none, and each column is looked at by itself.
    """
    import numpy as np
    import pyarrow

    arrays, low, high = {}, [], []
    for name, column in wanted:
        raw = batch.column(name)
        typed = pyarrow.types.is_float64(raw.type)
        # A number that stands for missing is looked for in its column alone.
        if typed and isinstance(column, NumberColumn) and column.missing is None:
            arrays[name] = raw
            low.append(column.minimum)
            high.append(column.maximum)
    if not arrays:
        return arrays
    # A missing value is NaN here, and is on neither side of a bound.
    block = np.array([array.to_numpy(zero_copy_only=False) for array in arrays.values()])
    bounds = np.array([low, high])[:, :, None]
    outside = (block < bounds[0]) | (block > bounds[1])
    return {} if outside.any() else arrays


def _merged(values: "pyarrow.Array", merged: Mapping[str, str]) -> "pyarrow.Array":
    """Classes with those that count as another one replaced by it."""
    import pyarrow.compute  # type: ignore[import-untyped]

    for old, new in merged.items():
        values = pyarrow.compute.if_else(pyarrow.compute.equal(values, old), new, values)
    return values


@dataclass(frozen=True)
class _Read:
    values: Mapping[str, "pyarrow.Array"]
    rules: Mapping[str, "NDArray[np.bool_]"] = field(default_factory=dict)
    far: int = 0
    bare: int = 0


def _read(raw: "pyarrow.Array", column: Column, name: str, form: Format) -> _Read:
    try:
        return _values(raw, column, name, form)
    except InputError as error:
        raise InputError(f"the column {name!r} {error}") from None


def _values(raw: "pyarrow.Array", column: Column, name: str, form: Format) -> _Read:
    import pyarrow

    missing = form.words if column.missing is None else column.missing
    if isinstance(column, NumberColumn):
        return _number(raw, column, name, missing)
    if isinstance(column, DateColumn):
        index, wrong = cells.moments(raw, column.format, column.zone, missing)
        values = (
            dates.parts(index, column.zone, name, column.parts)
            if column.parts
            else {name: dates.seconds(index)}
        )
        return _Read(values, {"not a time": wrong}, _far(index, column))
    if isinstance(column, IdColumn):
        return _Read({name: cells.identity(raw)})
    texts = cells.present(cells.as_text(raw), missing)
    # A missing text becomes the empty text: it has no words.
    texts = spelled(texts, column) if isinstance(column, CategoryColumn) else texts.fill_null("")
    return _Read({name: texts.cast(pyarrow.string())})


def _far(index: "pd.DatetimeIndex", column: DateColumn) -> int:
    """The number of times far outside the training range."""
    if column.earliest is None or column.latest is None:
        return 0
    moments = dates.seconds(index).drop_null().to_numpy()
    return int(((moments < column.earliest) | (moments > column.latest)).sum())


def spelled(texts: "pyarrow.Array", column: CategoryColumn) -> "pyarrow.Array":
    """Texts as the contract spells them."""
    if column.spelling == "number":
        return cells.short(texts)
    if column.spelling == "boolean":
        return cells.boolean(texts, column.true, column.false)
    return texts


def _number(
    raw: "pyarrow.Array", column: NumberColumn, name: str, missing: tuple[str, ...]
) -> _Read:
    import numpy as np

    values, wrong = cells.numbers(raw, column.marks, missing, flag=column.flag)
    bare = cells.unmarked(raw, column.marks, missing) if column.marked else 0
    # Missing values do not count here, infinite ones are outside of every range. NumPy takes a
    # twentieth of the time of Arrow's min_max.
    numbers = values.to_numpy(zero_copy_only=False)
    low = np.fmin.reduce(numbers, initial=np.inf)
    high = np.fmax.reduce(numbers, initial=-np.inf)
    if wrong is None and low >= column.minimum and high <= column.maximum:
        return _Read({name: values}, bare=bare)
    infinite = np.isinf(numbers)
    outside = ((numbers < column.minimum) | (numbers > column.maximum)) & ~infinite
    rules = {
        "infinite": infinite,
        f"outside {column.minimum:g} to {column.maximum:g}": outside,
    }
    if wrong is not None:
        rules = {"not a number": wrong, **rules}
    return _Read({name: values}, rules, bare=bare)


def _unseen(
    values: "pyarrow.Array", column: CategoryColumn, also: Collection[str] = ()
) -> "NDArray[np.bool_] | None":
    """Which texts are neither a category nor one of `also`; None where all are known."""
    import pyarrow
    import pyarrow.compute

    known = pyarrow.array([*column.categories, *also], type=pyarrow.string())
    found = pyarrow.compute.is_in(values, value_set=known, skip_nulls=True)
    if int(len(values) - values.null_count - found.true_count) == 0:
        return None
    mask: NDArray[np.bool_] = pyarrow.compute.and_(
        pyarrow.compute.invert(found), values.is_valid()
    ).to_numpy(zero_copy_only=False)
    return mask


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
    kept = set(numbers)
    texts = {
        name: pd.Series(cells.objects(array), dtype=object)
        for name, array in columns.items()
        if name not in kept
    }
    return pd.concat([table, pd.DataFrame(texts)], axis=1)[list(columns)]


def violation(
    column: str, rule: str, mask: "NDArray[np.bool_]", raw: "Any | None" = None
) -> Violation:
    """The violation of one rule, with the first few rows and their values."""
    rows = mask.nonzero()[0]
    first = tuple(int(row) for row in rows[:_EXAMPLES])
    values = [] if raw is None else [raw[row].as_py() for row in first]
    shown = tuple(dict.fromkeys(str(value)[:40] for value in values if value is not None))
    return Violation(column, rule, len(rows), first, shown)
