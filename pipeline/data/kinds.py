"""Infer the kind of one column of the first data, or say why it is undecidable."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pipeline.data import cells, dates
from pipeline.data.contract import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    TextColumn,
    spelled,
)
from pipeline.data.marks import PLAIN, Evidence, Marks, evidence, readings
from pipeline.data.times import formats_of, has_shape, of_months
from pipeline.errors import InputError
from pipeline.reading.formats import Format, line, quoted
from pipeline.settings import ColumnSettings, Settings

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

# Further words that mean missing, in columns of numbers only.
PLACEHOLDERS = frozenset(
    {"-", "--", "---", ".", "..", "*", "_", "na", "Na", "N.A.", "n.a.", "none", "NONE", "Null"}
    | {"missing", "Missing", "MISSING", "unknown", "Unknown", "UNKNOWN", "nil", "#DIV/0!", "#REF!"}
    | {"#VALUE!", "NAN", "(null)", "not available", "Not available", "Not Available"}
)
# Words for missing that are categories in some data: a continent, no basement, not applicable.
_AMBIGUOUS = ("NA", "None", "N/A", "n/a")
_MOSTLY = 0.9
_MANY = 20
_SAMPLE = 2000
_EXAMPLES = 5
_OFTEN, _MOST_CATEGORIES = 20, 1000
_ID_NAME = re.compile(r"(?i:^|[\W_])(?i:id|nr|no|key|index)$|[a-z](?:ID|Id)$")
_NINES = tuple(float("9" * whole + end) for whole in range(3, 9) for end in ("", ".9", ".99"))
_FLOAT_DIGITS, _WHOLE = 15, re.compile(r"[+-]?\d+")
_FIRST_YEAR, _LAST_YEAR = 1600, 2100
_FIRST_DAY, _LAST_DAY = 18000101, 21991231
# Trees hold numbers in 32 bits.
LARGEST = 3.4028e38


@dataclass(frozen=True)
class Fault:
    """Why a column cannot be used, and what would decide it.

    `column` is what to write for it under [columns], `drop` whether to leave it out may do.
    """

    name: str
    text: str
    drop: bool = False
    column: str | None = None
    marks: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.text}"


@dataclass
class Findings:
    """Faults, notes and evidence that inference collects over all columns."""

    settings: Settings
    form: Format
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    said: Evidence = field(default_factory=Evidence)
    without_target: int = 0
    time_parts: list[str] = field(default_factory=list)

    def settled(self, name: str) -> bool:
        """Whether the column is left out or at fault already."""
        return name in self.left_out or any(fault.name == name for fault in self.faults)


@dataclass(frozen=True)
class Case:
    """One column: its different texts with how often each comes; `gaps` are those for missing."""

    name: str
    raw: "pyarrow.ChunkedArray"
    chosen: ColumnSettings
    counts: Mapping[str, int]
    found: Findings
    gaps: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Words that mean a missing value in this column."""
        if self.chosen.missing is None:
            return self.found.form.words
        return ("", *self.chosen.missing)

    @property
    def stored_missing(self) -> tuple[str, ...] | None:
        """What the contract keeps of `missing`: None for the format's own words."""
        return None if self.chosen.missing is None else self.missing

    @property
    def null_rate(self) -> float:
        """The part of the rows that hold nothing."""
        return 1 - sum(self.counts.values()) / len(self.raw)

    @property
    def is_text(self) -> bool:
        """Whether the column comes as texts, in whatever form."""
        import pyarrow

        kind, types = self.raw.type, pyarrow.types
        kind = kind.value_type if types.is_dictionary(kind) else kind
        tests = (types.is_string, types.is_large_string, types.is_string_view)
        return any(test(kind) for test in (*tests, types.is_binary, types.is_large_binary))

    def share(self, texts: Iterable[str]) -> float:
        """The part of the present rows that these texts make up."""
        return sum(self.counts[text] for text in texts) / max(sum(self.counts.values()), 1)

    def array(self) -> "pyarrow.Array":
        """The different texts, as an Arrow array."""
        import pyarrow

        return pyarrow.array(list(self.counts), type=pyarrow.string())

    def refuse(self, text: str, **more: Any) -> None:
        """Record why the column cannot be used."""
        self.found.faults.append(Fault(self.name, text, **more))


