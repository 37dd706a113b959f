"""`keyless wheelhouse`: the servers' packages, for instances that may not reach the internet."""

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
@click.option(
    "--model-servers/--no-model-servers",
    default=None,
    help="The model servers' packages too. By default with --upload, where there are such servers.",
)
@click.option("--upload", is_flag=True, help="Put it where the environment's servers look for it.")
@click.option(
    "--lock", is_flag=True, help="Resolve the lock files of scripts/server anew, and end."
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
    model_servers: bool | None,
    upload: bool,
    lock: bool,
    yes: bool,
    environment: str,
    aws: bool,
) -> None:
    """Collect the servers' packages as hash-checked wheels, and upload them.

    \b
    keyless wheelhouse                                      into .keyless/wheelhouse
    keyless wheelhouse --upload -e prod --aws               and to prod's bucket, after a question
    keyless wheelhouse --ca global-bundle.pem --upload      without asking AWS for certificates
    keyless wheelhouse --lock                               after `make lock`

    An instance installs from this folder alone, with --no-index --require-hashes, and waits
    until requirements.txt is there, which is uploaded last. Run it after the first apply, and
    when a lock file has changed; where there are model servers, also when pipeline/ has changed:
    their code is in it. Uploading needs the right to put objects under wheelhouse/, which no role
    of CI has.
    """
    from scripts.console import Phases
    from scripts.server import wheelhouse as house

    if lock:
        with Phases() as phases, phases.phase("resolve the lock files"):
            for kind in house.HOUSES:
                house.lock(project.root, kind)
        click.echo("\n".join(str(kind.lock) for kind in house.HOUSES))
        return
    if python not in ("3.11", "3.12", "3.13"):
        raise click.BadParameter("it is 3.11, 3.12 or 3.13", param_hint="--python")
    target = house.Target(arch, python)
    # Whether there is a platform to upload to is checked before anything is downloaded.
    account = account_of(project, environment, "administrator", aws) if upload else None
    platform = None
    if upload:
        platform = (
            aws_platform(environment)
            if aws
            else project.local_platform(project.cloud(), environment)
        )
        if model_servers is None:
            model_servers = platform.serving is not None
    if account is not None and platform is not None:
        bucket = platform.artifact_store.bucket
        agree(account, environment, f"upload the servers' packages to {bucket}", yes=yes)
    with Phases() as phases:
        for kind in house.HOUSES if model_servers else (house.MLFLOW,):
            folder = project.home / "wheelhouse" / f"{kind.folder}{target.tag}"
            with phases.phase(f"wheels of the {kind.name} for {target.tag}") as phase:
                house.build(kind, target, folder, ca, phase.event)
            wheels = list((folder / "wheels").iterdir())
            size = sum(file.stat().st_size for file in wheels) / 2**20
            click.echo(f"{kind.name}: {len(wheels)} wheels, {size:.0f} MiB in {folder}")
            if account is None or platform is None:
                continue
            store = platform.artifact_store
            with phases.phase(f"upload to {store.bucket}", account.caller) as phase:
                prefix = f"{store.prefixes.wheelhouse}{kind.folder}"
                s3 = account.client("s3")
                sent = house.upload(s3, store.bucket, prefix, folder, phase.event)
            click.echo(f"{kind.name}: {sent} files sent to s3://{store.bucket}/{prefix}")
