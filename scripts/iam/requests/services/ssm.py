"""SSM: parameters, documents, sessions, and what the agent calls.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    anywhere,
    arn_of_type,
    as_text,
    checked,
    everything,
    name_of,
    onto,
    pairs,
    pass_role,
    passes,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)
from scripts.iam.requests.services import kms

_NAME = r"[\w./-]+"
_SELECTOR = r"[\w.-]+"  # version or label
# https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
_REFERENCES = "/aws/reference/"


def parameter_arn(call: Call, name: str) -> str:
    """ARN of a parameter named by name or ARN, without a version or label; the public ones
    under /aws/service/ belong to no account."""
    if f"/{name.rpartition(':parameter/')[2].lstrip('/')}".startswith(_REFERENCES):
        # A secret, on which AWS asks for secretsmanager:GetSecretValue as well.
        raise Malformed(f"{name}: read the secret itself", "LocalCloudNotImplemented")
    if name.startswith("arn:"):
        found = arn_of_type(name, "Name", "ssm", rf"parameter/{_NAME}(?::{_SELECTOR})?")
        return ":".join(found.split(":")[:6])
    path = name_of(name, "Name", rf"{_NAME}(?::{_SELECTOR})?").partition(":")[0]
    if path.startswith("/aws/service/"):
        return f"arn:aws:ssm:{call.request.region}::parameter{path}"
    return call.arn("ssm", f"parameter/{path.removeprefix('/')}")


def _existing_parameter(call: Call, name: str) -> Target:
    arn = parameter_arn(call, name)
    return Target(arn, resource_tags(call, arn, "ssm:resourceTag/"))


def _parameter(call: Call) -> Iterator[Target]:
    yield _existing_parameter(call, call.text("Name"))


def _parameters(call: Call) -> Iterator[Target]:
    for name in call.texts("Names"):
        yield _existing_parameter(call, name)


def _path(call: Call) -> Iterator[Target]:
    """The hierarchy as such, with the slash at its end if the call has one: reports show both.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
    https://github.com/aws-ia/terraform-aws-control_tower_account_factory/issues/174
    """
    yield Target(parameter_arn(call, call.text("Path")), {})


def _decrypts(call: Call) -> Iterator[Need]:
    """Each version has the key that it was written with.

    https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
    """
    if not call.flag("WithDecryption"):
        return
    for name in [call.text("Name")] if call.get("Name") else call.texts("Names"):
        arn = parameter_arn(call, name)
        selector = ":".join(name.split(":")[6:] if name.startswith("arn:") else name.split(":")[1:])
        stored = _stored_name(arn)
        key = call.account.parameter_key(f"{stored}:{selector}" if selector else stored)
        yield from kms.behind(call, "ssm", key, ("kms:Decrypt",), {"PARAMETER_ARN": arn})


def _decrypts_history(call: Call) -> Iterator[Need]:
    """The keys of all versions."""
    if call.flag("WithDecryption"):
        arn = parameter_arn(call, call.text("Name"))
        for key in call.facts(arn).get("versions") or ():
            yield from kms.behind(call, "ssm", key, ("kms:Decrypt",), {"PARAMETER_ARN": arn})


def _stored_name(arn: str) -> str:
    """A parameter's name from its ARN: hierarchies keep their leading slash."""
    name = arn.split(":", 5)[5].removeprefix("parameter/")
    return f"/{name}" if "/" in name else name


def _decrypts_path(call: Call) -> Iterator[Need]:
    """Keys of the SecureStrings under a path, which only the account knows."""
    if call.flag("WithDecryption"):
        path = call.text("Path").strip("/")
        arn = parameter_arn(call, f"/{path}")
        start = f"/{path}/" if path else "/"
        for name, key in (call.facts(arn).get("keys") or {}).items():
            if "/" in name.removeprefix(start) and not call.flag("Recursive"):
                continue
            context = {"PARAMETER_ARN": parameter_arn(call, name)}
            yield from kms.behind(call, "ssm", key, ("kms:Decrypt",), context)


