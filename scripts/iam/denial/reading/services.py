"""Denials in a service's own words: a role that it may not become, or that lacks a right."""

from __future__ import annotations

import re
from functools import lru_cache

from scripts.iam.denial.reading import elsewhere, own_words

_ROLE = r"['\"`]?(?P<role>arn:[\w-]+:iam::\S+?:role/[\w+=,.@/-]*[\w+=,@/-])['\"`]?"
# Who says so -> the words, with the role where they name it.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-service.html
_BECOMES = {
    "ecs-tasks.amazonaws.com": (rf"ECS was unable to assume the role {_ROLE}",),
    "codebuild.amazonaws.com": (
        rf"CodeBuild is not authorized to perform:? sts:AssumeRole on (?:service role|{_ROLE})",
    ),
    "codepipeline.amazonaws.com": (
        rf"CodePipeline is not authorized to perform AssumeRole on role {_ROLE}",
        rf"CodePipeline is not authorized to perform:? sts:AssumeRole on (?:role )?{_ROLE}",
    ),
    "eks.amazonaws.com": (
        rf"\[eks\.amazonaws\.com\] were not found in the trust relationships of \w+ {_ROLE}",
    ),
    "codedeploy.amazonaws.com": (r"CodeDeploy does not have the permissions required to assume",),
    "lambda.amazonaws.com": (r"role defined for the function cannot be assumed by Lambda",),
    "firehose.amazonaws.com": (rf"Firehose is unable to assume role {_ROLE}",),
    "sagemaker.amazonaws.com": (rf"Could not assume role {_ROLE}.{{0,80}}sagemaker",),
    "glue.amazonaws.com": (r"Service is unable to assume (?:provided )?role",),
    "states.amazonaws.com": (
        rf"Neither the global service principal states\.amazonaws\.com.*?{_ROLE}",
        r"Neither the global service principal states\.amazonaws\.com.*?assume the provided role",
    ),
    "events.amazonaws.com": (rf"EventBridge.{{0,40}} assume role {_ROLE}",),
    "scheduler.amazonaws.com": (
        r"execution role you provide must allow AWS EventBridge Scheduler to assume the role",
    ),
    "apigateway.amazonaws.com": (
        r"role ARN does not have required permissions set to API Gateway",
    ),
}
# Any other service that says so of itself.
_ANY = re.compile(
    r"(?:cannot|can't|can not|could not|couldn't|unable to|failed to|must be able to|must allow)"
    r".{0,80}?assume.{0,160}?(?<![\w.-])(?P<service>[a-z][\w-]*\.amazonaws\.com)"
    r"|(?<![\w.-])(?P<before>[a-z][\w-]*\.amazonaws\.com)['\"]? "
    r"(?:is not authorized to|cannot|can't|is unable to) assume"
)
_ARN = re.compile(r"arn:[\w-]+:iam::[^\s:]*:role/[\w+=,.@/-]*[\w+=,@/-]")
_BY_NAME = re.compile(
    r"(?P<service>[A-Z]?[a-z][\w ]{2,40}?) is not authorized to assume the "
    r"(?:service |provided )?role"
)
_LOGS = "logs:"
# What the log of a topic's deliveries is told as.
_DELIVERY = re.compile(r"SNS delivers from (?P<topic>arn:\S+) to (?P<to>.+?): ")
# What SNS delivers to, by its service -> what that needs.
# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
_DELIVERS = {
    "sqs": "the queue's policy has to allow sns.amazonaws.com sqs:SendMessage on {to}, with "
    "aws:SourceArn {topic}, if it has one",
    "lambda": "the function's own policy has to allow sns.amazonaws.com lambda:InvokeFunction on "
    "{to}, with aws:SourceArn {topic} (aws lambda add-permission)",
    "firehose": "the subscription's role (SubscriptionRoleArn) has to let in sns.amazonaws.com and "
    "to allow firehose:PutRecord and firehose:PutRecordBatch on {to}",
}
_KEY_OF_DELIVERY = (
    "SNS itself asks KMS for the key of {to} and was refused: that key's policy has to allow "
    "sns.amazonaws.com kms:GenerateDataKey* and kms:Decrypt (aws:SourceArn {topic}); AWS's own "
    "key aws/sqs lets SNS in by no policy, so the queue needs a key of the account's (or SQS's own "
    "encryption). The policies of whoever publishes change nothing"
)
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
_LOG_DELIVERY = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
    "ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip
