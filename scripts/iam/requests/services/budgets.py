"""AWS Budgets: its two permissions cover every call on a budget and its notifications.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    arn_of_type,
    name_of,
    onto,
    pairs,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)

_NAME = r"[^:/*?\\]+"


def _arn(call: Call, name: str) -> str:
    account = call.get("AccountId")
    if account not in {None, call.account.account_id}:
        raise ValueError(f"AccountId must be {call.account.account_id}, the caller's own account")
    return call.arn("budgets", f"budget/{name}", region="")


def _budget(call: Call) -> Iterator[Target]:
    structure = call.get("Budget") or call.get("NewBudget") or {}
    name = call.get("BudgetName") or structure.get("BudgetName")
    arn = _arn(call, name_of(name, "BudgetName", _NAME))
    yield Target(arn, resource_tags(call, arn))


def _any_budget(call: Call) -> Iterator[Target]:
    yield Target(_arn(call, "*"), {})


def _by_arn(call: Call) -> Iterator[Target]:
    arn = arn_of_type(call.get("ResourceARN"), "ResourceARN", "budgets", f"budget/{_NAME}")
    yield Target(arn, resource_tags(call, arn))


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("ResourceTags")))


_view = Row(_budget, "budgets:ViewBudget")
_modify = Row(_budget, "budgets:ModifyBudget")

TABLE: Table = {
    "CreateBudget": Row(
        _budget,
        "budgets:ModifyBudget",
        also=(when("ResourceTags", onto("budgets:TagResource", _budget, _tags)),),
    ),
    **same(
        "UpdateBudget DeleteBudget CreateNotification UpdateNotification DeleteNotification "
        "CreateSubscriber UpdateSubscriber DeleteSubscriber",
        _modify,
    ),
    **same(
        "DescribeBudget DescribeNotificationsForBudget DescribeSubscribersForNotification "
        "DescribeBudgetPerformanceHistory",
        _view,
    ),
    **same(
        "DescribeBudgets DescribeBudgetNotificationsForAccount",
        Row(_any_budget, "budgets:ViewBudget"),
    ),
    "ListTagsForResource": Row(_by_arn),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("ResourceTagKeys"))),
}
