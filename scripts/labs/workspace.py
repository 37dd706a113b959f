"""The student's files: a folder for each lab, and a backup of whatever the student wrote."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from scripts.console import UserError
from scripts.files import private_folder, write_private, write_whole
from scripts.labs.lab import Lab

BACKUPS = "backup"
WRITTEN = ".written.json"
"""What the kit wrote into a lab's folder, by digest: anything else is the student's."""
_WHOLE = "/"
"""Stands in that list once the folder was laid out to its end."""
_IGNORED = frozenset({"__pycache__", ".terraform", WRITTEN})


class Workspace:
    """Every lab's folder of one student, in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, lab: Lab) -> Path:
        """Where the student works on a lab."""
        return self.root / lab.slug

    def lay_out(self, lab: Lab, lock_file: Path) -> Path:
        """Make the lab's folder, or keep the one that is there; returns it."""
        folder = self.folder(lab)
        if _WHOLE in self._written(lab):
            return folder
        if folder.exists() or folder.is_symlink():
            raise UserError(
                f"{folder} is not a lab's folder",
                why="it is there, and the kit did not finish making it",
                fix=shlex.join(["mv", str(folder), f"{folder}.mine"]),
                exit_code=2,
            )
        private_folder(self.root)
        private_folder(folder)
        self.write(lab, Path("README.md"), (lab.folder / "README.md").read_bytes())
        self.write(lab, Path(".terraform.lock.hcl"), lock_file.read_bytes())
        self.overlay(lab, lab.setup)
        write_private(folder / WRITTEN, json.dumps(self._written(lab) | {_WHOLE: "yes"}, indent=2))
        return folder

    def write(self, lab: Lab, name: Path, content: bytes, *, private: bool = False) -> Path:
        """Write a file of the kit's into the lab's folder, and note that it is the kit's."""
        path = self.folder(lab) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, 0o600 if private else 0o666)
        written = self._written(lab) | {name.as_posix(): _digest(content)}
        write_private(self.folder(lab) / WRITTEN, json.dumps(written, indent=2, sort_keys=True))
        return path

    def overlay(self, lab: Lab, source: Path, *, missing: bool = False) -> None:
        """Write every file of a folder, or the `missing` ones, over the student's.

        Call `keep` first.
        """
        for path in _files(source):
            name = path.relative_to(source)
            if missing and (self.folder(lab) / name).exists():
                continue
            self.write(lab, name, path.read_bytes(), private=not path.stat().st_mode & 0o044)
            if os.access(path, os.X_OK):
                (self.folder(lab) / name).chmod(0o755)

    def files(self, lab: Lab) -> Iterator[tuple[Path, Path]]:
        """Every file of the lab's folder: its name there, and its path."""
        folder = self.folder(lab)
        return ((path.relative_to(folder), path) for path in _files(folder) if path.is_file())

    def changed(self, lab: Lab) -> list[Path]:
        """Names of the files that the student wrote or changed."""
        folder, written = self.folder(lab), self._written(lab)
        if not folder.is_dir():
            return []
        return [
            name
            for path in _files(folder)
            if written.get((name := path.relative_to(folder)).as_posix()) != _digest_of(path)
        ]

    def keep(self, lab: Lab) -> Path | None:
        """Copy what the student wrote into a backup; None if there is nothing."""
        changed = self.changed(lab)
        if not changed:
            return None
        backup = self._new_backup(lab.slug)
        for name in changed:
            target = backup / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder(lab) / name, target, follow_symlinks=False)
        return backup

    def put_away(self, lab: Lab) -> Path | None:
        """Remove the lab's folder; returns the backup of what the student wrote, if anything."""
        backup = self.keep(lab)
        if self.folder(lab).is_dir():
            shutil.rmtree(self.folder(lab))
        self.tidy()
        return backup

    def tidy(self) -> None:
        """Remove the workspace itself if nothing is left in it."""
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    def keep_file(self, path: Path) -> Path | None:
        """Move a file of the workspace itself into a backup; None if it does not exist."""
        if not path.exists():
            return None
        backup = self._new_backup("progress")
        path.replace(backup / path.name)
        return backup / path.name

    def _new_backup(self, name: str) -> Path:
        parent = private_folder(self.root / BACKUPS)
        for number in range(1000):
            suffix = f"-{number}" if number else ""
            backup = parent / f"{name}-{datetime.now():%Y%m%d-%H%M%S}{suffix}"
            try:
                backup.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return backup
        raise UserError(f"{parent} is full", why="a thousand backups were made in one second")

    def _written(self, lab: Lab) -> dict[str, str]:
        """Digests by name; whoever damaged the list gets everything backed up."""
        try:
            found = json.loads((self.folder(lab) / WRITTEN).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if _IGNORED.intersection(path.relative_to(folder).parts):
            continue
        if path.is_symlink() or path.is_file():
            yield path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str:
    """A file's digest; a link's is that of where it points, so it never passes for a file."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return _digest(path.read_bytes())
