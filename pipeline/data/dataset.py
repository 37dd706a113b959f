"""The rows that ingest stored, read back and verified: training rows, or the holdout."""

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError, StepFailed
from pipeline.step import Workspace

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Dataset:
    """One side of the split: `table` also holds ids, groups and times; `key` is where it lies."""

    table: "pd.DataFrame"
    contract: SchemaContract
    contract_sha256: str
    raw_sha256: str
    source: str
    key: str
    sha256: str

    @property
    def features(self) -> "pd.DataFrame":
        """The columns that the model sees."""
        return self.table[list(self.contract.features)]

    @property
    def target(self) -> "pd.Series":
        """The column that the model predicts."""
        return self.table[self.contract.target]


def load(workspace: Workspace, side: Literal["train", "holdout"]) -> Dataset:
    """Read what the last ingest stored for one side.

    Raises InputError when the settings name another target or feature set than the stored data
    has, StepFailed when the data is not what its manifest says.
    """
    import pandas as pd

    manifest = json.loads(workspace.store.read(workspace.key(side, MANIFEST))[0])
    part = manifest["data"]
    data, stored = workspace.store.read(part["key"])
    if stored.sha256 != part["sha256"]:
        raise StepFailed(
            f"{workspace.store.uri(part['key'])} is not what ingest stored: run ingest again"
        )
    contract = SchemaContract.model_validate(manifest["contract"])
    unused = workspace.settings.unused_columns
    if contract.target != workspace.settings.data.target or unused & set(contract.features):
        raise InputError(
            "the stored data was ingested with other settings: run ingest again with "
            "--renew-contract"
        )
    return Dataset(
        table=pd.read_parquet(io.BytesIO(data)),
        contract=contract,
        contract_sha256=manifest["contract_sha256"],
        raw_sha256=manifest["raw"]["sha256"],
        source=manifest["source"],
        key=part["key"],
        sha256=part["sha256"],
    )
