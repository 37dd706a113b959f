"""What was answered is in a file at once, and in the store in the end, also after a kill."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest

from pipeline.model.artifacts import CARD_FILE, MODEL_FILE
from pipeline.model.champion import PinnedFile
from pipeline.serving.app import Server
from pipeline.serving.config import Config, Pace, Served
from pipeline.serving.models import ModelFiles, Wanted
from pipeline.serving.upload import send_all
from pipeline.serving.worker.journal import OUTBOX, Journal, recover
from pipeline.storage import FolderStore

NOTE = {
    "model": "small",
    "model_version": "3",
    "run_id": "run",
    "server": "here",
    "shadow": False,
    "champion_sequence": 2,
    "contract": {},
    "positive": "x",
    "reference": None,
}


def table(*values: float) -> pyarrow.Table:
    return pyarrow.table({"a": list(values), "prediction": ["x"] * len(values)})


def outbox(folder: Path) -> list[Path]:
    return sorted((folder / OUTBOX).glob("*.json"))


def test_a_rotation_makes_a_parquet_file_with_a_note(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 100)
    journal.add(table(1, 2), {"a": 1})
    journal.add(table(3), {"a": 2})
    journal.close()

    (note,) = outbox(tmp_path)
    found = json.loads(note.read_text())
    assert (found["rows"], found["unseen_categories"]) == (3, {"a": 3})
    assert pd.read_parquet(note.with_suffix(".parquet"))["a"].tolist() == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == [OUTBOX]


def test_thousands_of_answers_are_one_table_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 10_000)
    for number in range(1000):
        journal.add(table(number), {})
    journal.close()

    (note,) = outbox(tmp_path)
    assert pd.read_parquet(note.with_suffix(".parquet"))["a"].tolist() == list(range(1000))


def test_nothing_answered_makes_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 100)
    journal.rotate()
    journal.close()

    assert list(tmp_path.iterdir()) == []


def test_many_rows_rotate_by_themselves(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 4)
    for number in range(10):
        journal.add(table(number), {})
    journal.close()

    assert sorted(json.loads(note.read_text())["rows"] for note in outbox(tmp_path)) == [2, 4, 4]


@pytest.mark.slow
def test_what_a_killed_process_answered_is_recovered(tmp_path: Path) -> None:
    code = (
        "import sys, time, pyarrow\n"
        "from pathlib import Path\n"
        "from pipeline.serving.worker.journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path)!r}), {NOTE!r}, 1000)\n"
        "for number in range(5):\n"
        "    journal.add(pyarrow.table({'a': [number]}), {})\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    recover(tmp_path)
    assert outbox(tmp_path) == [], "the file of a living process was taken away"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    recover(tmp_path)

    (note,) = outbox(tmp_path)
    assert pd.read_parquet(note.with_suffix(".parquet"))["a"].tolist() == [0, 1, 2, 3, 4]
    recover(tmp_path)
    assert len(outbox(tmp_path)) == 1


def test_several_that_look_for_what_is_left_publish_each_file_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, NOTE, 1000)
    journal.add(table(0), {})
    (path,) = tmp_path.glob("*.arrows")
    written = path.read_bytes()
    journal.close()
    for number in range(60):
        (tmp_path / f"{number}.arrows").write_bytes(written)
        (tmp_path / f"{number}.json").write_text(json.dumps(NOTE))
    with ThreadPoolExecutor(6) as several:
        for done in [several.submit(recover, tmp_path) for _ in range(6)]:
            done.result()

    assert caplog.records == []
    assert len(outbox(tmp_path)) == 61
    assert list(tmp_path.glob("*.arrows")) == []


def test_half_a_batch_at_the_end_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 1000)
    for number in range(3):
        journal.add(table(number), {})
    (path,) = tmp_path.glob("*.arrows")
    whole = path.read_bytes()
    journal.close()
    (note,) = outbox(tmp_path)
    note.with_suffix(".parquet").unlink()
    note.unlink()
    path.write_bytes(whole[:-40])
    path.with_suffix(".json").write_text(json.dumps(NOTE))
    recover(tmp_path)

    (note,) = outbox(tmp_path)
    assert pd.read_parquet(note.with_suffix(".parquet"))["a"].tolist() == [0, 1]


def test_files_go_where_batch_predictions_lie(tmp_path: Path) -> None:
    place = Served("small", folder=tmp_path / "store")
    for shadow in (False, True):
        journal = Journal(tmp_path / "journal", {**NOTE, "shadow": shadow}, 100)
        journal.add(table(1, 2), {})
        journal.close()

    assert send_all(place, tmp_path / "journal") == 0
    store = FolderStore(tmp_path / "store")
    (key,) = store.keys("predictions/small/date=")
    assert "/model_version=3/" in key
    (manifest_key,) = store.keys("predictions/small/_manifests/date=")
    manifest = json.loads(store.read(manifest_key)[0])
    assert (manifest["predictions"], manifest["rows"], manifest["champion_sequence"]) == (key, 2, 2)
    assert len(store.keys("predictions/small/_shadow/date=")) == 1
    assert outbox(tmp_path / "journal") == []


def test_files_that_cannot_be_sent_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Served("small", folder=tmp_path / "store")
    journal = Journal(tmp_path / "journal", NOTE, 1)
    for number in range(3):
        journal.add(table(number), {})
    journal.close()

    def refuse(*_: object) -> None:
        raise OSError("unreachable")

    with monkeypatch.context() as broken:
        broken.setattr(FolderStore, "send", refuse)
        assert send_all(place, tmp_path / "journal") == 3
    assert send_all(place, tmp_path / "journal") == 0
    assert len(FolderStore(tmp_path / "store").keys("predictions/small/date=")) == 3


def test_a_server_that_ends_waits_for_an_upload_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    place = Served("small", folder=store)
    server = Server(Config(place, tmp_path / "state", "s", pace=Pace().times(0)))
    journal = Journal(tmp_path / "state" / "journal", NOTE, 1)
    for number in range(3):
        journal.add(table(number), {})
    journal.close()
    send, sent = FolderStore.send, list[str]()
    began, go_on = threading.Event(), threading.Event()

    def slowly(self: FolderStore, source: Path, key: str) -> None:
        sent.append(key)
        began.set()
        go_on.wait(30)
        send(self, source, key)

    monkeypatch.setattr(FolderStore, "send", slowly)

    async def ends_meanwhile() -> None:
        under_way = asyncio.create_task(server.send_log())
        await asyncio.to_thread(began.wait, 30)
        under_way.cancel()
        ending = asyncio.create_task(server.close())
        await asyncio.sleep(0.2)  # time enough to begin with the first file once more
        go_on.set()
        await ending

    asyncio.run(ends_meanwhile())
    assert len(sent) == len(set(sent)) == 3, "a file was sent twice"
    assert caplog.records == []
    assert outbox(tmp_path / "state" / "journal") == []


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond a size: the operating system refuses as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 4096])
def test_a_full_disk_costs_rows_of_the_log_and_says_how_many(
    size: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, NOTE, 10_000)
    journal.add(table(-1), {})
    with room_for(size):
        for number in range(100):
            journal.add(table(number), {})
    journal.add(table(-2), {})
    journal.close()

    kept = pd.concat(pd.read_parquet(note.with_suffix(".parquet")) for note in outbox(tmp_path))
    told = re.findall(r"(\d+) predicted rows were not kept", caplog.text)
    lost = sum(map(int, told))
    assert lost > 0
    assert len(kept) + lost == 102
    assert {-1, -2} <= set(kept["a"])
    assert [path.name for path in tmp_path.iterdir()] == [OUTBOX]


def test_what_a_full_disk_kept_from_the_outbox_goes_there_the_next_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, NOTE, 10_000)
    journal.add(table(1), {})
    with room_for(0):
        journal.close()
    assert outbox(tmp_path) == []

    later = Journal(tmp_path, NOTE, 10_000)
    later.add(table(2), {})
    later.close()
    kept = [pd.read_parquet(note.with_suffix(".parquet"))["a"].item() for note in outbox(tmp_path)]
    assert sorted(kept) == [1, 2]


def test_a_note_that_a_power_cut_left_empty_stops_no_other_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):
        journal = Journal(tmp_path, NOTE, 100)
        journal.add(table(number), {})
        with room_for(0):
            journal.close()
    first, _ = sorted(tmp_path.glob("*.arrows"))
    first.with_suffix(".json").write_text("")
    recover(tmp_path)

    assert len(outbox(tmp_path)) == 1
    assert f"{first} is not published yet" in caplog.text


def test_a_model_is_loaded_though_its_file_finds_no_room_beside_the_server(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    files = {}
    for name in (CARD_FILE, MODEL_FILE):
        stored = store.put(f"decisions/{name}", name.encode())
        files[name] = PinnedFile(key=stored.key, version=None, sha256=stored.sha256)
    cache = tmp_path / "models"
    with room_for(0):
        load = ModelFiles(store, cache).load(Wanted("1", files, {}), {})
    assert (load.card, load.model) == (CARD_FILE.encode(), MODEL_FILE.encode())
    assert list(cache.iterdir()) == []
