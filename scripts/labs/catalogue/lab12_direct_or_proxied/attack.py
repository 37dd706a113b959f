"""Have MLflow fetch what the intern has no right to."""

import os
from pathlib import Path

from scripts.labs.attacking import attack
from scripts.labs.catalogue.lab12_direct_or_proxied.proxy import CHAMPION, ask


@attack
def main() -> str:
    """Read the champion's file through the artifact server."""
    address = Path("given/mlflow.txt").read_text().split()[0]
    return ask(Path(os.environ["KEYLESS_HOME"]), address, "GET", CHAMPION)


main()
