"""All versions of one model side by side, and the history of its champions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import InputError
from pipeline.pages import history
from pipeline.step import Outcome, Workspace, step, write_text
from pipeline.storage import KeyAbsentError
from pipeline.tracking import runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@step
@click.argument("model", required=False)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also as a page.")
def main(workspace: Workspace, *, model: str | None, html: Path | None) -> Outcome:
    """Show the versions of MODEL (by default that of the settings) and its champions over time."""
    workspace = workspace.of(model)
    changes = _decisions(workspace, "changes")
    found = history.History(
        workspace.model,
        [_champion(change) for change in changes],
        _versions(workspace, changes, _decisions(workspace, "kept")),
    )
    if not found.versions:
        raise InputError(f"{workspace.model} has no version yet: run train first")
    if html is not None:
        write_text(html, history.render(found))
    return Outcome(
        [*history.lines(found), *([f"page {html}"] if html else [])],
        {
            "step": "models",
            "model": workspace.model,
            "champions": found.champions,
            "versions": found.versions,
        },
    )


def _decisions(workspace: Workspace, kind: str) -> list[dict[str, Any]]:
    """Every decision of a kind, oldest first."""
    prefix = workspace.key("decisions", kind, "")
    found = []
    for key in workspace.store.keys(prefix):
        if not key.endswith(".json"):
            continue
        try:
            found.append(json.loads(workspace.store.read(key)[0]))
        except KeyAbsentError:
            continue  # deleted between listing and reading
    return sorted(found, key=lambda document: str(document["decided_at"]))


def _champion(change: dict[str, Any]) -> dict[str, Any]:
    record, identity = change["record"], change["identity"]
    return {
        "sequence": record["sequence"],
        "model_version": record["model_version"],
        "kind": change["kind"],
        "at": change["decided_at"],
        "by": identity.get("keyless.oidc_subject") or change["role_arn"],
        "metric": record["metric"]["name"],
        "value": record["metric"]["value"],
        "low": record["metric"]["low"],
        "high": record["metric"]["high"],
        "sentence": change["sentence"],
    }


def _versions(
    workspace: Workspace, changes: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What is known of every version, newest first."""
    client = runs.connect(workspace)
    current, _ = workspace.records.read()
    barred = changes[-1].get("barred", {}) if changes else {}
    judged = {str(document["evaluation"]["model_version"]): document for document in kept}
    was = {str(change["record"]["model_version"]) for change in changes}
    found = []
    for version in client.search_model_versions(f"name = '{workspace.model}'"):
        number = str(version.version)
        state = "not judged yet"
        if current is not None and current.model_version == number:
            state = "champion"
        elif number in barred:
            state = f"rolled back: {barred[number]}"
        elif number in was:
            state = "was champion"
        elif number in judged:
            state = f"kept out: {judged[number]['sentence']}"
        found.append(
            {
                "model_version": number,
                "state": state,
                "registered": int(version.creation_timestamp),
                **_training(client, version, workspace.settings.metric.name),
            }
        )
    return sorted(found, key=lambda entry: -int(entry["model_version"]))


def _training(client: "MlflowClient", version: "ModelVersion", metric: str) -> dict[str, Any]:
    """How a version was trained, from its run; empty if the run was deleted permanently."""
    from mlflow.exceptions import MlflowException

    nothing: dict[str, Any] = {"run_id": str(version.run_id), "parameters": {}, "metrics": {}}
    try:
        run = client.get_run(str(version.run_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return nothing
    metrics = run.data.metrics
    shown = {name: metrics[name] for name in sorted(metrics) if name.startswith("holdout_")}
    if f"cv_{metric}_mean" in metrics:
        shown = {f"cv_{metric}": metrics[f"cv_{metric}_mean"], **shown}
    return nothing | {"parameters": dict(run.data.params), "metrics": shown}


if __name__ == "__main__":
    main()
