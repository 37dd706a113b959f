"""What is sent has a size and says something; budgets tell each thing once."""

from __future__ import annotations

import string
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.services.values import parsed

_LARGEST_BATCH, _OF_EVENT, _LONGEST_SPAN = 1_048_576, 26, 86_400_000
_LARGEST_METADATA = 2 * 1024
_MOST_TAGS, _MOST_AUDIENCES, _MOST_THUMBPRINTS, _MOST_NOTIFICATIONS = 50, 100, 5, 10


def log_events(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    events = reading.parameters["logEvents"]
    if sum(len(one["message"].encode()) + _OF_EVENT for one in events) > _LARGEST_BATCH:
        raise AwsError(
            "InvalidParameterException", f"Upload too large: more than {_LARGEST_BATCH} bytes"
        )
    times = [one["timestamp"] for one in events]
    if max(times) - min(times) > _LONGEST_SPAN:
        raise AwsError(
            "InvalidParameterException",
            "The batch of log events in a single PutLogEvents request cannot span more than 24 "
            "hours.",
        )


def message(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
    given = reading.parameters
    if not given["Message"]:
        raise AwsError("InvalidParameter", "Invalid parameter: Empty message")
    said = parsed(given["Message"]) if given.get("MessageStructure") == "json" else {"default": ""}
    if not isinstance(said, dict) or not isinstance(said.get("default"), str):
        raise AwsError(
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        )
    subject = given.get("Subject")
    if subject is not None and not (
        subject.isascii() and subject.isprintable() and subject[:1].strip()
    ):
        raise AwsError("InvalidParameter", "Invalid parameter: Subject")


def metadata(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"""
    pairs = (reading.parameters.get("Metadata") or {}).items()
    if sum(len(name.encode()) + len(str(value).encode()) for name, value in pairs) > (
        _LARGEST_METADATA
    ):
        raise AwsError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
        )


def bucket_tags(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html"""
    if len(reading.parameters["Tagging"].get("TagSet") or ()) > _MOST_TAGS:
        raise AwsError("BadRequest", f"Bucket tag count cannot be greater than {_MOST_TAGS}")


def audiences(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    given = reading.parameters
    arn = given["OpenIDConnectProviderArn"]
    found = backends("iam").open_id_providers.get(arn)
    known = list(found.client_id_list) if found else []
    if len({*known, given.get("ClientID")} - {None}) > max(_MOST_AUDIENCES, len(known)):
        raise AwsError(
            "LimitExceeded",
            f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {_MOST_AUDIENCES}",
            409,
        )
    if len(given.get("ThumbprintList") or ()) > _MOST_THUMBPRINTS:
        raise AwsError("InvalidInput", "Thumbprint list must contain fewer than 5 entries.")


def password(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html"""
    given = reading.parameters
    kinds = {
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": string.punctuation,
    }
    excluded = set(given.get("ExcludeCharacters") or "")
    left = [set(signs) - excluded for name, signs in kinds.items() if not given.get(name)]
    if not all(left) or not (left or given.get("IncludeSpace")):
        raise AwsError(
            "InvalidParameterException",
            "The password has no characters of a type that it must have.",
        )


def budget(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Spend.html"""
    for amount in _amounts(reading.parameters["Budget"]):
        try:
            fine = 0 <= float(amount) < float("inf")
        except ValueError:
            fine = False
        if not fine:
            raise AwsError("InvalidParameterException", f"Amount {amount} is not a valid amount.")


def _amounts(budget: dict[str, Any]) -> list[str]:
    spends = [budget.get("BudgetLimit"), *(budget.get("PlannedBudgetLimits") or {}).values()]
    return [spend["Amount"] for spend in spends if spend]


def notification(reading: Reading, backends: Backends) -> None:
    """Moto keeps one twice, and says that it deleted one that is not there.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateNotification.html
    """
    given = reading.parameters
    found = backends("budgets").budgets[given["AccountId"]].get(given["BudgetName"])
    if found is None:
        return  # moto's to refuse
    known, new = found.get_notifications(), reading.operation == "CreateNotification"
    there = given["Notification"] in known
    if new and there:
        raise AwsError("DuplicateRecordException", "The notification already exists.")
    if new and len(known) >= _MOST_NOTIFICATIONS:
        raise AwsError("CreationLimitExceededException", "The budget has too many notifications.")
    if not new and not there:
        raise AwsError("NotFoundException", "Unable to find the notification.")
