"""What a column of the first data is, and what is said of one that cannot be decided."""

import datetime
import decimal
import re
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest

from pipeline.data import suspicions
from pipeline.data.cells import parse_times
from pipeline.data.contract import CategoryColumn, DateColumn, NumberColumn, TextColumn
from pipeline.data.infer import Inference, infer
from pipeline.data.marks import Marks, readings
from pipeline.data.prepare import prepare
from pipeline.errors import InputError
from pipeline.settings import Settings

pytestmark = pytest.mark.slow

Make = Callable[..., Settings]
ROWS = 60
LETTERS = np.random.default_rng(0).choice(["yes", "no"], ROWS)


@pytest.fixture
def look(make_settings: Make) -> Callable[..., Inference]:
    """Infer the contract of some columns beside a target y, as texts or as Arrow columns."""

    def run(added: dict[str, Any], **settings: Any) -> Inference:
        table = {"y": list(LETTERS), "z": [n % 7 + 0.5 for n in range(ROWS)], **added}
        arrays = {name: pyarrow.array(values) for name, values in table.items()}
        data = {"source": "x.csv", "target": "y", "positive": "yes", "batch_fraction": 0.0}
        data |= settings.pop("data", {})
        return infer(pyarrow.table(arrays), make_settings(data=data, **settings))

    return run


Look = Callable[..., Inference]


def _repeated(*values: str) -> list[str]:
    return [values[n % len(values)] for n in range(ROWS)]


