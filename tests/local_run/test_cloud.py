"""A local cloud that does not come up is ended, and says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.console import UserError
from scripts.local_run import cloud


@pytest.mark.parametrize(
    ("program", "seconds", "why"),
    [
        (
            "print('INFO begins', flush=True); import time; time.sleep(600)",
            1,
            "nothing answered within 1 s",
        ),
        ("print('INFO begins', flush=True); raise SystemExit(3)", 60, "INFO begins"),
        ("raise SystemExit(3)", 60, "it ended with exit code 3"),
    ],
)
def test_why_a_cloud_did_not_start_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, seconds: float, why: str
) -> None:
    real, begun = subprocess.Popen, []

    def other(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        begun.append(real([sys.executable, "-c", program], **options))
        return begun[0]

    monkeypatch.setattr(subprocess, "Popen", other)
    monkeypatch.setattr(cloud, "START_SECONDS", seconds)
    with pytest.raises(UserError) as refused:
        cloud.start_cloud(tmp_path)
    assert refused.value.why == why
    assert str(tmp_path / "cloud.log") in refused.value.fix
    assert begun[0].wait(10) is not None
