"""IAM: roles, policies, instance profiles, OIDC providers, service-linked roles, users.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from scripts.iam.requests.model import Keys
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    both,
    join_keys,
    keys_from,
    name_of,
    onto,
    pairs,
    pass_role,
    request_tags,
    resource_tags,
    same,
    service_linked_role_arn,
    tag_keys,
    when,
)

_NAME = r"[\w+=,.@-]+"


def _arn(call: Call, resource: str) -> str:
    """ARN of an IAM resource named without its path; IAM compares the real one, with the path."""
    plain = call.arn("iam", resource, region="")
    return str(call.facts(plain).get("arn") or plain)


def _existing(kind: str, parameter: str) -> Targets:
    """The resource that a name or an ARN names, with its tags."""

    def found(call: Call) -> Iterator[Target]:
        name = call.text(parameter)
        if name.startswith("arn:"):
            arn = arn_of_type(name, parameter, "iam", rf"{kind}/[\w+=,.@/-]+")
        else:
            arn = _arn(call, f"{kind}/{name_of(name, parameter, _NAME)}")
        prefixes = ("iam:ResourceTag/",) if kind in {"role", "user"} else ()
        yield Target(arn, resource_tags(call, arn, *prefixes))

    return found


def _new(kind: str, parameter: str) -> Targets:
    """The resource that a call makes, at the path that it names."""

    def found(call: Call) -> Iterator[Target]:
        path = call.get("Path") or "/"
        if not (path.startswith("/") and path.endswith("/")):
            raise ValueError("Path must begin and end with /")
        name = name_of(call.get(parameter), parameter, _NAME)
        yield Target(call.arn("iam", f"{kind}{name_of(path, 'Path')}{name}", region=""), {})

    return found


# Nothing that a reader of addresses leaves out of the name: user, port, parameters, fragment.
_HOST_AND_PATH = r"[A-Za-z0-9.-]+(?:/[\w./-]*)?"


def _new_provider(call: Call) -> Iterator[Target]:
    url = name_of(call.text("Url").removeprefix("https://"), "Url", _HOST_AND_PATH)
    yield Target(call.arn("iam", f"oidc-provider/{url}", region=""), {})


def _renamed_user(call: Call) -> Iterator[Target]:
    """The user as it is called afterwards: a new name or path needs the right on that one, too.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html
    """
    old = _arn(call, f"user/{name_of(call.get('UserName'), 'UserName', _NAME)}")
    _, path, name = re.split(r"user(/(?:.*/)?)", old, maxsplit=1)
    path = name_of(call.get("NewPath") or path, "NewPath", r"/(?:[\w+=,.@-]+/)*")
    name = name_of(call.get("NewUserName") or name, "NewUserName", _NAME)
    new = call.arn("iam", f"user{path}{name}", region="")
    if new != old:
        yield Target(new, resource_tags(call, new, "iam:ResourceTag/"))


def _linked_role(call: Call) -> Iterator[Target]:
    service = name_of(call.get("AWSServiceName"), "AWSServiceName", r"[\w.-]+")
    arn = service_linked_role_arn(call, service)
    suffix = call.get("CustomSuffix")
    yield Target(f"{arn}_{suffix}" if suffix else arn, {})


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _boundary(kind: str, parameter: str) -> Callable[[Call], Keys]:
    """iam:PermissionsBoundary: the one that the role or user has now."""

    def found(call: Call) -> Keys:
        plain = call.arn("iam", f"{kind}/{name_of(call.get(parameter), parameter)}", region="")
        boundary = call.facts(plain).get("permissions_boundary")
        return {"iam:PermissionsBoundary": (boundary,)} if boundary else {}

    return found


_asked_boundary = keys_from(PermissionsBoundary="iam:PermissionsBoundary")
_policy_arn = keys_from(PolicyArn="iam:PolicyARN")


def _create(targets: Targets, tag_action: str, boundary: bool = False) -> Row:
    """A row for a call that makes a resource; its tags need the tagging action as well.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
    """
    return Row(
        targets,
        keys=join_keys(_tags, _asked_boundary) if boundary else _tags,
        also=(when("Tags", onto(tag_action, targets, _tags)),),
    )


def _tagging(subject: str, target: Targets) -> dict[str, Row]:
    return {
        f"Tag{subject}": Row(target, keys=_tags),
        f"Untag{subject}": Row(target, keys=lambda call: tag_keys(call.texts("TagKeys"))),
        f"List{subject}Tags": Row(target),
    }


def _role_of_task(task: str) -> str:
    """task/aws-service-role/<service>/<role>/<id> -> aws-service-role/<service>/<role>"""
    return task.removeprefix("task/").rpartition("/")[0]


_role = _existing("role", "RoleName")
_user = _existing("user", "UserName")
_profile = _existing("instance-profile", "InstanceProfileName")
_policy = _existing("policy", "PolicyArn")
_provider = _existing("oidc-provider", "OpenIDConnectProviderArn")
_group = _existing("group", "GroupName")
_role_boundary = _boundary("role", "RoleName")
_user_boundary = _boundary("user", "UserName")

TABLE: Table = {
    **anywhere(
        "GetAccountSummary ListRoles ListPolicies ListUsers ListGroups ListInstanceProfiles "
        "ListOpenIDConnectProviders ListAccountAliases GetAccountAuthorizationDetails "
        "GetAccountPasswordPolicy GenerateCredentialReport GetCredentialReport "
        "ListSAMLProviders ListVirtualMFADevices ListServerCertificates"
    ),
    # roles
    "CreateRole": _create(_new("role", "RoleName"), "iam:TagRole", boundary=True),
    **same(
        "ListAttachedRolePolicies ListRolePolicies GetRolePolicy ListInstanceProfilesForRole",
        Row(_role),
    ),
    **same(
        "DeleteRole GetRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription "
        "DeleteRolePermissionsBoundary DeleteRolePolicy PutRolePolicy",
        Row(_role, keys=_role_boundary),
    ),
    **same(
        "AttachRolePolicy DetachRolePolicy",
        Row(_role, keys=join_keys(_role_boundary, _policy_arn)),
    ),
    "PutRolePermissionsBoundary": Row(_role, keys=_asked_boundary),
    "CreateServiceLinkedRole": Row(
        _linked_role, keys=keys_from(AWSServiceName="iam:AWSServiceName")
    ),
    "DeleteServiceLinkedRole": Row(_role),
    "GetServiceLinkedRoleDeletionStatus": Row(
        lambda call: [
            Target(
                call.arn("iam", f"role/{_role_of_task(call.text('DeletionTaskId'))}", region=""), {}
            )
        ]
    ),
    **_tagging("Role", _role),
    # policies
    "CreatePolicy": _create(_new("policy", "PolicyName"), "iam:TagPolicy"),
    **same(
        "CreatePolicyVersion DeletePolicy DeletePolicyVersion GetPolicy GetPolicyVersion "
        "ListEntitiesForPolicy ListPolicyVersions SetDefaultPolicyVersion",
        Row(_policy),
    ),
    **_tagging("Policy", _policy),
    # instance profiles
    "CreateInstanceProfile": _create(
        _new("instance-profile", "InstanceProfileName"),
        "iam:TagInstanceProfile",
    ),
    **same("DeleteInstanceProfile GetInstanceProfile RemoveRoleFromInstanceProfile", Row(_profile)),
    "AddRoleToInstanceProfile": Row(
        _profile,
        also=(
            lambda call: [
                pass_role(
                    _arn(call, f"role/{name_of(call.get('RoleName'), 'RoleName', _NAME)}"),
                    "ec2.amazonaws.com",
                )
            ],
        ),
    ),
    **_tagging("InstanceProfile", _profile),
    # OIDC providers
    "CreateOpenIDConnectProvider": _create(_new_provider, "iam:TagOpenIDConnectProvider"),
    **same(
        "DeleteOpenIDConnectProvider GetOpenIDConnectProvider "
        "AddClientIDToOpenIDConnectProvider RemoveClientIDFromOpenIDConnectProvider "
        "UpdateOpenIDConnectProviderThumbprint",
        Row(_provider),
    ),
    **_tagging("OpenIDConnectProvider", _provider),
    # users and groups: the platform has none, the escalation cases do
    "CreateUser": _create(_new("user", "UserName"), "iam:TagUser", boundary=True),
    **same(
        "CreateAccessKey DeleteAccessKey UpdateAccessKey ListAccessKeys CreateLoginProfile "
        "UpdateLoginProfile DeleteLoginProfile GetLoginProfile ListAttachedUserPolicies "
        "ListUserPolicies GetUserPolicy ListGroupsForUser DeleteUser "
        "ListMFADevices ListSSHPublicKeys ListSigningCertificates "
        "ListServiceSpecificCredentials",
        Row(_user),
    ),
    "GetUser": Row(_user),
    "UpdateUser": Row(both(_user, _renamed_user)),
    **same(
        "DeleteUserPermissionsBoundary DeleteUserPolicy PutUserPolicy",
        Row(_user, keys=_user_boundary),
    ),
    **same(
        "AttachUserPolicy DetachUserPolicy",
        Row(_user, keys=join_keys(_user_boundary, _policy_arn)),
    ),
    "PutUserPermissionsBoundary": Row(_user, keys=_asked_boundary),
    **_tagging("User", _user),
    "CreateGroup": Row(_new("group", "GroupName")),
    **same(
        "AddUserToGroup RemoveUserFromGroup DeleteGroup GetGroup PutGroupPolicy "
        "DeleteGroupPolicy GetGroupPolicy ListGroupPolicies ListAttachedGroupPolicies",
        Row(_group),
    ),
    **same("AttachGroupPolicy DetachGroupPolicy", Row(_group, keys=_policy_arn)),
}
