"""`keyless explain-denial --message` and `--aws`: denials as AWS reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.commands import Project

if TYPE_CHECKING:
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.reading.messages import Read

HOURS = 24
EVENTS = 2000
"""CloudTrail hands out 50 events a request, two requests a second."""
GLOBAL_REGION = "us-east-1"
"""Where CloudTrail keeps the events of IAM and other global services."""
Clients = Callable[..., Any]


def explain_reported(
    project: Project, text: str | None, environment: str, *, aws: bool
) -> list[Denial]:
    """Explain what a message holds, or, without one, what CloudTrail does.

    Raises UserError (exit code 2) if there is no denial in it that names its caller and action.
    """
    from scripts.iam.account.identities import read_identities
    from scripts.iam.account.resource_policies import ResourcePolicies
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
        here = moved(refusal, account)
        denial = explain_refusal(here, members, policies)
        notes = list(denial.notes)
        if MASK in (refusal.account, *(refusal.resource or "").split(":")[4:5]) and here != refusal:
            notes.append(f"the message hides the account: it is taken for {account}")
        if not aws:
            notes.append("by the policies of the local cloud; --aws reads the account's own")
        unknown = policies.unknown(denial.record.resource)
        said = any(unknown in note or "was not looked at" in note for note in notes)
        if unknown and not said:
            notes.append(f"what the policy of {denial.record.resource} says is not judged: "
                         f"{unknown}")  # fmt: skip
        denials.append(replace(denial, notes=tuple(notes)))
    print_rest(found)
    return denials


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
    from scripts.iam.denial.reading.trail import from_trail
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


def need_one(found: Read, *, trail: bool) -> None:
    """Raise UserError, with what the message does tell, where nothing in it can be judged."""
    from scripts.console import UserError
    from scripts.iam.denial.reading import elsewhere
    from scripts.iam.denial.reading.callerless import cause, of_no_action
    from scripts.iam.denial.reading.unnamed import is_judged_by_the_caller
    from scripts.iam.denial.reported import decided_elsewhere

    if found.refusals:
        return
    if found.encoded:
        raise UserError(
            "The message is encoded, and only its account can decode it",
            fix="with --aws, as somebody with sts:DecodeAuthorizationMessage; or paste what "
            "aws sts decode-authorization-message --encoded-message ... prints",
            exit_code=2,
        )
    if others := {one: why for one in found.bare if (why := elsewhere.meaning(one))}:
        print_rest(replace(found, bare=tuple(one for one in found.bare if one not in others)))
        raise UserError(
            "No policy of IAM refused this", why="; ".join(dict.fromkeys(others.values())),
            exit_code=2,
        )  # fmt: skip
    if any("AssumeRoleWithWebIdentity" in one for one in found.bare):
        raise UserError(
            "STS says neither who asked nor which condition failed",
            why="a refused token never became a role",
            fix="for a job of GitHub's: keyless doctor --github, in the job or with its claims; "
            "for others compare the role's trust policy with the token's iss, aud and sub, or give "
            "it: --trust FILE",
            exit_code=2,
        )
    decided = dict.fromkeys(filter(None, map(decided_elsewhere, found.bare)))
    if decided:
        raise UserError("The denial names no caller", why="; ".join(decided), exit_code=2)
    if found.bare and (why := of_no_action(found.bare[0])):
        raise UserError("The denial names no action, so none can be judged", why=why, exit_code=2)
    if causes := [*filter(None, map(cause, found.bare))]:
        print_rest(replace(found, bare=tuple(one for one in found.bare if not cause(one))))
        if not any(cause(one) and is_judged_by_the_caller(one) for one in found.bare):
            raise UserError(
                "These are the service's own words, which no policy can be tried on",
                why="; ".join(dict.fromkeys(causes)), exit_code=2,
            )  # fmt: skip
        raise UserError(
            "The denial names no caller by its ARN, so no policy can be looked at",
            why="; ".join(dict.fromkeys(causes)),
            fix="--policy FILE gives the caller's own policies; --aws reads CloudTrail's event "
            "history, which names the caller, but of data (objects, messages, sign-in to a "
            "database) it has nothing",
            exit_code=2,
        )
    if found.bare:
        raise UserError(
            "The denial names no caller by a whole ARN, or no action, so nothing can be decided",
            why=found.bare[0],
            fix="if AWS refused it: keyless explain-denial --aws reads CloudTrail's event history, "
            "which knows both; requests for objects of S3, calls of functions and other data "
            "events are never in it: they are where a trail keeps them, if one does",
            exit_code=2,
        )
    if trail:
        raise UserError(
            f"CloudTrail has no denial of this environment's roles in the last {HOURS} hours",
            why=f"its events come up to 15 minutes late; at most {EVENTS} a region were read; "
            "objects of S3 are not among them",
            fix="keyless explain-denial --message -, with what the job printed",
            exit_code=2,
        )
    raise UserError(
        "There is no denial in the message",
        why='AWS writes "User: ... is not authorized to perform: ... on resource: ..."',
        fix="paste the lines around AccessDenied as they stand in the log",
        exit_code=2,
    )


def print_rest(found: Read) -> None:
    """Say what is left unexplained beside what is explained."""
    from scripts.console import stderr_console
    from scripts.iam.denial.reading.callerless import cause

    console = stderr_console()
    for words in found.bare:
        told = f" ({why})" if (why := cause(words)) else ""
        console.print(f"not explained: {words}{told}", markup=False, soft_wrap=True)
    for _ in found.encoded:
        console.print("not explained: an encoded message (--aws decodes it)", markup=False)