NUMBERS: dict[str, list[Any]] = {
    "whole": [str(n * 3) for n in range(ROWS)],
    "decimal": [f"{n}.5" for n in range(ROWS)],
    "exponent": [f"{n}e-3" for n in range(ROWS)],
    "signed": [f"{n - 30:+d}" for n in range(0, ROWS * 2, 2)],
    "some missing": [("N/A" if n % 4 == 0 else str(n * 2)) for n in range(ROWS)],
    "blanks": [("  " if n % 10 == 0 else f" {n}.25 ") for n in range(ROWS)],
    "question marks": [("?" if n % 10 == 0 else str(n)) for n in range(ROWS)],
    "dashes": [("-" if n % 10 == 0 else f"{n}.5") for n in range(ROWS)],
    "typed": list(np.arange(ROWS) * 1.5),
    "Decimal": [decimal.Decimal(n) / 4 for n in range(ROWS)],
    "durations": [datetime.timedelta(seconds=n * 2) for n in range(ROWS)],
    "clock": [datetime.time(n % 24, 5) for n in range(ROWS)],
    "typographic minus": [f"\u2212{n}.5" if n % 2 else f"{n}.5" for n in range(ROWS)],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_numbers_in_every_spelling_of_programs(look: Look, name: str) -> None:
    assert isinstance(look({"x": NUMBERS[name]}).contract.features["x"], NumberColumn)


CATEGORIES: dict[str, tuple[list[Any], str, list[str]]] = {
    "codes with zeros": (_repeated("007", "042", "100"), "text", ["007", "042", "100"]),
    "words": (_repeated("b", "a", " a "), "text", ["a", "b"]),
    "truth": (_repeated("True", "False"), "boolean", ["False", "True"]),
    "truth in many ways": (_repeated("true", "TRUE", "False", "false"), "boolean", []),
    "yes and no": (_repeated("Yes", "No", "NA"), "boolean", ["No", "Yes"]),
    "typed truth": ([n % 2 == 0 for n in range(ROWS)], "boolean", ["false", "true"]),
    "versions": (_repeated("1.1", "1.10", "2.0"), "text", ["1.1", "1.10", "2.0"]),
    "dictionary": (_repeated("x", "y"), "text", ["x", "y"]),
    "three and more": (_repeated("1", "2", "3+"), "text", ["1", "2", "3+"]),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_keep_their_spelling(look: Look, name: str) -> None:
    values, spelling, expected = CATEGORIES[name]
    array = pyarrow.array(values)
    column = look(
        {"x": array.dictionary_encode() if name == "dictionary" else array},
        data={"categories": ["x"]} if name == "versions" else {},
    ).contract.features["x"]
    assert isinstance(column, CategoryColumn)
    assert column.spelling == spelling
    assert expected in ([], column.categories)


def test_many_texts_are_categories_where_each_comes_often(look: Look) -> None:
    values = [f"zone {n % 150}" for n in range(ROWS * 50)]
    columns = {"x": values, "y": list(LETTERS) * 50, "z": [n % 7 + 0.5 for n in range(ROWS * 50)]}
    found = look(columns).contract.features["x"]
    assert isinstance(found, CategoryColumn)
    assert len(found.categories) == 150
    with pytest.raises(InputError, match="x has 150 different texts"):
        look(columns, contract={"max_categories": 100})


def test_few_rows_with_a_text_for_each_are_like_ids(look: Look) -> None:
    names = [f"Person {n}" for n in range(ROWS)]
    with pytest.raises(InputError, match=r"x has 60 different texts[^.]*id.*\n.*\n.*\n.*drop = "):
        look({"x": names})
    assert look({"x": names}, contract={"max_categories": 100}).contract.features["x"]
    assert look({"x": names}, data={"categories": ["x"]}).contract.features["x"]
    few: list[str | None] = [name if n < 20 else None for n, name in enumerate(names)]
    assert isinstance(look({"x": few}).contract.features["x"], CategoryColumn)


LONG = [2**53 + 2 * n + 1 for n in range(ROWS)]


@pytest.mark.parametrize(
    "values",
    [
        LONG,
        [str(n) for n in LONG],
        [decimal.Decimal(n) for n in LONG],
        np.array(LONG, dtype=np.uint64) + 2**63,
    ],
)
def test_whole_numbers_with_more_digits_than_a_float_are_no_numbers_without_a_word(
    look: Look, values: list[Any]
) -> None:
    with pytest.raises(
        InputError, match=r"x holds whole numbers such as \d+, which would be learnt"
    ):
        look({"x": values})
    assert isinstance(
        look({"x": values}, columns={"x": "number"}).contract.features["x"], NumberColumn
    )
    assert look({"x": values}, data={"id_columns": ["x"]}).contract.others["x"].kind == "id"
    # Those that a float64 holds are numbers like any other.
    assert look({"x": [n * 2**20 for n in range(2**40, 2**40 + ROWS * 3, 3)]}).contract.features


def test_a_target_with_more_digits_than_a_float_is_refused_unless_they_do_not_matter(
    look: Look,
) -> None:
    task = {"type": "regression", "metric": "rmse"}

    def target(values: list[Any], **settings: Any) -> Inference:
        return look({"y": values}, data={"positive": None}, task=task, **settings)

    for values in (LONG, [str(n) for n in LONG], [f"{n:,}" for n in LONG]):
        marks = {"y": {"thousands": ","}}
        with pytest.raises(
            InputError, match=r"y holds whole numbers such as [\d,]+, which would be learnt as 9"
        ) as caught:
            target(values, columns=marks)
        assert 'y = { type = "number" }' in str(caught.value)
        assert "drop" not in str(caught.value)
        chosen = target(values, columns={"y": {**marks["y"], "type": "number"}})
        assert isinstance(chosen.contract.others["y"], NumberColumn)
    assert target([n - 1 for n in LONG]).contract.others["y"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([f"[{n}]" if n % 4 == 0 else f"{n}.5" for n in range(ROWS)], ["[", "]"]),
        ([f"{n}.5*" if n % 4 == 0 else f"{n}.5" for n in range(ROWS)], ["*"]),
        ([f"{n}[1]" if n % 4 == 0 else f"{n} [a]" for n in range(ROWS)], ["[1]", "[a]"]),
    ],
)
def test_notes_at_numbers_are_refused_with_what_reads_them(
    look: Look, values: list[str], words: list[str]
) -> None:
    with pytest.raises(InputError, match="remove what stands around the number") as caught:
        look({"x": values})
    shown = str(caught.value).partition("x = { ")[2].partition(" }")[0]
    chosen = tomllib.loads(f"x = {{ {shown} }}")["x"]
    assert sorted(chosen["remove"]) == sorted(words)
    assert isinstance(
        look({"x": values}, columns={"x": chosen}).contract.features["x"], NumberColumn
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "plain", [lambda n: str(n * 3), lambda n: datetime.date.fromordinal(740_000 + n).isoformat()]
)
def test_words_among_numbers_and_times_are_named_all_or_taken_for_codes(
    look: Look, plain: Callable[[int], str]
) -> None:
    rows = 400
    answers, numbers = (_repeated("yes", "no") * 7)[:rows], [n % 7 + 0.5 for n in range(rows)]

    def column(step: int) -> dict[str, Any]:
        texts = [f"C{n}" if n % step == 5 else plain(n) for n in range(rows)]
        return {"y": answers, "z": numbers, "x": texts}

    with pytest.raises(InputError, match=r"looks like (numbers|times), except 12 rows") as caught:
        look(column(33))
    shown = str(caught.value).rpartition("x = { ")[2].partition(" }")[0]
    chosen = tomllib.loads(f"x = {{ {shown} }}")
    assert look(column(33), columns=chosen).contract.features["x"].kind in ("number", "date")
    with pytest.raises(InputError, match="21 in all: ids or codes") as caught:
        look(column(19))
    assert 'drop = ["x"]' in str(caught.value)
    assert "missing" not in str(caught.value)


DESCRIBED: dict[str, list[str]] = {
    "length": [f"{n}.5" for n in range(ROWS)],
    "mass": [str(n * 3 + 1) for n in range(ROWS)],
    "day": [f"2026-01-{n % 28 + 1:02d}" for n in range(ROWS)],
    "colour": _repeated("red", "blue", "green"),
}


@pytest.mark.parametrize(
    ("above", "left_out"),
    [
        ([["mm", "kg", "date", "name"]], 1),
        ([["c", "c", "t", "d"], ["", "", "", ""]], 2),
        ([["mm", "kg", "", "name"]], 1),
    ],
)
def test_rows_that_say_what_the_columns_are_are_no_rows_to_learn_from(
    look: Look, above: list[list[str]], left_out: int
) -> None:
    columns = {
        name: [*(row[place] for row in above), *cells]
        for place, (name, cells) in enumerate(DESCRIBED.items())
    }
    answers = ["class", *[""] * (len(above) - 1), *LETTERS]
    rest = ["unit", *[""] * (len(above) - 1), *(str(n % 7) for n in range(ROWS))]
    with pytest.raises(InputError, match="first row seems to say what the columns are") as caught:
        look({**columns, "y": answers, "z": rest})
    written = tomllib.loads(str(caught.value).partition("under [data]\n")[2])
    assert written == {
        "skip_lines": 1 + left_out,
        "header": False,
        "names": ["y", "z", *DESCRIBED],
    }


def test_a_first_row_of_rare_words_or_spoilt_numbers_is_a_row_like_any_other(look: Look) -> None:
    assert look(DESCRIBED).contract.features
    rare = {**DESCRIBED, "colour": ["pink", *DESCRIBED["colour"][1:]]}
    assert look({**rare, "shape": ["odd", *_repeated("round", "flat")[1:]]}).contract.features
    spoilt = {"length": ["broken", *DESCRIBED["length"][1:]]}
    with pytest.raises(InputError, match=r"length looks like numbers, except 1 rows \(0\)"):
        look({**DESCRIBED, **spoilt})


def test_years_without_a_gap_are_no_index(look: Look) -> None:
    assert "x" in look({"x": [1940 + n for n in range(ROWS)]}).contract.features
    assert "x" in look({"x": [n + 1 for n in range(ROWS)]}).contract.left_out


def test_rows_without_a_target_are_told_with_the_columns_that_are_refused(look: Look) -> None:
    columns = {"x": [f"Person {n}" for n in range(ROWS)], "y": [*LETTERS[:-2], None, None]}
    with pytest.raises(InputError, match="y is the target, and has no value in 2 rows") as caught:
        look(columns)
    lines = str(caught.value).partition("write, for example:\n")[2].splitlines()
    written = tomllib.loads("\n".join(line.strip() for line in lines))
    assert written == {"data": {"drop": ["x"]}, "contract": {"max_bad_rows": 2}}


def test_gaps_that_give_the_target_away_are_told(look: Look) -> None:
    ended = [
        f"2026-01-{n % 28 + 1:02d}" if answer == "yes" else "" for n, answer in enumerate(LETTERS)
    ]
    contract = look({"x": ended}).contract
    frame = pd.DataFrame(
        {"y": LETTERS, "z": 1.5, "x.elapsed": [1.0 if end else None for end in ended]}
    )
    contract = contract.model_copy(
        update={"features": {"x": contract.features["x"].model_copy(update={"parts": ["elapsed"]})}}
    )
    (note,) = suspicions.check(frame, contract)
    assert note.startswith("whether x is missing alone almost determines y")


def test_a_sign_for_missing_among_categories_is_told(look: Look) -> None:
    (note,) = look({"x": ["."] + ["a", "b", "c"] * 19 + ["a", "b"]}).notes
    assert "x: 1 rows (0), which hold '.'" in note
    assert 'x = { missing = ["."] }' in note
    assert not look({"x": _repeated("+", "-", "++")}).notes
    assert not look({"x": _repeated("-", "a")}, columns={"x": {"missing": ["-"]}}).notes


@pytest.mark.parametrize("role", ["target", "feature"])
def test_lists_are_refused_by_the_name_of_their_column(look: Look, role: str) -> None:
    name = "y" if role == "target" else "x"
    with pytest.raises(InputError, match=f"{name} holds lists or other nested values"):
        look({name: [[1, 2]] * ROWS})


def test_names_that_are_as_different_as_the_target_are_no_copy_of_it(make_settings: Make) -> None:
    data = {"source": "x.csv", "target": "y", "positive": None}
    settings = make_settings(data=data, task={"type": "regression", "metric": "rmse"})
    table: dict[str, list[Any]] = {
        "y": [n * 1.5 + n % 7 for n in range(20)],
        "x": [f"name {n}" for n in range(20)],
    }
    contract = infer(pyarrow.table(table), settings).contract
    assert suspicions.check(pd.DataFrame(table), contract) == []
    copied: dict[str, list[Any]] = {"y": table["y"] * 2, "x": table["x"] * 2}
    with pytest.raises(InputError, match="'x' is a copy of the target"):
        suspicions.check(pd.DataFrame(copied), contract)


def test_numbers_that_the_settings_call_a_category_are_one(look: Look) -> None:
    column = look({"x": _repeated("1", "2.0", "2")}, data={"categories": ["x"]})
    found = column.contract.features["x"]
    assert isinstance(found, CategoryColumn)
    assert (found.spelling, found.categories) == ("number", ["1", "2"])


DAYS = pd.date_range("2026-01-20", periods=ROWS, freq="h")
TIMES: dict[str, tuple[list[Any], str]] = {
    "ISO days": ([f"2026-01-{n % 28 + 1:02d}" for n in range(ROWS)], "ISO8601"),
    "ISO with zones": ([f"{day}+01:00" for day in DAYS], "ISO8601"),
    "days first": ([f"{n % 28 + 1:02d}-03-2026" for n in range(ROWS)], "%d-%m-%Y"),
    "months first": ([f"3/{n % 28 + 1}/2026" for n in range(ROWS)], "%m/%d/%Y"),
    "clocks": ([f"{day:%m/%d/%Y %I:%M:%S %p}" for day in DAYS], "%m/%d/%Y %I:%M:%S %p"),
    "names": ([f"{day:%d-%b-%Y}" for day in pd.date_range("2026-01-20", periods=ROWS)], "%d-%b-%Y"),
    "typed": (list(DAYS), "ISO8601"),
    "dates": ([day.date() for day in DAYS], "ISO8601"),
    "months": ([f"{2000 + n // 12}-{n % 12 + 1:02d}" for n in range(ROWS)], "ISO8601"),
    "months by name": (
        [f"{day:%b %Y}" for day in pd.date_range("2026-01-20", periods=ROWS, freq="MS")],
        "%b %Y",
    ),
    "days by name": (
        [f"{day:%b %d %Y}" for day in pd.date_range("2026-01-20", periods=ROWS)],
        "%b %d %Y",
    ),
    "a clock after a dash": ([f"{day:%Y-%m-%d-%H:%M:%S}" for day in DAYS], "%Y-%m-%d-%H:%M:%S"),
    "months after their year": (
        [f"{day:%Y-%b}" for day in pd.date_range("2026-01-20", periods=ROWS, freq="MS")],
        "%Y-%b",
    ),
    "quarters": ([f"{2000 + n // 4}Q{n % 4 + 1}" for n in range(ROWS)], "%YQ%q"),
    "quarters before their year": (
        [f"Q{n % 4 + 1} {2000 + n // 4}" for n in range(ROWS)],
        "Q%q %Y",
    ),
    "Japanese days": (
        [f"2026年{n // 20 + 1}月{n % 20 + 1}日" for n in range(ROWS)],
        "%Y年%m月%d日",
    ),
    "times of day": ([f"{n % 24:02d}:{n:02d}" for n in range(ROWS)], "%H:%M"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_are_recognised_with_their_format(look: Look, name: str) -> None:
    values, form = TIMES[name]
    found = look({"x": values}).contract
    column = found.features["x"]
    assert isinstance(column, DateColumn)
    assert column.format == form
    assert {"x.weekday", "x.hour", "x.month"} & set(found.inputs)
    assert ("x.weekday" in found.inputs) == ("%d" in form or ("ISO" in form and name != "months"))


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        (["NA", "EU", "AS"], r"x: 'NA' \(20 rows\) is read as missing.*x = \{ missing = \[\] \}"),
        (["None", "Gd", "TA", "NA"], r"'None' .*x = \{ missing = \[\"NA\"\] \} under \[columns\]"),
        (["N/A", "yearly", "monthly", ""], r"'N/A' .*is read as missing"),
        (["NA", "left", "right"], None),
        (["", "EU", "AS"], None),
        (["nan", "red", "low"], None),
    ],
)
def test_a_word_for_missing_that_may_be_a_category_is_named(
    look: Look, texts: list[str], note: str | None
) -> None:
    values = _repeated(*texts)
    found = look({"x": values})
    said = [text for text in found.notes if "read as missing" in text]
    if note is None:
        assert not said
        return
    assert re.search(note, said[0])
    advice = tomllib.loads("[columns]\n" + said[0].partition("write ")[2].partition(" under ")[0])
    again = look({"x": values}, **advice)
    column = again.contract.features["x"]
    assert isinstance(column, CategoryColumn)
    assert texts[0] in column.categories
    assert not [text for text in again.notes if "read as missing" in text]


@pytest.mark.parametrize("zero", ["\u0660", "\uff10", "\u0966"])
def test_digits_of_other_scripts_are_texts_as_for_pandas(look: Look, zero: str) -> None:
    """Python's regular expressions take them for digits, which nothing here reads as numbers."""
    written = ["".join(chr(ord(zero) + int(digit)) for digit in str(n % 9)) for n in range(ROWS)]
    column = look({"x": written}).contract.features["x"]
    assert isinstance(column, CategoryColumn)
    assert zero in column.categories


def test_texts_that_look_like_times_in_no_known_format_are_named(look: Look) -> None:
    found = look({"x": [f"{n % 28 + 1:02d}. Mär 2021" for n in range(ROWS)]})
    assert any("'01. Mär 2021', which look like times" in note for note in found.notes)
    assert not look({"x": _repeated("a-1", "b-2", "12-19")}).notes


def test_numbers_that_do_not_vary_are_no_sum(make_settings: Make) -> None:
    """They differ as texts, in zeros or in digits that no float has."""
    data = {"source": "x.csv", "target": "y", "positive": None}
    settings = make_settings(data=data, task={"type": "regression", "metric": "rmse"})
    table = pyarrow.table(
        {
            "y": [float(n % 11) for n in range(ROWS)],
            "x": ["0.5" + n % 9 * "0" for n in range(ROWS)],
            "k": LETTERS,
        }
    )
    contract = infer(table, settings).contract
    prepared = prepare(table, contract, settings)
    assert suspicions.check(prepared.table, contract) == []


def test_a_column_of_its_own_decimal_mark_has_not_the_files_mark_for_thousands(look: Look) -> None:
    """Lengths with a point in a file whose prices have 1.234,5: 42.5 is not 425."""
    written = {"data": {"decimal": ",", "thousands": "."}, "columns": {"x": {"decimal": "."}}}
    found = look({"x": [f"{n + 1}.5" for n in range(ROWS)]}, **written).contract.features["x"]
    assert isinstance(found, NumberColumn)
    assert (found.marks.decimal, found.marks.thousands) == (".", None)


def test_a_small_column_of_names_is_named(look: Look) -> None:
    few = {"y": list(LETTERS[:18]), "z": [float(n % 7) for n in range(18)]}
    found = look({**few, "x": [f"name {n}" for n in range(18)]})
    assert any("x holds another text in each row" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "form", "day"),
    [
        ("1974Q1", "%YQ%q", "1974-01-01"),
        ("Q4 1974", "Q%q %Y", "1974-10-01"),
        ("1974-Q3", "%Y-Q%q", "1974-07-01"),
        ("1974Q5", "%YQ%q", None),
        ("1974Q12", "%YQ%q", None),
        ("1974Q", "%YQ%q", None),
    ],
)
def test_a_quarter_is_read_as_pandas_reads_it(text: str, form: str, day: str | None) -> None:
    (found,) = parse_times([text], form, None)
    assert pd.isna(found) if day is None else str(found.date()) == day
    if form == "%YQ%q" and day:
        assert pd.Period(text).start_time == found.tz_localize(None)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "thousands": ([f"{n + 1},{n:03d}" for n in range(ROWS)], 'thousands = ","'),
    "dollars": ([f"${n}.50" for n in range(ROWS)], 'remove = ["$"]'),
    "a currency and thousands": (
        [f"€ {n + 1}.{n:03d},50" for n in range(ROWS)],
        'decimal = ",", thousands = ".", remove = ["€"]',
    ),
    "percent": ([f"{n}.5 %" for n in range(ROWS)], 'remove = ["%"]'),
    "kilograms": ([f"{n}.5 kg" for n in range(ROWS)], 'remove = ["kg"]'),
    "negative dollars": (
        [f"-${n}.50" if n % 2 else f"${n}.50" for n in range(ROWS)],
        'remove = ["$"]',
    ),
    "a few zeros before": ([("007" if n == 7 else f"{n}.5") for n in range(ROWS)], "type"),
    "a few words": ([("low" if n == 7 else f"{n}.5") for n in range(ROWS)], 'missing = ["low"]'),
    "two ways to read a day": (
        [f"0{n % 9 + 1}-0{n // 9 + 1}-2026" for n in range(ROWS)],
        'format = "%d-%m-%Y"',
    ),
    "a few that are no days": (
        [("unknown day" if n == 3 else f"2026-01-{n % 28 + 1:02d}") for n in range(ROWS)],
        'missing = ["unknown day"]',
    ),
    "a word in many rows": (
        [("k.A." if n % 4 == 0 else f"{n}.5") for n in range(ROWS)],
        'missing = ["k.A."]',
    ),
    "square metres": ([f"{n}.5 m²" for n in range(ROWS)], 'remove = ["m²"]'),
    "degrees": ([f"{n}.5°C" for n in range(ROWS)], 'remove = ["°C"]'),
    "a typographic apostrophe": (
        [f"{n + 1}\u2019{n:03d}" for n in range(ROWS)],
        'thousands = "\u2019"',
    ),
    "limits of detection": ([("<" if n % 5 == 0 else "") + f"{n}.5" for n in range(ROWS)], "type"),
    "texts": ([f"text {n}" for n in range(ROWS)], 'type = "text"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_column_that_cannot_be_decided_is_refused_with_what_decides_it(
    look: Look, name: str
) -> None:
    values, written = REFUSED[name]
    with pytest.raises(InputError) as caught:
        look({"x": values}, contract={"max_categories": 30})
    assert f"x = {{ {written}" in str(caught.value) or f", {written}" in str(caught.value)
    line = next(part for part in str(caught.value).splitlines() if "x = {" in part)
    import tomllib

    chosen = tomllib.loads(line.strip().removeprefix("# "))["x"]
    again = look({"x": values}, columns={"x": chosen}).contract.features["x"]
    assert isinstance(again, NumberColumn | DateColumn | TextColumn)


