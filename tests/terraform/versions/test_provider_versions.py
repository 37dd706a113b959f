"""The code suits both majors of the provider: 5.100, which is installed, and 6, from a table.

Each type and argument that the code uses is one that both know and neither calls deprecated.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from tests.terraform.conftest import Terraform
from tests.terraform.versions import provider6
from tests.terraform.versions.arguments import files, read, used

pytestmark = pytest.mark.slow

SIX: dict[str, Any] = json.loads(provider6.FILE.read_text())


def arguments() -> list[tuple[str, str]]:
    return sorted((kind, path) for kind, paths in used().items() for path in paths)


def test_every_type_that_is_used_is_in_the_table_of_provider_6() -> None:
    """After a new type: python -m tests.terraform.versions.provider6 with the two wheels."""
    assert set(used()) == set(SIX["types"])
    assert SIX["schema"].startswith("6.")
    assert len(arguments()) > 300


def test_no_argument_is_gone_in_provider_6() -> None:
    gone = [
        (kind, path)
        for kind, path in arguments()
        if path.rpartition(".")[2] not in SIX["types"][kind]["arguments"]
    ]
    assert gone == []


def test_no_attribute_that_is_read_is_gone_in_provider_6() -> None:
    gone = [
        (kind, attribute)
        for kind, attributes in read().items()
        for attribute in attributes
        if attribute not in SIX["types"][kind]["attributes"]
    ]
    assert gone == []


def test_no_argument_and_no_attribute_is_deprecated_in_provider_6() -> None:
    names = [(kind, path.partition(".")[0]) for kind, path in arguments()]
    names += [(kind, name) for kind, attributes in read().items() for name in attributes]
    assert [one for one in names if _deprecated(*one)] == []
    assert _deprecated("aws_s3_bucket", "acl")
    assert _deprecated("aws_s3_bucket", "lifecycle_rule")


def _deprecated(kind: str, name: str) -> bool:
    """pulumi-aws writes the names of repeated blocks in the plural."""
    words = SIX["types"][kind]["deprecated"]
    return name in words or f"{name}s" in words


def test_every_root_and_module_accepts_both_majors() -> None:
    ranges = [
        found
        for path in files()
        for found in re.findall(
            r'source\s+= "hashicorp/aws"\s+version = "([^"]+)"', path.read_text()
        )
    ]
    assert len(ranges) == sum(path.name == "versions.tf" for path in files())
    assert set(ranges) == {">= 5.100.0, < 7.0.0"}


@pytest.fixture(scope="module")
def schema(terraform: Terraform) -> Any:
    """What the installed provider says of its types."""
    terraform.init("modules/network", "-backend=false")
    shown = subprocess.run(
        [terraform.binary, "providers", "schema", "-json"],
        cwd=terraform.folder / "modules" / "network",
        env=dict(terraform.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    [provider] = json.loads(shown.stdout)["provider_schemas"].values()
    return provider


@pytest.mark.terraform
def test_no_argument_is_unknown_to_or_deprecated_in_provider_5(schema: Any) -> None:
    wrong = []
    for kind, path in arguments():
        data = kind.startswith("data.")
        types = schema["data_source_schemas" if data else "resource_schemas"]
        block = types[kind.removeprefix("data.")]["block"]
        for name in path.split("."):
            nested = block.get("block_types", {}).get(name)
            found = nested["block"] if nested else block.get("attributes", {}).get(name)
            if found is None or found.get("deprecated"):
                wrong.append((kind, path))
                break
            block = found
    assert wrong == []
