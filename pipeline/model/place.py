"""Where one model's data, records and policies lie: a platform in AWS, or a local folder."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model.champion import FileRecords, ParameterRecords, Records
from pipeline.outputs import Platform, Prefixes
from pipeline.storage import BucketStore, FolderStore, Store

if TYPE_CHECKING:
    import boto3

LOCAL_PREFIXES = Prefixes(
    raw="data/raw/",
    train="data/train/",
    holdout="data/holdout/",
    inputs="data/inputs/",
    contracts="data/contracts/",
    models="mlflow/",
    references="references/",
    decisions="decisions/",
    predictions="predictions/",
    reports="reports/",
    rollouts="rollouts/",
    wheelhouse="wheelhouse/",
)


class Place:
    """The part of a step or server that knows where things lie; exactly one of both is given."""

    platform: Platform | None
    folder: Path | None

    @property
    def model(self) -> str:
        """The model's name."""
        raise NotImplementedError

    @cached_property
    def session(self) -> "boto3.session.Session":
        """The boto3 session of the platform's region."""
        import boto3

        assert self.platform is not None
        return boto3.session.Session(region_name=self.platform.region)

    @cached_property
    def store(self) -> Store:
        """Where objects are: the artifact bucket, or a folder."""
        if self.platform is None:
            assert self.folder is not None
            return FolderStore(self.folder)
        return BucketStore(self.platform.artifact_store.bucket, self.session.client("s3"))

    @cached_property
    def records(self) -> Records:
        """Where the champion of record is: SSM parameters, or files."""
        if self.platform is None:
            assert self.folder is not None
            return FileRecords(self.folder / "champion" / self.model)
        name = f"{self.platform.parameters.champion_prefix}{self.model}"
        return ParameterRecords(name, self.session.client("ssm"))

    @property
    def prefixes(self) -> Prefixes:
        """The key prefixes by area."""
        return self.platform.artifact_store.prefixes if self.platform else LOCAL_PREFIXES

    def key(self, area: str, *parts: str) -> str:
        """A key below one of the prefixes, such as key("train", "manifest.json")."""
        prefix: str = getattr(self.prefixes, area)
        return prefix + "/".join([self.model, *parts])
