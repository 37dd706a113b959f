"""Files of other tools: Weka's ARFF, which settings can describe, and LIBSVM's, refused by name."""

import csv
import re
from collections.abc import Sequence

from pipeline.errors import InputError
from pipeline.reading.dialect import parse
from pipeline.reading.formats import Format, line

_ATTRIBUTE = re.compile(
    r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)""", re.IGNORECASE
)
_NUMBERED = re.compile(r"[-+.\w]+(?:[ \t]+\d+:[-+.\w]+)+\s*(?:#.*)?", re.DOTALL)


def check(lines: Sequence[str], file: str, form: Format) -> None:
    """Refuse an ARFF file with the settings that read it, which were tried on its first rows."""
    start = next((place for place, text in enumerate(lines) if _is_content(text)), None)
    if start is None or not lines[start].lower().startswith("@relation"):
        return
    places = [place for place, text in enumerate(lines) if text.lower().startswith("@data")]
    if not places or form.skip_lines > places[0]:
        return
    said = f"{file} is an ARFF file, as Weka writes it"
    names = [_name(found[1]) for text in lines[: places[0]] if (found := _ATTRIBUTE.match(text))]
    after = lines[places[0] + 1 :]
    rows = [text for text in after if _is_content(text)]
    if rows and rows[0].startswith("{"):
        raise InputError(f"{said}, with sparse rows: convert it to CSV")
    quote = "'" if any("'" in text for text in rows) else form.quote
    changed = form.model_copy(update={"quote": quote})
    try:
        widths = {len(record) for _, record in parse(rows[:100], ",", changed)}
    except csv.Error:
        widths = set()
    if widths != {len(names)} or any(text.startswith("%") for text in after):
        raise InputError(f"{said}: convert it to CSV")
    written = [
        line("header", False),
        line("skip_lines", places[0] + 1),
        line("names", names),
        *([line("quote", quote)] if quote != form.quote else []),
    ]
    raise InputError("\n  ".join([f"{said}: write under [data]", *written]))


def check_libsvm(lines: Sequence[str], file: str, form: Format) -> None:
    """Refuse a file of labels with numbered values, most of which it leaves out."""
    rows = [text for text in lines[form.skip_lines : form.skip_lines + 100] if text.strip()]
    if form.separator is None and rows and all(map(_NUMBERED.fullmatch, rows)):
        raise InputError(
            f"{file} is a LIBSVM file, whose rows name only the values that are not 0: convert it "
            "to CSV (sklearn.datasets.load_svmlight_file reads it)"
        )


def _is_content(text: str) -> bool:
    return bool(text.strip()) and not text.startswith("%")


def _name(written: str) -> str:
    if written[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", written[1:-1])
    return written
