"""What every step shares: options, workspace, summary, result file and exit codes."""

import errno
import functools
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from pipeline.errors import InputError, StepFailed, first_line, of_local_cloud
from pipeline.model.place import Place
from pipeline.outputs import Platform, load_platform
from pipeline.settings import Settings, load_settings, settings_path
from pipeline.tracking import progress
from pipeline.tracking.quiet import each_warning_once
from pipeline.tracking.results import parse_result


@dataclass(frozen=True)
class Workspace(Place):
    """Where a step works: on a platform in AWS, or in a local folder without AWS."""

    settings: Settings
    settings_file: Path
    platform: Platform | None = None
    folder: Path | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.settings.model

    def of(self, model: str | None) -> "Workspace":
        """The same workspace for another model; None keeps the model."""
        if model is None:
            return self
        return replace(self, settings=self.settings.model_copy(update={"model": model}))

    @property
    def sample_batch(self) -> str:
        """The key of the rows that ingest stores as the first batch to predict."""
        return self.key("inputs", "sample.parquet")

    @property
    def history(self) -> str:
        """The key of the rows before the next batch, for models that look back."""
        return self.key("inputs", "history.parquet")

    @property
    def tracking_uri(self) -> str:
        """Where MLflow listens. Raises InputError when nothing says so on a platform."""
        named = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
        if named.startswith(("postgres", "mysql", "s3:")):
            raise InputError(
                f"MLFLOW_TRACKING_URI begins with {named.partition(':')[0]}:, but it must name the "
                "MLflow server, such as http://127.0.0.1:5000: `keyless tunnel` prints the address"
            )
        if named:
            return named
        if self.folder is not None:
            return f"sqlite:///{self.folder.resolve()}/mlflow.db"
        raise InputError(
            "MLFLOW_TRACKING_URI is not set: open the tunnel with `keyless tunnel` and set it to "
            "the address that it prints"
        )

    def artifact_location(self) -> str | None:
        """Where runs of this model put their artifacts; None leaves it to the server."""
        if self.folder is not None and self.tracking_uri.startswith("sqlite:"):
            # MLflow's own default is a folder in the current one.
            return (self.folder.resolve() / "mlruns" / self.model).as_uri()
        if self.platform is None or self.platform.mlflow.artifact_access == "proxied":
            return None
        return f"{self.platform.mlflow.artifact_root}/{self.model}"


@dataclass
class Outcome:
    """A step's result: lines for people, values for machines, an exit code.

    The values are those of the step's model in `pipeline.tracking.results`.
    """

    lines: list[str]
    values: dict[str, Any]
    exit_code: int = 0
    warnings: list[str] = field(default_factory=list)


def open_workspace(
    platform: Path | None,
    local: Path | None,
    settings: Path | None,
    environ: Mapping[str, str],
    *,
    begin: bool = True,
) -> Workspace:
    """Read settings and platform. Raises InputError on the first that is wrong.

    Only who begins the work may name a folder `local` that is not there: the first thing that is
    stored makes it.
    """
    if platform and local:
        raise InputError("--platform and --local exclude each other: name one of the two")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
        value = environ.get(name, "")
        if value and not value.startswith(("https://", "http://")):
            raise InputError(f"{name} = {value!r} must begin with https://; on AWS leave it unset")
    file = settings_path(settings, environ)
    loaded = load_settings(file)
    if loaded.own_code:
        from pipeline.model.own import look_in

        look_in(file.parent, Path())
    if local is not None:
        if not begin and not local.is_dir():
            raise InputError(
                f"the folder {local} does not exist: `python -m pipeline.ingest --local {local}` "
                "begins one"
            )
        return Workspace(loaded, file, folder=local)
    return Workspace(loaded, file, platform=load_platform(platform, environ=environ))


_GOES_ON = "what it had stored is whole, and the same command goes on from there"
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


def step(
    function: Callable[..., Outcome], *, begins: bool = False, interrupted: str = _GOES_ON
) -> click.Command:
    """Turn `function(workspace, **options) -> Outcome` into the command of its step.

    `interrupted` is what somebody is told who ends it by Ctrl-C.
    """

    @functools.wraps(function)
    def command(
        platform: Path | None,
        local: Path | None,
        settings: Path | None,
        result: Path | None,
        **options: Any,
    ) -> None:
        started = time.perf_counter()
        use_region(os.environ)

        def run() -> Outcome:
            workspace = open_workspace(platform, local, settings, os.environ, begin=begins)
            return function(workspace, **options)

        with each_warning_once(), progress.shown():
            outcome = guarded(run, interrupted)
        seconds = round(time.perf_counter() - started, 3)
        reported = parse_result({**outcome.values, "seconds": seconds})
        if result is not None:
            write_json(result, reported.values())
        for line in outcome.lines:
            click.echo(line)
        for warning in outcome.warnings:
            click.echo(f"warning: {warning}", err=True)
        if outcome.exit_code:
            sys.exit(outcome.exit_code)

    path = click.Path(path_type=Path, dir_okay=False)
    folder = click.Path(path_type=Path, file_okay=False)
    decorated: Any = command
    for option in (
        click.option("--result", type=path, help="Write the result as JSON to this file."),
        click.option("--settings", type=path, help="Settings, else KEYLESS_SETTINGS."),
        click.option("--local", type=folder, help="Work in this folder, without AWS."),
        click.option("--platform", type=path, help="The contract, as `keyless outputs` writes."),
    ):
        decorated = option(decorated)
    return click.command()(decorated)


step_that_begins = functools.partial(step, begins=True)
step_that_is_not_repeated = functools.partial(
    step,
    interrupted="whether the champion had changed, `keyless models` tells; a second time would go "
    "back one champion more",
)


def use_region(environ: MutableMapping[str, str]) -> None:
    """Let boto3 see the region: it reads AWS_DEFAULT_REGION alone, other AWS tools AWS_REGION.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
    """
    if region := environ.get("AWS_REGION", "").strip():
        environ.setdefault("AWS_DEFAULT_REGION", region)


def guarded(run: Callable[[], Outcome], interrupted: str = _GOES_ON) -> Outcome:
    """Run a step. Expected errors and Ctrl-C end the process with a message and exit code."""
    try:
        return run()
    except KeyboardInterrupt:
        message, code = f"interrupted: {interrupted}", _INTERRUPTED
    except (InputError, StepFailed) as error:
        message, code = str(error), error.exit_code
    except Exception as error:
        foreseen = _foreseen(error)
        if foreseen is None or os.environ.get("KEYLESS_DEBUG"):
            raise
        message, code = foreseen, 1
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _foreseen(error: Exception) -> str | None:
    """One line for an error of AWS or MLflow; None for a bug in this program.

    Their modules are only looked at when already imported: importing MLflow takes seconds.
    """
    if _is_full(error):
        at = getattr(error, "filename2", None) or getattr(error, "filename", None)
        shown = f" for {at}" if at else ""
        return f"no space is left on the disk{shown}: free some, and run the step again"
    kinds = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    if "botocore" in kinds:
        if (own := of_local_cloud(error)) is not None:
            return f"the local cloud, not AWS, does not do this: {own}"
        return f"AWS refused or was not reached: {error}"
    if "mlflow" in kinds or "requests" in kinds:
        return f"MLflow refused or was not reached: {first_line(error)}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return None


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk or quota is behind an error, also of SQLite in MLflow's words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(error, sqlite3.Error) and "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file so that no reader ever sees half of it."""
    write_text(path, json.dumps(values, indent=2, sort_keys=True, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
