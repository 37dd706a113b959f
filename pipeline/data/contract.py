"""The schema contract: inferred from the first data, stored, then enforced row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.errors import InputError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_EXAMPLES = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberColumn(_Frozen):
    """A column of numbers; values must stay within the range."""

    kind: Literal["number"] = "number"
    minimum: float
    maximum: float
    null_rate: float


class CategoryColumn(_Frozen):
    """A column of texts; new training data may not bring others."""

    kind: Literal["category"] = "category"
    categories: list[str]
    null_rate: float


class SplitRule(_Frozen):
    """Where the holdout begins, fixed at first so that no row ever changes sides.

    `thresholds` bound a row's (or group's) hash, by class; `cutoff` bounds the time.
    """

    thresholds: Mapping[str, float] = {}
    cutoff: float | None = None


class SchemaContract(_Frozen):
    """What data must look like, and how it is split."""

    schema_version: Literal[1] = 1
    model: str
    target: str
    features: Mapping[str, NumberColumn | CategoryColumn]
    classes: list[str] = []
    target_range: tuple[float, float] | None = None
    split: SplitRule = SplitRule()


@dataclass(frozen=True)
class Violation:
    """Rows that break one rule of the contract. `rows` counts from 0, the first few of them."""

    column: str
    rule: str
    count: int
    rows: tuple[int, ...]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.rows) else ""
        where = f" (rows {', '.join(map(str, self.rows))}{more})" if self.rows else ""
        return f"{self.column}: {self.rule}: {self.count}{where}"


def as_text(values: "pd.Series") -> "pd.Series":
    """Values as texts of dtype object, missing ones as NaN; 3.0 and 3 read the same."""
    import numpy as np
    import pandas as pd

    present = values.notna()
    texts = pd.Series(np.nan, index=values.index, dtype=object)
    if pd.api.types.is_float_dtype(values):
        whole = values.where(present, 0).mod(1).eq(0)
        texts[present & whole] = values[present & whole].astype("int64").astype(str).astype(object)
        texts[present & ~whole] = values[present & ~whole].astype(str).astype(object)
    else:
        texts[present] = values[present].astype(str).str.strip().astype(object)
    return texts


def as_number(values: "pd.Series") -> "pd.Series":
    """Values as float64; what is no number becomes NaN."""
    import pandas as pd

    return pd.to_numeric(values, errors="coerce").astype("float64")


def infer(frame: "pd.DataFrame", settings: Settings) -> SchemaContract:
    """The contract that fits this data, without its split rule.

    Raises InputError for data that no model can be trained on, with the line to write.
    """
    check_columns(frame, settings)
    features = {
        str(name): _infer_column(frame[name], settings)
        for name in frame.columns
        if name not in settings.unused_columns
    }
    if not features:
        raise InputError("no feature is left: every column is an id, dropped or the target")
    target = frame[settings.data.target]
    known = {"model": settings.model, "target": settings.data.target, "features": features}
    if settings.task.type == "regression":
        numbers = _finite(as_number(target), settings.data.target).dropna()
        if numbers.nunique() < 2:
            raise InputError(f"the target {settings.data.target!r} has fewer than two values")
        contract = SchemaContract(**known, target_range=_range(numbers, settings))
    else:
        contract = SchemaContract(**known, classes=_classes(target, settings))
    _refuse_copies(frame, contract)
    return contract


def check_columns(frame: "pd.DataFrame", settings: Settings) -> None:
    """Every column that the settings name is there, and there are not too many."""
    data, present = settings.data, {str(name) for name in frame.columns}
    named = {
        "data.target": [data.target],
        "data.id_columns": data.id_columns,
        "data.drop": data.drop,
        "data.subgroups": data.subgroups,
        "data.categories": data.categories,
        "holdout.column": [settings.holdout.column] if settings.holdout.column else [],
    }
    for key, names in named.items():
        for name in names:
            if name not in present:
                raise InputError(
                    f"{key} names {name!r}, which is not in the data; "
                    f"it has {', '.join(sorted(present)[:20])}"
                )
    limit = settings.contract.max_columns
    if len(present) > limit:
        raise InputError(
            f"the data has {len(present)} columns, more than {limit}: drop some, or write "
            f"max_columns = {len(present)} under [contract]"
        )


def conform(
    frame: "pd.DataFrame", contract: SchemaContract, *, new_categories: bool
) -> tuple["pd.DataFrame", list[Violation], "NDArray[np.bool_]"]:
    """The features in the contract's types and order, what breaks it, and which rows do.

    Numbers are float64, categories texts of dtype object, missing values NaN. With
    `new_categories` a category that training never saw is let through: the model's encoder
    knows how to treat it. Raises InputError when a column is missing.
    """
    import numpy as np
    import pandas as pd

    missing = [name for name in contract.features if name not in frame.columns]
    if missing:
        raise InputError(f"the data lacks the columns {', '.join(missing)}")
    columns: dict[str, pd.Series] = {}
    violations: list[Violation] = []
    bad = np.zeros(len(frame), dtype=bool)
    for name, spec in contract.features.items():
        if spec.kind == "number":
            values, rules = conform_number(frame[name], spec)
        else:
            values, rules = _conform_category(frame[name], spec, allow_new=new_categories)
        columns[name] = values
        for rule, mask in rules.items():
            if mask.any():
                violations.append(violation(name, rule, mask))
                bad |= mask
    return pd.DataFrame(columns, index=frame.index), violations, bad


def conform_target(
    frame: "pd.DataFrame", contract: SchemaContract
) -> tuple["pd.Series", list[Violation], "NDArray[np.bool_]"]:
    """The target in the contract's type, what breaks it, and which rows do."""
    import numpy as np

    raw = frame[contract.target]
    if contract.target_range is None:
        spec = CategoryColumn(categories=contract.classes, null_rate=0)
        values, rules = _conform_category(raw, spec, allow_new=False)
    else:
        low, high = contract.target_range
        values, rules = conform_number(raw, NumberColumn(minimum=low, maximum=high, null_rate=0))
    rules["no target"] = values.isna().to_numpy() & raw.isna().to_numpy()
    bad = np.logical_or.reduce(list(rules.values()))
    found = [violation(contract.target, rule, mask) for rule, mask in rules.items() if mask.any()]
    return values, found, bad


