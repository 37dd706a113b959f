"""AWS Budgets: its two permissions cover every call on a budget and its notifications.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
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
    service_linked_role,
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


def _own_view(call: Call) -> str:
    return call.arn("billing", "billingview/primary", region="")


def _reads_view(call: Call) -> Iterator[Need]:
    """The billing view that a budget counts: the account's own, where it names none."""
    for target in _budget(call) if call.get("BudgetName") else ():
        view = call.facts(target.arn).get("billing_view") or _own_view(call)
        yield Need("billing:GetBillingViewData", view, VIA_SERVICE)


def _reads_own_view(call: Call) -> Iterator[Need]:
    yield Need("billing:GetBillingViewData", _own_view(call), VIA_SERVICE)


def _shared_view(call: Call) -> Iterator[Need]:
    """A view that another account shares needs Budgets' service-linked role.

    https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-SLR.html
    """
    view = (call.get("Budget") or call.get("NewBudget") or {}).get("BillingViewArn")
    if view:
        arn = arn_of_type(view, "BillingViewArn", "billing", r"billingview/[\w-]+")
        if arn.split(":")[4] != call.account.account_id:
            yield from service_linked_role("budgets.amazonaws.com")(call)


_view = Row(_budget, "budgets:ViewBudget", also=(_reads_view,))
_modify = Row(_budget, "budgets:ModifyBudget", also=(_shared_view,))

TABLE: Table = {
    "CreateBudget": Row(
        _budget,
        "budgets:ModifyBudget",
        also=(when("ResourceTags", onto("budgets:TagResource", _budget, _tags)), _shared_view),
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
        Row(_any_budget, "budgets:ViewBudget", also=(_reads_own_view,)),
    ),
    "ListTagsForResource": Row(_by_arn),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("ResourceTagKeys"))),
}
