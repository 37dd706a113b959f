"""Formats in which people and programs write times, and which of them a column follows."""

import itertools
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.data.cells import ISO, parse_times, quarter_as_month

if TYPE_CHECKING:
    import pandas as pd

_DAYS = (
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%y",
    "%m-%d-%y",
    "%d.%m.%y",
    "%d-%b-%y",
    "%Y年%m月%d日",
)
_MONTHS = (
    *("%b %Y", "%B %Y", "%b-%Y", "%m/%Y", "%Y/%m", "%Y年%m月"),
    *("%Y-%b", "%Y %b", "%Y-%B", "%Y %B"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y"),
)
_ISO_DAY = ("%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d-%H:%M:%S", "%Y-%m-%d-%H:%M")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_ZONES = ("", " %z", "%z")
_FORMATS = (
    *(
        day + clock + zone
        for day, clock, zone in itertools.product(_DAYS, _CLOCKS, _ZONES)
        if clock or not zone
    ),
    *_MONTHS,
    *("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p"),
    *_ISO_DAY,
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%d/%b/%Y:%H:%M:%S %z",
)
_TRIED = 200
_ISO_MONTH = re.compile(r"\d{4}-\d{2}")
_SHAPE = re.compile(
    r"(?:[A-Za-z]{3,9},? +)?(?:[A-Za-z]{3,9}|\d{1,4})[-/. ]{1,2}\w{1,9}[-/. ,]{1,2}\d"
    r"|(?:[A-Za-z]{3,9}[- ]\d{4}|\d{1,2}/\d{4}|\d{4}[-/]\d{1,2})$"
    r"|(?:\d{4}[- ][A-Za-z]{3,9}|\d{4}[- ]?Q[1-4]|Q[1-4][- /]\d{4})$"
    r"|\d{4}年\d{1,2}月(?:\d{1,2}日)?"
    r"|\d{1,2}:\d{2}(?::\d{2})?(?: [AaPp][Mm])?$"
)


def formats_of(texts: Sequence[str]) -> list[str]:
    """The formats that every text follows; several only where they mean different times."""
    if not texts or not all(map(has_shape, texts[:_TRIED])):
        return []
    if _all(parse_times(texts[:_TRIED], ISO, None)):
        return [ISO] if _all(parse_times(texts, ISO, None)) else []
    likely = [form for form in _FORMATS if all(_follows(text, form) for text in texts[:_TRIED])]
    found: dict[str, pd.DatetimeIndex] = {}
    for form in likely:
        parsed = parse_times(texts, form, None)
        if _all(parsed) and not any(parsed.equals(other) for other in found.values()):
            found[form] = parsed
    return list(found)


def has_shape(text: str) -> bool:
    """Whether a text may be a time at all: a day, a month of a year, or a time of day."""
    return _SHAPE.match(text) is not None


def of_months(texts: Iterable[str], form: str) -> bool:
    """Whether times name months or quarters: the weekday is then that of the first day."""
    return form in _MONTHS or (form == ISO and all(map(_ISO_MONTH.fullmatch, texts)))


def _all(parsed: "pd.DatetimeIndex") -> bool:
    return not parsed.isna().any()


def _follows(text: str, form: str) -> bool:
    try:
        datetime.strptime(*quarter_as_month(text, form))
    except ValueError:
        return False
    return True
