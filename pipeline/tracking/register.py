"""Register a trained model: files first, then the version, so that none is ever half there."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.runs import FILES, Tracking

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHALLENGER = "challenger"
# Tags of the run that the version carries too, so that it can be judged without its run.
VERSION_TAGS = (
    "keyless.contract_sha256",
    "keyless.data_sha256",
    "keyless.git_commit",
    "keyless.lock_sha256",
    "keyless.oidc_subject",
    "keyless.role_arn",
    "keyless.settings_sha256",
    "keyless.workflow_run",
)


def upload_and_register(
    run: Tracking,
    model: str,
    tags: Mapping[str, str],
    save: "Callable[[Path, Mapping[str, Any]], dict[str, str]]",
) -> "ModelVersion":
    """Upload what `save(folder, identity)` writes, then create the version and its alias."""
    from mlflow.entities import LoggedModelStatus

    logged = run.client.create_logged_model(
        run.experiment_id, name="model", source_run_id=run.run_id, model_type="sklearn"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        identity = {
            "run_id": run.run_id,
            "model_uuid": logged.model_id,
            "model_id": logged.model_id,
            "artifact_path": logged.artifact_location,
        }
        files = save(folder, identity)
        run.client.log_model_artifacts(logged.model_id, str(folder))
    run.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    chosen = {name: tags[name] for name in VERSION_TAGS if name in tags}
    return create_version(
        run.client,
        model,
        run.run_id,
        logged.model_id,
        {**chosen, FILES: json.dumps(files)},
    )


def create_version(
    client: "MlflowClient", model: str, run_id: str, model_id: str, tags: Mapping[str, str]
) -> "ModelVersion":
    """Create the version, with its tags in the same request, and the registered model if needed."""
    from mlflow.exceptions import MlflowException

    source = f"models:/{model_id}"

    def create() -> "ModelVersion":
        return client.create_model_version(
            model, source, run_id, dict(tags), model_id=model_id, await_creation_for=0
        )

    try:
        return create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return create()
