"""A CSV file as text: its encoding, separator and first records, before Arrow reads it."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from pipeline.reading.files import DataFile
from pipeline.reading.formats import WHITESPACE, Format

_SAMPLE_BYTES = 1 << 20
_MAX_FIELD = 1 << 28
UNIT = "\x1f"  # stands for separators that Arrow does not know


def encoding_of(file: DataFile, form: Format) -> str:
    """The encoding of the settings; else by the byte order mark; else UTF-8."""
    if form.encoding:
        return "utf-8-sig" if codecs.lookup(form.encoding).name == "utf-8" else form.encoding
    with file.open() as stream:
        start = stream.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


# The usual one of each script; a file that none of these reads is in a rarer one.
_LIKELY = ("cp1252", "cp1250", "cp1251", "cp1253", "cp932", "gb18030", "cp949", "big5", "latin-1")


def encodings(file: DataFile, wanted: Sequence[str]) -> list[str]:
    """Encodings in which a file that is not UTF-8 may be: one if there is reason to prefer it.

    That is one that reads names of `wanted`, or that reads letters of Western Europe. Where only
    other scripts can be meant nothing tells them apart but the words.
    """
    with file.open() as stream:
        data = stream.read(1 << 24)
    texts = {}
    for codec in _LIKELY:
        try:
            text = codecs.getincrementaldecoder(codec)().decode(data, final=len(data) < 1 << 24)
        except UnicodeDecodeError:
            continue
        if not re.search("[\x80-\x9f]", text):  # control characters, which no text has
            texts[codec] = text
    names = [name for name in wanted if not name.isascii()]
    telling = [codec for codec in texts if names and all(name in texts[codec] for name in names)]
    if telling:
        return telling[:1]
    western = [codec for codec in ("cp1252", "latin-1") if _western(texts.get(codec, ""))]
    return western[:1] if western and not names else list(texts)


def _western(text: str) -> bool:
    """Whether what is beyond ASCII is mostly letters and marks that people write."""
    beyond = re.sub(r"[\0-\x7f]", "", text)
    marks = r"€£§°µ·«»²³½\xd7\u2013\u2014\u2018-\u201e\u2026"
    return len(re.findall(rf"[^\W\d_]|[{marks}]", beyond)) > 2 / 3 * len(beyond)


def separator_of(file: DataFile, form: Format) -> str:
    """The separator of the settings; else a tab for names that say so; else a comma."""
    return form.separator or ("\t" if file.tabs else ",")


def sample(file: DataFile, codec: str) -> list[str]:
    """The lines that the first MiB holds, whatever cannot be decoded replaced."""
    with file.open() as stream:
        data = stream.read(_SAMPLE_BYTES)
    lines = data.decode(codec, errors="replace").splitlines(keepends=True)
    return lines if len(data) < _SAMPLE_BYTES or len(lines) < 2 else lines[:-1]


def records(file: DataFile, form: Format) -> Iterator[tuple[int, list[str]]]:
    """Every record with the number of its last line; slow, for those who look for a fault.

    Raises csv.Error for a quote that is never closed or is followed by other text.
    """
    with file.open() as stream:
        text = io.TextIOWrapper(stream, encoding=encoding_of(file, form), newline="")
        skipped = len(list(itertools.islice(text, form.skip_lines)))
        for number, record in parse(text, separator_of(file, form), form):
            yield number + skipped, record


def parse(
    lines: Iterator[str] | list[str], separator: str, form: Format
) -> Iterator[tuple[int, list[str]]]:
    """Records of lines, empty ones left out, with the number of each one's last line."""
    csv.field_size_limit(_MAX_FIELD)
    if separator == WHITESPACE:
        lines = (joined(line, form.quote) for line in lines)
    elif len(separator) > 1:
        lines = map(divider(separator, form), lines)
    reader = csv.reader(
        lines,
        delimiter=separator if len(separator) == 1 else UNIT,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        escapechar=form.escape,
        strict=True,
    )
    whole = len(separator) > 1 and separator != WHITESPACE
    for record in reader:
        if record:
            # Within quotes it separates nothing.
            cells = [cell.replace(UNIT, separator) for cell in record] if whole else record
            yield reader.line_num, cells


def divider(separator: str, form: Format) -> Callable[[str], str]:
    """A function that puts UNIT in place of the separator; it is to be given each line in order.

    A separator that ends in a blank has any blanks after it, one that ends in ` *` any or none.
    Texts within quotes, which may go on in the next line, keep theirs.
    """
    least = separator.removesuffix(" *")
    if (least == separator and not separator.endswith(" ")) or not least.strip():
        return lambda line: line.replace(separator, UNIT)
    mark, cut = re.escape(form.quote or UNIT), re.escape(form.escape or "")
    escaped = rf"{cut}.|" if cut else ""
    rest = rf"(?:{escaped}{mark}{mark}|[^{mark}{cut}])*(?P<end>{mark})?"
    onwards = re.compile(rest, re.DOTALL)
    field = re.compile(rf"(?P<start>^|{re.escape(least)} *)(?P<text>{mark}{rest})?", re.DOTALL)
    within = False

    def divided(found: "re.Match[str]") -> str:
        nonlocal within
        within = found["text"] is not None and found["end"] is None
        return (UNIT if found["start"] else "") + (found["text"] or "")

    def change(line: str) -> str:
        nonlocal within
        kept = ""
        if within and (found := onwards.match(line)):
            kept, line = found[0], line[found.end() :]
            within = found["end"] is None
        return kept if within else kept + field.sub(divided, line)

    return change


def joined(line: str, quote: str) -> str:
    """A line whose fields runs of blanks separate, with UNIT between them."""
    if not quote or quote not in line:
        return UNIT.join(line.split())
    mark = re.escape(quote)
    return UNIT.join(re.findall(rf"(?:{mark}[^{mark}]*{mark}|\S)+", line))


def first_record(file: DataFile, form: Format) -> list[str]:
    """The header's fields, or the first row's where there is none; [] in an empty file."""
    try:
        return next(records(file, form), (0, []))[1]
    except csv.Error:
        return []
