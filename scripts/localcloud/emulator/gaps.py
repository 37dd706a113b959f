"""What moto leaves out or answers wrongly, and this platform needs; each with its reason."""

import base64
import copy
import inspect
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.budgets.exceptions import NotFoundException
from moto.budgets.responses import BudgetsResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.utils import parse_user_data
from moto.iam.models import AWSManagedPolicy, IAMBackend, User, iam_backends
from moto.iam.responses import IamResponse
from moto.kms.models import kms_backends
from moto.logs.exceptions import ResourceNotFoundException as LogGroupNotFound
from moto.logs.models import LogsBackend
from moto.rds.exceptions import KMSKeyNotAccessibleFault
from moto.rds.models import DBInstance, DBParameterGroup, MasterUserSecret, RDSBackend
from moto.s3.exceptions import S3ClientError
from moto.s3.models import (
    FakeBucket,
    FakeDeleteMarker,
    PublicAccessBlock,
    S3Backend,
    get_canned_acl,
    s3_backends,
)
from moto.s3.responses import S3Response
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.ssm.models import Documents, SimpleSystemManagerBackend

from scripts.iam.engine.documents import PolicyError, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, Unsupported, evaluate
from scripts.iam.requests.row import LINKED
from scripts.localcloud.emulator import launches

# Without its protection, which does not keep a group from ending its own instances.
_OF_TEMPLATE = ("IamInstanceProfile", "MetadataOptions")
LOG_DELIVERY = "logging.s3.amazonaws.com"
ACCESS_LOG_SECONDS = 30.0
"""From one delivery of a bucket's access logs to the next."""


@contextmanager
def filled() -> Iterator[None]:
    """Change moto while the context lasts."""
    with ExitStack() as stack:
        for change in _CHANGES:
            change(stack)
        yield


