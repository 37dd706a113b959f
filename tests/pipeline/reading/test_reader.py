"""CSV as people and programs write it: read as the settings say, or refused with what to write."""

from pathlib import Path
from random import Random

import pytest

from pipeline.errors import InputError
from pipeline.reading.files import find
from pipeline.reading.formats import Format
from pipeline.reading.reader import read_chunks, read_table

PLAIN = "saeure,dichte,klasse\n" + "".join(f"{n}.5,{2000 + n},gut\n" for n in range(40))
R_TABLE = '"saeure" "dichte" "klasse"\n' + "".join(
    f'"row {n}" {n}.5 {2000 + n} "gut"\n' for n in range(40)
)
GERMAN = "saeure;dichte;klasse\n" + "".join(f"{n},5;2.{100 + n};gut\n" for n in range(40))


def _read(tmp_path: Path, content: str | bytes, **settings: object) -> list[dict[str, str]]:
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_table(find(path, "x.csv"), Format.model_validate(settings), ["klasse"])
    rows: list[dict[str, str]] = table.to_pylist()
    return rows


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (PLAIN, {}),
        (PLAIN.replace("\n", "\r\n"), {}),
        (PLAIN.replace("\n", "\r"), {}),
        (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
        (PLAIN.encode("utf-16"), {}),
        (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (PLAIN.replace(",", "\t"), {"separator": "\t"}),
        (PLAIN.replace(",", "::"), {"separator": "::"}),
        (PLAIN.replace(",", "§"), {"separator": "§"}),
        (PLAIN.replace(",", "   "), {"separator": "whitespace"}),
        ("sep=,\n" + PLAIN, {"skip_lines": 1}),
        ("a title\n\n" + PLAIN, {"skip_lines": 2}),
        (PLAIN.partition("\n")[2], {"header": False, "names": ["saeure", "dichte", "klasse"]}),
        (PLAIN.replace("saeure", "x"), {"names": ["saeure", "dichte", "klasse"]}),
        (PLAIN.replace("gut", "'gut'"), {"quote": "'"}),
        (PLAIN + "\n\n", {}),
    ],
)
def test_a_file_is_read_as_the_settings_say(
    tmp_path: Path, content: str | bytes, settings: dict[str, object]
) -> None:
    rows = _read(tmp_path, content, **settings)
    assert len(rows) == 40
    assert rows[3] == {"saeure": "3.5", "dichte": "2003", "klasse": "gut"}


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (GERMAN, ['separator = ";"', 'decimal = ","', 'thousands = "."']),
        (GERMAN.replace("saeure;", '"Säure, g";'), ['separator = ";"', 'decimal = ","']),
        (GERMAN.replace("gut", "süß").encode("cp1252"), ['encoding = "cp1252"', 'separator = ";"']),
        (PLAIN.replace(",", "\t"), ['separator = "\\t"']),
        (PLAIN.replace(",", "|"), ['separator = "|"']),
        (PLAIN.replace(",", " "), ['separator = "whitespace"']),
        ("sep=,\n" + PLAIN, ["skip_lines = 1"]),
        ("Export of 1 March\nby somebody\n" + PLAIN, ["skip_lines = 2"]),
        (PLAIN.replace(",", "  ").replace("gut", '"sehr gut"'), ['separator = "whitespace"']),
        (PLAIN.replace("gut", '"gut, \\"ja\\""'), ['escape = "\\\\"']),
        (PLAIN.replace("gut\n", "gut,a\n"), ["skip_lines = 1", "header = false", 'names = ["row']),
        (PLAIN.replace("gut", "'gut'"), ['quote = "\'"']),
        (PLAIN.replace("gut", "'gut, a'"), ['quote = "\'"']),
        (R_TABLE, ['separator = "whitespace"', "skip_lines = 1", 'names = ["row", "saeure"']),
        (R_TABLE.replace(" ", "\t"), ['separator = "\\t"', 'names = ["row", "saeure"']),
        (PLAIN.replace("klasse", "klasse,"), ["skip_lines = 1", 'names = ["saeure", "dichte", "k']),
        (PLAIN.replace(",gut", ', "gut"'), ['separator = ", *"']),
        (PLAIN.replace(",", ", "), ['separator = ", *"']),
        (PLAIN.replace(",klasse", ",  klasse"), ['separator = ", *"']),
        (PLAIN.replace(",gut", ',  "gut, ""ja"""'), ['separator = ", *"']),
        ("Export\n" + GERMAN, ["skip_lines = 1", 'separator = ";"', 'decimal = ","']),
        (PLAIN.encode("utf-16-le"), ['encoding = "utf-16-le"']),
        (PLAIN.replace(",", ", ").replace("gut", '"gut"'), ['separator = ", "']),
        (PLAIN.replace(",", ", ").replace("gut", '"gut, a"'), ['separator = ", "']),
        (PLAIN.replace(",", ",   ").replace("gut", '"gut, a"'), ['separator = ", "']),
        (
            PLAIN.replace(",", ",  ").replace("gut", '"gut, \\"ja\\""'),
            ['separator = ", "', 'escape = "\\\\"'],
        ),
    ],
)
def test_a_file_that_is_written_otherwise_is_refused_with_lines_that_read_it(
    tmp_path: Path, content: str | bytes, lines: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, content)
    for line in lines:
        assert line in str(caught.value)
    import tomllib

    shown = str(caught.value)
    written = "\n".join(part.strip() for part in shown.splitlines() if " = " in part)
    if "under [data]\n" not in shown:
        written = lines[0]
    rows = _read(tmp_path, content, **tomllib.loads(written))
    assert len(rows) == 40
    assert set(rows[0]) >= {"dichte", "klasse"}


