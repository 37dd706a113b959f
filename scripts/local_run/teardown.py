"""Take a local run apart: destroy, end, delete; and say what is left, if anything is."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.account.bootstrap import PROVIDER_ADDRESS
from scripts.aws.sealed import client
from scripts.console import Phases, UserError
from scripts.files import write_private
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.local_run.cloud import PROJECT
from scripts.local_run.flow import RUN_FILE
from scripts.local_run.roots import bootstrap_stack, platform_stack
from scripts.localcloud import home as localhome
from scripts.localcloud.home import Cloud, CloudDown
from scripts.names import GITHUB_HOST
from scripts.stack.binary import find_binary
from scripts.stack.stack import Stack, reporting


def tear_down(home: Path, phases: Phases, *, destroy: bool, environment: str = "dev") -> str:
    """Remove everything of the run in `home`; returns what was removed, in words.

    A destroy that fails is an error after which everything is still there, so that it can be
    looked at; `destroy=False` then removes it all the same. Raises UserError.
    """
    count = 0
    try:
        cloud = localhome.load(home)
    except CloudDown as down:
        phases.event(f"no terraform destroy: {down}")
    else:
        if destroy and _whole(home, cloud):
            with _noted(home):
                count = _destroy(cloud, phases, environment)
        elif destroy:
            phases.event("no terraform destroy: no `keyless up` has ended its applies here")
    with phases.phase("end processes"):
        ended = leftovers.end_all(home)
    left = leftovers.find(home)
    if left:
        raise UserError(
            "some processes did not end",
            why="\n".join(leftovers.describe(process) for process in left),
            fix="end them by their numbers, then keyless down again",
        )
    leftovers.wipe(home)
    try:
        home.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise  # the mount point of a volume stays, and is empty
    return f"{count} resources, {ended} process{'es' * (ended != 1)}, {home}"


def _whole(home: Path, cloud: Cloud) -> bool:
    """Whether the applies ended, so that state and account agree."""
    try:
        run = json.loads((home / RUN_FILE).read_text())
    except (OSError, ValueError):
        return False
    return run.get("cloud") == cloud.started and run.get("stage") in ("steps", "done")


@contextmanager
def _noted(home: Path) -> Iterator[None]:
    """Mark the run as one whose state is in doubt, until the destroy ends or fails.

    Whoever is interrupted leaves the state locked, and nobody else can go on with it.
    """
    file = home / RUN_FILE
    before = file.read_bytes()
    write_private(file, json.dumps({**json.loads(before), "stage": "platform"}).encode())
    try:
        yield
    except UserError:
        write_private(file, before)
        raise


def _destroy(cloud: Cloud, phases: Phases, environment: str) -> int:
    actors = Actors(cloud, environment, PROJECT)
    binary = find_binary(cloud.home)
    removed = 0
    for stack, role in (
        (platform_stack(actors, binary), "apply"),
        (bootstrap_stack(actors, binary), "administrator"),
    ):
        with phases.phase(f"destroy {stack.name}", role) as phase:
            if role == "administrator":
                removed += _delete_provider(stack, cloud)
            removed += destroy_stack(stack, phase.event)
    return removed


def _delete_provider(stack: Stack, cloud: Cloud) -> int:
    """Delete the GitHub provider, which Terraform refuses to: nobody else uses this account."""
    if not stack.initialised:
        stack.init()
    found = [address for address in stack.resources() if address.startswith(PROVIDER_ADDRESS)]
    for address in found:
        arn = f"arn:aws:iam::{cloud.account_id}:oidc-provider/{GITHUB_HOST}"
        client(cloud, localhome.administrator(cloud.home), "iam").delete_open_id_connect_provider(
            OpenIDConnectProviderArn=arn
        )
        stack.forget(address)
    return len(found)


def destroy_stack(stack: Stack, tell: Callable[[str], None]) -> int:
    """Remove every resource of a root; returns how many. Raises UserError if one is left."""
    if not stack.initialised:
        stack.init()
    done = stack.destroy(reporting(tell))
    left = stack.resources()
    left = [address for address in left if not address.startswith("data.")]
    if left:
        raise UserError(
            f"destroy of {stack.name} left resources",
            why="\n".join(left),
            fix="keyless down --now",
        )
    return done.removed
