"""Predictions on their way from the outbox to the store, as batch predictions lie there."""

import hashlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.model.place import Place
from pipeline.rollouts.observed.verify import REQUESTS
from pipeline.serving.worker.journal import OUTBOX

log = logging.getLogger(__name__)
SHADOW = "_shadow"


def send_all(place: Place, journal: Path) -> int:
    """Upload every file with a note, oldest first; the answer is how many remain.

    A file that cannot be sent stays for the next time, and so do those after it.
    """
    notes = sorted((journal / OUTBOX).glob("*.json"), key=lambda path: path.stat().st_mtime)
    for number, note in enumerate(notes):
        try:
            _send(place, note)
        except Exception:  # whatever keeps the store from answering
            log.exception("predictions are not uploaded")
            return len(notes) - number
    return 0


def _send(place: Place, note: Path) -> None:
    facts: dict[str, Any] = json.loads(note.read_text())
    table = note.with_suffix(".parquet")
    partition = [f"date={facts['date']}", f"model_version={facts['model_version']}"]
    area = [SHADOW] if facts["shadow"] else []
    key = place.key("predictions", *area, *partition, f"{note.stem}.parquet")
    place.store.send(table, key)
    if not facts["shadow"]:
        _put_manifest(place, facts, note.stem, key, partition, table)
        if requests := facts.get("requests"):
            # By time, so that the newest are found without reading them all.
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{note.stem}.json"
            place.store.put(place.key("predictions", REQUESTS, name), json.dumps(requests).encode())
    table.unlink()
    note.unlink()


def _put_manifest(
    place: Place, facts: dict[str, Any], stem: str, key: str, partition: list[str], table: Path
) -> None:
    """The note as a manifest of batch prediction, so that monitor reads both."""
    manifest_key = place.key("predictions", "_manifests", *partition, f"{stem}.json")
    with table.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    manifest = {
        "schema_version": 1,
        "model": facts["model"],
        "model_version": facts["model_version"],
        "run_id": facts["run_id"],
        "champion_sequence": facts["champion_sequence"],
        "input": f"requests to {facts['server']}",
        "input_sha256": digest,
        "date": facts["date"],
        "rows": facts["rows"],
        "predicted": facts["rows"],
        "rejected": 0,
        "unseen_categories": facts["unseen_categories"],
        "contract": facts["contract"],
        "positive": facts["positive"],
        "reference": facts["reference"],
        "manifest": manifest_key,
        "predictions": key,
        "rejects": None,
    }
    place.store.put(manifest_key, json.dumps(manifest, indent=1, sort_keys=True).encode())
