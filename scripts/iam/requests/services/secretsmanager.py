"""Secrets Manager: secrets, their versions, policies and tags.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    anywhere,
    arn_of_type,
    as_text,
    checked,
    join_keys,
    keys_from,
    name_of,
    onto,
    pairs,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)
from scripts.iam.requests.services import kms

DEFAULT_KEY = f"{kms.MANAGED}secretsmanager"
# The labels whose versions get a secret's new key.
ENCRYPTED_ANEW = frozenset({"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"})
_NAME = r"[\w/+=.@!-]+"


def _unknown(call: Call, name: str) -> str:
    """ARN of a secret that does not exist (yet): AWS ends it in a dash and six characters."""
    return name if name.startswith("arn:") else call.arn("secretsmanager", f"secret:{name}-??????")


def _checked(name: str) -> str:
    if name.startswith("arn:"):
        return arn_of_type(name, "SecretId", "secretsmanager", f"secret:{_NAME}")
    return name_of(name, "SecretId", _NAME)


def existing(call: Call, name: str) -> Target:
    """A secret named by name or ARN, with its tags."""
    _checked(name)
    arn = call.account.secret_arn(name) or _unknown(call, name)
    return Target(arn, resource_tags(call, arn, "secretsmanager:ResourceTag/"))


def _secret(call: Call) -> Iterator[Target]:
    found = existing(call, call.text("SecretId"))
    yield Target(found.arn, {**found.keys, "secretsmanager:SecretId": (found.arn,)})


def _new(call: Call) -> Iterator[Target]:
    yield Target(_unknown(call, name_of(call.get("Name"), "Name", _NAME)), {})


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _asked_key(call: Call) -> Keys:
    name = call.get("KmsKeyId")
    if not name:
        return {}
    arn = call.account.key_arn(name)
    keys: Keys = {"secretsmanager:KmsKeyId": (name,)}
    return keys | ({"secretsmanager:KmsKeyArn": (arn,)} if arn else {})


def _behind(call: Call, key: str | None, actions: tuple[str, ...], arn: str) -> Iterator[Need]:
    """The key of a secret; the context also has the version, which the request does not tell.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    context = {"SecretARN": arn}
    yield from kms.behind(
        call, "secretsmanager", key, actions, context, unsaid=("SecretVersionId",)
    )