@pytest.mark.parametrize("header", ["Säure;Dichte;Güte", '"Säure, g/l";"Dichte";"Güte"'])
def test_another_separator_is_named_even_where_no_column_has_a_name_that_is_known(
    tmp_path: Path, header: str
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, GERMAN.replace(GERMAN.splitlines()[0], header))
    for line in ('separator = ";"', 'decimal = ","'):
        assert line in str(caught.value)


def test_a_file_without_a_header_is_recognised(tmp_path: Path) -> None:
    rows = "".join(f"{30 + n}, State-gov, {n % 3}, <=50K\n" for n in range(40))
    with pytest.raises(InputError, match=r"seems to have no header.*write header = false"):
        _read(tmp_path, rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN + "1,2\n", r"line 42 of x.csv has 2 fields, but the header has 3 columns: '1,2'"),
        (PLAIN.replace("3.5,2003,gut", "3.5,2003,gut,"), "line 5 .* it ends in a separator"),
        (PLAIN + "1,5,2000,gut\n", "line 42 .* has 4 fields"),
        (PLAIN + '1,2,"gut\n3,4,gut\n5,6,gut\n', "line 42 has a quote that is not closed"),
        (PLAIN + '1,2,"gut\n3,4,"gut"\n', "line 42 has a quote that is not closed"),
        (PLAIN + '1,"2,gut\n', "line 42 has a quote that is not closed"),
        ("a,a,klasse\n1,2,3\n", r'names = \["a", "a_2", "klasse"\]'),
        ("klasse,x\n", "a header but no rows"),
        (
            PLAIN.encode() + b"1,2,gr\x9fn\n",
            "byte 0x9f at position [0-9]+., which cp1252 reads as 'grŸn'",
        ),
        (PLAIN.encode() + b"1,2,\xff\n", "is not utf-8 .byte 0xff"),
    ],
)
def test_a_row_that_slips_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, content)


def test_blanks_before_quotes_are_named_where_no_separator_reads_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"blanks before quotes.*: remove these blanks"):
        _read(tmp_path, PLAIN.replace(",200", ', "200').replace(",gut", '" ,gut'))
    # A text that has quotes within is none of these.
    assert _read(tmp_path, PLAIN.replace("gut", ' sehr "gut"'))[0]["klasse"] == ' sehr "gut"'


def test_any_blanks_or_none_may_follow_a_separator(tmp_path: Path) -> None:
    content = PLAIN.replace("1.5,", "1.5,   ").replace(",gut", ', "gut, *x"')
    rows = _read(tmp_path, content, separator=", *")
    assert rows[1] == {"saeure": "1.5", "dichte": "2001", "klasse": "gut, *x"}
    assert rows[2]["dichte"] == "2002"


CYRILLIC = "цена,klasse\n" + "".join(f"{n},да\n" for n in range(40))
JAPANESE = "価格,klasse\n" + "".join(f"{n},良い部屋\n" for n in range(40))


@pytest.mark.parametrize(
    ("content", "codec", "target"),
    [(CYRILLIC, "cp1251", "цена"), (JAPANESE, "cp932", "価格"), (JAPANESE, "gb18030", "価格")],
)
def test_the_encoding_is_the_one_in_which_the_columns_have_their_names(
    tmp_path: Path, content: str, codec: str, target: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content.encode(codec))
    with pytest.raises(InputError) as caught:
        read_table(find(path, "x.csv"), Format(), [target])
    assert f'encoding = "{codec}"' in str(caught.value)
    assert f"{codec} reads as '{target}'" in str(caught.value)


