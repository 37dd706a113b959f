"""History of one model version: who trained it, on which data, who promoted it, its predictions."""

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import InputError, of_local_cloud
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import record, runs, sessions
from pipeline.tracking.decisions import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TRAINED = {
    "subject": "oidc_subject",
    "actor": "actor",
    "workflow run": "workflow_run",
    "role": "role_arn",
    "commit": "git_commit",
    "uncommitted changes": "git_dirty",
    "data": "data_sha256",
    "source": "source",
    "settings": "settings_sha256",
    "lock file": "lock_sha256",
}


def audit(workspace: Workspace, selector: str) -> dict[str, Any]:
    """Everything that is on record about a version (by number or alias) of the workspace's model.

    Parts that the caller's role may not read are named in `unreadable`. Raises InputError when
    there is no such version.
    """
    client = runs.connect(workspace)
    current, _ = workspace.records.read()
    version = runs.version_by(client, workspace.model, selector)
    if version is None and current is not None and selector in (current.model_version, CHAMPION):
        # The record decides; the alias goes with a version that is deleted in MLflow.
        version = runs.version_by(client, workspace.model, current.model_version)
        if version is None:
            raise InputError(
                f"version {current.model_version}, the champion of record of {workspace.model}, "
                "was deleted in MLflow; it predicts as before, and promote or rollback replaces it"
            )
    if version is None:
        raise InputError(f"{workspace.model} has no version or alias {selector!r}")
    tags, gone = _run_tags(client, str(version.run_id))
    unreadable: list[str] = [gone] if gone else []
    number = str(version.version)
    decisions = _readable(workspace, "decisions", "", unreadable)
    manifests = _readable(workspace, "predictions", "_manifests/", unreadable)
    changes = _recorded(workspace, number, str(version.run_id), unreadable)
    opened = _sessions(workspace, changes, unreadable)
    return {
        "model": workspace.model,
        "model_version": number,
        "run_id": version.run_id,
        "champion_of_record": current is not None and current.model_version == number,
        "aliases": sorted(version.aliases),
        "trained": {name: tags.get(f"keyless.{tag}") for name, tag in _TRAINED.items()},
        "decisions": [
            {
                "kind": document["kind"],
                "sentence": document["sentence"],
                "at": document["decided_at"],
                "subject": document["identity"].get("keyless.oidc_subject"),
                "role": document["role_arn"],
            }
            for document in decisions
            if _concerns(document, number)
        ],
        "replaced": [
            {
                "kind": document["kind"],
                "by_version": document["record"]["model_version"],
                "sentence": document["sentence"],
                "at": document["decided_at"],
                "subject": document["identity"].get("keyless.oidc_subject"),
                "role": document["role_arn"],
            }
            for document in decisions
            if (document.get("before") or {}).get("model_version") == number
        ],
        "predictions": [
            {
                "date": manifest["date"],
                "rows": manifest["predicted"],
                "input": manifest["input"],
                "key": manifest["predictions"],
            }
            for manifest in manifests
            if manifest["model_version"] == number
        ],
        "mlflow_changes": [dataclasses.asdict(one) for one in changes],
        "mlflow_sessions": [dataclasses.asdict(one) for one in opened],
        "unreadable": unreadable,
    }


def _recorded(
    workspace: Workspace, number: str, run_id: str, unreadable: list[str]
) -> list[record.Change]:
    """Changes that the MLflow server logged; empty if its log cannot be read."""
    from botocore.exceptions import ClientError

    try:
        return record.changes(workspace, number, run_id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ResourceNotFoundException":
            return []
        if code not in ("AccessDenied", "AccessDeniedException"):
            raise
        unreadable.append("the server's log")
        return []


def _sessions(
    workspace: Workspace, changes: list[record.Change], unreadable: list[str]
) -> list[sessions.Opened]:
    """Sessions that could have made the changes; CloudTrail is asked only if there are any."""
    from botocore.exceptions import ClientError

    try:
        return sessions.opened(workspace, changes)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "AccessDeniedException"):
            unreadable.append("CloudTrail's events")
        elif of_local_cloud(error) is not None:
            unreadable.append(
                "who opened the sessions was not asked: the local cloud has no CloudTrail"
            )
        else:
            unreadable.append(f"CloudTrail was asked who opened the sessions, and answered {code}")
        return []


def _run_tags(client: "MlflowClient", run_id: str) -> tuple[Mapping[str, str], str | None]:
    """A run's tags, and a sentence where somebody has deleted the run."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}, f"run {run_id} was deleted for good in MLflow"
    deleted = run.info.lifecycle_stage == "deleted"
    return run.data.tags, f"run {run_id} was deleted in MLflow" if deleted else None


def _readable(
    workspace: Workspace, area: str, below: str, unreadable: list[str]
) -> list[dict[str, Any]]:
    """Every JSON document of one kind. Denied areas are noted, because few roles may read all."""
    from botocore.exceptions import ClientError

    prefix = workspace.key(area, below)
    try:
        keys = [key for key in workspace.store.keys(prefix) if key.endswith(".json")]
        return [json.loads(workspace.store.read(key)[0]) for key in keys]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "403"):
            raise
        unreadable.append(area)
        return []


def _concerns(document: Mapping[str, Any], number: str) -> bool:
    """Whether a decision is about this version; evaluations alone decide nothing."""
    if "kind" not in document:
        return False
    subject = document.get("record") or document["evaluation"]
    return bool(subject["model_version"] == number)


@step
@click.argument("model")
def main(workspace: Workspace, *, model: str) -> Outcome:
    """Show the history of MODEL[@alias or @version]; without @ that of its champion of record."""
    name, _, selector = model.partition("@")
    workspace = workspace.of(name)
    if not selector:
        current, _ = workspace.records.read()
        if current is None:
            raise InputError(
                f"{name} has no champion of record: name a version, such as {name}@1, "
                "or run promote first"
            )
        selector = current.model_version
    story = audit(workspace, selector)
    return Outcome(_lines(story), {"step": "audit", **story})


def _lines(story: dict[str, Any]) -> list[str]:
    lines = [
        f"{story['model']} version {story['model_version']} (run {story['run_id']})"
        + (", champion of record" if story["champion_of_record"] else "")
    ]
    lines += [f"  {name}: {value or 'not recorded'}" for name, value in story["trained"].items()]
    for decision in story["decisions"]:
        lines.append(
            f"  {decision['kind']} at {decision['at']} by {_who(decision)}: {decision['sentence']}"
        )
    for end in story["replaced"]:
        how = "rolled back" if end["kind"] == "rollback" else "replaced"
        lines.append(
            f"  {how} as champion by version {end['by_version']} at {end['at']} by {_who(end)}: "
            f"{end['sentence']}"
        )
    for batch in story["predictions"]:
        lines.append(f"  predicted {batch['rows']} rows of {batch['input']} on {batch['date']}")
    lines += [
        f"  {line}"
        for line in record.lines([record.Change(**one) for one in story["mlflow_changes"]])
    ]
    lines += [f"  {sessions.Opened(**one)}" for one in story["mlflow_sessions"]]
    lines += [
        f"  {area}" if " was " in area else f"  {area}: this role may not read them"
        for area in story["unreadable"]
    ]
    return lines


def _who(decision: Mapping[str, Any]) -> str:
    return decision["subject"] or decision["role"] or "someone without a token"


if __name__ == "__main__":
    main()