def _give_instances_of_a_group_what_their_template_says(stack: ExitStack) -> None:
    """Moto's groups start instances without their template's profile, options and groups.

    A group whose template was deleted stays, and starts none; moto fails.
    """
    original = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def replace(self: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        template = self.ec2_launch_template
        if template is not None and template.id not in self.ec2_backend.launch_templates:
            return
        before = {state.instance.id for state in self.instance_states}
        original(self, count_needed, propagated_tags)
        if template is None:
            return
        data = template.get_version(self.launch_template_version).data
        for state in self.instance_states:
            if state.instance.id not in before:
                started = {name: data[name] for name in _OF_TEMPLATE if name in data}
                launches.apply(self.ec2_backend, state.instance, started)
                if groups := _groups_of(self.ec2_backend, data):
                    self.ec2_backend.modify_instance_security_groups(state.instance.id, groups)

    stack.enter_context(
        patch.object(FakeAutoScalingGroup, "replace_autoscaling_group_instances", replace)
    )


def _groups_of(ec2: Any, data: dict[str, Any]) -> list[str]:
    """The security groups of a launch template that are there."""
    interfaces = data.get("NetworkInterfaces") or ()
    named = [*(data.get("SecurityGroupIds") or ())]
    named += [group for one in interfaces for group in one.get("Groups") or ()]
    return [name for name in named if ec2.get_security_group_from_id(name)]


def _end_an_instances_own_interface_with_it(stack: ExitStack) -> None:
    """Delete the interface that a launch made; moto leaves it, which keeps its subnet.

    Terminating a terminated instance must be a no-op, as on AWS; moto terminates it again.
    """
    original, end = Instance.prep_nics, Instance.terminate

    def prep_nics(self: Any, nic_spec: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        given = next((nic for nic in nic_spec if int(nic.get("DeviceIndex") or 0) == 0), {})
        kept = given.get("DeleteOnTermination") is False or given.get("NetworkInterfaceId")
        original(self, nic_spec, *args, **kwargs)
        if not kept and 0 in self.nics:
            self.nics[0].delete_on_termination = True

    def terminate(self: Any) -> Any:
        return copy.copy(self._state) if self.state == "terminated" else end(self)

    stack.enter_context(patch.object(Instance, "prep_nics", prep_nics))
    stack.enter_context(patch.object(Instance, "terminate", terminate))


def _end_what_belongs_to_a_group_with_it(stack: ExitStack) -> None:
    """Moto keeps a deleted scaling group's actions, policies and hooks, and a deleted log group's
    metric filters: a namesake would have them.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html
    """
    scaled, logged = AutoScalingBackend.delete_auto_scaling_group, LogsBackend.delete_log_group

    def delete_scaling_group(self: Any, group_name: str) -> None:
        scaled(self, group_name)
        for owned in (self.scheduled_actions, self.policies, self.lifecycle_hooks):
            for key, one in list(owned.items()):
                if one.auto_scaling_group_name == group_name:
                    del owned[key]

    def delete_log_group(self: Any, log_group_name: str) -> None:
        logged(self, log_group_name)
        kept = [one for one in self.filters.metric_filters if one["logGroupName"] != log_group_name]
        self.filters.metric_filters[:] = kept

    stack.enter_context(
        patch.object(AutoScalingBackend, "delete_auto_scaling_group", delete_scaling_group)
    )
    stack.enter_context(patch.object(LogsBackend, "delete_log_group", delete_log_group))


def _refresh_instances_of_a_group(stack: ExitStack) -> None:
    """Moto has no instance refresh, by which Terraform rolls out a new launch template.

    Here it is done when it is asked for: old instances end, the group starts new ones.
    """

    def start(self: Any) -> ActionResult:
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        refresh = {
            "InstanceRefreshId": secrets.token_hex(16),
            "AutoScalingGroupName": group.name,
            "Status": "Successful",
            "StartTime": utcnow(),
            "EndTime": utcnow(),
            "PercentageComplete": 100,
            "InstancesToUpdate": 0,
        }
        group.__dict__.setdefault("keyless_refreshes", []).insert(0, refresh)
        for state in list(group.instance_states):
            self.autoscaling_backend.terminate_instance(state.instance.id, False)
        return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})

    def describe(self: Any) -> ActionResult:
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        wanted = self._get_param("InstanceRefreshIds", [])
        refreshes = [
            refresh
            for refresh in group.__dict__.get("keyless_refreshes", [])
            if not wanted or refresh["InstanceRefreshId"] in wanted
        ]
        return ActionResult({"InstanceRefreshes": refreshes})

    _add(stack, AutoScalingResponse, "start_instance_refresh", start)
    _add(stack, AutoScalingResponse, "describe_instance_refreshes", describe)


def _tell_who_hears_of_a_budget(stack: ExitStack) -> None:
    """Moto keeps the subscribers of a budget's notifications and does not list them."""

    def describe(self: Any) -> str:
        budget = self.backend.budgets[self.current_account][self._get_param("BudgetName")]
        wanted = self._get_param("Notification")
        for notification in budget.notifications:
            if all(notification.details.get(key) == value for key, value in wanted.items()):
                return json.dumps({"Subscribers": notification.subscribers})
        raise NotFoundException("Unable to find notification.")

    _add(stack, BudgetsResponse, "describe_subscribers_for_notification", describe)


def _keep_tags_of_budgets(stack: ExitStack) -> None:
    """Moto's budgets have no tags, and the provider reads them after each change."""
    original = BudgetsResponse.create_budget

    def found(self: Any) -> dict[str, str]:
        _, _, name = self._get_param("ResourceARN").partition(":budget/")
        budget = self.backend.budgets[self.current_account][name]
        tags: dict[str, str] = budget.__dict__.setdefault("keyless_tags", {})
        return tags

    def create(self: Any) -> str:
        answer: str = original(self)
        name = self._get_param("Budget")["BudgetName"]
        tags = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
        self.backend.budgets[self.current_account][name].keyless_tags = tags
        return answer

    def list_tags(self: Any) -> str:
        tags = [{"Key": key, "Value": value} for key, value in found(self).items()]
        return json.dumps({"ResourceTags": tags})

    def tag(self: Any) -> str:
        found(self).update({t["Key"]: t["Value"] for t in self._get_param("ResourceTags") or []})
        return "{}"

    def untag(self: Any) -> str:
        for key in self._get_param("ResourceTagKeys") or []:
            found(self).pop(key, None)
        return "{}"

    stack.enter_context(patch.object(BudgetsResponse, "create_budget", create))
    _add(stack, BudgetsResponse, "list_tags_for_resource", list_tags)
    _add(stack, BudgetsResponse, "tag_resource", tag)
    _add(stack, BudgetsResponse, "untag_resource", untag)


