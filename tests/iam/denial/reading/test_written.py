"""Escapes and broken lines around AWS's sentence: what was escaped or broken is read whole."""

from __future__ import annotations

import html
import json
import quopri
from urllib.parse import quote_plus

import pytest

from scripts.iam.denial.reading.messages import read

ROLE = "arn:aws:sts::210987654321:assumed-role/nightly-report-writer/run-7"
ARN = "arn:aws:secretsmanager:eu-north-1:210987654321:secret:reports/warehouse-Zz12Yy"
SAID = (
    f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: {ARN} "
    "because no identity-based policy allows the secretsmanager:GetSecretValue action"
)


def folded(text: str, width: int, *, strip: bool = False) -> str:
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return "\n".join(line.strip() if strip else line for line in lines)


@pytest.mark.parametrize(
    "written",
    [
        html.escape(f'Message: "{SAID}"'),
        html.escape(html.escape(f'Message: "{SAID}"')),
        json.dumps({"log": json.dumps({"error": SAID + "\n"})}),
        SAID.replace("arn:aws:sec", "\\u0022arn:aws:sec").replace(" because", "\\u0022 because"),
        quote_plus(f"error: {SAID}"),
        quopri.encodestring(f"Dear = all,\n{SAID}\n".encode()).decode(),
        folded(f"An error occurred (AccessDeniedException): {SAID}", 80),
        folded(f"An error occurred (AccessDeniedException): {SAID}", 80, strip=True),
        SAID.replace("writer", "wri\nter").replace("warehouse", "ware\n  house").replace(
            "reports/", "repo\n  rts/"
        ),
    ],
)  # fmt: skip
def test_the_sentence_is_read_whole(written: str) -> None:
    [found] = read(written).refusals
    assert (found.principal, found.action, found.resource, found.layer) == (
        ROLE, "secretsmanager:GetSecretValue", ARN, "identity-based policy",
    )  # fmt: skip


def test_an_arn_within_an_arn_stays_escaped() -> None:
    within = "arn:aws:apigateway:eu-north-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-north-1%3A%3A%2Fa"
    [found] = read(SAID.replace(ARN, within)).refusals
    assert found.resource == within


def test_lines_of_many_lengths_are_no_terminals() -> None:
    text = f"host id: {'a' * 60}=\nthe next line of the log is another one\n{SAID}"
    [found] = read(text).refusals
    assert found.resource == ARN


def test_lines_of_a_log_that_are_alike_are_not_one() -> None:
    said = f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
    lines = [
        f"ERROR {said}{ARN.replace('Zz12Yy', name)}" for name in ("Aa11Bb", "Cc22Dd", "Cc22Dd")
    ]
    found = read("\n".join(lines)).refusals
    assert [one.resource for one in found] == [ARN.replace("Zz12Yy", name) for name in
                                               ("Aa11Bb", "Cc22Dd")]  # fmt: skip


def test_a_column_of_a_table_is_read_whole() -> None:
    arn = "arn:aws:iam::210987654321:role/app-sandbox-ReportFunctionRole-1A2B3C4D5E6F"
    caller = "arn:aws:iam::210987654321:user/builder-of-stacks"
    cells = ["API: iam:CreateRole", *folded(f"User: {caller}", 22).split("\n")]
    cells += ["is not authorized", "to perform:", "iam:CreateRole on"]
    cells += folded(f"resource: {arn}", 22).split("\n")
    rows = "\n".join(f",{' ' * 60}{cell:22} " for cell in cells)
    [found] = read(f",CREATE_FAILED  AWS::IAM::Role  ReportFunctionRole\n{rows}\n\nDone.").refusals
    assert (found.principal, found.action, found.resource) == (caller, "iam:CreateRole", arn)


def test_a_line_behind_a_whole_arn_stays_apart() -> None:
    text = f"User: {ROLE} is not authorized to perform: s3:PutObject on\nresource: {ARN}\nexit-1\n"
    [found] = read(text).refusals
    assert found.resource == ARN


def test_a_comment_in_a_program_is_read_without_its_marks() -> None:
    text = SAID.replace(" is not", "\nis not").replace("resource: ", "resource:\n")
    parts = text.replace(" because", "\nbecause").split("\n")
    assert len(parts) == 4
    for mark in ("//", "#"):
        [found] = read("\n".join(f"    {mark} {part}" for part in parts)).refusals
        assert (found.principal, found.resource, found.layer) == (
            ROLE, ARN, "identity-based policy",
        )  # fmt: skip


def test_an_arn_that_a_line_ends_before_its_name_goes_on() -> None:
    topic = "arn:aws:sns:eu-north-1:210987654321:"
    said = f"User: {ROLE} is not authorized to perform: sns:Unsubscribe on resource: {topic}"
    assert read(f"{said}\nnightly-report-alarms").refusals[0].resource == (
        f"{topic}nightly-report-alarms"
    )
    assert read(f"{said}\nretrying").refusals[0].resource == topic


TABLE = "arn:aws:dynamodb:ap-northeast-1:123456789012:table/MyTable"
LIKE_EACH_OTHER = [
    "An error occurred (AccessDeniedException) when calling the DescribeInstances operation: User: "
    "arn:aws:iam::123456789012:user/developer is not authorized to perform: ec2:DescribeInstances "
    "on resource: *",
    "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/MyRole/session is not "
    f"authorized to perform: dynamodb:GetItem on resource: {TABLE}",
    "An error occurred (AccessDenied) when calling the ListBuckets operation: Access Denied",
]


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n\n"])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 0), (0, 1)])
def test_lines_that_are_as_long_as_each_other_by_chance_are_not_one(
    order: tuple[int, ...], between: str
) -> None:
    # https://docs.mewrite.jp/errors/aws/aws-accessdeniedexception has the three lines.
    assert len(LIKE_EACH_OTHER[0]) == len(LIKE_EACH_OTHER[1])
    found = read(between.join(LIKE_EACH_OTHER[one] for one in order))
    assert {one.action: one.resource for one in found.refusals} == {
        "ec2:DescribeInstances": "*", "dynamodb:GetItem": TABLE,
    }  # fmt: skip


@pytest.mark.parametrize(
    "behind",
    ["retrying in 5 seconds", "AccessDenied-retry-5", "2026-11-30T10:00:00Z done", "exit status 1"],
)
def test_a_line_of_the_same_length_behind_a_denial_is_no_part_of_its_resource(behind: str) -> None:
    [found] = read(f"{LIKE_EACH_OTHER[1]}\n{behind:.<201}\n{behind}").refusals
    assert found.resource == TABLE
    column = f"resource: {TABLE}\n{'AccessDeniedException:':x>68}"
    said = LIKE_EACH_OTHER[1].partition("resource: ")[0]
    [found] = read(f"{said}\n{column}").refusals
    assert found.resource == TABLE
