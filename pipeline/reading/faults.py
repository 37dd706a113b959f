"""Faults of CSV files, and settings that read them; every proposal was tried on the file."""

import codecs
import csv
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.marks import PLAIN, evidence
from pipeline.data.times import has_shape
from pipeline.errors import InputError
from pipeline.reading import arff
from pipeline.reading.dialect import (
    encoding_of,
    encodings,
    parse,
    records,
    sample,
    separator_of,
)
from pipeline.reading.files import DataFile
from pipeline.reading.formats import MISSING, WHITESPACE, Format, line

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_SEPARATORS = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "bars",
    ":": "colons",
    WHITESPACE: "blanks",
}
_LINES = 500
# A sample ends at 1 MiB; of four bytes each a character may be.
_LARGE_SAMPLE = 1 << 18
_MIN_RECORDS = 3
_SHOWN = 60
# R writes a name before each row, and none for it in the header.
_ROW = ("row", "row_name", "name of the row")


@dataclass(frozen=True)
class Proposal:
    """Another way to read the file, with the settings for it."""

    form: Format
    causes: list[str]

    def lines(self, now: Format) -> list[str]:
        """The lines of settings that differ from those of now."""
        changed = self.form.model_dump(exclude_defaults=True)
        before = now.model_dump(exclude_defaults=True)
        return [line(key, value) for key, value in changed.items() if before.get(key) != value]


def check_start(file: DataFile, form: Format, wanted: Sequence[str]) -> None:
    """Refuse a file whose first lines show that it is written in another way than `form` says.

    `wanted` are columns that must be there.
    """
    codec = encoding_of(file, form)
    _check_encoding(file, form, codec, wanted)
    lines = sample(file, codec)
    arff.check(lines, file.name, form)
    arff.check_libsvm(lines, file.name, form)
    instruction = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None
    if instruction and not form.skip_lines:
        proposal = _propose(file, form, wanted, codec)
        cause = f"the first line of {file.name} is {lines[0].strip()!r}, which is for spreadsheets"
        raise InputError(_message(cause, proposal, form))
    if fault := _blanks_before_quotes(file, form, lines):
        raise InputError(fault)
    try:
        rows = _head(lines, separator_of(file, form), form)
    except csv.Error as error:
        proposal = _propose(file, form, wanted, codec)
        if proposal is not None and proposal.causes:
            cause = f"{file.name} cannot be read with {_named(separator_of(file, form))} between"
            raise InputError(_message(f"{cause} its columns", proposal, form)) from None
        names = rows_in_form(lines, separator_of(file, form), form)
        raise explain(file, form, names, error, wanted) from None
    if not rows:
        raise InputError(f"{file.name} is empty")
    if mark := _quoted_otherwise(rows, form):
        raise InputError(
            f"{file.name}: texts stand in {mark} quotes: write {line('quote', mark)} under [data]"
        )
    _check_header(file, form, rows, wanted, codec)


def _blanks_before_quotes(file: DataFile, form: Format, lines: list[str]) -> str | None:
    """What to do if most lines have a blank before a quote, which then is part of the text."""
    separator = separator_of(file, form)
    if not form.quote or len(separator) > 1:
        return None
    mark, apart = re.escape(form.quote), re.escape(separator)
    inner = rf"(?:\\.|{mark}{mark}|[^{mark}\\])*"
    spaced = re.compile(rf"{apart} +{mark}{inner}{mark} *(?={apart}|$)")
    taken = [text.rstrip() for text in lines[form.skip_lines : form.skip_lines + _LINES]]
    # Not of the header alone, nor of a text that happens to look like it.
    if sum(map(bool, map(spaced.search, taken))) <= max(1, len(taken) / 10):
        return None
    cause = f"{file.name} has blanks before quotes, which then are part of the texts"
    for change in itertools.product((f"{separator} ", f"{separator} *"), (form.escape, "\\")):
        way = form.model_copy(update=dict(zip(("separator", "escape"), change, strict=True)))
        if _alike(file, way) and not any(
            cell.lstrip(" ").startswith(form.quote)
            for row in _head(lines, change[0], way)
            for cell in row
        ):
            return _message(cause, Proposal(way, []), form)
    return f"{cause}: remove these blanks"


