"""What differs between AWS accounts: looked at before an apply, and after one. Reads only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.findings import Finding
from scripts.names import prefix, server_tags
from scripts.stack.roots import variables_file
from scripts.stack.tfvars import literals

SCALING_ROLE = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
GRANT = (
    "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext "
    "DescribeKey CreateGrant"
)
# Service Quotas' codes; `aws service-quotas list-service-quotas --service-code vpc` lists them.
VPCS, VCPUS, DATABASES = "L-F678F1CE", "L-1216C47A", "L-7B6409FD"
_STANDARD = re.compile(r"(?:[acmrtz]|d|h|i|im|is)[0-9]")  # high memory, Mac, GPUs have others
NOT_YET = "not there yet; look again after the apply"


@dataclass(frozen=True)
class Subject:
    """An environment in an account: who is asked, and what its variables say."""

    clients: Callable[[str], Any]
    account: str
    environment: str
    instance_type: str
    instance_class: str
    engine_version: str

    @property
    def prefix(self) -> str:
        """What the name of everything in the environment begins with."""
        return prefix(self.environment)


def subject(clients: Callable[[str], Any], account: str, root: Path, environment: str) -> Subject:
    """Read what matters here of the environment's tfvars, and the defaults of the root's variables.

    Raises UserError (exit code 2) for an environment that has none.
    """
    given = literals(variables_file(root, environment).read_text())
    defaults = (root / "variables.tf").read_text()

    def value(variable: str, name: str) -> str:
        if (variable, name) in given:
            return given[variable, name]
        block = defaults.partition(f'variable "{variable}" {{')[2].partition("\nvariable ")[0]
        found = re.search(rf'\b{name}\s*=\s*optional\(string, "([^"]+)"\)', block)
        return found[1] if found else ""

    return Subject(
        clients,
        account,
        environment,
        value("server", "instance_type"),
        value("database", "instance_class"),
        value("database", "engine_version"),
    )


def examine(found: Subject) -> list[Finding]:
    """Run every check; one that may not look says so, and judges nothing."""
    from botocore.exceptions import BotoCoreError, ClientError

    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            findings += check(found)
        except ClientError as refusal:
            code, operation = refusal.response["Error"]["Code"], refusal.operation_name
            findings.append(Finding(name, "notice", f"not judged: {operation} answered {code}"))
        except BotoCoreError as failure:
            findings.append(Finding(name, "notice", f"not judged: {failure}"))
    return findings


def default_volume_key(found: Subject) -> Iterator[Finding]:
    """A customer's key as the account's default for EBS, which Auto Scaling may not use."""
    name = "EBS default key"
    key = found.clients("ec2").get_ebs_default_kms_key_id()["KmsKeyId"]
    if key.endswith("alias/aws/ebs"):
        yield Finding(name, "ok", "AWS's own")
        return
    grantee = f"arn:aws:iam::{found.account}:role/{SCALING_ROLE}"
    pages = found.clients("kms").get_paginator("list_grants").paginate(KeyId=key)
    grants = [grant for page in pages for grant in page["Grants"]]
    if any(grant.get("GranteePrincipal") == grantee for grant in grants):
        yield Finding(name, "ok", f"{key}, with a grant for Auto Scaling")
        return
    yield Finding(
        name,
        "notice",
        f"{key} is a customer's; unless its policy lets Auto Scaling use it, no instance starts",
        f"aws kms create-grant --key-id {key} --grantee-principal {grantee} --operations {GRANT}",
    )


def classes_by_zone(found: Subject) -> Iterator[Finding]:
    """Two zones that offer both the server's type and the database's class."""
    name = "Zones"
    ec2 = found.clients("ec2")
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [found.instance_type]}],
    )
    servers = {one["Location"] for page in pages for one in page["InstanceTypeOfferings"]}
    options = found.clients("rds").get_paginator("describe_orderable_db_instance_options")
    pages = options.paginate(Engine="postgres", DBInstanceClass=found.instance_class)
    databases = {
        zone["Name"]
        for page in pages
        for option in page["OrderableDBInstanceOptions"]
        if re.match(rf"{re.escape(found.engine_version)}(\.|$)", option["EngineVersion"])
        for zone in option["AvailabilityZones"]
    }
    both = sorted(servers & databases)
    wanted = f"{found.instance_type} and {found.instance_class}"
    if len(both) >= 2:
        yield Finding(name, "ok", f"{wanted} in {', '.join(both)}")
        return
    yield Finding(
        name,
        "missing",
        f"{wanted} (PostgreSQL {found.engine_version}) together in "
        f"{', '.join(both) or 'no zone'}; two are needed. Server: {', '.join(sorted(servers))}; "
        f"database: {', '.join(sorted(databases))}",
        f"other types in environments/{found.environment}.tfvars, or another region",
    )


def quotas(found: Subject) -> Iterator[Finding]:
    """Room for one more VPC and database, and for the server's processors."""
    client = found.clients("service-quotas")

    def limit(service: str, code: str) -> float:
        answer = client.get_service_quota(ServiceCode=service, QuotaCode=code)
        return float(answer["Quota"]["Value"])

    ec2 = found.clients("ec2")
    vpcs = [vpc for page in ec2.get_paginator("describe_vpcs").paginate() for vpc in page["Vpcs"]]
    ours = any(
        tag == {"Key": "Environment", "Value": found.environment}
        for vpc in vpcs
        for tag in vpc.get("Tags", ())
    )
    pages = found.clients("rds").get_paginator("describe_db_instances").paginate()
    databases = [one["DBInstanceIdentifier"] for page in pages for one in page["DBInstances"]]
    needs = (
        ("VPCs", "vpc", VPCS, len(vpcs) + (0 if ours else 1)),
        ("vCPUs of standard instances", "ec2", VCPUS, _processors(found)),
        ("databases", "rds", DATABASES, len({*databases, found.prefix})),
    )
    for what, service, code, needed in needs:
        allowed = limit(service, code)
        if allowed >= needed:
            yield Finding("Quota", "ok", f"{what}: {needed} of {allowed:.0f}")
        else:
            yield Finding(
                "Quota",
                "missing",
                f"{what}: {needed} needed, {allowed:.0f} allowed",
                f"aws service-quotas request-service-quota-increase --service-code {service} "
                f"--quota-code {code} --desired-value {needed}",
            )


