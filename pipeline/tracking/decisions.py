"""What is kept of a change of champion, and the aliases that show people the champion of record."""

import json
from typing import TYPE_CHECKING, Any

from pipeline.errors import first_line
from pipeline.model.champion import Champion, read_pinned
from pipeline.step import Workspace
from pipeline.tracking import runs
from pipeline.tracking.lineage import code_sha256, git_commit, identity_tags, role_arn

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, PREVIOUS = "champion", "previous"


def decision_key(workspace: Workspace, sequence: int) -> str:
    """Where the decision of the champion's change number `sequence` lies; only one can."""
    return workspace.key("decisions", "changes", f"{sequence:06}.json")


def decision_document(
    workspace: Workspace, kind: str, sentence: str, record: Champion, before: Champion | None
) -> dict[str, Any]:
    """What is kept of a change of champion: who, when, why, and the records around it."""
    return {
        "schema_version": 1,
        "kind": kind,
        "sentence": sentence,
        "decided_at": record.changed_at,
        "git_commit": git_commit(),
        "code_sha256": code_sha256(),
        "role_arn": role_arn(workspace),
        "identity": identity_tags(),
        "record": record.model_dump(mode="json"),
        "before": before.model_dump(mode="json") if before else None,
    }


def barred(workspace: Workspace, current: Champion | None) -> dict[str, str]:
    """Versions that were rolled back, each with the reason; none is promoted again by itself.

    Each decision carries them on, so that one is read, not all.
    """
    if current is None or current.decision is None:
        return {}
    document = json.loads(read_pinned(workspace.store, current.decision))
    found: dict[str, str] = document.get("barred", {})
    return found


def update_aliases(workspace: Workspace, champion: Champion) -> list[str]:
    """Set the aliases in MLflow to the champion of record, if MLflow can be reached.

    The champion changed when its record was written, so a failure here is a warning, and the next
    run corrects it.
    """
    try:
        warning = set_aliases(runs.connect(workspace), champion)
    except Exception as error:  # noqa: BLE001 - whatever MLflow does, the champion has changed
        return [
            f"the champion of record is version {champion.model_version}, but the aliases in "
            f"MLflow could not be set ({first_line(error)}): the next promote or rollback sets them"
        ]
    return [warning] if warning else []


def set_aliases(client: "MlflowClient", champion: Champion) -> str | None:
    """Point the aliases in MLflow at the record; returns a warning if the champion alias was wrong.

    Anyone in the tunnel may set an alias, so nothing is loaded by one.
    """
    found = runs.version_by(client, champion.model, CHAMPION)
    if runs.version_by(client, champion.model, champion.model_version) is None:
        return (
            f"version {champion.model_version}, the champion of record, was deleted in MLflow: its "
            "files are kept and it predicts as before, but no alias can name it"
        )
    client.set_registered_model_alias(champion.model, CHAMPION, champion.model_version)
    previous = champion.previous
    if previous is not None and runs.version_by(client, champion.model, previous) is not None:
        client.set_registered_model_alias(champion.model, PREVIOUS, previous)
    if found is None or str(found.version) in (champion.model_version, champion.previous):
        return None
    return (
        f"the alias {CHAMPION} named version {found.version}, which is not the champion of record; "
        "it was set right"
    )