def _quoted_otherwise(rows: list[list[str]], form: Format) -> str | None:
    """The other mark that stands before and after every text of some column, if there is one."""
    for mark in "'\"`":
        if mark == form.quote or len(rows) < _MIN_RECORDS:
            continue
        for place in range(len(rows[0])):
            cells = [row[place].strip() for row in rows[1:] if len(row) > place and row[place]]
            if cells and all(len(c) > 1 and c[0] == c[-1] == mark for c in cells):
                return mark
    return None


def _check_encoding(file: DataFile, form: Format, codec: str, wanted: Sequence[str]) -> None:
    with file.open() as stream:
        start = stream.read(1 << 16)
    if form.encoding is None and codec == "utf-8-sig" and b"\0" in start:
        order = "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
        raise InputError(
            f"{file.name} looks like UTF-16 without a byte order mark: write "
            f"{line('encoding', order)} under [data]"
        )
    try:
        # Incrementally: a character may be cut in two at the end of the sample.
        codecs.getincrementaldecoder(codec)().decode(start, final=len(start) < 1 << 16)
    except UnicodeDecodeError as error:
        raise _encoding_fault(file, form, error, wanted) from None


def _encoding_fault(
    file: DataFile, form: Format, error: UnicodeDecodeError, wanted: Sequence[str]
) -> InputError:
    found = error.object[error.start]
    cause = (
        f"{file.name} is not {error.encoding.removesuffix('-sig')} (byte 0x{found:02x} at position "
        f"{error.start})"
    )
    around = re.search(rb"[^\s,;|\t\"]*$", error.object[: error.start])
    rest = re.match(rb"[^\s,;|\t\"]*", error.object[error.start :])
    word = (around[0] if around else b"") + (rest[0] if rest else b"")
    likely = encodings(file, wanted)
    if not likely:
        return InputError(
            f"{cause}: write its encoding under [data], such as {line('encoding', 'x')}"
        )
    if len(likely) == 1:
        changed = form.model_copy(update={"encoding": likely[0]})
        proposal = _propose(file, changed, wanted, likely[0]) or Proposal(changed, [])
        # One byte means another letter in each encoding: only a person sees which word is right.
        read = f", which {likely[0]} reads as {word.decode(likely[0], 'replace')[:_SHOWN]!r}"
        return InputError(_message(cause + read, proposal, form))
    ways = [
        f"{line('encoding', codec)}    # {word.decode(codec, 'replace')[:_SHOWN]}"
        for codec in likely
    ]
    return InputError("\n  ".join([f"{cause}: write under [data] the one that reads it", *ways]))


def rows_in_form(lines: list[str], separator: str, form: Format) -> list[str]:
    """The header as far as its first line shows, for a file in which a quote is amiss."""
    return lines[form.skip_lines].split(separator) if lines[form.skip_lines :] else []


def _head(lines: list[str], separator: str, form: Format) -> list[list[str]]:
    return [record for _, record in _start(lines, separator, form)]


def _start(lines: list[str], separator: str, form: Format) -> list[tuple[int, list[str]]]:
    """The records of the first lines. Raises csv.Error for a fault among them.

    A record that the end of the sample cuts within quotes is none of the file's faults.
    """
    taken = lines[form.skip_lines : form.skip_lines + _LINES]
    cut = len(lines) > form.skip_lines + _LINES or sum(map(len, taken)) > _LARGE_SAMPLE
    found = []
    try:
        for entry in parse(taken, separator, form):
            found.append(entry)  # noqa: PERF402 - what came before an error is kept
    except csv.Error as error:
        if not (cut and found and "unexpected end of data" in str(error)):
            raise
    return found


def _check_header(
    file: DataFile, form: Format, rows: list[list[str]], wanted: Sequence[str], codec: str
) -> None:
    """Refuse where columns that must be there are not, if another way to read has them."""
    names = list(form.names) or rows[0]
    if not form.header and not form.names and len(names) == 1:
        if (proposal := _propose(file, form, [], codec)) is not None:
            raise InputError(_message(f"{file.name} has only one column", proposal, form))
        return
    if not form.header or form.names:
        return
    lost = [name for name in wanted if name not in names]
    if lost and (spaced := _blanks_before_names(file, form, wanted, codec)):
        raise InputError(
            f"{file.name} has no column {lost[0]!r}, but {' ' + lost[0]!r}: write "
            f"{line('separator', spaced)} under [data]"
        )
    if lost and (below := _header_below(file, form, wanted, codec)):
        raise InputError(
            f"{file.name} has no column {lost[0]!r} in its first line, but in line {below}: write "
            f"{line('skip_lines', below - 1)} under [data]"
        )
    if lost or len(names) == 1:
        proposal = _propose(file, form, wanted, codec)
        if proposal is not None:
            cause = (
                f"{file.name} has only one column"
                if len(names) == 1
                else f"{file.name} has no column {lost[0]!r} if {_named(separator_of(file, form))} "
                "separate its columns"
            )
            raise InputError(_message(cause, proposal, form))
    if lost and len(names) == 1:
        raise InputError(
            f"{file.name} has only one column, {names[0][:_SHOWN]!r}, and no separator divides all "
            "of its rows alike: is each column of a fixed width? Convert it to CSV"
        )
    if without_header(rows) and (lost or not wanted):
        shown = ", ".join(rows[0])[:_SHOWN]
        raise InputError(
            f"{file.name} seems to have no header: its first line is a row ({shown}…): write "
            f"{line('header', False)} under [data], and the {len(names)} names, such as "
            f"{line('names', [f'column_{place}' for place in range(1, min(len(names), 3) + 1)])}"
        )


