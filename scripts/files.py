"""Files that appear whole: a reader sees the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write under another name in the same folder, then rename. `mode` is less the umask."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # The mode is given at creation: no moment in which others may read what is private.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_private(path: Path, content: str | bytes) -> None:
    """Write whole, for the owner's eyes alone (mode 0600)."""
    write_whole(path, content, 0o600)


def private_folder(path: Path) -> Path:
    """Make a folder that its owner alone may enter, and return its absolute path."""
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Make a private folder, and hold it alone until the end; whoever else asks for it waits."""
    while True:
        descriptor = os.open(private_folder(folder), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(folder, descriptor):
                continue  # removed meanwhile: who holds it holds nothing
            yield folder
            return
        finally:
            os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
