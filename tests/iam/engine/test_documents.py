"""Policy documents: what is accepted, and what each mistake is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.iam.engine import (
    Policy,
    PolicyError,
    PolicyKind,
    PolicySet,
    Principal,
    Request,
    Unsupported,
    evaluate,
    parse_policy,
)
from scripts.iam.engine.documents import MAX_BYTES

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": "111122223333"},
    "Action": "sts:AssumeRole",
}


def parse(*statements: object, kind: PolicyKind = "identity", **top: object) -> Policy:
    document = {"Version": "2012-10-17", "Statement": list(statements), **top}
    return parse_policy(json.dumps(document), name="p", kind=kind)


def without(statement: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in statement.items() if name != key}


def test_a_policy_keeps_what_was_written() -> None:
    policy = parse(
        {
            "Sid": "One",
            "Effect": "Deny",
            "NotAction": ["s3:Get*"],
            "NotResource": "arn:aws:s3:::b",
            "Condition": {"Bool": {"aws:SecureTransport": False}, "NumericLessThan": {"a:b": 5}},
        },
        ALLOW,
    )
    first, second = policy.statements
    assert (policy.name, policy.kind, policy.version) == ("p", "identity", "2012-10-17")
    assert (first.sid, first.index, first.effect, first.label) == ("One", 0, "Deny", "One")
    assert (first.actions, first.not_actions) == (None, ("s3:Get*",))
    assert (first.resources, first.not_resources) == (None, ("arn:aws:s3:::b",))
    assert [(c.operator, c.key, c.values) for c in first.conditions] == [
        ("Bool", "aws:SecureTransport", ("false",)),
        ("NumericLessThan", "a:b", ("5",)),
    ]
    assert (second.sid, second.label, second.actions) == (None, "#1", ("s3:GetObject",))


def test_one_statement_needs_no_list_and_text_bytes_and_objects_are_equal() -> None:
    document = {"Statement": ALLOW}
    text = json.dumps(document)
    policies = [parse_policy(d, name="p", kind="identity") for d in (document, text, text.encode())]
    assert policies[0] == policies[1] == policies[2]
    assert policies[0].version == "2008-10-17"


def test_the_principal_star_is_told_apart_from_every_aws_principal() -> None:
    anyone, aws = parse(
        TRUST | {"Principal": "*"}, TRUST | {"Principal": {"AWS": "*"}}, kind="trust"
    ).statements
    assert anyone.principals == {"*": ("*",)}
    assert aws.principals == {"AWS": ("*",)}


def test_condition_keys_include_those_of_variables() -> None:
    policy = parse(
        ALLOW
        | {
            "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/Team}",
            "Condition": {"StringEquals": {"s3:Prefix": "${aws:username, 'x'}"}},
        }
    )
    assert policy.condition_keys == {"s3:prefix", "aws:username", "aws:principaltag/team"}


def test_a_policy_can_be_a_dictionary_key() -> None:
    assert len({parse(ALLOW), parse(ALLOW), parse(TRUST, kind="trust")}) == 2


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (ALLOW | {"Sid": ""}, "identity"),
        (ALLOW | {"Condition": {}}, "identity"),
        (ALLOW | {"Condition": {"StringEquals": {}}}, "identity"),
        (ALLOW | {"Action": "*:*"}, "identity"),
        (ALLOW | {"Action": "vpc-lattice:AssociateViaAWSService-EventsAndStates"}, "identity"),
        (ALLOW | {"Resource": "arn:*:s3:::b"}, "boundary"),
        (ALLOW | {"Resource": "arn:aws:sqs:*"}, "session"),
        (ALLOW | {"Principal": "*", "Sid": "a sentence, for S3"}, "resource"),
        (without(ALLOW, "Resource") | {"Principal": "*"}, "resource"),
        (ALLOW | {"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}}, "resource"),
        (ALLOW | {"Principal": {"CanonicalUser": "79a59df900b949e5"}}, "resource"),
        (ALLOW | {"Principal": {"AWS": "AROA1234567890123456"}}, "resource"),
        (TRUST | {"Action": ["sts:AssumeRole", "sts:TagSession"]}, "trust"),
        (TRUST | {"Principal": {"Federated": "cognito-identity.amazonaws.com"}}, "trust"),
        (TRUST | {"Principal": {"Service": ["ec2.amazonaws.com"]}}, "trust"),
    ],
)
def test_what_aws_accepts_is_accepted(statement: dict[str, Any], kind: PolicyKind) -> None:
    assert len(parse(statement, kind=kind).statements) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "not JSON: Expecting value (line 1, column 1)"),
        ("{", "not JSON: Expecting property name"),
        ("[]", "not a policy: write a JSON object"),
        ('"text"', "not a policy: write a JSON object"),
        ("[" * 20_000, "not a policy: nested too deeply"),
        ('{"Statement": NaN}', "not JSON: NaN"),
        ("%7B%22Version%22%3A", "URL-encoded"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"a":"' + "x" * 2_000_000 + '"}', "has 2000008 bytes"),
        ({"Statement": [object()]}, "not JSON"),
        ('{"Statement": [], "Statement": []}', "'Statement' is written twice"),
        ("{}", "Statement: missing or empty"),
        ('{"Statement": []}', "Statement: missing or empty"),
        ('{"Statement": "x"}', "Statement: missing or empty"),
        ('{"Statement": [1]}', "statement #0: not an object"),
        ('{"Statement": [{}]}', "statement #0: empty; it needs Effect and Action"),
        ('{"version": "2012-10-17"}', "write 'Version'"),
        ('{"Conditions": {}}', "unknown element 'Conditions'"),
        ({"Version": "2012-10-18", "Statement": [ALLOW]}, "Version: '2012-10-18' is unknown"),
        ({"Version": 2012, "Statement": [ALLOW]}, "Version: 2012 is unknown"),
        ({"Version": [], "Statement": [ALLOW]}, "Version: [] is unknown"),
    ],
)
def test_a_document_that_is_no_policy_is_refused(document: Any, message: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        parse_policy(document, name="bad", kind="identity")
    assert str(refusal.value).startswith("policy 'bad': ")
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effect": "Allow"}, "unknown element 'effect'; write 'Effect'"),
        ({"Conditions": {}}, "unknown element 'Conditions'"),
        ({"Effect": "allow"}, "Effect: 'allow'; write 'Allow' or 'Deny'"),
        ({"Effect": None}, "Effect: None"),
        ({"Sid": "a b"}, "Sid: 'a b' has other characters"),
        ({"Sid": 5}, "Sid: not a string"),
        ({"NotAction": "s3:*"}, "both Action and NotAction"),
        ({"NotResource": "*"}, "both Resource and NotResource"),
        ({"Action": []}, "Action: an empty list"),
        ({"Action": ""}, "Action: ''; write a non-empty string"),
        ({"Action": None}, "Action: None"),
        ({"Action": ["s3:Get*", 5]}, "Action: 5"),
        ({"Action": "GetObject"}, "Action: 'GetObject' is not an action"),
        ({"Action": "s*:GetObject"}, "is not an action"),
        ({"Action": "s3:Get:Object"}, "is not an action"),
        ({"Action": "s3:${aws:username}"}, "is not an action"),
        ({"Action": "s3:GetObject\n"}, "is not an action"),
        ({"Resource": []}, "Resource: an empty list"),
        ({"Resource": "bucket"}, "Resource: 'bucket' is not an ARN"),
        ({"Resource": "arn:aws:s3:::"}, "is not a complete ARN"),
        ({"Resource": "arn:aws:*:us-east-1:111122223333:x"}, "cannot stand for the service"),
        ({"Resource": "arn:aws:s*"}, "the service must be written in full"),
        ({"Resource": "arn:*"}, "the service must be written in full"),
        ({"Resource": "arn:aws:ec2:us-east-1:${aws:PrincipalAccount}:x"}, "after the fifth colon"),
        ({"Resource": "arn:aws:s3:::b/${aws:username"}, "is not closed"),
        ({"Resource": "arn:aws:s3:::b/${}"}, "is not a policy variable"),
        ({"Resource": "arn:aws:s3:::b/${username}"}, "is not a policy variable"),
        ({"Resource": "arn:aws:s3:::b/${aws:user name}"}, "is not a policy variable"),
        ({"Resource": "arn:aws:s3:::b/${aws:username, default}"}, "is not a policy variable"),
        ({"Resource": "arn:aws:s3:::b/${aws:${aws:username}}"}, "is not closed"),
        ({"Principal": "*"}, "Principal: a policy of kind 'identity' has none"),
        ({"NotPrincipal": "*"}, "NotPrincipal: a policy of kind 'identity' has none"),
        ({"Condition": []}, "Condition: not an object"),
        ({"Condition": {"Bool": "x"}}, "Condition.Bool: not an object"),
        ({"Condition": {"StringEqual": {"a:b": "c"}}}, "did you mean StringEquals?"),
        ({"Condition": {"stringlike": {"a:b": "c"}}}, "did you mean StringLike?"),
        ({"Condition": {"ForAnyValues:StringLike": {"a:b": "c"}}}, "unknown condition operator"),
        ({"Condition": {"Frobnicate": {"a:b": "c"}}}, "known: StringEquals"),
        ({"Condition": {"NullIfExists": {"a:b": "true"}}}, "'NullIfExists' does not exist"),
        ({"Condition": {"ForAnyValue:Null": {"a:b": "true"}}}, "write Null"),
        ({"Condition": {"StringEquals": {"ab": "c"}}}, "not a condition key"),
        ({"Condition": {"StringEquals": {"a:b": "c", "A:B": "d"}}}, "twice, in different case"),
        ({"Condition": {"StringEquals": {"a:b": []}}}, "Condition.StringEquals.a:b: an empty list"),
        ({"Condition": {"StringEquals": {"a:b": None}}}, "write a string, a number"),
        ({"Condition": {"StringEquals": {"a:b": {"c": "d"}}}}, "write a string, a number"),
        ({"Condition": {"NumericEquals": {"a:b": "ten"}}}, "'ten' is not a number"),
        ({"Condition": {"NumericEquals": {"a:b": "1_000"}}}, "'1_000' is not a number"),
        ({"Condition": {"NumericEquals": {"a:b": "NaN"}}}, "'NaN' is not a number"),
        ({"Condition": {"DateLessThan": {"a:b": "tomorrow"}}}, "'tomorrow' is not a date"),
        ({"Condition": {"DateLessThan": {"a:b": "2026-13-01"}}}, "is not a date"),
        ({"Condition": {"DateLessThan": {"a:b": "2026"}}}, "'2026' is not a date"),
        ({"Condition": {"DateLessThan": {"a:b": "2026-01-01T00:00:00+99:00"}}}, "is not a date"),
        ({"Condition": {"Bool": {"a:b": "yes"}}}, "'yes' is not a boolean"),
        ({"Condition": {"Bool": {"a:b": ["true", "false"]}}}, "Bool takes one value"),
        ({"Condition": {"Null": {"a:b": "maybe"}}}, "Null takes one value"),
        ({"Condition": {"BinaryEquals": {"a:b": "?"}}}, "'?' is not base64"),
        ({"Condition": {"IpAddress": {"a:b": "10.0.0.0/33"}}}, "is not an address range"),
        ({"Condition": {"IpAddress": {"a:b": "*"}}}, "is not an address range"),
        ({"Condition": {"NumericEquals": {"a:b": "${a:c}"}}}, "takes no policy variable"),
        ({"Condition": {"Bool": {"a:b": "${a:c}"}}}, "takes no policy variable"),
        ({"Condition": {"StringEquals": {"a:b": "${a:c"}}}, "is not closed"),
    ],
)
def test_a_bad_element_is_named_with_its_remedy(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=r"statement #0|statement 'a b'") as refusal:
        parse(ALLOW | change)
    assert message in str(refusal.value)


@pytest.mark.parametrize("element", ["Effect", "Action", "Resource"])
def test_a_missing_element_is_named(element: str) -> None:
    with pytest.raises(PolicyError, match=element):
        parse(without(ALLOW, element))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Resource": "*"}, "Resource: a trust policy has none"),
        ({"NotResource": "*"}, "NotResource: a trust policy has none"),
        ({"Action": "s3:GetObject"}, "a trust policy takes sts actions only"),
        ({"Action": "*"}, "a trust policy takes sts actions only"),
        ({"NotPrincipal": "*"}, "both Principal and NotPrincipal"),
        ({"Principal": "111122223333"}, 'write "*" or an object'),
        ({"Principal": []}, 'write "*" or an object'),
        ({"Principal": {}}, 'write "*" or an object'),
        ({"Principal": {"AWS": []}}, "Principal.AWS: an empty list"),
        ({"Principal": {"aws": "*"}}, "unknown principal type 'aws'"),
        ({"Principal": {"*": "*"}}, "unknown principal type '*'"),
        ({"Principal": {"AWS": "bob"}}, "Principal.AWS: 'bob' is not a principal"),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:group/g"}}, "is not a principal"),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}}, "ArnLike on aws:PrincipalArn"),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "a wildcard cannot stand for part"),
        ({"Principal": {"AWS": "${aws:username}"}}, "takes no policy variable"),
        ({"Principal": {"Service": "*"}}, "'*' is not a service"),
        ({"Principal": {"Federated": "*"}}, "'*' is not an identity provider"),
        ({"Principal": {"Federated": "arn:aws:iam::1:oidc-provider/x"}}, "not an identity"),
    ],
)
def test_a_bad_trust_policy_is_told_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        parse(TRUST | change, kind="trust")
    assert message in str(refusal.value)


def test_a_resource_policy_needs_a_principal() -> None:
    with pytest.raises(PolicyError, match="no Principal; a policy of kind 'resource'"):
        parse(ALLOW, kind="resource")


def test_a_trust_policy_takes_no_not_principal_and_no_not_action() -> None:
    denied = without(TRUST, "Principal") | {"Effect": "Deny", "NotPrincipal": {"AWS": "*"}}
    with pytest.raises(PolicyError, match="NotPrincipal: a trust policy has none"):
        parse(denied, kind="trust")
    with pytest.raises(PolicyError, match="NotAction: a trust policy has none"):
        parse(without(TRUST, "Action") | {"NotAction": "sts:TagSession"}, kind="trust")


def test_not_principal_with_allow_is_refused_as_aws_does() -> None:
    with pytest.raises(PolicyError, match='NotPrincipal: AWS takes it with "Effect": "Deny" only'):
        parse(ALLOW | {"NotPrincipal": {"AWS": "111122223333"}}, kind="resource")


def test_a_sid_may_be_used_once() -> None:
    with pytest.raises(PolicyError, match="statement 'A': the Sid is there twice"):
        parse(ALLOW | {"Sid": "A"}, ALLOW | {"Sid": "A"})


def test_a_resources_policy_may_use_a_sid_twice_as_that_of_aws_secretsmanager_does() -> None:
    everyone = ALLOW | {"Sid": "A", "Principal": {"AWS": "*"}}
    assert len(parse(everyone, everyone, kind="resource").statements) == 2


def test_the_statement_is_named_by_its_sid() -> None:
    with pytest.raises(PolicyError, match="statement 'Broken': Action"):
        parse(ALLOW, ALLOW | {"Sid": "Broken", "Action": "x"})


def test_a_document_of_the_greatest_size_is_read_quickly_and_a_larger_one_refused() -> None:
    statements = [ALLOW | {"Resource": f"arn:aws:s3:::bucket-{i}/*"} for i in range(1300)]
    assert len(json.dumps(statements)) < MAX_BYTES
    assert len(parse(*statements).statements) == 1300
    with pytest.raises(PolicyError, match="no AWS policy has more than"):
        parse(*statements, *statements)


def test_variables_of_the_older_version_are_plain_text() -> None:
    policy = parse(ALLOW | {"Resource": "arn:aws:s3:::b/${"}, Version="2008-10-17")
    assert policy.condition_keys == frozenset()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("arn:aws:sqs", "arn:aws:sqs:*:*:*"),
        ("arn:aws:sqs:us-east-1", "arn:aws:sqs:us-east-1:*:*"),
        ("arn:aws:sqs:us-east-1:111122223333", "arn:aws:sqs:us-east-1:111122223333:*"),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket"),
        ("arn:aws:s3:*", "arn:aws:s3:*"),
    ],
)
def test_an_incomplete_arn_means_everything_behind_it(written: str, read: str) -> None:
    """IAM JSON policy elements, Resource: missing fields of an identity policy are wildcards."""
    document = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": written}}
    policy = parse_policy(document, name="p", kind="identity")
    assert policy.statements[0].resources == (read,)


def test_one_statement_that_cannot_be_read_leaves_the_others_in_force() -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
            {"Effect": "Allow", "Action": "sqs:*", "Resource": "*",
             "Condition": {"StringEqual": {"aws:userid": "x"}}},
        ],
    }  # fmt: skip
    with pytest.raises(PolicyError, match="unknown condition operator"):
        parse_policy(document, name="p", kind="identity")
    kept = parse_policy(document, name="p", kind="identity", stored=True)
    caller = Principal("arn:aws:iam::111122223333:user/bob", "111122223333", "user")

    def asked(action: str) -> bool:
        request = Request(caller, action, "arn:aws:s3:::bucket/key", {})
        return evaluate(request, PolicySet(identity=(kept,))).allowed

    assert asked("s3:GetObject")
    assert not asked("s3:PutObject")
    with pytest.raises(Unsupported, match="StringEqual"):
        asked("sqs:SendMessage")
