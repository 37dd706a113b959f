"""CloudTrail's events in the forms in which people paste them."""

from __future__ import annotations

import json
import pprint
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from scripts.iam.denial.reading.events import BY_ITS_CALL
from scripts.iam.denial.reading.messages import Refusal, read

CALLER = "arn:aws:sts::111122223333:assumed-role/deployer/run"


def _event(source: str, name: str, asked: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """An event with the fields that CloudTrail's user guide has for one.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    return {
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:run", "arn": CALLER,
            "accountId": "111122223333", "accessKeyId": "ASIAEXAMPLE",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role", "principalId": "AROAEXAMPLE",
                    "arn": "arn:aws:iam::111122223333:role/deployer",
                    "accountId": "111122223333", "userName": "deployer",
                },
                "attributes": {"creationDate": "2023-01-01T00:00:00Z"},
            },
        },
        "eventTime": "2023-01-01T00:01:00Z", "eventSource": f"{source}.amazonaws.com",
        "eventName": name, "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/2.9", "errorCode": "AccessDenied", "errorMessage": "Access Denied",
        "requestParameters": asked, "responseElements": None,
        "requestID": "11111111-2222-3333-4444-555555555555", "eventID": "e", "readOnly": True,
        "recipientAccountId": "111122223333",
    } | more  # fmt: skip


def _flat(content: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _struct(value: Any) -> str:
    """As Athena prints a struct."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key.lower()}={_struct(one)}' for key, one in value.items())}}}"
    return "null" if value is None else str(value)


def _lines(text: str, width: int) -> str:
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


FORMS: dict[str, Callable[[Any], str]] = {
    "one line": json.dumps,
    "indented": lambda one: json.dumps(one, indent=4),
    "sorted": lambda one: json.dumps(one, indent=2, sort_keys=True),
    "in a file of a trail": lambda one: json.dumps({"Records": [one]}),
    "in prose": lambda one: f"I see:\n```\n{json.dumps(one, indent=2)}\n```\nWhy? It may do all.",
    "lookup-events": lambda one: json.dumps(
        {"Events": [{
            "EventId": "e", "EventName": one["eventName"], "EventTime": "2023",
            "EventSource": one["eventSource"], "Username": "run", "Resources": [],
            "CloudTrailEvent": json.dumps(one),
        }]}, indent=4,
    ),
    "escaped twice": lambda one: json.dumps(json.dumps({"message": json.dumps(one)})),
    "Python": repr,
    "Python, printed": pprint.pformat,
    "YAML": yaml.safe_dump,
    "Athena": lambda one: "\t".join(map(str.lower, one)) + "\n" + "\t".join(
        map(_struct, one.values())
    ),
    "Athena's record": lambda one: ", ".join(f"{key.lower()}={_struct(v)}" for key, v in
                                             one.items()),
    "Logs Insights": lambda one: "\n".join(f"| {key} | {value} |" for key, value in _flat(one)),
    "tabs": lambda one: "\n".join(f"{key}\t{value}" for key, value in _flat(one)),
    "cut": lambda one: json.dumps(one).partition('"responseElements"')[0],
    "broken by a terminal": lambda one: _lines(json.dumps(one), 97),
    "row of a table": lambda one: f"| group | stream | {json.dumps(one)} |",
}  # fmt: skip
# What the call needs, and on what, by AWS's Service Authorization Reference.
ASKED = [
    (_event("s3", "GetBucketVersioning", {"bucketName": "b", "versioning": ""}),
     "s3:GetBucketVersioning", "arn:aws:s3:::b"),
    (_event("s3", "ListObjects", {"bucketName": "b", "prefix": "x"}),
     "s3:ListBucket", "arn:aws:s3:::b"),
    (_event("s3", "GetObject", {"bucketName": "b", "key": "a/b.txt"}, vpcEndpointId="vpce-1",
            resources=[{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/a/b.txt"},
                       {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"}]),
     "s3:GetObject", "arn:aws:s3:::b/a/b.txt"),
    (_event("sts", "AssumeRole", {"roleArn": "arn:aws:iam::444455556666:role/target"}),
     "sts:AssumeRole", "arn:aws:iam::444455556666:role/target"),
    (_event("kms", "Decrypt", {"keyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}), "kms:Decrypt",
     "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    (_event("lambda", "GetFunction20150331v2", {"functionName": "fn"},
            errorCode="AccessDeniedException", errorMessage=None),
     "lambda:GetFunction", "arn:aws:lambda:eu-west-1:111122223333:function:fn"),
    (_event("monitoring", "DescribeAlarms", {}), "cloudwatch:DescribeAlarms", None),
    (_event("ssm", "GetParameter", {"name": "/a/b"}), "ssm:GetParameter",
     "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b"),
    (_event("iam", "GetRole", {"roleName": "other"}), "iam:GetRole",
     "arn:aws:iam::111122223333:role/other"),
    (_event("ec2", "RunInstances", {"instancesSet": {"items": [{"imageId": "ami-1"}]}},
            errorCode="Client.UnauthorizedOperation",
            errorMessage="You are not authorized to perform this operation. Encoded "
            f"authorization failure message: {'abcDEF123_-' * 9}"), "ec2:RunInstances", None),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_event_tells_who_called_what_and_on_what_in_every_form(form: str) -> None:
    for event, action, resource in ASKED:
        text = FORMS[form](event)
        found = read(text).refusals
        assert [(one.principal, one.action, one.resource) for one in found] == [
            (CALLER, action, resource)
        ], text
        assert found[0].also == BY_ITS_CALL


def _one(text: str) -> Refusal:
    (found,) = read(text).refusals
    return found


def test_an_event_gives_the_keys_of_its_request() -> None:
    keys = _one(json.dumps(ASKED[2][0])).known_keys()
    assert keys["aws:SourceVpce"] == ("vpce-1",)
    assert keys["aws:SourceIp"] == ("192.0.2.7",)
    assert keys["aws:RequestedRegion"] == ("eu-west-1",)


def test_of_several_events_those_are_told_that_were_refused() -> None:
    done = _event("iam", "GetUser", {"userName": "x"}, errorCode=None, errorMessage=None)
    both = json.dumps({"Records": [ASKED[0][0], done, ASKED[7][0]]}, indent=1)
    assert [one.action for one in read(both).refusals] == [
        "s3:GetBucketVersioning", "ssm:GetParameter",
    ]  # fmt: skip


def test_an_event_with_awss_own_sentence_says_what_that_says() -> None:
    sentence = (
        f"User: {CALLER} is not authorized to perform: iam:CreateUser on resource: "
        "arn:aws:iam::111122223333:user/bob because no identity-based policy allows the "
        "iam:CreateUser action"
    )
    found = _one(json.dumps(_event("iam", "CreateUser", None, errorMessage=sentence)))
    assert (found.layer, found.also) == ("identity-based policy", "")


def test_a_line_that_breaks_a_code_is_mended() -> None:
    text = json.dumps(ASKED[0][0]).replace('"AccessDenied"', '"AccessDenie\nd"')
    assert _one(text).action == "s3:GetBucketVersioning"


def test_a_refusal_by_an_endpoint_is_the_endpoints() -> None:
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-network-events-with-cloudtrail.html
    event = _event("kms", "ListKeys", None, errorCode="VpceAccessDenied",
                   errorMessage="The request was denied due to a VPC endpoint policy")  # fmt: skip
    assert _one(json.dumps(event)).layer == "VPC endpoint policy"
