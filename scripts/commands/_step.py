"""Run a step of the pipeline from a verb, under a role of the local cloud or as the caller."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import Project
from scripts.signals import run_attended

if TYPE_CHECKING:
    from pipeline.outputs import Platform
    from scripts.aws.credentials import Credentials
    from scripts.local_run.actors import Actors


settings_option = click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path, resolve_path=True),
    help="Settings file (also KEYLESS_SETTINGS).  [default: pipeline/pipeline.toml]",
    envvar="KEYLESS_SETTINGS",
)
"""Which model a step is about. The file is looked for from the current folder."""


def named_settings(settings: Path | None) -> list[str]:
    """The option as the step takes it. Raises UsageError for a file that is not there."""
    if settings is not None and not settings.is_file():
        raise click.UsageError(f"the settings {settings} do not exist")
    return ["--settings", str(settings)] if settings is not None else []


def run_step(
    project: Project,
    step: str,
    arguments: Sequence[str],
    *,
    environment: str,
    role: str,
    aws: bool,
    quiet: bool = False,
    folder: Path | None = None,
    tracking: bool = True,
    program: str | None = None,
) -> int:
    """Run `python -m pipeline.<step>`; the answer is its exit code. `quiet` drops what it prints.

    In the local cloud it runs as `role` (or as the administrator), with a session to MLflow if the
    role may open one and the step needs it (`tracking`); with `aws` it runs in the caller's
    environment, whose tunnel MLFLOW_TRACKING_URI must name. `folder` is where it runs, in place of
    the project; `program` what its usage calls it. Raises UserError when the local cloud or its
    server is not there.
    """
    command = [sys.executable, "-m", f"pipeline.{step}", *arguments]
    start = partial(
        subprocess.Popen,
        command,
        cwd=folder or project.root,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    own = {"KEYLESS_PROGRAM": program} if program else {}
    if aws:
        return run_attended(
            partial(start, env={**os.environ, "KEYLESS_ENVIRONMENT": environment, **own})
        )

    from scripts.local_run.actors import Actors

    cloud = project.cloud()
    platform = project.local_platform(cloud, environment)
    actors = Actors(cloud, environment, project.root)
    with contextlib.ExitStack() as open_sessions:
        way = {}
        if tracking:
            way = open_sessions.enter_context(_session(project, actors, platform, role))
        extra = {"KEYLESS_PLATFORM": platform.model_dump_json(), **way, **own}
        sealed = (
            actors.marked_environment(_credentials(project, actors, role), extra)
            if role == "administrator"
            else actors.process_environment(role, extra)
        )
        return run_attended(partial(start, env=sealed))


def show_step(
    project: Project, step: str, arguments: Sequence[str], *, as_json: bool, **how: Any
) -> int:
    """Run a step that reads, as `run_step` does; `as_json` prints its result in place of lines."""
    if sys.stderr.isatty():  # MLflow's client alone takes seconds to import
        click.echo("reading what is stored, which takes some seconds", err=True)
    if not as_json:
        return run_step(project, step, arguments, **how)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        code = run_step(project, step, [*arguments, "--result", str(result)], quiet=True, **how)
        if code == 0:
            click.echo(result.read_text(encoding="utf-8"), nl=False)
    return code


@contextlib.contextmanager
def _session(
    project: Project, actors: Actors, platform: Platform, role: str
) -> Iterator[dict[str, str]]:
    """Open the session to MLflow that the role may open; yields the variables that name it."""
    from scripts.aws.sealed import client
    from scripts.names import job_role
    from scripts.server.sessions import CONNECT_SECONDS, open_session

    name = "operate" if role == "administrator" else job_role(role).session
    if name is None:
        yield {}
        return
    credentials = _credentials(project, actors, role)
    with open_session(
        lambda service: client(actors.cloud, credentials, service),
        platform.sessions.documents[name],
        platform.mlflow.instance_tags,
        wait_seconds=CONNECT_SECONDS,
    ) as session:
        yield {"MLFLOW_TRACKING_URI": f"http://{session.host}:{session.port}"}


def _credentials(project: Project, actors: Actors, role: str) -> Credentials:
    from scripts.localcloud.home import administrator

    return administrator(project.home) if role == "administrator" else actors.credentials(role)
