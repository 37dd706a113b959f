"""What a run has written, read while its processes still write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Written:
    path: Path
    content: bytes
    mode: int


def written(folder: Path, *left_out: str) -> Iterator[Written]:
    """Every regular file below `folder` but in folders called as one of `left_out`.

    A file that is replaced is written beside its place and renamed: what is gone when it is read
    is looked for again, until all that is there was read.
    """
    seen: set[Path] = set()
    gone: list[OSError] = [FileNotFoundError()]

    def missed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or error.filename == str(folder):
            raise error
        gone.append(error)

    while gone:
        gone.clear()
        for place, folders, names in os.walk(folder, onerror=missed):
            folders[:] = [name for name in folders if name not in left_out]
            for path in (Path(place, name) for name in names):
                if path in seen:
                    continue
                try:
                    if not stat.S_ISREG(path.lstat().st_mode):
                        continue
                    with path.open("rb") as file:
                        found = Written(path, file.read(), os.fstat(file.fileno()).st_mode)
                except FileNotFoundError as error:
                    missed(error)
                else:
                    seen.add(path)
                    yield found