def look_at(
    name: str, raw: "pyarrow.ChunkedArray", found: Findings, chosen: ColumnSettings | None = None
) -> Case:
    """Count the texts of a column. Raises InputError for values that are no single cell."""
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    chosen = chosen or found.settings.columns.get(name, ColumnSettings())
    missing = set(Case(name, raw, chosen, {}, found).missing)
    texts = pyarrow.chunked_array(map(cells.as_text, raw.chunks), type=pyarrow.string())
    counts, gaps = dict[str, int](), dict[str, int]()
    for entry in pyarrow.compute.value_counts(texts).to_pylist():
        # What holds no text at all is as one that is empty.
        text = entry["values"] or ""
        kept = gaps if entry["values"] is None or text in missing else counts
        kept[text] = kept.get(text, 0) + entry["counts"]
    return Case(name, raw, chosen, counts, found, gaps)


def feature(name: str, raw: "pyarrow.ChunkedArray", found: Findings) -> Column | None:
    """The kind of a feature, or None for a column that is left out or at fault."""
    import pyarrow

    try:
        case = look_at(name, raw, found)
    except InputError as error:
        found.faults.append(Fault(name, str(error), drop=True))
        return None
    if not case.counts:
        found.left_out[name] = "it is empty"
        found.notes.append(f"{name} is empty: it is left out")
        return None
    kind = case.chosen.type or ("category" if name in found.settings.data.categories else None)
    if kind is not None:
        return of_kind(case, kind)
    if len(case.counts) == 1 and case.null_rate == 0 and "inf" not in next(iter(case.counts)):
        found.left_out[name] = "it is the same in every row"
        found.notes.append(f"{name} is {next(iter(case.counts))!r} in every row: it is left out")
        return None
    if pyarrow.types.is_dictionary(raw.type) and len(case.counts) <= _most_categories(case):
        # Whoever wrote the file says that these are categories, also where they look like numbers.
        return category(case)
    return number(case) or _by_texts(case)


def of_kind(case: Case, kind: str) -> Column | None:
    """A column of the kind that the settings name. What does not fit it is a fault."""
    if kind == "text":
        return TextColumn(null_rate=case.null_rate, missing=case.stored_missing)
    if kind == "category":
        return category(case)
    if kind == "date":
        return date(case, forced=True)
    column = number(case, forced=True)
    if column is None and not case.found.settled(case.name) and not _looks_like_numbers(case):
        wrong = [text for text in case.counts if not _fits(text, _marks(case))]
        case.refuse(f"is no number in {_rows(case, wrong)}")
    return column


def _marks(case: Case, *remove: str) -> Marks:
    """How numbers are written here: as the settings say for the column, or else for the file."""
    chosen, form = case.chosen, case.found.form
    usual = None if chosen.decimal == form.thousands else form.thousands
    return Marks(
        decimal=chosen.decimal or form.decimal,
        thousands=chosen.thousands or usual,
        remove=(*chosen.remove, *remove),
    )


