"""A model as files: written in MLflow's format with skops, loaded only after its digest agrees."""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import VERSION, SchemaContract
from pipeline.data.splits import HoldoutDefinition
from pipeline.errors import InputError, StepFailed
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.model.decision import DecisionRule
from pipeline.storage import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

MODEL_FILE = "model.skops"
CARD_FILE = "keyless.json"
ROWS_FILE = "rows.npy"


@dataclass(frozen=True)
class ModelFacts:
    """What a prediction must know beside the model itself; lies next to it as keyless.json."""

    contract: SchemaContract
    task: str
    positive: str | None
    holdout: HoldoutDefinition | None = None
    decision: DecisionRule = field(default_factory=DecisionRule)

    def dump(self) -> bytes:
        """As JSON, for the file beside the model."""
        return json.dumps(
            {
                "contract": self.contract.model_dump(mode="json"),
                "task": self.task,
                "positive": self.positive,
                "decision": self.decision.model_dump(mode="json"),
                "holdout": self.holdout.model_dump(mode="json") if self.holdout else None,
            },
            indent=1,
        ).encode()

    @classmethod
    def parse(cls, document: bytes) -> "ModelFacts":
        """Raises StepFailed for a model of an older version of this pipeline."""
        raw = json.loads(document)
        if raw["contract"].get("schema_version") != VERSION:
            raise StepFailed(
                "the model was trained by an older version of this pipeline, whose rules for "
                "reading data are not these: train again, and promote with --floors-only"
            )
        contract = SchemaContract.model_validate(raw["contract"])
        holdout = raw.get("holdout")
        known = HoldoutDefinition.model_validate(holdout) if holdout else None
        decision = DecisionRule.model_validate(raw.get("decision") or {})
        return cls(contract, raw["task"], raw["positive"], known, decision)


def save_model(
    folder: Path,
    model: "Pipeline",
    facts: ModelFacts,
    example: Any,
    identity_of_rows: "NDArray[np.uint64]",
    requirements: list[str],
    trusted_types: list[str],
    identity: Mapping[str, Any],
) -> dict[str, str]:
    """Write the model directory that MLflow registers; the answer is each file's SHA-256.

    Raises InputError when the model holds types that the settings do not trust.
    """
    import mlflow.sklearn
    import numpy as np
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, infer_signature

    predictions = model.predict(example)
    with warnings.catch_warnings():
        # Integer columns are float64 in the contract already, so its hint on them is void.
        warnings.filterwarnings("ignore", message=".*integer column.*")
        signature = _optional(infer_signature(example, predictions), facts.contract)
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
    # Which rows it was trained on, so that nobody ever scores it on them.
    np.save(folder / ROWS_FILE, np.unique(identity_of_rows), allow_pickle=False)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _optional(signature: Any, contract: SchemaContract) -> Any:
    """A signature in which a value may be missing where the contract knows missing ones.

    MLflow looks at the example alone, whose few rows may be complete.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    full = {name for name, column in contract.features.items() if column.null_rate == 0}
    inputs = Schema(
        [
            ColSpec(entry.type, entry.name, required=contract.column_of(entry.name) in full)
            for entry in signature.inputs
        ]
    )
    return ModelSignature(inputs=inputs, outputs=signature.outputs)


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


def trained_rows(store: Store, files: Mapping[str, PinnedFile]) -> "NDArray[np.uint64]":
    """The identities of the rows that a model was trained on, sorted, from the pinned bytes."""
    import numpy as np

    data = read_pinned(store, _file(files, ROWS_FILE))
    found: NDArray[np.uint64] = np.load(io.BytesIO(data), allow_pickle=False)
    return found


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
