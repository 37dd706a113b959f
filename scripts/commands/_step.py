"""Run a step of the pipeline from a verb, under a role of the local cloud or as the caller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scripts.commands import Project

if TYPE_CHECKING:
    from scripts.aws.credentials import Credentials
    from scripts.local_run.actors import Actors


def run_step(
    project: Project,
    step: str,
    arguments: Sequence[str],
    *,
    environment: str,
    role: str,
    aws: bool,
    quiet: bool = False,
) -> int:
    """Run `python -m pipeline.<step>`; the answer is its exit code. `quiet` drops what it prints.

    In the local cloud it runs as `role` (or as the administrator) with a session to MLflow; with
    `aws` it runs in the caller's environment, whose tunnel MLFLOW_TRACKING_URI must name. Raises
    UserError when the local cloud or its server is not there.
    """
    command = [sys.executable, "-m", f"pipeline.{step}", *arguments]
    out = subprocess.DEVNULL if quiet else None
    if aws:
        caller = os.environ | {"KEYLESS_ENVIRONMENT": environment}
        return _run(command, project, caller, out)

    from scripts.aws.sealed import client
    from scripts.local_run.actors import Actors
    from scripts.names import job_role
    from scripts.server.sessions import CONNECT_SECONDS, open_session

    cloud = project.cloud()
    platform = project.local_platform(cloud, environment)
    actors = Actors(cloud, environment, project.root)
    credentials = _credentials(project, actors, role)
    session_name = "operate" if role == "administrator" else job_role(role).session or ""
    document, tags = platform.sessions.documents[session_name], platform.mlflow.instance_tags
    with open_session(
        lambda name: client(cloud, credentials, name),
        document,
        tags,
        wait_seconds=CONNECT_SECONDS,
    ) as session:
        extra = {
            "KEYLESS_PLATFORM": platform.model_dump_json(),
            "MLFLOW_TRACKING_URI": f"http://{session.host}:{session.port}",
        }
        sealed = (
            actors.marked_environment(credentials, extra)
            if role == "administrator"
            else actors.process_environment(role, extra)
        )
        return _run(command, project, sealed, out)


def _run(
    command: Sequence[str], project: Project, environment: Mapping[str, str], out: int | None
) -> int:
    done = subprocess.run(command, cwd=project.root, env=dict(environment), stdout=out, check=False)
    return done.returncode


def _credentials(project: Project, actors: Actors, role: str) -> Credentials:
    from scripts.localcloud.home import administrator

    return administrator(project.home) if role == "administrator" else actors.credentials(role)
