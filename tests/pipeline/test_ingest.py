import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pipeline import ingest

SETTINGS = """
model = "m"
[data]
source = "data.csv"
target = "y"
positive = "yes"
id_columns = ["id"]
[task]
type = "binary"
metric = "roc_auc"
[contract]
max_columns = 50
"""


@pytest.fixture
def ingest_data(tmp_path: Path) -> Callable[..., Result]:
    """Ingest a frame (or bytes) as data.csv, with some lines of the settings replaced."""

    def run(
        data: pd.DataFrame | bytes, *options: str, settings: str = SETTINGS, code: int = 0
    ) -> Result:
        source, file = tmp_path / "data.csv", tmp_path / "pipeline.toml"
        content = data if isinstance(data, bytes) else data.to_csv(index=False).encode()
        source.write_bytes(content)
        file.write_text(settings)
        arguments = ["--local", str(tmp_path / "work"), "--settings", str(file), *options]
        arguments += ["--result", str(tmp_path / "result.json")]
        result = CliRunner().invoke(ingest.main, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


Ingest = Callable[..., Result]


def _frame(rows: int = 60, first: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(first)
    return pd.DataFrame(
        {
            "id": range(first, first + rows),
            "size": random.normal(size=rows).round(3),
            "colour": random.choice(["red", "green"], rows),
            "y": random.choice(["yes", "no"], rows),
        }
    )


def _files(tmp_path: Path) -> dict[str, bytes]:
    work = tmp_path / "work"
    paths = [path for path in work.rglob("*") if path.is_file()]
    return {path.relative_to(work).as_posix(): path.read_bytes() for path in paths}


def test_all_rows_are_stored_once_and_raw_data_as_it_came(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    frame = _frame()
    ingest_data(frame)
    result = json.loads((tmp_path / "result.json").read_text())
    files = _files(tmp_path)
    raw = [content for key, content in files.items() if key.startswith("data/raw/m/")]
    assert raw == [frame.to_csv(index=False).encode()]
    ids = [
        pd.read_parquet(tmp_path / "work" / result["keys"][side])["id"].tolist()
        for side in ("train", "holdout")
    ]
    assert sorted(ids[0] + ids[1]) == list(range(60))
    assert result["features"] == 2  # size and colour: neither the id nor the target is one


def test_ingesting_the_same_again_changes_nothing(ingest_data: Ingest, tmp_path: Path) -> None:
    ingest_data(_frame())
    before = _files(tmp_path)
    ingest_data(_frame())
    assert _files(tmp_path) == before


def test_new_rows_leave_the_old_ones_on_their_side(ingest_data: Ingest, tmp_path: Path) -> None:
    sides = []
    for data in (_frame(), pd.concat([_frame(), _frame(60, first=60)])):
        ingest_data(data)
        manifest = json.loads(_files(tmp_path)["data/holdout/m/manifest.json"])
        held = pd.read_parquet(tmp_path / "work" / manifest["data"]["key"])
        sides.append(set(held["id"]))
    assert sides[0] == {number for number in sides[1] if number < 60}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "data.csv is empty"),
        (b"\n \n", "data.csv is empty"),
        (b"id,size,y\n", "has a header but no rows"),
        (b"id;size;y\n1;2;yes\n", "separated by another mark"),
        (b"id,size,size,y\n1,2,3,yes\n", "names columns twice: size"),
        (b'id,size,y\n1,"2,yes\n', "is not a CSV file"),
        ("id,size,y\n1,\u00fc,yes\n".encode("cp1252"), 'such as encoding = "cp1252"'),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_stored(
    ingest_data: Ingest, tmp_path: Path, data: bytes, message: str
) -> None:
    assert message in ingest_data(data, code=2).output
    assert _files(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": "yes"}, "has one class only: yes"),
        ({"size": np.nan}, "the column 'size' is empty"),
        ({"size": np.inf}, "size: infinite values: 60"),
        ({"id": 1}, "id: id not unique: 60"),
        pytest.param(
            {f"c{n}": 0.0 for n in range(10_000)},
            "the data has 10004 columns, more than 50",
            marks=pytest.mark.slow,
            id="10,000 columns",
        ),
    ],
)
def test_data_that_nothing_can_be_learnt_from_is_refused(
    ingest_data: Ingest, change: dict[str, Any], message: str
) -> None:
    extra = pd.DataFrame(change, index=range(60))
    frame = pd.concat(
        [_frame().drop(columns=extra.columns.intersection(_frame().columns)), extra], axis=1
    )
    assert message in ingest_data(frame, code=2).output


def test_a_feature_that_copies_the_target_is_refused(ingest_data: Ingest) -> None:
    frame = _frame()
    frame["approved"] = frame["y"].map({"yes": 1, "no": 0})
    assert "'approved' is a copy of the target" in ingest_data(frame, code=2).output


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_understood(ingest_data: Ingest, encoding: str) -> None:
    ingest_data(_frame().to_csv(index=False).encode(encoding))


def test_rows_that_break_the_contract_are_reported_and_nothing_but_raw_data_is_stored(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    ingest_data(_frame())
    before = _files(tmp_path)
    worse = _frame(60, first=60)
    worse.loc[4, "colour"] = "blue"
    worse.loc[7, "size"] = 1000.0
    output = ingest_data(worse, code=2).output
    assert "colour: unseen category: 1 (rows 4)" in output
    assert "size: outside" in output
    assert "max_bad_rows = 2 under [contract]" in output
    changed = {key for key, content in _files(tmp_path).items() if before.get(key) != content}
    assert all(key.startswith("data/raw/") for key in changed)


def test_bad_rows_within_the_limit_are_set_aside_and_counted(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    ingest_data(_frame())
    worse = _frame(60, first=60)
    worse.loc[4, "colour"] = "blue"
    settings = SETTINGS.replace("[contract]", "[contract]\nmax_bad_rows = 1")
    assert "colour: unseen category" in ingest_data(worse, settings=settings).output
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    assert rows["set_aside"] == 1
    assert rows["train"] + rows["holdout"] == 59


def test_a_new_column_is_refused_until_the_contract_is_renewed(ingest_data: Ingest) -> None:
    ingest_data(_frame())
    wider = _frame().assign(extra=np.arange(60.0))
    assert "added or gone: extra" in ingest_data(wider, code=2).output
    ingest_data(wider, "--renew-contract")


def test_an_interruption_before_the_manifests_leaves_the_old_data_in_force(
    ingest_data: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_data(_frame())
    before = {key: value for key, value in _files(tmp_path).items() if "manifest" in key}

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "_store_rows", interrupted)
        with pytest.raises(AssertionError):
            ingest_data(_frame(120))
    assert {key: value for key, value in _files(tmp_path).items() if "manifest" in key} == before
    ingest_data(_frame(120))
