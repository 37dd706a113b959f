"""What the gateway allows: identity, boundary, session and resource policies, and the shapes."""

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from scripts.localcloud.sts.issuer import Job
from tests.localcloud.clients import Account, statement

BUCKET = "gated"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"


@pytest.fixture(scope="module", autouse=True)
def bucket(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key in ("a", "b", "private/c"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")


def bucket_policy(account: Account, name: str, *statements: dict[str, Any]) -> None:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    account.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(document))


def refusal(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, int, str]:
    response = refused.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_a_session_without_permissions_may_nothing(account: Account) -> None:
    credentials = account.session("nothing")
    with pytest.raises(ClientError) as refused:
        account.client("s3", credentials).get_object(Bucket=BUCKET, Key="a")
    user = f"arn:aws:sts::{account.cloud.account_id}:assumed-role/nothing/test"
    assert refusal(refused) == (
        "AccessDenied",
        403,
        f"User: {user} is not authorized to perform: s3:GetObject on resource: "
        f'"arn:aws:s3:::{BUCKET}/a" because no identity-based policy allows the s3:GetObject '
        "action",
    )


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "status"),
    [
        ("ec2", "describe_vpcs", {}, "UnauthorizedOperation", 403),
        ("iam", "list_roles", {}, "AccessDenied", 403),
        ("rds", "describe_db_instances", {}, "AccessDenied", 403),
        ("ssm", "get_parameter", {"Name": "/x"}, "AccessDeniedException", 400),
        ("kms", "list_keys", {}, "AccessDeniedException", 400),
        ("scheduler", "list_schedules", {}, "AccessDeniedException", 403),
        ("cloudwatch", "describe_alarms", {}, "AccessDenied", None),
    ],
)
def test_each_protocol_words_a_denial_as_aws_does(
    account: Account,
    service: str,
    operation: str,
    arguments: dict[str, Any],
    code: str,
    status: int | None,
) -> None:
    credentials = account.session(f"shape-{service}")
    with pytest.raises(ClientError, match="no identity-based policy allows the") as refused:
        getattr(account.client(service, credentials), operation)(**arguments)
    found, http, _ = refusal(refused)
    assert found in {code, f"{code}Exception"}
    assert status in {None, http}
    assert refused.value.response["ResponseMetadata"]["RequestId"]


def test_a_boundary_limits_what_a_role_is_given(account: Account) -> None:
    iam = account.client("iam")
    boundary = iam.create_policy(
        PolicyName="boundary",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": statement("s3:GetObject", OBJECTS)}
        ),
    )["Policy"]["Arn"]
    both = statement(["s3:GetObject", "s3:PutObject"], OBJECTS)
    limited = account.session("limited", both, PermissionsBoundary=boundary)
    free = account.session("free", both)
    assert account.client("s3", limited).get_object(Bucket=BUCKET, Key="a")
    assert account.client("s3", free).put_object(Bucket=BUCKET, Key="a", Body=b"x")
    with pytest.raises(ClientError, match="no permissions boundary allows the s3:PutObject action"):
        account.client("s3", limited).put_object(Bucket=BUCKET, Key="a", Body=b"x")


def test_a_session_policy_limits_one_session(account: Account) -> None:
    arn = account.job_role("two-sessions")
    account.allow("two-sessions", statement("s3:*"))
    only = {"Version": "2012-10-17", "Statement": statement("s3:GetObject", OBJECTS)}
    limited, free = account.assume(arn, Policy=json.dumps(only)), account.assume(arn)
    assert account.client("s3", limited).get_object(Bucket=BUCKET, Key="a")
    assert account.client("s3", free).put_object(Bucket=BUCKET, Key="a", Body=b"x")
    with pytest.raises(ClientError, match="no session policy allows the s3:PutObject action"):
        account.client("s3", limited).put_object(Bucket=BUCKET, Key="a", Body=b"x")


def test_a_session_policy_gives_nothing_that_the_role_lacks(account: Account) -> None:
    everything = {"Version": "2012-10-17", "Statement": statement("*")}
    arn = account.job_role("poor")
    credentials = account.assume(arn, Policy=json.dumps(everything))
    with pytest.raises(ClientError, match="no identity-based policy allows"):
        account.client("s3", credentials).list_buckets()


def test_a_changed_policy_counts_at_once(account: Account) -> None:
    credentials = account.session("changing")
    s3 = account.client("s3", credentials)
    for _ in range(3):
        with pytest.raises(ClientError):
            s3.get_object(Bucket=BUCKET, Key="a")
        account.allow("changing", statement("s3:GetObject", OBJECTS))
        assert s3.get_object(Bucket=BUCKET, Key="a")
        account.client("iam").delete_role_policy(RoleName="changing", PolicyName="inline")


