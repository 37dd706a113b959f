"""Claims: whoever may tag what it does not own, owns what the tag opens.

A tag condition limits nothing if the holder of the right may set that tag.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scripts.iam.engine.documents import Policy
from scripts.iam.escalation.possible import allowed, named_tags
from scripts.iam.escalation.view import View

# Service and kind of a resource -> the calls that set its tags.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_TAGGERS: Mapping[str, tuple[str, ...]] = {
    "ec2": ("ec2:CreateTags",),
    "iam": ("iam:TagRole", "iam:TagUser"),
    "kms": ("kms:TagResource",),
    "lambda": ("lambda:TagResource",),
    "s3": ("s3:PutObjectTagging", "s3:PutBucketTagging", "s3:TagResource"),
    "secretsmanager": ("secretsmanager:TagResource",),
    "ssm": ("ssm:AddTagsToResource",),
}
# A call that tags what exists is no call that creates.
_NOT_CREATING: Mapping[str, str | None] = {"ec2:CreateAction": None}


@dataclass(frozen=True)
class Tagged:
    """A resource's tags as they are (`how` is empty), or as the actor may make them."""

    tags: Mapping[str, str]
    how: str = ""

    def rule(self, rule: str) -> str:
        """The step's rule: a claim is one of its own."""
        return "claim-by-tag" if self.how else rule

    def detail(self, detail: str) -> str:
        """A step's detail, with the tagging that comes first."""
        return f"{self.how}, then {detail}" if self.how else detail


def ways_to_tag(
    view: View, arn: str, tags: Mapping[str, str], policy: Policy | None = None
) -> Iterator[Tagged]:
    """The tags of an existing resource, and those that the actor may give it to gain by them."""
    yield Tagged(tags)
    policies = view.with_resource(policy)
    held = {name.lower(): value for name, value in tags.items()}
    for wanted in named_tags(policies):
        gained = {name.lower(): value for name, value in wanted.items()}
        if gained.items() <= held.items():
            continue
        for action in _TAGGERS.get(arn.split(":")[2], ()):
            known: dict[str, str | tuple[str, ...] | None] = {
                **_NOT_CREATING,
                **{f"aws:RequestTag/{name}": value for name, value in wanted.items()},
                "aws:TagKeys": tuple(wanted),
            }
            if allowed(view.principal, policies, action, arn, known, tags) is not None:
                pairs = ", ".join(f"{name}={value}" for name, value in wanted.items())
                yield Tagged({**held, **gained}, f"{action} with {pairs} on {arn}")
                break