def _give_each_database_its_own_identity(stack: ExitStack) -> None:
    """Moto gives all databases one id: a right to connect to one would open every other."""
    original = DBInstance.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.dbi_resource_id = "db-" + base64.b32encode(secrets.token_bytes(17)).decode()[:26]

    stack.enter_context(patch.object(DBInstance, "__init__", init))


def _make_managed_passwords_random(stack: ExitStack) -> None:
    """Moto gives every managed master user the same name and password."""

    def generate(self: Any) -> str:
        name = getattr(self.resource, "master_username", None) or "admin"
        return json.dumps({"username": name, "password": secrets.token_urlsafe(24)})

    stack.enter_context(patch.object(MasterUserSecret, "_generate_secret_string", generate))


def _mark_parameters_as_set_by_the_user(stack: ExitStack) -> None:
    """Without its source, the provider takes a parameter for a default and sets it again.

    What equals RDS's default is the system's, and waits for a reboot whatever the caller said.
    https://github.com/hashicorp/terraform-provider-aws/issues/39252
    """
    original = DBParameterGroup.update_parameters

    def update(self: Any, new_parameters: Any) -> None:
        normal = {"Source": "system", "ApplyMethod": "pending-reboot"}
        original(
            self,
            [
                {"Source": "user", **one, **(normal if _is_default(self.family, one) else {})}
                for one in new_parameters
            ],
        )

    stack.enter_context(patch.object(DBParameterGroup, "update_parameters", update))


def _is_default(family: str | None, parameter: Mapping[str, Any]) -> bool:
    """Whether a parameter has the value that RDS gives it, as far as that is documented.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
    """
    release = (family or "").removeprefix("postgres")
    forces = "1" if release.isdigit() and int(release) >= 15 else "0"
    return (parameter["ParameterName"], parameter["ParameterValue"]) == ("rds.force_ssl", forces)


def _keep_a_templates_own_tags_out_of_its_data(stack: ExitStack) -> None:
    """Moto adds the tags of the launch template to those of the instances it starts.

    They then seem to be removed at each plan, and AWS does not know the type there.
    """
    original = LaunchTemplate.create_version

    def create(self: Any, data: dict[str, Any], description: str) -> Any:
        specifications = data.get("TagSpecifications")
        if specifications:
            data["TagSpecifications"] = [
                specification
                for specification in specifications
                if specification.get("ResourceType") != "launch-template"
            ]
        return original(self, data, description)

    stack.enter_context(patch.object(LaunchTemplate, "create_version", create))


def _read_the_user_data_of_a_templates_later_versions(stack: ExitStack) -> None:
    """Moto reads user data as base64 in a template's first version only.

    A group whose template has a second version then starts no instance: an assertion fails.
    """
    original = LaunchTemplate.create_version

    def create(self: Any, data: dict[str, Any], description: str) -> Any:
        if isinstance(data.get("UserData"), str):
            data["UserData"] = parse_user_data(data["UserData"])
        return original(self, data, description)

    stack.enter_context(patch.object(LaunchTemplate, "create_version", create))


def _keep_descriptions_of_rules(stack: ExitStack) -> None:
    """Moto forgets the description of a rule that names a group or a prefix list."""
    original = SecurityGroupRule.__init__

    signature = inspect.signature(original)

    @wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        given["self"].keyless_prefix_list = given.get("prefix_list_id") or {}

    def description(self: Any) -> str | None:
        for source in (self.ip_range, self.source_group, self.keyless_prefix_list):
            if source.get("Description"):
                return str(source["Description"])
        return None

    stack.enter_context(patch.object(SecurityGroupRule, "__init__", init))
    stack.enter_context(patch.object(SecurityGroupRule, "description", property(description)))


