"""The Pulumi program: a stack is one environment, or, with `bootstrap`, what comes before any."""

import sys
from pathlib import Path

# Pulumi runs this file by its path, not as part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pulumi
import pulumi_aws as aws

from scripts.pulumi_platform import settings
from scripts.pulumi_platform.basics import load
from scripts.pulumi_platform.bootstrap import Bootstrap, BootstrapArgs
from scripts.pulumi_platform.platform import Platform, PlatformArgs

config = pulumi.Config()
tags = {"Project": "keyless-mlops"}
made: Bootstrap | Platform


def with_github(values: dict[str, object], root: str) -> dict[str, object]:
    """The arguments with the repository that the stack names, else the one of Terraform's file."""
    named = config.get_object("github")
    return values | (settings.github(root) if named is None else {"github": named})


if (bootstrap := config.get_object("bootstrap")) is not None:
    prepared = load(BootstrapArgs, with_github(bootstrap, "bootstrap"))
    own = {**prepared.tags, **tags}
    provider = aws.Provider("aws", default_tags={"tags": own}, **settings.provider())
    made = Bootstrap("bootstrap", prepared, pulumi.ResourceOptions(provider=provider))
else:
    # A stack may hold all arguments itself; otherwise Terraform and Pulumi read the same files.
    values = config.get_object("platform")
    if values is None:
        values = settings.environment_values(config.require("environment"))
    given = load(PlatformArgs, with_github(values, "platform"))
    own = {**given.tags, "Environment": given.environment, **tags}
    provider = aws.Provider("aws", default_tags={"tags": own}, **settings.provider())
    made = Platform("platform", given, pulumi.ResourceOptions(provider=provider))

for name, value in made.exports.items():
    pulumi.export(name, value)
