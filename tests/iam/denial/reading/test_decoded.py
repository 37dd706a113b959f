"""What `aws sts decode-authorization-message` prints, whole and cut, and what it answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.denial.reading.messages import Refusal, read
from tests.iam.denial.test_further_layers import told
from tests.iam.denial.test_given import explained, policy, run

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

USER = "arn:aws:iam::210987654321:user/packer-builds"
ROLE = "arn:aws:iam::210987654321:role/image-baker"
CODE = "kZ8_" * 16
OTHER = "pQ3-" * 16
REFUSED = (
    "An error occurred (UnauthorizedOperation) when calling the RunInstances operation: You are "
    f"not authorized to perform this operation. Encoded authorization failure message: {CODE}\n"
)
COMMAND = f"$ aws sts decode-authorization-message --encoded-message {CODE}\n"


def content(**more: Any) -> dict[str, Any]:
    context = {
        "principal": {"id": "AIDA7", "name": "packer-builds", "arn": USER},
        "action": "iam:PassRole",
        "resource": ROLE,
        "conditions": {"items": [
            {"key": "aws:Region", "values": {"items": [{"value": "eu-north-1"}]}},
            {"key": "iam:RoleName", "values": {"items": [{"value": "image-baker"}]}},
        ]},
    }  # fmt: skip
    return {"allowed": False, "explicitDeny": False, "matchedStatements": {"items": []},
            "failures": {"items": []}, "context": context, **more}  # fmt: skip


def printed(**more: Any) -> str:
    return json.dumps({"DecodedMessage": json.dumps(content(**more))}, indent=4)


def asked(text: str) -> Refusal:
    found = read(text)
    [refusal] = found.refusals
    assert (refusal.principal, refusal.action, refusal.resource) == (USER, "iam:PassRole", ROLE)
    assert found.encoded == found.bare == ()
    return refusal


@pytest.mark.parametrize(
    "text",
    [
        COMMAND + printed(),
        COMMAND.replace(CODE, "kZ8_...8_kZ8_") + printed(),
        REFUSED + COMMAND + printed(),
        REFUSED + COMMAND + printed() + "\nHow do I let it?",
        printed() + "\n" + REFUSED,
        REFUSED + json.dumps(content(), indent=2),
        REFUSED + json.dumps(content()).replace('"', '\\"'),
    ],
)
def test_a_whole_answer_is_read_wherever_it_stands(text: str) -> None:
    refusal = asked(text)
    assert refusal.lacks and refusal.every_key and not refusal.explicit
    assert refusal.keys["iam:RoleName"] == ("image-baker",)
    assert refusal.operation == ("RunInstances" if REFUSED in text else "")


@pytest.mark.parametrize(
    ("cut", "lacks"),
    [
        (printed()[: printed().index("iam:RoleName")] + "...", True),
        (printed().replace('\\"explicitDeny\\": false, ', "").replace("false, ", "... "), False),
        ('{ "DecodedMessage": "{...' + printed()[printed().index('\\"context') :], False),
        ("..." + printed()[printed().index('\\"arn') :], False),
        (printed().replace("[]}", "[...]}"), True),
    ],
)
def test_of_a_cut_answer_what_is_there_is_read(cut: str, lacks: bool) -> None:
    if cut.startswith("..."):
        cut = "DecodedMessage: " + cut
    refusal = asked(REFUSED + COMMAND + cut)
    assert refusal.lacks is lacks
    assert not refusal.every_key, "what was cut may have had other keys"
    assert refusal.keys["aws:Region"] == ("eu-north-1",)


def test_an_encoded_part_that_was_not_decoded_stays_one() -> None:
    found = read(REFUSED.replace(CODE, OTHER) + REFUSED + COMMAND + printed())
    assert len(found.refusals) == 1
    assert found.encoded == (OTHER,)
    found = read(REFUSED.replace(CODE, OTHER) + COMMAND + printed())
    assert found.encoded == (OTHER,), "the command decoded another one"


def test_two_answers_are_two() -> None:
    second = printed().replace("image-baker", "log-shipper")
    assert [one.resource for one in read(REFUSED + printed() + second).refusals] == [
        ROLE, ROLE.replace("image-baker", "log-shipper"),
    ]  # fmt: skip


def test_the_answer_to_a_sentence_adds_its_keys() -> None:
    sentence = (
        f"User: {USER} is not authorized to perform: iam:PassRole on resource: {ROLE} because no "
        f"identity-based policy allows the iam:PassRole action. {REFUSED.partition('. ')[2]}"
    )
    assert read(sentence).refusals[0].encoded
    refusal = asked(sentence + COMMAND + printed())
    assert refusal.layer == "identity-based policy"
    assert refusal.keys["iam:RoleName"] == ("image-baker",)
    assert not refusal.encoded


def test_an_answer_without_its_caller_is_told_without_one() -> None:
    cut = printed()[printed().index('\\"action') :]
    found = read(f'DecodedMessage: context: "{cut}')
    assert found.refusals == ()
    assert any("iam:PassRole on resource" in words and ROLE in words for words in found.bare)


def test_that_an_allow_lacks_is_not_called_untold(tmp_path: Path) -> None:
    found = explained(run(tmp_path, REFUSED + COMMAND + printed(), "--json"))
    assert found["reason"].startswith("no policy allows")
    assert not told(found, "does not tell whether")
    cut = printed().replace('\\"explicitDeny\\": false, ', "...")
    found = explained(run(tmp_path, REFUSED + COMMAND + cut, "--json"))
    assert told(found, "does not tell whether an Allow is lacking or a policy denies it")


def test_the_statement_that_matched_is_told(tmp_path: Path) -> None:
    denies = {
        "statementId": "OnlyMyRegions", "effect": "DENY",
        "actions": {"items": [{"value": "iam:*"}]}, "resources": {"items": [{"value": "*"}]},
        "conditions": {"items": [
            {"key": "aws:RequestedRegion", "values": {"items": [{"value": "eu-west-3"}]}}
        ]},
    }  # fmt: skip
    text = printed(explicitDeny=True, matchedStatements={"items": [denies]})
    for written in (text, text[: text.index("iam:RoleName")]):
        found = explained(run(tmp_path, REFUSED + written, "--json"))
        assert found["reason"] == "explicit deny"
        assert told(found, "DENY OnlyMyRegions of iam:* on * with aws:RequestedRegion eu-west-3")
        assert not told(found, "does not tell whether")


def test_of_one_that_breaks_off_in_its_statements_those_are_told(tmp_path: Path) -> None:
    """aws/karpenter-provider-aws#3176, as far as it is cited there"""
    asks = [
        {
            "statementId": f"Ask{tag}", "effect": "DENY",
            "principals": {"items": [{"value": "AROA6JVJT7X6J6IT7OOOY"}]},
            "principalGroups": {"items": []}, "actions": {"items": [{"value": "ec2:RunInstances"}]},
            "resources": {"items": [{"value": "arn:aws:ec2:*:*:instance/*"}]},
            "conditions": {"items": [
                {"key": f"aws:RequestTag/{tag}", "values": {"items": [{"value": "true"}]}}
            ]},
        }
        for tag in ("team-id", "business-unit", "cc")
    ]  # fmt: skip
    text = printed(explicitDeny=True, matchedStatements={"items": asks})
    result = run(tmp_path, text[: text.rindex("ec2:RunIn") + 9])
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    for tag in ("team-id", "business-unit"):
        assert (
            f"DENY Ask{tag} of ec2:RunInstances on arn:aws:ec2:*:*:instance/* with "
            f"aws:RequestTag/{tag} true" in said
        )
    assert "DENY Askcc, which breaks off" in said
    assert "no Allow lifts it" in said


def test_a_hidden_account_in_it_is_hidden(tmp_path: Path) -> None:
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/x"}
    text = (REFUSED + printed()).replace("210987654321", "<account>")
    found = explained(run(tmp_path, text, "--json", policy=policy(passes)))
    [change] = found["changes"]
    assert "arn:aws:iam::ACCOUNT:role/image-baker" in change["statement"]["Resource"]


def test_other_json_with_such_words_is_no_answer() -> None:
    text = json.dumps({"allowed": True, "note": "x", "action": "build:Image", "resource": "y"})
    assert read(text).refusals == () and read(text).bare == ()


@pytest.mark.alone
def test_a_long_log_with_such_words_is_read_in_a_moment() -> None:
    began = time.process_time()
    assert read('"context": {"principal": ' * 4_000 + '"action": "no').refusals == ()
    assert read('{"allowed": 1, "c": [2]}\n' * 3_000).refusals == ()
    assert time.process_time() - began < 2
