"""What Terraform refuses, Pulumi refuses, with the same words; and the docs show both sides."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tests.pulumi.configurations import GITHUB, KEY
from tests.pulumi.conftest import recorded, tools_python
from tests.terraform.conftest import PROJECT

PACKAGE = PROJECT / "scripts" / "pulumi_platform"
PAGE = (PROJECT / "docs" / "pulumi.md").read_text(encoding="utf-8")
EXCERPTS = re.findall(r"<!-- excerpt: (\S+) -->\n\n((?:    .*\n|\n)+)", PAGE)
FOLDERS = sorted(
    [*(PROJECT / "terraform" / "modules").iterdir()]
    + [PROJECT / "terraform" / root for root in ("bootstrap", "platform")]
)
# Pulumi ignores another zone or range of what is there, as Terraform does, and has no condition on
# what is there already.
ONLY_TERRAFORM = ("The subnet is in ", "The subnet has the range ", "The VPC has the range ")
ANSWERS = {
    "getCallerIdentity": {"accountId": "123456789012"},
    "getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
    "getRegion": {"id": "us-east-1"},
    "getAvailabilityZones": {"names": ["us-east-1a"]},
    "getInstanceTypeOfferings": {"instanceTypes": [], "locations": []},
    "getDefaultTags": {"tags": {}},
}
DEV = {"environment": "dev", "github": GITHUB}
STORE = "components.artifact_store:ArtifactStore"
NETWORK = "components.network:Network"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (STORE, {"name": "Keyless_Dev"}, "name must be lower-case letters"),
    (STORE, {"name": "keyless-dev\n"}, "name must be lower-case letters"),
    (STORE, {"name": "a-very-long-prefix-for-a-bucket"}, "name must be 3 to 23 characters"),
    (STORE, {"name": "kit", "kms_key_arn": "alias/aws/s3"}, "must be the ARN of a key"),
    (STORE, {"name": "kit", "kms_key_arn": KEY.replace("us-", "eu-")}, "of the bucket's region"),
    (STORE, {"name": "kit", "version_deleter_arns": ["*"]}, "must be role ARNs"),
    (STORE, {"name": "kit", "versions": True}, "versions is no argument"),
    (STORE, {}, "name is missing"),
    (STORE, {"name": None}, "name is missing"),
    (STORE, {"name": "kit", "force_destroy": "yes"}, "force_destroy must be true or false"),
    (STORE, {"name": "kit", "force_destroy": 1}, "force_destroy must be true or false"),
    (STORE, {"name": "kit", "tags": ["ml"]}, "tags must be a map"),
    (STORE, {"name": "kit", "access_logs": True}, "access_logs must be an object"),
    # Of a text, each letter would be an element.
    (STORE, {"name": "kit", "version_deleter_arns": "*"}, "version_deleter_arns must be a list"),
    (
        STORE,
        {"name": "kit", "lifecycle_rules": {"infrequent_access_days": "a month"}},
        "lifecycle_rules.infrequent_access_days must be a number",
    ),
    (
        STORE,
        {"name": "kit", "lifecycle_rules": {"kept_old_versions_per_file": 1.5}},
        "lifecycle_rules.kept_old_versions_per_file must be a whole number",
    ),
    (NETWORK, {"name": "kit", "availability_zones": [["a"]]}, "availability_zones[0] must be a te"),
    (NETWORK, {"name": "kit"}, "fewer than two zones"),
    (NETWORK, {"name": "kit", "cidr_block": "10.0.0.1/16"}, "no host bits set"),
    (
        NETWORK,
        {
            "name": "kit",
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "private_subnet_cidrs": ["10.40.0.0/20", "10.40.0.0/24"],
        },
        "Subnets overlap: 10.40.0.0/20 and 10.40.0.0/24",
    ),
    (
        NETWORK,
        {
            "name": "kit",
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "reserved_cidrs": ["10.0.0.0/8"],
        },
        "overlaps reserved_cidrs 10.0.0.0/8",
    ),
    ("platform:Platform", DEV | {"egress": "proxy"}, 'egress must be "public_ip"'),
    ("platform:Platform", DEV | {"environment": "prod"}, "prod must keep customer_managed_key"),
    ("platform:Platform", DEV | {"tags": {"Role": "x"}}, "tags cannot hold Environment"),
    ("platform:Platform", DEV | {"tags": {"role": "x"}}, "nor one key in two spellings"),
    ("platform:Platform", DEV | {"tags": {"Team": "R&D (ML)"}}, "tags must be of letters"),
    (
        "components.metadata_store:MetadataStore",
        {
            "name": "kit",
            "subnet_ids": ["subnet-1", "subnet-2"],
            "vpc_id": "vpc-1",
            "maintenance_window": "mon:01:30-mon:02:30",
        },
        "backup.window and maintenance_window must not overlap",
    ),
    (
        "platform:Platform",
        DEV | {"park": True, "database": {"multi_az": True}},
        "park must be false",
    ),
    (
        "platform:Platform",
        DEV | {"image": {"id": "ami-1", "region": "eu-west-1"}},
        "The image is one of eu-west-1, and this is us-east-1",
    ),
    (
        "components.github_role:GithubRole",
        {
            "name": "lake",
            "context": "environment:prod",
            "github": GITHUB,
            "provider_arn": "arn:aws:iam::123456789012:oidc-provider/"
            "token.actions.githubusercontent.com",
            "policies": {"read": "x" * 9_000, "write": "x " * 2_000},
        },
        "policies of role lake have 11000 characters",
    ),
    (
        "bootstrap:Bootstrap",
        {"environments": {"prod": {"allow_data_deletion": True}}, "github": GITHUB},
        "nothing that runs in CI may delete prod's data",
    ),
    (
        "bootstrap:Bootstrap",
        {"environments": {"dev": {}}, "github": GITHUB | {"owner_id": "octo"}},
        "must be GitHub's numbers",
    ),
]


def messages(folder: Path) -> Iterator[str]:
    """Every error message of a module or root."""

    def below(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "error_message" in value:
                yield value["error_message"]
            for each in value.values():
                yield from below(each)
        elif isinstance(value, list):
            for each in value:
                yield from below(each)

    for path in sorted(folder.glob("*.tf")):
        yield from below(hcl2.loads(path.read_text()))


def literals(text: str) -> list[str]:
    """The parts of a template between what is filled in, which may hold templates itself."""
    while inner := re.search(r"\$\{[^{}]*\}", text):
        text = f"{text[: inner.start()]}\0{text[inner.end() :]}"
    return text.split("\0")


@functools.cache
def words_of_pulumi() -> str:
    """Every text of the components; what is filled in is a line's end."""
    texts = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    str(each.value) if isinstance(each, ast.Constant) else "\n"
                    for each in node.values
                ]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_message_of_terraform_is_pulumis_too(folder: Path) -> None:
    words = words_of_pulumi()
    found = [one for one in messages(folder) if not one.strip('"').startswith(ONLY_TERRAFORM)]
    assert found
    for message in found:
        text = message.strip('"').replace('\\"', '"')
        for part in literals(text):
            # A part of one word only says nothing.
            assert len(part.split()) < 3 or part.strip() in words, message


