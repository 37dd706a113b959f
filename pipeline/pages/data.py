"""The data page: the kind of each column, warnings of ingest, and the split of the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.contract import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    SchemaContract,
)
from pipeline.data.splits import HoldoutDefinition
from pipeline.pages.frame import grid, page, pairs, text

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_CATEGORIES, _EXAMPLES = 12, 3


@dataclass(frozen=True)
class DataPage:
    """What the page shows. `rows` counts by side."""

    model: str
    source: str
    contract: SchemaContract
    holdout: HoldoutDefinition
    rows: Mapping[str, int]
    notes: Sequence[str] = ()
    violations: Sequence[str] = ()


def render(found: DataPage, table: "pyarrow.Table") -> str:
    """The page. `table` is the data as it came."""
    contract = found.contract
    roles = dict.fromkeys(contract.features, "feature")
    roles |= {name: "not learnt from" for name in contract.others if name not in roles}
    roles |= dict.fromkeys(contract.ids, "id")
    roles[contract.target] = "target"
    rows = [
        [text(name), roles[name], *_cells(column, contract), _examples(table, name)]
        for name, column in contract.columns.items()
    ]
    rows += [
        [text(name), "left out", "", "", "", text(why), _examples(table, name)]
        for name, why in contract.left_out.items()
    ]
    notes = [f"<li>{text(note)}" for note in [*found.notes, *found.violations]]
    return page(
        f"Data of {found.model}",
        pairs({"source": f"<code>{text(found.source)}</code>", **_sides(found)}),
        *(["<h2>Noticed</h2><ul>", *notes, "</ul>"] if notes else []),
        "<h2>Columns</h2>",
        "<p>Later files are read in the same way. Numbers may exceed the range of this data by "
        "contract.range_slack. To correct a column, describe it under [columns] in the settings "
        "and run ingest with --renew-contract.</p>",
        grid(["column", "role", "kind", "missing", "read as", "may be", "for example"], rows),
        "<h2>How files are written</h2>",
        pairs(
            {
                name: f"<code>{text(value)}</code>"
                for name, value in contract.format.model_dump().items()
                if value not in (None, [], "")
            }
        ),
    )


def _sides(found: DataPage) -> dict[str, str]:
    holdout = found.holdout
    return {
        **{name.replace("_", " "): str(count) for name, count in found.rows.items()},
        "held out": f"{holdout.fraction:.0%}, rule {holdout.rule}",
        "rows are known by": text(", ".join(holdout.key) or "nothing"),
    }


def _cells(column: Column, contract: SchemaContract) -> list[str]:
    """Kind, missing, how it is read, and its values."""
    words = column.missing
    if words is None:
        words = tuple(contract.format.missing)
    missing = f"{column.null_rate:.1%}"
    if words:
        missing += f" ({text(', '.join(repr(word) if word else 'blank' for word in words))})"
    read, values = "as text", ""
    if isinstance(column, NumberColumn):
        # Not the model itself, whose iterator also gives what it has cached.
        written = {} if column.marks.plain else column.marks.model_dump()
        shown = [f"{name} {' '.join(value)!r}" for name, value in written.items() if value]
        read = text(", ".join(shown) or "number")
        values = f"{column.minimum:g} to {column.maximum:g}"
    elif isinstance(column, CategoryColumn):
        more = len(column.categories) - _CATEGORIES
        values = text(", ".join(column.categories[:_CATEGORIES]))
        values += f" and {more} more" if more > 0 else ""
        if column.spelling != "text":
            read = f"every spelling of a {column.spelling} alike"
    elif isinstance(column, DateColumn):
        zone = f", zone {column.zone}" if column.zone else ""
        read, values = text(f"{column.format}{zone}"), text(", ".join(column.parts))
    return [column.kind, missing, read, values]


def _examples(table: "pyarrow.Table", name: str) -> str:
    if name not in table.schema.names:
        return "made of other rows"
    seen: dict[str, None] = {}
    for value in table[name].slice(0, 200).to_pylist():
        if value is not None:
            seen.setdefault(str(value)[:40])
        if len(seen) == _EXAMPLES:
            break
    return "<br>".join(f"<code>{text(value)}</code>" for value in seen)
