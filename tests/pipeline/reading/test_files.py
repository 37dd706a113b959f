"""What kind of file something is, by its content."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from pipeline.errors import InputError
from pipeline.reading import documents, reader
from pipeline.reading.files import find
from pipeline.reading.formats import Format
from pipeline.reading.reader import read_table

ROWS = b"a,b\n1,x\n2,y\n"


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"a": ["1", "2"], "b": ["x", "y"]}).to_parquet(buffer)
    return buffer.getvalue()


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            # Without the time of day, which would be part of a test's name.
            archive.writestr(zipfile.ZipInfo(name.replace("__", ".")), content)
    return buffer.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "x.csv": lambda: ROWS,
    "x.data": lambda: ROWS,
    "x": lambda: ROWS,
    "x.tsv": lambda: ROWS.replace(b",", b"\t"),
    "x.csv.bz2": lambda: bz2.compress(ROWS),
    "x.tsv.xz": lambda: lzma.compress(ROWS.replace(b",", b"\t")),
    "x.csv.gz": lambda: gzip.compress(ROWS, mtime=0),
    "gzip-under-another-name.csv": lambda: gzip.compress(ROWS, mtime=0),
    "x.zip": lambda: _zip(rows__csv=ROWS),
    "zip-under-another-name.csv": lambda: _zip(readme__md=b"# hello", rows__csv=ROWS),
    "P.PARQUET": _parquet,
    "x.pq": _parquet,
    "x.parquet.gz": lambda: gzip.compress(_parquet()),
    "parquet.zip": lambda: _zip(rows__parquet=_parquet()),
    "x.jsonl": lambda: b'{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2}\n',
    "x.ndjson.gz": lambda: gzip.compress(b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', mtime=0),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_is_read_alike(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(KINDS[name]())
    table = read_table(find(tmp_path / name, name), Format(), ["a", "b"])
    found = [[str(cell) for cell in row.values()] for row in table.to_pylist()]
    assert found == [["1", "x"], ["2", "y"]]


def test_a_folder_a_glob_and_a_member_of_an_archive_are_sources(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"part-{number}.csv").write_bytes(f"a,b\n{number},x\n".encode())
    (tmp_path / "_SUCCESS").write_bytes(b"")
    (tmp_path / "notes.md").write_bytes(b"not rows")
    (tmp_path / "two.zip").write_bytes(_zip(one__csv=b"a,b\n7,x\n", two__csv=ROWS))
    both = read_table(find(tmp_path / "part-*.csv", "glob"), Format(), [])
    assert both["a"].to_pylist() == ["1", "2"]
    one = read_table(find(tmp_path / "two.zip" / "one.csv", "member"), Format(), [])
    assert one["a"].to_pylist() == ["7"]
    (tmp_path / "two.zip").unlink()
    whole = read_table(find(tmp_path, "folder"), Format(), [])
    assert whole["a"].to_pylist() == ["1", "2"]


def test_a_named_index_of_pandas_is_a_column_and_one_without_a_name_is_none(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5]})
    path = tmp_path / "x.parquet"
    for index, expected in (
        (pd.RangeIndex(9001, 9003, name="id"), [9001, 9002]),
        (pd.Index(["u", "v"], name="id"), ["u", "v"]),
        (pd.Index([7, 7], name="id"), [7, 7]),
    ):
        frame.set_axis(index).to_parquet(path)
        assert read_table(find(path, "x"), Format(), [])["id"].to_pylist() == expected
    for unnamed in (pd.RangeIndex(2), pd.Index(["u", "v"])):
        frame.set_axis(unnamed).to_parquet(path)
        assert read_table(find(path, "x"), Format(), []).schema.names == ["a"]


def test_texts_that_are_views_of_others_can_be_picked_by_row(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    texts = pyarrow.array(["a", "b"]).cast(pyarrow.string_view())
    raw = pyarrow.array([b"c", b"d"]).cast(pyarrow.binary_view())
    pyarrow.parquet.write_table(pyarrow.table({"t": texts, "r": raw}), path)
    table = read_table(find(path, "x"), Format(), [])
    assert table.take([1]).to_pylist() == [{"t": "b", "r": b"d"}]


def test_folders_named_by_a_value_are_columns(tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}" / "x.csv").write_bytes(ROWS)
    table = read_table(find(tmp_path, "folder"), Format(), [])
    assert table["day"].to_pylist() == ["2026-01-01"] * 2 + ["2026-01-02"] * 2


def test_files_of_one_folder_may_differ_in_types_and_order_but_not_in_columns(
    tmp_path: Path,
) -> None:
    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet(tmp_path / "1.parquet")
    pd.DataFrame({"b": ["y"], "a": ["A1"]}).to_parquet(tmp_path / "2.parquet")
    table = read_table(find(tmp_path, "folder"), Format(), [])
    assert table["a"].to_pylist() == ["1", "A1"]
    pd.DataFrame({"b": ["y"]}).to_parquet(tmp_path / "3.parquet")
    with pytest.raises(InputError, match=r"3\.parquet has other columns .* before it: a"):
        read_table(find(tmp_path, "folder"), Format(), [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "x.csv is empty"),
        ("x.csv", b"\xef\xbb\xbf \n", "x.csv is empty"),
        ("x.csv", b"\x89PNG\r\n\x1a\n", "is a PNG picture. What can be read is CSV"),
        ("x.csv", b"<!doctype html><title>Sign in</title>", "is a web page"),
        ("x.parquet", b"a,b\n1,2\n", "is not a Parquet file, whatever its name says"),
        ("x.csv", gzip.compress(ROWS, mtime=0)[:-9], "cannot be read|cannot be unpacked"),
        ("x.zip", _zip(a__csv=ROWS, b__csv=ROWS), "holds 2 files: name one, such as x.zip/a.csv"),
        ("x.xlsx", _zip(**{"[Content_Types]__xml": b""}), "is an Excel workbook: save the sheet"),
        ("x.json", b'[{"a": 1}, {"a": ]', "element 2 of the array in x.json is not JSON"),
        ("x.json", b'[{"a": 1}, {"a": 2}', "element 3 of the array in x.json is not JSON"),
        ("x.json", b'[{"a": 1}, [2]]', "element 2 of the array in x.json is not an object"),
        ("x.json", b'[{"a": 1}]\n[{"a": 2}]', "x.json goes on after the end of its array"),
        ("x.json", b'[{"a": "\xff"}]', "x.json is not utf-8"),
        ("x.json", b'[{"a": 1, "a": 2}]', "names 'a' twice"),
        ("x.json", b"[1, 2]", "is a JSON array, but not of objects"),
        ("x.json", b'{\n "a": 1\n}', "line 1 of x.json is not JSON.*one array of objects"),
        ("x.jsonl", b'{"a": 1, "a": 2}\n', "names 'a' twice"),
        ("x.json", b'{"a": {"0": 1, "1": 2}}', 'objects or whole columns.*orient="records"'),
        ("x.jsonl", b'{"a": 1}\n{"a": \n', "line 2 of x.jsonl is not JSON"),
        ("x.json", b'{"a": [1, 2], "b": ["x", "y"]}', 'objects or whole columns.*orient="records"'),
        ("x.json", b'{"n": 2, "data": [{"a": 1}, {"a": 2}]}', "'data' is a list of 2 .*jq '.data'"),
        ("x.json", b'{\n"data": [{"a": 1},\n{"a": 2}]}', "'data' is a list of 2 .*jq '.data'"),
        ("x.jsonl", b'{"a": {"b": 1}, "a.b": 2}\n{}\n', "names 'a.b' twice"),
        ("x.jsonl", b'{"a":' * 40 + b"1" + b"}" * 40, "holds objects more than 30 deep"),
        ("x.csv", b"<stata_dta><header>", "is a Stata file: save it as CSV or Parquet"),
        ("x.rda", gzip.compress(b"RDX3\nX\n", mtime=0), "is data of R"),
        ("x.csv.xz", lzma.compress(ROWS)[:-9], "cannot be read|cannot be unpacked"),
        ("x.csv.bz2", bz2.compress(ROWS)[:-9], "cannot be read|cannot be unpacked"),
        ("x.pkl", b"\x80\x04\x95\x01", "is a Python pickle, which is not loaded"),
        ("x.bin", bytes(range(256)) + b"\0" * 300, "holds binary data"),
        # Every second byte is zero, as in UTF-16, and the rest is no text.
        ("x.bin", struct.pack("<200h", *range(200)), "holds binary data"),
        ("x.csv", struct.pack(">200h", *range(200)), "holds binary data"),
    ],
)
def test_what_holds_no_rows_is_refused_by_what_it_is(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(find(tmp_path / name, name), Format(), [])


def test_an_array_of_objects_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"a": n, "b": '[{},]\\"\u00e4' * (n % 5)} for n in range(300)]
    (tmp_path / "x.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    monkeypatch.setattr(documents, "_PIECE_CHARACTERS", 7)
    table = read_table(find(tmp_path / "x.json", "x.json"), Format(), [])
    assert table.to_pylist() == rows
    (tmp_path / "y.json").write_bytes(b"\xef\xbb\xbf[]")
    with pytest.raises(InputError, match="a header but no rows"):
        read_table(find(tmp_path / "y.json", "y.json"), Format(), [])


NESTED: list[dict[str, object]] = [
    {"id": 2**53 + 1, "at": {"x": 1.5, "deep": {"y": "a"}}, "tags": ["p", "q"]},
    {"id": 2**53 + 3, "at": {"x": None, "deep": None}, "tags": []},
    {"id": 2**53 + 5, "at": {"x": 2.5, "deep": {"y": "b"}}, "tags": None},
]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_members_of_members_are_columns_of_their_own_and_lists_stay_lists(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(NESTED), path)
    elif kind == "json":
        path.write_text(json.dumps(NESTED, indent=1))
    else:
        path.write_text("\n".join(map(json.dumps, NESTED)))
    table = read_table(find(path, path.name), Format(), ["id"])
    assert table["id"].to_pylist() == [2**53 + 1, 2**53 + 3, 2**53 + 5]
    assert table["at.x"].to_pylist() == [1.5, None, 2.5]
    assert table["at.deep.y"].to_pylist() == ["a", None, "b"]
    assert pyarrow.types.is_list(table["tags"].type)


def test_objects_with_too_many_different_members_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MAX_MEMBERS", 5)
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"a": {f"user {n}": 1}}) for n in range(6)))
    with pytest.raises(InputError, match="more than 5 different members"):
        read_table(find(path, "x.jsonl"), Format(), ["a.user 0"])


ARFF = """% made for a test
@RELATION glass

