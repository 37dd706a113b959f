"""The rows that ingest stored, read back and verified: training rows, or the holdout."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pipeline.data.contract import VERSION, SchemaContract, frame
from pipeline.data.prepare import read_all
from pipeline.data.splits import HoldoutDefinition, identities
from pipeline.errors import InputError, StepFailed
from pipeline.settings import Settings
from pipeline.step import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Dataset:
    """One side of the split: `raw` are the rows as they came; `key` is where they lie."""

    raw: "pyarrow.Table"
    contract: SchemaContract
    definition: HoldoutDefinition
    contract_sha256: str
    raw_sha256: str
    source: str
    key: str
    sha256: str

    @cached_property
    def table(self) -> "pd.DataFrame":
        """What a model is given, and beside it the target, ids, groups and times."""
        found = read_all(self.raw, self.contract, list(self.contract.others))
        others = {name: array for name, array in found.others.items() if name not in found.columns}
        return frame({**found.columns, **others})

    @property
    def features(self) -> "pd.DataFrame":
        """What a model is given of the rows."""
        return self.table[list(self.contract.inputs)]

    @property
    def target(self) -> "pd.Series":
        """The column that the model predicts."""
        return self.table[self.contract.target]

    @cached_property
    def identity(self) -> "NDArray[np.uint64]":
        """A number that identifies each row; it never changes."""
        return identities(self.raw, self.definition.key)

    @property
    def times(self) -> "NDArray[np.float64] | None":
        """Seconds (or what else grows with time), where the holdout is cut by time."""
        column = self.definition.column
        if self.definition.rule != "time" or column is None:
            return None
        return self.table[column].to_numpy(dtype="float64")

    @property
    def groups(self) -> "NDArray[np.intp] | None":
        """A number for each row's group, where whole groups are held out."""
        import pandas as pd

        column = self.definition.column
        if self.definition.rule != "group" or column is None:
            return None
        return pd.factorize(self.table[column], use_na_sentinel=False)[0]

    def features_by(self, contract: SchemaContract) -> "pd.DataFrame":
        """The rows as a model reads them by a contract of its own.

        Raises InputError for a column that is not there.
        """
        if contract == self.contract:
            return self.features
        return frame(read_all(self.raw, contract, []).columns)


def load(workspace: Workspace, side: Literal["train", "holdout"]) -> Dataset:
    """Read what the last ingest stored for one side.

    Raises InputError when nothing was ingested yet, or by other settings than these, StepFailed
    when the data is not what its manifest says.
    """
    import pyarrow.parquet  # type: ignore[import-untyped]

    manifest = _manifest(workspace, side)
    if manifest["contract"].get("schema_version") != VERSION:
        raise InputError(
            "the stored data is of an older version of this pipeline: run ingest again with "
            "--renew-contract"
        )
    part = manifest["data"]
    data, stored = workspace.store.read(part["key"])
    if stored.sha256 != part["sha256"]:
        raise StepFailed(
            f"{workspace.store.uri(part['key'])} is not what ingest stored: run ingest again"
        )
    contract = SchemaContract.model_validate(manifest["contract"])
    settings = workspace.settings
    check_task(contract, settings)
    _check_reading(manifest, contract, settings)
    return Dataset(
        raw=pyarrow.parquet.read_table(io.BytesIO(data)),
        contract=contract,
        definition=HoldoutDefinition.model_validate(manifest["holdout"]),
        contract_sha256=manifest["contract_sha256"],
        raw_sha256=manifest["raw_sha256"],
        source=manifest["source"],
        key=part["key"],
        sha256=part["sha256"],
    )


def _check_reading(
    manifest: Mapping[str, Any], contract: SchemaContract, settings: Settings
) -> None:
    """Refuse settings that read data otherwise than the stored rows were read."""
    if "settings" in manifest:
        recorded, now = _flat(manifest["settings"]), _flat(settings.reading())
        changed = [at for at in {**recorded, **now} if recorded.get(at) != now.get(at)]
        said = ", ".join(f"{name} under [{section}]" for section, name in changed)
    else:
        # An older ingest kept no settings; its contract tells the target and what is learnt from.
        unused = settings.unused_columns - {settings.holdout.column}
        other = contract.target != settings.data.target
        said = ", ".join(["target"] * other + sorted(unused & set(contract.features)))
    if said:
        raise InputError(
            f"the settings and the ingested data differ: {said} changed since ingest: run ingest "
            "again, or put the settings back"
        )


def _flat(reading: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Settings by section and key. The order of a list counts for the names of columns alone."""
    return {
        (section, name): sorted(value, key=str)
        if isinstance(value, list) and name != "names"
        else value
        for section, values in reading.items()
        for name, value in values.items()
    }


def check_task(contract: SchemaContract, settings: Settings) -> None:
    """Refuse a task, or a class to find, that the contract's target does not have."""
    classes, task, positive = contract.classes, settings.task.type, settings.data.positive
    if bool(classes) != (task != "regression") or (task == "binary" and len(classes) != 2):
        found = f"has the classes {', '.join(classes[:10])}" if classes else "is a number"
        raise InputError(
            f"the target {contract.target!r} was ingested for another task, and {found}: put type "
            "back under [task], or run ingest again with --renew-contract"
        )
    if positive is not None and contract.class_named(positive) not in classes:
        raise InputError(
            f"data.positive {positive!r} is not one of the classes of {contract.target!r}; write "
            f"one of {', '.join(classes)}"
        )


def _manifest(workspace: Workspace, side: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    nothing = f"no data of {workspace.model} was ingested yet: run ingest first"
    try:
        data, _ = workspace.store.read(workspace.key(side, MANIFEST))
    except StepFailed:
        raise InputError(nothing) from None
    except ClientError as error:
        # Without the right to list, S3 answers 403 for an object that is not there.
        if error.response["Error"]["Code"] not in ("AccessDenied", "403"):
            raise
        raise InputError(f"{nothing}; or this role may not read it ({error})") from None
    found: dict[str, Any] = json.loads(data)
    return found
