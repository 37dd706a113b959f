"""What services refuse to whoever hands them a role that does not trust them, or a role or profile
that has not arrived there yet.

The latter only in the mode of eventual consistency (`emulator.consistency`). Terraform's provider
knows these errors and tries again.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import Principal, Request, evaluate_trust
from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends, parsed
from scripts.localcloud.emulator.consistency import Consistency

Check = Callable[[Reading], None]
_PROFILE = (
    "Value ({name}) for parameter iamInstanceProfile.name is invalid. "
    "Invalid IAM Instance Profile name"
)


class Handed(NamedTuple):
    """Where a call names the role, who acts with it, and the service's error."""

    path: tuple[str, ...]
    service: str
    code: str
    message: str

    def role(self, parameters: Mapping[str, Any]) -> str | None:
        """The ARN of the role, if the call names one."""
        found: Any = parameters
        for name in self.path:
            found = (found or {}).get(name)
        return found or None


_FLOW_LOGS = Handed(
    ("DeliverLogsPermissionArn",), "vpc-flow-logs.amazonaws.com", "InvalidParameter",
    "Unable to assume given IAM role",
)  # fmt: skip
_MONITORING = Handed(
    ("MonitoringRoleArn",), "monitoring.rds.amazonaws.com", "InvalidParameterValue",
    "IAM role ARN value is invalid or does not include the required permissions for: "
    "ENHANCED_MONITORING",
)  # fmt: skip
_SCHEDULE = Handed(
    ("Target", "RoleArn"), "scheduler.amazonaws.com", "ValidationException",
    "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
)  # fmt: skip
_RULE = Handed(
    ("RoleArn",), "events.amazonaws.com", "ValidationException",
    "Provided role cannot be assumed by principal 'events.amazonaws.com'.",
)  # fmt: skip
_TRAIL = Handed(
    ("CloudWatchLogsRoleArn",), "cloudtrail.amazonaws.com", "InvalidCloudWatchLogsRoleArnException",
    "Access denied. Check the trust relationships for your role.",
)  # fmt: skip
_HANDED: Mapping[tuple[str, str], Handed] = {
    ("cloudtrail", "CreateTrail"): _TRAIL,
    ("cloudtrail", "UpdateTrail"): _TRAIL,
    ("ec2", "CreateFlowLogs"): _FLOW_LOGS,
    ("events", "PutRule"): _RULE,
    ("rds", "CreateDBInstance"): _MONITORING,
    ("rds", "ModifyDBInstance"): _MONITORING,
    ("scheduler", "CreateSchedule"): _SCHEDULE,
    ("scheduler", "UpdateSchedule"): _SCHEDULE,
}
# What a service says of what it acts for; what it then is was not found out.
_UNTOLD = frozenset({"aws:sourcearn"})
# Policies of resources, which name principals; each service's error.
_POLICIES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("secretsmanager", "PutResourcePolicy"): (
        "MalformedPolicyDocumentException",
        "This resource policy contains an unsupported principal.",
    ),
    ("sns", "CreateTopic"): ("InvalidParameter", "Invalid parameter: Policy Error: null"),
    ("sns", "SetTopicAttributes"): ("InvalidParameter", "Invalid parameter: Policy Error: null"),
    ("kms", "CreateKey"): (
        "MalformedPolicyDocumentException",
        "Policy contains a statement with one or more invalid principals.",
    ),
    ("kms", "PutKeyPolicy"): (
        "MalformedPolicyDocumentException",
        "Policy contains a statement with one or more invalid principals.",
    ),
    ("s3", "PutBucketPolicy"): ("MalformedPolicy", "Invalid principal in policy"),
}


def checks(consistency: Consistency, backends: Backends) -> dict[tuple[str, str], Check]:
    """The checks by service and operation; none where everything counts at once."""
    if consistency.lags is None:
        return {}
    found: dict[tuple[str, str], Check] = {
        place: partial(_role_arrived, consistency, backends, handed)
        for place, handed in _HANDED.items()
    }
    found |= {
        place: partial(_principals_arrived, consistency, backends, *rule)
        for place, rule in _POLICIES.items()
    }
    found["ec2", "RunInstances"] = partial(_instance, consistency)
    for operation in ("CreateAutoScalingGroup", "UpdateAutoScalingGroup"):
        found["autoscaling", operation] = partial(_group, consistency, backends)
    return found


def _role_arrived(
    consistency: Consistency, backends: Backends, handed: Handed, reading: Reading
) -> None:
    arn = handed.role(reading.parameters)
    for role in list(backends("iam").roles.values()):
        own = {
            ("role", role.id),
            ("trust", role.id),
            *(("inline", role.id, name) for name in role.policies),
        }
        if role.arn == arn and not all(map(consistency.settled, own)):
            raise AwsError(handed.code, handed.message)


def _principals_arrived(
    consistency: Consistency, backends: Backends, code: str, message: str, reading: Reading
) -> None:
    given = reading.parameters
    policies = (given.get(name) for name in ("Policy", "ResourcePolicy", "AttributeValue"))
    document = " ".join((*map(str, policies), str((given.get("Attributes") or {}).get("Policy"))))
    for role in list(backends("iam").roles.values()):
        if not consistency.settled(("role", role.id)) and f'"{role.arn}"' in document:
            raise AwsError(code, message)


def _profile_arrived(
    consistency: Consistency, data: Mapping[str, Any], code: str, prefix: str = ""
) -> None:
    profile = data.get("IamInstanceProfile") or {}
    name = str(profile.get("Name") or profile.get("Arn") or "").rpartition("/")[2]
    if name and not consistency.settled(("profile", name)):
        raise AwsError(code, prefix + _PROFILE.format(name=name))


def _instance(consistency: Consistency, reading: Reading) -> None:
    _profile_arrived(consistency, reading.parameters, "InvalidParameterValue")


def _group(consistency: Consistency, backends: Backends, reading: Reading) -> None:
    template = reading.parameters.get("LaunchTemplate") or {}
    ec2 = backends("ec2", reading.request.region)
    name = template.get("LaunchTemplateId") or template.get("LaunchTemplateName") or ""
    found = ec2.launch_templates.get(ec2.launch_template_name_to_ids.get(name, name))
    for version in found.versions if found else ():
        _profile_arrived(
            consistency,
            version.data,
            "ValidationError",
            "You must use a valid fully-formed launch template. ",
        )


def trusted(reading: Reading, backends: Backends) -> None:
    """Refuse a role that is not there, or whose trust policy leaves the service out."""
    handed = _HANDED[reading.request.service, reading.operation]
    arn = handed.role(reading.parameters)
    if arn is None:
        return
    iam = backends("iam")
    role = next((one for one in list(iam.roles.values()) if one.arn == arn), None)
    if role is None or not _trusts(role, handed.service, iam.account_id):
        raise AwsError(handed.code, handed.message)


def _trusts(role: Any, service: str, account: str) -> bool:
    principal = Principal(arn=service, account="", kind="service", service=service)
    context = {"aws:SourceAccount": (account,)}
    asked = Request(principal, "sts:AssumeRole", role.arn, context, account, _UNTOLD)
    try:
        trust = parsed(role.assume_role_policy_document, role.name, "trust")
        return evaluate_trust(asked, trust).allowed
    except Unsupported:
        return True
