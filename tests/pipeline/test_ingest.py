import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pipeline import ingest, train
from pipeline.data import dataset
from pipeline.errors import InputError
from pipeline.reading import sources
from pipeline.settings import load_settings
from pipeline.step import Workspace

pytestmark = pytest.mark.slow

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
        pd.read_parquet(tmp_path / "work" / result["keys"][side])["id"].astype(int).tolist()
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
        sides.append(set(held["id"].astype(int)))
    assert sides[0] == {number for number in sides[1] if number < 60}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "data.csv is empty"),
        (b"\n \n", "data.csv is empty"),
        (b"id,size,y\n", "has a header but no rows"),
        (b"id;size;y\n1;2;yes\n2;3;no\n3;4;no\n", 'separator = ";"'),
        (b"id,size,size,y\n1,2,3,yes\n", "names columns twice: 'size'"),
        (b'id,size,y\n1,"2,yes\n', "a quote that is not closed"),
        ("id,size,y\n1,\u00fc,yes\n".encode("cp1252"), 'encoding = "cp1252"'),
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
        ({"size": np.inf}, "size has 60 infinite values"),
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


def test_rows_that_break_the_contract_are_reported_and_nothing_is_stored(
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
    assert _files(tmp_path) == before


def test_rows_without_a_target_are_not_said_to_be_fit_for_another_contract(
    ingest_data: Ingest,
) -> None:
    frame = _frame()
    frame.loc[4, "y"] = None
    output = ingest_data(frame, code=2).output
    assert "has rows that cannot be used:" in output
    assert "max_bad_rows = 1" in output
    assert "--renew-contract" not in output


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
    assert "added, gone or used otherwise: extra" in ingest_data(wider, code=2).output
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


def _held(tmp_path: Path) -> set[str]:
    manifest = json.loads(_files(tmp_path)["data/holdout/m/manifest.json"])
    table = pd.read_parquet(tmp_path / "work" / manifest["data"]["key"])
    return set(table["size"].astype(str))


WITHOUT_IDS = SETTINGS.replace('id_columns = ["id"]\n', "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (SETTINGS.replace("[task]", 'subgroups = ["colour"]\n[task]'), {}),
        (WITHOUT_IDS.replace("[task]", 'drop = ["id"]\n[task]'), {}),
        (SETTINGS, {"extra": 1.5}),
        (WITHOUT_IDS.replace("[task]", 'drop = ["id"]\n[task]'), {"extra": 1.5}),
    ],
)
@pytest.mark.parametrize(
    "first", [SETTINGS, WITHOUT_IDS.replace("[task]", 'drop = ["id"]\n[task]')]
)
def test_no_setting_and_no_new_column_moves_a_row(
    ingest_data: Ingest, tmp_path: Path, first: str, settings: str, change: dict[str, Any]
) -> None:
    ingest_data(_frame(), settings=first)
    before = _held(tmp_path)
    ingest_data(_frame().assign(**change), "--renew-contract", settings=settings)
    assert _held(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("line", ["seed = 5", "fraction = 0.4", 'rule = "group"\ncolumn = "shelf"'])
def test_a_setting_that_would_move_rows_is_refused_and_begins_a_new_holdout_under_a_name(
    ingest_data: Ingest, tmp_path: Path, line: str
) -> None:
    frame = _frame().assign(shelf=[n % 20 for n in range(60)])
    ingest_data(frame)
    before = _held(tmp_path)
    changed = SETTINGS.replace("[task]", f"[holdout]\n{line}\n[task]")
    options = ("--renew-contract",) if "group" in line else ()
    output = ingest_data(frame, *options, settings=changed, code=2).output
    assert "its rows never change sides" in output
    named = changed.replace("[holdout]", '[holdout]\nname = "holdout-2"')
    ingest_data(frame, *options, settings=named)
    if "seed" in line:
        assert _held(tmp_path) != before
    ingest_data(frame, *options)
    assert _held(tmp_path) == before


def test_a_first_ingest_that_fails_leaves_nothing_behind(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    rare = _frame().assign(y=["maybe", *["yes", "no"] * 29, "yes"])
    three = SETTINGS.replace('"binary"', '"multiclass"').replace('positive = "yes"\n', "")
    assert "maybe (1 row)" in ingest_data(rare, settings=three, code=2).output
    assert _files(tmp_path) == {}
    corrected = three.replace("[task]", 'drop_classes = ["maybe"]\n[task]')
    assert "1 of classes that are left out" in ingest_data(rare, settings=corrected).output


def test_a_token_in_an_address_is_stored_nowhere(
    ingest_data: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://user:pw@host.example/data.csv?X-Amz-Signature=secret"
    original = sources.fetch

    def local(workspace: Any, source: str, folder: Path) -> Any:
        assert source == address
        return original(workspace, str(tmp_path / "data.csv"), folder)

    monkeypatch.setattr(sources, "fetch", local)
    output = ingest_data(_frame(), settings=SETTINGS.replace("data.csv", address)).output
    assert "https://host.example/data.csv" in output
    stored = b"".join(_files(tmp_path).values()) + (tmp_path / "result.json").read_bytes()
    assert b"host.example/data.csv" in stored
    assert b"secret" not in stored
    assert b"pw@" not in stored


def test_a_holdout_of_one_time_is_told_with_a_way_out(ingest_data: Ingest, tmp_path: Path) -> None:
    """Years of a few states: no model could ever be compared on the last one alone."""
    frame = _frame().assign(year=[2000 + n // 10 for n in range(60)])
    by_year = SETTINGS + '[holdout]\nrule = "time"\ncolumn = "year"\nfraction = '
    said = ingest_data(frame, settings=f"{by_year}0.2").output
    assert "all 10 held-out rows are of one time" in said
    more = f'{by_year}0.4\nname = "holdout-2"\n'
    assert "of one time" not in ingest_data(frame, "--renew-contract", settings=more).output


def test_settings_that_read_cells_otherwise_need_a_new_contract(ingest_data: Ingest) -> None:
    ingest_data(_frame())
    other = SETTINGS.replace("[task]", 'missing = ["red"]\n[task]')
    assert "decimal, thousands or missing" in ingest_data(_frame(), settings=other, code=2).output


def test_rows_that_are_alike_in_all_that_is_learnt_are_told_with_a_way_out(
    ingest_data: Ingest,
) -> None:
    """They share a side; a few large clusters make a holdout unlike the rest."""
    frame = _frame(200)
    frame["size"] = frame["id"] % 4
    without = SETTINGS.replace('id_columns = ["id"]', 'drop = ["id"]')
    said = ingest_data(frame, settings=without).output
    assert "of 200 rows are like an earlier one in all that may be learnt from" in said
    again = SETTINGS + '[holdout]\nname = "holdout-2"\n'
    assert (
        "are like an earlier one"
        not in ingest_data(frame, "--renew-contract", settings=again).output
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('[columns]\nsize = { missing = ["-9"] }', "size"),
        ('[columns]\nsize = { missing = ["-9"] }\ncolour = "text"', "size, colour"),
        ('[columns]\ncolour = { missing = ["-"] }', "colour"),
        ('[columns]\ncode = { type = "date", format = "%Y%m%d" }', "code"),
        ('[columns]\ncode = "category"', "code"),
        ('[columns]\nday = { zone = "Europe/Berlin" }', "day"),
        ('[columns]\nday = { parts = ["month"] }', "day"),
        ('[columns]\ncolour = { true = "red", false = "green" }', "colour"),
        ('[columns]\nnumber = { type = "number" }', "number"),
    ],
)
def test_settings_that_a_stored_contract_does_not_follow_are_refused(
    ingest_data: Ingest, tmp_path: Path, line: str, said: str
) -> None:
    """Notes of the first ingest say what to write; without a word it would have no effect."""
    frame = _frame().assign(
        code=[20260100 + n % 28 + 1 for n in range(60)],
        day=[f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(60)],
        number=range(1, 61),
    )
    frame.loc[::10, "size"] = -9.0
    ingest_data(frame)
    before = _files(tmp_path)
    changed = f"{SETTINGS}{line}"
    output = ingest_data(frame, settings=changed, code=2).output
    assert f"the settings for {said} differ from the contract" in output
    assert _files(tmp_path) == before
    ingest_data(frame, "--renew-contract", settings=changed)
    # From then on the contract says the same.
    ingest_data(frame, settings=changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('colour = "number"', "colour"),
        ('colour = { type = "date", format = "%d.%m.%Y" }', "colour"),
        ('size = { type = "date", format = "%Y" }', "size"),
        ('size = { missing = ["-9"] }', "size"),
        ('price = { type = "number", remove = ["€"] }', "price"),
        ('price = { type = "number", remove = ["$"], missing = ["free"] }', "price"),
        # As at first: it is this data that does not follow.
        ('price = { type = "number", remove = ["$"] }', None),
    ],
)
def test_settings_that_data_does_not_follow_are_no_less_refused_by_a_stored_contract(
    ingest_data: Ingest, tmp_path: Path, line: str, said: str | None
) -> None:
    """What cannot be inferred is read by the stored contract, whatever the settings say."""
    first = _frame().assign(price=[f"${n}.5" for n in range(60)])
    known = SETTINGS + '[columns]\nprice = { type = "number", remove = ["$"] }\n'
    ingest_data(first, settings=known)
    later = first.astype({"price": object})
    later.loc[3, "price"] = "free"
    settings = f"{SETTINGS}max_bad_rows = 2\n[columns]\n"
    if said is not None and "price" not in line:
        line += '\nprice = { type = "number", remove = ["$"] }'
    if said is None:
        assert "price: not a number" in ingest_data(later, settings=settings + line).output
        return
    before = _files(tmp_path)
    output = ingest_data(later, settings=settings + line, code=2).output
    assert f"the settings for {said} differ from the contract" in output
    assert _files(tmp_path) == before


def test_a_category_or_classes_that_are_named_later_are_refused(ingest_data: Ingest) -> None:
    frame = _frame().assign(code=[n % 7 for n in range(60)])
    frame.loc[::9, "y"] = "maybe"
    several = SETTINGS.replace('"binary"', '"multiclass"').replace('positive = "yes"\n', "")
    ingest_data(frame, settings=several)
    for line, said in (
        ('categories = ["code"]', "code"),
        ('drop_classes = ["maybe"]', "drop_classes"),
        ('merge_classes = { no = ["maybe"] }', "merge_classes"),
    ):
        changed = several.replace("[task]", f"{line}\n[task]")
        output = ingest_data(frame, settings=changed, code=2).output
        assert f"the settings for {said} differ from the contract" in output


def test_words_and_marks_that_come_and_go_with_the_data_are_no_change(ingest_data: Ingest) -> None:
    lines = '[columns]\nsize = { missing = ["x"] }\nday = { type = "date", format = "%d.%m.%Y" }\n'
    frame = _frame().assign(day=[f"{n % 28 + 1:02d}.03.2026" for n in range(60)])
    dashed = frame.astype({"size": object})
    dashed.loc[3, "size"] = "-"
    dashed.loc[4, "size"] = "x"
    ingest_data(dashed, settings=SETTINGS + lines)
    ingest_data(frame, settings=SETTINGS + lines)
    typed = frame.assign(day=pd.to_datetime(frame["day"], format="%d.%m.%Y"))
    ingest_data(typed.to_parquet(index=False), settings=SETTINGS + lines)


def test_a_task_that_the_stored_target_is_not_for_is_refused(ingest_data: Ingest) -> None:
    frame = _frame().assign(y=[n % 4 for n in range(60)])
    number = SETTINGS.replace('"binary"', '"regression"').replace('"roc_auc"', '"rmse"')
    number = number.replace('positive = "yes"\n', "")
    ingest_data(frame, settings=number)
    several = number.replace('"regression"', '"multiclass"').replace('"rmse"', '"accuracy"')
    assert "is a number: put type back" in ingest_data(frame, settings=several, code=2).output
    ingest_data(frame, "--renew-contract", settings=several)
    output = ingest_data(frame, settings=number, code=2).output
    assert "has the classes 0, 1, 2, 3: put type back" in output


def test_a_class_to_find_that_there_is_not_is_refused_later_too(ingest_data: Ingest) -> None:
    ingest_data(_frame())
    wrong = SETTINGS.replace('positive = "yes"', 'positive = "ja"')
    output = ingest_data(_frame(), settings=wrong, code=2).output
    assert "'ja' is not one of the classes of 'y'; write one of no, yes" in output


def _loaded(tmp_path: Path, settings: str, code: int = 0) -> str:
    """What a step that trains says of the stored rows, or nothing where it may use them."""
    file = tmp_path / "pipeline.toml"
    file.write_text(settings)
    workspace = Workspace(load_settings(file), file, folder=tmp_path / "work")
    if code:
        arguments = ["--local", str(tmp_path / "work"), "--settings", str(file)]
        result = CliRunner().invoke(train.main, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
    try:
        dataset.load(workspace, "holdout")
        dataset.load(workspace, "train")
    except InputError as error:
        return str(error)
    return ""


DROPPED = SETTINGS.replace('"data.csv"', '"data.csv"\ndrop = ["colour"]')


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (SETTINGS, "drop under [data] changed"),
        (DROPPED.replace('drop = ["colour"]', 'drop = ["size"]'), "drop under [data] changed"),
        (DROPPED.replace('"data.csv"', '"other.csv"'), "source under [data] changed"),
        (DROPPED + '[columns]\nsize = "text"\n', "size under [columns] changed"),
        (DROPPED + '[holdout]\nname = "second"\n', "name under [holdout] changed"),
    ],
)
def test_no_step_uses_rows_that_were_read_by_other_settings(
    ingest_data: Ingest, tmp_path: Path, changed: str, named: str
) -> None:
    ingest_data(_frame(), settings=DROPPED)
    assert not _loaded(tmp_path, DROPPED)
    said = _loaded(tmp_path, changed, code=2)
    assert named in said
    assert "run ingest again" in said


def test_settings_that_change_no_row_need_no_new_ingest(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    two = DROPPED.replace('["colour"]', '["colour", "weight"]')
    ingest_data(_frame().assign(weight=_frame(first=1)["size"]), settings=two)
    more = '[search]\ntrials = 3\n[promotion]\nresamples = 200\n[predict]\nseparator = ";"\n'
    assert not _loaded(tmp_path, two.replace("roc_auc", "f1") + more)
    assert not _loaded(tmp_path, two.replace('["colour", "weight"]', '["weight", "colour"]'))
    assert not _loaded(tmp_path, two.replace('"yes"', '"no"'))


def test_what_an_older_ingest_stored_is_used_as_far_as_its_contract_tells(
    ingest_data: Ingest, tmp_path: Path
) -> None:
    ingest_data(_frame())
    for path in (tmp_path / "work").rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["settings"]
        path.write_text(json.dumps(manifest))
    assert not _loaded(tmp_path, SETTINGS)
    assert "colour changed since ingest: run ingest again" in _loaded(tmp_path, DROPPED)
