"""Run a model server: `python -m pipeline.serving --model NAME`."""

import gc
import os
import platform
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from pipeline.errors import InputError, StepFailed
from pipeline.model import families
from pipeline.outputs import load_platform
from pipeline.rollouts.policy import Set
from pipeline.serving.config import Config, InstanceSettings, Limits, Pace, Served
from pipeline.step import use_region


@click.command()
@click.option("--model", help="The model's name, as in its settings.")
@click.option("--platform", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--local", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--set", "set_name", type=click.Choice(["blue", "green"]), help="For blue/green.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder of this server's own, for predictions on their way to the store.",
)
@click.option("--trusted-type", multiple=True, help="A type that skops may load beyond the usual.")
@click.option("--pace", "hurry", default=1.0, help="Multiplies every pause; for demos and tests.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of an instance, in place of the options above; see modules/model_server.",
)
def main(config: Path | None, **options: Any) -> None:
    """Serve the champion of record of one model."""
    import uvicorn

    from pipeline.serving.app import create
    from pipeline.serving.protocol import BoundedProtocol

    try:
        run = _of_instance(config, os.environ) if config else _of_options(**options)
    except (InputError, StepFailed) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    app = create(run.config)
    # What is loaded stays: the garbage collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=run.host,
        port=run.port,
        http=BoundedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        # Longer than a load balancer keeps an idle connection (60 s): else it may send a request
        # into one that ends just then.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )


@dataclass(frozen=True)
class _Run:
    config: Config
    host: str
    port: int


def _of_options(
    *,
    model: str | None,
    file: Path | None,
    local: Path | None,
    host: str,
    port: int,
    set_name: Set | None,
    state: Path | None,
    trusted_type: tuple[str, ...],
    hurry: float,
) -> _Run:
    if model is None or state is None:
        raise InputError("name the model with --model, and a folder of its own with --state")
    use_region(os.environ)
    place = Served(model, None if local else load_platform(file), local)
    return _Run(_config(place, state, set_name, trusted_type, hurry), host, port)


def _of_instance(file: Path, environ: MutableMapping[str, str]) -> _Run:
    """What Terraform wrote on the instance; one local machine plays several, so ports differ."""
    try:
        known = InstanceSettings.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{file}: {error}") from None
    environ["AWS_REGION"], environ["KEYLESS_ENVIRONMENT"] = known.region, known.environment
    use_region(environ)
    played = environ.get("KEYLESS_SERVING_PORT")
    place = Served(known.model, load_platform())
    state = Path(environ.get("STATE_DIRECTORY", "/var/lib/keyless-serve"))
    hurry = float(environ.get("KEYLESS_PACE", "1"))
    config = _config(place, state, known.set, tuple(known.trusted_types), hurry)
    return _Run(config, "127.0.0.1" if played else "0.0.0.0", int(played or known.port))  # noqa: S104


def _config(
    place: Served, state: Path, set_name: Set | None, more_types: tuple[str, ...], hurry: float
) -> Config:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Config(
        place,
        state,
        server=platform.node() or "server",
        set_name=set_name,
        trusted_types=(*families.trusted_types(), *more_types),
        limits=Limits(),
        pace=Pace().times(hurry),
    )


if __name__ == "__main__":
    main()
