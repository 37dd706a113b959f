"""What people read in a job's summary, and the plots behind its link."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.tracking.results import parse_result
from tests import ROOT
from tests.workflows.project import RESULTS

ACTION = ROOT / ".github/actions/pipeline-step"
PNG = b"\x89PNG\r\n\x1a\nplot"
LINK = "https://github.com/octo-org/keyless-mlops/actions/runs/1/artifacts/2"


def load(name: str) -> ModuleType:
    """A script of the action, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ACTION / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def render(step: str, plots: str = "", **changes: Any) -> str:
    text: str = load("summary").render(parse_result(RESULTS[step] | changes), plots)
    return text


def test_a_training_says_its_metric_and_links_its_plots() -> None:
    text = render("train", LINK)
    assert "## Train breast-cancer" in text
    assert "**Version 2 is the challenger: roc\\_auc 0.991 in cross-validation**" in text
    assert f"[Plots of the cross-validation]({LINK})" in text
    assert "| parameters.family | linear |" in text


def test_without_plots_there_is_no_link() -> None:
    assert "](" not in render("train")


def test_a_training_that_found_its_model_trained_says_so() -> None:
    reused = {name: value for name, value in RESULTS["train"].items() if name != "cv_value"}
    text = load("summary").render(parse_result(reused))
    assert "**Version 2 is the challenger: nothing has changed since it was trained**" in text


def test_a_promotion_shows_the_decision_and_each_interval() -> None:
    text = render("promote")
    assert "**better by 0.01**" in text
    for row in (
        "| roc\\_auc | value | from | to |",
        "| challenger | 0.99 | 0.97 | 1 |",
        "| champion | 0.98 | 0.96 | 0.995 |",
        "| improvement | 0.01 | 0.004 | 0.016 |",
    ):
        assert row in text


@pytest.mark.parametrize(("retrain", "word"), [(True, "Training"), (False, "No training")])
def test_a_drift_report_says_whether_training_is_due(retrain: bool, word: str) -> None:
    text = render("monitor", retrain=retrain)
    assert f"**{word} is due**" in text
    assert "| column | distance | measure | drifted |" in text


def test_predictions_and_rollbacks_are_told_in_a_line() -> None:
    assert "**57 rows predicted by version 2, 0 rejected**" in render("predict")
    assert "**Version 1 is champion again: worse in use**" in render("rollback")


def test_data_cannot_become_markup() -> None:
    nasty = "<img src=x> [a](https://evil.example) @everyone | `x`"
    text = render("rollback", reason=nasty, model=nasty)
    # A backslash before each mark: Markdown shows it as it is.
    assert text.count("<img") == text.count("\\<img") > 0
    assert text.count("](https") == text.count("\\](https")
    assert text.count("@everyone") == text.count("\\@everyone")


class Server(ThreadingHTTPServer):
    """The two addresses of MLflow that the plots come from."""

    def __init__(self) -> None:
        self.files = {"cross_validation/roc.png": PNG, "cross_validation/calibration.png": PNG}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.asked.append(query.get("run_id") or query["run_uuid"])
        if url.path == "/api/2.0/mlflow/artifacts/list":
            assert query["path"] == "cross_validation"
            listed = [{"path": path, "is_dir": False} for path in self.server.files]
            self.answer(json.dumps({"root_uri": "s3://b", "files": listed}).encode())
        elif url.path == "/get-artifact":
            self.answer(self.server.files[query["path"]])
        else:
            self.send_error(404)

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_every_plot_of_the_run_is_fetched(server: Server, tmp_path: Path) -> None:
    names = load("plots").fetch(server.address, "4f0c", tmp_path / "plots")
    assert names == ["calibration.png", "roc.png"]
    assert (tmp_path / "plots" / "roc.png").read_bytes() == PNG
    assert set(server.asked) == {"4f0c"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cross_validation/..", PNG),
        ("cross_validation/run.sh", b"#!/bin/sh"),
        ("cross_validation/page.png", b"<html>"),
        ("cross_validation/large.png", PNG + bytes(6_000_000)),
    ],
)
def test_what_is_no_plot_is_not_kept(
    server: Server, tmp_path: Path, name: str, content: bytes
) -> None:
    server.files = {name: content}
    with pytest.raises(ValueError, match=r"no name|no PNG|more than"):
        load("plots").fetch(server.address, "4f0c", tmp_path / "plots")
    assert not list(tmp_path.rglob("*"))


def test_plots_that_cannot_be_had_are_a_warning_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "train.json"
    result.write_text(json.dumps(RESULTS["train"]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("sys.argv", ["plots.py", str(result), str(tmp_path / "plots")])
    load("plots").main()
    assert capsys.readouterr().out.startswith("::warning title=No plots::")
