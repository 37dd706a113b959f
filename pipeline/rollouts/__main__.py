"""`python -m pipeline.rollouts VERB`: start, watch, steer and show the rollout of one model."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pipeline.errors import InputError, StepFailed
from pipeline.rollouts import page, view
from pipeline.rollouts.control.controller import Controller, Look, NotNow, by_hand
from pipeline.rollouts.control.front import ListenerFront
from pipeline.rollouts.control.lease import Lease
from pipeline.rollouts.observed.counters import counters_of
from pipeline.rollouts.observed.sources import StoreSources
from pipeline.rollouts.observed.verify import IdleSet
from pipeline.rollouts.plans import STRATEGIES, first_policy
from pipeline.rollouts.policies import PolicyChanged, policies_of
from pipeline.rollouts.policy import Challenger, TrafficPolicy
from pipeline.rollouts.strategies import decide
from pipeline.step import Outcome, Workspace, step, write_json, write_text
from pipeline.tracking.lineage import identity_tags, role_arn

_AT_LEAST_ZERO = click.FloatRange(min=0)
_EVERY = click.option(
    "--every", default=5.0, type=_AT_LEAST_ZERO, show_default=True, help="Seconds between looks."
)
_PAGE = click.option(
    "--page",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write an HTML page with the curves here.",
)
_LONGEST_REASON = 500


def _reason(_: click.Context, __: click.Parameter, value: str) -> str:
    text = " ".join(value.split())
    if not 0 < len(text) <= _LONGEST_REASON:
        raise click.BadParameter(f"give a reason of 1 to {_LONGEST_REASON} characters")
    return text


_WHY = click.option(
    "--why", required=True, callback=_reason, help="The reason; it is kept with the change."
)


@click.group()
def rollouts() -> None:
    """Bring a new model into use by one of four strategies."""


@step
@click.option("--strategy", required=True, type=click.Choice(STRATEGIES))
@click.option("--challenger", default="challenger", show_default=True, help="Version or alias.")
@_WHY
def start(workspace: Workspace, *, strategy: str, challenger: str, why: str) -> Outcome:
    """Put a traffic policy in force that gives a registered version its trial."""
    from pipeline.evaluation.holdout import candidate, find_version
    from pipeline.tracking import runs
    from pipeline.tracking.decisions import barred

    policies, record = policies_of(workspace), workspace.records.read()[0]
    if record is None:
        raise InputError(f"{workspace.model} has no champion yet: run promote first")
    found = candidate(workspace, find_version(workspace, runs.connect(workspace), challenger))
    if reason := barred(workspace, record).get(found.number):
        raise InputError(
            f"version {found.number} was rolled back ({reason}); promote it with --reinstate, or "
            "train another one"
        )
    seen = policies.read()
    policy = first_policy(
        workspace.model,
        strategy,
        workspace.settings.rollout,
        Challenger(model_version=found.number, run_id=found.run_id, files=found.files),
        (record.sequence, record.model_version),
        seen.policy if seen else None,
        classes=workspace.settings.task.type != "regression",
        who=signature(workspace),
        why=why,
    )
    try:
        policies.write(policy, seen)
    except PolicyChanged:
        raise StepFailed("somebody else changed the policy at the same time: look again") from None
    look = Look(policy, None, "keyless rollout watch takes the steps")
    return _outcome(workspace, "start", look)


@step
@_EVERY
@_PAGE
@click.option("--seconds", type=_AT_LEAST_ZERO, help="End after so long, to be gone on with later.")
@click.option("--once", is_flag=True, help="Look once, take the step that is due, and end.")
@click.option("--idle", "url", help="Address that leads to the idle set, for blue_green.")
@click.option("--progress", type=click.Path(path_type=Path), help="Write each look here as JSON.")
def watch(
    workspace: Workspace,
    *,
    every: float,
    file: Path | None,
    seconds: float | None,
    once: bool,
    url: str | None,
    progress: Path | None,
) -> Outcome:
    """Take the rollout's steps until it ends: the controller."""
    sources = _sources(workspace, url)
    controller = Controller(
        policies_of(workspace),
        Lease(workspace.store, workspace.key("rollouts", "lease.json"), holder()),
        sources,
        who=signature(workspace),
        front=front_of(workspace),
    )
    last = ""

    def tell(look: Look) -> None:
        nonlocal last
        if look.sentence != last:
            click.echo(f"{time.strftime('%H:%M:%S')}  {look.sentence}")
            last = look.sentence
        if progress is not None:
            write_json(progress, view.values(look))

    until = 0.0 if once else seconds
    found = _run(controller, every, until, tell)
    _write_page(workspace, file, found, sources)
    return _outcome(workspace, "watch", found)


def _run(
    controller: Controller, every: float, seconds: float | None, tell: Callable[[Look], None]
) -> Look:
    if seconds is None:
        return controller.run(every, tell, time.sleep)
    return controller.run(every, tell, time.sleep, seconds=seconds)


