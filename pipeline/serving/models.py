"""A model's files on their way to its process: read by version, verified, kept at hand."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StepFailed
from pipeline.model.artifacts import CARD_FILE, MODEL_FILE
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.serving.process import Load
from pipeline.storage import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A model that a slot should hold; `note` goes with its predictions."""

    version: str
    files: Mapping[str, PinnedFile]
    note: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, str, str]:
        """Two that agree in this are the same model in the same role."""
        digest = "".join(pin.sha256 for _, pin in sorted(self.files.items()))
        return self.version, hashlib.sha256(digest.encode()).hexdigest(), str(self.note)


class ModelFiles:
    """Reads pinned files, and keeps verified ones so that a restart needs no store."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._store, self._cache = store, cache

    def load(self, wanted: Wanted, header: Mapping[str, Any]) -> Load:
        """The model's bytes. Raises StepFailed when they are not those that were pinned."""
        card, model = (self._bytes(wanted, name) for name in (CARD_FILE, MODEL_FILE))
        return Load(wanted.version, card, model, {**header, "note": wanted.note})

    def forget_all_but(self, kept: list[Wanted]) -> None:
        """Delete kept bytes of models that nobody wants any more."""
        digests = {pin.sha256 for wanted in kept for pin in wanted.files.values()}
        for path in self._cache.glob("*"):
            if path.name not in digests:
                path.unlink(missing_ok=True)

    def _bytes(self, wanted: Wanted, name: str) -> bytes:
        pin = wanted.files.get(name)
        if pin is None:
            raise StepFailed(f"the model has no file {name}: this pipeline did not register it")
        path = self._cache / pin.sha256
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == pin.sha256:
                return data
        data = read_pinned(self._store, pin)
        try:
            self._keep(path, data)
        except OSError as error:  # a full disk, for one: the next start reads it from the store
            log.warning("%s is not kept at hand: %s", name, error)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
