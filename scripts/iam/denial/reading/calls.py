"""The call that was refused, as SDKs, tools and the stacks of their errors name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from scripts.iam.denial.reading import by_name
from scripts.iam.denial.reading.by_name import services
from scripts.iam.reference import is_of, judged, of_call, resources
from scripts.iam.reference import service as of_service

# Who writes so -> where the call stands, and where the service, if they name it.
_WORDS = (
    r"calling the (?P<call>\w+) operation",  # Python
    r"operation error (?P<service>[\w ]+): (?P<call>\w+),",  # Go
    r"DEBUG: Response (?P<service>[\w-]+)/(?P<call>\w+) Details:(?:(?!Response ).){0,400}? 403\b",
    r"Error executing \"(?P<call>\w+)\" on \"https?://(?P<host>[\w.-]+)",  # PHP
    r"\b(?P<service>S3)::(?P<call>\w+)\(\)",
    r"@aws-sdk/client-(?P<service>[\w-]+).{0,400}?\b(?:throw|de_)(?P<call>[A-Z]\w+?)CommandError",
    # JavaScript
    r"\bde_(?P<call>[A-Z]\w+?)CommandError",
    r"deserializeAws_(?:restXml|restJson1|json1_[01]|query|ec2)(?P<call>[A-Z]\w+?)CommandError",
    r"\.services\.(?P<service>\w+)\.serde\.(?P<call>[A-Z]\w+?)OperationDeserializer",  # Kotlin
    r"\.services\.(?P<service>\w+)\.(?:Amazon|AWS|Default)\w*Client\."
    r"(?!invoke|doInvoke|execute|lambda|access)(?P<call>[a-z]\w+)[(]",  # Java
    r"\bservices\.(?P<service>\w+)\.model\.(?P<call>[A-Z]\w+?)Request\b",  # what it sent
    r"\bAmazon\.(?P<service>\w+)\.Amazon\w+Client\.(?P<call>[A-Z][A-Za-z]+?)(?:Async)?(?![A-Za-z])",
    r"aws-sdk-(?P<service>(?!core)\w+)/client\.rb:\d+:in [`']?(?:[\w:]+#)?(?P<call>[a-z]\w+)",
    r"\(eval\):\d+:in ?[`']?(?P<call>[a-z]\w+)",  # Ruby's SDK of old makes its calls at run time
    r"\b(?P<call>[a-z]+(?:_[a-z]+)+) at \(eval\)",
    r"\[AWS (?P<service>[\w-]+) 403 [^\]]{1,60}\] (?P<call>\w+)\(",  # JavaScript's logger
    r"AWS Error ACCESS_DENIED during (?P<call>\w+) operation",  # Arrow
    r"\[output:(?P<service>\w+):[^\]]*\] (?P<call>[A-Z]\w+) API responded with error",  # Fluent Bit
    r"(?:[Ee]rror )?(?P<verb>creating|reading|updating|deleting) "
    r"(?P<service>EC2|Lambda|ECS|ECR|KMS|SNS|SQS) "
    r"(?P<thing>[A-Za-z][\w ]*?)(?: \([^()]*\))?: ",  # Terraform
    # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    r"/2015-03-31/functions/(?P<function>[^/\s]+)/invocations(?:\?Qualifier=(?P<qualifier>\S+))?",
)
# Packer's, docker-machine's and Terraform's words for a call of EC2.
_TOOLS = {
    "Error launching (?:source )?instance": "RunInstances",
    "[Ee]rror querying AMI": "DescribeImages",
    "[Ee]rror querying security group": "DescribeSecurityGroups",
    "[Ee]rror creating temporary keypair": "CreateKeyPair",
    "[Ee]rror authorizing temporary security group": "AuthorizeSecurityGroupIngress",
    "[Ee]rror (?:requesting|creating) spot fleet": "RequestSpotFleet",
    "[Ee]rror requesting spot instances?": "RequestSpotInstances",
    "[Ee]rror (?:stopping instance|waiting for instance to stop)": "StopInstances",
    "[Ee]rror terminating instance": "TerminateInstances",
    "[Ee]rror creating AMI": "CreateImage",
}
_PATTERNS = tuple(map(re.compile, _WORDS))
# Behind a refusal, however long the stack: what of it names the call.
_FRAMES = tuple(map(re.compile, _WORDS[5:15]))
# Before one: where the sentence begins that names the call and what it was on.
_BEGINS = re.compile(
    r"operation error |\[output:|Error executing \"|(?:upload|download|copy|move|delete) failed: "
    r"|(?:Error: )?[Ee]rror(?: \w+ing) |Error: [a-z]+ing |Failed to [a-z]+ "
    r"|Create S3 bucket with retry "
    r"|Eval[A-Z][a-z]+, err: |AWS::[A-Z]\w+::(?!Errors)[A-Z]\w+"
    r"|\S*/s3fs/core\.py|\baws (?:--\S+ \S+ )*s3(?:api)? |(?:POST|GET|PUT|DELETE) /\S+ HTTP/"
)
# A tool's own words before them, with what the call was on.
_PREFIX = re.compile(r"\b[A-Za-z]+ing (?:[^:()]|\([^()]*\)){0,160}?\(arn:[^()\s]+\): $")
_ON = re.compile(r"\((arn:[^()\s]+)\): ")
# A call that passes a role, or an action -> iam:PassedToService, where it can be but one.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
PASSES = {
    "AssociateIamInstanceProfile": "ec2.amazonaws.com",
    "cloudformation": "cloudformation.amazonaws.com",
    "CreateChangeSet": "cloudformation.amazonaws.com",
    "CreateCrawler": "glue.amazonaws.com",
    "CreateDeliveryStream": "firehose.amazonaws.com",
    "CreateFunction": "lambda.amazonaws.com",
    "CreateNotebookInstance": "sagemaker.amazonaws.com",
    "CreatePipeline": "codepipeline.amazonaws.com",
    "CreatePipe": "pipes.amazonaws.com",
    "CreateProcessingJob": "sagemaker.amazonaws.com",
    "CreateSchedule": "scheduler.amazonaws.com",
    "CreateStack": "cloudformation.amazonaws.com",
    "CreateStateMachine": "states.amazonaws.com",
    "CreateTrainingJob": "sagemaker.amazonaws.com",
    "RegisterTaskDefinition": "ecs-tasks.amazonaws.com",
    "RunInstances": "ec2.amazonaws.com",
    "RunTask": "ecs-tasks.amazonaws.com",
    "StartTask": "ecs-tasks.amazonaws.com",
    "UpdateFunctionConfiguration": "lambda.amazonaws.com",
    "UpdatePipe": "pipes.amazonaws.com",
    "UpdateSchedule": "scheduler.amazonaws.com",
    "UpdateStack": "cloudformation.amazonaws.com",
    "UpdateStateMachine": "states.amazonaws.com",
    # https://docs.aws.amazon.com/glue/latest/dg/create-an-iam-role.html; MediaConvert's and others'
    # have the same name.
    "glue:CreateJob": "glue.amazonaws.com",
    "glue:UpdateJob": "glue.amazonaws.com",
}
_ALIASES = {
    "DoesBucketExist": "HeadBucket",
    "DoesBucketExistV2": "HeadBucket",
    "DoesObjectExist": "HeadObject",
    "GetObjectMetadata": "HeadObject",
    "InitiateMultipartUpload": "CreateMultipartUpload",
    "RunInstance": "RunInstances",
}
# Calls whose action has another name.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
# https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
_ACTIONS = {
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "Converse": "bedrock:InvokeModel",
    "ConverseStream": "bedrock:InvokeModelWithResponseStream",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "GetLayerVersionByArn": "lambda:GetLayerVersion",
    "Invoke": "lambda:InvokeFunction",
    "InvokeWithResponseStream": "lambda:InvokeFunction",
    "PostToConnection": "execute-api:ManageConnections",
    "PublishBatch": "sns:Publish",
    "SendMessageBatch": "sqs:SendMessage",
    "TransactGetItems": "dynamodb:GetItem",
}
_VERBS = {
    "creating": ("Create", "Run"),
    "reading": ("Describe", "Get"),
    "updating": ("Modify", "Update"),
    "deleting": ("Delete", "Terminate"),
}


@dataclass(frozen=True)
class Call:
    """A call by its API's name; `service` is the prefix of its actions, "" if it is not told."""

    operation: str
    service: str = ""
    arn: str | None = None