def _new_value_key(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html"""
    name = call.get("SecretId") or call.get("Name")
    target = existing(call, checked(name, "SecretId"))
    key = call.get("KmsKeyId") or call.account.secret_key(target.arn) or DEFAULT_KEY
    has_value = call.get("SecretString") is not None or call.get("SecretBinary") is not None
    if has_value or call.get("KmsKeyId"):
        actions = ("kms:GenerateDataKey", "kms:Decrypt")
        yield from _behind(call, key, actions, target.arn)


def _opens_for_another_key(call: Call) -> Iterator[Need]:
    """What was encrypted with the key until now is decrypted, to be encrypted with the new one."""
    arn = existing(call, call.text("SecretId")).arn
    now, new = call.account.secret_key(arn), call.get("KmsKeyId")
    if now and new and (call.account.key_arn(new) or new) != now:
        for key in dict.fromkeys(_key_of(call, arn, label=one) for one in sorted(ENCRYPTED_ANEW)):
            yield from _behind(call, key, ("kms:Decrypt",), arn)


def _replicas(call: Call) -> Keys:
    names = [checked(one.get("Region"), "Region") for one in call.get("AddReplicaRegions") or ()]
    if not names:
        return {}
    forced = as_text(call.flag("ForceOverwriteReplicaSecret"))
    return {
        "secretsmanager:AddReplicaRegions": tuple(names),
        "secretsmanager:ForceOverwriteReplicaSecret": (forced,),
    }


def _key_of(
    call: Call, arn: str, version: str | None = None, label: str | None = None
) -> str | None:
    """The key of one version of a secret; it may be an older one than the secret's own."""
    facts = call.facts(arn)
    version = version or (facts.get("labels") or {}).get(label or "AWSCURRENT")
    return (facts.get("kept") or {}).get(version) or call.account.secret_key(arn)


def _decrypts(call: Call) -> Iterator[Need]:
    arn = existing(call, call.text("SecretId")).arn
    key = _key_of(call, arn, call.get("VersionId"), call.get("VersionStage"))
    yield from _behind(call, key, ("kms:Decrypt",), arn)


def _batch(call: Call) -> Iterator[Need]:
    for name in call.texts("SecretIdList"):
        target = existing(call, name)
        of_value = {"secretsmanager:SecretId": (target.arn,),
                    "secretsmanager:VersionStage": ("AWSCURRENT",)}  # fmt: skip
        yield Need("secretsmanager:GetSecretValue", target.arn, {**target.keys, **of_value})
        key = _key_of(call, target.arn)
        yield from _behind(call, key, ("kms:Decrypt",), target.arn)
    if call.get("Filters"):  # the secrets are chosen by the service, then each is asked for
        raise ValueError("BatchGetSecretValue: name the secrets in SecretIdList, not by Filters")


def _deletion(call: Call) -> Keys:
    forced = as_text(call.flag("ForceDeleteWithoutRecovery"))
    window = keys_from(RecoveryWindowInDays="secretsmanager:RecoveryWindowInDays")(call)
    return {**window, "secretsmanager:ForceDeleteWithoutRecovery": (forced,)}


def _value(call: Call) -> Keys:
    stage = call.get("VersionStage") or ("" if call.get("VersionId") else "AWSCURRENT")
    keys: Keys = {"secretsmanager:VersionStage": (stage,)} if stage else {}
    return {**keys, **keys_from(VersionId="secretsmanager:VersionId")(call)}


def _policy(call: Call) -> Keys:
    return {"secretsmanager:BlockPublicPolicy": (as_text(call.flag("BlockPublicPolicy")),)}


def _invokes_rotation(call: Call) -> Iterator[Need]:
    if call.get("RotationLambdaARN"):
        yield Need("lambda:InvokeFunction", call.text("RotationLambdaARN"))


_description = keys_from(Description="secretsmanager:Description")

TABLE: Table = {
    **anywhere("ListSecrets GetRandomPassword"),
    "BatchGetSecretValue": Row(lambda _call: [Target("*", {})], also=(_batch,)),
    "CreateSecret": Row(
        _new,
        keys=join_keys(
            _tags, _asked_key, _description, _replicas, keys_from(Name="secretsmanager:Name")
        ),
        also=(when("Tags", onto("secretsmanager:TagResource", _new, _tags)), _new_value_key),
    ),
    "GetSecretValue": Row(_secret, keys=_value, also=(_decrypts,)),
    "PutSecretValue": Row(_secret, also=(_new_value_key,)),
    "UpdateSecret": Row(
        _secret,
        keys=join_keys(_asked_key, _description),
        also=(_new_value_key, _opens_for_another_key),
    ),
    "DeleteSecret": Row(_secret, keys=_deletion),
    "PutResourcePolicy": Row(_secret, keys=_policy),
    "RotateSecret": Row(
        _secret,
        keys=keys_from(RotationLambdaARN="secretsmanager:RotationLambdaARN"),
        also=(_invokes_rotation,),
    ),
    "UpdateSecretVersionStage": Row(
        _secret, keys=keys_from(VersionStage="secretsmanager:VersionStage")
    ),
    **same(
        "DeleteResourcePolicy DescribeSecret GetResourcePolicy ListSecretVersionIds RestoreSecret",
        Row(_secret),
    ),
    "ValidateResourcePolicy": Row(
        lambda call: _secret(call) if call.get("SecretId") else [Target("*", {})]
    ),
    "TagResource": Row(_secret, keys=_tags),
    "UntagResource": Row(_secret, keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