def check_nulls(
    features: "pd.DataFrame", contract: SchemaContract, slack: float
) -> list[Violation]:
    """Columns that are emptier than the contract's null rate plus `slack` (a fraction)."""
    rates = features.isna().mean()
    return [
        Violation(name, f"null rate {rates[name]:.2f}, at first {spec.null_rate:.2f}", 1, ())
        for name, spec in contract.features.items()
        if rates[name] > spec.null_rate + slack
    ]


def check_ids(frame: "pd.DataFrame", id_columns: list[str]) -> "NDArray[np.bool_]":
    """Rows whose id is missing or comes more than once."""
    import numpy as np

    if not id_columns:
        return np.zeros(len(frame), dtype=bool)
    ids = frame[id_columns]
    found: NDArray[np.bool_] = (ids.duplicated(keep=False) | ids.isna().any(axis=1)).to_numpy()
    return found


def violation(column: str, rule: str, mask: "NDArray[np.bool_]") -> Violation:
    """The violation of a rule by the rows that the mask marks, the first ones as examples."""
    rows = mask.nonzero()[0]
    return Violation(column, rule, len(rows), tuple(int(row) for row in rows[:_EXAMPLES]))


def conform_number(
    raw: "pd.Series", spec: NumberColumn
) -> tuple["pd.Series", dict[str, "NDArray[np.bool_]"]]:
    """Values as float64, and the rows that break each rule; missing values break none."""
    import numpy as np

    values = as_number(raw)
    infinite = np.isinf(values.to_numpy())
    outside = ((values < spec.minimum) | (values > spec.maximum)).to_numpy() & ~infinite
    return values, {
        "not a number": (values.isna() & raw.notna()).to_numpy(),
        "infinite": infinite,
        f"outside {spec.minimum:g} to {spec.maximum:g}": outside,
    }