@lru_cache(64)
def called(words: str) -> Call | None:
    """The call that the words name; None if they name none."""
    for pattern in _PATTERNS:
        if found := pattern.search(words):
            return _call(found.groupdict())
    if by_name.OF_EC2.search(words):
        for tool, operation in _TOOLS.items():
            if re.search(tool, words):
                return Call(operation, "ec2")
    return None


def begin(plain: str, start: int, at_least: int) -> int | None:
    """Where the words begin that a refusal belongs to, which stands at `start`; None if unsure."""
    found = [*_BEGINS.finditer(plain, max(at_least, start - 420), start)]
    if not found:
        return None
    begins = found[-1].start()
    prefix = _PREFIX.search(plain, max(at_least, begins - 300), begins)
    return prefix.start() if prefix else begins


def on(action: str, words: str) -> str | None:
    """What a tool names in front of the refused call, in brackets: the only ARN there that AWS's
    reference has the action on."""
    forms = resources(action)
    found = {one for one in _ON.findall(words) if any(is_of(form, one) for form in forms)}
    return found.pop() if len(found) == 1 else None


def frame(plain: str, start: int, end: int) -> str:
    """What of a stack between two places names the call, or ""."""
    found = [one for pattern in _FRAMES if (one := pattern.search(plain, start, end))]
    return min(found, key=lambda one: one.start())[0] if found else ""