def test_negative_numbers_in_parentheses_are_refused_by_what_they_are(look: Look) -> None:
    values = [f"({n}.5)" if n % 3 == 1 else f"{n}.5" for n in range(ROWS)]
    with pytest.raises(InputError, match=r"20 rows \(1, 4, .*negative ones stand in parentheses"):
        look({"x": values})


def test_a_mark_before_an_exponent_is_a_decimal_mark() -> None:
    assert readings(["5,840E+07", "1,125E+03"]) == [Marks(decimal=",")]


def test_a_minus_at_the_end_is_reported(look: Look) -> None:
    values = [f"{n}.5-" if n % 3 == 1 else f"{n}.5" for n in range(ROWS)]
    with pytest.raises(InputError, match=r"20 rows \(1, 4, .*stands at their end; write it before"):
        look({"x": values})


NOTED: dict[str, tuple[list[str], str]] = {
    "a number for missing": (
        [("-999" if n % 4 == 0 else f"{n}.5") for n in range(ROWS)],
        "x is -999 in 15 rows, unlike its other numbers",
    ),
    "codes with an E": ([f"{n % 9 + 1}E{n % 4}" for n in range(ROWS)], 'write x = "category"'),
    "some zones": (
        [
            f"2026-03-{n % 28 + 1:02d}T{n % 24:02d}:00:00" + "+01:00" * (n % 5 > 0)
            for n in range(60)
        ],
        "some times have a zone, but not 12 rows (0, 5, ",
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_may_mean_something_else_is_reported(look: Look, name: str) -> None:
    values, said = NOTED[name]
    assert [note for note in look({"x": values}).notes if said in note]


@pytest.mark.parametrize("typed", [False, True])
def test_what_a_note_says_of_nines_makes_them_missing(look: Look, typed: bool) -> None:
    values = [(-999.0 if n % 4 == 0 else n + 0.5) for n in range(ROWS)]
    columns = {"x": values if typed else [f"{value:g}" for value in values]}
    (note,) = look(columns).notes
    shown = note.rpartition("x = { ")[2].partition(" }")[0]
    found = look(columns, columns=tomllib.loads(f"x = {{ {shown} }}"))
    column = found.contract.features["x"]
    assert isinstance(column, NumberColumn)
    assert (column.null_rate, found.notes) == (0.25, [])
    assert column.minimum > -999


def test_nines_among_other_numbers_are_not_reported(look: Look) -> None:
    assert not look({"x": [str(n + 980) for n in range(ROWS - 3)] + ["999"] * 3}).notes


def test_numbers_that_a_file_calls_categories_are_categories(look: Look) -> None:
    values = pyarrow.array([f"{n % 5}" for n in range(ROWS)]).dictionary_encode()
    column = look({"x": values}).contract.features["x"]
    assert isinstance(column, CategoryColumn)
    assert column.categories == ["0", "1", "2", "3", "4"]
    many = pyarrow.array([f"{n}.5" for n in range(ROWS)]).dictionary_encode()
    found = look({"x": many}, contract={"max_categories": 30}).contract.features["x"]
    assert isinstance(found, NumberColumn)


@pytest.mark.parametrize("place", [0, ROWS])
def test_a_row_of_totals_is_an_offending_row(make_settings: Make, place: int) -> None:
    random = np.random.default_rng(2)
    rows = [
        (f"{a:.2f}", f"{b}", "red") for a, b in zip(random.random(ROWS), range(ROWS), strict=True)
    ]
    whole = sum(float(a) for a, _, _ in rows)
    rows.insert(place, (f"{whole:.2f}", f"{ROWS * (ROWS - 1) // 2}", "Total"))
    table = pyarrow.table(dict(zip("yab", map(list, zip(*rows, strict=True)), strict=True)))
    task = {"type": "regression", "metric": "rmse"}
    data = {"source": "x.csv", "target": "y", "positive": None}
    settings = make_settings(data=data, task=task)
    contract = infer(table, settings).contract
    with pytest.raises(InputError, match=rf"a, y: totals of the other rows: 1 \(rows {place}\)"):
        prepare(table, contract, settings)
    allowed = make_settings(data=data, task=task, contract={"max_bad_rows": 1})
    assert prepare(table, contract, allowed).set_aside == 1
    assert prepare(table.slice(1 - place // ROWS, ROWS), contract, settings).set_aside == 0


def test_a_header_that_comes_again_is_reported(look: Look) -> None:
    values = [*(f"{n}.5" for n in range(ROWS - 1)), "x"]
    with pytest.raises(InputError, match=r"1 rows \(59\), which hold 'x': the header again"):
        look({"x": values})


def test_a_percent_sign_in_some_rows_only_is_reported(look: Look) -> None:
    values = [f"{n}.5%" if n % 4 else f"0.{n:03d}" for n in range(ROWS)]
    with pytest.raises(InputError, match=r"25% of the rows are without %: is it so"):
        look({"x": values})


def test_a_target_of_money_is_refused_with_what_reads_it(look: Look) -> None:
    task = {"type": "regression", "metric": "rmse"}
    values = [f"${n + 1},000.50" for n in range(ROWS)]
    data = {"target": "x", "positive": None}
    with pytest.raises(InputError, match=r'x = \{ type = "number", thousands = ",", remove'):
        look({"x": values}, task=task, data=data)


@pytest.mark.parametrize("as_float", [False, True])
def test_days_written_as_numbers_are_told_with_what_reads_them(look: Look, as_float: bool) -> None:
    days = [int(f"{day:%Y%m%d}") for day in pd.date_range("2026-02-20", periods=ROWS)]
    values = [None, *map(float, days[1:])] if as_float else days
    found = look({"x": values})
    assert isinstance(found.contract.features["x"], NumberColumn)
    told = next(note for note in found.notes if "x looks like days" in note)
    assert 'x = { type = "date", format = "%Y%m%d" }' in told
    again = look({"x": values}, columns={"x": {"type": "date", "format": "%Y%m%d"}})
    assert not again.notes
    assert "x.weekday" in again.contract.inputs


@pytest.mark.parametrize("name", ["id", "customerID", "PassengerId", "patient_no"])
def test_a_number_that_is_probably_an_id_is_reported(look: Look, name: str) -> None:
    values = [1000 + 7 * n for n in range(ROWS)]
    assert any(f'id_columns = ["{name}"]' in note for note in look({name: values}).notes)
    assert not look({name: [*values[1:], values[1]]}).notes
    assert not look({"paid": values}).notes


def test_numbers_of_eight_digits_that_are_no_days_are_not_reported(look: Look) -> None:
    assert not look({"x": [20260101 + 35 * n for n in range(ROWS)]}).notes


def test_all_columns_at_fault_are_named_at_once(look: Look) -> None:
    columns = {f"x{number}": values for number, (values, _) in enumerate(REFUSED.values())}
    with pytest.raises(InputError) as caught:
        look(columns, contract={"max_categories": 30})
    assert all(f"\n  x{number} " in str(caught.value) for number in range(len(REFUSED)))
    assert f'drop = ["x{len(REFUSED) - 1}"]' in str(caught.value)


def test_one_decimal_comma_in_a_file_is_said_once_for_the_file(look: Look) -> None:
    columns = {"a": [f"{n},5" for n in range(ROWS)], "b": [f"{n + 1}.{n:03d}" for n in range(ROWS)]}
    with pytest.raises(InputError, match=r'a hold .* decimal = "," and thousands = "\."'):
        look(columns)
    told = {"decimal": ",", "thousands": "."}
    found = look(columns, data=told).contract.features["b"]
    assert isinstance(found, NumberColumn)
    assert found.maximum > 60_000


def test_a_point_that_may_be_of_thousands_is_not_guessed(look: Look) -> None:
    values = [f"{n + 1}.{n:03d}" for n in range(ROWS)]
    columns = {"b": values, "z": _repeated("1", "2")}
    with pytest.raises(InputError, match=r"1\.234 may be 1234"):
        look(columns, data={"separator": ";"})
    look(columns, data={"separator": ";", "decimal": "."})


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        ({"x": [None] * ROWS}, "x is empty: it is left out"),
        ({"x": [" "] * ROWS}, "x is empty: it is left out"),
        ({"x": [str(n) for n in range(ROWS)]}, "x only counts the rows, from 0 to 59"),
        ({"x": list(range(ROWS, 0, -1))}, "x only counts the rows, from 1 to 60"),
        (
            {"Unnamed: 0": [7 * n % 997 for n in range(ROWS)]},
            "Unnamed: 0 is another number in every row, and has no name: it is left out",
        ),
        ({"x": ["2026"] * ROWS}, "x is '2026' in every row: it is left out"),
        ({"x": [True] * ROWS}, "x is 'true' in every row: it is left out"),
    ],
)
def test_a_column_that_says_nothing_is_left_out_and_said(
    look: Look, columns: dict[str, Any], note: str
) -> None:
    found = look(columns)
    assert any(note in entry for entry in found.notes)
    assert next(iter(columns)) in found.contract.left_out
    assert "x" not in found.contract.features


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([float("inf")] + [1.0] * (ROWS - 1), r"x has 1 infinite values \(rows 0\)"),
        ([1e308, 2.0] * (ROWS // 2), r"x has 30 values beyond 3.4028e\+38"),
        ([[1, 2]] * ROWS, "x holds lists or other nested values"),
        ([b"\xff\xfe"] * ROWS, "x holds bytes that are no text"),
    ],
)
def test_values_that_no_model_takes_are_refused(
    look: Look, values: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        look({"x": values})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["yes"] * ROWS, "has one class only: yes"),
        ([None] * ROWS, "has no values"),
        (_repeated(*"abcd"), r'has 4 classes .* write type = "multiclass"'),
        (_repeated("on", "off"), "data.positive 'yes' is not one of its classes; write one of"),
        (_repeated("yes", "None"), r"'None' \(30 rows\), which may be a class .* missing = \[\]"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(
    look: Look, target: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        look({"y": pyarrow.array(target, type=pyarrow.string())})


@pytest.mark.parametrize("positive", [1, True, "1", "True", "1.0", "true"])
def test_the_positive_class_may_be_written_as_it_looks(look: Look, positive: Any) -> None:
    contract = look({"y": _repeated("0", "1")}, data={"positive": positive}).contract
    assert contract.class_named(str(positive).lower()) == "1"


def test_classes_can_be_merged_and_left_out(look: Look, make_settings: Make) -> None:
    rows = [*_repeated("a", "b")[:-3], "c", "d", "e"]
    data = {"positive": None, "merge_classes": {"b": ["c", "d"]}, "drop_classes": ["e"]}
    task = {"type": "multiclass", "metric": "accuracy"}
    contract = look({"y": rows}, data=data, task=task).contract
    assert contract.classes == ["a", "b"]
    table = pyarrow.table({"y": rows, "z": [0.5] * ROWS})
    more: dict[str, Any] = {"source": "x", "target": "y", **data}
    prepared = prepare(table, contract, make_settings(data=more, task=task))
    assert (prepared.dropped, prepared.set_aside) == (1, 0)
    assert sorted(prepared.table["y"].value_counts().to_dict().items()) == [("a", 29), ("b", 30)]


def test_names_that_the_data_lacks_come_with_the_nearest(look: Look) -> None:
    with pytest.raises(InputError, match=r"names 'Z', which is not in the data \(there is 'z'\)"):
        look({}, data={"drop": ["Z"]})


def test_ten_thousand_columns_are_refused_with_the_line_to_write(look: Look) -> None:
    with pytest.raises(InputError, match="max_columns = 2502 under"):
        look({f"c{n}": [0.0] * ROWS for n in range(2500)})


def test_names_that_predictions_use_get_others(look: Look) -> None:
    contract = look({"prediction": _repeated("1.5", "2.5"), "row": _repeated("a", "b")}).contract
    assert contract.outputs == {"prediction": "model_prediction", "row": "model_row"}


def _suspect(look: Look, make_settings: Make, **columns: Any) -> list[str]:
    contract = look(columns).contract
    data = {"source": "x.csv", "target": "y", "positive": "yes"}
    table = {"y": list(LETTERS), "z": [n % 7 + 0.5 for n in range(ROWS)], **columns}
    prepared = prepare(pyarrow.table(table), contract, make_settings(data=data))
    return suspicions.check(prepared.table, contract)


@pytest.mark.parametrize("words", [("yes", "no"), ("1", "0"), ("good", "bad")])
def test_a_copy_of_the_target_is_refused(
    look: Look, make_settings: Make, words: tuple[str, str]
) -> None:
    copy = [words[0] if value == "yes" else words[1] for value in LETTERS]
    with pytest.raises(InputError, match=r"'x' is a copy of the target 'y'.*drop = \[\"x\"\]"):
        _suspect(look, make_settings, x=copy)


def test_a_feature_that_almost_determines_the_target_is_reported(
    look: Look, make_settings: Make
) -> None:
    random = np.random.default_rng(1)
    near = [float(value == "yes") * 100 + random.random() * 30 for value in LETTERS]
    assert "x alone almost determines y" in _suspect(look, make_settings, x=near)[0]
    assert _suspect(look, make_settings, x=list(random.random(ROWS))) == []


def test_a_category_that_almost_determines_the_target_is_reported(
    look: Look, make_settings: Make
) -> None:
    """A copy in which one row differs, or that has two words for a class."""
    random = np.random.default_rng(1)
    answers = random.choice(["yes", "no"], 300)
    columns = {"y": list(answers), "z": [n % 7 + 0.5 for n in range(300)]}
    words = {"yes": ["died", "lost"], "no": ["here", "moved"]}
    near = [words[answer][n % 2] for n, answer in enumerate(answers)]
    near[7] = words["no" if answers[7] == "yes" else "yes"][0]
    for values, said in (
        (near, True),
        ([*near[:250], *(["here"] * 50)], False),
        (list(random.choice(["a", "b"], 300)), False),
        ([f"name {n // 2}" for n in range(300)], False),
    ):
        chosen = {"x": values}
        contract = look({**columns, **chosen}, contract={"max_categories": 500}).contract
        found = suspicions.check(pd.DataFrame({**columns, **chosen}), contract)
        assert bool(found) == said
        assert all(note.startswith("x alone almost determines y (0.99") for note in found)


def test_a_category_that_stands_for_the_number_is_reported(make_settings: Make) -> None:
    random = np.random.default_rng(1)
    band = random.integers(0, 5, 200)
    table = {
        "y": list(band * 10 + 2 * random.random(200)),
        "x": [f"band {n}" for n in band],
        "other": list(random.choice(["a", "b"], 200)),
    }
    data = {"source": "x.csv", "target": "y", "positive": None}
    settings = make_settings(data=data, task={"type": "regression", "metric": "rmse"})
    contract = infer(pyarrow.table(table), settings).contract
    (note,) = suspicions.check(pd.DataFrame(table), contract)
    assert note.startswith("x alone almost determines y (0.99")


def test_sums_and_logarithms_of_the_target_are_reported(make_settings: Make) -> None:
    random = np.random.default_rng(1)
    parts = random.integers(1, 900, (2, 200)).astype(float)
    target = parts.sum(axis=0)
    table = pyarrow.table(
        {
            "y": target,
            "a": parts[0],
            "b": parts[1],
            "log": np.log(target),
            "other": random.random(200),
        }
    )
    settings = make_settings(
        data={"source": "x.csv", "target": "y", "positive": None},
        task={"type": "regression", "metric": "rmse"},
    )
    contract = infer(table, settings).contract
    found = suspicions.check(prepare(table, contract, settings).table, contract)
    assert "log alone almost determines y" in found[0]
    assert "y is a sum of a, b" in found[1]


COMMA = {"decimal": ",", "thousands": "."}


@pytest.mark.parametrize(
    ("odd", "match"),
    [
        (["abc"], r'looks like numbers, except 1 rows \(0\).*missing = \["abc"\]'),
        (["3,1*", "4,1*"], r'looks like numbers, of which 2 rows .*remove = \["\*"\]'),
        (["< 5,5"], r'looks like numbers, of which 1 rows .*remove = \["<"\]'),
    ],
)
def test_a_few_other_texts_are_told_from_numbers_as_the_file_writes_them(
    look: Look, odd: list[str], match: str
) -> None:
    values = [*odd, *(f"1.{n:03d},{n % 7}5" for n in range(ROWS - len(odd)))]
    with pytest.raises(InputError, match=f"(?s){match}") as caught:
        look({"x": values}, data=COMMA)
    assert "decimal" not in str(caught.value)


def test_points_in_a_file_of_decimal_commas_are_refused_with_what_reads_them(look: Look) -> None:
    values = {"x": [f"{n}.{n % 7}5" for n in range(ROWS)]}
    with pytest.raises(InputError, match="written for people") as caught:
        look(values, data={"decimal": ","})
    written = tomllib.loads(str(caught.value).partition("write, for example:\n")[2])
    assert written["columns"]["x"] == {"type": "number", "decimal": "."}
    assert look(values, data={"decimal": ","}, columns=written["columns"]).contract.features
