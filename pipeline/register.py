"""Set the alias `challenger` on a run's registered version, so that it can be promoted."""

import click

from pipeline.errors import InputError
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import runs
from pipeline.tracking.register import CHALLENGER


@step
@click.option("--run-id", required=True, help="The finished training run.")
def main(workspace: Workspace, *, run_id: str) -> Outcome:
    """Set the alias `challenger` on a run's version, so that it can be promoted."""
    client = runs.connect(workspace)
    version = runs.registered_version(client, workspace.model, run_id)
    if version is None:
        raise InputError(f"run {run_id} registered no version of {workspace.model}: run train")
    client.set_registered_model_alias(workspace.model, CHALLENGER, version.version)
    return Outcome(
        lines=[f"version {version.version} of {workspace.model} is the challenger"],
        values={
            "step": "register",
            "model": workspace.model,
            "model_version": str(version.version),
            "run_id": run_id,
        },
    )


if __name__ == "__main__":
    main()