def _move_the_routes_of_a_gateway_endpoint(stack: ExitStack) -> None:
    """Moto changes an endpoint's list of route tables, and no route in them.

    Its deletion then looks for the missing route and fails.
    https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
    """
    original = VPCEndPoint.modify

    def modify(self: Any, *args: Any, **kwargs: Any) -> None:
        before = list(self.route_table_ids or ())
        original(self, *args, **kwargs)
        if (to := self.destination_prefix_list_id) is None:
            return
        for table in set(before) - set(self.route_table_ids):
            self.ec2_backend.delete_route(table, to)
        for table in set(self.route_table_ids) - set(before):
            self.ec2_backend.create_route(
                table, None, gateway_id=self.id, destination_prefix_list_id=to
            )

    stack.enter_context(patch.object(VPCEndPoint, "modify", modify))


def _free_the_address_of_a_deleted_nat_gateway(stack: ExitStack) -> None:
    """Moto leaves a deleted NAT gateway its address and its interface, which keeps its subnet.

    https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-working-with.html
    """
    original = NatGatewayBackend.delete_nat_gateway

    def delete(self: Any, nat_gateway_id: str) -> Any:
        gateway = original(self, nat_gateway_id)
        for address in gateway.address_set:
            if association := address.get("associationId"):
                self.disassociate_address(association_id=association)
        self.enis.pop(gateway._eni.id, None)
        return gateway

    stack.enter_context(patch.object(NatGatewayBackend, "delete_nat_gateway", delete))


def _copy_no_snapshot_without_its_key(stack: ExitStack) -> None:
    """Moto copies a snapshot whatever became of its key; KMS does nothing with one that must wait.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    """
    original = RDSBackend.copy_db_snapshot

    def copy_db_snapshot(
        self: Any, source_db_snapshot_identifier: str, *args: Any, **kwargs: Any
    ) -> Any:
        source = self.get_db_snapshot(source_db_snapshot_identifier)
        key = source.kms_key_id
        if key and self.kms.describe_key(key).key_state != "Enabled":
            raise KMSKeyNotAccessibleFault(key)
        return original(self, source_db_snapshot_identifier, *args, **kwargs)

    stack.enter_context(patch.object(RDSBackend, "copy_db_snapshot", copy_db_snapshot))


def _keep_how_many_old_versions_a_rule_spares(stack: ExitStack) -> None:
    """Moto drops NewerNoncurrentVersions from the expiration of old versions."""
    original_set, original_get = FakeBucket.set_lifecycle, S3Response.get_bucket_lifecycle

    def set_lifecycle(self: Any, rules: list[dict[str, Any]]) -> None:
        original_set(self, rules)
        for rule, given in zip(self.rules, rules, strict=True):
            expiration = given.get("NoncurrentVersionExpiration") or {}
            rule.keyless_spared = expiration.get("NewerNoncurrentVersions")

    def get_lifecycle(self: Any) -> Any:
        def serialized(answer: Any) -> Any:
            rules = self.backend.get_bucket_lifecycle(self.bucket_name)
            for shown, rule in zip(answer.result["Rules"], rules, strict=True):
                if rule.keyless_spared is not None:
                    shown["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] = (
                        rule.keyless_spared
                    )
            return S3Response.serialized(self, answer)

        with patch.object(self, "serialized", serialized):
            return original_get(self)

    stack.enter_context(patch.object(FakeBucket, "set_lifecycle", set_lifecycle))
    stack.enter_context(patch.object(S3Response, "get_bucket_lifecycle", get_lifecycle))


