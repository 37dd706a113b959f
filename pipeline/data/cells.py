"""What a cell means: the same answer for a text of a CSV file and for a typed value of Parquet.

Functions take whole Arrow columns; single cells are only examined where something is wrong.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.data.marks import MINUS, PLAIN, Marks
from pipeline.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")
ISO = "ISO8601"
EPOCHS = {"unix": "s", "unix_ms": "ms", "unix_us": "us", "unix_ns": "ns"}
QUARTER = "Q%q"  # in a format of times; as pandas' periods write quarters
_WHOLE = r"^([+-]?(?:0|[1-9][0-9]*))\.0+$"
OFFSET = r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$"


def as_text(raw: "pyarrow.Array") -> "pyarrow.Array":
    """Values as stripped texts, missing ones as null; 3.0 and 3 read the same.

    Raises InputError for lists and other values that are no single cell.
    """
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    kind, types = raw.type, pyarrow.types
    if types.is_string(kind):
        return pyarrow.compute.utf8_trim_whitespace(raw)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pyarrow.compute.utf8_trim_whitespace(raw.cast(pyarrow.string()))
    if types.is_dictionary(kind):
        return as_text(raw.dictionary_decode())
    if types.is_floating(kind):
        raw = pyarrow.compute.if_else(pyarrow.compute.is_nan(raw), None, raw)
        return raw.cast(pyarrow.string())
    if types.is_decimal(kind):
        # 5.00 is 5, and 5.10 is 5.1.
        texts = raw.cast(pyarrow.string())
        cut = pyarrow.compute.replace_substring_regex(texts, r"^(-?[0-9]+\.[0-9]*?)0+$", r"\1")
        return pyarrow.compute.utf8_rtrim(cut, ".")
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        try:
            return as_text(raw.cast(pyarrow.binary()).cast(pyarrow.string()))
        except pyarrow.ArrowInvalid:
            raise InputError("holds bytes that are no text") from None
    if isinstance(raw, pyarrow.ExtensionArray):
        return as_text(raw.storage)
    if types.is_nested(kind):
        raise InputError("holds lists or other nested values: flatten them")
    return raw.cast(pyarrow.string())


def present(texts: "pyarrow.Array", missing: Sequence[str]) -> "pyarrow.Array":
    """Texts with the words that mean a missing value as null."""
    import pyarrow.compute

    found = pyarrow.compute.is_in(texts, value_set=_words(tuple(missing)))
    return pyarrow.compute.if_else(found, None, texts)


@cache
def _words(words: tuple[str, ...]) -> "pyarrow.Array":
    import pyarrow

    return pyarrow.array(words, type=pyarrow.string())


def whole(texts: "pyarrow.Array") -> "pyarrow.Array":
    """Whole numbers written without a fraction: 5.0 as 5, but 007 and v1.0 as they are.

    A column of whole numbers with a missing one comes as 5.0 from many programs.
    """
    import pyarrow.compute

    return pyarrow.compute.replace_substring_regex(texts, _WHOLE, r"\1")


def short(texts: "pyarrow.Array") -> "pyarrow.Array":
    """Numbers without trailing zeros: 1.50 as 1.5, 5.0 as 5."""
    import pyarrow.compute

    return whole(
        pyarrow.compute.replace_substring_regex(
            texts, r"^([+-]?(?:0|[1-9][0-9]*)\.[0-9]*?[1-9])0+$", r"\1"
        )
    )


def identity(raw: "pyarrow.Array") -> "pyarrow.Array":
    """The text that identifies an id or a group: it depends on its cell alone."""
    texts = whole(as_text(raw))
    return _empty_as_null(texts)


def lower_booleans(texts: "pyarrow.Array") -> "pyarrow.Array":
    """True and TRUE as true, as Arrow writes a boolean column; other texts stay."""
    import pyarrow.compute

    found = pyarrow.compute.match_substring_regex(texts, r"(?i)^(true|false)$")
    return pyarrow.compute.if_else(found, pyarrow.compute.utf8_lower(texts), texts)


def _empty_as_null(texts: "pyarrow.Array") -> "pyarrow.Array":
    import pyarrow.compute

    return pyarrow.compute.if_else(pyarrow.compute.equal(texts, ""), None, texts)


def boolean(texts: "pyarrow.Array", true: str, false: str) -> "pyarrow.Array":
    """Every known spelling of true and false as the contract spells it; other texts stay."""
    import pyarrow.compute

    lower = whole(pyarrow.compute.utf8_lower(texts))
    for words, spelling in ((TRUE, true), (FALSE, false)):
        found = pyarrow.compute.is_in(lower, value_set=_words((*words, spelling.lower())))
        texts = pyarrow.compute.if_else(found, spelling, texts)
    return texts


def numbers(
    raw: "pyarrow.Array", marks: Marks, missing: Sequence[str], *, flag: bool = False
) -> "tuple[pyarrow.Array, NDArray[np.bool_] | None]":
    """Values as float64, missing ones null, and which rows hold no number (None: none does).

    A word for missing that is a number, such as -999, is that number in every spelling and in
    every kind of file. With `flag` true and false are 1 and 0: where training had nothing but
    these two numbers.
    """
    import pyarrow.compute

    values, wrong = _as_numbers(raw, marks, missing, flag=flag)
    stand_ins = _stand_ins(tuple(missing), marks.decimal, marks.thousands)
    if stand_ins is not None:
        found = pyarrow.compute.is_in(values, value_set=stand_ins)
        values = pyarrow.compute.if_else(found, None, values)
    return values, wrong


@cache
def _stand_ins(
    missing: tuple[str, ...], decimal: str, thousands: str | None
) -> "pyarrow.Array | None":
    """The numbers that mean a missing value; None where no word is a number."""
    import pyarrow

    marks = Marks(decimal=decimal, thousands=thousands)
    words = [word.replace(thousands or " ", "") for word in missing if marks.fits(word)]
    found = [float(marks.cut(word).replace(decimal, ".")) for word in words]
    return pyarrow.array(found, type=pyarrow.float64()) if found else None


def _as_numbers(
    raw: "pyarrow.Array", marks: Marks, missing: Sequence[str], *, flag: bool
) -> "tuple[pyarrow.Array, NDArray[np.bool_] | None]":
    import pyarrow
    import pyarrow.compute

    kind, types = raw.type, pyarrow.types
    if types.is_float64(kind):
        return raw, None
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return raw.cast(pyarrow.float64(), safe=False), None
    if types.is_decimal(kind):
        return raw.cast(pyarrow.float64()), None
    if types.is_duration(kind):
        seconds = raw.cast(pyarrow.duration("us"), safe=False).cast(pyarrow.int64())
        return pyarrow.compute.divide(seconds.cast(pyarrow.float64()), 1e6), None
    if types.is_time(kind):
        step = raw.cast(pyarrow.time64("us"), safe=False).cast(pyarrow.int64())
        return pyarrow.compute.divide(step.cast(pyarrow.float64()), 1e6), None
    if types.is_dictionary(kind):
        return _as_numbers(raw.dictionary_decode(), marks, missing, flag=flag)
    if marks.plain and (types.is_string(kind) or types.is_large_string(kind)):
        try:
            values = raw.cast(pyarrow.float64())
            # "nan" is a word for missing, if any; "0x1" and "1_000" do not come so far.
            if not pyarrow.compute.any(values.is_nan()).as_py():
                return values, None
        except pyarrow.ArrowInvalid:
            pass
    return _parsed(present(as_text(raw), missing), marks, flag=flag)


def unmarked(raw: "pyarrow.Array", marks: Marks, missing: Sequence[str]) -> int:
    """The number of texts without any of the words that are removed from numbers."""
    import pyarrow
    import pyarrow.compute

    if not (pyarrow.types.is_string(raw.type) or pyarrow.types.is_large_string(raw.type)):
        return 0
    texts = present(as_text(raw), missing)
    bare = texts.is_valid()
    for word in marks.remove:
        without = pyarrow.compute.invert(pyarrow.compute.match_substring(texts, word))
        bare = pyarrow.compute.and_(bare, pyarrow.compute.fill_null(without, False))
    return int(bare.true_count)


def _parsed(
    texts: "pyarrow.Array", marks: Marks, *, flag: bool
) -> "tuple[pyarrow.Array, NDArray[np.bool_] | None]":
    import pyarrow
    import pyarrow.compute

    if flag:
        texts = boolean(texts, "1", "0")
    texts = pyarrow.compute.replace_substring(texts, MINUS, "-")
    for word in marks.remove:
        texts = pyarrow.compute.replace_substring(texts, word, "")
    if marks.remove:
        texts = _empty_as_null(pyarrow.compute.utf8_trim_whitespace(texts))
    fits = pyarrow.compute.match_substring_regex(texts, marks.pattern)
    if marks == PLAIN:
        # Infinity parses as a number, so that the contract can report it as infinite.
        endless = pyarrow.compute.match_substring_regex(texts, r"(?i)^[+-]?inf(inity)?$")
        fits = pyarrow.compute.or_kleene(fits, endless)
    good = pyarrow.compute.if_else(fits, texts, None)
    if marks.thousands:
        good = pyarrow.compute.replace_substring(good, marks.thousands, "")
    if marks.decimal != ".":
        good = pyarrow.compute.replace_substring(good, marks.decimal, ".")
    values = good.cast(pyarrow.float64())
    wrong = pyarrow.compute.fill_null(pyarrow.compute.invert(fits), False)
    rows = wrong.to_numpy(zero_copy_only=False)
    return values, rows if rows.any() else None


def moments(
    raw: "pyarrow.Array", form: str, zone: str | None, missing: Sequence[str]
) -> "tuple[pd.DatetimeIndex, NDArray[np.bool_]]":
    """Values as times in UTC (a time without a zone counts as one in `zone`, else as UTC), and
    which rows hold no time. Missing ones are NaT.

    `form` is ISO8601, a format of strptime, or one of EPOCHS for numbers.
    """
    import numpy as np
    import pandas as pd
    import pyarrow

    types = pyarrow.types
    if types.is_timestamp(raw.type) or types.is_date(raw.type):
        typed = raw.cast(pyarrow.timestamp("us", tz=getattr(raw.type, "tz", None)), safe=False)
        index = pd.DatetimeIndex(typed.to_pandas())
        return _in_utc(index, zone), np.zeros(len(raw), dtype=bool)
    if form in EPOCHS:
        values, wrong = numbers(raw, PLAIN, missing)
        parsed = pd.to_datetime(
            pd.Series(values.to_numpy(zero_copy_only=False)),
            unit=EPOCHS[form],  # type: ignore[call-overload]
            utc=True,
            errors="coerce",
        )
        none = np.zeros(len(raw), dtype=bool) if wrong is None else wrong
        return pd.DatetimeIndex(parsed), none
    encoded = present(as_text(raw), missing).dictionary_encode()
    # Days written as 20261128 come as 20261128.0 where one is missing.
    known = parse_times(whole(encoded.dictionary).to_pylist(), form, zone)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    found = known.append(pd.DatetimeIndex([pd.NaT], tz="UTC"))[codes]
    wrong = (codes >= 0) & np.asarray(found.isna())
    return found, wrong


def parse_times(texts: Sequence[str], form: str, zone: str | None) -> "pd.DatetimeIndex":
    """Texts as times in UTC; NaT for what does not follow `form`."""
    import numpy as np
    import pandas as pd

    series = pd.Series(list(texts), dtype=object)
    if series.empty:
        return pd.DatetimeIndex([], tz="UTC")
    if QUARTER in form:
        series = series.map(lambda text: quarter_as_month(text, form)[0], na_action="ignore")
        form = quarter_as_month("", form)[1]
    if form != ISO and "%z" not in form.lower():
        return _in_utc(pd.DatetimeIndex(_strptime(series, form, utc=False)), zone)
    if form != ISO:
        return pd.DatetimeIndex(_strptime(series, form, utc=True))
    # pandas would read bare numbers as years.
    written = series.where(series.str.match(r"^\d{4}-\d"), None)
    aware = written.str.contains(OFFSET, regex=True).fillna(False).to_numpy(dtype=bool)
    utc = pd.DatetimeIndex(pd.to_datetime(written, format=ISO, utc=True, errors="coerce"))
    if zone is None or aware.all():
        return utc
    local = _in_utc(utc.tz_localize(None), zone)
    return (
        pd.DatetimeIndex(np.where(aware, utc, local)).tz_localize("UTC") if aware.any() else local
    )


def quarter_as_month(text: str, form: str) -> tuple[str, str]:
    """Text and format with the first month of a quarter, which strptime does not know."""
    if QUARTER not in form:
        return text, form
    changed, count = re.subn(r"Q([1-4])(?!\d)", lambda found: f"Q{3 * int(found[1]) - 2}", text)
    return changed if count == 1 else "", form.replace(QUARTER, "Q%m")


def _strptime(series: "pd.Series", form: str, *, utc: bool) -> "pd.Series":
    import pandas as pd

    return pd.to_datetime(series, format=form, utc=utc, errors="coerce")


def _in_utc(index: "pd.DatetimeIndex", zone: str | None) -> "pd.DatetimeIndex":
    if index.tz is not None:
        return index.tz_convert("UTC")
    # Of the hour that repeats in autumn take the second; shift one that spring skips forward.
    local = index.tz_localize(zone or "UTC", ambiguous=False, nonexistent="shift_forward")
    return local.tz_convert("UTC")


def objects(values: "pyarrow.Array") -> "NDArray[Any]":
    """Texts as Python objects, NaN for missing; each different text is made once."""
    import numpy as np

    encoded = values.dictionary_encode()
    known = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    codes = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[Any] = known[codes]
    return found
