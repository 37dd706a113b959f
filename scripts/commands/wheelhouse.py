"""`keyless wheelhouse`: the server's packages, for an instance that may not reach the internet."""

from __future__ import annotations

from pathlib import Path

import click

from scripts.commands import (
    Project,
    account_of,
    agree,
    aws_option,
    aws_platform,
    environment_option,
    pass_project,
    yes_option,
)


@click.command("wheelhouse")
@click.option(
    "--arch",
    type=click.Choice(["aarch64", "x86_64"]),
    default="aarch64",
    show_default=True,
    help="Processor of the server: aarch64 for the t4g and other Graviton types.",
)
@click.option("--python", default="3.12", show_default=True, help="Python of the server.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="RDS's certificates, if AWS cannot be asked for them from here.",
)
@click.option("--upload", is_flag=True, help="Put it where the environment's server looks for it.")
@click.option(
    "--lock", is_flag=True, help="Resolve scripts/server/wheelhouse-lock.txt anew, and end."
)
@yes_option
@environment_option
@aws_option
@pass_project
def wheelhouse(
    project: Project,
    arch: str,
    python: str,
    ca: Path | None,
    upload: bool,
    lock: bool,
    yes: bool,
    environment: str,
    aws: bool,
) -> None:
    """Collect the server's packages as hash-checked wheels, and upload them.

    \b
    keyless wheelhouse                                      into .keyless/wheelhouse
    keyless wheelhouse --upload -e prod --aws               and to prod's bucket, after a question
    keyless wheelhouse --ca global-bundle.pem --upload      without asking AWS for certificates
    keyless wheelhouse --lock                               after `make lock`

    The instance installs from this folder alone, with --no-index --require-hashes, and waits
    until requirements.txt is there, which is uploaded last. Run it after the first apply, and
    when the lock file has changed. Uploading needs the right to put objects under wheelhouse/,
    which no role of CI has.
    """
    from scripts.console import Phases
    from scripts.server import wheelhouse as house

    if lock:
        with Phases() as phases, phases.phase("resolve the lock file"):
            house.lock(project.root)
        click.echo(house.LOCK)
        return
    if python not in ("3.11", "3.12", "3.13"):
        raise click.BadParameter("it is 3.11, 3.12 or 3.13", param_hint="--python")
    target = house.Target(arch, python)
    folder = project.home / "wheelhouse" / target.tag
    # Whether there is a platform to upload to is checked before anything is downloaded.
    account = account_of(project, environment, "administrator", aws) if upload else None
    platform = None
    if upload:
        platform = (
            aws_platform(environment)
            if aws
            else project.local_platform(project.cloud(), environment)
        )
    if account is not None and platform is not None:
        bucket = platform.artifact_store.bucket
        agree(account, environment, f"upload the server's packages to {bucket}", yes=yes)
    with Phases() as phases:
        with phases.phase(f"wheels for {target.tag}") as phase:
            files = house.build(target, folder, ca, phase.event)
        size = sum(file.stat().st_size for file in files) / 2**20
        click.echo(f"{len(files) - 2} wheels, {size:.0f} MiB in {folder}")
        if account is None or platform is None:
            return
        store = platform.artifact_store
        with phases.phase(f"upload to {store.bucket}", account.caller) as phase:
            prefix = store.prefixes.wheelhouse
            sent = house.upload(account.client("s3"), store.bucket, prefix, folder, phase.event)
    click.echo(f"{sent} files sent to s3://{store.bucket}/{prefix}")
