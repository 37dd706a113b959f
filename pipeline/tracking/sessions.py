"""Who opened a session to which of MLflow's permission sets, by CloudTrail's event history."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.step import Workspace
from pipeline.tracking.record import Change

# A session may have been opened long before it was used; no role's own session lasts longer.
_BEFORE = timedelta(hours=12)


@dataclass(frozen=True)
class Opened:
    """One session: when it was opened, to which permission set, and by whom."""

    at: str
    permission_set: str
    by: str
    session: str

    def __str__(self) -> str:
        return f"a session to {self.permission_set} was opened at {self.at} by {self.by}"


def opened(workspace: Workspace, changes: Iterable[Change]) -> list[Opened]:
    """Sessions to the sets by which something was changed, from twelve hours before the change on.

    CloudTrail keeps events for 90 days and shows one some minutes late. Raises botocore's
    ClientError where it may not be asked or does not answer.
    """
    times: dict[str, list[datetime]] = {}
    for one in changes:
        times.setdefault(one.permission_set, []).append(datetime.fromisoformat(one.at))
    if not times or workspace.platform is None:
        return []
    every = [at for listed in times.values() for at in listed]
    sets = {name: one for one, name in workspace.platform.sessions.documents.items()}
    found = (
        workspace.session.client("cloudtrail")
        .get_paginator("lookup_events")
        .paginate(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StartSession"}],
            StartTime=min(every) - _BEFORE,
            EndTime=max(every),
        )
    )
    events = (json.loads(event["CloudTrailEvent"]) for page in found for event in page["Events"])
    return sorted(_of(events, sets, times), key=lambda one: one.at)


def _of(
    events: Iterable[Mapping[str, Any]],
    sets: Mapping[str, str],
    times: Mapping[str, list[datetime]],
) -> Iterator[Opened]:
    for event in events:
        asked = event.get("requestParameters") or {}
        name = sets.get(asked.get("documentName", ""), "")
        # A refused one has no answer, and opened nothing.
        session = (event.get("responseElements") or {}).get("sessionId")
        at = datetime.fromisoformat(event["eventTime"]).astimezone(UTC)
        near = any(at <= change <= at + _BEFORE for change in times.get(name, ()))
        if session and near:
            who = event.get("userIdentity", {})
            by = (
                who.get("arn") or who.get("principalId") or "somebody that CloudTrail does not name"
            )
            yield Opened(at.isoformat(timespec="seconds"), name, by, session)