@attribute 'refractive index' numeric
@attribute kind {'float glass',other}
@ATTRIBUTE y {yes,no}

@DATA
1.5,'float glass',yes
?,other,no
"""


def test_an_arff_file_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.arff"
    path.write_text(ARFF)
    with pytest.raises(InputError, match=r"x\.arff is an ARFF file") as caught:
        read_table(find(path, "x.arff"), Format(), ["y"])
    written = tomllib.loads("\n".join(str(caught.value).splitlines()[1:]))
    assert written["skip_lines"] == 8
    table = read_table(find(path, "x.arff"), Format(**written), ["y"])
    assert table.column_names == ["refractive index", "kind", "y"]
    assert table.to_pylist()[0] == {"refractive index": "1.5", "kind": "float glass", "y": "yes"}


@pytest.mark.parametrize("rows", ["{0 1.5, 2 yes}\n", "1.5,other\n", "% more\n1.5,other,no\n"])
def test_an_arff_file_that_no_settings_read_is_refused(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "x.arff"
    path.write_text(ARFF.partition("1.5")[0] + rows)
    with pytest.raises(InputError, match=r"is an ARFF file.*: convert it to CSV"):
        read_table(find(path, "x.arff"), Format(), ["y"])


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in ("nowhere.csv", "*.csv", "nowhere/x.csv"):
        with pytest.raises(InputError, match=r"No such file|no file matches"):
            find(tmp_path / path, path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of rows"):
        find(tmp_path / "empty", "empty")