@pytest.mark.slow
def test_bad_arguments_are_refused_with_these_words() -> None:
    requests: Mapping[str, Any] = {
        str(index): {
            "component": f"scripts.pulumi_platform.{component}",
            "arguments": given,
            "answers": ANSWERS,
        }
        for index, (component, given, _) in enumerate(REFUSED)
    }
    answers = recorded(requests)
    for index, (_, given, message) in enumerate(REFUSED):
        assert message in answers[str(index)].get("refused", "accepted"), given


@pytest.mark.slow
def test_a_stack_without_its_values_is_told_where_they_belong() -> None:
    stacks: dict[str, tuple[dict[str, Any], str]] = {
        "dev": ({}, "The repository is not known: terraform/platform/github.auto.tfvars.json"),
        "staging": ({}, "environments has no staging.tfvars (it has dev, prod)"),
        # Read by nothing, they would be ignored without a word.
        "prod": (
            {"aws:secretKey": "x", "keyless-platform:github": GITHUB},
            "aws:secretKey is not read; there are: aws:allowedAccountIds,",
        ),
    }
    answers = recorded(
        {
            name: {"config": {"keyless-platform:environment": name, **more}, "answers": ANSWERS}
            for name, (more, _) in stacks.items()
        }
    )
    for name, (_, message) in stacks.items():
        assert message in answers[name].get("refused", "accepted")


@pytest.mark.slow
def test_only_literals_are_read_from_terraforms_files(tmp_path: Path) -> None:
    folder = tmp_path / "platform" / "environments"
    folder.mkdir(parents=True)
    (folder / "dev.tfvars").write_text(
        'environment = "dev"\nnetwork = { zones = ["a", "b"], nat = false, days = 7 }\n'
        'tags = { "Team:x" = "ml" }\n'
    )
    (folder / "dev.image.tfvars.json").write_text('{"image": {"id": "ami-1"}}')
    (folder / "bad.tfvars").write_text('environment = "${upper("dev")}"\n')
    code = (
        "import json, sys; from pathlib import Path; "
        "from scripts.pulumi_platform.settings import environment_values; "
        "print(json.dumps(environment_values(sys.argv[1], Path(sys.argv[2]))))"
    )

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(tools_python()), "-c", code, name, str(tmp_path)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("dev")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "environment": "dev",
        "network": {"zones": ["a", "b"], "nat": False, "days": 7},
        "tags": {"Team:x": "ml"},
        "image": {"id": "ami-1"},
    }
    assert "environment is an expression of Terraform's language" in run("bad").stderr


def test_the_components_are_no_longer_than_the_terraform_that_they_mirror() -> None:
    def size(folders: list[Path], pattern: str) -> tuple[int, int]:
        texts = [path.read_bytes() for folder in folders for path in folder.rglob(pattern)]
        return sum(len(text.splitlines()) for text in texts), sum(map(len, texts))

    # The files that only describe (README, lock, tests) count on neither side.
    roots = [PROJECT / "terraform" / root for root in ("modules", "bootstrap", "platform")]
    (our_lines, our_bytes), (lines, volume) = size([PACKAGE], "*.py"), size(roots, "*.tf")
    assert our_lines <= lines
    assert our_bytes <= volume


def plain(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines())


def test_the_docs_show_the_same_role_in_both_languages() -> None:
    assert [path.rpartition(".")[2] for path, _ in EXCERPTS] == ["tf", "py"]
    assert all("vpc-flow-logs.amazonaws.com" in code for _, code in EXCERPTS)


@pytest.mark.parametrize(("path", "code"), EXCERPTS, ids=[path for path, _ in EXCERPTS])
def test_an_excerpt_stands_in_its_file(path: str, code: str) -> None:
    source = plain((PROJECT / path).read_text(encoding="utf-8"))
    shown = textwrap.dedent(code).strip().split("\n\n")
    # A paragraph of the page may leave out what stands between it and the next.
    for paragraph in shown:
        assert plain(paragraph) in source, paragraph
