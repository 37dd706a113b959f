"""What reads a run's files finds what is renamed while it reads."""

from pathlib import Path

import pytest

from tests.local_run.written import written


def test_a_file_that_is_renamed_while_others_are_read_is_read_once(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    files = written(tmp_path)
    first = next(files).path.name
    second = "other" if first == "one" else "one"
    (tmp_path / second).rename(tmp_path / "renamed")
    assert [(file.path.name, file.content.decode()) for file in files] == [("renamed", second)]


def test_folders_left_out_and_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "data").write_text("left out")
    (tmp_path / "file").write_text("read")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (found,) = written(tmp_path, "base")
    assert found.path == tmp_path / "file"
    assert found.mode & 0o777 == (tmp_path / "file").stat().st_mode & 0o777


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(written(tmp_path / "nowhere"))
