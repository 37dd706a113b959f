"""Infer the contract from the first data: the kind of each column, decided once.

What cannot be decided is refused, all columns at once, with the settings that decide it; each
proposal was tried on the column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data import kinds
from pipeline.data.contract import (
    CategoryColumn,
    Column,
    DateColumn,
    IdColumn,
    LagPlan,
    NumberColumn,
    SchemaContract,
    lag_name,
)
from pipeline.data.kinds import PLACEHOLDERS, Case, Fault, Findings
from pipeline.data.leading import describing_rows
from pipeline.data.marks import PLAIN
from pipeline.errors import InputError
from pipeline.reading.faults import near
from pipeline.reading.formats import Format, line, quoted
from pipeline.settings import ColumnSettings, Settings

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_SHOWN_FAULTS = 30
# Parts of a time that come again; the others of a holdout by time lie beyond what was learnt.
_CYCLES = ("month_cycle", "weekday", "hour_cycle")
# What of a column each of its settings decides.
_DECIDED = {
    **dict.fromkeys(("decimal", "thousands", "remove"), "marks"),
    **{name: name for name in ("true", "false", "format", "zone", "parts")},
}


@dataclass
class Inference:
    """The contract, and notes on how it was inferred."""

    contract: SchemaContract
    notes: list[str]


def infer(table: "pyarrow.Table", settings: Settings) -> Inference:
    """The contract that fits this data. Raises InputError that names every column at fault."""
    check_columns(table.schema.names, settings)
    form = settings.data.format()
    if described := describing_rows(table, form):
        raise InputError(f"{settings.data.shown_source}: {described}")
    found = Findings(settings, form)
    features, others = _columns(table, found)
    _file_marks(found)
    if found.faults:
        raise InputError(_report(found))
    if not features and not settings.lags.columns:
        raise InputError(_nothing_left(others, found))
    data = settings.data
    contract = SchemaContract(
        model=settings.model,
        format=_with_names(form, table.schema.names),
        target=data.target,
        features=features,
        others=others,
        ids=data.id_columns,
        left_out=found.left_out,
        merged=_merged(settings),
        dropped=data.drop_classes,
    )
    return Inference(_with_lags(_with_outputs(contract, found), settings), found.notes)


def _columns(
    table: "pyarrow.Table", found: Findings
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Features and other columns, without those that are left out or at fault."""
    settings, features = found.settings, dict[str, Column]()
    for name in table.schema.names:
        if name in settings.unused_columns and not _wanted_too(name, settings):
            continue
        column = kinds.feature(name, table[name], found)
        if column is not None:
            features[name] = column
    return features, _others(table, found)


def _merged(settings: Settings) -> dict[str, str]:
    merged = settings.data.merge_classes
    return {name: kept for kept, names in merged.items() for name in names}


def _with_names(form: Format, names: list[str]) -> Format:
    """The format with the names that a file without a header got.

    A batch without its target has fewer columns: by names alone nobody sees which one is absent.
    """
    if form.header or form.names:
        return form
    given = [f"column_{place}" for place in range(1, len(names) + 1)]
    return form.model_copy(update={"names": [name for name in given if name in names]})


def _with_lags(contract: SchemaContract, settings: Settings) -> SchemaContract:
    """The contract with features that are earlier values of numbers."""
    wanted = settings.lags
    if not wanted.columns:
        return contract
    assert settings.holdout.column is not None
    dated = isinstance(contract.others.get(settings.holdout.column), DateColumn)
    if wanted.every is not None and dated != isinstance(wanted.every, str):
        raise InputError(
            f"lags.every: {settings.holdout.column} holds "
            + ('times: write a length such as "1h"' if dated else "numbers: write a number")
        )
    plan = LagPlan(
        time=settings.holdout.column,
        columns=wanted.columns,
        steps=wanted.steps,
        by=wanted.by,
        every=wanted.every_seconds,
    )
    features, others = dict(contract.features), dict(contract.others)
    for name in wanted.by:
        if name not in contract.columns:
            others[name] = IdColumn()
    for column in wanted.columns:
        source = contract.columns.get(column)
        if not isinstance(source, NumberColumn):
            raise InputError(f"lags.columns names {column!r}, which is no column of numbers")
        for step in wanted.steps:
            features[lag_name(column, step)] = source.model_copy(
                update={"null_rate": 1.0, "marks": PLAIN, "missing": None, "flag": False}
            )
    return contract.model_copy(update={"features": features, "others": others, "lags": plan})


