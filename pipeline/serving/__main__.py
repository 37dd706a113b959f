"""Run a model server: `python -m pipeline.serving --model NAME`."""

import os
import platform
import sys
from pathlib import Path

import click

from pipeline.errors import InputError, StepFailed
from pipeline.model import families
from pipeline.outputs import load_platform
from pipeline.rollouts.policy import Set
from pipeline.serving.config import Config, Limits, Pace, Served
from pipeline.step import use_region


@click.command()
@click.option("--model", required=True, help="The model's name, as in its settings.")
@click.option("--platform", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--local", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--set", "set_name", type=click.Choice(["blue", "green"]), help="For blue/green.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A folder of this server's own, for predictions on their way to the store.",
)
@click.option("--trusted-type", multiple=True, help="A type that skops may load beyond the usual.")
@click.option("--pace", "hurry", default=1.0, help="Multiplies every pause; for demos and tests.")
def main(
    model: str,
    file: Path | None,
    local: Path | None,
    host: str,
    port: int,
    set_name: Set | None,
    state: Path,
    trusted_type: tuple[str, ...],
    hurry: float,
) -> None:
    """Serve the champion of record of one model."""
    import uvicorn

    from pipeline.serving.app import create

    use_region(os.environ)
    try:
        place = Served(model, None if local else load_platform(file), local)
    except (InputError, StepFailed) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = Config(
        place,
        state,
        server=platform.node() or "server",
        set_name=set_name,
        trusted_types=(*families.trusted_types(), *trusted_type),
        limits=Limits(),
        pace=Pace().times(hurry),
    )
    uvicorn.run(
        create(config),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )


if __name__ == "__main__":
    main()
