"""Predicting a file gives what predicting the frame gives, for every format and every width."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pipeline.data.contract import SchemaContract, frame
from pipeline.data.infer import infer
from pipeline.data.prepare import read_all
from pipeline.reading.files import find
from pipeline.reading.reader import read_chunks, read_table
from pipeline.settings import Settings, parse_settings

ROWS = 40
HOSTILE = ["a,b", 'say "x"', "line\nbreak", "007", " blank ", "1.0", "Ünï", ";", "\t|", "=1+1", "'"]


def _settings(source: str, **data: Any) -> Settings:
    raw = {
        "model": "m",
        "data": {"source": source, "target": "y", "positive": "yes", **data},
        "task": {"type": "binary", "metric": "roc_auc"},
        "contract": {"max_categories": 1000},
    }
    return parse_settings(raw, origin="test")


def _written(rows: list[list[Any]], names: list[str], **options: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", **options).writerows([names, *rows])
    return buffer.getvalue()


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("rows.csv", content)
    return buffer.getvalue()


def _parquet(rows: list[list[Any]], names: list[str]) -> bytes:
    buffer = io.BytesIO()
    columns = [[row[place] for row in rows] for place in range(len(names))]
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(names, columns, strict=True))), buffer)
    return buffer.getvalue()


def _jsonl(rows: list[list[Any]], names: list[str]) -> bytes:
    return "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows).encode()


Write = Callable[[list[list[Any]], list[str]], bytes]
FORMATS: dict[str, tuple[str, dict[str, Any], Write]] = {
    "csv": ("x.csv", {}, lambda r, n: _written(r, n).encode()),
    "quoted": ("x.csv", {}, lambda r, n: _written(r, n, quoting=csv.QUOTE_ALL).encode()),
    "semicolon": (
        "x.csv",
        {"separator": ";"},
        lambda r, n: _written(r, n, delimiter=";").encode(),
    ),
    "tabs": ("x.tsv", {}, lambda r, n: _written(r, n, delimiter="\t").encode()),
    "utf-16": ("x.csv", {}, lambda r, n: _written(r, n).encode("utf-16")),
    "latin-1": (
        "x.csv",
        {"encoding": "latin-1"},
        lambda r, n: _written(r, n).encode("latin-1", errors="ignore"),
    ),
    "gzip": ("x.csv.gz", {}, lambda r, n: gzip.compress(_written(r, n).encode())),
    "zip": ("x.zip", {}, lambda r, n: _zipped(_written(r, n).encode())),
    "parquet": ("x.parquet", {}, _parquet),
    "json lines": ("x.jsonl", {}, _jsonl),
}


def _columns(width: int) -> st.SearchStrategy[list[list[Any]]]:
    cell = st.one_of(
        st.lists(st.sampled_from([*HOSTILE, None]), min_size=ROWS, max_size=ROWS),
        st.lists(
            st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), min_size=ROWS, max_size=ROWS
        ),
        st.lists(st.one_of(st.none(), st.integers(-999, 999)), min_size=ROWS, max_size=ROWS),
        st.lists(st.one_of(st.none(), st.booleans()), min_size=ROWS, max_size=ROWS),
        st.lists(st.sampled_from(["00501", "02116", "7"]), min_size=ROWS, max_size=ROWS),
        st.lists(st.datetimes().map(str), min_size=ROWS, max_size=ROWS),
    )
    return st.lists(cell, min_size=width, max_size=width)


def _read_whole(path: Path, settings: Settings) -> tuple[SchemaContract, pd.DataFrame]:
    """As ingest and training see a file."""
    table = read_table(find(path, path.name), settings.data.format(), ["y"])
    contract = infer(table, settings).contract
    return contract, frame(read_all(table, contract, []).columns)


@pytest.mark.parametrize("form", FORMATS)
@settings_of_hypothesis(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(data=st.data())
@pytest.mark.slow
def test_a_batch_reads_as_training_did_whatever_its_format_and_chunks(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    width = data.draw(st.integers(1, 5))
    columns = data.draw(_columns(width))
    target = ["yes" if n % 3 else "no" for n in range(ROWS)]
    # Two columns that keep every row readable and no column a counter of rows or a copy.
    columns = [*columns, [n * 7 % 11 + 0.5 for n in range(ROWS)], target]
    names = [*[f"c {n}" for n in range(width)], "z", "y"]
    rows = [list(row) for row in zip(*columns, strict=True)]
    name, read, write = FORMATS[form]
    (folder / name).write_bytes(write(rows, names))
    categories = [n for n, c in zip(names, columns, strict=True) if set(c) & set(HOSTILE)]
    drop = [n for n, c in zip(names, columns, strict=True) if set(c) <= {None, ""}]
    settings = _settings(name, categories=sorted(set(categories) - set(drop)), drop=drop, **read)
    contract, whole = _read_whole(folder / name, settings)

    other = data.draw(st.sampled_from(sorted(set(FORMATS) - {"latin-1"})))
    name, read, write = FORMATS[other if form != "latin-1" else form]
    (folder / "batch").mkdir(exist_ok=True)
    (folder / "batch" / name).write_bytes(write(rows, names))
    size = data.draw(st.integers(1, ROWS))
    form_of_batch = _settings(name, **read).data.format()
    chunks = read_chunks(find(folder / "batch" / name, name), form_of_batch, size)
    parts = [read_all(pyarrow.Table.from_batches([c.rows]), contract, []) for c in chunks]
    found = pd.concat([frame(part.columns) for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(found, whole, check_exact=False, rtol=1e-12)
    assert not any(part.unseen.get(name) for part in parts for name in part.unseen)
    assert not any(part.broken for part in parts)


@pytest.mark.parametrize("columns", [3, 16, 64])
@pytest.mark.slow
def test_a_wide_or_long_file_reads_alike_in_chunks_and_at_once(
    tmp_path: Path, columns: int
) -> None:
    random = np.random.default_rng(0)
    rows = 240_000 // columns
    table = pd.DataFrame(random.normal(size=(rows, columns)).round(3)).add_prefix("c")
    table["y"] = random.choice(["yes", "no"], rows)
    table.to_csv(tmp_path / "x.csv", index=False)
    settings = _settings("x.csv")
    contract, whole = _read_whole(tmp_path / "x.csv", settings)
    chunks = list(read_chunks(find(tmp_path / "x.csv", "x"), settings.data.format(), 7_000))
    parts = [
        frame(read_all(pyarrow.Table.from_batches([c.rows]), contract, []).columns) for c in chunks
    ]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    pd.testing.assert_frame_equal(whole, table.drop(columns="y"), check_exact=False)