def number(case: Case, *, forced: bool = False) -> NumberColumn | None:
    """A column of numbers, if every text is one, or a word that surely stands for missing."""
    import numpy as np
    import pyarrow

    kind, types = case.raw.type, pyarrow.types
    if types.is_boolean(kind) or types.is_timestamp(kind) or types.is_date(kind):
        return None
    if case.is_text and not forced and any(map(_is_code, case.counts)):
        return None
    marks, missing = _marks(case), case.missing
    wrong = [text for text in case.counts if case.is_text and not _fits(text, marks)]
    words = [text for text in wrong if text in PLACEHOLDERS]
    if wrong and (len(words) < len(wrong) or case.share(wrong) > 0.5):
        return None
    if words:
        missing = (*missing, *words)
        said = ", ".join(map(repr, words))
        case.found.notes.append(f"{case.name}: {said} is read as a missing number")
    parts = [cells.numbers(part, marks, missing)[0] for part in case.raw.chunks]
    values = np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts])
    present = values[~np.isnan(values)]
    if _beyond(case, values) or (not forced and _counts_rows(case, present)):
        return None
    if not forced and loses_digits(
        case,
        "an id? Drop it, or name it in id_columns or categories under [data]; if",
        drop=True,
    ):
        return None
    if case.is_text:
        case.found.said.add(evidence(list(case.counts)[:_SAMPLE]))
    low, high = float(present.min()), float(present.max())
    if not forced:
        _hint(case, present)
    slack = (high - low) * case.found.settings.contract.range_slack
    return NumberColumn(
        minimum=max(low - slack, -LARGEST),
        maximum=min(high + slack, LARGEST),
        null_rate=1 - len(present) / len(values),
        marks=marks,
        missing=missing if words else case.stored_missing,
        flag=set(np.unique(present)) == {0.0, 1.0},
        marked=case.is_text and all(marks.marked(text) for text in case.counts),
    )


def _hint(case: Case, present: Any) -> None:
    """Note numbers that are probably codes, words for missing, days or ids."""
    import numpy as np

    if case.is_text and all(re.fullmatch(r"\d+[eE]\d+", text) for text in case.counts):
        case.found.notes.append(
            f"{case.name} holds texts such as {next(iter(case.counts))!r}, which are read as "
            f'numbers with an exponent: if they are codes, write {quoted(case.name)} = "category" '
            "under [columns]"
        )
    if (stand_in := _stands_for_missing(present)) is not None:
        word = next((text for text in case.counts if float(text) == stand_in), f"{stand_in:g}")
        case.found.notes.append(
            f"{case.name} is {word} in {int((present == stand_in).sum())} rows, unlike its other "
            f"numbers: if that means missing, write {quoted(case.name)} = "
            f"{{ {line('missing', [word])} }} under [columns]"
        )
    if (present % 1).any():
        return
    if _are_days(present):
        case.found.notes.append(
            f"{case.name} looks like days, such as {present[0]:.0f}, but is read as a number: "
            f'write {quoted(case.name)} = {{ type = "date", format = "%Y%m%d" }} under [columns] '
            "to learn from its month and weekday"
        )
        return
    different = len(np.unique(present)) == len(case.raw)
    if different and len(case.raw) > _MANY and _ID_NAME.search(case.name):
        case.found.notes.append(
            f"{case.name} is read as a number, and is another one in every row: if it is an id, "
            f"write {line('id_columns', [case.name])} under [data], or later rows may be out of "
            "its range"
        )


