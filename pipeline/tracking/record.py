"""Changes in MLflow, from the server's log: see docs/mlflow-access.md."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.step import Workspace

MARK = "guard: "


@dataclass(frozen=True)
class Change:
    """One change: when, which operation on which objects, and by which permission set."""

    at: str
    operation: str
    permission_set: str
    objects: Mapping[str, Any]

    def __str__(self) -> str:
        words = (f"{name} {value}" for name, value in self.objects.items())
        return f"{self.operation} ({', '.join(words)})"


def changes(workspace: Workspace, version: str, run_id: str) -> list[Change]:
    """Changes of the model, of this version and of its run, in order of time.

    Empty without a platform. Raises botocore's ClientError: AccessDeniedException for a role that
    may not read the log, ResourceNotFoundException where the server ships none.
    """
    if workspace.platform is None:
        return []
    found = (
        workspace.session.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=f"/{workspace.platform.prefix}/mlflow",
            filterPattern=f'?"{workspace.model}" ?"{run_id}"',
        )
    )
    events = (event for page in found for event in page["events"])
    made = filter(None, map(_change, events))
    return sorted(
        (one for one in made if _concerns(one.objects, workspace.model, version, run_id)),
        key=lambda one: one.at,
    )


def _change(event: Mapping[str, Any]) -> Change | None:
    # Only at its start is it the server's: other lines may show what a client sent. What follows
    # with blanks in front, the agent takes for the same event.
    first = event["message"].partition("\n")[0]
    try:
        line = json.loads(first.removeprefix(MARK)) if first.startswith(MARK) else {}
    except ValueError:
        return None  # cut off
    if "change" not in line:
        return None
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return Change(at.isoformat(timespec="seconds"), line["change"], line["set"], line["object"])


def _concerns(objects: Mapping[str, Any], model: str, version: str, run_id: str) -> bool:
    if objects.get("run_id") == run_id:
        return True
    return objects.get("name") == model and objects.get("version", version) == version


def lines(found: list[Change]) -> Iterator[str]:
    """Lines for people: each change of the model, and those of the run counted by set."""
    of_run = [one for one in found if "name" not in one.objects]
    for name in dict.fromkeys(one.permission_set for one in of_run):
        times = [one.at for one in of_run if one.permission_set == name]
        when = f"{len(times)} changes of the run, {times[0]} to {times[-1]}"
        yield f"in MLflow, by {name}: {when if times[1:] else f'a change of the run, {times[0]}'}"
    for one in found:
        if one not in of_run:
            yield f"in MLflow, by {one.permission_set}: {one} at {one.at}"
