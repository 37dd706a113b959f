"""Attempts that must fail: what a stolen token or a compromised step would try first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.aws.web_identity import AssumeRoleDenied
from scripts.console import UserError
from scripts.local_run.actors import Actors


@dataclass(frozen=True)
class Attempt:
    """Who tried what, and how AWS refused it."""

    who: str
    what: str
    refusal: str


class Breach(UserError):
    """Something that must be refused was allowed."""


def try_forbidden(
    actors: Actors, platform: Mapping[str, Any], tell: Callable[[str], None] = lambda _: None
) -> list[Attempt]:
    """Make every attempt with the real credentials of its role. Raises Breach if one works."""
    done = []
    for who, what, call in _attempts(actors, platform):
        tell(f"{who}: {what}")
        refusal = _refusal(call)
        if refusal is None:
            raise Breach(
                f"{who} could {what}",
                why="the local cloud allowed a request that the platform must refuse",
                fix="keyless doctor; then read .keyless/decisions.jsonl from its end",
            )
        done.append(Attempt(who, what, refusal))
    return done


def _refusal(call: Callable[[], object]) -> str | None:
    from botocore.exceptions import ClientError

    try:
        call()
    except AssumeRoleDenied as denied:
        return denied.code
    except ClientError as denied:
        code = str(denied.response["Error"]["Code"])
        # Anything but a refusal (no such key, say) means that the request was let through.
        return code if code in ("AccessDenied", "AccessDeniedException", "403") else None
    return None


def _attempts(
    actors: Actors, platform: Mapping[str, Any]
) -> list[tuple[str, str, Callable[[], object]]]:
    store = platform["artifact_store"]
    bucket, prefixes = store["bucket"], store["prefixes"]
    champion = platform["parameters"]["champion_prefix"] + "forged"
    target = _instance(actors, platform)

    def session(role: str, **arguments: Any) -> Callable[[], object]:
        return lambda: actors.client(role, "ssm", probe=True).start_session(
            Target=target, **arguments
        )

    def assume(role: str, **claims: Any) -> Callable[[], object]:
        job = actors.job(role) | claims
        return lambda: actors.assume(
            actors.role_arn(role), job, session_name="stranger", probe=True
        )

    return [
        (
            "train",
            "read the holdout",
            lambda: actors.client("train", "s3", probe=True).list_objects_v2(
                Bucket=bucket, Prefix=prefixes["holdout"]
            ),
        ),
        (
            "train",
            "name a champion",
            lambda: actors.client("train", "ssm", probe=True).put_parameter(
                Name=champion, Value="{}", Type="String"
            ),
        ),
        (
            "predict",
            "delete a model",
            lambda: actors.client("predict", "s3", probe=True).delete_object(
                Bucket=bucket, Key=prefixes["models"] + "any"
            ),
        ),
        ("train", "open a shell on the server", session("train")),
        (
            "train",
            "forward another port through a stock document",
            session(
                "train",
                DocumentName="AWS-StartPortForwardingSession",
                Parameters={"portNumber": ["22"], "localPortNumber": ["2222"]},
            ),
        ),
        (
            "train",
            "open MLflow's port for promotions",
            session("train", DocumentName=platform["sessions"]["documents"]["promote"]),
        ),
        (
            "monitor",
            "read the database's master password",
            lambda: actors.client("monitor", "secretsmanager", probe=True).get_secret_value(
                SecretId=platform["database"]["master_secret_arn"]
            ),
        ),
        (
            "a pull request",
            "assume the apply role",
            assume("apply", event_name="pull_request", ref="refs/pull/7/merge", environment=None),
        ),
        ("a side branch", "assume the promote role", assume("promote", ref="refs/heads/side")),
        (
            "a stranger who registered the repository's old name",
            "assume the train role",
            assume("train", repository_id="9999", repository_owner_id="9998"),
        ),
    ]


def _instance(actors: Actors, platform: Mapping[str, Any]) -> str:
    tags = platform["mlflow"]["instance_tags"]
    answer = actors.client("train", "ec2", probe=True).describe_instances(
        Filters=[
            *({"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()),
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
    )
    instances = [found for group in answer["Reservations"] for found in group["Instances"]]
    if not instances:
        raise UserError(
            "no MLflow instance is running",
            why=f"no running instance carries {dict(tags)}",
            fix="keyless up",
        )
    return str(instances[0]["InstanceId"])
