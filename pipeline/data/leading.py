"""Rows below the header that say what the columns are, such as their units: none to learn from."""

from typing import TYPE_CHECKING

from pipeline.data import cells
from pipeline.data.marks import PLAIN
from pipeline.data.times import has_shape
from pipeline.reading.formats import Format, line

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_LOOKED_AT, _FEWEST_ROWS, _FEWEST_COLUMNS = 500, 20, 4
_NEARLY_ALL = 0.8


def describing_rows(table: "pyarrow.Table", form: Format) -> str | None:
    """What to do if the first rows of a CSV file say what each column is.

    Then nearly every text of the first row comes in it alone, among numbers, times, or texts that
    come again and again.
    """
    import pyarrow

    if table.num_rows < _FEWEST_ROWS:
        return None
    texts = {
        name: cells.present(cells.as_text(column.combine_chunks()), form.words).to_pylist()
        for name, column in zip(table.schema.names, table.slice(0, _LOOKED_AT).columns, strict=True)
        if pyarrow.types.is_string(column.type)
    }
    first = {name: found[0] for name, found in texts.items() if found[0] is not None}
    unlike = [name for name in first if _is_unlike(texts[name])]
    if len(unlike) < max(_FEWEST_COLUMNS, _NEARLY_ALL * len(first)):
        return None
    rows = 1
    while rows < _FEWEST_ROWS and _is_empty([found[rows] for found in texts.values()]):
        rows += 1
    shown = ", ".join(f"{name} {first[name][:40]!r}" for name in unlike[:5])
    written = (
        line("skip_lines", form.skip_lines + form.header + rows),
        line("header", False),
        line("names", list(table.schema.names)),
    )
    return (
        f"the first row seems to say what the columns are ({shown}), and to be no row to learn "
        "from; it is left out if you write under [data]\n  " + "\n  ".join(written)
    )


def _is_unlike(texts: list[str | None]) -> bool:
    """Whether the first text is another than all that follow, and of another kind."""
    first, *others = texts
    present = [text for text in others if text is not None]
    if first is None or not present or PLAIN.fits(first) or has_shape(first) or first in present:
        return False
    numbers = sum(PLAIN.fits(text) or has_shape(text) for text in present)
    return max(numbers, len(present) - len(set(present))) > len(present) / 2


def _is_empty(row: list[str | None]) -> bool:
    return sum(text is None for text in row) >= _NEARLY_ALL * len(row)
