"""One process of the AWS provider for a whole command, in place of one for each of its steps.

Terraform starts a provider anew to read its schemas, to validate, to plan and to apply, and before
that it compares the digest of a package of 700 MB with the lock file. A provider that runs already
is attached to instead, as its developers do it for a debugger:
https://developer.hashicorp.com/terraform/plugin/debugging#running-terraform-with-a-provider-in-debug-mode
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "TF_REATTACH_PROVIDERS"
START_SECONDS = 60
STOP_SECONDS = 10
_LINE = re.compile(rf"{VARIABLE}='(.+)'")


@contextmanager
def attached(data_dir: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables by which Terraform finds the provider that `init` installed into `data_dir`.

    The provider runs with `environment` and ends with the block. Empty where `init` installed
    another provider, or more than one, or where it does not start: Terraform starts its own then.
    """
    found = [
        path
        for path in data_dir.glob("providers/registry.terraform.io/*/*/*/*/terraform-provider-*")
        if path.is_file()
    ]
    if len(found) != 1 or "hashicorp/aws/" not in found[0].as_posix():
        yield {}
        return
    with subprocess.Popen(
        [str(found[0]), "-debug"],
        env=_of_provider(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _of_provider(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the certificate authority as Go's own setting.

    The provider takes AWS_CA_BUNDLE once: configured anew in the same process (plan, then apply) it
    fails with "unable to add custom RootCAs".
    """
    made = dict(environment)
    if bundle := made.pop("AWS_CA_BUNDLE", None):
        made["SSL_CERT_FILE"] = bundle
    return made


def _address(process: subprocess.Popen[str]) -> dict[str, str]:
    """What the provider prints once it listens."""
    assert process.stdout is not None
    alarm = threading.Timer(START_SECONDS, process.kill)
    alarm.start()
    try:
        for line in process.stdout:
            if match := _LINE.search(line):
                return {VARIABLE: match[1]}
    finally:
        alarm.cancel()
    return {}
