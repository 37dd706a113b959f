"""Report each kind of library warning once at the end: a search repeats one a thousand times."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

_SHOWN = 5
_LONGEST = 160


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Count the warnings of libraries while this lasts, then print each kind in one line."""
    counted: Counter[tuple[str, str, str]] = Counter()
    before = warnings.showwarning

    def count(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del lineno, file, line
        library = filename.rpartition("site-packages/")[2].partition("/")[0]
        first = (str(message).strip().splitlines() or [""])[0]
        counted[library, category.__name__, first[:_LONGEST]] += 1

    warnings.showwarning = count
    try:
        yield
    finally:
        warnings.showwarning = before
        for (library, category, text), times in counted.most_common(_SHOWN):
            click.echo(f"{library}: {category}, {times} times: {text}", err=True)
        if len(counted) > _SHOWN:
            rest = sum(times for _, times in counted.most_common()[_SHOWN:])
            click.echo(f"and {rest} other warnings of libraries", err=True)