def check_columns(names: list[str], settings: Settings) -> None:
    """Every column that the settings name is there, and there are not too many."""
    data = settings.data
    named = {
        "data.target": [data.target],
        "data.id_columns": data.id_columns,
        "data.drop": data.drop,
        "data.subgroups": data.subgroups,
        "data.categories": data.categories,
        "lags": [*settings.lags.columns, *settings.lags.by],
        "columns": list(settings.columns),
        "holdout.column": [settings.holdout.column] if settings.holdout.column else [],
    }
    lost = [(key, name) for key, wanted in named.items() for name in wanted if name not in names]
    if lost:
        shown = []
        for key, name in lost:
            other = near(name, names)
            hint = f" (there is {other[:40]!r})" if other is not None else ""
            shown.append(f"{key} names {name!r}, which is not in the data{hint}")
        listed = ", ".join(name[:40] for name in names[:20])
        raise InputError(f"{'; '.join(shown)}; it has {listed}")
    limit = settings.contract.max_columns
    if len(names) > limit:
        raise InputError(
            f"the data has {len(names)} columns, more than {limit}: drop some, or write "
            f"max_columns = {len(names)} under [contract]"
        )


def check_said(
    stored: SchemaContract, fresh: SchemaContract | None, table: "pyarrow.Table", settings: Settings
) -> None:
    """Refuse settings that say of a column or a class what the stored contract does not.

    Without a word they would have no effect. `fresh` is what they make of the same data, None
    where it makes no contract.
    """
    names = dict.fromkeys([*settings.data.categories, *settings.columns])
    if fresh is not None:
        columns = fresh.columns
        at_fault = set[str]()
    else:
        found = Findings(settings, settings.data.format())
        features, others = _columns(table, found)
        columns = {**others, **features}
        at_fault = {fault.name for fault in found.faults}
    changed = []
    for name in names:
        old, chosen = stored.columns.get(name), _chosen(name, settings)
        if old is not None and name in at_fault:
            different = _is_not(old, chosen)
        else:
            different = _said_otherwise(name, stored, columns.get(name), chosen)
        changed += [name] * different
    changed += ["merge_classes"] * (stored.merged != _merged(settings))
    changed += ["drop_classes"] * (sorted(stored.dropped) != sorted(settings.data.drop_classes))
    if changed:
        raise InputError(
            f"the settings for {', '.join(changed)} differ from the contract of the first ingest, "
            "by which all data is read, and would have no effect: put them back, or pass "
            "--renew-contract (no row changes sides by that)"
        )


def _chosen(name: str, settings: Settings) -> ColumnSettings:
    """What the settings say of a column, be it under [columns] or in a list under [data]."""
    chosen = settings.columns.get(name, ColumnSettings())
    kind = "category" if name in settings.data.categories else "date" if chosen.format else None
    return chosen.model_copy(update={"type": chosen.type or kind})


def _is_not(old: Column, chosen: ColumnSettings) -> bool:
    """Whether a stored column is not what the settings say, by their words alone."""
    if chosen.type not in (None, old.kind):
        return True
    for said, field in _DECIDED.items():
        wanted, kept = getattr(chosen, said), getattr(old, field, None)
        kept = getattr(kept, said, None) if field == "marks" else kept
        if wanted and wanted != (list(kept) if isinstance(kept, tuple) else kept):
            return True
    if chosen.missing is None:
        return False
    return bool((set(chosen.missing) ^ set(old.missing or ())) - PLACEHOLDERS - {""})


def _said_otherwise(
    name: str, stored: SchemaContract, new: Column | None, chosen: ColumnSettings
) -> bool:
    old = stored.columns.get(name)
    if old is None or new is None:
        return bool(chosen.type) and name in stored.left_out and new is not None
    if chosen.type is not None and old.kind != new.kind:
        return True
    for said, field in _DECIDED.items():
        # What comes as times has no format of texts, whatever the settings say.
        alike = (getattr(new, field, None), getattr(chosen, said))
        if getattr(chosen, said) and getattr(old, field, None) not in alike:
            return True
    if chosen.missing is None:
        return False
    # Words that stand for missing without being named differ from file to file.
    words = set(old.missing or ()) ^ set(new.missing or ())
    return bool(words - (PLACEHOLDERS - set(chosen.missing)))


def _wanted_too(name: str, settings: Settings) -> bool:
    """Whether the holdout's column of times is a feature as well: if its parts are named."""
    chosen = settings.columns.get(name)
    return name == settings.holdout.column and chosen is not None and bool(chosen.parts)


