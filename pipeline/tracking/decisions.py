"""What is kept of a change of champion, and the aliases that show people the champion of record."""

from typing import TYPE_CHECKING, Any

from pipeline.model.champion import Champion
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


def set_aliases(client: "MlflowClient", champion: Champion) -> str | None:
    """Point people's aliases at the record; the answer tells of a champion alias that was wrong.

    Anyone in the tunnel may set an alias, so nothing is loaded by one.
    """
    found = runs.version_by(client, champion.model, CHAMPION)
    client.set_registered_model_alias(champion.model, CHAMPION, champion.model_version)
    if champion.previous is not None:
        client.set_registered_model_alias(champion.model, PREVIOUS, champion.previous)
    if found is None or str(found.version) in (champion.model_version, champion.previous):
        return None
    return (
        f"the alias {CHAMPION} named version {found.version}, which is not the champion of record; "
        "it was set right"
    )
