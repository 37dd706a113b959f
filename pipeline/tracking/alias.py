"""Whether the alias that people see in MLflow names the model that predictions come from."""

import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlencode

from pipeline.errors import first_line
from pipeline.step import Workspace

ALIAS = "champion"
_TIMEOUT_SECONDS = 30


def disagreement(workspace: Workspace, number: str) -> str | None:
    """A warning if the alias names another version than `number`.

    None if it agrees, if nobody set it, and where no tracking server is named. A server that does
    not answer is a warning too: what is stored does not depend on MLflow.
    """
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        return None
    try:
        found = (
            _asked(address, workspace.model)
            if address.startswith(("http://", "https://"))
            else _looked_up(workspace)
        )
    except Exception as error:  # noqa: BLE001 - the step's work is stored, whatever MLflow does
        return f"whether people see another champion is not known: {first_line(error)}"
    if found in (None, number):
        return None
    return f"the alias {ALIAS} names version {found}; the predictions come from version {number}"


def _asked(address: str, model: str) -> str | None:
    """One request in place of MLflow's client, whose import alone takes seconds."""
    query = urlencode({"name": model, "alias": ALIAS})
    place = f"{address.rstrip('/')}/api/2.0/mlflow/registered-models/alias?{query}"
    try:
        with urllib.request.urlopen(place, timeout=_TIMEOUT_SECONDS) as answer:
            return str(json.load(answer)["model_version"]["version"])
    except urllib.error.HTTPError as error:
        with error:
            code = json.loads(error.read() or b"{}").get("error_code")
        if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    except KeyError as error:
        raise ValueError(f"an answer without {error}") from None


def _looked_up(workspace: Workspace) -> str | None:
    from pipeline.tracking import runs

    found = runs.version_by(runs.connect(workspace), workspace.model, ALIAS)
    return None if found is None else str(found.version)