def _nothing_left(others: dict[str, Column], found: Findings) -> str:
    settings = found.settings
    said = "no feature is left: every column is an id, dropped, empty or the target"
    column = settings.holdout.column
    if column is None or not isinstance(others.get(column), DateColumn):
        return said
    ways = []
    if parts := [part for part in _CYCLES if part in found.time_parts]:
        ways.append(f"{quoted(column)} = {{ {line('parts', parts)} }} under [columns]")
    if isinstance(others.get(settings.data.target), NumberColumn):
        ways.append(f"{line('columns', [settings.data.target])} and steps = [1] under [lags]")
    means = "parts of the time and earlier values of numbers can be features, such as"
    return f"{said}; {means} {', or '.join(ways)}" if ways else said


def _others(table: "pyarrow.Table", found: Findings) -> dict[str, Column]:
    """The target, ids, the holdout's column and subgroups: read, but not learnt from."""
    settings, others = found.settings, dict[str, Column]()
    data, holdout = settings.data, settings.holdout
    target = _of_cells(data.target, found, lambda: _target(data.target, table[data.target], found))
    if target is not None:
        others[data.target] = target
    for name in [*data.id_columns, *data.subgroups]:
        others.setdefault(name, IdColumn())
    if holdout.column and holdout.rule == "group":
        others.setdefault(holdout.column, IdColumn())
    elif holdout.column:
        name = holdout.column
        times = _of_cells(name, found, lambda: _times(kinds.look_at(name, table[name], found)))
        if times is not None:
            others[holdout.column] = times
    return others


def _of_cells(name: str, found: Findings, look: Callable[[], Column | None]) -> Column | None:
    """What `look` finds; values that are no single cell, such as lists, are a fault."""
    try:
        return look()
    except InputError as error:
        found.faults.append(Fault(name, str(error)))
        return None


def _times(case: Case) -> Column | None:
    """The column by which the holdout is cut: times, or numbers that grow with time."""
    if case.chosen.type != "date" and case.chosen.format is None:
        column = kinds.number(case, forced=True)
        if column is not None:
            return column.model_copy(
                update={"minimum": -kinds.LARGEST, "maximum": kinds.LARGEST, "flag": False}
            )
    moments = kinds.date(case)
    undecided = moments is None and not case.found.settled(case.name)
    if undecided and not kinds.looks_like_times(case):
        shown = next(iter(case.counts), "")
        case.refuse(
            f"is the holdout's column of times, but holds texts such as {shown!r}: if they are "
            f'times, write {quoted(case.name)} = {{ type = "date", format = … }} under [columns], '
            "with the format as Python's strptime takes it"
        )
    if not isinstance(moments, DateColumn):
        return None
    case.found.time_parts = moments.parts
    return moments.model_copy(update={"parts": []})


def _target(name: str, raw: "pyarrow.ChunkedArray", found: Findings) -> Column | None:
    chosen = found.settings.columns.get(name, ColumnSettings())
    if found.settings.task.type != "regression":
        # Every word may be a class; "None" is one in more than one public data set.
        own = chosen.model_copy(update={"missing": chosen.missing or []})
        case = kinds.look_at(name, raw, found, own)
        found.without_target = round(case.null_rate * len(raw))
        return _classes(case, chosen_missing=chosen.missing is not None)
    case = kinds.look_at(name, raw, found)
    found.without_target = round(case.null_rate * len(raw))
    column = kinds.of_kind(case, "number")
    if isinstance(column, NumberColumn) and len(case.counts) < 2:
        case.refuse("is the target, and has fewer than two values")
    if column is not None and chosen.type != "number":
        kinds.loses_digits(case, "an id rather than a target? If")
    return column


def _classes(case: Case, *, chosen_missing: bool) -> Column | None:
    """The target's classes."""
    settings = case.found.settings
    doubtful = [text for text in case.counts if text in case.found.form.words]
    if doubtful and not chosen_missing:
        counts = ", ".join(f"{text!r} ({case.counts[text]} rows)" for text in doubtful)
        case.refuse(
            f"is the target, and holds {counts}, which may be a class or mean that it is missing: "
            f"write missing = [] if it is a class, {line('missing', doubtful)} if it is missing",
            column=line("missing", doubtful),
        )
        return None
    column = kinds.category(case)
    merged = {old: new for new, olds in settings.data.merge_classes.items() for old in olds}
    kept = {merged.get(text, text) for text in column.categories}
    classes = sorted(kept - set(settings.data.drop_classes))
    if why := _unfit(classes, column, merged, settings):
        case.refuse(f"is the target, and {why}")
        return None
    return column.model_copy(update={"categories": classes})


