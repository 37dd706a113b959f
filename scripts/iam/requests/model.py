"""What a request is, what it needs, and what must be known of the account to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Keys = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class HttpRequest:
    """One HTTP request to an AWS endpoint, already authenticated.

    `path` is still percent-encoded, as sent; `query` holds decoded pairs in order; header names
    are lower-case. `service` is the signing name in the signature's scope ("ec2", "monitoring",
    ...), and "s3" for an unsigned request to S3.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    service: str
    region: str
    account: str


@dataclass(frozen=True)
class Need:
    """One permission that AWS would check: an action on a resource, with the condition keys
    that stem from the request or the resource (not those of the caller). `unknown` are keys that
    AWS sets to what nobody knows here; one that ends in `/` or `:` stands for all below it."""

    action: str
    resource: str
    context: Keys = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What was understood of a request. Only this is authorised, and only this is carried out:
    `rebuild.rebuilt` writes a new request from it.

    `parameters` stand under AWS's own names, in the types of AWS's model of the operation.
    """

    request: HttpRequest
    operation: str
    protocol: str
    parameters: Mapping[str, Any]


class Malformed(ValueError):
    """A request that AWS itself refuses; `code` is AWS's, None for its protocol's usual one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Unmapped(Exception):
    """No row says which permissions this operation needs, so it must be refused."""

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            f"no permission mapping for {service}:{operation}; "
            f"add a row to the {service} table in scripts/iam/requests"
        )
        self.service = service
        self.operation = operation


class Account(Protocol):
    """Facts of the account that a request alone does not carry.

    `describe` is for facts that only one service has. It gets the ARN that a request implies and
    returns None when there is no such resource; every fact is optional:

    | ARN of                         | facts                                                      |
    |--------------------------------|------------------------------------------------------------|
    | IAM role, user, policy,        | arn (the real one, with its path), permissions_boundary    |
    | instance profile (by name)     |                                                            |
    | EC2 subnet, security group,    | vpc (id), availability_zone                                |
    | route table, interface         |                                                            |
    | EC2 vpc                        | default_group (id)                                         |
    | EC2 vpc/default                | vpc (id), subnets ({availability zone: id of its default}) |
    | EC2 vpc-endpoint               | vpc (id), private_dns                                      |
    | EC2 snapshot, volume           | kms_key (id, ARN or alias)                                 |
    | EC2 instance                   | instance_profile (ARN), instance_type, availability_zone,  |
    |                                | volumes ({device: id})                                     |
    | EC2 route-table-association/ID | route_table, subnet (ids; or the gateway's)                |
    | EC2 address-association/ID     | allocation, interface (ids)                                |
    | EC2 iam-instance-profile-      | instance (id)                                              |
    |   association/ID               |                                                            |
    | EC2 launch-template/NAME       | id                                                         |
    | RDS db, snapshot               | class, engine, engine_version, multi_az, storage_encrypted,|
    |                                | storage_size, database (its DBName), secret (ARN),         |
    |                                | copies_tags (to its snapshots)                             |
    | autoScalingGroup:*:            | arn (the real one), subnets (ids)                          |
    |   autoScalingGroupName/NAME    |                                                            |
    | S3 bucket                      | bucket_key_enabled                                         |
    | S3 bucket, /?uploadId=ID       | key (ARN; None for SSE-S3), checksum (whether it has one), |
    |                                | context                                                    |
    | S3 object, /?versionId=ID      | tags of this version, context that it was encrypted in     |
    |   (none: the newest)           |                                                            |
    | KMS key                        | manager ("AWS" or "CUSTOMER"), spec, usage, origin,        |
    |                                | multi_region, aliases (names)                              |
    | KMS ciphertext/BASE64          | key (ARN) that made this ciphertext                        |
    | budget                         | billing_view (ARN)                                         |
    | SNS topic                      | kms_key (id, ARN or alias)                                 |
    | SSM document                   | type                                                       |
    | SSM parameter/PATH             | keys ({name: key} of the SecureStrings under the path),    |
    |                                | versions (keys of the versions of the parameter at it)     |
    """

    account_id: str
    region: str

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """Tags of a resource (S3 objects too); None: there is no such resource."""

    def instance_profile_role(self, profile: str) -> str | None:
        """Role ARN of an instance profile named by name or ARN."""

    def launch_template_data(self, id_or_name: str, version: str) -> Mapping[str, Any] | None:
        """Launch template data in the words of EC2's API (ImageId, TagSpecifications, ...);
        `version` may be $Latest or $Default."""

    def bucket_key(self, bucket: str) -> str | None:
        """KMS key ARN of a bucket's default encryption; None for SSE-S3."""

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        """KMS key ARN that an existing object is encrypted with; None for SSE-S3."""

    def parameter_key(self, name: str) -> str | None:
        """KMS key ARN of an SSM SecureString, or of the version that `name:version` or `name:label`
        names; None for other types."""

    def secret_key(self, arn_or_name: str) -> str | None:
        """KMS key ARN of a secret; None if there is no such secret."""

    def secret_arn(self, name_or_arn: str) -> str | None:
        """Whole ARN of a secret named by name, whole ARN or ARN without its suffix."""

    def key_arn(self, id_or_alias: str) -> str | None:
        """Key ARN for a KMS key id, key ARN, alias name or alias ARN."""

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        """See the table above."""