def test_the_default_version_of_a_managed_policy_counts(account: Account) -> None:
    iam = account.client("iam")
    allow = json.dumps({"Version": "2012-10-17", "Statement": statement("s3:GetObject", OBJECTS)})
    none = json.dumps({"Version": "2012-10-17", "Statement": statement("s3:GetBucketAcl")})
    policy = iam.create_policy(PolicyName="versions", PolicyDocument=allow)["Policy"]["Arn"]
    arn = account.job_role("versioned")
    iam.attach_role_policy(RoleName="versioned", PolicyArn=policy)
    s3 = account.client("s3", account.assume(arn))
    assert s3.get_object(Bucket=BUCKET, Key="a")
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=none, SetAsDefault=True)
    with pytest.raises(ClientError, match="not authorized"):
        s3.get_object(Bucket=BUCKET, Key="a")
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v1")
    assert s3.get_object(Bucket=BUCKET, Key="a")
    iam.detach_role_policy(RoleName="versioned", PolicyArn=policy)
    with pytest.raises(ClientError, match="not authorized"):
        s3.get_object(Bucket=BUCKET, Key="a")


def test_a_new_role_of_the_same_name_is_another_principal(account: Account) -> None:
    iam = account.client("iam")
    credentials = account.session("reborn", statement("s3:GetObject", OBJECTS))
    iam.delete_role_policy(RoleName="reborn", PolicyName="inline")
    iam.delete_role(RoleName="reborn")
    account.session("reborn", statement("s3:GetObject", OBJECTS))
    with pytest.raises(ClientError, match="not authorized"):
        account.client("s3", credentials).get_object(Bucket=BUCKET, Key="a")


def test_one_forbidden_resource_forbids_the_whole_call(account: Account) -> None:
    ec2 = account.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tagged = [
        ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Environment", "Value": env}]}
            ],
        )["Instances"][0]["InstanceId"]
        for env in ("dev", "prod")
    ]
    dev_only = {"StringEquals": {"aws:ResourceTag/Environment": "dev"}}
    credentials = account.session(
        "dev-terminator", statement("ec2:TerminateInstances", Condition=dev_only)
    )
    limited = account.client("ec2", credentials)
    with pytest.raises(ClientError) as refused:
        limited.terminate_instances(InstanceIds=tagged)
    assert refusal(refused)[0] == "UnauthorizedOperation"
    states = {
        instance["InstanceId"]: instance["State"]["Name"]
        for page in ec2.describe_instances(InstanceIds=tagged)["Reservations"]
        for instance in page["Instances"]
    }
    assert set(states.values()) == {"running"}
    assert limited.terminate_instances(InstanceIds=tagged[:1])
    everywhere = account.session("terminator", statement("ec2:TerminateInstances"))
    assert account.client("ec2", everywhere).terminate_instances(InstanceIds=tagged)