def _blanks_before_names(
    file: DataFile, form: Format, wanted: Sequence[str], codec: str
) -> str | None:
    """The separator with any blanks after it, if it finds all the columns that must be there."""
    separator = separator_of(file, form)
    changed = form.model_copy(update={"separator": f"{separator} *"})
    if len(separator) > 1 or not separator.strip() or not _alike(file, changed):
        return None
    names = _head(sample(file, codec), f"{separator} *", changed)[0]
    return f"{separator} *" if set(wanted) <= set(names) else None


def _header_below(file: DataFile, form: Format, wanted: Sequence[str], codec: str) -> int | None:
    """The line after the first that has the names of all the columns that must be there."""
    for place, text in enumerate(sample(file, codec)[: form.skip_lines + _LINES]):
        try:
            found = next(parse([text], separator_of(file, form), form), (0, list[str]()))[1]
        except csv.Error:
            continue
        if place > form.skip_lines and set(wanted) <= set(found):
            return place + 1
    return None


def without_header(rows: list[list[str]]) -> bool:
    """Whether the first record is like the others: numbers above numbers, texts that come again."""
    if len(rows) < _MIN_RECORDS or len({len(row) for row in rows}) > 1:
        return False
    first, rest = rows[0], rows[1:]
    # A matrix that was written without names has the columns 0, 1, 2 or 1, 2, 3 or V1, V2, V3.
    digits = [re.sub(r"\D", "", name) for name in first]
    if digits in ([str(place + start) for place in range(len(first))] for start in (0, 1)):
        return False
    alike = 0
    for place, name in enumerate(first):
        below = [row[place].strip() for row in rest]
        present = [text for text in below if text not in MISSING]
        if name.strip() in MISSING or not present:
            alike += 1
        elif PLAIN.fits(name.strip()):
            alike += all(map(PLAIN.fits, present))
        elif not has_shape(name.strip()) and (
            all(map(PLAIN.fits, present)) or all(map(has_shape, present))
        ):
            # A word above numbers or times is a name, whatever stands above the others.
            return False
        else:
            alike += name.strip() in present
    return alike >= max(1, round(0.8 * len(first)))


def _propose(file: DataFile, form: Format, wanted: Sequence[str], codec: str) -> Proposal | None:
    """The one other separator, with leading lines left out, under which all rows are alike."""
    lines = sample(file, codec)
    candidates = _candidates(lines, form, wanted)
    if not candidates:
        return None
    known, _, best, rows = max(candidates, key=lambda found: (found[0], found[1]))
    if (best.separator, best.skip_lines) == (separator_of(file, form), form.skip_lines):
        return None if codec == encoding_of(file, form) else Proposal(form, [])
    if wanted and not known and not _in_one_piece(lines, separator_of(file, form), form):
        apart = sum(separator_of(file, form) in text for text in lines[:_LINES])
        if apart > len(lines[:_LINES]) / 2 or not without_header(rows):
            return None
    separator = best.separator or ","
    if separator == separator_of(file, form):
        best = best.model_copy(update={"separator": form.separator})
    causes = []
    if best.separator != form.separator:
        causes.append(f"its columns seem to be separated by {_named(separator)}")
    if best.header < form.header:
        named = best.names[0] in _ROW
        causes.append(
            "if each of its rows begins with a name of its own"
            if named
            else "its header ends in a separator, and its rows do not"
        )
    elif best.skip_lines > form.skip_lines:
        causes.append(f"its header seems to be line {best.skip_lines + 1}")
    best = _with_marks(best, rows)
    if best.decimal != form.decimal:
        causes.append("its numbers have a decimal comma")
    return Proposal(best, causes)


