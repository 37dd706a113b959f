"""Terraform's modules applied with mocked resources, and Pulumi's components recorded."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import hcl2
import pytest
import yaml

from tests.pulumi import mocked
from tests.pulumi.configurations import BOOTSTRAP, ELSEWHERE, GITHUB, PLATFORM
from tests.terraform.conftest import PROJECT, Terraform, account, terraform

__all__ = ["account", "recorded", "terraform"]

ENVIRONMENTS = ("dev", "prod")
# What a stack may say of its provider.
WHERE: dict[str, dict[str, Any]] = {
    "dev": {},
    "prod": {
        "aws:allowedAccountIds": ["123456789012"],
        "aws:assumeRole": {"roleArn": "arn:aws:iam::123456789012:role/deployer"},
        "aws:profile": "prod",
        "aws:region": "eu-central-1",
    },
}
STACKS = PROJECT / "scripts" / "pulumi_platform"


def recorded(request: Mapping[str, Any], *, project: Path = PROJECT) -> dict[str, Any]:
    """What Pulumi would make, by a process of the tools' environment, which alone has Pulumi."""
    done = subprocess.run(
        [str(tools_python()), "-m", "tests.pulumi.recording"],
        cwd=project,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tools_python() -> Path:
    """Fails, not skips: a check that does not run protects nothing."""
    for folder in (Path(f"{sys.prefix}-tools"), PROJECT / ".venv-tools"):
        if (found := folder / "bin" / "python").exists():
            return found
    pytest.fail("Pulumi is not installed: make install-tools")


def settings(environment: str) -> dict[str, Any]:
    """An environment's variables from its file, literals alone."""
    path = PROJECT / "terraform" / "platform" / "environments" / f"{environment}.tfvars"

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key.strip('"'): plain(each) for key, each in value.items()}
            return {key: each for key, each in kept.items() if not key.startswith("__")}
        return value.strip('"') if isinstance(value, str) else value

    found: dict[str, Any] = plain(hcl2.loads(path.read_text()))
    return found | {"github": GITHUB}


def stack(name: str) -> dict[str, Any]:
    """A stack's settings, for the repository of the tests."""
    found: dict[str, Any] = yaml.safe_load((STACKS / f"Pulumi.{name}.yaml").read_text())["config"]
    return found | {"keyless-platform:github": GITHUB}


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The first of several workers makes it, which takes minutes; the others wait and read it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / f"{name}.json"
        if not kept.exists():
            kept.write_text(json.dumps(make()))
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


@pytest.fixture(scope="session")
def states(
    terraform: Terraform, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What Terraform makes of each set, by root."""

    def make() -> dict[str, Any]:
        endpoint = terraform.environment["AWS_ENDPOINT_URL"]
        iam = boto3.Session("testing", "testing", region_name="us-east-1").client(
            "iam", endpoint_url=endpoint
        )
        iam.create_open_id_connect_provider(
            Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]
        )
        given = {name: settings(name) for name in ENVIRONMENTS} | PLATFORM
        roots = {"platform": given | ELSEWHERE, "bootstrap": BOOTSTRAP}
        return mocked.applied(terraform, roots, dict.fromkeys(ELSEWHERE, "eu-central-1"))

    return made_once(tmp_path_factory, "states", make)


@pytest.fixture(scope="session")
def recordings(
    states: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What Pulumi makes of each set, by root."""

    def make() -> dict[str, Any]:
        programs = {
            name: {
                "config": stack(name) | WHERE[name],
                "answers": mocked.answers(states["platform"][name]),
            }
            for name in ENVIRONMENTS
        }
        asked = {
            "platform": requests("platform", PLATFORM | ELSEWHERE, states["platform"]) | programs,
            "bootstrap": requests("bootstrap", BOOTSTRAP, states["bootstrap"]),
            # The first preview, when nothing of it is there.
            "previews": {name: each | {"preview": True} for name, each in programs.items()},
        }
        found = recorded(
            {f"{root}/{name}": each for root, sets in asked.items() for name, each in sets.items()}
        )
        return {
            root: {name: found[f"{root}/{name}"] for name in sets} for root, sets in asked.items()
        }

    return made_once(tmp_path_factory, "recordings", make)


def requests(
    root: str, given: Mapping[str, Any], states: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    component = f"scripts.pulumi_platform.{root}:{root.title()}"
    return {
        name: {
            "component": component,
            "arguments": arguments,
            "answers": mocked.answers(states[name]),
        }
        for name, arguments in given.items()
    }
