"""Code of one's own: the example of docs/pipeline.md, run as it stands there."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline import ingest, predict, promote, train
from pipeline.errors import InputError
from pipeline.evaluation import metrics
from pipeline.model import families, own
from tests import ROOT

DATA = """model = "own"

[data]
source = "sklearn:breast_cancer"
target = "diagnosis"
positive = "malignant"
batch_fraction = 0.1

"""


def _example(kind: str) -> str:
    page = (ROOT / "docs" / "pipeline.md").read_text().partition("## Code of your own")[2]
    found: str = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0]
    return found


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's module beside its settings; forgotten again after the test."""
    (tmp_path / "mine.py").write_text(_example("python"))
    (tmp_path / "pipeline.toml").write_text(DATA + _example("toml"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mine", None)


def _step(folder: Path, module: Any, code: int = 0) -> dict[str, Any]:
    result = folder / "result.json"
    arguments = ["--local", str(folder / "work"), "--settings", str(folder / "pipeline.toml")]
    done = CliRunner().invoke(
        module.main, [*arguments, "--result", str(result)], catch_exceptions=False
    )
    assert done.exit_code == code, done.output
    values: dict[str, Any] = json.loads(result.read_text()) if code == 0 else {}
    return values | {"output": done.output}


@pytest.mark.slow
def test_the_example_is_trained_promoted_and_predicts(mine: Path, mlflow_uri: str) -> None:
    _step(mine, ingest)
    trained = _step(mine, train)
    assert trained["metric"] == "mine:missed"
    assert trained["trials"] == 4
    promoted = _step(mine, promote)
    assert promoted["verdict"] == "promote"
    assert 0 <= promoted["holdout_value"] < 1000
    assert _step(mine, predict)["predicted"] > 0
    assert _step(mine, train)["reused"]
    (mine / "mine.py").write_text(_example("python") + "\n# changed\n")
    assert not _step(mine, train)["reused"]


@pytest.mark.slow
def test_own_types_that_nobody_reviewed_are_named(mine: Path, mlflow_uri: str) -> None:
    settings = mine / "pipeline.toml"
    settings.write_text(re.sub(r"trusted_types = .*", "", settings.read_text()))
    _step(mine, ingest)
    assert "add to trusted_types under [serialization]: mine." in _step(mine, train, 2)["output"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere:Thing", "no module 'nowhere'; it is looked for beside the settings file"),
        ("mine:Thing", "the module mine has no 'Thing'"),
        ("json:dumps", "is no estimator: derive it from"),
        ("broken:Thing", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_an_import_path_that_leads_nowhere_is_reported(mine: Path, path: str, message: str) -> None:
    (mine / "broken.py").write_text("1 / 0\n")
    own.look_in(mine)
    with pytest.raises(InputError, match=message):
        families.family(path)


def test_the_digest_of_own_code_changes_with_it(mine: Path) -> None:
    own.look_in(mine)
    before = own.code_sha256(["mine:Ratios"])
    assert before == own.code_sha256(["mine:Neighbours", "mine:missed"])
    (mine / "mine.py").write_text("# other\n")
    assert own.code_sha256(["mine:Ratios"]) != before
    assert own.code_sha256([]) is None


def test_a_metric_of_ones_own_is_not_computed_for_another_model() -> None:
    metrics.register(metrics.Metric("theirs:cost", ("binary",), "minimize", "label"))
    try:
        assert "theirs:cost" in metrics.names_for("binary", "theirs:cost")
        assert "theirs:cost" not in metrics.names_for("binary", "roc_auc")
        assert "theirs:cost" not in metrics.names_for("binary")
    finally:
        del metrics.METRICS["theirs:cost"]