def _candidates(
    lines: list[str], form: Format, wanted: Sequence[str]
) -> list[tuple[int, int, Format, list[list[str]]]]:
    """How the lines can be read alike, and the rows; first how many columns are wanted, and are."""
    candidates = []
    for separator in _SEPARATORS:
        if separator == WHITESPACE and re.search(r"[,;|]", lines[0] if lines else ""):
            continue
        changed = form.model_copy(update={"separator": separator})
        skip, rows, before = _regular(lines, separator, changed)
        if rows is None:
            continue
        names = rows[0]
        if any(wanted and set(wanted) <= set(record) for record in before):
            # What comes before is no title if it names the columns that are looked for.
            names = _names_of_rows(before[-1], rows) if form.header else []
            if not set(wanted) <= set(names):
                continue
            changed = changed.model_copy(update={"header": False, "names": names})
        known = len(set(wanted) & set(names))
        changed = changed.model_copy(update={"skip_lines": skip})
        candidates.append((known, len(names), changed, rows))
    return candidates


def _names_of_rows(header: list[str], rows: list[list[str]]) -> list[str]:
    """Names for rows of another width than their header's, if it is clear why; else none."""
    width = len(rows[0])
    if len(header) == width - 1 and any(row[-1].strip() for row in rows):
        return [next(name for name in _ROW if name not in header), *header]
    return header[:-1] if len(header) == width + 1 and not header[-1].strip() else []


def _in_one_piece(lines: list[str], separator: str, form: Format) -> bool:
    """Whether the header is a single column as it is read now."""
    try:
        found = next(iter(parse(lines[form.skip_lines :], separator, form)), None)
    except csv.Error:
        return True
    return found is not None and len(found[1]) == 1


def _regular(
    lines: list[str], separator: str, form: Format
) -> tuple[int, list[list[str]] | None, list[list[str]]]:
    """Number of leading lines, the records of equal width after them, and the leading records."""
    try:
        found = _start(lines, separator, form)
    except csv.Error:
        return 0, None, []
    if not found:
        return 0, None, []
    width = len(found[-1][1])
    same = list(itertools.takewhile(lambda entry: len(entry[1]) == width, reversed(found)))
    before = len(found) - len(same)
    # Lines before the header are of another kind; a single odd row is a fault of its own.
    first = [record for _, record in found[:before]]
    if any(len(record) == width for record in first):
        return 0, None, []
    if width < 2 or len(same) < _MIN_RECORDS or before > len(same):
        return 0, None, []
    skipped = form.skip_lines + (found[before - 1][0] if before else 0)
    return skipped, [record for _, record in reversed(same)], first


def _with_marks(form: Format, rows: list[list[str]]) -> Format:
    said = evidence(cell.strip() for row in rows[1:] for cell in row)
    if not said.decimal_comma or said.decimal_point:
        return form
    points = "." in said.grouped_by or "." in said.ambiguous
    return form.model_copy(update={"decimal": ",", "thousands": "." if points else None})


def _named(separator: str) -> str:
    return _SEPARATORS.get(separator, repr(separator))


def _message(cause: str, proposal: Proposal | None, form: Format) -> str:
    if proposal is None:
        return f"{cause}; write under [data] how it is separated, such as {line('separator', ';')}"
    text = "; ".join([cause, *proposal.causes])
    return "\n  ".join([f"{text}: write under [data]", *proposal.lines(form)])


def explain(
    file: DataFile, form: Format, names: list[str], error: Exception, wanted: Sequence[str]
) -> InputError:
    """The error that names the faulty row and line, found by reading the file once more."""
    if isinstance(error, UnicodeDecodeError):
        return _encoding_fault(file, form, error, wanted)
    row, last = 0 if form.header else 1, form.skip_lines
    try:
        for number, record in records(file, form):
            if len(record) != len(names):
                return InputError(_width_fault(file, form, names, record, row, last + 1, wanted))
            row, last = row + 1, number
    except csv.Error as fault:
        return InputError(
            f"{file.name}: the record that begins in line {last + 1} has a quote that is not "
            f"closed, or is followed by more text ({fault}); {_quote_advice(file, form)}"
        )
    except UnicodeDecodeError as fault:
        return _encoding_fault(file, form, fault, wanted)
    if "straddling" in str(error):
        return InputError(f"{file.name} holds a row of more than 4 MiB: is a quote not closed?")
    return InputError(f"{file.name} is no readable CSV file: {error}")