def test_one_forbidden_object_forbids_the_whole_deletion(account: Account) -> None:
    credentials = account.session(
        "deleter", statement("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/tmp/*")
    )
    s3 = account.client("s3")
    for key in ("tmp/1", "keep"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    with pytest.raises(ClientError, match=f"{BUCKET}/keep"):
        account.client("s3", credentials).delete_objects(
            Bucket=BUCKET, Delete={"Objects": [{"Key": "tmp/1"}, {"Key": "keep"}]}
        )
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert {"tmp/1", "keep"} <= set(keys)


def test_anonymous_requests_are_allowed_by_a_bucket_policy_alone(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="open")
    account.client("s3").delete_public_access_block(Bucket="open")
    for key in ("shown", "hidden"):
        account.client("s3").put_object(Bucket="open", Key=key, Body=b"x")
    url = f"{account.cloud.endpoint}/open"
    verify = str(account.cloud.ca_bundle)
    assert requests.get(f"{url}/shown", verify=verify, timeout=10).status_code == 403
    bucket_policy(
        account,
        "open",
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::open/shown"},
    )  # fmt: skip
    assert requests.get(f"{url}/shown", verify=verify, timeout=10).content == b"x"
    refused = requests.get(f"{url}/hidden", verify=verify, timeout=10)
    assert (refused.status_code, "<Message>Access Denied</Message>" in refused.text) == (403, True)
    assert requests.put(f"{url}/shown", data=b"y", verify=verify, timeout=10).status_code == 403


def test_a_bucket_policy_denies_whom_its_condition_means_and_nobody_else(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="picky")
    account.client("s3").put_object(Bucket="picky", Key="k", Body=b"x")
    reading = statement("s3:GetObject", "arn:aws:s3:::picky/*")
    kept_out = account.session("kept-out", reading)
    let_in = account.session("let-in", reading)
    bucket_policy(
        account,
        "picky",
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::picky/*",
         "Condition": {"ArnEquals": {"aws:PrincipalArn":
             f"arn:aws:iam::{account.cloud.account_id}:role/kept-out"}}},
    )  # fmt: skip
    assert account.client("s3", let_in).get_object(Bucket="picky", Key="k")
    with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
        account.client("s3", kept_out).get_object(Bucket="picky", Key="k")


def test_a_key_policy_must_let_the_account_in(account: Account) -> None:
    kms = account.client("kms")
    credentials = account.session("crypt", statement("kms:Encrypt"))
    open_key = kms.create_key()["KeyMetadata"]["KeyId"]
    mine = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {
                "AWS": f"arn:aws:iam::{account.cloud.account_id}:role/aws-reserved/"
                "sso.amazonaws.com/AWSReservedSSO_AdministratorAccess_4b1f0c9a7de23568"
            },
            "Action": "kms:*",
            "Resource": "*",
        },
    }
    closed = kms.create_key(Policy=json.dumps(mine), BypassPolicyLockoutSafetyCheck=True)
    closed_key = closed["KeyMetadata"]["KeyId"]
    limited = account.client("kms", credentials)
    assert limited.encrypt(KeyId=open_key, Plaintext=b"x")
    with pytest.raises(ClientError, match="no resource-based policy allows the kms:Encrypt action"):
        limited.encrypt(KeyId=closed_key, Plaintext=b"x")


def test_a_trust_of_the_account_needs_the_callers_own_permission(account: Account) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": account.cloud.account_id},
            "Action": "sts:AssumeRole",
        },
    }
    target = account.role("target", trust)
    without = account.session("may-not-assume")
    having = account.session("may-assume", statement("sts:AssumeRole", target))
    call = {"RoleArn": target, "RoleSessionName": "hop"}
    assert account.client("sts", having).assume_role(**call)["Credentials"]["SessionToken"]
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        account.client("sts", without).assume_role(**call)


def test_a_role_that_does_not_trust_the_caller_cannot_be_assumed(account: Account) -> None:
    target = account.job_role("for-github-only")
    credentials = account.session("wants-more", statement("sts:AssumeRole"))
    with pytest.raises(ClientError) as refused:
        account.client("sts", credentials).assume_role(RoleArn=target, RoleSessionName="hop")
    assert refusal(refused)[:2] == ("AccessDenied", 403)


def test_a_chained_session_lasts_an_hour_at_most(account: Account) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": account.cloud.account_id},
            "Action": "sts:AssumeRole",
        },
    }
    target = account.role("chained", trust, MaxSessionDuration=7200)
    sts = account.client("sts", account.session("chainer", statement("sts:AssumeRole", target)))
    assert sts.assume_role(RoleArn=target, RoleSessionName="hop", DurationSeconds=3600)
    with pytest.raises(ClientError, match="1 hour session limit"):
        sts.assume_role(RoleArn=target, RoleSessionName="hop", DurationSeconds=3601)


@pytest.mark.parametrize(
    "extra", [{"Tags": [{"Key": "a", "Value": "b"}]}, {"SourceIdentity": "somebody"}]
)
def test_what_sts_does_not_model_is_refused_and_named(
    account: Account, extra: dict[str, Any]
) -> None:
    role = f"arn:aws:iam::{account.cloud.account_id}:role/any"
    with pytest.raises(ClientError, match=f"does not model {next(iter(extra))}"):
        account.client("sts").assume_role(RoleArn=role, RoleSessionName="hop", **extra)


def test_a_role_that_does_not_exist_is_denied_and_on_record(account: Account) -> None:
    role = f"arn:aws:iam::{account.cloud.account_id}:role/none"
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        account.client("sts").assume_role(RoleArn=role, RoleSessionName="hop")
    assert account.cloud.decisions.read()[-1].reason == "no such role"


def test_session_tokens_are_not_handed_out_to_sessions(account: Account) -> None:
    with pytest.raises(ClientError) as refused:
        account.client("sts").get_session_token()
    assert refusal(refused)[:2] == ("AccessDenied", 403)


def test_everybody_may_ask_who_they_are(account: Account) -> None:
    credentials = account.session("somebody")
    identity = account.client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == (
        f"arn:aws:sts::{account.cloud.account_id}:assumed-role/somebody/test"
    )
    assert identity["UserId"].endswith(":test")


def test_a_users_key_works_until_it_is_deactivated(account: Account) -> None:
    from scripts.aws.credentials import Credentials

    iam = account.client("iam")
    iam.create_user(UserName="mallory")
    key = iam.create_access_key(UserName="mallory")["AccessKey"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    s3 = account.client("s3", credentials)
    with pytest.raises(ClientError, match="user/mallory is not authorized"):
        s3.get_object(Bucket=BUCKET, Key="a")
    iam.put_user_policy(
        UserName="mallory",
        PolicyName="p",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": statement("s3:GetObject", OBJECTS)}
        ),
    )
    assert s3.get_object(Bucket=BUCKET, Key="a")
    iam.update_access_key(UserName="mallory", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="a")
    assert refusal(refused)[0] == "InvalidAccessKeyId"


def test_what_cannot_be_mapped_is_refused_and_named(account: Account) -> None:
    with pytest.raises(ClientError, match="comprehend") as refused:
        account.client("comprehend").list_document_classifiers()
    code, status, message = refusal(refused)
    assert (code, status) == ("LocalCloudUnmapped", 403)
    assert "does not know which permissions" in message
    last = account.cloud.decisions.read()[-1]
    assert (last.service, last.allowed, last.reason) == ("comprehend", False, "unmapped")


def test_a_policy_that_cannot_be_evaluated_refuses_what_it_applies_to(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="odd")
    credentials = account.session("reads-odd")
    # Whose canonical id it is cannot be known.
    bucket_policy(
        account,
        "odd",
        {"Effect": "Allow", "Principal": {"CanonicalUser": "79a59df900b949e5" * 4},
         "Action": "s3:GetObject", "Resource": "arn:aws:s3:::odd/*"},
    )  # fmt: skip
    with pytest.raises(ClientError, match="cannot evaluate a policy") as refused:
        account.client("s3", credentials).get_object(Bucket="odd", Key="a")
    assert refusal(refused)[:2] == ("LocalCloudUnsupportedPolicy", 403)


def test_the_log_says_who_what_where_and_which_statement(account: Account) -> None:
    named = statement("s3:GetObject", OBJECTS, Sid="ReadEverything")
    credentials = account.session("logged", named)
    account.client("s3", credentials).get_object(Bucket=BUCKET, Key="a")
    record = account.cloud.decisions.read()[-1]
    assert (record.role, record.action, record.resource, record.allowed, record.statement) == (
        "logged",
        "s3:GetObject",
        f"arn:aws:s3:::{BUCKET}/a",
        True,
        "ReadEverything",
    )
    assert record.keys["aws:SecureTransport"] == ("true",)
    assert record.keys["aws:PrincipalArn"][0].endswith(":role/logged")
    assert record.via == "gateway"


def test_an_answer_carries_the_one_id_that_the_log_has(account: Account) -> None:
    answer = account.client("ssm").describe_parameters()
    logged = account.cloud.decisions.read()[-1]
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"] == logged.request_id


def test_an_environment_of_the_job_is_no_key_of_the_session(account: Account) -> None:
    arn = account.job_role("plain", Job(environment="dev"))
    credentials = account.assume(arn, Job(environment="dev"))
    account.client("sts", credentials).get_caller_identity()
    with pytest.raises(ClientError):
        account.client("s3", credentials).list_buckets()
    keys = account.cloud.decisions.read()[-1].keys
    known = {key.rpartition(":")[2] for key in keys if "githubusercontent" in key}
    assert known == {"aud", "sub"}
    assert keys["aws:FederatedProvider"] == (account.provider,)


def test_a_request_through_a_vpc_endpoint_has_no_address(account: Account) -> None:
    """A Deny by aws:SourceIp locks the server in the VPC out, as on AWS."""
    ec2, cloud = account.client("ec2"), account.cloud
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)
    instance = made["Instances"][0]["InstanceId"]
    trust = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}}  # fmt: skip
    role = account.role("in-the-vpc", trust)
    account.allow("in-the-vpc", statement("s3:ListBucket", "arn:aws:s3:::*"))
    where = f"arn:aws:ec2:{cloud.region}:{cloud.account_id}:instance/{instance}"
    session = cloud.credentials_for_role(role, instance, {"ec2:SourceInstanceARN": (where,)})

    def keys() -> dict[str, tuple[str, ...]]:
        account.client("s3", session).list_objects_v2(Bucket=BUCKET)
        return dict(cloud.decisions.read()[-1].keys)

    assert keys()["aws:SourceIp"] == ("127.0.0.1",)
    [main] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    service = f"com.amazonaws.{cloud.region}.s3"
    other = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    unused = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, RouteTableIds=[other])
    assert "aws:SourceVpce" not in keys()
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=service, RouteTableIds=[main["RouteTableId"]]
    )
    assert endpoint["VpcEndpoint"]["VpcEndpointId"] != unused["VpcEndpoint"]["VpcEndpointId"]
    found = keys()
    assert "aws:SourceIp" not in found
    assert found["aws:SourceVpce"] == (endpoint["VpcEndpoint"]["VpcEndpointId"],)
    assert found["aws:SourceVpc"] == (vpc,)
    assert found["aws:VpcSourceIp"][0].startswith("10.9.1.")
