"""Reading operations and parameters from the query, JSON, CBOR and REST-JSON protocols."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.serialize import create_serializer

from scripts.iam.requests import HttpRequest, Unmapped, needs, operation
from scripts.iam.requests.wire.shapes import service_model

from .support import ACCOUNT, REGION, FakeAccount, needed, only, pairs_of, sent

FORM = "application/x-www-form-urlencoded"


def request(service: str, **parts: object) -> HttpRequest:
    whole = HttpRequest("POST", "/", (), {}, b"", service, REGION, ACCOUNT)
    return replace(whole, **parts)  # type: ignore[arg-type]


def target(service: str, name: str, body: object) -> HttpRequest:
    return request(service, headers={"x-amz-target": name}, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("service", "name", "parameters"),
    [
        ("ec2", "DescribeVpcs", {}),
        ("iam", "ListRoles", {}),
        ("ssm", "GetParameter", {"Name": "/a"}),
        ("cloudwatch", "PutMetricData", {"Namespace": "a", "MetricData": []}),
        ("scheduler", "GetSchedule", {"Name": "a"}),
        ("s3", "GetObject", {"Bucket": "some-bucket", "Key": "a"}),
    ],
)
def test_the_operation_is_found_in_every_protocol(
    service: str, name: str, parameters: dict[str, object]
) -> None:
    assert operation(sent(service, name, parameters)) == name


def as_cbor(name: str, parameters: dict[str, object]) -> HttpRequest:
    """A request in CloudWatch's CBOR protocol, serialised by botocore."""
    model = service_model("cloudwatch")
    serializer = create_serializer("smithy-rpc-v2-cbor", include_validation=False)
    made = serializer.serialize_to_request(parameters, model.operation_model(name))
    headers = {key.lower(): str(value) for key, value in made["headers"].items()}
    return request("monitoring", path=made["url_path"], headers=headers, body=made["body"])


def test_metrics_sent_as_cbor_are_read() -> None:
    metric = {
        "MetricName": "auc",
        "Value": 0.5,
        "Timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "Dimensions": [{"Name": "a", "Value": "ü"}],
    }
    captured = as_cbor("PutMetricData", {"Namespace": "Keyless/dev", "MetricData": [metric]})
    assert operation(captured) == "PutMetricData"
    [need] = needs(captured, FakeAccount())
    assert need.context == {"cloudwatch:namespace": ("Keyless/dev",)}


def test_a_packed_body_is_unpacked() -> None:
    metrics = [{"MetricName": f"metric-{i}", "Value": 1.0} for i in range(500)]
    parameters = {"Namespace": "Keyless/dev", "MetricData": metrics}
    captured = sent("cloudwatch", "PutMetricData", parameters)
    assert captured.headers["content-encoding"] == "gzip"
    [need] = needs(captured, FakeAccount())
    assert need.context["cloudwatch:namespace"] == ("Keyless/dev",)


def test_a_packed_body_that_unpacks_without_end_is_refused() -> None:
    bomb = gzip.compress(b" " * (17 * 2**20))
    packed = target("ssm", "AmazonSSM.GetParameter", {})
    headers = {**packed.headers, "content-encoding": "gzip"}
    with pytest.raises(ValueError, match="larger than"):
        needs(replace(packed, body=bomb, headers=headers), FakeAccount())


def test_older_clients_send_metrics_as_a_form() -> None:
    body = b"Action=PutMetricData&Version=2010-08-01&Namespace=a&MetricData.member.1.MetricName=b"
    [need] = needs(request("monitoring", body=body), FakeAccount())
    assert need.context == {"cloudwatch:namespace": ("a",)}


def test_an_operation_may_stand_in_the_address() -> None:
    query = (("Action", "DescribeVpcs"), ("Version", "2016-11-15"), ("X-Amz-Signature", "a"))
    assert operation(request("ec2", method="GET", query=query)) == "DescribeVpcs"


@pytest.mark.parametrize(
    ("service", "name"), [("ec2", "CreateVpnGateway"), ("ssm", "CreateOpsItem"), ("iam", "Nothing")]
)
def test_an_operation_without_a_row_is_refused_and_named(service: str, name: str) -> None:
    asked = {
        "ec2": request("ec2", body=f"Action={name}".encode()),
        "iam": request("iam", body=f"Action={name}".encode()),
        "ssm": target("ssm", f"AmazonSSM.{name}", {}),
    }[service]
    with pytest.raises(Unmapped, match=f"{service}:{name}") as caught:
        operation(asked)
    assert (caught.value.service, caught.value.operation) == (service, name)


def test_a_service_without_a_table_is_refused_and_named() -> None:
    with pytest.raises(Unmapped, match="dynamodb"):
        needs(request("dynamodb", body=b"Action=PutItem"), FakeAccount())


def test_an_operation_named_twice_is_refused() -> None:
    body = b"Action=TerminateInstances&InstanceId.1=i-0a"
    doubled = request("ec2", body=body, query=(("Action", "DescribeInstances"),))
    with pytest.raises(ValueError, match="not in both"):
        operation(doubled)


def test_an_operation_in_the_address_beside_a_json_target_is_refused() -> None:
    harmless = target("ssm", "AmazonSSM.ListDocuments", {})
    with pytest.raises(ValueError, match="in its address"):
        operation(replace(harmless, query=(("Action", "DeleteParameter"),)))


def test_a_target_of_another_service_is_refused() -> None:
    with pytest.raises(ValueError, match="does not belong to ssm"):
        operation(target("ssm", "secretsmanager.GetSecretValue", {"SecretId": "a"}))


