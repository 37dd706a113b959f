"""`keyless explain-denial --message` and `--aws`: denials as AWS reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.commands import Project
from scripts.commands._denial_rest import EVENTS, HOURS, need_one, print_rest

if TYPE_CHECKING:
    from scripts.iam.account.identities import Identities
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.reading.messages import Read, Refusal

GLOBAL_REGION = "us-east-1"
"""Where CloudTrail keeps the events of IAM and other global services."""
Clients = Callable[..., Any]


def explain_reported(
    project: Project, text: str | None, environment: str, *, aws: bool
) -> list[Denial]:
    """Explain what a message holds, or, without one, what CloudTrail does.

    Raises UserError (exit code 2) if there is no denial in it that names its caller and action.
    """
    from scripts.commands._denial_given import explained, renamed
    from scripts.iam.account.identities import read_identities
    from scripts.iam.account.resource_policies import ResourcePolicies
    from scripts.iam.denial.given import Given
    from scripts.iam.denial.reading.messages import MASK, read
    from scripts.iam.denial.reported import explain_refusal, moved

    clients, account = _clients(project, aws=aws)
    found = read(text) if text is not None else _trail(clients, environment)
    found = _decoded(found, clients if aws else None)
    need_one(found, trail=text is None)
    members = read_identities(clients("iam"))
    policies = ResourcePolicies(clients, regional=aws)
    denials = []
    for refusal in found.refusals:
        theirs, here = refusal.account, moved(refusal, account)
        hides = MASK in (theirs, *(refusal.resource or "").split(":")[4:5])
        elsewhere = bool(theirs) and theirs not in (MASK, account)
        if elsewhere and (aws or not _is_ours(refusal, here, members)):
            note = f"the message is of account {theirs}, and " + (
                f"these credentials are account {account}'s: --aws wants some of account {theirs}"
                if aws else f"the local cloud is account {account}"
            )  # fmt: skip
            denial = explained(refusal, Given())
            denials.append(replace(denial, notes=(note, *denial.notes)))
            continue
        denial = explain_refusal(here, members, policies)
        notes = list(denial.notes)
        if hides and here != refusal:
            notes.append(f"the message hides the account: it is taken for {account}")
        if not aws:
            notes.append("by the policies of the local cloud; --aws reads the account's own")
        unknown = policies.unknown(denial.record.resource)
        said = any(unknown in note or "was not looked at" in note for note in notes)
        if unknown and not said:
            notes.append(f"what the policy of {denial.record.resource} says is not judged: "
                         f"{unknown}")  # fmt: skip
        denial = replace(denial, notes=tuple(notes))
        if elsewhere:
            note = (f"the local cloud is account {account}: its policies for what has these names "
                    f"are taken for those of account {theirs}")  # fmt: skip
            denial = renamed(denial, account, theirs)
            denial = replace(denial, notes=(note, *denial.notes))
        denials.append(denial)
    print_rest(found)
    return denials


def _is_ours(refusal: Refusal, here: Refusal, members: Identities) -> bool:
    """Whether what the same code rendered in another account can stand for what is there."""
    of_resource = (refusal.arn or "").split(":", 5)[4:5]
    if of_resource not in ([], [""], [refusal.account]):
        return False
    if here.role:
        return members.role(here.role) is not None
    return here.principal in members.members


def _clients(project: Project, *, aws: bool) -> tuple[Clients, str]:
    """Clients by service (and region), and the account that they ask."""
    if not aws:
        cloud = project.cloud()
        return lambda service: project.administrator(cloud, service), cloud.account_id
    import boto3

    from scripts.account.environment import callers_account

    account = callers_account(project.home)
    session = boto3.Session(region_name=account.region)
    return lambda service, **more: session.client(service, **more), account.id


def _trail(clients: Clients, environment: str) -> Read:
    from scripts.account.environment import callers_region
    from scripts.iam.denial.trail import from_trail
    from scripts.names import prefix

    since = datetime.now(UTC) - timedelta(hours=HOURS)
    regions = dict.fromkeys([callers_region(), GLOBAL_REGION])
    events = [
        event
        for region in regions
        for event in _events(clients("cloudtrail", region_name=region), since)
    ]
    return from_trail(events, f"{prefix(environment)}-")


def _events(trail: Any, since: datetime) -> Iterator[str]:
    pages = trail.get_paginator("lookup_events").paginate(
        StartTime=since, PaginationConfig={"MaxItems": EVENTS, "PageSize": 50}
    )
    for page in pages:
        for event in page["Events"]:
            yield event["CloudTrailEvent"]


def _decoded(found: Read, clients: Clients | None) -> Read:
    """What only AWS can decode, decoded by it where it may be asked."""
    from botocore.exceptions import ClientError

    from scripts.iam.denial.reading.messages import read

    if clients is None:
        return found
    refusals, left = list(found.refusals), []
    for encoded in found.encoded:
        try:
            answer = clients("sts").decode_authorization_message(EncodedMessage=encoded)
        except ClientError:
            left.append(encoded)
        else:
            refusals += read(answer["DecodedMessage"]).refusals
    return replace(found, refusals=tuple(refusals), encoded=tuple(left))
