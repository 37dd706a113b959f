"""Fetches a training run's plots through the tunnel, as its MLflow page shows them.

The training role may not read artifacts; the server may, for its pages. No plot is worth a failed
job: what cannot be had is said as a warning.
"""

import argparse
import json
import os
import re
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

FOLDER = "cross_validation"
MOST_BYTES = 5_000_000
PNG = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    """Fetch the plots of the run that RESULT names into FOLDER."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    run_id = json.loads(given.result.read_text(encoding="utf-8"))["run_id"]
    try:
        fetch(os.environ["MLFLOW_TRACKING_URI"], run_id, given.folder)
    except (OSError, ValueError, KeyError) as failure:
        print(f"::warning title=No plots::{' '.join(str(failure).split())}")


def fetch(address: str, run_id: str, folder: Path) -> list[str]:
    """Write every plot of a run into `folder`; the answer is their names.

    Raises OSError or ValueError for a server that does not answer as MLflow does.
    """
    query = urlencode({"run_id": run_id, "path": FOLDER})
    listed: dict[str, Any] = json.loads(
        read(f"{address}/api/2.0/mlflow/artifacts/list?{query}").decode()
    )
    names = sorted(Path(file["path"]).name for file in listed.get("files", ()))
    for name in names:
        # Whoever is in the tunnel may log artifacts: their names and content are data.
        if not re.fullmatch(r"[a-z0-9_]+\.png", name):
            raise ValueError(f"{name!r} is no name of a plot")
        query = urlencode({"run_uuid": run_id, "path": f"{FOLDER}/{name}"})
        content = read(f"{address}/get-artifact?{query}")
        if not content.startswith(PNG):
            raise ValueError(f"{name} is no PNG")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return names


def read(url: str) -> bytes:
    """What a URL holds, if it is not too much."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{url} holds more than {MOST_BYTES} bytes")
    return content


if __name__ == "__main__":
    main()