def _encrypts(call: Call) -> Iterator[Need]:
    name = call.text("Name")
    known = call.account.parameter_key(name)
    if call.get("Type") == "SecureString" or known:
        advanced = call.get("Tier") in {"Advanced", "Intelligent-Tiering"}
        action = "kms:GenerateDataKey" if advanced else "kms:Encrypt"
        key = call.get("KeyId") or known or f"{kms.MANAGED}ssm"
        context = {"PARAMETER_ARN": parameter_arn(call, name)}
        yield from kms.behind(call, "ssm", key, (action,), context)


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _overwrite(call: Call) -> Keys:
    policies = {"ssm:Policies": (str(call.get("Policies")),)} if call.get("Policies") else {}
    return {**_tags(call), **policies, "ssm:Overwrite": (as_text(call.flag("Overwrite")),)}


# documents


def document_arn(call: Call, name: str) -> str:
    """ARN of a document; AWS's own belong to no account."""
    if name.startswith("arn:"):
        return arn_of_type(name, "document", "ssm", r"document/[\w.-]+")
    name_of(name, "document", r"[\w.-]+")
    if name.startswith(("AWS-", "Amazon")):
        return f"arn:aws:ssm:{call.request.region}::document/{name}"
    return call.arn("ssm", f"document/{name}")


def existing_document(call: Call, name: str) -> Target:
    """A document with its type and tags."""
    arn = document_arn(call, name)
    kind = call.facts(arn).get("type")
    keys: Keys = {"ssm:DocumentType": (str(kind),)} if kind else {}
    return Target(arn, {**keys, **resource_tags(call, arn, "ssm:resourceTag/")})


def _document(call: Call) -> Iterator[Target]:
    yield existing_document(call, call.text("Name"))


def _document_arn(call: Call) -> Iterator[Target]:
    yield Target(document_arn(call, call.text("Name")), {})


def _new_document(call: Call) -> Iterator[Target]:
    kind = call.get("DocumentType") or "Command"
    yield Target(document_arn(call, call.text("Name")), {"ssm:DocumentType": (str(kind),)})


_ASSUMED = re.compile(r"\bassumeRole[\"']?\s*:\s*[\"']?(arn:aws:iam::\d{12}:role/[\w+=,.@/-]+)")


def _assumed_role(call: Call) -> Iterator[Need]:
    """The role that an Automation document names for its own runs.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-setup-iam.html
    """
    for role in dict.fromkeys(_ASSUMED.findall(str(call.get("Content") or ""))):
        yield pass_role(role, "ssm.amazonaws.com")


# instances and sessions


def node(call: Call, name: str) -> Target:
    """An EC2 instance or another managed node, with its tags."""
    if not re.fullmatch(r"m?i-[0-9a-z]+", name):
        raise ValueError(f"{name!r} is neither an instance (i-...) nor a managed node (mi-...)")
    if name.startswith("i-"):
        arn = call.arn("ec2", f"instance/{name}")
    else:
        arn = call.arn("ssm", f"managed-instance/{name}")
    return Target(arn, resource_tags(call, arn, "ssm:resourceTag/"))


def _session_targets(call: Call) -> Iterator[Target]:
    """The node, and the document when the call names one.

    A bare StartSession opens AWS's default shell document. AWS then asks only for the node,
    unless the policy insists with ssm:SessionDocumentAccessCheck; the key is false here, so a
    policy that insists refuses the bare call, and one that does not lets it through.
    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-sessiondocumentaccesscheck.html
    """
    document = call.get("DocumentName")
    check: Keys = {"ssm:SessionDocumentAccessCheck": (as_text(document is not None),)}
    target = node(call, call.text("Target"))
    yield Target(target.arn, {**target.keys, **check})
    if document is not None:
        found = existing_document(call, checked(document, "DocumentName"))
        tags = {k: v for k, v in found.keys.items() if "tag/" in k.lower()}
        yield Target(found.arn, {**tags, **check})


