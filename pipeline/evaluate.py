"""Score champion and challenger on the holdout and store the evaluation, without a decision."""

import json
from datetime import UTC, datetime

import click

from pipeline.data import dataset as data
from pipeline.evaluation.holdout import candidate, evaluate, find_version, log_metrics
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import runs
from pipeline.tracking.register import CHALLENGER


@step
@click.option("--challenger", default=CHALLENGER, show_default=True, help="Version or alias.")
def main(workspace: Workspace, *, challenger: str) -> Outcome:
    """Score champion and challenger on the holdout, and store the evaluation."""
    client = runs.connect(workspace)
    found = candidate(workspace, find_version(workspace, client, challenger))
    current, _ = workspace.records.read()
    evaluation = evaluate(workspace, found, current, data.load(workspace, "holdout"))
    document = evaluation.document() | {"evaluated_at": datetime.now(UTC).isoformat()}
    key = workspace.key("decisions", "evaluations", f"v{found.number}-{_stamp()}.json")
    workspace.store.put(key, json.dumps(document, indent=1).encode())
    log_metrics(client, evaluation)
    numbers = evaluation.comparison
    own = numbers.challenger
    value = str(own) if own else f"is not defined: {numbers.undefined}"
    return Outcome(
        lines=[
            f"version {found.number} of {workspace.model} on the holdout: {numbers.metric} {value}",
            f"stored as {workspace.store.uri(key)}",
        ],
        values={"step": "evaluate", "model": workspace.model, "evaluation_key": key} | document,
        warnings=evaluation.warnings,
    )


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


if __name__ == "__main__":
    main()