def _quote_advice(file: DataFile, form: Format) -> str:
    escaped = form.model_copy(update={"escape": "\\"})
    if form.escape is None and _alike(file, escaped, whole=True):
        return (
            "quotes within texts have a backslash before them: write "
            f"{line('escape', escaped.escape)} under [data]"
        )
    return (
        f"fix that line, or write {line('quote', '')} under [data] if quotes are part of the texts"
        if form.quote
        else "fix that line"
    )


def _width_fault(
    file: DataFile,
    form: Format,
    names: list[str],
    record: list[str],
    row: int,
    number: int,
    wanted: Sequence[str],
) -> str:
    cause = (
        f"line {number} of {file.name} has {_counted(len(record), 'field')}, but the header has "
        f"{_counted(len(names), 'column')}"
    )
    separator = separator_of(file, form)
    shown = (" " if separator == WHITESPACE else separator).join(record)[:_SHOWN]
    cause += f": {shown!r}"
    if _alike(file, form.model_copy(update={"quote": "'"}), len(names), whole=True):
        return f"{cause}; texts stand in ' quotes: write {line('quote', chr(39))} under [data]"
    try:
        proposal = _propose(file, form, wanted, encoding_of(file, form))
    except UnicodeDecodeError:
        proposal = None
    # Of what comes later than the sample a proposal knows nothing.
    if proposal is not None and proposal.causes and row < _LINES:
        return _message(cause, proposal, form)
    if len(record) == len(names) + 1 and not record[-1].strip():
        return f"{cause}; it ends in a separator: fix the file, so that no value slips a column"
    if len(record) < len(names):
        return f"{cause}; is it cut short, or a line that is no row? Fix or remove it"
    return f"{cause}; a field that holds the separator must stand in quotes: fix that line"


def _alike(file: DataFile, form: Format, width: int | None = None, *, whole: bool = False) -> bool:
    """Whether all first rows have this width, or else that of the first, if read by `form`.

    All rows of the file if it is to be the `whole`, which is slow.
    """
    try:
        lines = sample(file, encoding_of(file, form))
        rows = records(file, form) if whole else _start(lines, separator_of(file, form), form)
        widths = [len(record) for _, record in rows]
    except (csv.Error, UnicodeDecodeError):
        return False
    return len(widths) >= _MIN_RECORDS and set(widths) == {width or widths[0]}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def holds_line_breaks(batch: "pyarrow.RecordBatch") -> bool:
    """Whether any text has more than one line: then a quote may not have been closed."""
    import pyarrow.compute  # type: ignore[import-untyped]

    return any(
        pyarrow.compute.any(pyarrow.compute.match_substring(column, "\n")).as_py()
        for column in batch.columns
    )


def check_quotes(file: DataFile, form: Format, names: list[str]) -> None:
    """Refuse a file in which a quote is not closed: Arrow then swallows rows without a word."""
    try:
        for _ in records(file, form):
            pass
    except csv.Error as error:
        raise explain(file, form, names, error, []) from None


def near(name: str, names: Iterable[str]) -> str | None:
    """The name among `names` that differs only by case, blanks, Unicode form or a letter."""
    import difflib
    import unicodedata

    def composed(text: str) -> str:
        return unicodedata.normalize("NFC", text)

    def without_blanks(text: str) -> str:
        return " ".join(composed(text).split())

    def plain(text: str) -> str:
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

    listed = list(names)
    # Smallest difference first: ` age` is nearer to `age` than `Age` is.
    for same in (composed, without_blanks, plain):
        for other in listed:
            if other != name and same(other) == same(name):
                return other
    close = difflib.get_close_matches(name, listed, n=1, cutoff=0.85)
    return close[0] if close else None


def lacking(lost: Sequence[str], names: Iterable[str]) -> str:
    """A sentence that lists missing columns, each with a similar one that exists."""
    import unicodedata

    listed = list(names)
    shown = []
    for name in lost[:20]:
        other = near(name, listed)
        how = "written otherwise"
        if other and unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name):
            how = "the same in another Unicode form"
        hint = f" (there is {other[:40]!r}, which is {how})" if other else ""
        bare = name == name.strip()
        shown.append(f"{name[:40] if bare else repr(name[:40])}{hint}")
    more = f" and {len(lost) - 20} more" if len(lost) > 20 else ""
    return f"the data lacks the columns {', '.join(shown)}{more}"
