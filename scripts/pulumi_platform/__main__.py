"""The Pulumi program: a stack is one environment, or, with `bootstrap`, what comes before any."""

import sys
from pathlib import Path

# Pulumi runs this file by its path, not as part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pulumi
import pulumi_aws as aws

from scripts.pulumi_platform.basics import load
from scripts.pulumi_platform.bootstrap import Bootstrap, BootstrapArgs
from scripts.pulumi_platform.platform import Platform, PlatformArgs

config = pulumi.Config()
github = config.require_object("github")
tags = {"Project": "keyless-mlops"}
made: Bootstrap | Platform
if (bootstrap := config.get_object("bootstrap")) is not None:
    own = {**bootstrap.get("tags", {}), **tags}
    provider = aws.Provider("aws", default_tags={"tags": own})
    options = pulumi.ResourceOptions(provider=provider)
    made = Bootstrap("bootstrap", load(BootstrapArgs, bootstrap | {"github": github}), options)
else:
    given = load(PlatformArgs, config.require_object("platform") | {"github": github})
    own = {**given.tags, "Environment": given.environment, **tags}
    provider = aws.Provider("aws", default_tags={"tags": own})
    options = pulumi.ResourceOptions(provider=provider)
    made = Platform("platform", given, options)

for name, value in made.exports.items():
    pulumi.export(name, value)
