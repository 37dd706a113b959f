"""Restore the previous champion, and record the rollback."""

import json
import os
from datetime import UTC, datetime

import click

from pipeline.errors import InputError, StepFailed
from pipeline.model.champion import Champion, PinnedFile, change, read_pinned
from pipeline.step import Outcome, Workspace, step_that_is_not_repeated
from pipeline.tracking.decisions import barred, decision_document, decision_key, update_aliases


def rollback(workspace: Workspace, reason: str) -> Champion:
    """Make the champion before the current one the champion of record again.

    Its files are read and compared with their digests first. Rolling back twice goes back two
    champions, not to and fro. Raises InputError when there is no earlier champion, StepFailed
    when another change came first or its files are gone.
    """
    current, seen = workspace.records.read()
    if current is None:
        raise InputError(f"{workspace.model} has no champion: there is nothing to roll back")
    restored = _before(workspace, current)
    if restored is None:
        raise InputError(
            f"version {current.model_version} is the first champion of {workspace.model}: there is "
            "no earlier one"
        )
    for pin in restored.files.values():
        read_pinned(workspace.store, pin)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    champion = restored.model_copy(
        update={
            "sequence": current.sequence + 1,
            "previous": current.model_version,
            "changed_at": now,
            "decision": None,
        }
    )
    sentence = f"version {restored.model_version} restored: {reason}"
    document = decision_document(workspace, "rollback", sentence, champion, current)
    document["barred"] = barred(workspace, current) | {current.model_version: reason}
    document["barred"].pop(restored.model_version, None)
    document["restored"] = restored.decision.model_dump() if restored.decision else None
    key = decision_key(workspace, champion.sequence)
    content = json.dumps(document, indent=1, sort_keys=True).encode()
    changed = change(workspace.records, workspace.store, key, seen, champion, content)
    if changed is None:
        raise StepFailed("another change of champion came first: look at it, then roll back again")
    return changed


def _before(workspace: Workspace, current: Champion) -> Champion | None:
    """The champion that the current one replaced, through any rollbacks in between."""
    pin = current.decision
    while pin is not None:
        document = json.loads(read_pinned(workspace.store, pin))
        if document["kind"] != "rollback":
            before = document["before"]
            return Champion.model_validate(before) if before else None
        pin = PinnedFile.model_validate(document["restored"]) if document["restored"] else None
    return None


@step_that_is_not_repeated
@click.option("--reason", required=True, help="Why; it is kept with the decision.")
def main(workspace: Workspace, *, reason: str) -> Outcome:
    """Restore the previous champion of record."""
    champion = rollback(workspace, reason)
    if os.environ.get("MLFLOW_TRACKING_URI") or workspace.folder is not None:
        warnings = update_aliases(workspace, champion)
    else:
        warnings = ["MLFLOW_TRACKING_URI is not set: people's aliases still name the old one"]
    return Outcome(
        [
            f"version {champion.model_version} of {champion.model} is champion again, "
            f"version {champion.previous} is not, and is not promoted again unless promote "
            "gets --reinstate"
        ],
        {
            "step": "rollback",
            "model": champion.model,
            "champion_version": champion.model_version,
            "replaced_version": champion.previous,
            "sequence": champion.sequence,
            "reason": reason,
        },
        warnings=warnings,
    )


if __name__ == "__main__":
    main()
