"""Attacks that once got in, against a running cloud: each is refused, or does what was allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from tests.localcloud.clients import Account, code_in, statement

FORM = "application/x-www-form-urlencoded"
BUCKET = "attacked"


def send(
    account: Account, who: Credentials, method: str, path: str, body: bytes = b"",
    headers: dict[str, str] | None = None, *, service: str = "s3", region: str | None = None,
) -> requests.Response:  # fmt: skip
    """Send any request, signed with everything that is in it."""
    request = AWSRequest(method, account.cloud.endpoint + path, data=body, headers=headers or {})
    keys = BotocoreCredentials(who.access_key_id, who.secret_access_key, who.session_token)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(keys, service, account.cloud.region if region is None else region).add_auth(request)
    return requests.request(
        method, str(request.url), data=body, headers=dict(request.headers.items()),
        verify=str(account.cloud.ca_bundle), timeout=10,
    )  # fmt: skip


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture(scope="module", autouse=True)
def things(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in ("public/a", "secret/a"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for name in ("mine", "victim"):
        account.job_role(name)


@pytest.fixture(scope="module")
def limited(account: Account, things: None) -> Credentials:
    objects = f"arn:aws:s3:::{BUCKET}"
    return account.session(
        "limited",
        statement(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{objects}/public/*"),
        statement(["s3:GetBucketVersioning", "s3:GetMetricsConfiguration"], objects),
        statement("iam:PutRolePolicy", f"arn:aws:iam::{account.cloud.account_id}:role/mine"),
    )


ALLOW_ALL = json.dumps({"Version": "2012-10-17", "Statement": statement("*")})


def test_g1_a_multipart_body_beside_the_form(account: Account, limited: Credentials) -> None:
    from urllib.parse import urlencode

    form = urlencode({"Action": "PutRolePolicy", "Version": "2010-05-08", "RoleName": "mine",
                      "PolicyName": "p", "PolicyDocument": ALLOW_ALL})  # fmt: skip
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("Action", "PutRolePolicy"), ("RoleName", "victim"),
                            ("PolicyName", "p"), ("PolicyDocument", ALLOW_ALL))
    )  # fmt: skip
    body = f"{form}&z=\r\n{parts}--x--\r\n".encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = send(account, limited, "POST", "/", body, kind, service="iam")
    assert answer.status_code == 400
    assert account.client("iam").list_role_policies(RoleName="victim")["PolicyNames"] == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_g2_a_version_in_the_body(account: Account, limited: Credentials, method: str) -> None:
    s3 = account.client("s3")
    old = s3.put_object(Bucket=BUCKET, Key="public/v", Body=b"old")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="public/v", Body=b"new")
    answer = send(account, limited, method, f"/{BUCKET}/public/v", f"versionId={old}".encode(),
                  {"Content-Type": FORM})  # fmt: skip
    assert answer.content != b"old"
    assert s3.get_object(Bucket=BUCKET, Key="public/v", VersionId=old)["Body"].read() == b"old"


def test_g3_keys_in_the_parts_of_a_batch(account: Account, limited: Credentials) -> None:
    inner = (
        "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n<Delete><Object><Key>secret/a</Key>"
        "</Object></Delete>\r\n--x--"
    )
    body = f"<Delete><Object><Key>public/<![CDATA[{inner}]]></Key></Object></Delete>".encode()
    send(account, limited, "POST", f"/{BUCKET}?delete", body,
         {"Content-Type": "multipart/form-data; boundary=x"})  # fmt: skip
    assert account.client("s3").get_object(Bucket=BUCKET, Key="secret/a")["Body"].read()


@pytest.mark.parametrize(
    "source",
    [
        f"{BUCKET}/secret/a#", f"{BUCKET}/secret/a;x", f"{BUCKET}/secret/a?x=1",
        f"{BUCKET}/secret%2Fa", "%61ttacked/secret/a", f"/{BUCKET}/public/../secret/a",
        f"{BUCKET}/public/a?versionId=x&versionId=y", "arn:aws:s3:::attacked/secret/a",
    ],
)  # fmt: skip
def test_g4_a_copy_source_that_reads_in_two_ways(
    account: Account, limited: Credentials, source: str
) -> None:
    answer = send(account, limited, "PUT", f"/{BUCKET}/public/copy", b"",
                  {"x-amz-copy-source": source})  # fmt: skip
    assert answer.status_code in (400, 403, 404), answer.text
    found = account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="public/copy")
    assert found["KeyCount"] == 0


def test_g6_a_part_without_a_number(account: Account, limited: Credentials) -> None:
    headers = {"x-amz-tagging": "a=b", "x-amz-acl": "public-read"}
    answer = send(account, limited, "PUT", f"/{BUCKET}/public/part?uploadId=x", b"x", headers)
    assert (answer.status_code, code_in(answer)) == (400, "InvalidArgument")


def test_g8_a_profile_named_twice(account: Account) -> None:
    ec2 = account.client("ec2")
    profile = {"Arn": "arn:aws:iam::1:instance-profile/a", "Name": "b"}
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    account.client("iam").create_instance_profile(InstanceProfileName="b")
    account.client("iam").add_role_to_instance_profile(InstanceProfileName="b", RoleName="mine")
    code = refused(ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1,
                   IamInstanceProfile=profile)  # fmt: skip
    assert code in ("InvalidParameterCombination", "InvalidParameterValue")


def bucket_statement(**changed: Any) -> str:
    one = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
           "Resource": f"arn:aws:s3:::{BUCKET}/x", **changed}  # fmt: skip
    return json.dumps({"Version": "2012-10-17",
                       "Statement": {k: v for k, v in one.items() if v is not None}})  # fmt: skip


@pytest.mark.parametrize(
    "policy",
    [
        "no policy", "{}", bucket_statement(Principal=None), bucket_statement(Resource=None),
        bucket_statement(Condition={"StringEqual": {"aws:userid": "x"}}),
        bucket_statement(Resource="arn:aws:s3:::another/x"), bucket_statement(Resource="*"),
        bucket_statement(Action="sqs:SendMessage"), bucket_statement(Sid="x" * 21_000),
        bucket_statement(Principal={"AWS": "arn:aws:iam::471835269042:role/nobody"}),
    ],
)  # fmt: skip
def test_g9_a_bucket_policy_that_s3_refuses(account: Account, policy: str) -> None:
    put = account.client("s3").put_bucket_policy
    assert refused(put, Bucket=BUCKET, Policy=policy) == "MalformedPolicy"


@pytest.mark.parametrize(
    ("service", "code"),
    [("s3", "AuthorizationHeaderMalformed"), ("iam", "SignatureDoesNotMatch")],
)
@pytest.mark.parametrize("region", ["mars-1", "", "aws-global"])
def test_g10_a_region_that_does_not_exist(
    account: Account, service: str, code: str, region: str
) -> None:
    path, body = ("/", b"") if service == "s3" else ("/", b"Action=ListRoles&Version=2010-05-08")
    method = "GET" if service == "s3" else "POST"
    headers = {} if service == "s3" else {"Content-Type": FORM}
    answer = send(account, account.cloud.administrator, method, path, body, headers,
                  service=service, region=region)  # fmt: skip
    assert code_in(answer) in (code, "IncompleteSignature", "AuthorizationHeaderMalformed")


def test_g10_a_region_that_is_not_the_services_own(account: Account) -> None:
    """What a policy reads as aws:RequestedRegion is not for the caller to choose."""
    who = account.session(
        "abroad",
        statement(["iam:ListRoles", "s3:GetObject"], Condition={
            "StringEquals": {"aws:RequestedRegion": "eu-west-1"}}),
    )  # fmt: skip
    body = b"Action=ListRoles&Version=2010-05-08"
    answer = send(account, who, "POST", "/", body, {"Content-Type": FORM}, service="iam",
                  region="eu-west-1")  # fmt: skip
    assert code_in(answer) == "AccessDenied"
    answer = send(account, who, "GET", f"/{BUCKET}/public/a", region="eu-west-1")
    assert code_in(answer) == "AuthorizationHeaderMalformed"
    assert "expecting 'us-east-1'" in answer.text


@pytest.mark.parametrize(
    ("claims", "operator", "accepted"),
    [
        ({"aud": "sts.amazonaws.com", "sub": "*"}, "StringLike", False),
        ({"aud": "sts.amazonaws.com", "sub": ["repo:o/r:*", "*"]}, "StringLike", False),
        *(({"sub": value}, "StringLike", False) for value in ("**", "?*", "*?", "??*")),
        ({"aud": "sts.amazonaws.com"}, "StringEquals", False),
        ({"job_workflow_ref": "o/r/.github/workflows/w.yml@refs/heads/main"}, "StringEquals", True),
        ({"sub": "repo:o/r:*"}, "StringLike", True),
    ],
)
def test_g11_what_a_trust_policy_for_github_must_say(
    account: Account, claims: dict[str, Any], operator: str, accepted: bool
) -> None:
    trust = json.dumps(account.trust(claims, operator))
    name = f"trust-{abs(hash(trust))}"
    make = account.client("iam").create_role
    if accepted:
        assert make(RoleName=name, AssumeRolePolicyDocument=trust)
    else:
        code = refused(make, RoleName=name, AssumeRolePolicyDocument=trust)
        assert code == "MalformedPolicyDocument"


def test_g11_a_user_made_again_is_another_principal(account: Account) -> None:
    iam = account.client("iam")
    arn = iam.create_user(UserName="twice")["User"]["Arn"]
    trust = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": arn}}}}  # fmt: skip
    role = account.role("trusts-twice", trust)

    def assumed() -> bool:
        key = iam.create_access_key(UserName="twice")["AccessKey"]
        who = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        try:
            account.client("sts", who).assume_role(RoleArn=role, RoleSessionName="xx")
        except ClientError:
            return False
        finally:
            iam.delete_access_key(UserName="twice", AccessKeyId=key["AccessKeyId"])
        return True

    assert assumed()
    iam.delete_user(UserName="twice")
    kept = iam.get_role(RoleName="trusts-twice")["Role"]["AssumeRolePolicyDocument"]
    assert kept["Statement"]["Principal"]["AWS"].startswith("AIDA")
    assert kept["Statement"]["Condition"]["ArnEquals"]["aws:PrincipalArn"] == arn
    iam.create_user(UserName="twice")
    assert not assumed()


def test_g12_what_only_aws_changes(account: Account) -> None:
    iam, kms = account.client("iam"), account.client("kms")
    admin = next(
        role["RoleName"] for role in iam.list_roles()["Roles"] if "SSO" in role["RoleName"]
    )
    put = {"PolicyName": "p", "PolicyDocument": ALLOW_ALL}
    assert refused(iam.put_role_policy, RoleName=admin, **put) == "UnmodifiableEntity"
    assert refused(iam.delete_role, RoleName=admin) == "UnmodifiableEntity"
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    alias = {"AliasName": "alias/aws/mine", "TargetKeyId": key}
    assert refused(kms.create_alias, **alias) == "NotAuthorizedException"
    trust = json.dumps(account.trust({"sub": "repo:o/r:x"}))
    code = refused(iam.create_role, RoleName="MINE", AssumeRolePolicyDocument=trust)
    assert code == "EntityAlreadyExists"


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("DELETE", "metrics&id=x", {}), ("DELETE", "tomorrow", {}), ("GET", "metrics", {}),
        ("GET", "tomorrow", {}), ("PUT", "requestPayment", {}),
    ],
)  # fmt: skip
def test_g17_a_subresource_is_never_taken_for_the_plain_call(
    account: Account, method: str, query: str, headers: dict[str, str]
) -> None:
    who = account.cloud.administrator
    answer = send(account, who, method, f"/{BUCKET}?{query}", b"", headers)
    assert answer.status_code == 403
    assert "ListBucketResult" not in answer.text
    assert account.client("s3").head_bucket(Bucket=BUCKET)


def test_g17_a_retention_is_not_the_object(account: Account) -> None:
    s3 = account.client("s3")
    code = refused(s3.get_object_retention, Bucket=BUCKET, Key="public/a")
    assert code == "NoSuchObjectLockConfiguration"
    assert s3.get_bucket_request_payment(Bucket=BUCKET)["Payer"] == "BucketOwner"


def test_d1_an_object_of_a_forms_type_is_stored_whole(account: Account) -> None:
    for body in (b"a=1&b=2", b"key=x&file=y", b"\x00\xff"):
        for kind in (FORM, "multipart/form-data; boundary=x"):
            answer = send(account, account.cloud.administrator, "PUT", f"/{BUCKET}/form", body,
                          {"Content-Type": kind})  # fmt: skip
            assert answer.ok
            found = account.client("s3").get_object(Bucket=BUCKET, Key="form")
            assert (found["Body"].read(), found["ContentType"]) == (body, kind)


@pytest.mark.parametrize(
    ("path", "body", "service"),
    [
        ("/", b"Action=GetRole&RoleName.=x&Version=2010-05-08", "iam"),
        ("/", b"Action=GetRole&Version=2010-05-08", "iam"),
        ("/", b"Action=PutRolePolicy&Tags.member.x.Key=1", "iam"),
        ("/", b"Action=DescribeInstances&MaxResults=many", "ec2"),
        ("/", b"Action=", "ec2"), ("/", b"%zz", "rds"), ("/", b"a" * 1000, "sns"),
    ],
)  # fmt: skip
def test_malformed_parameters_have_aws_codes(
    account: Account, path: str, body: bytes, service: str
) -> None:
    answer = send(account, account.cloud.administrator, "POST", path, body,
                  {"Content-Type": FORM}, service=service)  # fmt: skip
    assert answer.status_code == 400
    assert not code_in(answer).startswith("LocalCloud")


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("tagging", b"", "MissingRequestBodyError"), ("tagging", b"<Tagging", "MalformedXML"),
        ("tagging", b"<Other/>", "MalformedXML"), ("tagging", b"\xff", "MalformedXML"),
        ("tagging", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        ("versioning", b"<VersioningConfiguration>x</VersioningConfiguration>", "MalformedXML"),
        ("tagging", b'<!DOCTYPE a [<!ENTITY b "c">]><Tagging/>', "MalformedXML"),
        ("tagging", b"<?xml version='1.0' encoding='klingon'?><Tagging/>", "MalformedXML"),
        ("lifecycle", b"<LifecycleConfiguration><Rule><X/></Rule></LifecycleConfiguration>",
         "MalformedXML"),
    ],
)  # fmt: skip
def test_malformed_xml_is_told_as_s3_tells_it(
    account: Account, query: str, body: bytes, code: str
) -> None:
    answer = send(account, account.cloud.administrator, "PUT", f"/{BUCKET}?{query}", body)
    assert (answer.status_code, code_in(answer)) == (400, code)


def test_a_kms_name_that_is_half_an_arn_is_refused_in_words(account: Account) -> None:
    for name in ("arn:x", "arn:aws:kms", "arn:aws:kms:us-east-1:1:key/" + "x" * 3000):
        code = refused(account.client("kms").describe_key, KeyId=name)
        assert not code.startswith("LocalCloud")


def test_cbor_is_answered_in_cbor(account: Account) -> None:
    import cbor2

    path = "/service/GraniteServiceVersion20100801/operation/"
    headers = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}

    def call(operation: str, **given: Any) -> tuple[int, Any]:
        answer = send(account, account.cloud.administrator, "POST", path + operation,
                      cbor2.dumps(given), headers, service="monitoring")  # fmt: skip
        assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
        return answer.status_code, cbor2.loads(answer.content)

    assert (
        call("PutMetricData", Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.5}])[0]
        == 200
    )
    found = call("ListMetrics", Namespace="n")
    assert [one["MetricName"] for one in found[1]["Metrics"]] == ["m"]
    status, error = call("PutMetricData", MetricData=[])
    assert (status, "__type" in error) == (400, True)