def _session(call: Call) -> Iterator[Target]:
    """A session carries two tags by which a user may be held to the own ones.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-examples.html
    """
    arn = call.arn("ssm", f"session/{name_of(call.get('SessionId'), 'SessionId')}")
    tags = call.account.tags(arn) or {}
    own = ("aws:ssmmessages:session-id", "aws:ssmmessages:target-id")
    yield Target(arn, {f"ssm:resourceTag/{n}": (tags[n],) for n in own if n in tags})


def _instance(call: Call) -> Iterator[Target]:
    yield node(call, call.text("InstanceId"))


def _connection_target(call: Call) -> Iterator[Target]:
    yield node(call, call.text("Target"))


def _command_targets(call: Call) -> Iterator[Target]:
    yield existing_document(call, call.text("DocumentName"))
    for name in call.texts("InstanceIds"):
        yield node(call, name)
    if call.get("OutputS3BucketName"):
        yield Target(f"arn:aws:s3:::{call.text('OutputS3BucketName')}", {})


def _chosen_by_service(call: Call) -> Iterator[Need]:
    """Instances that Systems Manager chooses, by tags for example: any may be meant.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command-setting-up.html
    """
    if call.get("Targets"):
        unknown = ("ssm:resourceTag/", "aws:ResourceTag/")
        yield Need("ssm:SendCommand", call.arn("ec2", "instance/*"), {}, unknown)


# tags


def _tagged(call: Call) -> Iterator[Target]:
    kind, name = call.get("ResourceType"), call.text("ResourceId")
    if kind == "Parameter":
        yield _existing_parameter(call, name)
    elif kind == "Document":
        yield existing_document(call, name)
    elif kind == "ManagedInstance":
        yield node(call, name)
    else:
        raise ValueError(f"tags of the resource type {kind!r} are not mapped")


TABLE: Table = {
    **anywhere(
        "DescribeParameters ListDocuments DescribeSessions ListCommands ListCommandInvocations "
        "GetCommandInvocation DescribeInstanceInformation ListAssociations "
        "GetDeployablePatchSnapshotForInstance GetManifest PutConfigurePackageResult "
        "DescribeInstanceProperties"
    ),
    "PutParameter": Row(
        _parameter,  # a new one has no tags yet
        keys=_overwrite,
        also=(
            when("Tags", onto("ssm:AddTagsToResource", _parameter, _tags)),
            _encrypts,
        ),
    ),
    **same("DeleteParameter LabelParameterVersion", Row(_parameter)),
    "GetParameter": Row(_parameter, also=(_decrypts,)),
    "GetParameterHistory": Row(_parameter, also=(_decrypts_history,)),
    "GetParameters": Row(_parameters, also=(_decrypts,)),
    "DeleteParameters": Row(_parameters),
    "GetParametersByPath": Row(
        _path,
        keys=lambda call: {"ssm:Recursive": (as_text(call.flag("Recursive")),)},
        also=(_decrypts_path,),
    ),
    # documents
    "CreateDocument": Row(
        _new_document,
        keys=_tags,
        also=(
            when("Tags", onto("ssm:AddTagsToResource", _document_arn, _tags)),
            _assumed_role,
        ),
    ),
    **same(
        "DeleteDocument DescribeDocument DescribeDocumentPermission GetDocument "
        "ListDocumentVersions ModifyDocumentPermission UpdateDocument "
        "UpdateDocumentDefaultVersion",
        Row(_document),
    ),
    # sessions and commands
    "StartSession": Row(_session_targets),
    **same("ResumeSession TerminateSession", Row(_session)),
    "GetConnectionStatus": Row(_connection_target),
    "SendCommand": Row(
        _command_targets,
        also=(_chosen_by_service, passes("ServiceRoleArn", "ssm.amazonaws.com")),
    ),
    # the agent
    "UpdateInstanceInformation": Row(_instance),
    "ListInstanceAssociations": Row(_instance),
    "PutInventory": Row(everything),
    "PutComplianceItems": Row(lambda call: [node(call, call.text("ResourceId"))]),
    # tags
    "AddTagsToResource": Row(_tagged, keys=_tags),
    "RemoveTagsFromResource": Row(_tagged, keys=lambda call: tag_keys(call.texts("TagKeys"))),
    "ListTagsForResource": Row(_tagged),
}
