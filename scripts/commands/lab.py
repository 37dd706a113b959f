"""`keyless lab`: break the platform's controls on purpose, see what stops you, fix it yourself."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import Project, Subverbs, json_option, pass_project

if TYPE_CHECKING:
    from scripts.labs.lab import Lab
    from scripts.labs.operations import Labs, Verdict


@click.group("lab", cls=Subverbs)
def lab() -> None:
    """Practise attacks and fixes in security labs, offline.

    \b
    keyless lab list                 the labs, and what you have reached
    keyless lab start 2              deploy the vulnerable variant, lay out your files
    keyless lab flag 2 'FLAG{...}'   hand in what your attack found
    keyless lab check 2              deploy your fix; the attacks must fail, the pipeline must work

    Each lab has a local cloud and a folder of its own; no AWS account is involved. docs/labs.md
    explains the labs.
    """


def _labs(project: Project) -> Labs:
    from scripts.labs.operations import Labs

    return Labs(project.home, lambda text: click.echo(f"  {text}", err=True))


def _find(_: click.Context, __: click.Parameter, name: str) -> Lab:
    from scripts.labs.lab import find

    return find(name)


which = click.argument("chosen", metavar="LAB", callback=_find)


@lab.command("list")
@json_option
@pass_project
def list_labs(project: Project, as_json: bool) -> None:
    """List the labs with their state and your points."""
    from scripts.labs.lab import labs

    found = _labs(project)
    progress = found.progress()
    rows: list[dict[str, Any]] = [
        {
            "number": one.number,
            "title": one.title,
            "minutes": one.minutes,
            "state": found.state(one),
            "flag": progress.of(one).flag,
            "fixed": progress.of(one).fixed,
            "points": progress.of(one).points,
            "teaches": one.teaches,
        }
        for one in labs()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        reached = " ".join(name for name in ("flag", "fixed") if row[name])
        line = f"{row['number']:>2}  {row['title']:<50} {row['minutes']:>3} min  {row['state']:<11}"
        click.echo(f"{line}  {row['points']:>3} points  {reached}".rstrip())
        click.echo(f"    {row['teaches']}")


@lab.command()
@which
@pass_project
def start(project: Project, chosen: Lab) -> None:
    """Deploy the vulnerable variant of LAB; a running lab is left as it is."""
    from scripts.console import UserError
    from scripts.labs import page

    run, fresh = _labs(project).start(chosen)
    click.echo(f"lab {chosen.number} {'is ready' if fresh else 'runs already'}: {run.folder}")
    click.echo(f"  cd {shlex.quote(str(run.folder))} && . ./env.sh")
    click.echo("  README.md has the story, what you have, and what to do")
    try:
        click.echo(f"  watch the lab's requests as they are decided: {page.start(run.home)}")
    except UserError as failure:
        click.echo(f"  {failure}; keyless watch serves it, too", err=True)


@lab.command()
@which
@pass_project
def hint(project: Project, chosen: Lab) -> None:
    """Show one more hint of LAB; each costs points."""
    hints, new = _labs(project).hint(chosen)
    for number, one in enumerate(hints, 1):
        click.echo(f"hint {number} ({one.cost} points): {one.text}")
    if not new:
        click.echo("that is every hint; keyless lab solve shows a fix, and ends the scoring")


@lab.command()
@which
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--ref", default="refs/heads/main", show_default=True, help="Full ref of the job.")
@click.option("--github-environment", "environment", help="GitHub environment of the job.")
@pass_project
def token(
    project: Project, chosen: Lab, repository: str, ref: str, environment: str | None
) -> None:
    """Print the GitHub token of a job in LAB; a free name is registered for you."""
    job = {"ref": ref} | ({"environment": environment} if environment else {})
    click.echo(_labs(project).running(chosen).github.token_for_student(repository, **job))


@lab.command(context_settings={"ignore_unknown_options": True})
@which
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@pass_project
def job(project: Project, chosen: Lab, words: tuple[str, ...]) -> None:
    """Start the protected job of LAB with your WORDS; nobody reviews them."""
    click.echo(_labs(project).job(chosen, list(words)))


@lab.command("pull-request")
@which
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@pass_project
def pull_request(project: Project, chosen: Lab, folder: Path) -> None:
    """Open a pull request in LAB with the files of FOLDER, and print its log."""
    from scripts.labs.pull_requests import PullRequest, files_of, fork_of, run_workflows

    base, fork = fork_of(chosen)
    run = _labs(project).running(chosen)
    jobs = run_workflows(run, PullRequest(base, files_of(folder), fork))
    for job in jobs:
        click.echo(f"--- {job.name}: {job.status}\n{job.log}", nl=False)
    if not jobs:
        click.echo("the pull request started no job: no workflow has its event", err=True)


@lab.command()
@which
@click.argument("text", metavar="FLAG")
@pass_project
def flag(project: Project, chosen: Lab, text: str) -> None:
    """Hand in the flag that your attack on LAB found."""
    if not _labs(project).flag(chosen, text):
        click.echo(
            f"that is not the flag of lab {chosen.number}; each start makes a new one", err=True
        )
        raise SystemExit(1)
    click.echo(f"right. Now fix it, then: keyless lab check {chosen.number}")


@lab.command()
@which
@json_option
@pass_project
def check(project: Project, chosen: Lab, as_json: bool) -> None:
    """Deploy your files of LAB, and try every attack and what the pipeline needs.

    Exit code 1 if an attack still works or the pipeline does not.
    """
    verdict = _labs(project).check(chosen)
    _show(verdict, as_json)
    if not verdict.solved:
        if not as_json and any(
            one.result == "refused" and not one.good for one in verdict.outcomes
        ):
            click.echo("why a request was refused: keyless explain-denial ID, the id in brackets")
        raise SystemExit(1)
    if not as_json:
        click.echo(f"lab {chosen.number}: the attacks fail and the pipeline works")


def _show(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        found = [vars(one) | {"good": one.good} for one in verdict.outcomes]
        click.echo(json.dumps({"solved": verdict.solved, "outcomes": found}, indent=2))
        return
    for one in verdict.outcomes:
        mark = "ok  " if one.good else "OPEN" if one.kind == "attack" else "DOWN"
        click.echo(f"{mark}  {one.kind}: {one.what}: {one.result}")
        if one.detail and (one.kind == "attack" or not one.good):
            click.echo(f"      {one.detail.splitlines()[0]}")


@lab.command()
@which
@click.option("--fix", help="Which of the right fixes; without it the first.")
@pass_project
def solve(project: Project, chosen: Lab, fix: str | None) -> None:
    """Put a right fix of LAB into your folder.

    What you had not reached before earns no points then.
    """
    backup, name = _labs(project).solve(chosen, fix)
    others = ", ".join(one for one in chosen.fixes if one != name)
    click.echo(f"the fix {name} is in your folder; also right: {others}")
    if backup:
        click.echo(f"your files are kept in {backup}")
    click.echo(f"keyless lab check {chosen.number}")


@lab.command()
@click.argument("name", metavar="[LAB]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every lab, and the points.")
@pass_project
def reset(project: Project, name: str | None, everything: bool) -> None:
    """End LAB and remove its files; what you wrote is kept in a backup."""
    from scripts.labs.lab import find

    if (name is None) == (not everything):
        raise click.UsageError("name a lab, or give --all")
    found = _labs(project)
    backup = None if name is None else found.reset(find(name))
    kept: list[Path] = found.reset_all() if everything else [backup] if backup else []
    click.echo("reset: " + ("every lab" if name is None else f"lab {find(name).number}"))
    for path in kept:
        click.echo(f"what you wrote is kept in {path}")


@lab.command()
@click.argument("names", metavar="[LAB]...", nargs=-1)
@click.option("--html", "as_html", is_flag=True, help="A page to print, a lab on each sheet.")
def sheet(names: tuple[str, ...], as_html: bool) -> None:
    """Print the sheet of each LAB, or of all, for students to write on."""
    from scripts.labs.lab import find, labs
    from scripts.labs.sheet import html, markdown

    chosen = [find(name) for name in names] or list(labs())
    click.echo(html(chosen) if as_html else "\n".join(map(markdown, chosen)), nl=False)


@lab.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@pass_project
def scoreboard(project: Project, files: tuple[Path, ...], as_json: bool) -> None:
    """Show points: yours, or those of the progress files of a class."""
    from scripts.labs import progress

    found = [progress.load(path) for path in files] or [_labs(project).progress()]
    found.sort(key=lambda one: (-one.points, one.student))
    if as_json:
        rows = [
            {"student": one.student, "points": one.points, "solved": one.solved} for one in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in found:
        click.echo(f"{one.points:>5} points  {one.solved:>2} solved  {one.student}")
