"""What the docs tell a person to do in an AWS account, and where each command is run or why not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests import ROOT

ALL = ("first-apply.md", "github.md", "terraform.md")
"""Pages for people alone; of the others, what names an account (--aws) counts."""
PROGRAMS = ("aws", "curl", "gh", "keyless", "terraform")

# Run by an administrator of IAM Identity Center in test_environments.py, word for word.
RUN = (
    "keyless apply -e prod --aws",
    "keyless apply -e prod --aws --yes --expect-digest DIGEST",
    "keyless bootstrap --aws --disposable dev -e prod --github octo-org@1001/keyless-mlops@2002",
    "keyless database -e prod --aws --ca global-bundle.pem",
    "keyless destroy -e dev --aws --delete-data",
    "keyless destroy -e prod --aws",
    "keyless destroy -e prod --aws --delete-data",
    "keyless doctor --aws",
    "keyless doctor --aws -e dev",
    "keyless doctor --github --role keyless-dev-train --claims claims.json --aws",
    "keyless explain-denial --message - --aws",
    "keyless image",
    "keyless image --aws",
    "keyless lint-trust --account --aws --sarif",
    "keyless outputs --aws -e prod",
    "keyless plan -e prod --aws",
    "keyless plan -e prod --aws --github octo-org@1001/keyless-mlops@2002",
    "keyless plan -e prod --aws --summary plan.md --changes changes.json",
    "keyless tunnel --aws",
    "terraform -chdir=terraform/bootstrap init -reconfigure",
    "terraform -chdir=terraform/bootstrap apply -var 'state={force_destroy=true}'",
    "terraform -chdir=terraform/bootstrap state rm "
    "'module.environment_key[\"prod\"].aws_kms_key.data'",
    "terraform -chdir=terraform/bootstrap destroy -var 'state={force_destroy=true}'",
)

GITHUB = "GitHub is no part of the local cloud; tests/github/ answers as it does"
INDEX = "it asks a package index, and these tests have no network; tests/server/test_wheelhouse.py"
BARE = "the root and the state that `keyless plan` and `apply` use, without them"
SAME = "another environment or option of a command that is run"
SIGN_IN = "IAM Identity Center is no part of the local cloud: its session is given"
ELSEWHERE = {
    r"aws sso login": SIGN_IN,
    r"aws secretsmanager put-secret-value .*": "by boto3, in the fixture `applied`",
    r"aws kms .*": "AWS's own CLI on the key that bootstrap made; nothing of the kit is in it",
    r"aws s3 cp s3://keyless-state-.*": "AWS's own CLI; it fetches the state that bootstrap made",
    r"curl .*": "it fetches AWS's certificates from the internet",
    r"gh .*": GITHUB,
    r"keyless github-setup .*": GITHUB,
    r"keyless wheelhouse --upload .*": INDEX,
    r"keyless explain-denial --aws( -e dev)?": "it reads CloudTrail, of which moto has no events; "
    "tests/commands/test_explain_denial.py has them",
    r"keyless (apply|plan)": "with -e and --aws from the environment, else word for word",
    r"keyless bootstrap --aws( --disposable dev| -e \w+| --github-provider existing|)": SAME,
    r"keyless destroy -e dev --aws --delete-data --yes": SAME,
    r"keyless doctor --github .* --trust plan.json": "it reads a file, and no account",
    r"keyless plan -e dev --aws": SAME,
    r"keyless migrate --to .*": "it writes a file, and changes no account; test_migration.py has "
    "Terraform import all that it names on the local cloud",
    r"keyless tunnel --aws -e dev -- .*": SAME,
    r"terraform (init|plan|apply) .*": BARE,
}


def documented_commands() -> set[str]:
    """Every command of the docs for a person with an AWS account, without comments and pipes."""
    return {
        _plain(command)
        for page in sorted((ROOT / "docs").glob("*.md"))
        for command, alone in _commands(page.read_text(encoding="utf-8"))
        if "--aws" in command or (page.name in ALL and alone)
    }


def _commands(text: str) -> Iterator[tuple[str, bool]]:
    """Commands of a page, and whether each stands in a block of its own."""
    joined = re.sub(r"\\\n\s*", " ", text)
    fenced = re.findall(r"(?ms)^ *```[a-z]*\n(.*?)^ *```", joined)
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", joined)
    indented = re.findall(r"(?m)^ {4,}(.*)$", prose)
    lines = [line for block in fenced for line in block.splitlines()] + indented
    for line in lines:
        for part in line.strip().removeprefix(".venv/bin/").split(" | "):
            if part.partition(" ")[0] in PROGRAMS:
                yield part, True
    for inline in re.findall(r"`([^`]+)`", prose):
        if inline.partition(" ")[0] in PROGRAMS:
            yield inline, False


def _plain(command: str) -> str:
    words = re.sub(r"\s+#.*|\s{2,}.*|\s+>.*", "", command.strip())
    return re.sub(r"--expect-digest \S+", "--expect-digest DIGEST", words)