def _processors(found: Subject) -> int:
    """The server's processors and those of all else that counts: standard types, on demand.

    https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
    """
    ec2 = found.clients("ec2")
    running = [found.instance_type]
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    ours = {"Key": "Environment", "Value": found.environment}, {"Key": "Role", "Value": "mlflow"}
    for page in ec2.get_paginator("describe_instances").paginate(Filters=states):
        for instance in (one for group in page["Reservations"] for one in group["Instances"]):
            if not _STANDARD.match(instance["InstanceType"]) or "InstanceLifecycle" in instance:
                continue
            if not all(tag in instance.get("Tags", ()) for tag in ours):
                running.append(instance["InstanceType"])
    types = ec2.describe_instance_types(InstanceTypes=sorted(set(running)))["InstanceTypes"]
    processors = {one["InstanceType"]: int(one["VCpuInfo"]["DefaultVCpus"]) for one in types}
    return sum(processors[one] for one in running)


def cost_tag(found: Subject) -> Iterator[Finding]:
    """A budget that counts by tag counts zero until the payer's account has activated it."""
    name = "Cost tag"
    answer = found.clients("ce").list_cost_allocation_tags(TagKeys=["Environment"])
    states = {one["TagKey"]: one["Status"] for one in answer["CostAllocationTags"]}
    if states.get("Environment") == "Active":
        yield Finding(name, "ok", "Environment is active")
        return
    yield Finding(
        name,
        "notice",
        "Environment is not active, so the budget counts nothing (a tag appears a day after its "
        "first use)",
        "in the payer's account: aws ce update-cost-allocation-tags-status "
        "--cost-allocation-tags-status TagKey=Environment,Status=Active",
    )


def account_plan(found: Subject) -> Iterator[Finding]:
    """AWS's free plan, which refuses what it does not include in the middle of an apply.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_freetier_GetAccountPlanState.html
    """
    from botocore.exceptions import ClientError

    name = "Account plan"
    try:
        plan = found.clients("freetier").get_account_plan_state()["accountPlanType"]
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        plan = "of before AWS's plans"
    if plan != "FREE":
        yield Finding(name, "ok", plan.lower())
        return
    yield Finding(
        name,
        "notice",
        f"free: AWS may refuse {found.instance_type}, {found.instance_class} or how long its "
        "backups are kept, in the middle of the apply",
        "aws freetier upgrade-account-plan --account-plan-type PAID",
    )