_DESTINATION = re.compile(r"state machine IAM Role is not authorized to access the Log Destination")
_TAGGING = re.compile(
    r"not authorized to perform:? ['\"]?(?:[\w-]+:)?(?P<operation>Create\w+) with Tags",
    re.IGNORECASE,
)
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
_TO_CALL = re.compile(
    r"role does not have permissions? to (?:call|perform) (?P<operation>\w+) on (?P<service>\w+)"
)
# What an execution role needs together, by what Lambda is set up for.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
_TOGETHER = (
    ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    (
        "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ),
    ("kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords",
     "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:ListStreams"),
    ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
     "dynamodb:ListStreams"),
)  # fmt: skip
_OF_ROLE = re.compile(
    r"[Rr]ole\]? (?:has|have|does not have|doesn't have|lacks|needs)[\w ]* permissions? "
    r"(?:for|to) ['\"]?(?P<action>[\w-]+:[A-Z]\w+)"
)
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CrossAccountSubscriptions.html
_SUBSCRIPTION = re.compile(r"perform:? logs:PutSubscriptionFilter on resource:? \S+:destination:")
LOG_DESTINATION = (
    "a log destination lets in accounts by its access policy (aws logs put-destination-policy, "
    "logs:PutSubscriptionFilter for the caller's account), in the account whose it is"
)
# CloudFormation's words for a refusal of what it calls.
_STACK = re.compile(
    r"User doesn.t have permission to call [\w-]+:|\bAPI: [\w-]+:\w+ (?:Access Denied|You are n)"
    r"|\(Service: AmazonCloudFormation;"
)
OF_A_STACK = (
    "CloudFormation called it, as the stack's service role if it has one (aws cloudformation "
    "describe-stacks: RoleARN; of CDK cdk-hnb659fds-cfn-exec-role-ACCOUNT-REGION), and else as "
    "whoever called CloudFormation: the right is that one's"
)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html
_OF_PARAMETERS = (
    ". The parameter is one that the template names (AWS::SSM::Parameter::Value, {{resolve:ssm:"
    "...}}; of CDK /cdk-bootstrap/hnb659fds/version)"
)
SENTENCES = "|".join(
    re.sub(r"\(\?P<\w+>", "(?:", pattern)
    for pattern in (
        *(one for patterns in _BECOMES.values() for one in patterns),
        _DESTINATION.pattern,
        r"not authorized to perform:? ['\"]?(?:[\w-]+:)?Create\w+ with Tags",
        _TO_CALL.pattern,
        _OF_ROLE.pattern,
        _ANY.pattern,
        _BY_NAME.pattern,
        *own_words.WORDS,
        *elsewhere.WORDS,
    )
)


def of_service(words: str) -> tuple[str, str] | None:
    """A service and the role that it may not become, "" where the words name none; or None."""
    for service, patterns in _BECOMES.items():
        for pattern in patterns:
            if found := re.search(pattern, words):
                return service, found.groupdict().get("role") or ""
    found = None if own_words.meaning(words) else _ANY.search(words)
    if found is None:
        return None
    roles = set(_ARN.findall(words))
    return found["service"] or found["before"], roles.pop() if len(roles) == 1 else ""


def lacked(words: str) -> str:
    """The action that a service says its role may not, or ""."""
    found = _TO_CALL.search(words)
    if found is None:
        of_role = _OF_ROLE.search(words)
        return of_role["action"] if of_role else ""
    return f"{found['service'].lower()}:{found['operation']}"


def with_it(action: str) -> str:
    """Whose right it is that a service misses, and what belongs to it if that is known."""
    together = next((names for names in _TOGETHER if action in names), ())
    if not together:
        return (
            "it is the role that the words speak of (of a service the one that it was given, of "
            "Lambda the function's execution role), and policies of others change nothing"
        )
    return (
        "it is the function's execution role that lacks it, and no policy of who deploys; what "
        f"Lambda does there needs {', '.join(together)} together"
    )


def of_a_stack(words: str) -> str:
    """Whose right it is that CloudFormation missed; "" if it was not CloudFormation."""
    if not _STACK.search(words):
        return ""
    return OF_A_STACK + _OF_PARAMETERS * ("ssm:GetParameters" in words)


def delivery(topic: str, to: str) -> str:
    """What a denial in the log of a topic's deliveries begins with."""
    return f"SNS delivers from {topic} to {to}"


def _of_delivery(words: str) -> str | None:
    """What SNS's delivery lacks, by what it delivers to."""
    if not (found := _DELIVERY.search(words)):
        return None
    if "KMS" in words[found.end() :]:
        return _KEY_OF_DELIVERY.format_map(found.groupdict())
    service = [*found["to"].split(":"), "", ""][2]
    if not (needs := _DELIVERS.get(service)):
        return None
    who = "" if service == "firehose" else ". The policies of whoever publishes change nothing"
    return f"SNS was refused: {needs.format_map(found.groupdict())}{who}"


@lru_cache(64)
def cause(words: str) -> str | None:
    """What was refused, by a service's own words; None if they are none of the known ones."""
    if of_delivery := _of_delivery(words):
        return of_delivery
    if becomes := of_service(words):
        service, _ = becomes
        return (
            f"{service} cannot become the role: the role's trust policy has to let in "
            f"{service} (sts:AssumeRole, its conditions included), and the role has to be "
            "there; a role that was just made needs some seconds. --trust FILE judges its "
            "trust policy"
        )
    if _DESTINATION.search(words):
        return (
            "the state machine's role needs on * "
            f"{', '.join(_LOGS + one for one in _LOG_DELIVERY)}; CloudWatch Logs says so, too, "
            "where the account's log resource policy has reached its 5,120 characters (a log "
            "group whose name begins with /aws/vendedlogs/ keeps it short)"
        )
    if tagging := _TAGGING.search(words):
        operation = tagging["operation"]
        further = " (logs:TagResource)" if operation == "CreateLogGroup" else ""
        return (
            f"{operation} with tags needs its service's action for tagging{further} beside "
            f"{operation} itself; the message names no caller"
        )
    if _SUBSCRIPTION.search(words):
        return f"{LOG_DESTINATION}; the caller's own policies have to allow the call, too"
    if (action := lacked(words)) and not own_words.meaning(words):
        told = f"the role's own policies have to allow {action}; the message names no role"
        return f"{told}: {with_it(action)}"
    if own := own_words.meaning(words):
        return own
    by_name = _BY_NAME.search(words)
    return (
        None
        if by_name is None
        else (
            f"{by_name['service']} could not become the role that it was given: the role has to be "
            "there and given to it (of a service's own role for the account: in this region, too), "
            "and its trust policy has to let that service in (sts:AssumeRole, by the name that the "
            "service's guide has for its principal), with conditions that hold"
        )
    )