def action_called(words: str) -> str:
    """The action that a call needs, where its name is that of one service's alone; or ""."""
    call = called(words)
    if call is None:
        return ""
    if by_name.OF_EC2.search(words) and judged(f"ec2:{call.operation}"):
        return f"ec2:{call.operation}"
    other = _ACTIONS.get(call.operation, "").partition(":")[0]
    if own := action_of(call.service or other, call.operation):
        return own
    asked = [one for one in services(words) if judged(f"{one}:{call.operation}")]
    return f"{asked[0]}:{call.operation}" if len(asked) == 1 else of_call(call.operation)


def action_of(service: str, operation: str) -> str:
    """The action that a service's call needs; "" if that is not known."""
    own, other = f"{service}:{operation}", _ACTIONS.get(operation, "")
    return own if judged(own) else other if other.startswith(f"{service}:") else ""


def _call(told: dict[str, str | None]) -> Call | None:
    name = told.get("service") or ""
    if host := told.get("host"):
        parts = re.split(r"[.-]", host)
        name = "s3" if "s3" in parts else parts[0]
    service = of_service(name) or re.sub(r"[\W_]", "", name).lower()
    if function := told.get("function"):
        arn = unquote(":".join(filter(None, (function, told.get("qualifier")))))
        return Call("InvokeFunction", "lambda", arn if arn.startswith("arn:") else None)
    if verb := told.get("verb"):
        name = "".join(one[:1].upper() + one[1:].lower() for one in str(told["thing"]).split())
        known = [
            found
            for begins in _VERBS[verb]
            for found in (f"{begins}{name}", f"{begins}{name}s")
            if judged(f"{service}:{found}")
        ]
        return Call(known[0], service) if len(known) == 1 else None
    operation = "".join(one[:1].upper() + one[1:] for one in str(told["call"]).split("_"))
    return Call(_ALIASES.get(operation, operation), service)