def _deliver_access_logs_in_batches(stack: ExitStack) -> None:
    """Moto writes an object for each request, tens of thousands in an hour, and each listing of
    their bucket copies them all. AWS puts many records into an object, some time later.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
    """
    original = S3Backend.log_incoming_request
    waiting: dict[tuple[str, str], list[str]] = {}
    delivered: dict[tuple[str, str], float] = {}

    def log(self: Any, request: Any, bucket_name: str) -> None:
        def keep(target: str, key: str, value: str) -> None:
            source = self.get_bucket(bucket_name)
            if not _may_deliver(source, self.get_bucket(target), key):
                return
            place = (self.account_id, target)
            waiting.setdefault(place, []).append(value)
            if time.monotonic() - delivered.get(place, -math.inf) >= ACCESS_LOG_SECONDS:
                delivered[place] = time.monotonic()
                self.put_object(target, key, value="\n".join(waiting.pop(place)).encode())

        writer: Any = SimpleNamespace(get_bucket=self.get_bucket, put_object=keep)
        original(writer, request, bucket_name)

    stack.enter_context(patch.object(S3Backend, "log_incoming_request", log))


def _may_deliver(source: Any, target: Any, key: str) -> bool:
    """Whether the policy of a bucket lets the access logs of another one in; moto passes its
    conditions over.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    if not target.policy:
        return False
    text = target.policy.decode() if isinstance(target.policy, bytes) else str(target.policy)
    service = Principal(LOG_DELIVERY, "", "service", service=LOG_DELIVERY)
    keys = {
        "aws:PrincipalIsAWSService": ("true",),
        "aws:SecureTransport": ("true",),
        "aws:SourceAccount": (str(source.account_id),),
        "aws:SourceArn": (str(source.arn),),
    }
    asked = Request(service, "s3:PutObject", f"{target.arn}/{key}", keys, str(target.account_id))
    try:
        policy = parse_policy(text, name=target.name, kind="resource", stored=True)
        return evaluate(asked, PolicySet(resource=(policy,))).allowed
    except (PolicyError, Unsupported):
        return False


def _tell_who_pays_for_requests(stack: ExitStack) -> None:
    """Moto lists the bucket's objects when it is asked who pays; the provider asks at each plan."""
    original = S3Response._bucket_response_get

    def get(self: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        if "requestPayment" not in querystring:
            return original(self, bucket_name, querystring)
        self.backend.get_bucket(bucket_name)
        self.data["Action"] = "GetBucketRequestPayment"
        return self.serialized(ActionResult({"Payer": "BucketOwner"}))

    stack.enter_context(patch.object(S3Response, "_bucket_response_get", get))


def _tell_how_long_an_object_is_kept(stack: ExitStack) -> None:
    """Moto answers the question for an object's retention with the object."""
    original = S3Response._key_response_get

    def get(self: Any, query: dict[str, Any], key_name: str) -> Any:
        if "retention" not in query:
            return original(self, query, key_name)
        key, _ = self._get_key(validate_storage_class=False)
        if not key.lock_mode:
            raise S3ClientError(
                "NoSuchObjectLockConfiguration",
                "The specified object does not have a ObjectLock configuration",
            )
        self.data["Action"] = "GetObjectRetention"
        return self.serialized(
            ActionResult({"Retention": {"Mode": key.lock_mode, "RetainUntilDate": key.lock_until}})
        )

    stack.enter_context(patch.object(S3Response, "_key_response_get", get))


def _find_documents_by_arn_and_default(stack: ExitStack) -> None:
    """Moto finds a document by its name, and knows $LATEST but not $DEFAULT."""
    found, version = SimpleSystemManagerBackend._get_documents, Documents.find

    def get(self: Any, name: str) -> Any:
        return found(self, name.rpartition(":document/")[2] or name)

    def find(self: Any, document_version: str | None = None, *args: Any, **kwargs: Any) -> Any:
        asked = self.default_version if document_version == "$DEFAULT" else document_version
        return version(self, asked, *args, **kwargs)

    stack.enter_context(patch.object(SimpleSystemManagerBackend, "_get_documents", get))
    stack.enter_context(patch.object(Documents, "find", find))


@cache
def _aws_policies() -> dict[str, tuple[str, dict[str, Any]]]:
    """AWS's managed policies by ARN, with their names, as moto's makers collected them."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    collected = json.loads(aws_managed_policies_data)
    return {
        f"arn:aws:iam::aws:policy{data['Path']}{name}": (name, data)
        for name, data in collected.items()
    }


def know_aws_policy(iam: Any, arn: str | None) -> None:
    """Put one of AWS's managed policies into the account, where a call names it.

    All of them would show up in every listing, and take seconds to read at each start.
    """
    if arn is None or not arn.startswith("arn:aws:iam::aws:policy/"):
        return
    if arn not in iam.managed_policies and arn in _aws_policies():
        name, data = _aws_policies()[arn]
        made = AWSManagedPolicy.from_data(name, iam.account_id, iam.region_name, dict(data))
        iam.managed_policies[arn] = made


def _know_aws_policies_when_they_are_named(stack: ExitStack) -> None:
    """Moto has AWS's own managed policies only all at once, by a variable of its environment."""
    for name in _NAMING_POLICIES:
        stack.enter_context(patch.object(IAMBackend, name, _knowing(name)))


_NAMING_POLICIES = (
    "attach_group_policy", "attach_role_policy", "attach_user_policy", "get_policy",
    "get_policy_version", "list_policy_versions",
)  # fmt: skip


def _knowing(name: str) -> Callable[..., Any]:
    original = getattr(IAMBackend, name)

    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            know_aws_policy(self, value if isinstance(value, str) else None)
        return original(self, *args, **kwargs)

    return method


def _keep_the_ids_of_the_deleted(stack: ExitStack) -> None:
    """AWS stores principals by id: a role made again under a deleted one's name is not trusted.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    original = User.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        # Moto's ids of users do not look like AWS's, which tell a user by their beginning.
        self.id = "AIDA" + base64.b32encode(secrets.token_bytes(10)).decode()

    stack.enter_context(patch.object(User, "__init__", init))
    renamed = _following(IAMBackend.update_user)
    stack.enter_context(patch.object(IAMBackend, "update_user", renamed))
    for name, kind in (("delete_role", "roles"), ("delete_user", "users")):
        stack.enter_context(patch.object(IAMBackend, name, _leaving_ids(name, kind)))


def _leave_a_deleted_boundary_deleted(stack: ExitStack) -> None:
    """A boundary that was deleted allows nothing, also when a policy of its name is made again."""
    original = IAMBackend.delete_policy

    def delete(self: Any, policy_arn: str) -> None:
        original(self, policy_arn)
        for one in (*self.roles.values(), *self.users.values()):
            if getattr(one, "permissions_boundary_arn", None) == policy_arn:
                one.permissions_boundary_arn = f"{policy_arn}+{secrets.token_hex(8)}"

    stack.enter_context(patch.object(IAMBackend, "delete_policy", delete))


def _leaving_ids(name: str, kind: str) -> Callable[..., Any]:
    original = getattr(IAMBackend, name)

    @wraps(original)
    def method(self: Any, given: str, *args: Any, **kwargs: Any) -> Any:
        gone = [one for one in getattr(self, kind).values() if one.name == given]
        result = original(self, given, *args, **kwargs)
        for one in gone:
            _replace_principal(self.account_id, one.arn, one.id)
        return result

    return method


def _following(original: Callable[..., None]) -> Callable[..., None]:
    """A renamed user is who it was: policies that trust it follow it to its new name."""

    @wraps(original)
    def update(self: Any, user_name: str, *args: Any, **kwargs: Any) -> None:
        user = self.users.get(user_name)
        before = user.arn if user else ""
        original(self, user_name, *args, **kwargs)
        if user and user.arn != before:
            _replace_principal(self.account_id, before, user.arn)
            for key in user.access_keys:
                key.user_name = user.name

    return update


def _replace_principal(account: str, arn: str, unique_id: str) -> None:
    """Write the id in place of the ARN, wherever a policy names it as principal."""
    for role in iam_backends[account]["aws"].roles.values():
        role.assume_role_policy_document = _renamed(
            role.assume_role_policy_document, arn, unique_id
        )
    for bucket in s3_backends[account]["aws"].buckets.values():
        bucket.policy = _renamed(bucket.policy, arn, unique_id)
    for kms in list(kms_backends[account].values()):
        for key in kms.keys.values():
            key.policy = _renamed(key.policy, arn, unique_id)
    for sns in list(sns_backends[account].values()):
        for topic in sns.topics.values():
            topic.policy = _renamed(topic.policy, arn, unique_id)
    for manager in list(secretsmanager_backends[account].values()):
        for secret in dict.values(manager.secrets):
            if text := getattr(secret, "policy", None):
                setattr(secret, "policy", _renamed(text, arn, unique_id))  # noqa: B010


def _renamed(document: Any, arn: str, unique_id: str) -> Any:
    text = document.decode() if isinstance(document, bytes) else document
    if not text or arn not in text:
        return document
    content = json.loads(text)
    statements = content.get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                names = principal["AWS"]
                listed = names if isinstance(names, list) else [names]
                changed = [unique_id if name == arn else name for name in listed]
                principal["AWS"] = changed if isinstance(names, list) else changed[0]
    written = json.dumps(content)
    return written.encode() if isinstance(document, bytes) else written


def _add(stack: ExitStack, target: Any, name: str, method: Callable[..., Any]) -> None:
    """Add a method that must not exist yet, so that a newer moto's own one is noticed."""
    if hasattr(target, name):
        raise RuntimeError(f"moto now has {target.__name__}.{name}; remove the one here")
    stack.enter_context(patch.object(target, name, method, create=True))


def _change_the_audiences_of_a_provider(stack: ExitStack) -> None:
    """Moto cannot add an audience to a provider that others made, nor take one away.

    Neither is an error where nothing changes:
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
    """

    def audiences(self: Any) -> list[str]:
        arn = self._get_param("OpenIDConnectProviderArn")
        found: list[str] = self.backend.get_open_id_connect_provider(arn).client_id_list
        return found

    def add(self: Any) -> EmptyResult:
        if (audience := self._get_param("ClientID")) not in audiences(self):
            audiences(self).append(audience)
        return EmptyResult()

    def remove(self: Any) -> EmptyResult:
        if (audience := self._get_param("ClientID")) in audiences(self):
            audiences(self).remove(audience)
        return EmptyResult()

    _add(stack, IamResponse, "add_client_id_to_open_id_connect_provider", add)
    _add(stack, IamResponse, "remove_client_id_from_open_id_connect_provider", remove)


def _list_service_specific_credentials(stack: ExitStack) -> None:
    """Moto has none to list. Terraform asks before it deletes a user with `force_destroy`."""

    def listed(self: Any) -> ActionResult:
        if name := self._get_param("UserName"):
            self.backend.get_user(name)
        return ActionResult({"ServiceSpecificCredentials": [], "IsTruncated": False})

    _add(stack, IamResponse, "list_service_specific_credentials", listed)


def _block_public_access_to_new_buckets(stack: ExitStack) -> None:
    """Since April 2023 every new bucket blocks public access; moto's has no settings at all.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    original = S3Backend.create_bucket

    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        bucket = original(self, *args, **kwargs)
        if bucket.public_access_block is None:
            bucket.public_access_block = PublicAccessBlock(*[True] * 4)
        return bucket

    stack.enter_context(patch.object(S3Backend, "create_bucket", create))


def _find_a_log_group_by_its_identifier(stack: ExitStack) -> None:
    """Moto takes the last group of all, whatever ARN is asked for, and knows no bare name."""
    original = LogsBackend._find_log_group

    def find(self: Any, log_group_id: str | None = None, log_group_name: str | None = None) -> Any:
        if log_group_id and not log_group_name:
            log_group_name = log_group_id.removesuffix(":*").rpartition(":log-group:")[2]
            if not self.groups.get(log_group_name):
                raise LogGroupNotFound
        return original(self, None, log_group_name)

    stack.enter_context(patch.object(LogsBackend, "_find_log_group", find))


def _bound_users(stack: ExitStack) -> None:
    """Moto makes a user with a permissions boundary and forgets the boundary."""
    original = IamResponse.create_user

    def bound(user: Any, arn: str | None) -> None:
        user.permissions_boundary_arn = arn
        user.permissions_boundary = arn and {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": arn,
        }

    def create(self: Any) -> Any:
        answer = original(self)
        if arn := self._get_param("PermissionsBoundary"):
            bound(self.backend.get_user(self._get_param("UserName")), arn)
        return answer

    def put(self: Any) -> EmptyResult:
        user = self.backend.get_user(self._get_param("UserName"))
        self.backend.get_policy(self._get_param("PermissionsBoundary"))
        bound(user, self._get_param("PermissionsBoundary"))
        return EmptyResult()

    def delete(self: Any) -> EmptyResult:
        bound(self.backend.get_user(self._get_param("UserName")), None)
        return EmptyResult()

    stack.enter_context(patch.object(IamResponse, "create_user", create))
    _add(stack, IamResponse, "put_user_permissions_boundary", put)
    _add(stack, IamResponse, "delete_user_permissions_boundary", delete)


def _forget_delete_markers_too(stack: ExitStack) -> None:
    """Moto releases the content of every version that goes, and a delete marker has none."""
    _add(stack, FakeDeleteMarker, "dispose", lambda *_, **__: None)


def _name_service_linked_roles(stack: ExitStack) -> None:
    """Moto makes names of its own (`AWSServiceRoleForrds`), which no policy knows."""
    original = IAMBackend.create_service_linked_role

    def create(self: Any, service_name: str, *args: Any) -> Any:
        role = original(self, service_name, *args)
        role.name = LINKED.get(service_name, role.name)
        return role

    stack.enter_context(patch.object(IAMBackend, "create_service_linked_role", create))


def _tell_who_owns_what(stack: ExitStack) -> None:
    """Moto keeps no access control list of what was uploaded in parts, and a new bucket without
    the setting that S3 gives it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    original_acl, original_init = S3Backend.get_object_acl, FakeBucket.__init__

    def get(self: Any, key: Any) -> Any:
        return original_acl(self, key) or get_canned_acl("private")

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original_init(self, *args, **kwargs)
        self.ownership_rule = "BucketOwnerEnforced"

    stack.enter_context(patch.object(S3Backend, "get_object_acl", get))
    stack.enter_context(patch.object(FakeBucket, "__init__", wraps(original_init)(init)))


_CHANGES: tuple[Callable[[ExitStack], None], ...] = (
    _change_the_audiences_of_a_provider,
    _list_service_specific_credentials,
    _forget_delete_markers_too,
    _name_service_linked_roles,
    _tell_who_owns_what,
    _block_public_access_to_new_buckets,
    _find_a_log_group_by_its_identifier,
    _bound_users,
    _find_documents_by_arn_and_default,
    _keep_the_ids_of_the_deleted,
    _leave_a_deleted_boundary_deleted,
    _know_aws_policies_when_they_are_named,
    _deliver_access_logs_in_batches,
    _tell_who_pays_for_requests,
    _tell_how_long_an_object_is_kept,
    _give_instances_of_a_group_what_their_template_says,
    _end_an_instances_own_interface_with_it,
    _end_what_belongs_to_a_group_with_it,
    _refresh_instances_of_a_group,
    _tell_who_hears_of_a_budget,
    _keep_tags_of_budgets,
    _give_each_database_its_own_identity,
    _make_managed_passwords_random,
    _mark_parameters_as_set_by_the_user,
    _keep_a_templates_own_tags_out_of_its_data,
    _read_the_user_data_of_a_templates_later_versions,
    _keep_descriptions_of_rules,
    _move_the_routes_of_a_gateway_endpoint,
    _free_the_address_of_a_deleted_nat_gateway,
    _copy_no_snapshot_without_its_key,
    _keep_how_many_old_versions_a_rule_spares,
)
