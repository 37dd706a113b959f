"""A model as files: written in MLflow's format with skops, loaded only after its digest agrees."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError, StepFailed
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.storage import Store

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL_FILE = "model.skops"
CARD_FILE = "keyless.json"


@dataclass(frozen=True)
class ModelFacts:
    """What a prediction must know beside the model itself; lies next to it as keyless.json."""

    contract: SchemaContract
    task: str
    positive: str | None
    id_columns: list[str]

    def dump(self) -> bytes:
        """As JSON, for the file beside the model."""
        return json.dumps(
            {
                "contract": self.contract.model_dump(mode="json"),
                "task": self.task,
                "positive": self.positive,
                "id_columns": self.id_columns,
            },
            indent=1,
        ).encode()

    @classmethod
    def parse(cls, document: bytes) -> "ModelFacts":
        """Read what `dump` wrote."""
        raw = json.loads(document)
        return cls(**{**raw, "contract": SchemaContract.model_validate(raw["contract"])})


def save_model(
    folder: Path,
    model: "Pipeline",
    facts: ModelFacts,
    example: Any,
    requirements: list[str],
    trusted_types: list[str],
    identity: Mapping[str, Any],
) -> dict[str, str]:
    """Write the model directory that MLflow registers; the answer is each file's SHA-256.

    Raises InputError when the model holds types that the settings do not trust.
    """
    import mlflow.sklearn
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, infer_signature

    predictions = model.predict(example)
    with warnings.catch_warnings():
        # Integer columns are float64 in the contract already, so its hint on them is void.
        warnings.filterwarnings("ignore", message=".*integer column.*")
        signature = infer_signature(example, predictions)
    try:
        mlflow.sklearn.save_model(
            model,
            str(folder),
            mlflow_model=Model(**identity),
            serialization_format="skops",
            signature=signature,
            input_example=example,
            pip_requirements=requirements,
            skops_trusted_types=trusted_types,
        )
    except MlflowException:
        # It loads what it saved; a refusal of ours says what to write.
        if (folder / MODEL_FILE).exists():
            check_types(folder / MODEL_FILE, trusted_types)
        raise
    (folder / CARD_FILE).write_bytes(facts.dump())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_types(path: Path, trusted_types: list[str]) -> None:
    """Refuse a saved model that could not be loaded again under the settings' trusted types."""
    import skops.io

    found = set(skops.io.get_untrusted_types(file=path))
    if missing := sorted(found - set(trusted_types)):
        raise InputError(
            "the model holds types that skops does not trust by itself: review them and add to "
            f"trusted_types under [serialization]: {', '.join(missing)}"
        )


def load_model(
    store: Store, files: Mapping[str, PinnedFile], trusted_types: list[str]
) -> "tuple[Pipeline, ModelFacts]":
    """Load a model from exactly the pinned bytes. Raises StepFailed when they were altered."""
    facts = ModelFacts.parse(read_pinned(store, _file(files, CARD_FILE)))
    data = read_pinned(store, _file(files, MODEL_FILE))
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(data, trusted=trusted_types), facts
    except UntrustedTypesFoundException as error:
        raise StepFailed(f"the model is not loaded: {error}") from None


def overwritten(store: Store, files: Mapping[str, PinnedFile]) -> list[str]:
    """Names of the files over which somebody has written since they were pinned.

    It changes nothing for who loads by version, and is a sign of an intruder or of a bug.
    """
    return [
        name
        for name, file in sorted(files.items())
        if file.version is not None and store.newest_version(file.key) != file.version
    ]


def _file(files: Mapping[str, PinnedFile], name: str) -> PinnedFile:
    if name not in files:
        raise StepFailed(f"the model has no file {name}: it was not registered by this pipeline")
    return files[name]
