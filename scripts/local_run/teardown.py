"""Take a local run apart: destroy, end, delete; and say what is left, if anything is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from scripts.console import Phases, UserError
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.local_run.cloud import PROJECT
from scripts.local_run.flow import RUN_FILE
from scripts.local_run.roots import bootstrap_stack, platform_stack
from scripts.localcloud import home as localhome
from scripts.localcloud.home import Cloud, CloudDown
from scripts.stack.binary import find_binary
from scripts.stack.stack import Stack, told


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
            count = _destroy(cloud, phases, environment)
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
    home.rmdir()
    return f"{count} resources, {ended} processes, {home}"


def _whole(home: Path, cloud: Cloud) -> bool:
    """Whether the applies ended, so that state and account agree."""
    try:
        run = json.loads((home / RUN_FILE).read_text())
    except (OSError, ValueError):
        return False
    return run.get("cloud") == cloud.started and run.get("stage") in ("steps", "done")


def _destroy(cloud: Cloud, phases: Phases, environment: str) -> int:
    actors = Actors(cloud, environment, PROJECT)
    binary = find_binary(cloud.home)
    removed = 0
    for stack, role in (
        (platform_stack(actors, binary), "apply"),
        (bootstrap_stack(actors, binary), "administrator"),
    ):
        with phases.phase(f"destroy {stack.name}", role) as phase:
            removed += destroy_stack(stack, phase.event)
    return removed


def destroy_stack(stack: Stack, tell: Callable[[str], None]) -> int:
    """Remove every resource of a root; returns how many. Raises UserError if one is left."""
    if not stack.initialised:
        stack.init()
    done = stack.destroy(told(tell))
    left = stack.resources()
    left = [address for address in left if not address.startswith("data.")]
    if left:
        raise UserError(
            f"destroy of {stack.name} left resources",
            why="\n".join(left),
            fix="keyless down --now",
        )
    return done.removed