def _stands_for_missing(present: Any) -> float | None:
    """A number of nines, such as -999, that comes often and is far from the others, or comes far
    more often than any of them."""
    import numpy as np

    values, counts = np.unique(present, return_counts=True)
    known = np.flatnonzero(np.isin(np.abs(values), _NINES))
    for place in known if len(values) > _MANY else ():
        others = np.delete(values, place)
        far = abs(values[place]) > 3 * np.abs(others).max()
        often = counts[place] > 10 * np.delete(counts, place).max()
        if counts[place] >= max(3, len(present) // 200) and (far or often):
            return float(values[place])
    return None


def _are_days(present: Any) -> bool:
    """Whether each number is a day written as 20261128, of more than a few."""
    import numpy as np
    import pandas as pd

    if present.min() < _FIRST_DAY or present.max() > _LAST_DAY:
        return False
    different = np.unique(present)
    written = pd.Series(different[:: max(1, len(different) // _SAMPLE)].astype(int).astype(str))
    days = pd.to_datetime(written, format="%Y%m%d", errors="coerce")
    return len(different) > _EXAMPLES and bool(days.notna().all())


def _fits(text: str, marks: Marks) -> bool:
    return marks.fits(text) or text.lower().lstrip("+-") in ("inf", "infinity")


def _is_code(text: str) -> bool:
    """Digits that begin with a zero, such as a postal code: never a number."""
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits.isdigit()


def _beyond(case: Case, values: Any) -> bool:
    """Refuse infinite and huge numbers."""
    import numpy as np

    for rule, mask in (
        ("infinite values", np.isinf(values)),
        (f"values beyond {LARGEST:g}", np.isfinite(values) & (np.abs(values) > LARGEST)),
    ):
        if mask.any():
            rows = ", ".join(map(str, mask.nonzero()[0][:_EXAMPLES]))
            case.refuse(
                f"has {int(mask.sum())} {rule} (rows {rows}), from which no model can learn: fix "
                "the source, or leave the column out",
                drop=True,
            )
            return True
    return False


def loses_digits(case: Case, advice: str, *, drop: bool = False) -> bool:
    """Refuse whole numbers with more digits than a float64 holds: most likely they are ids.

    `advice` is what else may be done, before what keeps them.
    """
    marks = _marks(case)
    for text in case.counts:
        bare = marks.cut(text).replace(marks.thousands or "_", "")
        if len(bare) <= _FLOAT_DIGITS or not _WHOLE.fullmatch(bare) or int(bare) == float(bare):
            continue
        case.refuse(
            f"holds whole numbers such as {text}, which would be learnt as {float(bare):.0f}: "
            f"{advice} its last digits do not matter, write {quoted(case.name)} = "
            '"number" under [columns]',
            drop=drop,
            column=None if drop else 'type = "number"',
        )
        return True
    return False


def _counts_rows(case: Case, present: Any) -> bool:
    """Leave out a column that numbers the rows without a gap, unless it may be a year of each.

    One without a name may have gaps: a frame's index, of which some rows were taken.
    """
    import numpy as np

    if len(present) < len(case.raw) or (present % 1).any():
        return False
    if len(np.unique(present)) < max(2, len(present)):
        return False
    low, high = present.min(), present.max()
    if re.fullmatch(r"Unnamed: \d+", case.name):
        why, said = (
            "it is an index without a name",
            "is another number in every row, and has no name",
        )
    elif len(present) >= _MANY and high - low == len(present) - 1:
        if low >= _FIRST_YEAR and high <= _LAST_YEAR:
            return False
        why, said = "it counts the rows", f"only counts the rows, from {low:g} to {high:g}"
    else:
        return False
    case.found.left_out[case.name] = why
    case.found.notes.append(
        f"{case.name} {said}: it is left out; write "
        f'{quoted(case.name)} = {{ type = "number" }} under [columns] to learn from it'
    )
    return True


def _by_texts(case: Case) -> Column | None:
    """The kind of a column that does not hold plain numbers."""
    import pyarrow

    if case.found.settled(case.name):
        return None
    if pyarrow.types.is_boolean(case.raw.type):
        return category(case)
    moments = date(case)
    if moments is not None or case.found.settled(case.name):
        return moments
    if _spelling(case)[0] == "boolean":
        return category(case)
    if _looks_like_numbers(case) or looks_like_times(case):
        return None
    if len(case.counts) > _most_categories(case) or _one_a_row(case):
        shown = ", ".join(repr(text[:40]) for text in list(case.counts)[:3])
        case.refuse(
            f"has {len(case.counts)} different texts, such as {shown}: more like an id or free "
            "text than a category",
            drop=True,
            column='type = "text"',
        )
        return None
    if 1 == max(case.counts.values()) < len(case.counts):
        case.found.notes.append(
            f"{case.name} holds another text in each row, which says nothing about later ones: if "
            "it is a name or an id, add it to drop or id_columns under [data]"
        )
    if all(map(has_shape, case.counts)):
        case.found.notes.append(
            f"{case.name} holds texts such as {next(iter(case.counts))!r}, which look like times "
            "in no format that is known, and are read as categories: if they are times, write "
            f'{quoted(case.name)} = {{ type = "date", format = … }} under [columns]'
        )
    return category(case)


def _one_a_row(case: Case) -> bool:
    """Whether nearly every row has a text of its own, so that a category says nothing about others.

    Few rows may hold few names by chance.
    """
    return "max_categories" not in case.found.settings.contract.model_fields_set and len(
        case.counts
    ) > max(_MANY, _MOSTLY * sum(case.counts.values()))


def _most_categories(case: Case) -> int:
    """How many texts may be categories: more where each comes often, unless the settings say."""
    contract = case.found.settings.contract
    if "max_categories" in contract.model_fields_set:
        return contract.max_categories
    often = sum(case.counts.values()) // _OFTEN
    return max(contract.max_categories, min(often, _MOST_CATEGORIES))


def category(case: Case) -> CategoryColumn:
    """A column of texts, with every one that is there."""
    import pyarrow

    spelling, true, false = _spelling(case)
    column = CategoryColumn(
        categories=[],
        null_rate=case.null_rate,
        spelling=spelling,
        true=true,
        false=false,
        missing=case.stored_missing,
    )
    listed = spelled(case.array(), column).cast(pyarrow.string()).to_pylist()
    if case.chosen.missing is None and "+" not in case.counts:
        signs = [text for text in case.counts if text in PLACEHOLDERS and not text.strip("-._*")]
        if signs and len(case.counts) > len(signs) + 1:
            case.found.notes.append(
                f"{case.name}: {_rows(case, signs)}: read as a category of its own; if it means "
                f"missing, write {quoted(case.name)} = {{ {line('missing', signs)} }} under "
                "[columns]"
            )
    _note_gaps(case)
    return column.model_copy(update={"categories": sorted(set(listed))})


def _note_gaps(case: Case) -> None:
    """Say which words for missing may be categories: NA of North America, or "None" for nothing.

    They look like the column's categories, or another word or an empty cell means missing, too.
    """
    if case.chosen.missing is not None or not case.is_text:
        return
    shape = {_shape(text) for text in case.counts}
    words = [word for word in _AMBIGUOUS if word in set(case.gaps) - {*case.found.form.missing}]
    alike = [word for word in words if word == "None" or shape == {_shape(word)}]
    doubtful = alike or (words if len(words) == 1 < len(case.gaps) else [])
    if doubtful:
        rest = [word for word in case.gaps if word and word not in doubtful]
        case.found.notes.append(
            f"{case.name}: {_rows_of_gaps(case, doubtful)} read as missing; if it is a category, "
            f"write {quoted(case.name)} = {{ {line('missing', rest)} }} under [columns]"
        )


def _rows_of_gaps(case: Case, words: list[str]) -> str:
    return " and ".join(f"{word!r} ({case.gaps[word]} rows)" for word in words) + (
        " is" if len(words) == 1 else " are"
    )


def _shape(text: str) -> tuple[int, bool]:
    """What codes of one kind share: their length, and whether they are capital letters."""
    return len(text), text.isalpha() and text.isupper()


def _spelling(case: Case) -> tuple[Literal["text", "number", "boolean"], str, str]:
    """Which spellings mean the same, and the words for true and false."""
    chosen = case.chosen
    if chosen.true and chosen.false:
        return "boolean", chosen.true, chosen.false
    if pair := _pair(case.counts):
        return ("boolean", *pair)
    if all(PLAIN.fits(text) and not _is_code(text) for text in case.counts):
        array = case.array()
        if len(set(cells.short(array).to_pylist())) == len(set(cells.whole(array).to_pylist())):
            return "number", "", ""
    return "text", "", ""


def _pair(counts: Mapping[str, int]) -> tuple[str, str] | None:
    """The commonest spelling of true and of false, where a column holds nothing else."""
    lower = {text: text.lower().removesuffix(".0") for text in counts}
    words = set(lower.values())
    pairs = [{true, false} for true, false in zip(cells.TRUE, cells.FALSE, strict=True)]
    mixed = words <= {"true", "false", "1", "0"} and len(words) > 2
    if words not in pairs and not mixed:
        return None

    def commonest(known: Sequence[str]) -> str:
        of = [text for text, word in lower.items() if word in known]
        return max(of, key=lambda text: counts[text]).removesuffix(".0")

    return commonest(cells.TRUE), commonest(cells.FALSE)


def date(case: Case, *, forced: bool = False) -> DateColumn | None:
    """A column of times, if every text is one in the same format and in no other."""
    import pyarrow

    typed = pyarrow.types.is_timestamp(case.raw.type) or pyarrow.types.is_date(case.raw.type)
    if not typed and not forced and not case.is_text and case.chosen.format is None:
        return None
    form, zone = case.chosen.format, case.chosen.zone
    if typed:
        form, zone = cells.ISO, zone or getattr(case.raw.type, "tz", None)
    elif form is None:
        known = formats_of(list(case.counts))
        if len(known) > 1:
            listed = " or ".join(f'format = "{one}"' for one in known)
            case.refuse(
                "holds times that read in more than one way, such as "
                f"{next(iter(case.counts))!r}: {listed}",
                column=f'type = "date", format = "{known[0]}"',
            )
            return None
        if not known:
            if forced:
                case.refuse(
                    "does not follow one known format of times: name it, as Python's strptime "
                    "takes it",
                    column='type = "date", format = "%Y-%m-%d"',
                )
            return None
        form = known[0]
    if form == cells.ISO and zone is None and not typed:
        _note_zones(case)
    column = DateColumn(
        null_rate=case.null_rate, missing=case.stored_missing, format=form, zone=zone
    )
    return _with_parts(case, column)


def _note_zones(case: Case) -> None:
    """Note that some times have a zone and others have none."""
    bare = [text for text in case.counts if not re.search(cells.OFFSET, text)]
    if bare and len(bare) < len(case.counts):
        case.found.notes.append(
            f"{case.name}: some times have a zone, but not {_rows(case, bare)}: these are read as "
            f'UTC; write {quoted(case.name)} = {{ type = "date", zone = "Europe/Berlin" }} under '
            "[columns] if they are of that zone"
        )


def _with_parts(case: Case, column: DateColumn) -> DateColumn | None:
    """The column with the parts that the settings name, else with those that vary."""
    varying: dict[str, None] = {}
    ends: list[float] = []
    for part in case.raw.chunks:
        index, wrong = cells.moments(part, column.format, column.zone, case.missing)
        if wrong.any():
            shown = part[int(wrong.nonzero()[0][0])].as_py()
            case.refuse(
                f"holds {int(wrong.sum())} values that are no times by the format "
                f"{column.format}, such as {shown!r}"
            )
            return None
        if index.notna().any():
            ends += dates.seconds(index[index.notna()].sort_values()[[0, -1]]).to_pylist()
        for name, values in dates.parts(index, column.zone, "", dates.DEFAULT_PARTS).items():
            if len(values.drop_null().unique()) > 1:
                varying.setdefault(name.split(".")[1])
    if of_months(case.counts, column.format):
        varying = {part: None for part in varying if not part.startswith("weekday")}
    wanted = case.chosen.parts or [part for part in dates.DEFAULT_PARTS if part in varying]
    return column.model_copy(update={"parts": list(wanted), **_seen(ends, case.found.settings)})


def _seen(ends: list[float], settings: Settings) -> dict[str, float]:
    """Bounds of the expected times: those seen first, extended by range_slack of their span."""
    if not ends:
        return {}
    first, last = min(ends), max(ends)
    slack = settings.contract.range_slack * max(last - first, dates.DAY)
    return {"earliest": first - slack, "latest": last + slack}


def _looks_like_numbers(case: Case) -> bool:
    """Refuse a column of numbers with currency or thousands marks, or with a few other texts."""
    marks = _marks(case)
    plain = [text for text in case.counts if marks.fits(text)]
    if any(map(_is_code, case.counts)):
        return _few_are_codes(case, plain)
    if _in_parentheses(case) or _around_numbers(case) or _with_notes(case):
        return True
    wrong = [text for text in case.counts if not marks.fits(text)]
    # A word for missing may come often; many different words are no words for missing.
    least = 0.5 if len(wrong) <= _EXAMPLES else _MOSTLY
    if case.share(plain) >= least and len(plain) > _MANY:
        _refuse_some(case, "numbers", wrong)
        return True
    listed = [text for text in case.counts if text not in PLACEHOLDERS]
    ways = [way for way in readings(listed[:_SAMPLE]) if all(way.fits(text) for text in listed)]
    if not ways or all(map(marks.fits, listed)):
        return False
    said = evidence(listed[:_SAMPLE])
    case.found.said.add(said)
    example = max(listed[:_SAMPLE], key=len)
    unit = "".join(ways[0].remove)
    bare = case.share([text for text in listed if unit not in text])
    unlike = f"; {bare:.0%} of the rows are without {unit}: is it so for these, too?"
    means = " or ".join(f"{_plainly(example, way)} if {_written(case, way)}" for way in ways)
    case.refuse(
        f"looks like numbers that are written for people, such as {example!r}, which is {means}"
        f"{unlike if bare else ''}",
        column=_written(case, ways[0]),
        marks=not ways[0].remove,
    )
    return True


def _refuse_some(case: Case, kind: str, wrong: list[str]) -> None:
    """Refuse numbers or times among which there are other texts; few may mean missing."""
    said = f"looks like {kind}, except {_rows(case, wrong)}"
    if wrong == [case.name]:
        case.refuse(f"{said}: the header again? Remove that line")
    elif len(wrong) <= _MANY:
        case.refuse(said, column=line("missing", wrong))
    else:
        case.refuse(
            f"{said} and others, {len(wrong)} in all: ids or codes?",
            drop=True,
            column='type = "text"',
        )


def _few_are_codes(case: Case, plain: list[str]) -> bool:
    """Refuse many different numbers of which few begin with a zero; codes are equally long."""
    codes = [text for text in case.counts if _is_code(text)]
    numbers = case.share(plain) >= _MOSTLY and len(set(map(len, plain))) > 1
    if not numbers or case.share(codes) > 1 - _MOSTLY:
        return False
    if len(case.counts) <= _most_categories(case):
        return False
    case.refuse(
        f"looks like numbers, but begins with a zero, as codes do, in {_rows(case, codes)}",
        column='type = "number"',
    )
    return True


def _in_parentheses(case: Case) -> bool:
    """Refuse numbers of which the negative ones stand in parentheses: no setting reads them."""
    within = [text for text in case.counts if re.fullmatch(r"\(.*\d.*\)", text)]
    if not within or not readings([text.strip("()") for text in list(case.counts)[:_SAMPLE]]):
        return False
    case.refuse(
        f"looks like numbers, of which {_rows(case, within)}: negative ones stand in parentheses; "
        "write them with a minus sign",
        drop=True,
    )
    return True


_NOTE = re.compile(r"(\[?)[+-]?[\d.,]*\d[\d.,]*\s*([*†‡§¶#]+|\[\w{1,3}\]|\])")


def _with_notes(case: Case) -> bool:
    """Refuse numbers of which some stand in brackets, or have a sign of a footnote after them."""
    usual = _marks(case)
    found = {text: _NOTE.fullmatch(text) for text in case.counts if not usual.fits(text)}
    if not found or not all(
        note and (note[1] == "[") == (note[2] == "]") for note in found.values()
    ):
        return False
    words = dict.fromkeys(word for note in found.values() if note for word in note.groups() if word)
    marks = _marks(case, *words)
    if len(words) > _EXAMPLES or not all(map(marks.fits, case.counts)):
        return False
    case.refuse(
        f"looks like numbers, of which {_rows(case, list(found))}: remove what stands around the "
        "number, if the number alone may count",
        column=_written(case, marks),
    )
    return True


def _around_numbers(case: Case) -> bool:
    """Refuse numbers of which some end in a minus, or begin with a sign such as < or ~."""
    signed = [text for text in case.counts if re.fullmatch(r"[<>~≤≥≈]\s*[\d.].*", text)]
    behind = [text for text in case.counts if re.fullmatch(r"[\d.,]+\s*-", text)]
    signs = tuple({text[0] for text in signed})
    marks = _marks(case, *(("-",) if behind else signs))
    if not (signed or behind) or not all(map(marks.fits, case.counts)):
        return False
    if behind:
        case.refuse(
            f"looks like numbers, of which {_rows(case, behind)}: the minus of negative ones "
            "stands at their end; write it before them",
            drop=True,
        )
        return True
    case.refuse(
        f"looks like numbers, of which {_rows(case, signed)}: remove what stands before the "
        "number, if the number alone may count",
        column=_written(case, marks),
    )
    return True


def _plainly(text: str, marks: Marks) -> str:
    number = marks.cut(text)
    number = number.replace(marks.thousands, "") if marks.thousands else number
    return number.replace(marks.decimal, ".")


def _written(case: Case, marks: Marks) -> str:
    parts = ['type = "number"']
    if marks.decimal != _marks(case).decimal:
        parts.append(line("decimal", marks.decimal))
    if marks.thousands:
        parts.append(line("thousands", marks.thousands))
    if marks.remove:
        parts.append(line("remove", list(marks.remove)))
    return ", ".join(parts)


def looks_like_times(case: Case) -> bool:
    """Refuse a column of times that also holds a few other texts."""
    if len(case.counts) <= _MANY:
        return False
    # To try every format takes long: a few texts show whether it is worth it for more.
    for size in (_MANY, _SAMPLE):
        sample = list(case.counts)[:size]
        most = (1 - _MOSTLY) * len(sample)
        if sum(not has_shape(text) for text in sample) > most:
            return False
        wrong = [text for text in sample if not formats_of([text])]
        if len(wrong) > 2 * most:
            return False
    if len(wrong) > most:
        return False
    if wrong:
        wrong += [text for text in case.counts if not has_shape(text) and text not in wrong]
        _refuse_some(case, "times", wrong)
    else:
        case.refuse("holds times in several formats: write all of them in one", drop=True)
    return True


def _rows(case: Case, wrong: list[str]) -> str:
    """How many rows hold one of these texts, the first few of them, and what they hold."""
    import pyarrow
    import pyarrow.compute

    words = pyarrow.array(wrong, type=pyarrow.string())
    places: list[int] = []
    start = 0
    for part in case.raw.chunks:
        mask = pyarrow.compute.is_in(cells.as_text(part), value_set=words)
        places += [start + place for place in pyarrow.compute.indices_nonzero(mask).to_pylist()]
        start += len(part)
    rows = ", ".join(map(str, places[:_EXAMPLES]))
    more = ", …" if len(places) > _EXAMPLES else ""
    shown = ", ".join(repr(text[:40]) for text in wrong[:_EXAMPLES])
    return f"{len(places)} rows ({rows}{more}), which hold {shown}"