def test_no_encoding_is_proposed_under_which_a_text_has_control_characters(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, JAPANESE.encode("cp932"))
    assert 'encoding = "cp932"    # 価格' in str(caught.value)
    assert "latin-1" not in str(caught.value)


@pytest.mark.parametrize("row", ["1,2", "1,2,3,gut", '1,"2,gut'])
def test_no_setting_is_proposed_for_a_fault_that_stands_after_the_sample(
    tmp_path: Path, row: str
) -> None:
    content = PLAIN + "9,9,gut\n" * 600 + row + "\n" + "9,9,gut\n" * 9
    with pytest.raises(InputError, match=r"line 642 ") as caught:
        _read(tmp_path, content)
    assert "escape" not in str(caught.value)
    assert 'quote = "\'"' not in str(caught.value)


def test_a_libsvm_file_is_refused_by_name(tmp_path: Path) -> None:
    rows = "".join(f"{n % 2} 1:{n}.5 3:-0.25\n" for n in range(40))
    with pytest.raises(InputError, match=r"LIBSVM file.*convert it to CSV"):
        _read(tmp_path, rows, header=False, names=["klasse"])


def test_a_separator_that_ends_in_a_blank_has_more_of_them_but_not_within_quotes(
    tmp_path: Path,
) -> None:
    text = 'gut,   ""sehr"",  gut'
    content = PLAIN.replace(",", ",     ").replace("gut", f'"{text}"')
    rows = _read(tmp_path, content, separator=", ")
    assert rows[3] == {"saeure": "3.5", "dichte": "2003", "klasse": 'gut,   "sehr",  gut'}
    escaped = content.replace('""', '\\"')
    assert _read(tmp_path, escaped, separator=", ", escape="\\") == rows
    bare = _read(tmp_path, PLAIN.replace(",", ",  ").replace("gut", "'gut"), separator=", ")
    assert bare[3] == {"saeure": "3.5", "dichte": "2003", "klasse": "'gut"}


HOSTILE = ("a", "b,c", "x, y", 'he said "no"', "  lead", "é§", "it's", "1,   2", '",', 'a"b', "\\")


def test_hostile_texts_are_read_as_they_were_written_with_blanks_after_commas(
    tmp_path: Path,
) -> None:
    random = Random(0)

    def written(text: str) -> str:
        bare = not set(text) & set(',"\n ') and random.random() < 0.3
        return text if bare else '"' + text.replace('"', '""') + '"'

    for _ in range(60):
        names = ["klasse", *(f"h{place}" for place in range(random.randint(1, 4)))]
        texts = (*HOSTILE, "x\ny", "p,\n  q\n")
        rows = [{name: random.choice(texts) for name in names} for _ in range(6)]
        lines = [
            "".join(
                ("," + " " * random.randint(1, 4) if place else "") + written(text)
                for place, text in enumerate(row.values())
            )
            for row in rows
        ]
        content = "\n".join([", ".join(names), *lines, ""])
        assert _read(tmp_path, content, separator=", ") == rows


@pytest.mark.parametrize("separator", [", ", "::", "§"])
def test_a_separator_of_any_kind_is_part_of_a_text_within_quotes(
    tmp_path: Path, separator: str
) -> None:
    text = f"gut{separator}sehr\ngut{separator}"
    content = PLAIN.replace(",", separator).replace("gut", f'"{text}"')
    content = content.replace("saeure", f'"saeure{separator}"', 1)
    rows = _read(tmp_path, content, separator=separator)
    assert rows[3] == {f"saeure{separator}": "3.5", "dichte": "2003", "klasse": text}


def test_quoted_line_breaks_separators_and_quotes_are_part_of_a_text(tmp_path: Path) -> None:
    rows = _read(tmp_path, 'a,klasse\n"x\ny, ""z""",gut\n1,"gut"\n')
    assert rows == [{"a": 'x\ny, "z"', "klasse": "gut"}, {"a": "1", "klasse": "gut"}]


REMARKS = "#,unit,id,(x)\n#,from,day,2026-01-01 10:00\n\n"


