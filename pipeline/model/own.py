"""The user's own code, named in the settings by its import path, such as mine:Ratios.

It is looked for beside the settings file and in the current folder, and is part of a training's
fingerprint.
"""

import hashlib
import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import InputError


def look_in(*folders: Path) -> None:
    """Let modules in these folders be imported, after everything that is installed."""
    for folder in folders:
        place = str(folder.resolve())
        if place not in sys.path:
            sys.path.append(place)


def load(path: str) -> Any:
    """What an import path names. Raises InputError that says what is missing."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: no module {error.name!r}; it is looked for beside the settings file, in the "
            "current folder and among installed packages"
        ) from None
    except AttributeError:
        raise InputError(f"{path}: the module {module} has no {name!r}") from None
    except Exception as error:
        raise InputError(f"{path}: the module {module} cannot be imported: {error!r}") from error
    return found


def code_sha256(paths: Iterable[str]) -> str | None:
    """A digest of the modules that import paths name, with all of their packages; None for none."""
    files: set[Path] = set()
    for path in paths:
        module = path.partition(":")[0]
        spec = find_spec(module.partition(".")[0])
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None or not origin.is_file():
            continue
        files |= (
            set(origin.parent.rglob("*.py"))
            if spec and spec.submodule_search_locations
            else {origin}
        )
    if not files:
        return None
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
