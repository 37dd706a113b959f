"""`keyless whoami`: assume a role as a job does, and see what it may do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    check_role,
    environment_option,
    json_option,
    known_roles,
    pass_project,
)

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.outputs import Platform
    from scripts.iam.engine import Policy
    from scripts.local_run.actors import Actors
    from scripts.localcloud.home import Cloud

LOG_SECONDS = 2.0
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}


@dataclass(frozen=True)
class Grant:
    """One statement of a role's policies, in words."""

    policy: str
    effect: str
    actions: str
    resources: str
    conditions: str


@dataclass(frozen=True)
class Probe:
    """A request that was sent as the role: whether AWS let it, and what decided."""

    what: str
    allowed: bool
    request_id: str
    decided_by: str = ""


@click.command("whoami")
@click.option(
    "--role",
    default="train",
    show_default=True,
    callback=check_role,
    shell_complete=known_roles,
    help="Role to assume.",
)
@json_option
@environment_option
@pass_project
def whoami(project: Project, role: str, as_json: bool, environment: str) -> None:
    """Assume a role with a GitHub token and show what it may do.

    \b
    keyless whoami                  the role of the training job
    keyless whoami --role apply     the role that changes the platform, after a review
    keyless whoami --role monitor   and any other: see `keyless outputs`

    Mints the token of the one job that may assume the role, exchanges it at STS, asks AWS who
    that is, lists the role's policies, and sends a few requests to see the answers, to AWS and,
    where the role may open a session to it, to MLflow. None of them changes anything.
    """
    from scripts.console import stdout_console
    from scripts.local_run.actors import Actors

    cloud = project.cloud()
    platform = project.local_platform(cloud, environment)
    actors = Actors(cloud, environment, project.root)
    credentials = actors.credentials(role)
    identity = actors.client(role, "sts").get_caller_identity()
    rights = list(grants(project.administrator(cloud, "iam"), actors, role))
    tried = decided([*probes(actors, role, platform, project.administrator(cloud, "s3"))], cloud)
    permission_set = mlflow_session(role)
    in_mlflow, not_judged = mlflow_probes(actors, role, platform)
    if as_json:
        document = {
            "arn": identity["Arn"],
            "rights": [asdict(grant) for grant in rights],
            "probes": [asdict(probe) for probe in tried],
            "mlflow_permission_set": permission_set,
            "mlflow_probes": [asdict(probe) for probe in in_mlflow],
            "mlflow_not_judged": not_judged,
        }
        click.echo(json.dumps(document, indent=2))
        return
    console = stdout_console()
    console.print(f"You are  {identity['Arn']}", style="bold", soft_wrap=True)
    job = actors.job(role)
    context = f"environment {job['environment']}" if "environment" in job else job["event_name"]
    console.print(f"by       a GitHub token of {job['repository']}, {context}")
    console.print(f"until    {credentials.expiration:%H:%M:%S} UTC\n")
    console.print(grants_table(rights))
    console.print()
    console.print(probes_table(tried))
    console.print()
    if permission_set is None:
        console.print("MLflow   no session to it, so nothing")
        return
    console.print(f"MLflow   in a session of permission set {permission_set}")
    if not_judged is not None:
        console.print(f"not judged: {not_judged}", soft_wrap=True)
        return
    console.print(probes_table(in_mlflow))


def mlflow_session(role: str) -> str | None:
    """The permission set of MLflow that a role may open a session to; None without one."""
    from scripts.names import job_role

    session = job_role(role).session
    return None if session == "database" else session


def mlflow_probes(actors: Actors, role: str, platform: Platform) -> tuple[list[Probe], str | None]:
    """Send requests to MLflow through the role's own session; none without one.

    The second value says why they were not judged, if MLflow did not answer.
    """
    from scripts.server.access import NotMlflow
    from scripts.server.access import probes as tried
    from scripts.server.sessions import open_session

    session = mlflow_session(role)
    if session is None:
        return [], None
    document, tags = platform.sessions.documents[session], platform.mlflow.instance_tags
    probing = partial(actors.client, role, probe=True)
    with open_session(probing, document, tags) as opened:
        try:
            found = [*tried(f"http://{opened.host}:{opened.port}")]
        except (OSError, NotMlflow) as failure:
            return [], f"MLflow does not answer behind the session: {failure}"
    return [Probe(one.what, one.allowed, "", one.refusal) for one in found], None


def grants(iam: Any, actors: Actors, role: str) -> Iterator[Grant]:
    """Read the role's policies as the administrator: inline, attached, and the boundary."""
    from scripts.iam.account.identities import read_identities

    found = read_identities(iam).members[actors.role_arn(role)]
    for policy in (*found.identity, *(found.boundary or ())):
        for statement in policy.statements:
            not_actions = statement.actions is None
            not_resources = statement.resources is None
            yield Grant(
                _place(policy),
                statement.effect,
                ("all but " if not_actions else "")
                + ", ".join(statement.actions or statement.not_actions or ()),
                ("all but " if not_resources else "")
                + "\n".join(map(short, statement.resources or statement.not_resources or ())),
                "\n".join(
                    f"{condition.key} {condition.operator} {', '.join(condition.values)}"
                    for condition in statement.conditions
                ),
            )