@step
@_EVERY
@_PAGE
@click.option(
    "--live", is_flag=True, help="Look again and again until there is nothing to wait for."
)
def status(workspace: Workspace, *, every: float, file: Path | None, live: bool) -> Outcome:
    """Show how the rollout stands, and change nothing."""
    # They keep what they read: of a day's feedback each look would read all of it again.
    sources = _sources(workspace, None)
    look = _look(workspace, sources)
    while live and not look.rests:
        click.clear()
        click.echo("\n".join(view.lines(look)))
        _write_page(workspace, file, look, sources)
        time.sleep(every)
        look = _look(workspace, sources)
    _write_page(workspace, file, look, sources)
    return _outcome(workspace, "status", look)


def _steer(verb: str, text: str) -> click.Command:
    @step
    @_WHY
    def command(workspace: Workspace, *, why: str) -> Outcome:
        try:
            changed = by_hand(
                policies_of(workspace), _sources(workspace, None), verb, why, signature(workspace)
            )
        except NotNow as reason:
            raise InputError(str(reason)) from None
        front = front_of(workspace)
        if front is not None:
            front.agree(changed)
        return _outcome(workspace, verb, Look(changed, None, why))

    command.name, command.help = verb, text
    return command


@step
def history(workspace: Workspace) -> Outcome:
    """List every version of the policy: when, who, what and why."""
    found = policies_of(workspace).history()
    listed = [policy.model_dump(mode="json") for policy in found]
    lines = view.history(found) or [f"{workspace.model} never had a rollout"]
    return Outcome(lines, {**_head(workspace, "history"), "policies": listed})


@step
@click.option(
    "--per-day",
    type=click.FloatRange(min=0, min_open=True),
    help="Keys a day that get an outcome; shows the days that this takes.",
)
def size(workspace: Workspace, *, per_day: float | None) -> Outcome:
    """Show how many outcomes an A/B test by these settings needs."""
    settings = workspace.settings.rollout.ab
    found = settings.size
    lines = [
        f"to find a difference of {settings.effect:g} in the loss (standard deviation "
        f"{settings.spread:g}) with power {settings.power:.0%} at level {settings.alpha:.0%}, "
        f"{settings.share:.0%} to the challenger:",
        f"{found.sequential} keys with an outcome, looked at as often as you like",
        f"{found.fixed} if it were looked at once, at the end",
    ]
    if per_day:
        lines.append(f"{found.sequential / per_day:.1f} days at {per_day:g} keys a day")
    sizes = {"sequential": found.sequential, "fixed": found.fixed}
    return Outcome(lines, {**_head(workspace, "size"), **sizes})


def _outcome(workspace: Workspace, verb: str, look: Look) -> Outcome:
    return Outcome(view.lines(look), {**_head(workspace, verb), **view.values(look)})


def _head(workspace: Workspace, verb: str) -> dict[str, Any]:
    return {"step": "rollout", "model": workspace.model, "verb": verb}


def _look(workspace: Workspace, sources: StoreSources) -> Look:
    """What the controller would see and decide, without its lease."""
    seen = policies_of(workspace).read()
    if seen is None:
        return Look(None, None, f"{workspace.model} never had a rollout", ended=True)
    policy = seen.policy
    evidence = sources.gather(policy)
    decision = decide(policy, evidence, policy.changed_at.now(policy.changed_at.tzinfo))
    sentence = decision.why if policy.live else f"{policy.phase}: {policy.why}"
    return Look(policy, evidence, sentence, ended=not policy.live)


def _sources(workspace: Workspace, url: str | None) -> StoreSources:
    return StoreSources(workspace, IdleSet(workspace, url).verify if url else None)


def _write_page(workspace: Workspace, file: Path | None, look: Look, sources: StoreSources) -> None:
    if file is None:
        return
    series: page.Series = []
    losses: Any = None
    if look.policy is not None:
        policy: TrafficPolicy = look.policy
        series = counters_of(workspace).series(policy.experiment, policy.started_at)
        with suppress(StepFailed):  # the files of a challenger that is rolled back may be gone
            logs = sources.outcomes(policy)
            logs.refresh()
            losses = logs.loss_by_key(policy.loss)
    write_text(file, page.render(look, policies_of(workspace).history(), series, losses))


def front_of(workspace: Workspace) -> ListenerFront | None:
    """The load balancer of this model's servers; None where the platform has none."""
    serving = workspace.platform.serving if workspace.platform else None
    if serving is None or serving.model != workspace.model:
        return None
    session = workspace.session
    return ListenerFront(session.client("elbv2"), session.client("autoscaling"), serving)


def signature(workspace: Workspace) -> str:
    """Who changes the policy: the actor of a job, its role, or the user of this machine."""
    tags = identity_tags()
    who = tags.get("keyless.actor") or os.environ.get("USER") or "unknown"
    role = role_arn(workspace)
    return f"{who} as {role.rpartition('/')[2]}" if role else who


def holder() -> str:
    """This process, for whoever waits for its lease."""
    return f"{socket.gethostname()} process {os.getpid()}"


for _command in (
    start,
    watch,
    status,
    _steer("advance", "Take the next step now, or go on after a pause."),
    _steer("pause", "Hold the rollout where it is; the guards are still watched."),
    _steer("abort", "End the rollout: the champion answers everything again."),
    history,
    size,
):
    rollouts.add_command(_command)

if __name__ == "__main__":
    # Who came by another command sees that one in usages and errors.
    rollouts(prog_name=os.environ.get("KEYLESS_PROGRAM"))