def flow_logs(found: Subject) -> Iterator[Finding]:
    """Whether AWS could deliver the flow logs; a missing right ends in silence."""
    name = "Flow logs"
    tag = {"Name": "tag:Environment", "Values": [found.environment]}
    logs = found.clients("ec2").describe_flow_logs(Filter=[tag])["FlowLogs"]
    if not logs:
        yield Finding(name, "ok", NOT_YET)
    for log in logs:
        status = log.get("DeliverLogsStatus")
        if status == "FAILED":
            why = log.get("DeliverLogsErrorMessage", "no reason is given")
            fix = f"compare the role {found.prefix}-flow-logs with the network module's, and apply"
            yield Finding(name, "missing", f"{log['FlowLogId']} is not delivered: {why}", fix)
        elif status is None:
            yield Finding(name, "notice", f"{log['FlowLogId']} has delivered nothing so far")
        else:
            yield Finding(name, "ok", f"{log['FlowLogId']} is delivered")


def alarm_actions(found: Subject) -> Iterator[Finding]:
    """Whether an alarm reaches somebody."""
    name = "Alarms"
    pages = (
        found.clients("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{found.prefix}-")
    )
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    if not alarms:
        yield Finding(name, "ok", NOT_YET)
        return
    mute = [one["AlarmName"] for one in alarms if not one["ActionsEnabled"]]
    if mute:
        yield Finding(
            name,
            "missing",
            f"the actions of {', '.join(mute)} are switched off",
            f"aws cloudwatch enable-alarm-actions --alarm-names {' '.join(mute)}",
        )
    topics = sorted({topic for alarm in alarms for topic in alarm["AlarmActions"]})
    confirmed = sum(_subscriptions(found.clients("sns"), topic) for topic in topics)
    if confirmed:
        yield Finding(name, "ok", f"{len(alarms)} alarms reach {confirmed} confirmed subscriptions")
    else:
        yield Finding(
            name,
            "notice",
            f"{len(alarms)} alarms reach nobody: no subscription is confirmed",
            "set observability.alert_emails and apply, then confirm the message that SNS sends",
        )
    ringing = [one["AlarmName"] for one in alarms if one["StateValue"] == "ALARM"]
    if ringing:
        yield Finding(name, "notice", f"on now: {', '.join(ringing)}")


def _subscriptions(sns: Any, topic: str) -> int:
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return sum(
        one["SubscriptionArn"].startswith("arn:") for page in pages for one in page["Subscriptions"]
    )


def agent(found: Subject) -> Iterator[Finding]:
    """Whether the server's SSM agent is connected, without which no tunnel opens."""
    name = "SSM agent"
    filters = [
        {"Name": f"tag:{key}", "Values": [value]}
        for key, value in server_tags(found.environment).items()
    ]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = found.clients("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    running = [
        one["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for one in reservation["Instances"]
    ]
    if not running:
        yield Finding(name, "ok", f"no instance runs in {found.prefix}-mlflow")
        return
    answer = found.clients("ssm").describe_instance_information(
        Filters=[{"Key": "InstanceIds", "Values": running}]
    )
    known = {one["InstanceId"]: one for one in answer["InstanceInformationList"]}
    for instance in running:
        state = known.get(instance, {}).get("PingStatus")
        if state == "Online":
            version = known[instance].get("AgentVersion", "of unknown version")
            yield Finding(name, "ok", f"{instance} is connected, agent {version}")
            continue
        yield Finding(
            name,
            "missing",
            f"{instance} is {state or 'not registered'}: its agent registers 30 to 90 s after the "
            "boot, if its role and its way to AWS let it",
            f"aws ec2 get-console-output --instance-id {instance} --latest --output text",
        )


CHECKS: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "EBS default key": default_volume_key,
    "Zones": classes_by_zone,
    "Quota": quotas,
    "Cost tag": cost_tag,
    "Account plan": account_plan,
    "Flow logs": flow_logs,
    "Alarms": alarm_actions,
    "SSM agent": agent,
}