def _place(policy: Policy) -> str:
    name = policy.name.rpartition("/")[2]
    return f"{name} (the boundary: a limit)" if policy.kind == "boundary" else name


def short(arn: str) -> str:
    """Leave out what is the same in every ARN of the account."""
    parts = arn.split(":", 5)
    return arn if len(parts) < 6 else f"{parts[2]}: {parts[5]}"


def probes(actors: Actors, role: str, platform: Platform, s3: Any) -> Iterator[Probe]:
    """Send a few read-only requests as the role, and see which are allowed."""
    for what, service, call in requests(platform, s3):
        yield _probe(what, call, actors.client(role, service, probe=True))


def requests(platform: Platform, s3: Any) -> Iterator[tuple[str, str, Callable[[Any], Any]]]:
    """List the requests: what it is, the service, and the call on that service's client."""
    bucket = platform.artifact_store.bucket
    for name in ("raw", "train", "holdout", "models", "predictions"):
        prefix = getattr(platform.artifact_store.prefixes, name)
        # A key that exists: S3 answers 403 for a missing one to whoever may not list.
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        if keys := [found["Key"] for found in listed.get("Contents", ())]:
            yield f"read {keys[0]}", "s3", partial(_head, bucket, keys[0])
    secret = platform.database.master_secret_arn
    document = platform.sessions.documents["train"]
    yield (
        "read the platform's parameter",
        "ssm",
        lambda client: client.get_parameter(Name=platform.parameters.platform),
    )
    yield (
        "read the database's master password",
        "secretsmanager",
        lambda client: client.get_secret_value(SecretId=secret),
    )
    yield "find the server's instance", "ec2", lambda client: client.describe_instances()
    yield "list the account's roles", "iam", lambda client: client.list_roles()
    yield (
        f"read the session document {document}",
        "ssm",
        lambda client: client.get_document(Name=document),
    )


def _head(bucket: str, key: str, client: Any) -> Any:
    return client.head_object(Bucket=bucket, Key=key)


def _probe(what: str, call: Callable[[Any], Any], client: Any) -> Probe:
    from botocore.exceptions import ClientError

    try:
        answer = call(client)
    except ClientError as failure:
        # Another error than a denial came from behind the decision to allow.
        allowed = failure.response["Error"]["Code"] not in DENIED
        return Probe(what, allowed, _request_id(failure.response))
    return Probe(what, True, _request_id(answer))


def _request_id(answer: Mapping[str, Any]) -> str:
    """Take the gateway's id: the service behind it may have put one of its own before it."""
    metadata = answer["ResponseMetadata"]
    known = metadata.get("HTTPHeaders", {}).get("x-amzn-requestid") or metadata.get("RequestId", "")
    return str(known).rpartition(", ")[2]


def decided(found: list[Probe], cloud: Cloud) -> list[Probe]:
    """Add which statement decided each probe, from the decision log, written a moment later."""
    wanted = {probe.request_id for probe in found}
    deadline = time.monotonic() + LOG_SECONDS
    reasons: dict[str, str] = {}
    while time.monotonic() < deadline and not wanted <= reasons.keys():
        reasons = dict(_reasons(cloud, wanted))
        time.sleep(0.05)
    return [
        Probe(probe.what, probe.allowed, probe.request_id, reasons.get(probe.request_id, ""))
        for probe in found
    ]


def _reasons(cloud: Cloud, wanted: set[str]) -> Iterator[tuple[str, str]]:
    from scripts.iam.account.decision_log import read_log

    denied: set[str] = set()
    for record in read_log(cloud.decisions):
        if record.request_id not in wanted or record.request_id in denied:
            continue
        if not record.allowed:
            # Of the permissions that one request needs, the denied one decides.
            denied.add(record.request_id)
        place = " ".join(filter(None, (record.policy, record.statement)))
        reason = place if record.allowed else f"{record.reason}: {record.action}"
        yield record.request_id, reason


def grants_table(found: list[Grant]) -> Table:
    """Lay out the statements of a role's policies."""
    from rich.text import Text

    table = _table("effect", "actions", "resources", "conditions", "policy")
    for grant in found:
        style = "green" if grant.effect == "Allow" else "red"
        table.add_row(
            Text(grant.effect, style=style),
            Text(grant.actions),
            Text(grant.resources),
            Text(grant.conditions, style="dim"),
            Text(grant.policy, style="dim"),
        )
    return table


def probes_table(found: list[Probe]) -> Table:
    """Lay out what was tried."""
    from rich.text import Text

    table = _table("answer", "tried", "decided by")
    for probe in found:
        answer = Text("allow", style="green") if probe.allowed else Text("deny", style="red")
        table.add_row(answer, Text(probe.what), Text(probe.decided_by, style="dim"))
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
