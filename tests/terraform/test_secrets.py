"""No secret value in what Terraform plans: not in plans, outputs, state read or user data."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ROOT
from tests.terraform.conftest import Plan

pytestmark = pytest.mark.terraform

# Arguments that would hold one, whatever it looks like.
NAMES = re.compile(
    r"(?i)^(.*_)?(password|passwd|secret|secret_string|secret_binary|private_key|token|"
    r"access_key|secret_key|secret_access_key|api_key|credentials)(_wo)?$"
)
SHAPES = {
    "AWS access key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:[^\s/@\"']+@",
    "GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,})",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
    "password setting": r"(?i)\b(PGPASSWORD|password|secret_\w*key)\b\s*[=:]\s*['\"]?[^\s'\"${]",
}
# What the provider hides though it is none, with the reason. Each is the same for everybody.
REVIEWED = {
    # The provider hides the value of every parameter. These hold this repository's own files, which
    # `test_the_hidden_code_is_this_repositorys` unpacks. Its other argument, insecure_value, would
    # show 32 kB of base64 in every plan.
    r"module\.mlflow_server\.aws_ssm_parameter\.code\[.*\]\.value",
}
# Of AWS's documentation; the emulator gives it out as the caller's id.
EXAMPLE = "AKIAIOSFODNN7EXAMPLE"


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar of a plan with the way to it; packed user data is unpacked."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, str(name)))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, (*path, str(number)))
    elif path[-1:] == ("user_data",) and isinstance(value, str):
        yield path, gzip.decompress(base64.b64decode(value)).decode()
    else:
        yield path, value


def secrets(content: Any) -> set[str]:
    """Where a secret seems to be, by the name of an argument or by the shape of a value."""
    found = set()
    for path, value in leaves(content):
        if not isinstance(value, str) or value in ("", EXAMPLE):
            continue
        where = ".".join(path)
        if NAMES.match(path[-1]):
            found.add(f"{where}: an argument of that name")
        found |= {f"{where}: {kind}" for kind, shape in SHAPES.items() if re.search(shape, value)}
    return found


def values(plan: Plan) -> dict[str, Any]:
    """Everything of a plan that holds values, without the code, which names references."""
    parts = ("planned_values", "resource_changes", "output_changes", "prior_state", "variables")
    return {part: plan.content[part] for part in parts if part in plan.content}


@pytest.mark.parametrize("name", ["bootstrap", "dev", "prod", "serving"])
def test_no_secret_is_planned_read_put_out_or_given_to_a_server(
    request: pytest.FixtureRequest, name: str
) -> None:
    plan: Plan = request.getfixturevalue(name)
    assert len(list(leaves(values(plan)))) > 1000
    assert secrets(values(plan)) == set()


@pytest.mark.parametrize("name", ["dev", "prod", "serving"])
def test_the_user_data_is_looked_into(request: pytest.FixtureRequest, name: str) -> None:
    plan: Plan = request.getfixturevalue(name)
    texts = [text for path, text in leaves(values(plan)) if path[-1] == "user_data"]
    assert texts and all(text.startswith("#cloud-config") for text in texts)


@pytest.mark.parametrize("name", ["dev", "prod", "serving"])
def test_what_the_provider_calls_sensitive_is_not_there_at_all(
    request: pytest.FixtureRequest, name: str
) -> None:
    plan: Plan = request.getfixturevalue(name)
    found = set()
    for change in plan.content["resource_changes"]:
        after = dict(leaves(change["change"]["after"] or {}))
        for path, hidden in leaves(change["change"]["after_sensitive"] or {}):
            if hidden is True and after.get(path) not in (None, ""):
                found.add(f"{change['address']}.{'.'.join(path)}")
    assert {one for one in found if not any(re.fullmatch(each, one) for each in REVIEWED)} == set()
    assert all(any(re.fullmatch(each, one) for one in found) for each in REVIEWED)


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_hidden_code_is_this_repositorys(request: pytest.FixtureRequest, name: str) -> None:
    plan: Plan = request.getfixturevalue(name)
    pieces = {
        int(change["index"].rpartition("/")[2]): change["change"]["after"]["value"]
        for change in plan.content["resource_changes"]
        if change["address"].startswith("module.mlflow_server.aws_ssm_parameter.code[")
    }
    packed = base64.b64decode("".join(pieces[number] for number in sorted(pieces)))
    code = json.loads(gzip.decompress(packed))
    folder = ROOT / "terraform" / "modules" / "mlflow_server" / "files" / "server"
    assert code == {
        path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".py", ".toml")
    }
    assert secrets(code) == set()


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ({"password": "hunter22"}, "an argument of that name"),
        ({"password_wo": "hunter22"}, "an argument of that name"),
        ({"secret_string": "hunter22"}, "an argument of that name"),
        ({"value": "AKIA" + "Q7RTW3NXH6KLVZ2B"}, "AWS access key"),
        ({"value": "-----BEGIN RSA " + "PRIVATE KEY-----"}, "private key"),
        ({"value": "postgresql://mlflow:" + "hunter22@db:5432/mlflow"}, "password in an address"),
        ({"value": json.dumps({"token": "ghp_" + "a" * 36})}, "GitHub token"),
        ({"value": "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + ".c"}, "JSON web token"),
        ({"user_data": _packed("#cloud-config\nPGPASSWORD=" + "hunter22")}, "password setting"),
    ],
)
def test_a_secret_that_is_planted_is_found(planted: dict[str, str], kind: str) -> None:
    assert [each.rpartition(": ")[2] for each in secrets({"after": [planted]})] == [kind]