def test_a_repeated_form_parameter_is_refused() -> None:
    body = b"Action=TerminateInstances&InstanceId.1=i-0a&InstanceId.1=i-0b"
    with pytest.raises(ValueError, match="twice"):
        needs(request("ec2", body=body), FakeAccount())


def test_two_spellings_of_one_list_index_are_refused() -> None:
    body = b"Action=TerminateInstances&InstanceId.1=i-0a&InstanceId.01=i-0b"
    with pytest.raises(ValueError, match="numbered"):
        needs(request("ec2", body=body), FakeAccount())


def test_a_form_parameter_that_aws_does_not_know_is_refused() -> None:
    body = b"Action=TerminateInstances&InstanceId.1=i-0a&InstanceIds.1=i-0b"
    with pytest.raises(ValueError, match="knows no parameter 'InstanceIds'"):
        needs(request("ec2", body=body), FakeAccount())


def test_a_repeated_name_in_json_is_refused() -> None:
    doubled = target("ssm", "AmazonSSM.GetParameter", {})
    with pytest.raises(ValueError, match="twice"):
        needs(replace(doubled, body=b'{"Name": "/a", "Name": "/b"}'), FakeAccount())


def test_a_json_parameter_that_aws_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="knows no parameter 'name'"):
        needs(target("ssm", "AmazonSSM.GetParameter", {"name": "/a"}), FakeAccount())


@pytest.mark.parametrize("name", [7, ["/a"], {"a": "b"}, True])
def test_a_parameter_of_the_wrong_kind_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="Name must be a str"):
        needs(target("ssm", "AmazonSSM.GetParameter", {"Name": name}), FakeAccount())


def test_a_null_parameter_is_an_absent_one() -> None:
    body = {"Name": "/a", "WithDecryption": None}
    [need] = needs(target("ssm", "AmazonSSM.GetParameter", body), FakeAccount())
    assert need.resource.endswith(":parameter/a")


def test_a_deeply_nested_body_is_refused_without_a_stack_trace() -> None:
    deep = target("ssm", "AmazonSSM.GetParameter", {})
    with pytest.raises(ValueError, match="nested too deeply"):
        needs(replace(deep, body=b'{"Name":' + b"[" * 100_000), FakeAccount())


@pytest.mark.parametrize(
    "body",
    [
        b"\xa1",  # a map that ends too early
        b"\xa1\x61a\x01\x00",  # more after the first value
        b"\x9f" * 200,  # nested without end
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",  # a length beyond the body
        b"\xa1\x01\x02",  # a name that is a number
        b"\x81\x01",  # no map
    ],
)
def test_malformed_cbor_is_refused(body: bytes) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    with pytest.raises(ValueError, match=r"CBOR|with names"):
        needs(request("monitoring", path=path, body=body), FakeAccount())


def test_a_path_parameter_is_decoded_once() -> None:
    schedule = request("scheduler", method="GET", path="/schedules/nightly%2Dpark")
    assert needs(schedule, FakeAccount())[0].resource.endswith("schedule/default/nightly-park")
    with pytest.raises(ValueError, match="'a%2Fb' is not a name"):
        needs(replace(schedule, path="/schedules/a%252Fb"), FakeAccount())


def test_a_path_that_no_operation_answers_to_is_refused() -> None:
    with pytest.raises(Unmapped, match="scheduler"):
        operation(request("scheduler", method="GET", path="/nothing/here"))


def test_the_tagging_interface_is_read_in_both_of_its_protocols() -> None:
    found = needed("resourcegroupstaggingapi", "GetResources", TagFilters=[{"Key": "Environment"}])
    as_json = target("tagging", "ResourceGroupsTaggingAPI_20170126.GetResources", {})
    assert pairs_of(found) == pairs_of(needs(as_json, FakeAccount())) == [("tag:GetResources", "*")]


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("POST", "/v1/control-channel/i-0a", "CreateControlChannel"),
        ("GET", "/v1/control-channel/i-0a", "OpenControlChannel"),
        ("POST", "/v1/data-channel/session-1", "CreateDataChannel"),
        ("GET", "/v1/data-channel/session-1", "OpenDataChannel"),
    ],
)
def test_channels_are_told_by_method_and_path(method: str, path: str, action: str) -> None:
    asked = request("ssmmessages", method=method, path=path, query=(("role", "subscribe"),))
    [found] = pairs_of(needs(asked, FakeAccount()))
    opens = action == "OpenDataChannel"
    what = "ssm:{}:session/session-1" if opens else "ssmmessages:{}:*"
    arn = "arn:aws:" + what.format(f"{REGION}:{ACCOUNT}")
    assert found == (f"ssmmessages:{action}", arn)


@pytest.mark.parametrize("name", ["*", "a:b", "%2A"])
def test_the_name_of_a_channel_is_no_pattern(name: str) -> None:
    asked = request("ssmmessages", method="GET", path=f"/v1/data-channel/{name}")
    with pytest.raises(ValueError, match="session"):
        needs(asked, FakeAccount())


def test_the_agents_messages_are_told_by_target() -> None:
    asked = target("ec2messages", "EC2WindowsMessageDeliveryService.GetMessages", {})
    assert pairs_of(needs(asked, FakeAccount())) == [("ec2messages:GetMessages", "*")]


def test_the_agents_own_calls_need_no_published_model() -> None:
    body = {"InstanceId": "i-0a", "AgentVersion": "3", "AgentStatus": "Active"}
    found = needs(target("ssm", "AmazonSSM.UpdateInstanceInformation", body), FakeAccount())
    only(found, "ssm:UpdateInstanceInformation", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0a")
