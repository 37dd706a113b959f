"""Which files of a version are evaluated and promoted."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.evaluation import holdout
from pipeline.tracking import runs

SHA256 = "0" * 64


def test_the_files_are_those_of_the_versions_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags are train's: one that names other files makes them another run's in the audit."""
    made, told = "s3://artifacts/mlflow/1/models/m-1/artifacts", "s3://artifacts/mlflow/other"
    asked: list[str] = []

    def read(key: str) -> Any:
        asked.append(key)
        return b"", SimpleNamespace(version="v1", sha256=SHA256)

    client = SimpleNamespace(get_model_version_download_uri=lambda *_: made)
    monkeypatch.setattr(runs, "connect", lambda _: client)
    store = SimpleNamespace(key_of=lambda uri: uri.removeprefix("s3://artifacts/"), read=read)
    workspace: Any = SimpleNamespace(platform=object(), store=store)
    tags = {runs.FILES: f'{{"model.skops": "{SHA256}"}}', "keyless.artifacts": told}
    version: Any = SimpleNamespace(name="wine", version="1", run_id="r", tags=tags)

    found = holdout.candidate(workspace, version)

    assert asked == ["mlflow/1/models/m-1/artifacts/model.skops"]
    assert found.files["model.skops"].version == "v1"