def _unfit(
    classes: list[str], column: CategoryColumn, merged: Mapping[str, str], settings: Settings
) -> str | None:
    """Why these classes cannot be learnt; None if they can."""
    named = sorted({*merged, *settings.data.drop_classes} - set(column.categories))
    if named:
        return (
            f"has no class {', '.join(map(repr, named))}, which merge_classes or drop_classes "
            "under [data] name"
        )
    if len(classes) < 2:
        only = f"one class only: {classes[0]}" if classes else "no values"
        return f"has {only}; there is nothing to learn"
    if settings.task.type == "binary":
        return _unfit_pair(classes, column, settings)
    limit = settings.contract.max_categories
    if len(classes) > limit:
        return (
            f'has {len(classes)} classes; write type = "regression" under [task], or raise '
            "max_categories under [contract]"
        )
    return None


def _unfit_pair(classes: list[str], column: CategoryColumn, settings: Settings) -> str | None:
    if len(classes) > settings.contract.max_categories:
        return f'has {len(classes)} different values; write type = "regression" under [task]'
    if len(classes) > 2:
        return (
            f"has {len(classes)} classes ({', '.join(classes[:10])}); write "
            'type = "multiclass" under [task], or merge some with merge_classes under [data]'
        )
    target = settings.data.target
    contract = SchemaContract(model="", target=target, features={}, others={target: column})
    if contract.class_named(settings.data.positive or "") not in classes:
        return (
            f"data.positive {settings.data.positive!r} is not one of its classes; write one of "
            f"{', '.join(classes)}"
        )
    return None


def _file_marks(found: Findings) -> None:
    """Report a decimal comma once for the file if all of its numbers have one.

    Refuse numbers such as 1.234 if nothing shows whether the point is a decimal mark.
    """
    said, form = found.said, found.form
    spoilt = [fault for fault in found.faults if fault.marks]
    chosen = {"decimal", "thousands"} & found.settings.data.model_fields_set
    if spoilt and said.decimal_comma and not said.decimal_point and not chosen:
        written = [line("decimal", ",")]
        if "." in said.grouped_by | said.ambiguous:
            written.append(line("thousands", "."))
        names = ", ".join(fault.name for fault in spoilt)
        found.faults = [fault for fault in found.faults if not fault.marks]
        found.faults.append(
            Fault(
                names,
                f"hold numbers with a decimal comma: write under [data] {' and '.join(written)}",
            )
        )
    certain = said.decimal_point or said.decimal_comma
    if form.separator == ";" and not chosen and "." in said.ambiguous and not certain:
        found.faults.append(
            Fault(
                "Every number",
                "with a point has three digits after it, so that 1.234 may be 1234: write under "
                '[data] decimal = "." if it is a decimal point, else decimal = "," and '
                'thousands = "."',
            )
        )


def _report(found: Findings) -> str:
    """All faults, and settings that decide them."""
    faults = found.faults
    lines = [f"  {fault}" for fault in faults[:_SHOWN_FAULTS]]
    if len(faults) > _SHOWN_FAULTS:
        lines.append(f"  … and {len(faults) - _SHOWN_FAULTS} more")
    dropped = [fault.name for fault in faults if fault.drop]
    decided = [fault for fault in faults if fault.column is not None and not fault.drop]
    advice: list[str] = []
    if dropped:
        advice += ["  [data]", f"  {line('drop', [*found.settings.data.drop, *dropped])}"]
    if any(fault.drop and fault.column for fault in faults):
        advice.append(
            "  # or name them in id_columns or categories under [data], or learn from their words "
            "under [columns]"
        )
        advice += [
            f"  # {quoted(fault.name)} = {{ {fault.column} }}"
            for fault in faults
            if fault.drop and fault.column
        ][:3]
    if decided:
        advice.append("  [columns]")
        advice += [f"  {quoted(fault.name)} = {{ {fault.column} }}" for fault in decided]
    if found.without_target > found.settings.contract.max_bad_rows:
        target, count = found.settings.data.target, found.without_target
        lines.append(f"  {target} is the target, and has no value in {count} rows")
        advice += ["  [contract]", f"  {line('max_bad_rows', count)}"]
    head = f"{found.settings.data.shown_source} cannot be learnt from as it is:"
    return "\n".join([head, *lines, *(["write, for example:", *advice] if advice else [])])


def _with_outputs(contract: SchemaContract, found: Findings) -> SchemaContract:
    """Give columns of the predictions another name where the data has theirs already."""
    taken = {*contract.columns, *contract.inputs, *contract.left_out}
    wanted = ["prediction", "truth", "row", "reason"]
    wanted += [f"probability_{name}" for name in contract.classes]
    outputs = {}
    for name in wanted:
        free = name
        while free in taken:
            free = f"model_{free}"
        taken.add(free)
        if free != name:
            outputs[name] = free
    if outputs:
        pairs = ", ".join(f"{free} for {name}" for name, free in outputs.items())
        found.notes.append(f"the data has columns named as those of predictions: these get {pairs}")
    return contract.model_copy(update={"outputs": outputs})