@pytest.mark.parametrize("end", ["", ","])
def test_a_header_below_remarks_is_found_and_no_other_separator_is_proposed(
    tmp_path: Path, end: str
) -> None:
    rows = "".join(f"{n},2026-01-01 {n % 24:02d}:00:00,gut{end}\n" for n in range(40))
    content = f"{REMARKS}a,when,klasse\n{rows}"
    with pytest.raises(InputError, match=r"'klasse' .* but in line 4: write skip_lines = 3"):
        _read(tmp_path, content)
    if end:
        with pytest.raises(InputError, match="it ends in a separator"):
            _read(tmp_path, content, skip_lines=3)
    else:
        assert len(_read(tmp_path, content, skip_lines=3)) == 40


def test_columns_of_a_fixed_width_are_refused_by_what_they_are(tmp_path: Path) -> None:
    rows = "".join(f"{n:4d}   {'< 12' if n % 2 else '12 or more'} years  gut\n" for n in range(40))
    with pytest.raises(InputError, match=r"only one column, .* of a fixed width"):
        _read(tmp_path, "   a   school  klasse\n" + rows)


@pytest.mark.parametrize("lines", [1, 2, 7])
def test_a_sample_that_ends_within_quotes_is_no_fault_of_the_file(
    tmp_path: Path, lines: int
) -> None:
    """The first lines are looked at by themselves; a text of several lines may be cut there."""
    text = "word\n" * lines
    rows = "".join(f'{n},"{text}",gut\n' for n in range(600))
    assert len(_read(tmp_path, f"a,b,klasse\n{rows}")) == 600
    long = "x" * 3000
    rows = "".join(f'{n},"{long}\n{long}",gut\n' for n in range(300))
    assert len(_read(tmp_path, f"a,b,klasse\n{rows}")) == 300


def test_a_quote_that_is_not_closed_is_found_beyond_the_first_lines(tmp_path: Path) -> None:
    rows = "".join(f'{n},"two\nlines",gut\n' for n in range(600))
    with pytest.raises(InputError, match="line 1202 has a quote that is not closed"):
        _read(tmp_path, f'a,b,klasse\n{rows}1,"two,gut\n3,4,gut\n')


def test_numbers_as_names_beside_a_word_above_times_are_a_header(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-{n + 1:02d},{n}.5,{n * 2}\n" for n in range(28))
    for name in ("ts", "day"):
        assert _read(tmp_path, f"{name},00,10\n{rows}")[3] == {
            name: "2026-01-04",
            "00": "3.5",
            "10": "6",
        }
    with pytest.raises(InputError, match="seems to have no header"):
        _read(tmp_path, rows)


def test_one_column_without_a_header_is_separated_otherwise(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'only one column.*\n  separator = "whitespace"'):
        _read(tmp_path, "A11 6 A34\nA12 48 A32\nA14 12 A34\nA11 42 A32\n" * 9, header=False)


def test_a_first_row_that_is_taken_for_a_header_of_doubled_names_is_reported(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="a row and no header, write header = false"):
        _read(tmp_path, "0,0,klasse\n1,2,gut\n")


def test_columns_without_a_name_are_called_as_pandas_calls_them(tmp_path: Path) -> None:
    assert _read(tmp_path, ",klasse,\n0,gut,\n") == [
        {"Unnamed: 0": "0", "klasse": "gut", "Unnamed: 2": None}
    ]


def test_a_field_may_be_longer_than_what_pythons_csv_module_takes(tmp_path: Path) -> None:
    long = "x" * 200_000
    assert set(_read(tmp_path, f"{long},klasse\n1,gut\n")[0]) == {long, "klasse"}
    assert _read(tmp_path, f"a,klasse\n{long},gut\n")[0]["a"] == long


@pytest.mark.parametrize("columns", [2, 16, 64])
def test_chunks_are_small_and_miss_no_row(tmp_path: Path, columns: int) -> None:
    """Wide and long files: a chunk is one batch, whatever the size of Arrow's blocks."""
    rows = 3_000_000 // (columns * 6)
    path = tmp_path / "x.csv"
    with path.open("w") as file:
        file.write(",".join(f"c{n}" for n in range(columns)) + "\n")
        file.writelines(f"{row}" + ",12345" * (columns - 1) + "\n" for row in range(rows))
    chunks = list(read_chunks(find(path, "x"), Format(), 5_000))
    assert max(chunk.rows.num_rows for chunk in chunks) <= 5_000
    found = [int(text) for chunk in chunks for text in chunk.rows["c0"].to_pylist()]
    assert found == list(range(rows))
    assert [chunk.first for chunk in chunks[:2]] == [0, chunks[0].rows.num_rows][: len(chunks)]