def _conform_category(
    raw: "pd.Series", spec: CategoryColumn, *, allow_new: bool
) -> tuple["pd.Series", dict[str, "NDArray[np.bool_]"]]:
    values = as_text(raw)
    if allow_new:
        return values, {}
    unseen = (values.notna() & ~values.isin(spec.categories)).to_numpy()
    return values, {"unseen category": unseen}


def _infer_column(values: "pd.Series", settings: Settings) -> NumberColumn | CategoryColumn:
    import pandas as pd

    name = str(values.name)
    null_rate = float(values.isna().mean())
    if null_rate == 1:
        raise InputError(f"the column {name!r} is empty: add it to drop under [data]")
    if pd.api.types.is_datetime64_any_dtype(values):
        raise InputError(f"the column {name!r} holds times: add it to drop under [data]")
    if (
        pd.api.types.is_numeric_dtype(values)
        and not pd.api.types.is_bool_dtype(values)
        and name not in settings.data.categories
    ):
        low, high = _range(_finite(as_number(values), name), settings)
        return NumberColumn(minimum=low, maximum=high, null_rate=null_rate)
    categories = sorted(as_text(values).dropna().unique())
    if len(categories) > settings.contract.max_categories:
        raise InputError(
            f"the column {name!r} has {len(categories)} different texts, more like an id than a "
            "category: add it to id_columns or drop under [data], or raise max_categories under "
            "[contract]"
        )
    return CategoryColumn(categories=categories, null_rate=null_rate)


def _finite(values: "pd.Series", name: str) -> "pd.Series":
    import numpy as np

    infinite = np.isinf(values.to_numpy())
    if infinite.any():
        raise InputError(
            f"{violation(name, 'infinite values', infinite)}; a model cannot learn from them: "
            "mend the source or leave the column out with drop under [data]"
        )
    return values


def _range(values: "pd.Series", settings: Settings) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    slack = (high - low) * settings.contract.range_slack
    return low - slack, high + slack


def _classes(target: "pd.Series", settings: Settings) -> list[str]:
    classes: list[str] = sorted(as_text(target).dropna().unique())
    name = settings.data.target
    if len(classes) < 2:
        raise InputError(
            f"the target {name!r} has {'one class only' if classes else 'no values'}"
            f"{f': {classes[0]}' if classes else ''}; there is nothing to learn"
        )
    if settings.task.type == "binary":
        if len(classes) > 2:
            raise InputError(
                f"the target {name!r} has {len(classes)} classes; write "
                'type = "multiclass" under [task]'
            )
        if settings.data.positive not in classes:
            raise InputError(
                f"data.positive {settings.data.positive!r} is not a class of {name!r}; write one "
                f"of {', '.join(classes)}"
            )
    elif len(classes) > settings.contract.max_categories:
        raise InputError(
            f'the target {name!r} has {len(classes)} classes; write type = "regression" under '
            "[task], or raise max_categories under [contract]"
        )
    return classes


def _refuse_copies(frame: "pd.DataFrame", contract: SchemaContract) -> None:
    """Refuse features that say the same as the target in other words."""
    import numpy as np
    import pandas as pd

    target = frame[contract.target]
    for name, spec in contract.features.items():
        both = target.notna() & frame[name].notna()
        if both.sum() < 10:
            continue
        truth: Any = target[both]
        if contract.target_range is not None and spec.kind == "number":
            pair = np.corrcoef(as_number(truth), as_number(frame[name][both]))
            copied = bool(abs(pair[0, 1]) > 1 - 1e-9)
        else:
            truth_codes = pd.factorize(truth)[0]
            copied = bool((truth_codes == pd.factorize(frame[name][both])[0]).all())
        if copied:
            raise InputError(
                f"the column {name!r} is a copy of the target {contract.target!r}; a model that "
                "sees it learns nothing: add it to drop under [data]"
            )
