"""`keyless rollout`: bring a new model into use step by step, watch it, decide and reverse."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from scripts.commands import (
    Project,
    account_of,
    agree,
    aws_option,
    aws_platform,
    environment_option,
    json_option,
    pass_project,
    yes_option,
)
from scripts.commands._step import show_step
from scripts.console import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.outputs import Serving
    from scripts.server.sessions import Clients

ROLE = "rollout"
PROGRAM = "keyless rollout"
STRATEGIES = ("champion_challenger", "canary", "ab", "blue_green")
CHANGING = {
    "start": "begin a rollout",
    "watch": "take the rollout's steps until it ends",
    "advance": "take the next step of the rollout now",
    "pause": "hold the rollout where it is",
    "abort": "end the rollout: the champion answers everything again",
}
SHOWING = ("status", "history", "size")
HELP = {"-h", "--help"}


@click.command(
    "rollout", context_settings={"ignore_unknown_options": True, "help_option_names": []}
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="VERB [ARGUMENTS]...")
@json_option
@yes_option
@environment_option
@aws_option
@pass_project
@click.pass_context
def rollout(
    context: click.Context,
    project: Project,
    words: tuple[str, ...],
    as_json: bool,
    yes: bool,
    environment: str,
    aws: bool,
) -> None:
    """Bring a new model into use: compare, grow, test or switch, and return.

    \b
    keyless up --model-servers       servers that answer with the champion
    keyless rollout demo canary      play one with made-up requests and outcomes
    keyless rollout demo canary bad  ... that a guard rolls back
    keyless rollout start --strategy canary --why "trained on October"
    keyless rollout watch            take its steps until it ends; again after a crash
    keyless rollout status --live    how it stands; --page FILE for the curves
    keyless rollout status --json    the same for programs; also history and size
    keyless rollout advance|pause|abort --why "..."
    keyless rollout history          every version of the policy: when, who, what, why
    keyless rollout size             outcomes that an A/B test needs

    `keyless rollout VERB --help` lists what a verb takes; docs/rollouts.md says when to use which.
    """
    verb, *arguments = words or ("--help",)
    if verb in HELP:
        click.echo(context.get_help())
        return
    if verb not in (*CHANGING, *SHOWING, "demo"):
        known = ", ".join((*CHANGING, *SHOWING, "demo"))
        raise click.UsageError(f"There is no verb {verb!r}. Use one of {known}.")
    if as_json and verb not in SHOWING:
        raise click.UsageError(f"--json is for {', '.join(SHOWING)}")
    if verb == "demo":
        _demo(project, environment, arguments, aws)
    elif HELP & set(arguments):
        command = [sys.executable, "-m", "pipeline.rollouts", verb, "--help"]
        named = {**os.environ, "KEYLESS_PROGRAM": PROGRAM}
        context.exit(subprocess.run(command, cwd=project.root, env=named, check=False).returncode)
    else:
        context.exit(_run(project, environment, words, aws=aws, yes=yes, as_json=as_json))


def _run(
    project: Project, environment: str, words: Sequence[str], *, aws: bool, yes: bool, as_json: bool
) -> int:
    from scripts.server.idle_set import way_to_idle_set

    verb = words[0]
    serving, clients, aws_cli = _reach(project, environment, aws)
    if aws and verb in CHANGING:
        agree(account_of(project, environment, ROLE, aws), environment, CHANGING[verb], yes=yes)
    with contextlib.ExitStack() as ways:
        more: list[str] = []
        if verb == "watch":
            more = ["--idle", ways.enter_context(way_to_idle_set(clients, serving, aws_cli))]
        return show_step(
            project,
            "rollouts",
            [*words, *more],
            as_json=as_json,
            environment=environment,
            role=ROLE,
            aws=aws,
            # Without MLflow a rollout can still be watched and, above all, aborted.
            tracking=verb == "start",
            program=PROGRAM,
        )


def _reach(
    project: Project, environment: str, aws: bool
) -> tuple[Serving, Clients, Mapping[str, str] | None]:
    """The model servers, and who asks. Raises UserError where there are none."""
    if aws:
        from scripts.aws.renewal import Caller

        platform = aws_platform(environment)
        caller = Caller.from_environment(os.environ, platform.region)
        clients: Clients = caller.client
        aws_cli: Mapping[str, str] | None = caller.environment
    else:
        from scripts.local_run.actors import Actors

        cloud = project.cloud()
        platform, aws_cli = project.local_platform(cloud, environment), None
        clients = partial(Actors(cloud, environment, project.root).client, ROLE)
    if platform.serving is None:
        raise UserError(
            f"{environment} has no model servers",
            why="terraform/platform makes none unless its variable model_server names a model",
            fix="see docs/rollouts.md" if aws else "keyless up --model-servers",
        )
    return platform.serving, clients, aws_cli


def _demo(project: Project, environment: str, arguments: Sequence[str], aws: bool) -> None:
    strategy, *rest = arguments or ("",)
    challenger = rest[0] if rest else "good"
    if strategy not in STRATEGIES or challenger not in ("good", "bad") or len(rest) > 1:
        raise click.UsageError(f"demo takes one of {', '.join(STRATEGIES)}, then good or bad")
    if aws:
        raise click.UsageError("a demo plays on the local cloud alone")
    from scripts.local_run.rollout_demo import Demo

    cloud = project.cloud()
    project.local_platform(cloud, environment)
    page = project.home / f"rollout-{strategy}-{challenger}.html"
    played = Demo(cloud, environment, project.root).play(
        strategy, "good" if challenger == "good" else "bad", page
    )
    click.echo(f"\n{played.phase}: {played.why}")
    lost = len(played.failures)
    click.echo(f"{played.requests} requests answered, those before and after it too, {lost} lost")
    click.echo(str(page))
    if played.failures:
        raise UserError("Requests were lost", why="; ".join(played.failures[:3]))
