"""The order of a workflow's jobs, and the combinations of a matrix."""

import itertools
from collections.abc import Mapping
from typing import Any

from tests.actions_runner.definitions import DefinitionError, Job, Workflow


def ordered(workflow: Workflow) -> list[Job]:
    """Jobs so that each comes after those it needs. Raises DefinitionError for a circle."""
    done: dict[str, Job] = {}
    waiting = dict(workflow.jobs)
    while waiting:
        ready = [job for job in waiting.values() if all(need in done for need in job.needs)]
        if not ready:
            raise DefinitionError(f"{workflow.file}: jobs need each other in a circle")
        for job in ready:
            done[job.id] = waiting.pop(job.id)
    return list(done.values())


def ancestors_of(workflow: Workflow, job: Job) -> set[str]:
    """Every job that a job waits for, directly or not."""
    found = set(job.needs)
    for name in job.needs:
        found |= ancestors_of(workflow, workflow.jobs[name])
    return found


def combinations(strategy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of a matrix; one empty one without a matrix."""
    matrix = strategy.get("matrix")
    if matrix is None:
        return [{}]
    if "include" in matrix or "exclude" in matrix:
        raise DefinitionError("the runner does not know include and exclude in a matrix")
    for name, values in matrix.items():
        if not isinstance(values, list) or not values:
            raise DefinitionError(f"the matrix's {name} is no list with something in it")
    return [
        dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())
    ]
